//! The direction of an arrow.

/// The way of a mapping, a key or an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `->`
    Forward,
    /// `<-`
    Backward,
    /// `<->`
    Both,
}

impl Way {
    /// The sign.
    pub fn sign(self) -> &'static str {
        match self {
            Way::Forward => "->",
            Way::Backward => "<-",
            Way::Both => "<->",
        }
    }
}
