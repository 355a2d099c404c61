//! What a person does with a project that is or was running: commands, pages and the API do it by these functions, so that they follow
//! the same rules and say the same.

mod dead_letters;
mod doctor;
mod drift;
mod optouts;
mod privacy;
mod replay;
mod status;
mod workflows;

pub use dead_letters::{drop as drop_dead_letters, is_own, retry as retry_dead_letters, without_values};
pub use doctor::{Examined, Examiner, examine};
pub use drift::{compare_schemas, tables_in_use};
pub use optouts::{cannot_be_left, compare_optouts, decide_optouts, need_optouts};
pub use privacy::{can_be_forgotten, is_confirmed, long_enough, not_forgotten, person_key, trace};
pub use replay::{replayable, request_replay};
pub use status::{ProjectStatus, StatusDocument, status};
pub use workflows::{approve_mass_change, chosen, known, meant, nothing_held, refuse_unknown_schedule};
