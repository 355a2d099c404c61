//! `phone`: a phone number in E.164; the country is for numbers without a country code.

use serde::{Deserialize, Serialize};

use super::shared::ready::{Failed, OTHER_TYPE, owned};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "phone",
    usage: "phone(\"DE\")",
    summary: "a phone number in E.164; the country is for numbers without a country code",
    rows: &[
        Row {
            signature: "`phone(\"DE\")`",
            takes: "text",
            gives: "a phone number in E.164; the country is for numbers without a country code. Fails if the text is not exactly one valid number; an extension fails too",
        },
        Row {
            signature: "`phone(address1_country)`, `phone(address1_country, \"DE\")`",
            takes: "text",
            gives: "the same, but a field contains the country as a code of two letters (ISO 3166). If the field is empty, the second argument is the country. Without a second argument, and if the field contains anything else, a number without a country code fails",
        },
    ],
    samples: &["phone(\"DE\")", "phone", "phone(nickname)", "phone(nickname, \"DE\")"],
    rule: Rule::Call(check),
};

/// The longest number of E.164 with its sign.
pub const E164: u32 = 16;

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phone {
    /// ISO 3166-1 alpha-2 code of the country whose numbers are written without a country code.
    region: Option<String>,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let region = if call.has_arguments() {
        let code = call.one_text("expected the two letters of a country in quotes, such as \"DE\"")?;
        if phone_region(code).is_none() {
            return Err(Wrong::arguments("not a country of ISO 3166 that has phone numbers; write two capital letters, such as \"DE\""));
        }
        Some(code.to_owned())
    } else {
        None
    };
    call.same_text()?;
    let why = match &region {
        Some(code) => format!("the text may not be a phone number of {code}, or one with a country code"),
        None => "the text may not be a phone number with a country code".to_owned(),
    };
    Ok(Checked::fallible(Operation::Phone(Phone { region }), call.typed(Ty::Text { max: Some(E164) }), why))
}

impl Operate for Phone {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let unknown = || NotReady("an unknown country".to_owned());
        let region = self.region.as_ref().map(|code| phone_region(code).ok_or_else(unknown)).transpose()?;
        Ok(Ready::new(move |value| match value {
            Value::Text(text) => phone(&text, region),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        self.region.as_ref().map_or("phone".to_owned(), |code| format!("phone(\"{code}\")"))
    }
}

/// The country of an ISO 3166-1 alpha-2 code, if its phone numbers are known.
fn phone_region(code: &str) -> Option<phonenumber::country::Id> {
    code.parse().ok()
}

/// The ISO 3166-1 alpha-2 codes of all countries with phone numbers.
pub fn countries() -> impl Iterator<Item = String> {
    let codes = ('A'..='Z').flat_map(|first| ('A'..='Z').map(move |second| format!("{first}{second}")));
    codes.filter(|code| is_country(code))
}

/// Whether a code is that of a country with phone numbers.
pub fn is_country(code: &str) -> bool {
    phone_region(code).is_some()
}

/// A phone number in E.164, by a country that comes from a record. What is not a country is as good as none: then the number needs its
/// country code.
pub fn in_country<'a>(text: &str, country: Option<&str>) -> Result<Value<'a>, Failed> {
    let region = country.and_then(|code| phone_region(&code.trim().to_ascii_uppercase()));
    phone(text, region).map_err(|failed| match (region, country) {
        (None, None) => Failed("the text is not a phone number with a country code, and the field with the country is empty"),
        (None, Some(_)) => Failed("the text is not a phone number with a country code, and the field does not contain a country of ISO 3166"),
        (Some(_), _) => failed,
    })
}

fn phone<'a>(text: &str, region: Option<phonenumber::country::Id>) -> Result<Value<'a>, Failed> {
    let failed = Failed("the text is not a phone number of this country");
    // The library reads a number out of any text around it; only a text that is one number and nothing else is accepted.
    let text = text.trim();
    let plain = |c: char| c.is_ascii_digit() || c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '.' | '/' | '(' | ')');
    let body = match text.strip_prefix("(+") {
        Some(rest) => rest,
        None => text.strip_prefix('+').unwrap_or(text),
    };
    if !body.chars().all(plain) {
        return Err(Failed("the text is not a phone number and nothing else"));
    }
    let number = phonenumber::parse(region, text).map_err(|_| Failed("the text is not a phone number"))?;
    if !phonenumber::is_valid(&number) {
        return Err(failed);
    }
    Ok(owned(number.format().mode(phonenumber::Mode::E164).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn a_number_is_read_by_its_country_and_written_in_e_164() {
        let checked = check(&STEP, &[text("DE")], up_to(50));
        assert_eq!(output(&checked), (up_to(E164), true));
        assert_eq!(run_text(&checked, "030 901820").as_deref(), Some("+4930901820"));
        assert_eq!(run_text(&checked, "(+43) 1 58858").as_deref(), Some("+43158858"));
        assert_eq!(run_text(&checked, "call 030 901820"), None);
        assert_eq!(run_text(&check(&STEP, &[], up_to(50)), "030 901820"), None);
        assert!(check(&STEP, &[text("Germany")], up_to(50)).is_err());
    }
}
