//! The status and substatus that a mapping writes to referrals: only what Partner Center accepts, by its table of transitions.

use super::Context;
use super::entry::Checker;
use super::types::list;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::eval::{Flat, Programs};
use crate::plan::{FieldProgram, Source};
use crate::schema::{Field, FieldType, Table};
use crate::time;
use crate::transitions::{RULES, State, Status, Substatus};

/// The table with the status of a deal.
const REFERRAL: &str = "partner.referral";

/// What a program writes for one value of the field that it reads.
struct Written {
    /// The value that is read, as people write it; none for a fixed value.
    case: Option<String>,
    /// What is written; none if nothing is, or if the record is rejected.
    word: Option<String>,
}

/// Checks the programs that write referrals.
pub(super) fn check(left: &Table, right: &Table, backward: &Checker<'_>, programs: &[FieldProgram], context: &mut Context<'_>) {
    if left.id.to_string() != REFERRAL {
        return;
    }
    let writes = |name: &str| {
        let program = programs.iter().find(|program| program.path == [name])?;
        Some((program, *backward.written.get(name)?))
    };
    let (status, substatus) = (writes("status"), writes("substatus"));
    let (states, span) = match (status, substatus) {
        (None, None) => return,
        (Some((_, span)), None) => return alone(span, context),
        // A substatus brings its status with it.
        (None, Some((program, span))) => {
            let words = written(program, backward, right);
            let states = words.into_iter().filter_map(|Written { case, word }| {
                let substatus = Substatus::from(word?.as_str());
                Some((case, Status::of(&substatus).unwrap_or(Status::None), substatus))
            });
            (states.collect::<Vec<_>>(), span)
        }
        (Some((status, _)), Some((substatus, span))) => {
            let (statuses, substatuses) = (written(status, backward, right), written(substatus, backward, right));
            (together(&statuses, &substatuses, slot(status) == slot(substatus)), span)
        }
    };
    let mut refused = false;
    for (case, status, substatus) in &states {
        if !(State { status: status.clone(), substatus: substatus.clone() }).is_allowed() {
            refused = true;
            report_refused(case.as_deref(), status, substatus, span, context);
        }
    }
    if !refused {
        unreachable(&states, span, context);
    }
}

