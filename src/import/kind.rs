//! What a table can list.

/// What a table lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Source, target, steps.
    Fields,
    /// Field, value, value.
    Replacements,
    /// Field, comparison, value.
    Filters,
    /// Option, value.
    Options,
}
