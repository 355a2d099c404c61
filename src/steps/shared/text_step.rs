//! Steps from text to text without arguments: in a plan by their name.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::call::{Call, Checked, Wrong};
use super::ready::{NotReady, Operate, Ready};
use crate::steps::{Operation, Rule, STEPS, Step};

/// A step from text to text without arguments.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The evaluation. It borrows what it leaves as it is.
    pub apply: for<'t> fn(&'t str) -> Cow<'t, str>,
    /// The type rule: the greatest length in UTF-16 code units after the step, from that before it; `None` is unlimited.
    pub longest: fn(Option<u32>) -> Option<u32>,
    /// Whether a text that is not empty can become empty.
    pub may_leave_nothing: bool,
}

/// A step from text to text as plans have it: by its name.
#[derive(Clone, Copy)]
pub struct TextStep {
    step: &'static Step,
    text: Text,
}

impl TextStep {
    /// The step of this name, if it is one from text to text without arguments.
    pub fn named(name: &str) -> Option<TextStep> {
        let step = STEPS.iter().find(|step| step.name == name)?;
        match step.rule {
            Rule::Text(text) => Some(TextStep { step, text }),
            Rule::Call(_) | Rule::Checker => None,
        }
    }

    /// A step with its rule.
    pub fn new(step: &'static Step, text: Text) -> TextStep {
        TextStep { step, text }
    }

    /// The type rule.
    pub fn check(self, call: &Call<'_>) -> Result<Checked, Wrong> {
        call.no_arguments()?;
        let ty = call.text(|word| (self.text.apply)(word).into_owned(), self.text.longest)?;
        let operation = Operation::Text(self);
        Ok(if self.text.may_leave_nothing { call.perhaps_empty(operation, ty) } else { Checked::sure(operation, call.typed(ty)) })
    }
}

impl Operate for TextStep {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(self.text.apply))
    }

    fn written(&self) -> String {
        self.step.name.to_owned()
    }
}

impl std::fmt::Debug for TextStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.step.name)
    }
}

impl PartialEq for TextStep {
    fn eq(&self, other: &TextStep) -> bool {
        self.step.name == other.step.name
    }
}

impl Serialize for TextStep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.step.name)
    }
}

impl<'de> Deserialize<'de> for TextStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextStep, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        TextStep::named(&name).ok_or_else(|| de::Error::custom(format_args!("there is no step `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_from_text_to_text_is_its_name_in_a_plan() {
        for step in STEPS {
            let Some(named) = TextStep::named(step.name) else { continue };
            let json = serde_json::to_string(&named).unwrap();
            assert_eq!(json, format!("{:?}", step.name));
            assert_eq!(serde_json::from_str::<TextStep>(&json).unwrap(), named);
        }
        assert!(serde_json::from_str::<TextStep>("\"truncate\"").is_err());
    }
}
