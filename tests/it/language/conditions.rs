//! Conditions: `and`, `or`, `not` and parentheses beside groups, and fields compared with fields, held against an evaluator of the tests
//! that shares no code with the product.

use d365map::eval::{Evaluated, Evaluator};
use d365map::format::format;
use proptest::prelude::*;
use serde_json::json;

use super::support::{codes, compiled, map, whole};

/// A record, as the tests' own evaluator sees it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub children: Option<i64>,
    pub limit: Option<i64>,
    pub first: Option<String>,
    pub last: Option<String>,
    pub gender: Option<i64>,
    pub created: Option<i64>,
    pub changed: Option<i64>,
    pub bulk: Option<bool>,
}

impl Record {
    /// The record as Dynamics sends it.
    pub fn json(&self) -> String {
        let at = |second: Option<i64>| second.map(|s| format!("2024-05-0{}T00:00:00Z", s + 1));
        json!({
            "contactid": "8f1d0000-0000-4000-8000-000000000001", "numberofchildren": self.children, "creditlimit": self.limit,
            "firstname": self.first, "lastname": self.last, "gendercode": self.gender, "createdon": at(self.created),
            "modifiedon": at(self.changed), "donotbulkemail": self.bulk,
        })
        .to_string()
    }
}

pub fn record() -> impl Strategy<Value = Record> {
    let number = || prop::option::weighted(0.8, 0_i64..4);
    let text = || prop::option::weighted(0.8, prop::sample::select(vec!["a", "A", "ab", "b", " "]).prop_map(str::to_owned));
    (number(), number(), text(), text(), prop::option::weighted(0.8, 1_i64..=2), number(), number(), any::<Option<bool>>()).prop_map(
        |(children, limit, first, last, gender, created, changed, bulk)| Record {
            children,
            limit,
            first,
            last,
            gender,
            created,
            changed,
            bulk,
        },
    )
}

/// A condition of the tests.
#[derive(Clone, Debug)]
pub enum Wanted {
    Leaf(&'static str),
    Not(Box<Wanted>),
    /// The words of the two forms are in turn: `true` for a group in braces.
    All(Vec<Wanted>, bool),
    Any(Vec<Wanted>, bool),
}

/// The comparisons that the tests know.
const LEAVES: &[&str] = &[
    "numberofchildren = 2",
    "numberofchildren != 2",
    "numberofchildren < creditlimit",
    "numberofchildren >= creditlimit",
    "creditlimit between 1 and 2",
    "creditlimit between numberofchildren and 2",
    "firstname = lastname",
    "firstname != lastname",
    "firstname is present",
    "lastname is empty",
    "lastname starts with \"a\"",
    "gendercode = Male",
    "gendercode in (Female)",
    "createdon = modifiedon",
    "createdon < modifiedon",
    "donotbulkemail = true",
];

/// Whether a comparison holds, worked out from its text.
fn leaf(text: &str, r: &Record) -> bool {
    let present = |t: &Option<String>| t.as_ref().filter(|t| !t.trim().is_empty()).map(|t| t.to_lowercase());
    let (first, last) = (present(&r.first), present(&r.last));
    let both = |a: Option<i64>, b: Option<i64>, holds: fn(i64, i64) -> bool| a.zip(b).is_some_and(|(a, b)| holds(a, b));
    match text {
        "numberofchildren = 2" => r.children == Some(2),
        "numberofchildren != 2" => r.children.is_some_and(|n| n != 2),
        "numberofchildren < creditlimit" => both(r.children, r.limit, |a, b| a < b),
        "numberofchildren >= creditlimit" => both(r.children, r.limit, |a, b| a >= b),
        "creditlimit between 1 and 2" => r.limit.is_some_and(|n| (1..=2).contains(&n)),
        "creditlimit between numberofchildren and 2" => both(r.children, r.limit, |a, b| a <= b && b <= 2),
        "firstname = lastname" => first.is_some() && first == last,
        "firstname != lastname" => first.is_some() && last.is_some() && first != last,
        "firstname is present" => first.is_some(),
        "lastname is empty" => last.is_none(),
        "lastname starts with \"a\"" => last.is_some_and(|t| t.starts_with('a')),
        "gendercode = Male" => r.gender == Some(1),
        "gendercode in (Female)" => r.gender == Some(2),
        "createdon = modifiedon" => both(r.created, r.changed, |a, b| a == b),
        "createdon < modifiedon" => both(r.created, r.changed, |a, b| a < b),
        "donotbulkemail = true" => r.bulk == Some(true),
        other => panic!("the tests do not know `{other}`"),
    }
}

impl Wanted {
    pub fn holds(&self, r: &Record) -> bool {
        match self {
            Wanted::Leaf(text) => leaf(text, r),
            Wanted::Not(inner) => !inner.holds(r),
            Wanted::All(all, _) => all.iter().all(|c| c.holds(r)),
            Wanted::Any(any, _) => any.iter().any(|c| c.holds(r)),
        }
    }

