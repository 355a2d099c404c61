//! The plan for people.

use crate::count::counted;
use crate::steps::Operate;
use crate::value::constant;
use std::fmt::Write;

use super::{
    Branch, BranchResult, Column, Condition, ConditionKind, Conflicts, Deletes, Direction, Elapsed, EventFlow, EventPiece, ExecutionPlan,
    FieldProgram, FilteredOut, Formula, IngressFlow, KeyAbsent, LinkAbsent, LinkTo, Lookup, LookupTable, Meaning, Mode, OnFailure, Op,
    Operator, OptoutFlow, Otherwise, Outcome, Picklists, Piece, Read, Rejected, RelativeBase, Replacement, Scope, Slot, Source, Step, Term,
    Test, TwoWayFlow, Until, Written,
};

/// What a plan does, in the order in which it does it.
pub fn describe(plan: &ExecutionPlan) -> String {
    let mut out = String::new();
    for flow in &plan.ingress {
        describe_flow(plan, flow, &mut out);
        out.push('\n');
    }
    for flow in &plan.optouts {
        describe_optout(plan, flow, &mut out);
        out.push('\n');
    }
    for flow in &plan.events {
        describe_events(plan, flow, &mut out);
        out.push('\n');
    }
    for flow in &plan.two_way {
        describe_two_way(plan, flow, &mut out);
        out.push('\n');
    }
    for table in &plan.tables {
        describe_table(plan, table, &mut out);
        out.push('\n');
    }
    out.pop();
    out
}

/// What a mapping does, without places in files.
pub(super) fn flow_text(plan: &ExecutionPlan, flow: &IngressFlow) -> String {
    without_places(|out| describe_flow(plan, flow, out))
}

/// As [`flow_text`], for opt-outs.
pub(super) fn optout_text(plan: &ExecutionPlan, flow: &OptoutFlow) -> String {
    without_places(|out| describe_optout(plan, flow, out))
}

/// As [`flow_text`], for events.
pub(super) fn events_text(plan: &ExecutionPlan, flow: &EventFlow) -> String {
    without_places(|out| describe_events(plan, flow, out))
}

/// As [`flow_text`], for a two-way mapping.
pub(super) fn two_way_text(plan: &ExecutionPlan, flow: &TwoWayFlow) -> String {
    without_places(|out| describe_two_way(plan, flow, out))
}

/// A description whose lines do not end with their places: the first one with that of the workflow, others with `(line 12)`.
fn without_places(describe: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    describe(&mut text);
    let line = |(number, line): (usize, &str)| {
        let place = line.rfind("   (").filter(|at| number == 0 || line[*at..].starts_with("   (line "));
        format!("{}\n", place.map_or(line, |at| &line[..at]))
    };
    text.lines().enumerate().map(line).collect()
}

fn describe_table(plan: &ExecutionPlan, table: &LookupTable, out: &mut String) {
    let names = |columns: &[Column]| columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let rows = counted(table.row_count(), "row");
    // Writing into a String cannot fail, here and below.
    let _ = writeln!(out, "table {}: {rows} of {}   ({})", table.name, table.file, plan.place(table.at));
    let _ = writeln!(out, "  key     {}", names(&table.keys));
    for (at, column) in table.columns.iter().enumerate() {
        let _ = writeln!(out, "  value   {} (rows {})", column.name, table.hash(at).get(..8).unwrap_or_default());
    }
}

