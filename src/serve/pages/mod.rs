//! The pages: one file for each, rendered on the server. What is shown of a service, a mapping or a person is text, never markup.

pub mod dead_letters;
mod frame;
pub mod home;
pub mod overview;
mod parts;

pub use frame::{failure, outside, page};
