//! Sets of numbered options.

use crate::unicode::{same, same_but_for_case};

/// A set of numbered options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceSet {
    /// The options in the system's order.
    pub options: Vec<Choice>,
}

impl ChoiceSet {
    /// The option with this number.
    pub fn by_value(&self, value: i64) -> Option<&Choice> {
        self.options.iter().find(|o| o.value == value)
    }

    /// The options with this label. If none has it exactly, upper and lower case are the same.
    ///
    /// Dataverse lets several options have one label; status reasons of different states often do.
    pub fn by_label(&self, label: &str) -> Vec<&Choice> {
        let exact: Vec<&Choice> = self.options.iter().filter(|o| same(&o.label, label)).collect();
        if !exact.is_empty() {
            return exact;
        }
        self.options.iter().filter(|o| same_but_for_case(&o.label, label)).collect()
    }
}

/// One numbered option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The number on the wire.
    pub value: i64,
    /// What people see, in the language in which the schema was pulled.
    pub label: String,
}
