//! What compiles without a finding loses nothing: for generated schemas, mappings and values, each value that the source's
//! schema admits becomes one that the target's admits, or exactly the outcome that an `or` names.
//!
//! What a schema allows is computed here again, from the types of the catalogue and not from those of the plan.

use std::sync::LazyLock;

use d365map::app::fixed;
use d365map::check::{Compiled, Input, TableFile, compile_project};
use d365map::diagnostics::{Levels, Safety};
use d365map::eval::{Evaluated, Evaluator};
use d365map::schema::{
    AlternateKey, Catalogue, Choice, ChoiceSet, EnumValue, Field, FieldType, LookupTarget, Provenance, SystemId, Table, TableId,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rust_decimal::Decimal;
use serde_json::Value as Json;

pub(super) const KEY: &str = "8f1d0000-0000-4000-8000-000000000001";

fn field(name: &str, ty: FieldType, required: bool) -> Field {
    Field {
        name: name.to_owned(),
        label: None,
        ty,
        vendor_type: "generated".to_owned(),
        required,
        readable: true,
        creatable: true,
        updatable: true,
        aliases: Vec::new(),
        wire: None,
        provenance: Provenance::Declared,
        deprecated: None,
        derived: None,
    }
}

fn table(system: SystemId, name: &str, key: &str, fields: Vec<Field>) -> Table {
    Table {
        id: TableId::new(system, name),
        label: name.to_owned(),
        collection: name.to_owned(),
        primary_key: if system == SystemId::D365 { key.to_owned() } else { "PKey".to_owned() },
        primary_name: None,
        change_tracking: Some(true),
        alternate_keys: vec![AlternateKey { name: key.to_owned(), fields: vec![key.to_owned()] }],
        fields: fields.into_iter().map(|f| (f.name.clone(), f)).collect(),
    }
}

/// A catalogue of one table on either side: the field `a` and its neighbor `b` of the same type, the field `x`.
pub(super) fn catalogue(source: &FieldType, target: &FieldType, required: bool) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let other = LookupTarget { table: "other".to_owned(), navigation: None };
    let lookup = field("l", FieldType::Lookup { targets: vec![other] }, false);
    let from = vec![field("id", FieldType::Guid, true), field("a", source.clone(), false), field("b", source.clone(), false), lookup];
    catalogue.insert(table(SystemId::D365, "thing", "id", from));
    let behind = vec![field("otherid", FieldType::Guid, true), field("a", source.clone(), false)];
    catalogue.insert(table(SystemId::D365, "other", "otherid", behind));
    let to = vec![field("key", FieldType::Text { max: Some(40) }, false), field("x", target.clone(), required)];
    catalogue.insert(table(SystemId::Campaign, "thing", "key", to));
    catalogue
}

fn decimal_type() -> impl Strategy<Value = FieldType> {
    (0_u32..=4, -1_000_000_i64..=0, 1_i64..=1_000_000_000).prop_map(|(scale, min, max)| FieldType::Decimal {
        scale,
        min: min.into(),
        max: max.into(),
    })
}

fn integer_type() -> impl Strategy<Value = FieldType> {
    prop_oneof![
        (-300_i64..=0, 1_i64..=70_000).prop_map(|(min, max)| FieldType::Integer { min, max }),
        Just(FieldType::Integer { min: -2_147_483_648, max: 2_147_483_647 }),
        Just(FieldType::Integer { min: i64::MIN, max: i64::MAX }),
    ]
}

fn options() -> ChoiceSet {
    let labels = [(1, "One"), (2, "Two words"), (-7, "Drei"), (100_000_000, "true")];
    ChoiceSet { options: labels.iter().map(|(value, label)| Choice { value: *value, label: (*label).to_owned() }).collect() }
}

