//! Opt-out and privacy: the eight attributes, the directions, and personal data that a privacy request would not reach.
//!
//! Sources: the integration's documentation of opt-out synchronisation (the fixed list of attributes, any boolean field on the
//! other side, contacts and profiles only) and of data privacy (personal data belongs into resources linked to the profile).

mod topics;

use std::collections::{BTreeMap, BTreeSet};

use super::entry::Checker;
use super::names::{self, SourceField, TargetField};
use super::options::{self, DIRECTIONS};
use super::through;
use super::{Context, MappingInfo, meanings};
use crate::diagnostics::{Code, Diagnostic, Span, near};
use crate::plan::{
    At, Const, Direction, FieldProgram, Op, OptoutFlow, OptoutPair, Outcome, Read, Replacement, SlotKind, Source, Step, constant,
};
use crate::schema::{Catalogue, Field, FieldType, SystemId, Table, TableId};
use crate::steps::{Operate, default_to};
use crate::syntax::ast::{self, FieldMapping, Optout, OptoutTarget};

/// The attributes of a profile that opt-outs can be written to, by their names in the product; the REST names of the seven
/// that begin with `denyList` begin with `blackList`.
pub const ATTRIBUTES: [&str; 8] = [
    "denyList",
    "denyListEmail",
    "denyListFax",
    "denyListMobile",
    "denyListPhone",
    "denyListPostalMail",
    "denyListPushnotification",
    "ccpaOptOut",
];

/// Whether a field of a profile is one of [`ATTRIBUTES`], by its name or by another one that it has.
pub fn is_optout(field: &Field) -> bool {
    let known =
        |name: &str| ATTRIBUTES.iter().any(|a| a.eq_ignore_ascii_case(name) || a.replace("deny", "black").eq_ignore_ascii_case(name));
    known(&field.name) || field.aliases.iter().any(|a| known(a))
}

/// The direction that a block names; `None` if it names none that is known.
pub(super) fn direction(block: &Optout) -> Option<Direction> {
    match block.directions.first()?.value.text.as_str() {
        "disabled" => Some(Direction::Disabled),
        "d365-to-campaign" => Some(Direction::D365ToCampaign),
        "campaign-to-d365" => Some(Direction::CampaignToD365),
        "bidirectional" => Some(Direction::Bidirectional),
        _ => None,
    }
}

/// What an opt-out block adds to a mapping.
pub(super) struct CheckedOptout {
    /// Fields of the mapping itself, written when a record is made and never again.
    pub(super) programs: Vec<FieldProgram>,
    /// Separate workflows, unless the direction is `disabled`: one of the attributes, and one of the topics.
    pub(super) flows: Vec<OptoutFlow>,
}

