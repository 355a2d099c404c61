//! What holds for any text and any record.

use proptest::prelude::*;

use super::support::{compiled, map, plan, whole};

/// Pieces of mapping files, right and wrong, that a generated file is put together from.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "mapping", "contacts", ":", "d365.contact", "->", "campaign.profile", "{", "}", "key", "contactid", "externalId", "firstname", "firstName",
            "lastname -> lastName", "|", "trim", "truncate(30)", "or null", "or", "default(\"x\")", "@initial", "replace", "gendercode", "=>", "else", "male", "1", "null",
            "filter all {", "any {", "not", "is present", "=", "!=", "in (", ")", "\"a {firstname} b\"", "\"", "2024-01-31", "30d", "options {", "deletes propagate",
            "\n", "\n", ";", "# comment\n", ",", "`", "<->", "\\", "é", "\u{1F600}", "\t", "optout x {", "test t \"x\" {",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}

/// A condition that depends on the time, or one that does not.
fn timed_condition() -> impl Strategy<Value = String> {
    let field = || prop::sample::select(vec!["lastonholdtime", "createdon", "birthdate"]);
    let moment = || {
        (prop::sample::select(vec!["now", "today"]), -50_i64..50, prop::sample::select(vec!["h", "m", "d"])).prop_map(|(base, n, unit)| {
            let n = match unit {
                "d" => n / 20,
                "m" => n * 15,
                _ => n,
            };
            match n {
                0 => base.to_owned(),
                1.. => format!("{base} + {n}{unit}"),
                _ => format!("{base} - {}{unit}", -n),
            }
        })
    };
    let leaf = prop_oneof![
        4 => (field(), prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]), moment()).prop_map(|(f, o, m)| format!("{f} {o} {m}")),
        1 => (field(), 0_u32..3, 0_u32..3).prop_map(|(f, a, b)| format!("{f} between now - {a}d and today + {b}d")),
        1 => (field(), 1_u32..60).prop_map(|(f, h)| format!("{f} changed within {h}h")),
        1 => (field(), prop::sample::select(vec!["is empty", "is present"])).prop_map(|(f, t)| format!("{f} {t}")),
        1 => Just("lastname = \"X\"".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::sample::select(vec!["all", "any", "not all", "not any"]), prop::collection::vec(inner, 1..4))
            .prop_map(|(mode, conditions)| format!("{mode} {{ {} }}", conditions.join("; ")))
    })
}