fn describe_events(plan: &ExecutionPlan, flow: &EventFlow, out: &mut String) {
    let names: Vec<&str> = flow.types.iter().map(|t| t.name()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    // Writing into a String cannot fail, here and below.
    let _ = writeln!(out, "{}: events to {}   ({})\n  types   {names}", flow.name, flow.table, plan.place(flow.at));
    for activity in &flow.activities {
        let _ = writeln!(out, "          {:6} -> {}   (line {})", activity.kind.name(), activity.table, activity.at.line);
    }
    for column in &flow.columns {
        let _ = writeln!(out, "  write   {} <- {}   (line {})", column.column, event_text(&column.value), column.at.line);
    }
    for activity in &flow.activities {
        if let Some(task) = &activity.task {
            let _ = writeln!(out, "  task    for each {}: {}", activity.kind.name(), event_text(task));
        }
    }
    let _ = writeln!(out, "  then    {}", if flow.completed { "completed" } else { "left open" });
}

fn event_text(pieces: &[EventPiece]) -> String {
    if let [EventPiece::Field(field)] = pieces {
        return field.name().to_owned();
    }
    let text = pieces.iter().map(|p| match p {
        EventPiece::Text(text) => text.replace('{', "\\{").replace('"', "\\\""),
        EventPiece::Field(field) => format!("{{{}}}", field.name()),
    });
    format!("\"{}\"", text.collect::<String>())
}

fn describe_optout(plan: &ExecutionPlan, flow: &OptoutFlow, out: &mut String) {
    let direction = match flow.direction {
        Direction::Disabled => "disabled",
        Direction::D365ToCampaign => "Dynamics to Campaign: opt-outs always, consents if Dynamics changes to them",
        Direction::CampaignToD365 => "Campaign to Dynamics: Campaign's changes overwrite",
        Direction::Bidirectional => "both ways: the later change wins, an opt-out where that is not decided",
    };
    let what = if flow.topics { "topics" } else { "opt-outs" };
    let _ = writeln!(out, "{what} of {}: {direction}   ({})", flow.mapping, plan.place(flow.at));
    for pair in &flow.pairs {
        let not = if pair.inverted { "not " } else { "" };
        let cases = pair.meaning.as_ref().map(|meaning| format!(" {}", meanings(meaning))).unwrap_or_default();
        let target = if flow.topics { format!("subscription \"{}\"", pair.target) } else { pair.target.clone() };
        let _ = writeln!(out, "          {} <-> {not}{target}{cases}   (line {})", pair.source, pair.at.line);
    }
}

/// Which values mean that a person has opted out, and what is written to Dynamics.
fn meanings(meaning: &Meaning) -> String {
    let written = |value: &Option<Written>| match value {
        Some(Written::Constant(value)) => constant(value),
        Some(Written::Now) => "the time of the run".to_owned(),
        None => String::new(),
    };
    let cases = replacement(&meaning.cases).replace("=> true", "=> out").replace("=> false", "=> in");
    match (&meaning.opted_out, &meaning.opted_in) {
        (None, None) => cases,
        (out, consent) => format!("{cases}, writes {} for `out` and {} for `in`", written(out), written(consent)),
    }
}

fn describe_two_way(plan: &ExecutionPlan, flow: &TwoWayFlow, out: &mut String) {
    let _ = writeln!(out, "{}: {} <-> {}   ({})", flow.name, flow.left.table, flow.right.table, plan.place(flow.at));
    let _ = writeln!(out, "  key     {} <-> {}", flow.left.key, flow.right.key);
    for (programs, slots, to) in
        [(&flow.forward, &flow.left.slots, &flow.right.table), (&flow.backward, &flow.right.slots, &flow.left.table)]
    {
        let _ = writeln!(out, "  write   {to}");
        let field = |slot: u32| slots.get(slot as usize).map_or("?".to_owned(), read_from);
        for program in programs {
            let mark = if program.initial { "   @initial" } else { "" };
            let _ = writeln!(out, "          {} <- {}{mark}   (line {})", program.path.join("."), value(program, &field), program.at.line);
        }
    }
    for link in &flow.links {
        let field = |slot: u32| flow.left.slots.get(slot as usize).map_or("?".to_owned(), read_from);
        let otherwise = match link.otherwise {
            Otherwise::Create => "create it",
            Otherwise::Null => "leave the lookup as it is",
            Otherwise::Reject => "reject the deal",
        };
        let find = if link.by.is_empty() { String::new() } else { format!(" by {}, or {otherwise}", link.by.join(", ")) };
        let _ = writeln!(out, "  link    {} to {}{find}   (line {})", link.column, link.table, link.at.line);
        for program in &link.fields {
            let _ = writeln!(out, "          {} <- {}   (line {})", program.path.join("."), value(program, &field), program.at.line);
        }
    }
    for rows in &flow.rows {
        let _ = writeln!(
            out,
            "  rows    {} and {} by {} and {}   (line {})",
            rows.list.join("."),
            rows.table,
            rows.item_key,
            rows.row_key,
            rows.at.line
        );
        for (programs, slots) in [(&rows.forward, &rows.items), (&rows.backward, &rows.rows)] {
            let field = |slot: u32| slots.get(slot as usize).map_or("?".to_owned(), read_from);
            for program in programs {
                let _ = writeln!(out, "          {} <- {}   (line {})", program.path.join("."), value(program, &field), program.at.line);
            }
        }
    }
    let scope = match flow.scope {
        Scope::All => "all",
        Scope::CoSell => "co-sell",
    };
    let conflicts = match flow.conflicts {
        Conflicts::Newest => "the later change wins",
        Conflicts::Left => "the left side wins",
        Conflicts::Right => "the right side wins",
        Conflicts::Report => "neither side is written: a person decides",
    };
    let mark = if flow.check_mark { ", check mark in names" } else { "" };
    let _ = writeln!(out, "  policy  scope {scope}, in a conflict {conflicts}{mark}");
}

fn describe_flow(plan: &ExecutionPlan, flow: &IngressFlow, out: &mut String) {
    let field = |slot: u32| flow.source.slots.get(slot as usize).map_or("?".to_owned(), read_from);
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{}: {} -> {}   ({})", flow.name, flow.source.table, flow.target.table, plan.place(flow.at)));
    let names = flow.source.select();
    let beside = if flow.source.annotations() { ", names and tables of lookups" } else { "" };
    let tracking = if flow.source.change_tracking { "with change tracking: full load, then delta links" } else { "full load at every run" };
    line(format!("  read    GET {}, {tracking}", flow.source.collection));
    line(format!("          {}: {}{beside}", counted(names.len(), "field"), names.join(", ")));
    for table in &flow.related.tables {
        let lookups = flow.related.lookups.iter().filter(|lookup| flow.related.table_of(lookup) == Some(table));
        let paths: Vec<&str> = lookups.map(|lookup| lookup.path.as_str()).collect();
        let columns = table.select();
        let columns: Vec<&str> = columns.iter().skip(1).map(String::as_str).collect();
        line(format!("  follow  GET {}, with change tracking, for {}", table.collection, paths.join(", ")));
        line(format!("          {}: {}", counted(columns.len(), "field"), columns.join(", ")));
    }
    match &flow.filter {
        None => line("  keep    every record".to_owned()),
        Some(filter) => {
            line("  keep    records for which".to_owned());
            let mut text = String::new();
            condition(filter, 5, &field, &mut text);
            line(text.trim_end().to_owned());
        }
    }
    let width = std::iter::once(&flow.key).chain(&flow.fields).map(|f| f.path.join(".").len()).max().unwrap_or(0);
    line(format!("  write   {} (POST, PATCH and DELETE by key)", flow.target.collection));
    for (program, is_key) in std::iter::once((&flow.key, true)).chain(flow.fields.iter().map(|f| (f, false))) {
        let mark = match (is_key, program.initial, program.create_only) {
            (true, ..) => "   key",
            (_, true, _) => "   @initial",
            (.., true) => "   when the record is made",
            (false, false, false) => "",
        };
        let present = if program.present { "   @present" } else { "" };
        line(format!(
            "          {:width$} <- {}{mark}{present}   (line {})",
            program.path.join("."),
            value(program, &field),
            program.at.line
        ));
    }
    if !flow.adopt.is_empty() {
        let by: Vec<&str> = flow.adopt.iter().map(|by| by.attribute.as_str()).collect();
        line(format!("  adopt   a record without a key that is found by {}", by.join(", then by ")));
    }
    let policy = flow.policy;
    line(format!(
        "  policy  deletes {}, filtered-out {}, picklists {}, rejected {}{}{}",
        match policy.deletes {
            Deletes::Ignore => "are ignored",
            Deletes::Propagate => "are propagated",
        },
        match policy.filtered_out {
            FilteredOut::Keep => "kept",
            FilteredOut::Delete => "deleted",
        },
        match policy.picklists {
            Picklists::Values => "by value",
            Picklists::Labels => "by label",
        },
        match policy.rejected {
            Rejected::DeadLetter => "to dead letters",
            Rejected::Stop => "stops the run",
        },
        policy.reconcile.map(|seconds| format!(", compared every {}", duration(seconds))).unwrap_or_default(),
        if policy.refresh_daily { ", all records evaluated every day" } else { "" }
    ));
    let searched = if flow.adopt.is_empty() { "" } else { " and 1 for each search before that" };
    line(format!("  calls   1 for a created{searched}, 1 for a changed, 1 for a deleted, 0 for an unchanged record"));
}

/// What a slot is read from, as a mapping file writes it.
fn read_from(slot: &Slot) -> String {
    // The name of a lookup's record is the one annotation that is written into fields.
    if slot.is_annotation() { format!("{} | label", slot.field) } else { slot.field.clone() }
}

fn condition(one: &Condition, indent: usize, field: &dyn Fn(u32) -> String, out: &mut String) {
    let pad = "  ".repeat(indent);
    let not = if one.negated { "not " } else { "" };
    match &one.kind {
        ConditionKind::Group { mode, conditions } => {
            let word = match mode {
                Mode::All => "all",
                Mode::Any => "any",
            };
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(out, "{pad}{not}{word} of");
            for inner in conditions {
                condition(inner, indent + 1, field, out);
            }
        }
        ConditionKind::Test { slot, test } => {
            let text = test_text(test, field);
            let _ = writeln!(out, "{pad}{not}{} {text}", field(*slot));
        }
    }
}

/// A test in the words of the language.
pub(crate) fn test_text(test: &Test, field: &dyn Fn(u32) -> String) -> String {
    match test {
        Test::Present => "is present".to_owned(),
        Test::Empty => "is empty".to_owned(),
        Test::Relation(relation, value) => format!("{} {}", relation.sign(), constant(value)),
        Test::Field(relation, other) => format!("{} {}", relation.sign(), field(*other)),
        Test::In(values) => format!("in ({})", values.iter().map(constant).collect::<Vec<_>>().join(", ")),
        Test::Between(low, high) => format!("between {} and {}", constant(low), constant(high)),
        Test::Within(seconds) => format!("changed within {}", duration(*seconds)),
        Test::Relative { relation, base, offset } => {
            let base = match base {
                RelativeBase::Now => "now",
                RelativeBase::Today => "today",
            };
            let sign = if *offset < 0 { '-' } else { '+' };
            match offset {
                0 => format!("{} {base}", relation.sign()),
                offset => format!("{} {base} {sign} {}", relation.sign(), duration(offset.unsigned_abs())),
            }
        }
        Test::Text(test, text) => format!("{} \"{text}\"", test.words()),
        Test::Matches(pattern) => format!("matches {pattern:?}"),
        Test::HasOption(option) => format!("contains {option}"),
    }
}

/// A condition in one line, with `and`, `or` and parentheses. `strength`: 1 within `and`, 2 after `not`.
fn in_one_line(one: &Condition, strength: u8, field: &dyn Fn(u32) -> String) -> String {
    let not = if one.negated { "not " } else { "" };
    match &one.kind {
        ConditionKind::Test { slot, test } => format!("{not}{} {}", field(*slot), test_text(test, field)),
        ConditionKind::Group { mode, conditions } => {
            let (word, own) = match mode {
                Mode::All => (" and ", 1),
                Mode::Any => (" or ", 0),
            };
            let inner: Vec<String> = conditions.iter().map(|c| in_one_line(c, own + 1, field)).collect();
            let text = inner.join(word);
            if own < strength || one.negated { format!("{not}({text})") } else { text }
        }
    }
}

fn branches(branches: &[Branch], field: &dyn Fn(u32) -> String) -> String {
    let texts = branches.iter().map(|branch| {
        let condition = branch.condition.as_ref().map_or_else(|| "else".to_owned(), |c| in_one_line(c, 0, field));
        let result = match &branch.result {
            BranchResult::Value { source, steps, present } => {
                let unless = if *present { " (unchanged if empty)" } else { "" };
                format!("{}{unless}", piped(source, steps, field))
            }
            BranchResult::Reject => "reject".to_owned(),
            BranchResult::Unchanged => "unchanged".to_owned(),
            BranchResult::Uncovered(slot) => format!("null if {} is empty, reject if not (not in the schema)", field(*slot)),
        };
        format!("{condition} => {result}")
    });
    format!("case {{{}}}", texts.collect::<Vec<_>>().join("; "))
}

/// An interval as the language writes it: `7d`, `12h`, `5m`.
fn duration(seconds: u64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s => format!("{}m", s / 60),
    }
}

