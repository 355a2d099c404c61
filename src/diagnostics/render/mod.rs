//! Diagnostics as text: for people (miette), as JSON, as GitHub annotations, as SARIF, as JUnit's XML.

mod github;
mod human;
mod json;
pub mod junit;
mod sarif;

use super::{Diagnostic, Sources};

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

/// The text of all findings in one format. The human format is empty where there are none.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, format: Format, style: Style) -> String {
    match format {
        Format::Human => human::render(diagnostics, sources, style),
        Format::Json => json::render(diagnostics, sources),
        Format::Github => github::render(diagnostics, sources),
        Format::Sarif => sarif::render(diagnostics, sources),
        Format::Junit => junit::render(diagnostics, sources),
    }
}
