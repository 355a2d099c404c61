//! How checking and formatting grow with a file: a thousand, ten thousand and a hundred thousand lines, in one run.
//!
//! A quarter of the lines are arms of a replacement, an eighth conditions of a filter, an eighth values of a list, half of them test
//! blocks.

use std::time::Instant;

use d365map::check::{Input, compile};
use d365map::format::format;
use d365map::schema::Catalogue;

fn text(lines: usize) -> String {
    let mut text = String::from("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n\n  jobtitle -> salutation | truncate(20)\n\n  replace jobtitle {\n");
    let quarter = lines / 4;
    for i in 0..quarter {
        text.push_str(&format!("    \"title {i:06}\" => \"t{i}\"\n"));
    }
    text.push_str("  }\n\n  filter any {\n");
    for i in 0..quarter / 2 {
        text.push_str(&format!("    jobtitle = \"title {i}\"\n"));
    }
    text.push_str("    jobtitle in (\n");
    for i in 0..quarter / 2 {
        text.push_str(&format!("{}      \"value {i}\"", if i == 0 { "" } else { ",\n" }));
    }
    text.push_str("\n    )\n  }\n}\n");
    for i in 0..quarter * 2 / 5 {
        text.push_str(&format!("\ntest contacts \"title {i}\" {{\n  given {{ jobtitle: \"title {i}\" }}\n  expect {{ salutation: \"title {i}\" }}\n}}\n"));
    }
    text
}

fn main() {
    println!("lines     check ms   per line µs   format ms   per line µs");
    for lines in [1_000, 10_000, 100_000] {
        let text = text(lines);
        let input = || vec![Input { name: "a.d365map".to_owned(), bytes: text.clone().into_bytes() }];
        // The best of a few: what else the machine does only adds.
        let best = |mut once: Box<dyn FnMut() + '_>| {
            (0..5)
                .map(|_| {
                    let start = Instant::now();
                    once();
                    start.elapsed().as_secs_f64() * 1e3
                })
                .fold(f64::INFINITY, f64::min)
        };
        let compiled = compile(input(), Catalogue::builtin());
        assert!(compiled.plan.is_some() && compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics.first());
        let check = best(Box::new(|| drop(compile(input(), Catalogue::builtin()))));
        let form = best(Box::new(|| drop(format(&text).expect("a form"))));
        let count = text.lines().count();
        let per = |ms: f64| ms * 1e3 / count as f64;
        println!("{count:<9} {check:<10.1} {:<13.2} {form:<11.1} {:.2}", per(check), per(form));
    }
}
