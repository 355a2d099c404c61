//! Opt-out blocks, and the cases that say what a value means.

use super::mapping::Setting;
use super::name::{Ident, Path};
use super::replace::Arm;
use super::value::{Literal, LiteralValue};
use crate::diagnostics::Span;

/// `optout NAME { direction …; a <-> b }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Optout {
    /// The whole.
    pub span: Span,
    /// The mapping whose records it concerns.
    pub mapping: Ident,
    /// Every `direction` in order; one is allowed.
    pub directions: Vec<Setting>,
    /// The pairs of fields.
    pub pairs: Vec<OptoutPair>,
    /// A line that could not be read.
    pub unread: bool,
}

/// `donotemail <-> denyListEmail`, optionally with `not` before the second, or with cases; or `new_news <-> subscription "SVC1"`.
#[derive(Clone, Debug, PartialEq)]
pub struct OptoutPair {
    /// The whole.
    pub span: Span,
    /// The field in Dynamics.
    pub source: Path,
    /// Whether the two say opposite things.
    pub inverted: bool,
    /// What it is in Campaign.
    pub target: OptoutTarget,
    /// What each value of the field means.
    pub cases: Option<Cases>,
}

/// The right side of an opt-out pair.
#[derive(Clone, Debug, PartialEq)]
pub enum OptoutTarget {
    /// An attribute of the profile.
    Attribute(Path),
    /// The subscription of the profile to a service.
    Subscription(Subscription),
}

impl OptoutTarget {
    /// Where it is.
    pub fn span(&self) -> Span {
        match self {
            OptoutTarget::Attribute(path) => path.span,
            OptoutTarget::Subscription(subscription) => subscription.span,
        }
    }

    /// Whether it is the subscription to a service.
    pub fn is_subscription(&self) -> bool {
        matches!(self, OptoutTarget::Subscription(_))
    }

    /// What values that say nothing of it mean, as advice proposes: without a choice of the person, emails may be sent, but nothing is
    /// subscribed.
    pub fn unsaid(&self) -> &'static str {
        if self.is_subscription() { "out" } else { "in" }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        match self {
            OptoutTarget::Attribute(path) => path.text(),
            OptoutTarget::Subscription(subscription) => {
                format!("subscription \"{}\"", subscription.service().replace('\\', "\\\\").replace('"', "\\\""))
            }
        }
    }
}

/// `subscription "SVC1"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// The whole.
    pub span: Span,
    /// The name of the service, a text.
    pub name: Literal,
}

impl Subscription {
    /// The name of the service.
    pub fn service(&self) -> &str {
        match &self.name.value {
            LiteralValue::Text(name) => name,
            _ => "",
        }
    }
}

/// `{ Given => in; else => out }` of an opt-out pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// The whole, with its braces.
    pub span: Span,
    /// The cases, whose results are the words `in` and `out`.
    pub arms: Vec<Arm>,
    /// A case that could not be read.
    pub unread: bool,
}
