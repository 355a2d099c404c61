//! A form is its own form, and what has none is left alone.
#![no_main]

use d365map::format::format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(once) = format(text) {
        assert_eq!(format(&once).as_deref(), Some(once.as_str()));
    }
});