/// Checks the opt-out block of a mapping whose other entries are checked.
pub(super) fn check(block: &Optout, checker: &mut Checker<'_>, context: &mut Context<'_>) -> Option<CheckedOptout> {
    let (source, target) = (checker.source.clone(), checker.target.clone());
    if source.id != TableId::new(SystemId::D365, "contact") || target.id != TableId::new(SystemId::Campaign, "profile") {
        context.report(
            Diagnostic::new(
                Code::D606,
                block.mapping.span,
                "only contacts and profiles have opt-outs",
                format!("`{}` maps {} to {}", block.mapping.text, source.id, target.id),
            )
            .help("name the mapping from d365.contact to campaign.profile"),
        );
        return None;
    }
    // A second direction is reported with the blocks.
    options::chosen(block.directions.iter().take(1), DIRECTIONS, context);
    if block.directions.is_empty() && !block.unread {
        context.report(
            Diagnostic::new(Code::D607, block.mapping.span, "this block does not say in which direction opt-outs go", "no `direction`")
                .help(
                    "write `direction bidirectional`, `direction d365-to-campaign`, `direction campaign-to-d365` or `direction disabled`",
                ),
        );
    }
    let direction = direction(block);
    let (mut pairs, mut topics) = (Vec::new(), Vec::new());
    let mut complete = !block.unread;
    let (mut sources, mut targets): (BTreeMap<String, Span>, BTreeMap<String, Span>) = (BTreeMap::new(), BTreeMap::new());
    for pair in &block.pairs {
        let checked = match &pair.target {
            OptoutTarget::Attribute(path) => check_pair(pair, path, &source, &target, context).map(|(from, to)| {
                let name = to.path.join(".");
                pairs.push((pair, from.clone(), to));
                (from, name)
            }),
            OptoutTarget::Subscription(to) => topics::check(pair, to, &source, direction, context).map(|from| {
                topics.push((pair, from.clone()));
                (from, pair.target.text())
            }),
        };
        let Some((from, to)) = checked else {
            complete = false;
            continue;
        };
        let what = if pair.target.is_subscription() { "service" } else { "field" };
        let sides = [
            (from.name, pair.source.span, pair.source.text(), "field", &mut sources),
            (to, pair.target.span(), pair.target.text(), what, &mut targets),
        ];
        for (name, span, text, what, seen) in sides {
            if let Some(first) = seen.insert(name, span) {
                complete = false;
                context.report(
                    Diagnostic::new(Code::D605, span, format!("`{text}` is in two pairs"), "the second one")
                        .related(first, "the first one")
                        .help(format!("each {what} can be in only one pair: remove one of the two")),
                );
            }
        }
    }
    complete &= topics::are_few(block, context);
    complete.then_some(())?;
    match direction? {
        Direction::Disabled => Some(CheckedOptout { programs: Vec::new(), flows: Vec::new() }),
        // Opt-outs are a separate workflow in every direction: whatever happens to the record, they continue.
        direction @ (Direction::D365ToCampaign | Direction::CampaignToD365 | Direction::Bidirectional) => {
            let topics = topics::flow(&topics, block, checker.name, source.id.system, context)?;
            let mut kept = Vec::with_capacity(pairs.len());
            let mut programs = Vec::with_capacity(pairs.len());
            for (pair, from, to) in pairs {
                if direction != Direction::D365ToCampaign && !from.field.updatable {
                    context.report(read_only(&from, pair.source.span));
                    return None;
                }
                let meaning = match &pair.cases {
                    Some(cases) => {
                        let kind = super::entry::kind_of(&from.field);
                        Some(Box::new(meanings::check(pair, cases, &from, kind, direction, context)?))
                    }
                    None => None,
                };
                kept.push(OptoutPair {
                    at: context.at(pair.span),
                    source: from.field.wire_name(source.id.system),
                    target: to.path.join("."),
                    inverted: pair.inverted,
                    meaning: meaning.clone(),
                });
                // A profile begins with what its contact says: there is no moment in which it can be written to against that.
                let cases = meaning.map(|meaning| meaning.cases);
                programs.push(FieldProgram { create_only: true, ..program(pair, cases, &from, to, checker, context) });
            }
            let at = context.at(block.mapping.span);
            let flow = OptoutFlow { mapping: checker.name.to_owned(), at, direction, pairs: kept, topics: false };
            // A block of topics alone has no attributes to move.
            let attributes = (!flow.pairs.is_empty() || topics.is_none()).then_some(flow);
            Some(CheckedOptout { programs, flows: attributes.into_iter().chain(topics).collect() })
        }
    }
}

fn check_pair(
    pair: &ast::OptoutPair,
    attribute: &ast::Path,
    source: &Table,
    target: &Table,
    context: &mut Context<'_>,
) -> Option<(SourceField, TargetField)> {
    let from = names::source_field(&pair.source, source, context);
    let to = names::target_field(attribute, target, false, context);
    let (from, to) = (from?, to?);
    let mut fits = is_own(pair, &from, context)?;
    fits &= can_opt_out(pair, &from, context);
    if !is_optout(&to.field) {
        fits = false;
        let diagnostic =
            Diagnostic::new(Code::D601, attribute.span, format!("`{}` is not an opt-out attribute", attribute.text()), "not an opt-out")
                .meant(near(&attribute.text(), ATTRIBUTES), attribute.span, || {
                    format!("the attributes are {}", super::types::list(ATTRIBUTES, 8))
                });
        context.report(diagnostic);
    }
    fits.then_some((from, to))
}

