//! What the tool says about a file: codes, spans, help, and the ways to print them.
//!
//! A [`Diagnostic`] is plain data; [`codes`] is the one registry of codes, each with a page that `explain` prints;
//! [`render`] turns diagnostics into text for people and machines.

pub mod codes;
mod file_problem;
mod levels;
pub mod render;
mod source;
mod suggest;

pub use codes::{Code, Severity};
pub use file_problem::FileProblem;
pub use levels::{Level, Levels};
pub use source::{FileId, Position, SourceFile, Sources, Span};
pub use suggest::{Near, near, nearest};

/// One finding, with its place, its cause and its remedy.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is there, shown next to the underlined text.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that matter, such as the first of two definitions.
    pub related: Vec<(Span, String)>,
    /// Error or warning: the code's own, unless the project sets another.
    pub severity: Severity,
    /// A change of the text that makes the finding go away.
    pub fix: Option<Fix>,
}

/// A change of the text that makes a finding go away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as an editor shows it: "write `firstname`".
    pub title: String,
    /// Whether the fix can be applied without a person looking at it.
    pub safety: Safety,
    /// The edits, in no order; none overlaps another.
    pub edits: Vec<Edit>,
}

/// Whether a fix can change what a mapping means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// It cannot: it changes the spelling of syntax or the letter case of a name, or removes what has no effect.
    /// `check --fix` applies it.
    Safe,
    /// It is the most likely intention, but a guess: another field, another direction, a value instead of an error. Only
    /// `check --unsafe-fixes` applies it.
    Unsafe,
}

/// A range of a file and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What goes.
    pub span: Span,
    /// What comes.
    pub text: String,
}

impl Diagnostic {
    /// A finding with the sentence, the place and its label.
    pub fn new(code: Code, span: Span, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: message.into(),
            span,
            label: label.into(),
            help: None,
            related: Vec::new(),
            severity: code.severity(),
            fix: None,
        }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds what to write instead, where there is something to say.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Diagnostic {
        self.help = help.or(self.help);
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.related.push((span, label.into()));
        self
    }

    /// Adds the one edit that fixes it.
    #[must_use]
    pub fn fix(self, safety: Safety, title: impl Into<String>, span: Span, text: impl Into<String>) -> Diagnostic {
        self.fixes(safety, title, vec![Edit { span, text: text.into() }])
    }

    /// Adds the edits that fix it.
    #[must_use]
    pub fn fixes(mut self, safety: Safety, title: impl Into<String>, edits: Vec<Edit>) -> Diagnostic {
        self.fix = Some(Fix { title: title.into(), safety, edits });
        self
    }

    /// Adds the name that was probably meant: as help, and as an edit that writes it. The edit is safe if just the letter
    /// case is different.
    #[must_use]
    pub fn meant(self, near: Option<Near>, span: Span, otherwise: impl FnOnce() -> String) -> Diagnostic {
        match near {
            Some(Near { text, safety }) => self.help(format!("did you mean `{text}`?")).fix(safety, format!("write `{text}`"), span, text),
            None => self.help(otherwise()),
        }
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }
}

/// The findings of a run, in the order of files and places.
#[derive(Debug, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Whether a plan may be made: no finding is an error.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity() == Severity::Error)
    }

    /// The findings, to be changed or left out.
    pub fn items_mut(&mut self) -> &mut Vec<Diagnostic> {
        &mut self.items
    }

    /// How many findings there are of each severity: (errors, warnings).
    #[cfg(any(test, feature = "internals"))]
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.items.iter().filter(|d| d.severity() == Severity::Error).count();
        (errors, self.items.len() - errors)
    }

    /// The findings, sorted by file, place and code, without repetition.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.items.sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
        self.items.dedup();
        self.items
    }

    /// The findings as they came.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter()
    }

    /// How many findings there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
