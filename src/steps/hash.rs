//! `hash`: a hash of the text.

use std::fmt::Write;

use sha2::Digest;

use super::shared::call::Argument;
use super::shared::ready::{OTHER_TYPE, owned};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "hash",
    usage: "hash(sha256)",
    summary: "a hash of the text",
    rows: &[
        Row {
            signature: "`hash(sha256)`",
            takes: "text",
            gives: "64 hexadecimal digits",
        },
    ],
    samples: &["hash(sha256)"],
    rule: Rule::Call(check),
};

/// The step in a plan: SHA-256 in hexadecimal digits, of the text's UTF-8 bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Sha256;

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    match call.arguments() {
        [Argument::Word(word)] if word == "sha256" => {}
        _ => return Err(Wrong::arguments("the only supported hash is `sha256`")),
    }
    call.same_text()?;
    Ok(Checked::sure(Operation::Sha256, call.typed(Ty::Text { max: Some(64) })))
}

impl Operate for Sha256 {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| match value {
            Value::Text(text) => Ok(owned(hexadecimal(&text))),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        "hash(sha256)".to_owned()
    }
}

fn hexadecimal(text: &str) -> String {
    let mut out = String::with_capacity(64);
    for byte in sha2::Sha256::digest(text.as_bytes()) {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, up_to, word};

    #[test]
    fn the_fingerprint_of_a_text_is_that_of_its_utf_8_bytes() {
        let checked = check(&STEP, &[word("sha256")], up_to(5));
        assert_eq!(output(&checked), (up_to(64), false));
        // FIPS 180-2, B.1.
        assert_eq!(run_text(&checked, "abc").as_deref(), Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
        assert!(check(&STEP, &[word("md5")], up_to(5)).is_err());
    }
}