/// Whether a record passes the filter, and the first instant at which that changes.
fn answer(evaluator: &d365map::eval::Evaluator<'_>, record: &str, now: d365map::time::Instant) -> (bool, Option<d365map::time::Instant>) {
    let (evaluated, d365map::eval::ValidUntil { filter: until, .. }) = evaluator.evaluate_until(record, now);
    (!matches!(evaluated, d365map::eval::Evaluated::Filtered { .. }), until)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_answer_of_a_filter_stays_until_the_reported_instant_and_changes_there(
        condition in timed_condition(), hold in prop::option::of(-260_i64..260), created in prop::option::of(-260_i64..260),
        born in prop::option::of(-4_i64..4), start in 0_i64..96,
    ) {
        use chrono::TimeDelta;
        // Around the end of summer time in Europe: days are still those of UTC.
        let base = d365map::time::parse_instant("2026-10-25T00:00:00Z").expect("an instant");
        let quarters = |n: i64| (base + TimeDelta::minutes(15 * n)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let record = serde_json::json!({
            "contactid": "8f1d0000-0000-4000-8000-000000000001", "lastonholdtime": hold.map(quarters), "createdon": created.map(quarters),
            "birthdate": born.map(|days| (base + TimeDelta::days(days)).date_naive().to_string()),
        }).to_string();
        let compiled = compiled(&whole(&format!("lastname -> lastName\nfilter all {{ {condition} }}")));
        // Of what always or never holds there is no plan.
        prop_assume!(compiled.plan.is_some());
        let plan = compiled.plan.expect("a plan");
        let evaluator = d365map::eval::Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
        let now = base + TimeDelta::minutes(15 * start);
        let (passes, until) = answer(&evaluator, &record, now);
        // All values and offsets are whole quarters of an hour: the answer can change at one of these and one nanosecond after it.
        let mut first = None;
        for quarter in 0..800 {
            for nanos in [0, 1] {
                let at = now + TimeDelta::minutes(15 * quarter) + TimeDelta::nanoseconds(nanos);
                if first.is_none() && answer(&evaluator, &record, at).0 != passes {
                    first = Some(at);
                }
            }
            if first.is_some() {
                break;
            }
        }
        prop_assert_eq!(until, first, "{} {}", condition, record);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_text_compiles_or_is_explained_and_every_finding_points_into_it(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.join(" ");
        let result = compiled(&text);
        let errors = result.diagnostics.iter().any(|d| d.severity() == d365map::diagnostics::Severity::Error);
        prop_assert_eq!(result.plan.is_none(), errors);
        for d in &result.diagnostics {
            for span in std::iter::once(d.span).chain(d.related.iter().map(|r| r.0)) {
                let range = span.range();
                prop_assert!(range.start <= range.end && range.end <= text.len().max(1), "{:?} in {} bytes", range, text.len());
                prop_assert!(text.is_char_boundary(range.start.min(text.len())) && text.is_char_boundary(range.end.min(text.len())), "{:?}", d);
            }
            prop_assert!(!d.message.is_empty() && !d.label.is_empty());
        }
    }

    #[test]
    fn entries_in_a_valid_mapping_never_lose_their_neighbors(pieces in prop::collection::vec(piece(), 0..8)) {
        // Whatever one line holds, as long as it opens and closes nothing, the fault of another line is still found.
        let line: String = pieces.join(" ").replace(['{', '}', '\n', '`', '"'], " ");
        prop_assume!(!["mapping", "optout", "events", "test", "let", "include"].iter().any(|k| line.contains(k)));
        let text = whole(&format!("{line}\nfirstnmae -> nickname"));
        let found = compiled(&text);
        prop_assert!(found.diagnostics.iter().any(|d| d.code.name() == "D103" && text[d.span.range()].contains("firstnmae")), "{}", text);
    }

    #[test]
    fn a_record_whose_values_its_schema_admits_gives_values_that_the_target_admits(
        first in prop::option::of("\\PC{0,25}"), last in prop::option::of("\\PC{0,25}"), mail in prop::option::of("\\PC{0,50}"),
        gender in prop::option::of(1_i64..=2), money in prop::option::of(0_i64..=i64::MAX / 10), born in prop::option::of(0_u64..40_000),
    ) {
        let born = born.and_then(|d| chrono::NaiveDate::from_ymd_opt(1900, 1, 1)?.checked_add_days(chrono::Days::new(d)));
        let mut record = serde_json::json!({"firstname": first, "lastname": last, "emailaddress1": mail, "gendercode": gender, "birthdate": born.map(|b| b.to_string())});
        record["creditlimit"] = serde_json::json!(money.map(|m| m as f64 / 100_000.0));
        let out = map(
            "firstname -> firstName | upper | truncate(30)\nlastname -> lastName | trim\nemailaddress1 -> email | lower\ngendercode -> gender\nbirthdate -> birthDate\n\"{firstname} {lastname}\" -> cusDisplayName | truncate(100)\ncreditlimit -> cusCreditLimit | round(2) or null\nreplace gendercode { 1 => male; 2 => female; null => unknown }",
            record,
        );
        let length = |name: &str| out[name].as_str().map_or(0, |t| t.encode_utf16().count());
        prop_assert!(out.is_object(), "{out}");
        prop_assert!(length("firstName") <= 30 && length("lastName") <= 50 && length("email") <= 128 && length("cusDisplayName") <= 100);
        prop_assert!(["male", "female", "unknown"].contains(&out["gender"].as_str().unwrap_or("none")));
    }

    #[test]
    fn evaluation_never_panics_on_any_json(record in "\\PC{0,80}") {
        let plan = plan("lastname -> lastName\ncreditlimit -> cusCreditLimit | round(2) or null\nfilter all { createdon changed within 30d }");
        let evaluator = d365map::eval::Evaluator::new(&plan.ingress[0]).unwrap();
        let now = d365map::time::parse_instant("2026-11-21T12:00:00Z").unwrap();
        let _ = evaluator.evaluate(&record, now);
        let _ = evaluator.evaluate(&format!("{{\"contactid\": {record}}}"), now);
    }
}