fn read(one: &Read, field: &dyn Fn(u32) -> String) -> String {
    let name = field(one.slot);
    let text = match &one.replace {
        None => name,
        Some(table) => format!("{name} {}", replacement(table)),
    };
    with_steps(text, &one.steps, field)
}

fn replacement(table: &Replacement) -> String {
    let outcome = |o: &Outcome| match o {
        Outcome::Value(value) => constant(value),
        Outcome::Keep => "keep".to_owned(),
        Outcome::Reject(_) => "reject".to_owned(),
        Outcome::Unknown => "reject (not in the schema)".to_owned(),
    };
    let mut arms: Vec<String> = table.entries.iter().take(6).map(|(k, o)| format!("{} => {}", constant(k), outcome(o))).collect();
    if table.entries.len() > 6 {
        arms.push(format!("{} more", table.entries.len() - 6));
    }
    // A comparison with constants names no field.
    arms.extend(table.tests.iter().map(|(test, o)| format!("{} => {}", test_text(test, &|_| String::new()), outcome(o))));
    if table.null != Outcome::Keep {
        arms.push(format!("null => {}", outcome(&table.null)));
    }
    arms.push(format!("else => {}", outcome(&table.otherwise)));
    format!("{{{}}}", arms.join("; "))
}

fn template(pieces: &[Piece], field: &dyn Fn(u32) -> String) -> String {
    let inner = pieces.iter().map(|p| match p {
        Piece::Text(text) => text.clone(),
        Piece::Field(one) => format!("{{{}}}", with_steps(field(one.slot), &one.steps, field)),
    });
    format!("\"{}\"", inner.collect::<String>())
}

