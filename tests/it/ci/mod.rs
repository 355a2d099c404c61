//! What CI reads and runs: reports, completions, manual pages, the hooks and the commands of `docs/ci.md`.

mod junit;
mod project;
mod samples;
mod sarif;
mod shell;
