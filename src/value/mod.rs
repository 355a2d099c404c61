//! What values are: during evaluation, as constants, as types, and as what a target field admits.
//!
//! Steps, plan, checker and evaluator share it; it knows none of them.

mod constant;
mod fit;
mod options;
mod runtime;
mod ty;

pub use constant::{Const, constant};
pub use fit::{Fit, exact_in_double};
pub use options::{Choice, ChoiceSet};
pub use runtime::Value;
pub use ty::{Ty, Typed, choice_range, length, list};
