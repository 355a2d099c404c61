//! The values of generated formulas, against a separate evaluator that calculates with fractions; and what the checker says of their
//! range.

use std::cmp::Ordering;

use d365map::check::Compiled;
use d365map::schema::FieldType;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::Value as Json;

use super::soundness::{KEY, catalogue, compiled, evaluate, runner, value};

/// A formula over the fields `a` and `b`.
#[derive(Clone, Debug)]
enum Node {
    A,
    B,
    /// A number with two decimals, or a whole one.
    Number(i64, bool),
    Minus(Box<Node>),
    Sum(Box<Node>, Vec<(char, Node)>),
    Product(Box<Node>, Vec<(char, Node)>),
    Call(&'static str, Vec<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![3 => Just(Node::A), 3 => Just(Node::B), 2 => (0_i64..40, Just(false)).prop_map(|(n, d)| Node::Number(n, d)), 1 => (0_i64..900, Just(true)).prop_map(|(n, d)| Node::Number(n, d))];
    leaf.prop_recursive(3, 10, 3, |inner| {
        let rest = |signs: Vec<char>| prop::collection::vec((prop::sample::select(signs), inner.clone()), 1..3);
        prop_oneof![
            1 => inner.clone().prop_map(|n| Node::Minus(Box::new(n))),
            3 => (inner.clone(), rest(vec!['+', '-'])).prop_map(|(first, rest)| Node::Sum(Box::new(first), rest)),
            3 => (inner.clone(), rest(vec!['*', '/'])).prop_map(|(first, rest)| Node::Product(Box::new(first), rest)),
            1 => inner.clone().prop_map(|n| Node::Call("abs", vec![n])),
            2 => (prop::sample::select(vec!["min", "max", "coalesce"]), prop::collection::vec(inner, 1..3)).prop_map(|(name, args)| Node::Call(name, args)),
        ]
    })
}

impl Node {
    /// The formula with no more parentheses than it needs. `level`: 1 for an operand of a sum but the first, 2 for the first operand of a
    /// product, 3 for the others, 4 after a minus.
    fn text(&self, level: u8) -> String {
        let chain = |first: &Node, rest: &[(char, Node)], levels: (u8, u8), parens: bool| {
            let rest: String = rest.iter().map(|(sign, node)| format!(" {sign} {}", node.text(levels.1))).collect();
            let text = first.text(levels.0) + &rest;
            if parens { format!("({text})") } else { text }
        };
        match self {
            Node::A => "a".to_owned(),
            Node::B => "b".to_owned(),
            Node::Number(n, false) => n.to_string(),
            Node::Number(n, true) => format!("{}.{:02}", n / 100, n % 100),
            Node::Minus(inner) if level == 4 => format!("(-{})", inner.text(4)),
            Node::Minus(inner) => format!("-{}", inner.text(4)),
            Node::Sum(first, rest) => chain(first, rest, (0, 1), level >= 1),
            Node::Product(first, rest) => chain(first, rest, (2, 3), level >= 3),
            Node::Call(name, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(|n| n.text(0)).collect();
                format!("{name}({})", arguments.join(", "))
            }
        }
    }

    fn value(&self, a: Option<Fraction>, b: Option<Fraction>) -> Result<Option<Fraction>, Stop> {
        let chain = |first: &Node, rest: &[(char, Node)]| {
            let mut left = first.value(a, b)?;
            for (sign, node) in rest {
                left = match (left, node.value(a, b)?) {
                    (Some(left), Some(right)) => Some(left.with(*sign, right)?),
                    _ => None,
                };
            }
            Ok(left)
        };
        match self {
            Node::A => Ok(a),
            Node::B => Ok(b),
            Node::Number(n, decimals) => Ok(Some(Fraction::new((*n).into(), if *decimals { 100 } else { 1 }))),
            Node::Minus(inner) => Ok(inner.value(a, b)?.map(|f| Fraction { over: -f.over, ..f })),
            Node::Sum(first, rest) | Node::Product(first, rest) => chain(first, rest),
            Node::Call("coalesce", arguments) => {
                for argument in arguments {
                    if let Some(found) = argument.value(a, b)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Node::Call(name, arguments) => {
                let values: Vec<Option<Fraction>> = arguments.iter().map(|n| n.value(a, b)).collect::<Result<_, _>>()?;
                let Some(values) = values.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
                let picked = match *name {
                    "min" => values.into_iter().min_by(Fraction::compare),
                    "max" => values.into_iter().max_by(Fraction::compare),
                    _ => values.first().map(|f| Fraction { over: f.over.abs(), ..*f }),
                };
                Ok(picked)
            }
        }
    }
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    Zero,
    /// The numbers of this test are too small for it: nothing is reported.
    TooLarge,
}

/// `over / under`, in lowest terms, with a positive `under`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fraction {
    over: i128,
    under: i128,
}

impl Fraction {
    fn new(over: i128, under: i128) -> Fraction {
        let (mut a, mut b) = (over.abs(), under);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Fraction { over: over / a.max(1), under: under / a.max(1) }
    }

    fn of(text: &str) -> Fraction {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{decimals}").parse().expect("digits");
        Fraction::new(digits, 10_i128.pow(u32::try_from(decimals.len()).expect("few decimals")))
    }