fn text_type() -> impl Strategy<Value = FieldType> {
    // Few lengths, near those of the steps, so that they meet often.
    let lengths = prop::sample::select(vec![1_u32, 2, 3, 4, 5, 6, 7, 8, 10, 16, 20, 36, 40, 64, 100]);
    prop_oneof![6 => lengths.prop_map(|max| FieldType::Text { max: Some(max) }), 1 => Just(FieldType::Text { max: None })]
}

fn source_type() -> impl Strategy<Value = FieldType> {
    prop_oneof![
        Just(FieldType::Boolean { labels: Some(("No".to_owned(), "Yes".to_owned())) }),
        integer_type(),
        decimal_type(),
        Just(FieldType::Double),
        text_type(),
        text_type(),
        text_type(),
        Just(FieldType::Date),
        Just(FieldType::DateTime),
        Just(FieldType::LocalDateTime),
        Just(FieldType::Guid),
        Just(FieldType::Choice(options().into())),
        Just(FieldType::MultiChoice(options().into())),
    ]
}

fn target_type() -> impl Strategy<Value = FieldType> {
    let values = ["male", "female", "unknown"].map(|n| EnumValue { name: n.to_owned(), label: n.to_owned(), stored: None });
    prop_oneof![
        Just(FieldType::Boolean { labels: None }),
        integer_type(),
        decimal_type(),
        Just(FieldType::Double),
        text_type(),
        text_type(),
        text_type(),
        Just(FieldType::Date),
        Just(FieldType::DateTime),
        Just(FieldType::Enumeration(values.to_vec().into())),
    ]
}

/// The samples of every step.
static STEPS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lookups = ["lookup words.v", "lookup numbers.v", "lookup options.v", "lookup flags.v", "lookup days.v"];
    d365map::steps::STEPS.iter().flat_map(|step| step.samples).copied().chain(lookups).collect()
});

/// Formulas with each operator and function.
const FORMULAS: [&str; 8] = [
    "= a * 3 + b",
    "= -a * (b - 2)",
    "= coalesce(a, 0) / 4",
    "= 100 / a or null",
    "= a / (b + 1) or default(-7)",
    "= min(a, b, 50)",
    "= max(abs(a), 1.25)",
    "= 10 / max(abs(b), 1)",
];

fn step() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(STEPS.as_slice());
    let or = prop::sample::select(vec![
        "",
        "",
        " or null",
        " or reject",
        " or keep",
        " or default(\"?\")",
        " or default(0)",
        " or default(2020-02-29)",
        " or default(false)",
    ]);
    (plain, or).prop_map(|(step, or)| format!("{step}{or}"))
}

fn entry() -> impl Strategy<Value = (String, Option<String>)> {
    let source = prop_oneof![
        12 => Just("a"), 1 => Just("\"<{a}>\""), 1 => Just("coalesce(a, b)"), 1 => Just("concat(a, \" \", b)"), 1 => Just("join(\", \", a, b)"), 1 => Just("42"), 1 => Just("\"male\""), 1 => Just("2024-02-29"),
        2 => Just("l.a"), 1 => Just("coalesce(l.a, a)"), 1 => Just("case { l.a = a => l.a; else => b }"), 1 => Just("= l.a + 1"),
        1 => Just("lookup(words.v, a) or null"), 1 => Just("lookup(options.v, a) or default(0)"), 1 => Just("lookup(numbers.v, b) or reject"),
        1 => Just("case { a is present => a; else => b }"), 1 => Just("case { a = b => a; else => null }"),
        1 => Just("case { a is empty => 42; else => a }"), 1 => Just("case { a is present and b is present => \"male\"; else => \"unknown\" }"),
        1 => Just("case { b is empty => a | default(7); a != b => b; else => 2024-02-29 }"),
        1 => Just("coalesce(a | truncate(3), b)"), 1 => Just("coalesce(a | number or null, b | integer or null)"),
        1 => Just("concat(a | string, \"-\", b | label)"), 1 => Just("join(\"/\", a | upper, b | prefix(\"x\"))"),
        1 => Just("= a * 2 - b"), 1 => Just("= coalesce(a, 3) / b or default(0)"), 1 => Just("= 1 / a"),
        1 => Just("case { a is present => = min(a, 9) / 4; else => 1 }"),
    ];
    let replace = prop::option::weighted(
        0.15,
        prop::sample::select(vec![
            "replace a { One => \"x\"; else => \"y\"; null => \"z\" }",
            "replace a { true => 1; false => 0 }",
            "replace a { 1 => 2; else => keep }",
            "replace a { \"a\" => \"b\"; null => \"c\" }",
            "replace a { else => reject }",
            "replace a { < 5 => 1; else => keep }",
            "replace a { between 2 and 40 => 7; > 1000 => reject; else => 0 }",
            "replace a { starts with \"a\" => \"x\"; matches \"[0-9]\" => keep; else => \"yy\" }",
            "replace a { One => male; else => unknown; null => unknown }",
        ]),
    );
    (source, prop_oneof![1 => prop::collection::vec(step(), 0..1), 4 => prop::collection::vec(step(), 1..3), 1 => prop::collection::vec(step(), 3..5)], replace).prop_map(|(source, steps, replace)| {
        let steps: String = steps.into_iter().map(|s| format!(" | {s}")).collect();
        (format!("{source} -> x{steps}"), replace.map(str::to_owned))
    })
}

