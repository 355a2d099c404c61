//! How checking and formatting grow with a file: a thousand, ten thousand and a hundred thousand lines, in one run.
//!
//! A file of so many lines holds as many mappings as it needs; the catalogue has a table for each.

use std::time::Instant;

use d365map::check::{Input, compile};
use d365map::format::format;
use d365map::schema::{Catalogue, System, TableId};

/// Lines of one mapping, its comment, tests and blank lines included.
const LINES_EACH: usize = 20;

fn text(lines: usize) -> (String, Catalogue) {
    let mut catalogue = Catalogue::builtin().clone();
    let get = |name: &str| Catalogue::builtin().get(&TableId::parse(name).expect("a name")).expect("built in").as_ref().clone();
    let (contact, profile) = (get("d365.contact"), get("campaign.profile"));
    let mut text = String::new();
    for i in 0..lines / LINES_EACH {
        let (mut from, mut to) = (contact.clone(), profile.clone());
        from.id = TableId::new(System::D365, format!("contact{i}"));
        to.id = TableId::new(System::Campaign, format!("profile{i}"));
        catalogue.insert(from);
        catalogue.insert(to);
        text.push_str(&format!(
            "# Mapping {i}\nmapping m{i}: d365.contact{i} -> campaign.profile{i} {{\n  key contactid -> externalId\n\n  firstname     -> firstName | trim | truncate(30)\n  lastname      -> lastName  | trim\n  emailaddress1 -> email     | email or null\n  gendercode    -> gender\n\n  replace gendercode {{\n    Male   => male\n    Female => female\n    null   => unknown\n    else   => unknown\n  }}\n  filter all {{ statecode = Active; any {{ createdon >= 2020-01-01; donotbulkemail = false }} }}\n}}\n\ntest m{i} \"a name\" {{ given {{ lastname: \"A\", statecode: Active }}; expect {{ lastName: \"A\" }} }}\n\n"
        ));
    }
    (text, catalogue)
}

fn main() {
    println!("lines     check ms   per line µs   format ms   per line µs");
    for lines in [1_000, 10_000, 100_000] {
        let (text, catalogue) = text(lines);
        let input = || vec![Input { name: "a.d365map".to_owned(), bytes: text.clone().into_bytes() }];
        // The best of a few: what else the machine does only adds.
        let best = |mut once: Box<dyn FnMut()>| {
            (0..5)
                .map(|_| {
                    let start = Instant::now();
                    once();
                    start.elapsed().as_secs_f64() * 1e3
                })
                .fold(f64::INFINITY, f64::min)
        };
        let compiled = compile(input(), &catalogue);
        assert!(compiled.plan.is_some(), "{:?}", compiled.diagnostics.first());
        assert_eq!(text.lines().count(), lines);
        let check = best(Box::new(|| drop(compile(input(), &catalogue))));
        let form = best(Box::new(|| drop(format(&text).expect("a form"))));
        let per = |ms: f64| ms * 1e3 / lines as f64;
        println!("{lines:<9} {check:<10.1} {:<13.2} {form:<11.1} {:.2}", per(check), per(form));
    }
}
