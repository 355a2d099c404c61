//! Several mappings that write one table: allowed exactly if no two records can have the same key.

use d365map::diagnostics::render::{Format, Style, render};
use proptest::prelude::*;

use super::support::{codes, compiled, plan};

fn two(first: &str, second: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.cusAccount {{\n  key {first} -> cusAccountId\n  fullname -> cusName\n}}\n\
         mapping accounts: d365.account -> campaign.cusAccount {{\n  key {second} -> cusAccountId\n  name -> cusName\n}}\n"
    )
}

/// What can be at a place of a key.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Fixed(char),
    Digit,
}

impl Place {
    fn meets(self, other: Place) -> bool {
        match (self, other) {
            (Place::Fixed(a), Place::Fixed(b)) => a.eq_ignore_ascii_case(&b),
            (Place::Fixed(c), Place::Digit) | (Place::Digit, Place::Fixed(c)) => c.is_ascii_hexdigit(),
            (Place::Digit, Place::Digit) => true,
        }
    }
}

/// A fixed text around a GUID, place by place.
fn places(before: &str, after: &str) -> Vec<Place> {
    let guid = (0..36).map(|at| if [8, 13, 18, 23].contains(&at) { Place::Fixed('-') } else { Place::Digit });
    // White space at the ends of a key makes no difference.
    let (before, after) = (before.trim_start(), after.trim_end());
    before.chars().map(Place::Fixed).chain(guid).chain(after.chars().map(Place::Fixed)).collect()
}

const TEXTS: &[&str] = &["", "a", "A", "ab", "b", "-", "lead-", "account-", "0", "00000000-", "x-a", " ", " a", "a "];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn two_mappings_write_one_table_only_if_no_two_records_can_have_the_same_key(texts in prop::collection::vec(prop::sample::select(TEXTS), 4)) {
        let key = |field: &str, before: &str, after: &str| format!("\"{before}{{{field}}}{after}\"");
        let text = two(&key("contactid", texts[0], texts[1]), &key("accountid", texts[2], texts[3]));
        let found = codes(&text);
        let (one, other) = (places(texts[0], texts[1]), places(texts[2], texts[3]));
        let meet = one.len() == other.len() && one.iter().zip(&other).all(|(a, b)| a.meets(*b));
        // Longer than the field of the target.
        prop_assume!(!found.contains(&"D503"));
        prop_assert!(found.iter().all(|code| *code == "D110"), "{}: {:?}", text, found);
        prop_assert!(!meet || !found.is_empty(), "both can write one record: {}", text);
        // Texts that begin in other ways need no more than that.
        let apart = |a: &str, b: &str| !a.to_lowercase().starts_with(&b.to_lowercase()) && !b.to_lowercase().starts_with(&a.to_lowercase());
        prop_assert!(!apart(texts[0].trim_start(), texts[2].trim_start()) || found.is_empty(), "{}", text);
    }
}

#[test]
fn a_key_is_a_fixed_text_around_one_field() {
    let record = serde_json::json!({ "contactid": "8F1D0000-0000-4000-8000-000000000001" });
    let plan = plan(
        "mapping contacts: d365.contact -> campaign.cusAccount {\n  key \"C/{contactid}/x\" -> cusAccountId\n  fullname -> cusName\n}\n",
    );
    assert!(!plan.ingress[0].keys_may_change(), "the primary key never changes");
    let now = d365map::time::now();
    let evaluator = d365map::eval::Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
    let record = record.to_string();
    let d365map::eval::Evaluated::Mapped(mapped) = evaluator.evaluate(&record, now) else { panic!("it is mapped") };
    assert_eq!(mapped.key, "C/8f1d0000-0000-4000-8000-000000000001/x");
}

#[test]
fn a_wrong_text_in_a_key_says_what_to_write() {
    let one = |key: &str, target: &str| format!("mapping contacts: d365.contact -> {target} {{\n  {key}\n  fullname -> cusName\n}}\n");
    for (text, code, help) in [
        (one("key \"x\" -> cusAccountId", "campaign.cusAccount"), "D502", "key \"lead-{leadid}\""),
        (one("key \"{contactid}{accountid}\" -> cusAccountId", "campaign.cusAccount"), "D502", "key \"lead-{leadid}\""),
        (
            "mapping contacts: d365.contact -> campaign.profile {\n  key \"c-{contactid}\" -> externalId\n  lastname -> lastName\n}\n".to_owned(),
            "D502",
            "write `key contactid -> externalId`",
        ),
        (
            "mapping deals: partner.referral <-> d365.opportunity {\n  key \"r-{id}\" <-> msft_microsoftpartnercenterreferralidentifier\n  details.notes <- description\n}\n"
                .to_owned(),
            "D502",
            "write `key id <-> msft_microsoftpartnercenterreferralidentifier`",
        ),
        (two("contactid", "accountid"), "D110", "`key \"accounts-{accountid}\" -> cusAccountId`"),
    ] {
        let compiled = compiled(&text);
        let said = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
        assert_eq!(compiled.diagnostics.iter().map(|d| d.code.name()).collect::<Vec<_>>(), [code], "{text}\n{said}");
        assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "").contains(help), "{said}");
    }
}
