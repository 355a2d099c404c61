//! The pages of `d365map serve` in a browser: see README.md beside this file. `tests/browser/run.sh` installs what is needed, and says where
//! it is.

mod driver;
#[allow(dead_code, reason = "the tests of flows use the rest")]
mod flow;
mod pages;
mod project;
mod story;
#[allow(dead_code, reason = "the tests of the API use the rest")]
#[path = "../it/serve/support.rs"]
mod support;

/// What run.sh says.
fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/browser/run.sh"))
}
