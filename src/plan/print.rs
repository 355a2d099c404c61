//! The plan for people.

use std::fmt::Write;

use super::{
    Condition, ConditionKind, Const, DatePart, Deletes, ExecutionPlan, FieldProgram, FilteredOut, IngressFlow, Mode, OnFailure, Op,
    Outcome, Picklists, Piece, Read, Rejected, Source, Test,
};

/// What a plan does, in the order in which it does it.
pub fn describe(plan: &ExecutionPlan) -> String {
    let mut out = String::new();
    for (i, flow) in plan.ingress.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        describe_flow(plan, flow, &mut out);
    }
    out
}

fn describe_flow(plan: &ExecutionPlan, flow: &IngressFlow, out: &mut String) {
    let field = |slot: u32| flow.source.slots.get(slot as usize).map_or("?", |s| s.field.as_str());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{}: {} -> {}   ({})", flow.name, flow.source.table, flow.target.table, plan.place(flow.at)));
    let names: Vec<&str> = flow.source.slots.iter().map(|s| s.wire.as_str()).collect();
    let tracking = if flow.source.change_tracking { "with change tracking: full load, then delta links" } else { "full load at every run" };
    line(format!("  read    GET {}, {tracking}", flow.source.collection));
    line(format!("          {} fields: {}", names.len(), names.join(", ")));
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
        let mark = match (is_key, program.initial) {
            (true, _) => "   key",
            (_, true) => "   @initial",
            _ => "",
        };
        line(format!("          {:width$} <- {}{mark}   (line {})", program.path.join("."), value(program, &field), program.at.line));
    }
    let policy = flow.policy;
    line(format!(
        "  policy  deletes {}, filtered-out {}, picklists {}, rejected {}",
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
        }
    ));
    line("  calls   1 for a created, 1 for a changed, 1 for a deleted, 0 for an unchanged record".to_owned());
}

fn condition<'f>(one: &Condition, indent: usize, field: &dyn Fn(u32) -> &'f str, out: &mut String) {
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
            let text = match test {
                Test::Present => "is present".to_owned(),
                Test::Empty => "is empty".to_owned(),
                Test::Relation(relation, value) => format!("{} {}", relation.sign(), constant(value)),
                Test::In(values) => format!("in ({})", values.iter().map(constant).collect::<Vec<_>>().join(", ")),
                Test::Between(low, high) => format!("between {} and {}", constant(low), constant(high)),
                Test::Within(seconds) => format!("changed within {}", duration(*seconds)),
                Test::Text(test, text) => format!("{} \"{text}\"", test.words()),
                Test::Matches(pattern) => format!("matches \"{pattern}\""),
                Test::HasOption(option) => format!("contains {option}"),
            };
            let _ = writeln!(out, "{pad}{not}{} {text}", field(*slot));
        }
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s => format!("{}m", s / 60),
    }
}

fn constant(value: &Const) -> String {
    match value {
        Const::Null => "null".to_owned(),
        Const::Boolean(b) => b.to_string(),
        Const::Integer(n) => n.to_string(),
        Const::Decimal(d) => d.to_string(),
        Const::Text(text) => format!("{text:?}"),
        Const::Date(date) => date.to_string(),
        Const::Instant(instant) => crate::time::format_instant(*instant),
    }
}

fn read<'f>(one: &Read, field: &dyn Fn(u32) -> &'f str) -> String {
    let name = field(one.slot);
    match &one.replace {
        None => name.to_owned(),
        Some(table) => {
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
            if table.null != Outcome::Keep {
                arms.push(format!("null => {}", outcome(&table.null)));
            }
            arms.push(format!("else => {}", outcome(&table.otherwise)));
            format!("{name} {{{}}}", arms.join("; "))
        }
    }
}

fn value<'f>(program: &FieldProgram, field: &dyn Fn(u32) -> &'f str) -> String {
    let mut text = match &program.source {
        Source::Field(one) => read(one, field),
        Source::Constant(one) => constant(one),
        Source::Template(pieces) => {
            let inner = pieces.iter().map(|p| match p {
                Piece::Text(text) => text.clone(),
                Piece::Field(one) => format!("{{{}}}", field(one.slot)),
            });
            format!("\"{}\"", inner.collect::<String>())
        }
        Source::Coalesce(reads) => format!("coalesce({})", reads.iter().map(|r| read(r, field)).collect::<Vec<_>>().join(", ")),
    };
    for step in &program.steps {
        let op = match &step.op {
            Op::Trim => "trim".to_owned(),
            Op::Lower => "lower".to_owned(),
            Op::Upper => "upper".to_owned(),
            Op::Truncate(n) => format!("truncate({n})"),
            Op::Default(value) => format!("default({})", constant(value)),
            Op::Coalesce(reads) => format!("coalesce({})", reads.iter().map(|r| read(r, field)).collect::<Vec<_>>().join(", ")),
            Op::Round { scale, .. } => format!("round({scale})"),
            Op::ParseDate(parts) => format!("date(\"{}\")", parts.iter().map(date_part).collect::<String>()),
            Op::DayOfInstant => "date".to_owned(),
            Op::Midnight => "(midnight UTC)".to_owned(),
            Op::ToText => "(as text)".to_owned(),
        };
        let _ = write!(text, " | {op}");
        match &step.on_failure {
            None => {}
            Some(OnFailure::Null) => text.push_str(" or null"),
            Some(OnFailure::Default(value)) => {
                let _ = write!(text, " or default({})", constant(value));
            }
            Some(OnFailure::Keep) => text.push_str(" or keep"),
            Some(OnFailure::Reject) => text.push_str(" or reject"),
        }
    }
    text
}

fn date_part(part: &DatePart) -> &str {
    match part {
        DatePart::Year => "yyyy",
        DatePart::Month => "MM",
        DatePart::MonthShort => "M",
        DatePart::Day => "dd",
        DatePart::DayShort => "d",
        DatePart::Text(text) => text,
    }
}
