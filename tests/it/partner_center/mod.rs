//! Partner Center: its section of the project file, signing in, notifications, and deals that are kept in step.

mod in_step;
mod section;
mod sign_in;
mod webhook;