/// The slot that a program reads, if it is one.
fn slot(program: &FieldProgram) -> Option<u32> {
    match program.columns().as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// What a program writes for each value that it can read; nothing if these are too many to try.
fn written(program: &FieldProgram, backward: &Checker<'_>, right: &Table) -> Vec<Written> {
    let field = slot(program).and_then(|slot| backward.slots.get(slot as usize));
    let values: Vec<(Option<String>, Flat)> = match field {
        None if matches!(program.source, Source::Constant(_)) => vec![(None, Flat::new())],
        None => return Vec::new(),
        Some(slot) => {
            let Some(field) = right.field(&[slot.field.as_str()]) else { return Vec::new() };
            let flat = |json: String| Flat::from([(slot.wire.clone(), json)]);
            values_of(field).into_iter().map(|(case, json)| (Some(format!("`{}` is {case}", field.name)), flat(json))).collect()
        }
    };
    let Ok(ready) = Programs::new(&backward.slots, std::iter::once(program), None, program.at) else { return Vec::new() };
    let now = time::midnight(time::Date::default());
    let run = |(case, flat): (Option<String>, Flat)| {
        let word = ready.run(&flat, now).ok().and_then(|(_, values)| serde_json::from_str::<Option<String>>(values.first()?).ok()?);
        Written { case, word }
    };
    values.into_iter().map(run).collect()
}

/// The values of a field that has few, as people write them and as JSON.
fn values_of(field: &Field) -> Vec<(String, String)> {
    match &field.ty {
        FieldType::Choice(set) => set.options.iter().map(|option| (option.label.clone(), option.value.to_string())).collect(),
        FieldType::Boolean { .. } => ["true", "false"].map(|word| (word.to_owned(), word.to_owned())).to_vec(),
        _ => Vec::new(),
    }
}

/// The states that two programs write. If they read different fields, which values go together is not known: then only a value that fits
/// no value of the other is one that is refused.
fn together(statuses: &[Written], substatuses: &[Written], same_field: bool) -> Vec<(Option<String>, Status, Substatus)> {
    let word = |written: &Written| written.word.clone();
    let of = |case: &Option<String>, status: &str, substatus: &str| (case.clone(), Status::from(status), Substatus::from(substatus));
    if same_field {
        let pairs = statuses.iter().zip(substatuses);
        return pairs.filter_map(|(a, b)| Some(of(&a.case, &word(a)?, &word(b)?))).collect();
    }
    let mut states = Vec::new();
    for one in statuses {
        let all: Vec<_> = substatuses.iter().filter_map(|other| Some(of(&one.case, &word(one)?, &word(other)?))).collect();
        let fits = |(_, status, substatus): &&(Option<String>, Status, Substatus)| {
            State { status: status.clone(), substatus: substatus.clone() }.is_allowed()
        };
        states.extend(all.iter().find(fits).or(all.first()).cloned());
    }
    for other in substatuses {
        let all: Vec<_> = statuses.iter().filter_map(|one| Some(of(&other.case, &word(one)?, &word(other)?))).collect();
        let fits = |(_, status, substatus): &&(Option<String>, Status, Substatus)| {
            State { status: status.clone(), substatus: substatus.clone() }.is_allowed()
        };
        states.extend(all.iter().find(fits).or(all.first()).cloned());
    }
    states
}

fn alone(span: Span, context: &mut Context<'_>) {
    context.report(
        Diagnostic::new(Code::D511, span, "`status` is written without `substatus`", "`Closed` can be won, lost, declined or expired")
            .help("add an entry for `substatus`, such as `substatus <- statecode | map { Open => Accepted; Won => Won; Lost => Lost }`; the status follows from the substatus"),
    );
}

fn report_refused(case: Option<&str>, status: &Status, substatus: &Substatus, span: Span, context: &mut Context<'_>) {
    let when = case.map(|case| format!(" if {case}")).unwrap_or_default();
    let (message, help) = match RULES.iter().find(|rule| rule.status == *status) {
        Some(rule) => {
            let fitting = list(rule.substatus.iter().map(Substatus::as_str), 4);
            let own = Status::of(substatus).map(|own| format!(", or the status `{own}`")).unwrap_or_default();
            (
                format!("Partner Center rejects the substatus `{substatus}` with the status `{status}`"),
                format!("with the status `{status}` the substatus is {fitting}: write one of these{own}"),
            )
        }
        None => {
            let all = RULES.iter().flat_map(|rule| rule.substatus).map(Substatus::as_str);
            (format!("Partner Center rejects the substatus `{substatus}`"), format!("write one of {}", list(all, 8)))
        }
    };
    context.report(Diagnostic::new(Code::D512, span, message, format!("written{when}")).help(help));
}

/// Warns of states that a deal never gets from the one that Partner Center gives to a new deal of ours.
fn unreachable(states: &[(Option<String>, Status, Substatus)], span: Span, context: &mut Context<'_>) {
    let created = State { status: Status::Active, substatus: Substatus::Accepted };
    for (case, status, substatus) in states {
        let to = State { status: status.clone(), substatus: substatus.clone() };
        if created.check_change(&to).is_ok() {
            continue;
        }
        let when = case.as_ref().map(|case| format!("written if {case}")).unwrap_or_else(|| "never accepted".to_owned());
        context.report(
            Diagnostic::new(
                Code::D513,
                span,
                format!("a deal created in Dynamics 365 never has the status `{status}` with the substatus `{substatus}`"),
                when,
            )
            .help(
                "Partner Center accepts such a deal at once (`Active`, `Accepted`), and no deal goes back to an earlier status. Write `Accepted`; \
                 if this is for deals to which others have invited you, allow the warning",
            ),
        );
    }
}