fn reads(reads: &[Read], field: &dyn Fn(u32) -> String) -> String {
    reads.iter().map(|r| read(r, field)).collect::<Vec<_>>().join(", ")
}

/// What happens if a step or a formula fails.
fn outcome(on_failure: &OnFailure) -> String {
    match on_failure {
        OnFailure::Null => " or null".to_owned(),
        OnFailure::Default(value) => format!(" or default({})", constant(value)),
        OnFailure::Keep => " or keep".to_owned(),
        OnFailure::Reject => " or reject".to_owned(),
    }
}

/// A formula. The steps that a failure skips are within parentheses with it, unless the `or` of the last one says the same.
fn formula(one: &Formula, field: &dyn Fn(u32) -> String) -> String {
    let calculation = format!("= {}", term(&one.term, field, 0));
    let or = one.on_failure.as_ref().map(outcome).unwrap_or_default();
    match one.steps.last() {
        None => format!("{calculation}{or}"),
        Some(last) if last.on_failure == one.on_failure => with_steps(calculation, &one.steps, field),
        Some(_) => with_steps(calculation, &one.steps, field) + &or,
    }
}

/// A part of a formula; in parentheses if what is around it binds tighter. `strength`: 1 within a sum, 2 within a product, 3 after a
/// minus.
fn term(one: &Term, field: &dyn Fn(u32) -> String, strength: u8) -> String {
    let all = |name: &str, terms: &[Term]| {
        let terms: Vec<String> = terms.iter().map(|one| term(one, field, 0)).collect();
        format!("{name}({})", terms.join(", "))
    };
    match one {
        Term::Field(one) => read(one, field),
        Term::Number(number) => number.to_string(),
        Term::Negative(inner) => format!("-{}", term(inner, field, 3)),
        Term::Absolute(inner) => all("abs", std::slice::from_ref(inner)),
        Term::Chain { first, rest } => {
            let sum = rest.iter().any(|part| matches!(part.operator, Operator::Add | Operator::Subtract));
            let own = if sum { 1 } else { 2 };
            // A chain has the operators of one level.
            let mut text = term(first, field, own + 1);
            for part in rest {
                let _ = write!(text, " {} {}", part.operator.sign(), term(&part.term, field, own + 1));
            }
            if own < strength { format!("({text})") } else { text }
        }
        Term::Coalesce(terms) => all("coalesce", terms),
        Term::Min(terms) => all("min", terms),
        Term::Max(terms) => all("max", terms),
        Term::Lookup(by) => {
            format!("lookup({}, {}) {}", by.lookup.name(), reads(&by.keys, field), rows_of(&by.lookup)).trim_end().to_owned()
        }
    }
}

