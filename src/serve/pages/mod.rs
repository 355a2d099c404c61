//! The pages: one file for each, rendered on the server. What is shown of a service, a mapping or a person is text, never markup.

pub mod audit;
mod chart;
pub mod dead_letters;
pub mod doctor;
pub mod drift;
pub mod editor;
pub mod explain;
mod frame;
pub mod home;
pub mod live;
pub mod mappings;
mod markdown;
pub mod optouts;
pub mod overview;
mod parts;
pub mod privacy;
pub mod runs;
pub mod settings;

pub use frame::page;
