//! Opt-outs between contacts and profiles.

#[cfg(test)]
mod model;
mod rule;
