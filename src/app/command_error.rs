//! The error of a command: what a front end shows, and the exit status that follows from it.

use std::error::Error;
use std::fmt;

use serde_json::{Value, json};

use super::error::{AppError, MetadataError, PullError};
use super::files::FilesError;
use super::services::ServiceError;
use crate::connect::ConnectError;
use crate::diagnostics::render::Style;
use crate::run::RunError;
use crate::store::StoreError;

/// Whose turn it is after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The call, the project file or another file is wrong: the user corrects it.
    Usage,
    /// Records or mapping files need attention: the work was begun, and its findings stop it.
    Findings,
    /// A service refuses, fails or cannot be reached.
    Service,
    /// The state file cannot be used.
    State,
    /// This program or the machine under it failed in a way that no user can cause.
    Bug,
}

impl ErrorKind {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Usage => "usage",
            ErrorKind::Findings => "findings",
            ErrorKind::Service => "service",
            ErrorKind::State => "state",
            ErrorKind::Bug => "bug",
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub struct CommandError {
    kind: ErrorKind,
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl CommandError {
    /// An error of a kind, from the error below it or from a message.
    pub fn new(kind: ErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> CommandError {
        CommandError { kind, source: source.into(), hints: Vec::new() }
    }

    /// The call or a file is wrong.
    pub fn usage(source: impl Into<Box<dyn Error + Send + Sync>>) -> CommandError {
        CommandError::new(ErrorKind::Usage, source)
    }

    /// Something needs attention before the command can do its work.
    pub fn findings(source: impl Into<Box<dyn Error + Send + Sync>>) -> CommandError {
        CommandError::new(ErrorKind::Findings, source)
    }

    /// A file that a command reads or writes cannot be used.
    pub fn file(path: impl fmt::Display, error: impl fmt::Display) -> CommandError {
        CommandError::usage(format!("{path}: {error}"))
    }

    /// Adds what the user can do; shown on a separate line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CommandError {
        self.hints.push(hint.into());
        self
    }

    /// Puts words before the message, such as what was being done.
    #[must_use]
    pub fn context(self, before: &str) -> CommandError {
        CommandError { source: format!("{before}: {}", self.source).into(), ..self }
    }

    /// Whose turn it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the user can do.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The message and its hints for a terminal of this style.
    pub fn human(&self, style: Style) -> String {
        let files = match self.source.downcast_ref::<AppError>() {
            Some(AppError::Files(error)) => Some(error),
            _ => self.source.downcast_ref::<FilesError>(),
        };
        let text = files.map_or_else(|| self.source.to_string(), |error| error.text(style));
        // The excerpts of a faulty file begin with the same word as every error.
        let mut text = text.trim_end().trim_start_matches("error: ").to_owned();
        for hint in &self.hints {
            text.push('\n');
            text.push_str(hint);
        }
        text
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({"kind": self.kind.name(), "message": self.source.to_string(), "hints": self.hints})
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.human(Style::PLAIN))
    }
}

impl From<FilesError> for CommandError {
    fn from(error: FilesError) -> CommandError {
        CommandError::usage(error)
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> CommandError {
        CommandError::new(ErrorKind::State, error)
    }
}

impl From<ConnectError> for CommandError {
    fn from(error: ConnectError) -> CommandError {
        CommandError::new(ErrorKind::Service, error)
    }
}

impl From<ServiceError> for CommandError {
    fn from(error: ServiceError) -> CommandError {
        AppError::from(error).into()
    }
}

impl From<AppError> for CommandError {
    fn from(error: AppError) -> CommandError {
        let kind = match &error {
            AppError::Files(_) | AppError::Plan(_) | AppError::Revision(_) | AppError::Limit(_) => ErrorKind::Usage,
            AppError::State(_) => ErrorKind::State,
            // What is wrong is in the project file or in a secret that it names.
            AppError::Services(_) => ErrorKind::Usage,
            AppError::Pull(PullError::Source { source, .. }) if matches!(**source, MetadataError::Setup(_)) => ErrorKind::Usage,
            AppError::Pull(PullError::Source { .. } | PullError::Documents(_)) | AppError::Connect(_) | AppError::Drift { .. } => {
                ErrorKind::Service
            }
            AppError::Pull(_) => ErrorKind::Usage,
            AppError::Runtime(_) => ErrorKind::Bug,
        };
        let hints = error.hints();
        CommandError { kind, source: Box::new(error), hints }
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> CommandError {
        let kind = match &error {
            RunError::State(_) => ErrorKind::State,
            RunError::Rejected { .. } => ErrorKind::Findings,
            RunError::UnknownMapping { .. } | RunError::Plan(_) => ErrorKind::Usage,
            RunError::Task(_) => ErrorKind::Bug,
            _ => ErrorKind::Service,
        };
        CommandError::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_for_programs() {
        let kinds = [ErrorKind::Usage, ErrorKind::Findings, ErrorKind::Service, ErrorKind::State, ErrorKind::Bug];
        assert_eq!(kinds.map(ErrorKind::name), ["usage", "findings", "service", "state", "bug"]);
    }

    #[test]
    fn hints_are_separate_lines_and_a_list_in_json() {
        let error = CommandError::usage("the number of records is not known").hint("use `--records contacts=N`").context("plan");
        assert_eq!(error.to_string(), "plan: the number of records is not known\nuse `--records contacts=N`");
        let expected =
            json!({"kind": "usage", "message": "plan: the number of records is not known", "hints": ["use `--records contacts=N`"]});
        assert_eq!(error.json(), expected);
    }

    #[test]
    fn each_error_of_the_application_has_a_kind() {
        let of = |error: AppError| CommandError::from(error).kind();
        assert_eq!(of(FilesError::NoProject.into()), ErrorKind::Usage);
        assert_eq!(of(ServiceError::NoCampaign.into()), ErrorKind::Usage);
        assert_eq!(of(StoreError::NotFound { place: "state.db".into() }.into()), ErrorKind::State);
        assert_eq!(of(ConnectError::Config { problem: "p".to_owned(), remedy: "r".to_owned() }.into()), ErrorKind::Service);
        assert_eq!(of(AppError::Runtime(std::io::Error::other("no threads"))), ErrorKind::Bug);
        let forbidden = || ConnectError::Forbidden { call: Box::default() };
        assert!(AppError::from(forbidden()).is_forbidden());
        let source = Box::new(MetadataError::Connect(forbidden()));
        let table = crate::schema::TableId::new(crate::schema::SystemId::D365, "contact");
        assert!(AppError::from(PullError::Source { table, source }).is_forbidden());
        assert!(
            !AppError::from(ConnectError::Config { problem: "the client lacks a right".to_owned(), remedy: "r".to_owned() }).is_forbidden()
        );
    }
}