/// A value that a field of this type can have, as the source sends it.
pub(super) fn value(ty: &FieldType) -> BoxedStrategy<Json> {
    let some = match ty {
        FieldType::Boolean { .. } => any::<bool>().prop_map(Json::from).boxed(),
        FieldType::Integer { min, max } => prop_oneof![Just(*min), Just(*max), *min..=*max, (0_i64..=1).prop_filter("in range", |_| true)]
            .prop_filter("in range", {
                let (min, max) = (*min, *max);
                move |n| min <= *n && *n <= max
            })
            .prop_map(Json::from)
            .boxed(),
        FieldType::Decimal { scale, min, max } => {
            let unit = 10_i64.pow(*scale);
            let bound = |d: &Decimal| i64::try_from(*d).expect("small bounds") * unit;
            let (scale, low, high) = (*scale, bound(min), bound(max));
            prop_oneof![Just(low), Just(high), low..=high]
                .prop_map(move |n| serde_json::from_str(&Decimal::new(n, scale).to_string()).expect("a number"))
                .boxed()
        }
        FieldType::Double => prop_oneof![
            prop::num::f64::NORMAL.prop_map(Json::from),
            (-1e6..1e6).prop_map(Json::from),
            Just(Json::from(0.0)),
            Just(Json::from(1e300)),
            Just(Json::from(0.125)),
            (-1000_i32..1000).prop_map(|n| Json::from(f64::from(n))),
        ]
        .boxed(),
        FieldType::Text { max } => {
            let most = max.unwrap_or(200) as usize;
            let fits = move |t: &String| t.encode_utf16().count() <= most;
            prop_oneof![
                "\\PC{0,60}",
                "[a-z]{0,60}",
                "[0-9]{1,12}",
                "[0-9]{1,6}[.,][0-9]{1,4}",
                Just("+49 30 901820".to_owned()),
                Just("Ada@EXAMPLE.com".to_owned()),
                Just("29.02.2024".to_owned()),
                Just("2024-03-31T02:30:00".to_owned()),
                Just("yes".to_owned()),
                Just("male".to_owned()),
                Just("a a a a".to_owned()),
                "a{0,60}",
                Just(String::new()),
                Just("   ".to_owned()),
                Just(" a\u{0}\u{85}".to_owned()),
                Just("🇦🇹🇦🇹 e\u{301}".to_owned()),
                Just("29.02.2024 10:30".to_owned()),
                Just("1.234,50".to_owned()),
            ]
            .prop_map(move |t: String| {
                let mut t = t;
                while !fits(&t) {
                    t.pop();
                }
                Json::from(t)
            })
            .boxed()
        }
        FieldType::Date => (0_u64..80_000)
            .prop_map(|d| {
                let day =
                    chrono::NaiveDate::from_ymd_opt(1850, 1, 1).and_then(|s| s.checked_add_days(chrono::Days::new(d))).expect("a day");
                Json::from(day.to_string())
            })
            .boxed(),
        FieldType::DateTime | FieldType::LocalDateTime => (-4_000_000_000_i64..9_000_000_000)
            .prop_map(|s| {
                let at = chrono::DateTime::from_timestamp(s, 0).expect("an instant");
                Json::from(at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
            })
            .boxed(),
        FieldType::Guid => any::<u128>().prop_map(|n| Json::from(uuid::Uuid::from_u128(n).hyphenated().to_string())).boxed(),
        FieldType::Choice(set) => {
            prop::sample::select(set.options.iter().map(|o| o.value).collect::<Vec<_>>()).prop_map(Json::from).boxed()
        }
        FieldType::MultiChoice(set) => {
            let values: Vec<String> = set.options.iter().map(|o| o.value.to_string()).collect();
            prop::sample::subsequence(values, 1..=4).prop_map(|v| Json::from(v.join(","))).boxed()
        }
        other => panic!("not a source: {other:?}"),
    };
    prop_oneof![8 => some, 1 => Just(Json::Null)].boxed()
}

/// Whether the target's schema admits a value as it is sent.
fn admits(ty: &FieldType, required: bool, value: &str) -> bool {
    let json: Json = serde_json::from_str(value).expect("the evaluator writes JSON");
    let number = || value.parse::<Decimal>().ok().or_else(|| Decimal::from_scientific(value).ok());
    match (ty, &json) {
        (_, Json::Null) => !required,
        (FieldType::Boolean { .. }, Json::Bool(_)) => true,
        (FieldType::Integer { min, max }, Json::Number(_)) => {
            number().is_some_and(|n| n.is_integer() && Decimal::from(*min) <= n && n <= Decimal::from(*max))
        }
        (FieldType::Decimal { scale, min, max }, Json::Number(_)) => {
            number().is_some_and(|n| n.normalize().scale() <= *scale && *min <= n && n <= *max)
        }
        // A floating-point target must read back the digits that it was given. Of two shortest texts of a number, each writer has its own:
        // 1667146035777853.25 is written with .2 or .3.
        (FieldType::Double, Json::Number(_)) => match value.parse::<Decimal>() {
            Ok(exact) => {
                value.parse::<f64>().is_ok_and(|f| f.to_string().parse() == Ok(exact) || Json::from(f).to_string().parse() == Ok(exact))
            }
            Err(_) => value.parse::<f64>().is_ok(),
        },
        (FieldType::Text { max }, Json::String(t)) => max.is_none_or(|m| t.encode_utf16().count() <= m as usize),
        (FieldType::Date, Json::String(t)) => chrono::NaiveDate::parse_from_str(t, "%Y-%m-%d").is_ok(),
        (FieldType::DateTime, Json::String(t)) => chrono::DateTime::parse_from_rfc3339(t).is_ok(),
        (FieldType::Enumeration(values), Json::String(t)) => values.iter().any(|v| v.name == *t),
        _ => false,
    }
}

/// Tables that steps look values up in: the keys are texts, whole numbers, labels of options, flags and days.
const TABLES: &[(&str, &str)] = &[
    ("words", "k,v\nmale,male\nyes,female\na,unknown\na a a a,male\n"),
    ("numbers", "k,v\n0,7\n1,-3\n-300,12.5\n42,\n"),
    ("options", "k,v\nOne,1\n2,22\nDrei,333\n100000000,4444\n"),
    ("flags", "k,v\ntrue,2024-02-29\nno,2020-01-31\n"),
    ("days", "k,v\n2024-02-29,x\n1850-01-01,yy\n"),
];

/// Compiles a text with the tables that it names, which are declared after it.
pub(super) fn compiled(text: &str, catalogue: &Catalogue) -> Compiled {
    let used = TABLES.iter().filter(|(name, _)| text.contains(&format!("lookup {name}.")) || text.contains(&format!("lookup({name}.")));
    let declarations: String = used.map(|(name, _)| format!("table {name} from \"{name}.csv\" {{ key k }}\n")).collect();
    let files = TABLES.iter().map(|(name, rows)| (format!("{name}.csv"), TableFile::Bytes(rows.as_bytes().into()))).collect();
    let bytes = format!("{text}{declarations}").into_bytes();
    compile_project(vec![Input { name: "a.d365map".to_owned(), bytes }], &files, catalogue, &Levels::new())
}

/// What `x` becomes, or the code under which the record is rejected.
pub(super) fn evaluate(compiled: &Compiled, record: &str) -> Result<String, String> {
    let plan = compiled.plan.as_ref().expect("a clean mapping has a plan");
    let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
    let now = d365map::time::parse_instant("2026-11-21T12:00:00Z").expect("an instant");
    match evaluator.evaluate(record, now) {
        Evaluated::Mapped(mapped) => {
            let field = mapped.fields().next().expect("one field");
            // `@present` leaves out what is empty, and nothing else.
            assert_eq!(field.unchanged, field.program.present && field.json() == "null");
            Ok(field.json())
        }
        Evaluated::Filtered { .. } => Err("filtered".to_owned()),
        Evaluated::Rejected(r) => Err(format!("{} {}", r.code, r.message)),
    }
}

/// Applies all fixes, so that more mappings are clean.
pub(super) fn after_fixes(mut text: String, catalogue: &Catalogue) -> (String, Compiled) {
    let mut result = compiled(&text, catalogue);
    for _ in 0..4 {
        let (repaired, fixes) = fixed(&text, 0, &result.diagnostics, Safety::Unsafe);
        if fixes.is_empty() {
            break;
        }
        text = repaired;
        result = compiled(&text, catalogue);
    }
    (text, result)
}

#[derive(Default)]
struct Counts {
    clean: usize,
    values: usize,
    compared: usize,
}

/// Compiles an entry against the narrowest target that it fits, and runs values through it.
fn holds(runner: &mut TestRunner, source: &FieldType, target: &FieldType, required: bool, lines: &str, most: usize, counts: &mut Counts) {
    let text = format!("mapping m: d365.thing -> campaign.thing {{\n  key id -> key\n  {lines}\n}}\n");
    // Of the texts that could be the target, the shortest that the checker lets pass: there a wrong length would show.
    let targets: Vec<FieldType> = match target {
        FieldType::Text { max: Some(_) } => [1, 2, 3, 5, 7, 10, 16, 36, 64, 200].map(|max| FieldType::Text { max: Some(max) }).to_vec(),
        other => vec![other.clone()],
    };
    let Some((target, text, result, catalogue)) = targets.into_iter().find_map(|target| {
        let catalogue = catalogue(source, &target, required);
        let (text, result) = after_fixes(text.clone(), &catalogue);
        result.diagnostics.is_empty().then_some((target, text, result, catalogue))
    }) else {
        return;
    };
    counts.clean += 1;
    // The same mapping where the one step that can fail rejects, to tell when it does.
    let rejecting = (text.matches(" or ").count() == 1).then(|| {
        let at = text.find(" or ").expect("just counted");
        let end = text[at..].find(['|', '@', '\n']).map_or(text.len(), |n| at + n);
        let other = format!("{} or reject {}", &text[..at], &text[end..]);
        (text[at..end].trim().to_owned(), compiled(&other, &catalogue))
    });
    let strategy = (value(source), value(source), value(source));
    for _ in 0..most {
        let (a, b, behind) = strategy.new_tree(runner).expect("values").current();
        let record = format!("{{\"id\":\"{KEY}\",\"a\":{a},\"b\":{b},\"l.a\":{behind}}}");
        let outcome = evaluate(&result, &record);
        counts.values += 1;
        match &outcome {
            Ok(value) => assert!(admits(&target, required, value), "{value} for {target:?} from\n{record}\n{source:?}\n{text}"),
            Err(code) => {
                let named =
                    (code.starts_with("D901") && text.contains("or reject")) || (code.starts_with("D902") && text.contains("=> reject"));
                assert!(named, "{code} for\n{record}\n{source:?} into {target:?}\n{text}");
            }
        }
        if let Some((or, rejecting)) = &rejecting
            && rejecting.plan.is_some()
        {
            counts.compared += 1;
            match (evaluate(rejecting, &record), or.as_str()) {
                (Err(code), _) if code.starts_with("D901") => match or.as_str() {
                    // What later steps make of the outcome is theirs; where there are none, it is the outcome itself.
                    "or reject" => assert!(outcome.is_err(), "{text}"),
                    "or null" if text.trim_end().lines().nth(2).is_some_and(|l| l.trim_end_matches(" @present").ends_with("or null")) => {
                        assert_eq!(outcome, Ok("null".to_owned()), "{text}");
                    }
                    _ => {}
                },
                (other, _) => assert_eq!(outcome, other, "the step did not fail, so its `or` changes nothing\n{record}\n{text}"),
            }
        }
    }
}

pub(super) fn runner(seed: u8) -> TestRunner {
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

#[test]
fn each_step_gives_what_the_narrowest_target_admits_for_every_type_of_source() {
    let mut sources: Vec<FieldType> = [1, 2, 4, 6, 8, 12, 40].map(|max| FieldType::Text { max: Some(max) }).to_vec();
    sources.extend([
        FieldType::Text { max: None },
        FieldType::Boolean { labels: None },
        FieldType::Integer { min: 0, max: 1 },
        FieldType::Integer { min: -70_000, max: 70_000 },
        FieldType::Integer { min: i64::MIN, max: i64::MAX },
        FieldType::Decimal { scale: 2, min: (-1).into(), max: 1_000_000.into() },
        FieldType::Double,
        FieldType::Date,
        FieldType::DateTime,
        FieldType::LocalDateTime,
        FieldType::Guid,
        FieldType::Choice(options().into()),
        FieldType::MultiChoice(options().into()),
    ]);
    let targets = [
        FieldType::Text { max: Some(1) },
        FieldType::Boolean { labels: None },
        FieldType::Integer { min: -100, max: 100 },
        FieldType::Decimal { scale: 1, min: (-100).into(), max: 100.into() },
        FieldType::Double,
        FieldType::Date,
        FieldType::DateTime,
    ];
    let (mut runner, mut counts) = (runner(3), Counts::default());
    for step in STEPS.iter() {
        for source in &sources {
            for target in &targets {
                holds(&mut runner, source, target, false, &format!("a -> x | {step}"), 8, &mut counts);
            }
        }
    }
    for formula in FORMULAS {
        for source in &sources {
            for target in &targets {
                holds(&mut runner, source, target, false, &format!("{formula} -> x"), 8, &mut counts);
            }
        }
    }
    let Counts { clean, values, compared } = counts;
    assert!(clean > 400 && values > 3_000 && compared > 300, "{clean} mappings, {values} values, {compared} compared");
}

#[test]
fn what_compiles_without_a_finding_gives_what_the_target_admits_or_what_its_or_names() {
    let (mut runner, mut counts) = (runner(7), Counts::default());
    for _ in 0..2800 {
        let case = (source_type(), target_type(), entry(), prop::bool::weighted(0.2)).new_tree(&mut runner).expect("a case").current();
        let (source, target, (entry, replace), required) = case;
        let lines = replace.map_or_else(|| entry.clone(), |r| format!("{entry}\n  {r}"));
        holds(&mut runner, &source, &target, required, &lines, 20, &mut counts);
    }
    let Counts { clean, values, compared } = counts;
    assert!(clean > 120 && values > 2_500 && compared > 250, "too few were clean: {clean} mappings, {values} values, {compared} compared");
}
