//! Any bytes parse, and every finding points into the text at whole characters.
#![no_main]

use d365map::diagnostics::{Diagnostics, FileId};
use d365map::syntax;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (text, fault) = syntax::decode(bytes.to_vec());
    if fault.is_some() {
        return;
    }
    let mut diagnostics = Diagnostics::default();
    syntax::parse(FileId(0), &text, &mut diagnostics);
    for d in diagnostics.iter() {
        let range = d.span.range();
        assert!(range.start <= range.end && range.end <= text.len().max(1));
        assert!(text.is_char_boundary(range.start.min(text.len())) && text.is_char_boundary(range.end.min(text.len())));
    }
    // Tokens cover the text in order.
    let mut end = 0;
    for token in syntax::tokens(&text) {
        assert!(token.range.start >= end && token.range.end <= text.len());
        end = token.range.end;
    }
});