fn value(program: &FieldProgram, field: &dyn Fn(u32) -> String) -> String {
    let mut text = piped(&program.source, &program.steps, field);
    if let Some(LinkTo { table, key, absent, .. }) = &program.link_to {
        let absent = match absent {
            KeyAbsent::Reject => "or reject".to_owned(),
            KeyAbsent::Null => "or null".to_owned(),
            KeyAbsent::Default(other) => format!("or default({other:?})"),
        };
        let _ = write!(text, " | link {table} by {key} {absent}");
    }
    text
}

fn piped(source: &Source, steps: &[Step], field: &dyn Fn(u32) -> String) -> String {
    let text = match source {
        Source::Field(one) => read(one, field),
        Source::Constant(one) => constant(one),
        Source::Template(pieces) => template(pieces, field),
        Source::Coalesce(fields) => format!("coalesce({})", reads(fields, field)),
        Source::Join { separator, reads: fields } => format!("join({separator:?}, {})", reads(fields, field)),
        Source::Case(list) => branches(list, field),
        Source::Formula(one) => formula(one, field),
        Source::Lookup(by) => format!(
            "lookup({}, {}) {}{}",
            by.lookup.name(),
            reads(&by.keys, field),
            rows_of(&by.lookup),
            by.on_failure.as_ref().map(outcome).unwrap_or_default()
        ),
    };
    with_steps(text, steps, field)
}

