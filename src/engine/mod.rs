//! What every flow shares and no flow owns: the error policy, and how refusals of unclear reach are decided.
//!
//! Knows the errors of `connect`, and neither plans nor records.

pub(crate) mod policy;
pub(crate) mod refusals;
