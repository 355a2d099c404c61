//! Input that no mapping file should be: a clear error each, no panic, no hang.

use d365map::check::{Input, compile};

use super::support::{catalogue, codes, compiled, rendered, whole};

fn codes_of(bytes: Vec<u8>) -> Vec<&'static str> {
    let compiled = compile(vec![Input { name: "bad.d365map".to_owned(), bytes }], catalogue());
    assert!(compiled.plan.is_none());
    compiled.diagnostics.iter().map(|d| d.code.name()).collect()
}

#[test]
fn a_file_of_a_byte_order_mark_alone_is_an_empty_file() {
    let text = "\u{FEFF}";
    let found = compiled(text);
    let range = found.diagnostics[0].span.range();
    assert_eq!(found.diagnostics[0].code.name(), "D003");
    assert!(text.get(range).is_some(), "the place is a whole character");
}

#[test]
fn braces_in_odd_names_do_not_multiply_the_work() {
    // Fifty-five bytes that once took minutes: the number of ways to read them doubled with each brace.
    let text = "m`p\0{{{{{-ys{{{{{{`p`p\0{{{{{-ys{{{{{{`p\0{{{{{-\0{{{{{-}";
    assert!(compiled(text).plan.is_none());
    let many = format!("mapping a: d365.contact -> campaign.profile {{\n{}\n}}", "`{` ".repeat(20_000));
    assert!(compiled(&many).plan.is_none());
}

#[test]
fn an_empty_file_is_an_error() {
    assert_eq!(codes_of(Vec::new()), ["D003"]);
    assert_eq!(codes_of(b" \n# nothing\n".to_vec()), ["D003"]);
}

#[test]
fn a_file_of_ten_megabytes_is_rejected_without_being_parsed() {
    let line = b"  firstname -> firstName\n";
    assert_eq!(codes_of(line.repeat(10 * 1024 * 1024 / line.len() + 1)), ["D002"]);
}

#[test]
fn blocks_nested_ten_thousand_deep_are_one_error() {
    let text = format!("mapping a: d365.contact -> campaign.profile {{\nfilter all {}{} }}", "any {".repeat(10_000), "}".repeat(10_000));
    assert_eq!(codes_of(text.into_bytes()), ["D004"]);
}

#[test]
fn ten_thousand_repeated_symbols_end_with_an_error() {
    for sign in ["(", "[", "not ", "\"", "`", "| trim ", "->", "{", "}", "@initial ", "\\", "or ", "#", "'"] {
        let text = whole(&format!("firstname -> firstName {}", sign.repeat(10_000)));
        let _ = codes(&text);
        let text = whole(&format!("filter all {{ {} }}", sign.repeat(10_000)));
        let _ = codes(&text);
    }
}

#[test]
fn a_file_that_is_not_utf8_is_named_with_its_place() {
    let bytes = b"mapping a: d365.contact -> campaign.profile {\n  # M\xFCller\n}\n".to_vec();
    let compiled = compile(vec![Input { name: "bad.d365map".to_owned(), bytes }], catalogue());
    assert_eq!(compiled.diagnostics.len(), 1);
    let diagnostic = &compiled.diagnostics[0];
    assert_eq!(diagnostic.code.name(), "D001");
    assert!(diagnostic.label.contains("0xFC"));
    assert_eq!(compiled.sources.locate(diagnostic.span).1.line, 2);
}

#[test]
fn a_field_that_does_not_exist_and_a_target_written_twice_are_found_in_one_run() {
    let text = whole("firstnmae -> firstName\nlastname -> lastName\nmiddlename -> lastName");
    assert_eq!(codes(&text), ["D103", "D111"]);
}

#[test]
fn a_byte_order_mark_and_either_kind_of_line_end_are_accepted() {
    let text = format!("\u{FEFF}{}", whole("lastname -> lastName").replace('\n', "\r\n"));
    assert!(compiled(&text).diagnostics.is_empty(), "{}", rendered(&text));
}

#[test]
fn errors_in_one_file_do_not_hide_those_in_another() {
    let input = |name: &str, text: String| Input { name: name.to_owned(), bytes: text.into_bytes() };
    let files = vec![input("a.d365map", "mapping {".to_owned()), input("b.d365map", whole("firstnmae -> firstName"))];
    let compiled = compile(files, catalogue());
    let found: Vec<_> = compiled.diagnostics.iter().map(|d| (compiled.sources.locate(d.span).0.to_owned(), d.code.name())).collect();
    assert!(found.contains(&("b.d365map".to_owned(), "D103")), "{found:?}");
    assert!(found.iter().any(|f| f.0 == "a.d365map"), "{found:?}");
}

#[test]
fn an_unclosed_block_hides_neither_what_is_before_nor_what_is_after_it() {
    let text = "mapping a: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  firstnmae -> firstName\n  filter all {\n    lastname is present\n\nmapping b: d365.lead -> campaign.profile {\n  key contactid -> externalId\n  lastnmae -> lastName\n}\n";
    let found = codes(text);
    assert!(found.contains(&"D005"), "{found:?}");
    assert_eq!(compiled(text).diagnostics.iter().filter(|d| d.code.name() == "D103").count(), 2, "{}", rendered(text));
}
