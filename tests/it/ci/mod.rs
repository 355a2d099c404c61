//! What CI, shells and editors are given: reports, completions, manual pages, hooks, documents whose commands exist, files for editors.

mod editors;
mod junit;
mod project;
mod samples;
mod sarif;
mod shell;