    /// How tightly the text holds together: 0 for `or`, 1 for `and`, 2 for what needs no parentheses anywhere.
    fn strength(&self) -> u8 {
        match self {
            Wanted::Any(_, false) => 0,
            Wanted::All(_, false) => 1,
            Wanted::Leaf(_) | Wanted::Not(_) | Wanted::All(..) | Wanted::Any(..) => 2,
        }
    }

    fn within(&self, strength: u8) -> String {
        if self.strength() < strength { format!("({})", self.text()) } else { self.text() }
    }

    pub fn text(&self) -> String {
        let list = |list: &[Wanted], strength, between: &str| list.iter().map(|c| c.within(strength)).collect::<Vec<_>>().join(between);
        match self {
            Wanted::Leaf(text) => (*text).to_owned(),
            Wanted::Not(inner) => format!("not {}", inner.within(2)),
            Wanted::All(all, false) => list(all, 2, " and "),
            Wanted::Any(any, false) => list(any, 1, " or "),
            Wanted::All(all, true) => format!("all {{ {} }}", list(all, 0, "; ")),
            Wanted::Any(any, true) => format!("any {{ {} }}", list(any, 0, "; ")),
        }
    }
}

pub fn condition() -> impl Strategy<Value = Wanted> {
    prop::sample::select(LEAVES).prop_map(Wanted::Leaf).prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|c| Wanted::Not(Box::new(c))),
            2 => (prop::collection::vec(inner.clone(), 2..4), any::<bool>()).prop_map(|(list, braces)| Wanted::All(list, braces)),
            2 => (prop::collection::vec(inner, 2..4), any::<bool>()).prop_map(|(list, braces)| Wanted::Any(list, braces)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_condition_holds_as_the_evaluator_of_the_tests_says_however_it_is_written(
        condition in condition(), records in prop::collection::vec(record(), 8),
    ) {
        let text = whole(&format!("lastname -> lastName\nfilter all {{ {} }}", condition.text()));
        let compiled = compiled(&text);
        let plan = compiled.plan.unwrap_or_else(|| panic!("{text}\n{:?}", compiled.diagnostics));
        let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
        let now = d365map::time::parse_instant("2026-11-21T12:00:00Z").expect("an instant");
        for record in records {
            let passes = !matches!(evaluator.evaluate(&record.json(), now), Evaluated::Filtered { .. });
            prop_assert_eq!(passes, condition.holds(&record), "{}\n{}", text, record.json());
        }
        // The formatter keeps the author's words, and its result is in form.
        let formatted = format(&text).expect("a text that compiles has a form");
        let twice = format(&formatted);
        prop_assert_eq!(twice.as_deref(), Some(formatted.as_str()));
        let again = super::support::compiled(&formatted).plan.expect("a form that compiles");
        prop_assert_eq!(again.ingress[0].fingerprint(), plan.ingress[0].fingerprint());
    }
}

fn passes(condition: &str, record: serde_json::Value) -> bool {
    map(&format!("lastname -> lastName\nfilter all {{ {condition} }}"), record) != "filtered"
}

#[test]
fn not_binds_tighter_than_and_and_and_tighter_than_or() {
    let record = || json!({ "lastname": "x", "firstname": "y" });
    assert!(passes("lastname = \"x\" or lastname = \"z\" and firstname = \"z\"", record()));
    assert!(!passes("(lastname = \"x\" or lastname = \"z\") and firstname = \"z\"", record()));
    assert!(!passes("not lastname = \"x\" and firstname = \"y\"", record()));
    assert!(passes("not (lastname = \"x\" and firstname = \"z\")", record()));
}

#[test]
fn the_and_of_between_belongs_to_between() {
    let record = |n| json!({ "lastname": "x", "numberofchildren": n });
    assert!(passes("numberofchildren between 1 and 3 and lastname = \"x\"", record(2)));
    assert!(!passes("numberofchildren between 1 and 3 and lastname = \"x\"", record(4)));
}

#[test]
fn a_condition_in_parentheses_can_continue_over_several_lines() {
    let text = "lastname -> lastName\nfilter all {\n  (\n    lastname = \"x\"\n    or firstname = \"y\"\n  )\n}";
    assert_eq!(codes(&whole(text)), [""; 0]);
    let formatted = format(&whole(text)).expect("a form");
    assert_eq!(formatted, whole(text));
}

#[test]
fn a_comparison_with_a_missing_field_is_false_and_so_is_inequality() {
    let record = |first: Option<&str>| json!({ "lastname": "x", "firstname": first });
    assert!(!passes("firstname = lastname", record(None)));
    assert!(!passes("firstname != lastname", record(None)));
    assert!(passes("not firstname = lastname", record(None)));
    assert!(passes("firstname = lastname", record(Some("X"))));
}

#[test]
fn a_day_is_compared_with_an_instant_by_its_midnight_in_utc() {
    let record = |born: &str| json!({ "lastname": "x", "birthdate": born, "createdon": "2024-05-01T10:00:00Z" });
    assert!(passes("birthdate < createdon", record("2024-05-01")));
    assert!(!passes("birthdate < createdon", record("2024-05-02")));
    assert!(passes("createdon > birthdate", record("2024-05-01")));
}

#[test]
fn fields_of_types_without_a_common_order_are_not_compared() {
    for condition in [
        "lastname = numberofchildren",
        "birthdate = lastname",
        "gendercode = new_channel",
        "new_meeting < createdon",
        "lastname < firstname",
    ] {
        assert_eq!(codes(&whole(&format!("filter all {{ {condition} }}"))), ["D402"], "{condition}");
    }
    assert_eq!(codes(&whole("filter all { lastname = lastname }")), ["D407"]);
}

#[test]
fn a_bare_word_is_an_option_before_it_is_a_field_and_both_is_an_error() {
    assert_eq!(codes(&whole("filter all { new_channel = Letter }")), [""; 0]);
    assert_eq!(codes(&whole("filter all { new_channel = fax }")), ["D409"]);
    assert_eq!(codes(&whole("filter all { new_channel = \"fax\" }")), [""; 0]);
    assert_eq!(codes(&whole("filter all { new_channel = 1 }")), [""; 0]);
    assert_eq!(codes(&whole("filter all { lastname = fax }")), [""; 0]);
}

#[test]
fn conditions_and_parentheses_are_nested_as_deep_as_a_plan_can_be_read_and_no_deeper() {
    let nested =
        |n: usize| (0..n).fold("lastname = \"x\"".to_owned(), |inner, _| format!("(firstname = \"y\" or middlename = \"z\" and {inner})"));
    for depth in [8, 11] {
        let plan = compiled(&whole(&format!("filter all {{ {} }}", nested(depth)))).plan.expect("a plan");
        let again = d365map::plan::ExecutionPlan::from_json(&plan.to_json()).expect("a plan that can be read");
        assert_eq!(again, plan);
    }
    for depth in [12, 40, 10_000] {
        assert_eq!(codes(&whole(&format!("filter all {{ {} }}", nested(depth)))), ["D004"], "{depth}");
    }
}
