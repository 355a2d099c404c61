//! The JSON API under `/api/v1`, its OpenAPI description, and what monitors ask.
//!
//! [`operations::all`] is the one list: the routes are made of it, and so is the description in `docs/openapi.json`. A document is the one
//! that the command prints with `--format json`, wherever there is such a command. Errors are problem documents (RFC 9457).

mod dead_letters;
mod documents;
mod exchange;
mod monitor;
mod openapi;
mod operation;
mod operations;
mod opt_outs;
mod projects;
mod workflows;

pub use documents::{
    CountDocument, DeadLetterChoice, DeadLetterDocument, DeadLettersDocument, ProblemDocument, ProjectsDocument, ReplayChoice,
    WishDocument, WorkflowsDocument,
};
pub use exchange::Problem;
pub use monitor::{health, metrics, ready};
pub use operation::BASE;
pub use operations::{description as openapi, routes};