/// `Some(true)` if the field is one of the contact itself; reports another one.
fn is_own(pair: &ast::OptoutPair, from: &SourceField, context: &mut Context<'_>) -> Option<bool> {
    if from.through.is_some() {
        context.report(through::only_own(&from.name, "an opt-out block", pair.source.span));
        return None;
    }
    Some(true)
}

/// A field that Campaign's opt-outs cannot be written to.
fn read_only(from: &SourceField, span: Span) -> Diagnostic {
    let message = format!("opt-outs of Campaign go to `{}`, which cannot be written", from.name);
    Diagnostic::new(Code::D612, span, message, "read-only in Dynamics 365")
        .help("use a field that can be written, or `direction d365-to-campaign`")
}

/// Whether the field of Dynamics is true or false, or has a type whose values the cases of the pair can name.
fn can_opt_out(pair: &ast::OptoutPair, from: &SourceField, context: &mut Context<'_>) -> bool {
    // Only a consent subscribes a person: no other value is proposed as one.
    let rest = pair.target.unsaid();
    let (said, what, done, answer) = match &pair.target {
        OptoutTarget::Attribute(_) => ("out", "an opt-out", "opted out", "no"),
        OptoutTarget::Subscription(_) => ("in", "a consent", "consented", "yes"),
    };
    let named = match &from.field.ty {
        FieldType::Boolean { .. } => return true,
        FieldType::Choice(set) => {
            let option = |n: usize| set.options.get(n).map_or_else(|| n.to_string(), |o| o.value.to_string());
            let cases = format!("{} => in; {} => out; null => {rest}; else => {rest}", option(0), option(1));
            Some(("say what its options mean:".to_owned(), cases))
        }
        FieldType::Date | FieldType::DateTime | FieldType::LocalDateTime => {
            Some((format!("if a date means that the person has {done}, write"), format!("null => {rest}; else => {said}")))
        }
        FieldType::Text { .. } => {
            Some((format!("say which of its values mean {what}:"), format!("\"{answer}\" => {said}; null => {rest}; else => {rest}")))
        }
        FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::Double => {
            Some((format!("say which of its values mean {what}:"), format!("1 => {said}; null => {rest}; else => {rest}")))
        }
        _ => None,
    };
    if named.is_some() && pair.cases.is_some() {
        return true;
    }
    let help = match named {
        Some((advice, cases)) => format!("{advice} `{} <-> {} {{ {cases} }}`", pair.source.text(), pair.target.text()),
        None => "an opt-out comes from a field that is true or false, such as `donotemail`, or from options, a text, a number or a date"
            .to_owned(),
    };
    context.report(
        Diagnostic::new(
            Code::D602,
            pair.source.span,
            format!("`{}` is not true or false", from.name),
            format!("it is {}", from.typed.ty.describe()),
        )
        .help(help),
    );
    false
}

/// An opt-out as a field of the ingress flow. An empty opt-out field is not an opt-out. An empty consent field, which the
/// pair negates, is not a consent.
fn program(
    pair: &ast::OptoutPair,
    cases: Option<Replacement>,
    from: &SourceField,
    to: TargetField,
    checker: &mut Checker<'_>,
    context: &mut Context<'_>,
) -> FieldProgram {
    let at = context.at(pair.span);
    let slot = checker.slot(from, pair.source.span, context);
    let mut ops = match cases {
        Some(cases) => vec![Op::Map(cases)],
        None => vec![Op::Step(default_to(Const::Boolean(false)))],
    };
    if pair.inverted {
        ops.push(Op::Not);
    }
    to.written_from(at, slot, ops)
}

/// Whether a path of a profile is an opt-out attribute.
pub(super) fn is_opt_out(path: &ast::Path, table: &Table) -> bool {
    table.id == TableId::new(SystemId::Campaign, "profile") && table.field(&path.names()).is_some_and(is_optout)
}

