//! Partner Center: its section of the project file, signing in, notifications, and deals that are kept in step.

mod answers;
mod audit;
mod closed;
mod deal;
mod doctor;
mod dry_run;
mod example;
mod in_step;
mod linked;
mod marks;
mod requirements;
mod section;
mod siblings;
mod sign_in;
mod status;
mod webhook;
