//! Evaluation speed, side by side in one run: `mappings/contacts.d365map`, `choices.d365map`, and the same mappings as programs for vrl and as
//! filters for jaq, over the same records, JSON text in, JSON text out, one thread. What is measured of d365map is what a run does with
//! a record of a page: [`payload`] decodes it, evaluates the filter and how long its answer holds, evaluates the fields, and writes the text that
//! the outbox keeps.
//!
//! Before anything is timed, the three results are compared record by record: engines that did different work would make
//! the ratio worthless. Each engine then goes through all records several times, in turn; the best time counts.

mod records;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use d365map::check::{Input, TableFile, compile_project};
use d365map::diagnostics::Levels;
use d365map::eval::Evaluator;
use d365map::run::{outline, payload};
use d365map::schema::Catalogue;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read, write};
use vrl::compiler::runtime::Runtime;
use vrl::compiler::{TargetValue, TimeZone};
use vrl::value::{Secrets, Value};

const RECORDS: usize = 100_000;
const ROUNDS: usize = 5;

/// A mapping, and the same for the other engines.
struct Case {
    name: &'static str,
    mapping: &'static str,
    vrl: &'static str,
    jaq: &'static str,
}

const CASES: [Case; 2] = [
    Case {
        name: "contacts",
        mapping: include_str!("../../../mappings/contacts.d365map"),
        vrl: include_str!("contacts.vrl"),
        jaq: include_str!("contacts.jq"),
    },
    // Values by condition, by a table of 3,000 rows, and by a formula.
    Case {
        name: "choices",
        mapping: include_str!("choices.d365map"),
        vrl: include_str!("choices.vrl"),
        jaq: include_str!("choices.jq"),
    },
];

fn main() {
    let records = records::generate(RECORDS);
    let bytes: usize = records.iter().map(String::len).sum();
    println!("{RECORDS} records, {:.0} bytes each, one thread, best of {ROUNDS} rounds", bytes as f64 / RECORDS as f64);
    for case in &CASES {
        compare(case, &records);
    }
}

fn compare(case: &Case, records: &[String]) {
    let mapping = Input { name: format!("{}.d365map", case.name), bytes: case.mapping.as_bytes().to_vec() };
    let rows: String = table::rows().map(|(code, label)| format!("{code},{label}\n")).collect();
    let tables = [("industries.csv".to_owned(), TableFile::Bytes(format!("code,label\n{rows}").into_bytes().into()))].into();
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let catalogue = Catalogue::with_dir(&schemas).unwrap_or_else(|e| panic!("{e:?}"));
    let compiled = compile_project(vec![mapping], &tables, &catalogue, &Levels::new());
    let plan = compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let flow = plan.flow(case.name).expect("the mapping has the name of its file");
    let evaluator = Evaluator::new(flow).expect("a compiled plan can be made ready");
    let now = d365map::time::now();
    let outline = outline(flow);
    let mut ours = |record: &str, out: &mut Vec<u8>| {
        if let Some(payload) = payload(&plan, &evaluator, &outline, record, now).expect("every record can be mapped") {
            out.extend_from_slice(payload.to_json().as_bytes());
        }
    };

    let mut functions = vrl::stdlib::all();
    functions.push(Box::new(table::Industry));
    let program = vrl::compiler::compile(case.vrl, &functions).unwrap_or_else(|e| panic!("{e:?}")).program;
    let mut runtime = Runtime::default();
    let timezone = TimeZone::default();
    let mut vrl = |record: &str, out: &mut Vec<u8>| {
        let value: Value = serde_json::from_str(record).expect("a record");
        let mut target = TargetValue { value, metadata: Value::Object(Default::default()), secrets: Secrets::default() };
        runtime.resolve(&mut target, &program, &timezone).expect("the program runs");
        runtime.clear();
        if !target.value.is_null() {
            serde_json::to_writer(out, &target.value).expect("a result");
        }
    };

    let loader = Loader::new(jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()));
    let arena = Arena::default();
    let modules = loader.load(&arena, File { code: case.jaq, path: () }).unwrap_or_else(|e| panic!("{e:?}"));
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let filter = Compiler::default().with_funs(funs).with_global_vars(["$industries"]).compile(modules).unwrap_or_else(|e| panic!("{e:?}"));
    let industries: serde_json::Map<String, serde_json::Value> = table::rows().map(|(code, label)| (code, label.into())).collect();
    let industries = serde_json::Value::Object(industries).to_string();
    let industries = read::parse_single(industries.as_bytes()).expect("a table");
    let mut jaq = |record: &str, out: &mut Vec<u8>| {
        let input = read::parse_single(record.as_bytes()).expect("a record");
        let ctx = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([industries.clone()]));
        for result in filter.id.run((ctx, input)).map(unwrap_valr) {
            write::write(&mut *out, &write::Pp::default(), 0, &result.expect("the filter runs")).expect("a result");
        }
    };

    // The same work?
    let mut mapped = 0;
    for record in records {
        let mut results = [Vec::new(), Vec::new(), Vec::new()];
        ours(record, &mut results[0]);
        vrl(record, &mut results[1]);
        jaq(record, &mut results[2]);
        let [a, b, c] = results.map(|r| serde_json::from_slice::<serde_json::Value>(&r).ok());
        let a = a.map(|text| nested(&text, record));
        let [a, b, c] = [a, b, c].map(|result| result.map(with_floats));
        assert_eq!(a, b, "vrl differs on {record}");
        assert_eq!(a, c, "jaq differs on {record}");
        mapped += usize::from(a.is_some());
    }
    println!("\n{}: {mapped} mapped, {} filtered out; the three results are equal for every record", case.name, RECORDS - mapped);

    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        best[0] = best[0].min(time(records, &mut ours));
        best[1] = best[1].min(time(records, &mut vrl));
        best[2] = best[2].min(time(records, &mut jaq));
    }
    for (name, took) in ["d365map", "vrl", "jaq"].into_iter().zip(best) {
        let rate = RECORDS as f64 / took.as_secs_f64();
        println!("{name:8} {rate:>10.0} records/s   d365map is {:.1} times as fast", took.as_secs_f64() / best[0].as_secs_f64());
    }
}

/// The target record of a text of the outbox, as the other engines write it: paths nested, and the key with the other fields.
fn nested(text: &serde_json::Value, record: &str) -> serde_json::Value {
    let source: serde_json::Value = serde_json::from_str(record).expect("a record");
    let mut target = serde_json::json!({ "externalId": source["contactid"] });
    for (path, value) in text["fields"].as_object().expect("fields") {
        match path.split_once('.') {
            Some((object, name)) => target[object][name] = value.clone(),
            None => target[path] = value.clone(),
        }
    }
    target
}

/// The record with every number as a floating-point number: the other engines write `7.0` where an exact decimal is `7`.
fn with_floats(mut record: serde_json::Value) -> serde_json::Value {
    for value in record.as_object_mut().into_iter().flat_map(|object| object.values_mut()) {
        if let Some(number) = value.as_f64() {
            *value = number.into();
        }
    }
    record
}

fn time(records: &[String], engine: &mut dyn FnMut(&str, &mut Vec<u8>)) -> Duration {
    let mut out = Vec::with_capacity(4096);
    let began = Instant::now();
    for record in records {
        out.clear();
        engine(record, &mut out);
        std::hint::black_box(&out);
    }
    began.elapsed()
}
