//! `email`: checks an email address and converts its domain to lower case.

use super::lower::lower;
use super::shared::ready::{Failed, OTHER_TYPE, owned};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Ty, Value, length};

/// The step.
pub const STEP: Step = Step {
    name: "email",
    usage: "email",
    summary: "checks an email address and converts its domain to lower case",
    rows: &[
        Row {
            signature: "`email`",
            takes: "text",
            gives: "the address, with its domain in lower case. Fails if the text is not an email address",
        },
    ],
    samples: &["email"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Email;

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    call.no_arguments()?;
    let ty = match call.same_text()? {
        // What comes out differs from what goes in, so words are not known any more.
        Ty::Words(words) => Ty::Text { max: words.iter().map(|w| length(w)).max() },
        other => other,
    };
    Ok(Checked::fallible(Operation::Email, call.typed(ty), "the text may not be an email address"))
}

impl Operate for Email {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| match value {
            Value::Text(text) => email(&text),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        "email".to_owned()
    }
}

/// The domain in lower case. What is before it stays, because its host may distinguish case.
fn email<'a>(text: &str) -> Result<Value<'a>, Failed> {
    let text = text.trim();
    let options = email_address::Options::default().with_required_tld().without_display_text().without_domain_literal();
    let address =
        email_address::EmailAddress::parse_with_options(text, options).map_err(|_| Failed("the text is not an email address"))?;
    Ok(owned(format!("{}@{}", address.local_part(), lower(address.domain()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, up_to};

    #[test]
    fn the_domain_gets_lower_case_and_the_rest_stays() {
        let checked = check(&STEP, &[], up_to(50));
        assert_eq!(output(&checked), (up_to(50), true));
        assert_eq!(run_text(&checked, " Ada@Example.COM ").as_deref(), Some("Ada@example.com"));
        assert_eq!(run_text(&checked, "Ada <ada@example.com>"), None);
    }
}
