//! Diagnostics as text: for people (miette), as JSON, as GitHub annotations, as SARIF, as JUnit's XML.

mod excerpt;
mod github;
mod human;
mod json;
pub mod junit;
pub mod sarif;

use std::collections::BTreeMap;

use super::{Diagnostic, Severity, Sources};
use crate::printable;

/// The ways to print diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: the line, what is wrong in it, what to write instead.
    #[default]
    Human,
    /// One JSON object with a version and a list.
    Json,
    /// Workflow commands that GitHub shows beside the changed lines.
    Github,
    /// SARIF 2.1.0, for code-scanning services.
    Sarif,
    /// JUnit's XML, for the test reports of CI services.
    Junit,
}

/// How output for people may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours may be used.
    pub color: bool,
    /// The width of the terminal, in columns.
    pub width: usize,
}

impl Style {
    /// Without colours, 100 columns wide: for files, pipes and tests.
    pub const PLAIN: Style = Style { color: false, width: 100 };
}

/// How many findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(Option<usize>);

impl Limit {
    /// What a person can work through: 100 of each file.
    pub const PEOPLE: Limit = Limit(Some(100));
    /// All of them.
    pub const NONE: Limit = Limit(None);

    /// At most `count`; 0 means no limit.
    pub fn at_most(count: usize) -> Limit {
        Limit(Some(count).filter(|n| *n > 0))
    }

    /// Which findings are printed, in their order, if each group has this limit. Errors go before warnings: they are what
    /// stops a plan.
    fn choose<K: Ord>(self, diagnostics: &[Diagnostic], group: impl Fn(&Diagnostic) -> K) -> Vec<bool> {
        let Limit(Some(limit)) = self else { return vec![true; diagnostics.len()] };
        let mut shown = vec![false; diagnostics.len()];
        let mut counts: BTreeMap<K, usize> = BTreeMap::new();
        for severity in [Severity::Error, Severity::Warning] {
            for (diagnostic, shown) in diagnostics.iter().zip(&mut shown).filter(|(d, _)| d.severity() == severity) {
                let count = counts.entry(group(diagnostic)).or_default();
                *shown = *count < limit;
                *count += 1;
            }
        }
        shown
    }
}

/// The text of all findings in one format. The human format is empty if there are none, and shows at most
/// [`Limit::PEOPLE`].
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, format: Format, style: Style) -> String {
    let limit = if format == Format::Human { Limit::PEOPLE } else { Limit::NONE };
    render_at_most(diagnostics, sources, format, style, limit)
}

/// As [`render`], with another limit for each file.
pub fn render_at_most(diagnostics: &[Diagnostic], sources: &Sources, format: Format, style: Style, limit: Limit) -> String {
    if format == Format::Human {
        return human::render(diagnostics, sources, style, limit);
    }
    let shown = limit.choose(diagnostics, |d| d.span.file);
    let all = shown.iter().all(|s| *s);
    let chosen: Vec<Diagnostic>;
    let diagnostics = if all {
        diagnostics
    } else {
        chosen = diagnostics.iter().zip(shown).filter(|(_, shown)| *shown).map(|(d, _)| d.clone()).collect();
        &chosen
    };
    match format {
        Format::Human => String::new(),
        Format::Json => printable::json(&json::render(diagnostics, sources)).into_owned(),
        Format::Github => github::render(diagnostics, sources),
        Format::Sarif => printable::json(&sarif::render(diagnostics, sources)).into_owned(),
        Format::Junit => junit::render(diagnostics, sources),
    }
}
