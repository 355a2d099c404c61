//! What steps make of values, compared with evaluations that share no code with them: dates by plain arithmetic, texts character by character.

use d365map::eval::{Evaluated, Evaluator};
use d365map::plan::ExecutionPlan;
use d365map::time::parse_instant;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::support::plan;

/// The run is on this day.
const NOW: &str = "2026-11-21T12:00:00Z";

/// What a field becomes for a record.
fn value(plan: &ExecutionPlan, mut record: Value, field: &str) -> Value {
    record["contactid"] = json!("8f1d0000-0000-4000-8000-000000000001");
    let (evaluator, text) = (Evaluator::new(&plan.ingress[0]).expect("a compiled plan"), record.to_string());
    let Evaluated::Mapped(mapped) = evaluator.evaluate(&text, parse_instant(NOW).expect("an instant")) else {
        panic!("{text} is not mapped")
    };
    let mut out = String::new();
    mapped.write_json(&mut out);
    serde_json::from_str::<Value>(&out).expect("JSON")[field].clone()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new_with_rng(Config { cases, ..Config::default() }, TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]))
}

/// A day as year, month and day.
type Day = (i64, i64, i64);

fn last_of_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][usize::try_from(month - 1).expect("a month")]
}

fn text((year, month, day): Day) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

/// The day after that many months, the last of its month if this date does not exist.
fn months_later((year, month, day): Day, months: i64) -> Day {
    let all = year * 12 + (month - 1) + months;
    let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
    (year, month, day.min(last_of_month(year, month)))
}

/// The number of a day, one by one through the years and months.
fn number((year, month, day): Day) -> i64 {
    let years: i64 = (1600..year).map(|y| (1..=12).map(|m| last_of_month(y, m)).sum::<i64>()).sum();
    years + (1..month).map(|m| last_of_month(year, m)).sum::<i64>() + day
}

fn day() -> impl Strategy<Value = Day> {
    let ends = (1850_i64..2150, 1_i64..=12, 26_i64..=31);
    prop_oneof![(1850_i64..2150, 1_i64..=12, 1_i64..=31), ends].prop_map(|(y, m, d)| (y, m, d.min(last_of_month(y, m))))
}

#[test]
fn shifted_days_are_those_of_plain_arithmetic() {
    for months in [-1200, -13, -12, -1, 1, 6, 11, 12, 25, 1200] {
        let plan = plan(&format!("birthdate -> birthDate | shift({months} months)"));
        runner(60)
            .run(&day(), |from| {
                let expected = text(months_later(from, months));
                prop_assert_eq!(
                    value(&plan, json!({"birthdate": text(from)}), "birthDate"),
                    json!(expected),
                    "{:?} and {} months",
                    from,
                    months
                );
                Ok(())
            })
            .expect("the same days");
    }
    for days in [-36_500, -90, -1, 1, 30, 366, 36_500] {
        let plan = plan(&format!("birthdate -> birthDate | shift({days} days)"));
        runner(60)
            .run(&day(), |from| {
                let out = value(&plan, json!({"birthdate": text(from)}), "birthDate");
                let parts: Vec<i64> = out.as_str().expect("a day").split('-').map(|n| n.parse().expect("a number")).collect();
                prop_assert_eq!(number((parts[0], parts[1], parts[2])) - number(from), days, "{:?} became {}", from, out);
                Ok(())
            })
            .expect("the same days");
    }
}

#[test]
fn years_months_and_days_are_those_of_counting() {
    let units = ["years", "months", "days"].map(|unit| plan(&format!("createdon -> cusPoints | {unit}(modifiedon)")));
    runner(200)
        .run(&(day(), day(), 0_u32..24), |(from, to, hour)| {
            let record = json!({"createdon": format!("{}T{hour:02}:59:00Z", text(from)), "modifiedon": format!("{}T12:00:00Z", text(to))});
            let (early, late, sign) = if from <= to { (from, to, 1) } else { (to, from, -1) };
            // Month by month, as long as the day of the same number is not later.
            let months = (1..).take_while(|n| {
                let (year, month, _) = months_later((early.0, early.1, 1), *n);
                (year, month, early.2) <= late
            });
            let months = i64::try_from(months.count()).expect("a small number");
            for (unit, expected) in units.iter().zip([months / 12, months, number(late) - number(early)]) {
                prop_assert_eq!(value(unit, record.clone(), "cusPoints"), json!(sign * expected), "{}", record);
            }
            Ok(())
        })
        .expect("the same numbers");
}

#[test]
fn an_age_is_one_year_more_from_the_birthday_on() {
    let plan = plan("birthdate -> cusPoints | years(today)\noptions { refresh daily }");
    runner(200)
        .run(&day(), |born| {
            let (year, month, day) = (2026, 11, 21);
            let age = if born <= (year, month, day) {
                year - born.0 - i64::from((month, day) < (born.1, born.2))
            } else {
                -(born.0 - year - i64::from((born.1, born.2) < (month, day)))
            };
            prop_assert_eq!(value(&plan, json!({"birthdate": text(born)}), "cusPoints"), json!(age), "{:?}", born);
            Ok(())
        })
        .expect("the same ages");
}

#[test]
fn expressions_find_and_replace_what_a_reader_finds() {
    let replaced = plan(r##"description -> cusNote | replace_matches("[0-9]+", "<$0>")"##);
    let extracted = plan(r#"description -> cusNote | extract("KD-([0-9]+)") or null"#);
    let pieces = prop::collection::vec(prop_oneof!["[0-9]{1,4}", "[a-z -]{1,4}", Just("KD-".to_owned()), Just("é😀".to_owned())], 1..8);
    runner(300)
        .run(&pieces, |pieces| {
            let text = pieces.concat();
            prop_assume!(!text.trim().is_empty());
            let mut expected = String::new();
            let mut inside = false;
            for c in text.chars() {
                match (inside, c.is_ascii_digit()) {
                    (false, true) => expected.push('<'),
                    (true, false) => expected.push('>'),
                    (false, false) | (true, true) => {}
                }
                inside = c.is_ascii_digit();
                expected.push(c);
            }
            expected.push_str(if inside { ">" } else { "" });
            prop_assert_eq!(value(&replaced, json!({"description": text}), "cusNote"), json!(expected));
            let number = text.match_indices("KD-").find_map(|(at, _)| {
                let digits: String = text[at + 3..].chars().take_while(char::is_ascii_digit).collect();
                (!digits.is_empty()).then_some(digits)
            });
            prop_assert_eq!(value(&extracted, json!({"description": text}), "cusNote"), number.map_or(Value::Null, Value::from));
            Ok(())
        })
        .expect("the same texts");
}

#[test]
fn html_that_is_made_of_a_text_becomes_that_text() {
    let plan = plan("description -> cusNote | strip_html");
    let words = prop::collection::vec(prop::collection::vec("[a-zé<>&\"']{1,6}", 1..4), 1..4);
    runner(300)
        .run(&words, |lines| {
            let escaped = |word: &String| word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            let line =
                |words: &Vec<String>| words.iter().map(|w| format!("<b class=\"a>b\">{}</b>", escaped(w))).collect::<Vec<_>>().join(" \n");
            let html: String = lines.iter().map(|words| format!("<p>{}<!-- <i> --></p>\n", line(words))).collect();
            let expected = lines.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("\n");
            prop_assert_eq!(value(&plan, json!({"description": html}), "cusNote"), json!(expected));
            Ok(())
        })
        .expect("the same texts");
}