/// An entry of an ordinary mapping that writes an opt-out attribute.
pub(super) fn ordinary(mapping: &str, field: &FieldMapping, target: &TargetField, table: &Table, context: &mut Context<'_>) {
    if table.id != TableId::new(SystemId::Campaign, "profile") || !is_optout(&target.field) {
        return;
    }
    let name = field.target.text();
    match context.mappings.get(mapping).and_then(|m| m.optout) {
        Some((Direction::CampaignToD365 | Direction::Bidirectional, span)) => context.report(
            Diagnostic::new(Code::D603, field.target.span, format!("`{name}` would be overwritten by every change"), "an opt-out attribute")
                .related(span, "Campaign is a source of opt-outs here")
                .help("move the pair into the `optout` block, and remove this entry"),
        ),
        Some((direction @ (Direction::Disabled | Direction::D365ToCampaign), span)) => {
            let (what, related) = match direction {
                Direction::Disabled => (format!("`{name}` is written here, although opt-outs are disabled"), "opt-outs are disabled here"),
                Direction::D365ToCampaign | Direction::CampaignToD365 | Direction::Bidirectional => {
                    (format!("`{name}` would be delayed whenever something else is wrong with the record"), "the opt-out block of this mapping")
                }
            };
            context.report(
                Diagnostic::new(Code::D603, field.target.span, what, "an opt-out attribute")
                    .related(span, related)
                    .help("move the pair into the `optout` block, and remove this field mapping"),
            );
        }
        None => context.report(
            Diagnostic::new(Code::D609, field.target.span, format!("`{name}` is an opt-out without an opt-out block"), "an opt-out attribute")
                .help(format!("write `optout {mapping} {{ direction d365-to-campaign; field <-> {name} }}`: it decides which side wins, and handles empty values")),
        ),
    }
}

/// Opt-outs of a mapping without a block. Each is written when a profile is made, and never again with the record: a change would wait for
/// whatever else is wrong with the record, and a first run would lift opt-outs that Campaign has. Gives the workflow of those that are a
/// field of the contact as it is, as a block with `direction d365-to-campaign` has it. Of others, a fixed `true` is left alone: it lifts
/// nothing and changes never.
pub(super) fn without_block(checker: &Checker<'_>, fields: &mut [FieldProgram], at: At, context: &mut Context<'_>) -> Option<OptoutFlow> {
    let (contact, profile) = (TableId::new(SystemId::D365, "contact"), TableId::new(SystemId::Campaign, "profile"));
    if checker.source.id != contact || checker.target.id != profile {
        return None;
    }
    let mut pairs = Vec::new();
    for program in fields {
        let [name] = program.path.as_slice() else { continue };
        let name = name.clone();
        let target = checker.target.fields.values().find(|field| field.wire_name(SystemId::Campaign) == name);
        if !target.is_some_and(is_optout) {
            continue;
        }
        if program.source == Source::Constant(Const::Boolean(true)) {
            continue;
        }
        program.create_only = true;
        if std::mem::take(&mut program.initial) {
            continue;
        }
        match &program.source {
            Source::Constant(_) => {}
            Source::Field(read) => {
                let slot = checker.slots.get(read.slot as usize).filter(|slot| slot.kind == SlotKind::Boolean && read.replace.is_none());
                match (slot, inversion(&program.steps)) {
                    (Some(slot), Some(inverted)) => {
                        pairs.push(OptoutPair { at: program.at, source: slot.wire.clone(), target: name, inverted, meaning: None });
                    }
                    _ => computed(&name, as_pair(read, &program.steps, checker), checker, context),
                }
            }
            Source::Template(_) | Source::Coalesce(_) | Source::Join { .. } | Source::Case(_) | Source::Formula(_) | Source::Lookup(_) => {
                computed(&name, None, checker, context)
            }
        }
    }
    let flow = OptoutFlow { mapping: checker.name.to_owned(), at, direction: Direction::D365ToCampaign, pairs, topics: false };
    (!flow.pairs.is_empty()).then_some(flow)
}

