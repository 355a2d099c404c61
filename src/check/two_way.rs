//! Two-way mappings: referrals of Partner Center and opportunities in Dynamics.

use super::both_ways::entry_both_ways;
use super::entry::Checker;
use super::today;
use super::types::convert;
use super::{Context, adopt, linked, mapping as ingress, names, options, status};
use crate::diagnostics::{Code, Diagnostic, Safety, Span};
use crate::plan::{FieldProgram, Policy, Side, TwoWayFlow};
use crate::schema::{SystemId, Table};
use crate::syntax::ast::{Entry, Key, Mapping, Way};

/// Checks a mapping whose head has `<->`.
pub(super) fn check(mapping: &Mapping, context: &mut Context<'_>) -> Option<TwoWayFlow> {
    let head = mapping.head.as_ref()?;
    let (left, right) = (names::table(&head.source, context), names::table(&head.target, context));
    let (left, right) = (left?, right?);
    let head_span = head.name.span.to(head.target.span);
    if (left.id.system, right.id.system) != (SystemId::Partner, SystemId::D365) {
        context.report(
            Diagnostic::new(
                Code::D112,
                head.source.span.to(head.target.span),
                format!("nothing is mapped {} <-> {}", left.id.system, right.id.system),
                "not supported",
            )
            .help("only mappings of referrals and opportunities go both ways: `partner.referral <-> d365.opportunity`"),
        );
        return None;
    }
    let policy = options::two_way(mapping, context);
    let mut forward = Checker::new(&head.name.text, left.clone(), right.clone(), Policy::default());
    let mut backward = Checker::new(&head.name.text, right.clone(), left.clone(), Policy::default());
    forward.replacements(mapping, context);
    let key = key(mapping, head_span, &left, &mut forward, context);
    if let Some((_, entry)) = &key {
        forward.written.insert(entry.target.text(), entry.target.span);
    }
    let (mut to_right, mut to_left) = (Vec::new(), Vec::new());
    let mut complete = true;
    adopt::refuse(mapping, context);
    for entry in &mapping.entries {
        if let Entry::When(when) = entry {
            context.report(
                Diagnostic::new(Code::D509, when.span, "`when` is not supported in a two-way mapping", "leaves fields unchanged")
                    .help("write `case { condition => source; else => source } -> target` for each field"),
            );
            complete = false;
        }
        let Entry::Field(field) = entry else { continue };
        complete &= entry_both_ways(field, &mut forward, &mut backward, &mut to_right, &mut to_left, context);
    }
    if complete {
        status::check(&left, &right, &backward, &to_left, context);
    }
    let blocks = linked::check(mapping, &mut forward, &mut backward, &mut to_left, context);
    let filter = ingress::condition(&mut forward, mapping, context);
    forward.unused_replacements(context);
    complete.then_some(())?;
    let (filter, (program, entry), blocks) = (filter?, key?, blocks?);
    to_right.insert(0, program);
    today::two_way(&to_right, context);
    today::two_way(&to_left, context);
    let side = |table: &Table, key: String, slots| Side {
        table: table.id.to_string(),
        collection: table.collection.clone(),
        primary_key: table.primary_key.clone(),
        key,
        slots,
    };
    Some(TwoWayFlow {
        name: head.name.text.clone(),
        at: context.at(head_span),
        left: side(&left, entry.source.text(), forward.slots),
        right: side(&right, entry.target.text(), backward.slots),
        forward: to_right,
        backward: to_left,
        links: blocks.records,
        rows: blocks.rows,
        filter,
        scope: policy.scope,
        conflicts: policy.conflicts,
        check_mark: policy.check_mark,
    })
}

/// The key: the left side's primary key, kept in a text field of the right side.
fn key<'m>(
    mapping: &'m Mapping,
    head: Span,
    left: &Table,
    forward: &mut Checker<'_>,
    context: &mut Context<'_>,
) -> Option<(FieldProgram, &'m Key)> {
    let mut keys = mapping.keys();
    let Some(key) = keys.next() else {
        if !mapping.unread_key {
            context.report(
                Diagnostic::new(Code::D501, head, "this mapping has no key", "records of the two tables could not be matched").help(
                    format!(
                        "begin the mapping with `key {} <-> field`, with the field that stores the id of the referral",
                        left.primary_key
                    ),
                ),
            );
        }
        return None;
    };
    for extra in keys {
        context.report(
            Diagnostic::new(Code::D504, extra.span, "this mapping has two keys", "the second one")
                .related(key.span, "the first one")
                .help("keep one of them"),
        );
    }
    if key.way != Way::Both {
        context.report(
            Diagnostic::new(Code::D510, key.way_span, "the key of a two-way mapping goes both ways", "expected `<->`")
                .help("write `<->`")
                .fix(Safety::Unsafe, "write `<->`", key.way_span, "<->"),
        );
    }
    let (source, target) = (forward.source.clone(), forward.target.clone());
    super::keys::no_text(key, context)?;
    let from = names::source_field(&key.source, &source, context);
    let to = names::target_field(&key.target, &target, true, context);
    let (from, to) = (from?, to?);
    if from.name != left.primary_key {
        context.report(
            Diagnostic::new(
                Code::D502,
                key.source.span,
                format!("`{}` is not the primary key of `{}`", from.name, left.id),
                "not the primary key",
            )
            .help(format!("write `key {} <-> {}`", left.primary_key, key.target.text()))
            .fix(Safety::Unsafe, format!("write `{}`", left.primary_key), key.source.span, left.primary_key.clone()),
        );
        return None;
    }
    let Ok(ops) = convert(&from.typed.ty, &to.fit) else {
        context.report(
            Diagnostic::new(
                Code::D503,
                key.target.span,
                format!("`{}` cannot hold {}", key.target.text(), from.typed.ty.describe()),
                "cannot hold the key",
            )
            .help("the key must be a text field of at least 36 characters"),
        );
        return None;
    };
    let at = context.at(key.span);
    let slot = forward.slot(&from, key.source.span, context);
    Some((to.written_from(at, slot, ops), key))
}