fn with_steps(mut text: String, steps: &[Step], field: &dyn Fn(u32) -> String) -> String {
    for step in steps {
        let op = match &step.op {
            Op::Step(operation) => operation.written(),
            Op::Coalesce(fields) => format!("coalesce({})", reads(fields, field)),
            Op::Midnight => "(midnight UTC)".to_owned(),
            Op::Concat(pieces) => format!("concat({})", template(pieces, field)),
            Op::PhoneIn(phone) => {
                let otherwise = phone.otherwise.as_ref().map(|code| format!(", \"{code}\"")).unwrap_or_default();
                format!("phone({}{otherwise})", read(&phone.country, field))
            }
            Op::LocalIn(local) => {
                let otherwise = local.otherwise.as_ref().map(|zone| format!(", \"{zone}\"")).unwrap_or_default();
                format!("local({}{otherwise})", read(&local.zone, field))
            }
            Op::Elapsed(Elapsed { unit, until: Until::Today }) => format!("{}(today)", unit.name()),
            Op::Elapsed(Elapsed { unit, until: Until::Field(one) }) => format!("{}({})", unit.name(), read(one, field)),
            Op::Labels { separator, sorted: true, .. } => format!("label({separator:?}, sorted)"),
            Op::Labels { separator, sorted: false, .. } => format!("label({separator:?})"),
            Op::Map(table) => format!("{} {}", if table.labels { "label" } else { "map" }, replacement(table)),
            Op::Lookup(lookup) => format!("lookup {} {}", lookup.name(), rows_of(lookup)),
            Op::Not => "not".to_owned(),
            Op::Link { mapping, absent, .. } => {
                let or = match absent {
                    LinkAbsent::Wait => "",
                    LinkAbsent::Null => " or null",
                    LinkAbsent::Later => " or later",
                };
                format!("link {mapping}{or}")
            }
        };
        let _ = write!(text, " | {op}");
        text.push_str(&step.on_failure.as_ref().map(outcome).unwrap_or_default());
    }
    text
}

/// Which rows a lookup finds: another fingerprint tells that they have changed.
fn rows_of(lookup: &Lookup) -> String {
    format!("(rows {})", lookup.hash.get(..8).unwrap_or(&lookup.hash))
}
