//! What several steps use.

pub mod call;
pub mod elapsed;
pub mod expression;
pub mod letters;
pub mod pattern;
pub mod ready;
pub mod text_step;
#[cfg(test)]
pub mod trial;
pub mod zone;
