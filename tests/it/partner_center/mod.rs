//! Partner Center: its section of the project file, signing in, and notifications.

mod section;
mod sign_in;
mod webhook;