/// Whether steps negate a flag; `None` if they do something else.
fn inversion(steps: &[Step]) -> Option<bool> {
    let mut ops = steps.iter().map(|step| &step.op).peekable();
    ops.next_if(|op| matches!(op, Op::Step(operation) if operation.instead_of_empty() == Some(&Const::Boolean(false))));
    match (ops.next(), ops.next()) {
        (None, _) => Some(false),
        (Some(Op::Not), None) => Some(true),
        _ => None,
    }
}

/// The left side of a pair, and its cases, that say the same as a field mapping; `None` if no pair can.
fn as_pair(read: &Read, steps: &[Step], checker: &Checker<'_>) -> Option<(String, String)> {
    let slot = checker.slots.get(read.slot as usize)?;
    let replacement = match (&read.replace, steps) {
        (Some(replacement), []) => replacement,
        (None, [Step { op: Op::Map(replacement), .. }]) => replacement,
        _ => return None,
    };
    let word = |outcome: &Outcome| match outcome {
        Outcome::Value(Const::Boolean(true)) => Some("out"),
        Outcome::Value(Const::Boolean(false) | Const::Null) => Some("in"),
        Outcome::Value(_) | Outcome::Keep | Outcome::Reject(_) | Outcome::Unknown => None,
    };
    let mut cases = Vec::new();
    for (value, outcome) in &replacement.entries {
        cases.push(format!("{} => {}", constant(value), word(outcome)?));
    }
    if !replacement.tests.is_empty() {
        return None;
    }
    // An empty field is not an opt-out, unless the mapping says so.
    cases.push(format!("null => {}", word(&replacement.null).unwrap_or("in")));
    match &replacement.otherwise {
        Outcome::Unknown => {}
        otherwise => cases.push(format!("else => {}", word(otherwise)?)),
    }
    Some((slot.field.clone(), cases.join("; ")))
}

/// An opt-out that is not a field of the contact as it is: its changes cannot be followed apart from the record. `pair`: what an opt-out
/// block can say instead.
fn computed(name: &str, pair: Option<(String, String)>, checker: &Checker<'_>, context: &mut Context<'_>) {
    let Some(span) = checker.written.get(name).copied() else { return };
    let block = |line: &str| format!("`optout {} {{ direction d365-to-campaign; {line} }}`", checker.name);
    let help = match pair {
        Some((field, cases)) => {
            format!("remove the field mapping, and write {}", block(&format!("{field} <-> {name} {{ {cases} }}")))
        }
        None => format!(
            "write {}, with a field of the contact that is true or false; of another field, say what its values mean: {}",
            block(&format!("FIELD <-> {name}")),
            format_args!("`FIELD <-> {name} {{ VALUE => out; null => in; else => in }}`"),
        ),
    };
    context.report(
        Diagnostic::new(
            Code::D602,
            span,
            format!("`{name}` is computed, so its changes cannot be sent separately from the record"),
            "an opt-out attribute",
        )
        .help(help),
    );
}

/// A mapping that deletes profiles, and whose opt-outs have no block: nothing reads an opt-out before the profile goes.
pub(super) fn deletes_without_block(mapping: &ast::Mapping, info: &MappingInfo, context: &mut Context<'_>) {
    let contact = TableId::new(SystemId::D365, "contact");
    let profile = TableId::new(SystemId::Campaign, "profile");
    if info.optout.is_some() || info.source.as_ref() != Some(&contact) || info.target.as_ref() != Some(&profile) {
        return;
    }
    let settings = mapping.entries.iter().filter_map(|entry| match entry {
        ast::Entry::Options(options) => Some(&options.settings),
        ast::Entry::Key(_)
        | ast::Entry::Adopt(_)
        | ast::Entry::Field(_)
        | ast::Entry::Replace(_)
        | ast::Entry::Filter(_)
        | ast::Entry::Linked(_)
        | ast::Entry::When(_) => None,
    });
    let deletes = |name: &str, value: &str| (name == "deletes" && value == "propagate") || (name == "filtered-out" && value == "delete");
    if let Some(setting) = settings.flatten().find(|s| deletes(&s.name.text, &s.value.text)) {
        let name = mapping.head.as_ref().map_or("contacts", |head| head.name.text.as_str());
        context.report(
            Diagnostic::new(
                Code::D610,
                setting.name.span.to(setting.value.span),
                "this mapping deletes profiles, and an opt-out that only the profile has is lost with it",
                "deletes profiles",
            )
            .help(format!(
                "add an opt-out block, which saves opt-outs before a profile is deleted: `optout {name} {{ direction bidirectional; donotemail <-> denyListEmail }}`"
            )),
        );
    }
}

