//! What a person does with a project that is or was running: commands, pages and the API do it by these functions, so that they follow
//! the same rules and say the same.

mod dead_letters;
mod replay;
mod status;
mod workflows;

pub use dead_letters::{drop as drop_dead_letters, retry as retry_dead_letters};
pub use replay::{replayable, request_replay};
pub use status::{ProjectStatus, status};
pub use workflows::{approve_mass_change, known, meant, nothing_held};