    fn with(self, sign: char, other: Fraction) -> Result<Fraction, Stop> {
        let times = |a: i128, b: i128| a.checked_mul(b).ok_or(Stop::TooLarge);
        let (over, under) = match sign {
            '*' => (times(self.over, other.over)?, times(self.under, other.under)?),
            '/' if other.over == 0 => return Err(Stop::Zero),
            '/' => {
                // Ten decimals, half away from zero.
                let (over, under) = (times(times(self.over, other.under)?, 10_i128.pow(10))?, times(self.under, other.over)?);
                let (size, by) = (over.abs(), under.abs());
                let rounded = size / by + i128::from(times(size % by, 2)? >= by);
                (if (over < 0) == (under < 0) { rounded } else { -rounded }, 10_i128.pow(10))
            }
            sign => {
                let (left, right) = (times(self.over, other.under)?, times(other.over, self.under)?);
                let over = if sign == '+' { left.checked_add(right) } else { left.checked_sub(right) };
                (over.ok_or(Stop::TooLarge)?, times(self.under, other.under)?)
            }
        };
        Ok(Fraction::new(over, under))
    }

    fn compare(&self, other: &Fraction) -> Ordering {
        (self.over * other.under).cmp(&(other.over * self.under))
    }
}

fn fraction(json: &Json) -> Option<Fraction> {
    (!json.is_null()).then(|| Fraction::of(&json.to_string()))
}

/// What a finding says of a value: the least, the greatest, and how many decimals.
fn range(label: &str) -> (Fraction, Fraction, usize) {
    let numbers = regex::Regex::new(r"-?[0-9]+(\.[0-9]+)?").expect("a pattern");
    let numbers: Vec<&str> = numbers.find_iter(label).map(|m| m.as_str()).collect();
    match (label.contains("decimals"), numbers.as_slice()) {
        (false, [one]) => (Fraction::of(one), Fraction::of(one), 0),
        (false, [min, max]) => (Fraction::of(min), Fraction::of(max), 0),
        (true, [one, scale]) => (Fraction::of(one), Fraction::of(one), scale.parse().expect("a scale")),
        (true, [scale, min, max]) => (Fraction::of(min), Fraction::of(max), scale.parse().expect("a scale")),
        _ => panic!("{label}"),
    }
}

fn mapped(ty: &FieldType, target: &FieldType, entry: &str) -> Compiled {
    compiled(&format!("mapping m: d365.thing -> campaign.thing {{\n  key id -> key\n  {entry}\n}}\n"), &catalogue(ty, target, false))
}

fn names(compiled: &Compiled) -> Vec<&'static str> {
    compiled.diagnostics.iter().map(|d| d.code.name()).collect()
}

#[test]
fn generated_formulas_give_what_arithmetic_with_fractions_gives_and_stay_within_their_range() {
    let types = [
        FieldType::Integer { min: 0, max: 50 },
        FieldType::Integer { min: -300, max: 20 },
        FieldType::Integer { min: 1, max: 9 },
        FieldType::Decimal { scale: 2, min: (-5).into(), max: 100.into() },
        FieldType::Decimal { scale: 1, min: 1.into(), max: 4.into() },
    ];
    let (mut runner, formulas) = (runner(7), node());
    let (mut compared, mut failed, mut refused) = (0, 0, 0);
    for round in 0..500 {
        let ty = &types[round % types.len()];
        let formula = formulas.new_tree(&mut runner).expect("a formula").current();
        let text = format!("= {}", formula.text(0));
        let mut entry = format!("{text} -> x");
        let mut result = mapped(ty, &FieldType::Text { max: None }, &entry);
        let mut or = "";
        if names(&result) == ["D220"] && !result.diagnostics.iter().any(|d| d.label == "always zero") {
            or = [" or null", " or reject", " or default(7)", " | round(3) or null"][round % 4];
            entry = format!("{text}{or} -> x");
            result = mapped(ty, &FieldType::Text { max: None }, &entry);
        }
        if result.plan.is_none() {
            assert!(matches!(names(&result).as_slice(), ["D219" | "D220", ..]), "{entry} {:?}", names(&result));
            refused += 1;
            continue;
        }
        assert!(names(&result).is_empty(), "{entry} {:?}", names(&result));
        // A target that holds next to nothing makes the checker say what the value can be.
        let narrow = mapped(ty, &FieldType::Integer { min: 987_654_321, max: 987_654_321 }, &entry);
        let told = narrow.diagnostics.iter().find(|d| d.code.name() == "D203").map(|d| range(&d.label));
        let values = (value(ty), value(ty));
        for _ in 0..12 {
            let (a, b) = values.new_tree(&mut runner).expect("values").current();
            let outcome = evaluate(&result, &format!("{{\"id\":\"{KEY}\",\"a\":{a},\"b\":{b}}}"));
            let expected = match formula.value(fraction(&a), fraction(&b)) {
                Err(Stop::TooLarge) => continue,
                expected => expected,
            };
            let shown = format!("{entry}\na: {a}, b: {b}: {outcome:?}\n{ty:?}");
            match expected {
                Err(_) => {
                    failed += 1;
                    match or {
                        " or reject" => assert!(outcome.as_ref().is_err_and(|code| code.starts_with("D901")), "{shown}"),
                        " or default(7)" => assert_eq!(outcome.as_deref(), Ok("\"7\""), "{shown}"),
                        _ => assert_eq!(outcome.as_deref(), Ok("null"), "{shown}"),
                    }
                }
                Ok(None) => assert_eq!(outcome.as_deref(), Ok("null"), "{shown}"),
                Ok(Some(number)) => {
                    let text = outcome.as_deref().expect(&shown).trim_matches('"').to_owned();
                    let found = Fraction::of(&text);
                    compared += 1;
                    // What a rounded value can be depends on the target.
                    if or.contains("round") {
                        continue;
                    }
                    assert_eq!(found, number, "{shown}");
                    let (min, max, scale) = told.expect(&shown);
                    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
                    assert!(min.compare(&found).is_le() && found.compare(&max).is_le() && decimals <= scale, "{min:?} {max:?} {shown}");
                }
            }
        }
    }
    assert!(compared > 2_000 && failed > 50 && refused < 200, "{compared} compared, {failed} failed, {refused} refused");
}