/// Whether a field of the source looks like personal data.
fn personal(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "emailaddress",
        "firstname",
        "lastname",
        "middlename",
        "fullname",
        "nickname",
        "birthdate",
        "mobilephone",
        "telephone",
        "governmentid",
        "passport",
        "address1_line",
    ];
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|w| name.contains(w)) || name.ends_with("_email") || name.ends_with("_phone")
}

/// Personal data that goes into a resource that has no link to the profile: a privacy request would not reach it.
pub(super) fn unlinked_personal_data(mapping: &ast::Mapping, info: &MappingInfo, context: &mut Context<'_>) {
    let Some(target) = &info.target else { return };
    if target.system != SystemId::Campaign || target.name == "profile" || leads_to_profile(target, context.catalogue) {
        return;
    }
    for field in mapping.fields() {
        let mut fields = Vec::new();
        read_by(&field.source, &mut fields);
        let hashed = field.steps.iter().any(|s| s.name.text == "hash");
        if let Some(path) = fields.into_iter().find(|p| personal(&p.text())).filter(|_| !hashed) {
            context.report(
                Diagnostic::new(
                    Code::D608,
                    path.span,
                    format!("personal data is written to `{target}`, which is not linked to the profile"),
                    "looks like personal data",
                )
                .help("link the resource to the profile in Campaign, so that a privacy request reaches it; or remove the field mapping, or write `| hash(sha256)`"),
            );
        }
    }
}

/// The fields of the source whose values a field mapping may write. What only a condition asks is not written.
fn read_by<'s>(source: &'s ast::Source, fields: &mut Vec<&'s ast::Path>) {
    match source {
        ast::Source::Field(path) => fields.push(path),
        ast::Source::Literal(_) => {}
        ast::Source::Template(template) => fields.extend(template.parts.iter().filter_map(|p| match p {
            ast::TemplatePart::Field(path) => Some(path),
            ast::TemplatePart::Text(_) | ast::TemplatePart::Constant(_) => None,
        })),
        ast::Source::Call(call) => fields.extend(call.arguments.iter().filter_map(|a| match a {
            ast::Argument::Path(path) => Some(path),
            ast::Argument::Piped(path, steps) if steps.iter().all(|s| s.name.text != "hash") => Some(path),
            ast::Argument::Piped(..) => None,
            ast::Argument::Literal(_) | ast::Argument::Period(_) => None,
        })),
        ast::Source::Case(case) => {
            for branch in &case.branches {
                if branch.steps.iter().all(|s| s.name.text != "hash") {
                    read_by(&branch.result, fields);
                }
            }
        }
        ast::Source::Formula(formula) => fields.extend(formula.root.fields()),
    }
}

fn leads_to_profile(start: &TableId, catalogue: &Catalogue) -> bool {
    let mut seen: BTreeSet<TableId> = BTreeSet::new();
    let mut open = vec![start.clone()];
    while let Some(id) = open.pop() {
        if id.name == "profile" {
            return true;
        }
        if !seen.insert(id.clone()) {
            continue;
        }
        let Some(table) = catalogue.get(&id) else { continue };
        open.extend(table.fields.values().filter_map(|f| match &f.ty {
            FieldType::Link { target: Some(target) } => Some(TableId::new(SystemId::Campaign, target.clone())),
            _ => None,
        }));
    }
    false
}
