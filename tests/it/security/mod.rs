//! What `docs/security.md` promises.

mod full_run;
pub mod scan;
mod wire;
