//! What every flow shares and no flow owns: the work loop, the error policy, how refusals of unclear reach are decided, the events of a
//! run, how large a batch is, and the clock.
//!
//! Knows the errors of `connect`, and neither plans nor records, nor the names of services.

pub(crate) mod batch_size;
pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod policy;
pub(crate) mod pump;
pub(crate) mod refusals;
pub(crate) mod signals;
