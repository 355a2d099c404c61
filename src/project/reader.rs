//! What the readers of all sections of a project file share: the faults found so far, addresses, words, numbers in a range.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use url::{Host, Url};

use crate::diagnostics::FileProblem;
use crate::yaml::Spanned;

/// A whole number with the range that it must lie in, both ends included.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Ranged<const MIN: i64, const MAX: i64>(pub(super) Spanned<i64>);

impl<const MIN: i64, const MAX: i64> JsonSchema for Ranged<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("From{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// Reads the sections of a project file and collects what is wrong in them.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a Arc<str>,
    pub(super) problems: Vec<FileProblem>,
}

impl Reader<'_> {
    /// Notes a fault.
    pub(super) fn problem(&mut self, span: &Range<usize>, message: impl Into<String>, label: impl Into<String>, help: impl Into<String>) {
        self.problems.push(FileProblem::new(self.path, self.text, span.clone(), message).label(label).help(help));
    }

    /// A text that is sent in a header or a form: not empty, one line.
    pub(super) fn word(&mut self, given: &Spanned<String>) {
        if given.value.trim().is_empty() || given.value.chars().any(char::is_control) {
            self.problem(&given.span, "this value is empty or has a control character", "no value", "write it on one line");
        }
    }

    /// An address to listen on, with its port.
    pub(super) fn listen(&mut self, given: &Spanned<String>) -> Option<SocketAddr> {
        let address = given.value.trim().parse().ok();
        if address.is_none() {
            self.problem(&given.span, "this is not an address to listen on", "not an address and a port", "write `127.0.0.1:8085`");
        }
        address
    }

    /// Texts that are sent in a header or a form.
    pub(super) fn words(&mut self, given: &[Spanned<String>]) -> Vec<String> {
        given.iter().for_each(|word| self.word(word));
        given.iter().map(|word| word.value.trim().to_owned()).collect()
    }

    /// An address: https, or http on this machine; no user and password in it, no query.
    pub(super) fn url(&mut self, given: &Spanned<String>) -> Option<Url> {
        let url = match Url::parse(given.value.trim()) {
            Ok(url) => url,
            Err(e) => {
                self.problem(
                    &given.span,
                    format!("this is not an address: {e}"),
                    "not an address",
                    "write it in full: `https://contoso.crm4.dynamics.com`",
                );
                return None;
            }
        };
        let before = self.problems.len();
        match (url.scheme(), url.host()) {
            ("https", Some(_)) => {}
            ("http", Some(host)) if loopback(&host) => {}
            ("http", Some(_)) => self.problem(
                &given.span,
                "a secret would be sent over the network unencrypted",
                "http",
                "write https; http is for addresses of this machine (127.0.0.1, localhost)",
            ),
            (scheme, _) => self.problem(
                &given.span,
                format!("an address with the scheme `{scheme}` is not supported here"),
                "not https",
                "write it in full: `https://contoso.crm4.dynamics.com`",
            ),
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.problem(
                &given.span,
                "an address must not contain a user or a password",
                "with a user",
                "leave them out; the client's id and secret have separate keys",
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            self.problem(&given.span, "a query is not allowed in this address", "with a query", "leave everything from `?` or `#` out");
        }
        (self.problems.len() == before).then_some(url)
    }

    /// A number, which must lie in its range; the default if it is not given.
    pub(super) fn ranged<T, const MIN: i64, const MAX: i64>(
        &mut self,
        key: &str,
        given: Option<&Ranged<MIN, MAX>>,
        default: T,
        unit: &str,
    ) -> T
    where
        T: TryFrom<i64> + Display + Copy,
    {
        let Some(Ranged(given)) = given else { return default };
        match T::try_from(given.value) {
            Ok(value) if (MIN..=MAX).contains(&given.value) => value,
            Ok(_) | Err(_) => {
                self.problem(
                    &given.span,
                    format!("`{key}` is out of range"),
                    format!("not {MIN} to {MAX} {unit}"),
                    format!("write a number from {MIN} to {MAX}; the default is {default}"),
                );
                default
            }
        }
    }
}

fn loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
