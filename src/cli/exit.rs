//! The exit statuses: an interface of the tool, so they are listed here and nowhere else.

use std::process::ExitCode;

use crate::app::ErrorKind;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, nothing to report.
    Clean,
    /// Done, and something needs attention: diagnostics, rejected records, dead letters.
    Findings,
    /// Not done: the call was wrong, or a file, a service or the state could not be used.
    Failure,
}

impl Exit {
    /// The number that the shell sees.
    pub fn status(self) -> u8 {
        match self {
            Exit::Clean => 0,
            Exit::Findings => 1,
            Exit::Failure => 2,
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::Findings => Exit::Findings,
            ErrorKind::Usage | ErrorKind::Service | ErrorKind::State | ErrorKind::Bug => Exit::Failure,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_follows_from_the_kind_of_an_error() {
        let kinds = [ErrorKind::Usage, ErrorKind::Findings, ErrorKind::Service, ErrorKind::State, ErrorKind::Bug];
        assert_eq!(kinds.map(|kind| Exit::from(kind).status()), [2, 1, 2, 2, 2]);
    }
}
