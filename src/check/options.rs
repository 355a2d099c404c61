//! The `options` block of a mapping, and the settings of the other blocks.

use std::collections::HashMap;

use super::Context;
use super::types::list;
use crate::diagnostics::{Code, Diagnostic, Near, Span, near};
use crate::plan::{Conflicts, Deletes, FilteredOut, Picklists, Policy, Rejected, Scope};
use crate::syntax::ast::{Entry, Mapping, Setting};

/// The settings that a block knows, with their values; the first value is the default, except for intervals.
pub type Known = [(&'static str, &'static [&'static str])];

/// The options of a mapping from Dynamics to Campaign.
pub const INGRESS: &Known = &[
    ("deletes", &["ignore", "propagate"]),
    ("filtered-out", &["keep", "delete"]),
    ("picklists", &["values", "labels"]),
    ("rejected", &["dead-letter", "stop"]),
    (RECONCILE, &[EVERY]),
    ("refresh", &["never", "daily"]),
];

/// The option with an interval instead of a value: `reconcile every 7d`. It has no default: without it, nothing is compared.
const RECONCILE: &str = "reconcile";
const EVERY: &str = "every";
/// The shortest interval, one hour: each comparison reads the whole table.
const SHORTEST: u64 = 3600;
/// The longest interval, ten years.
const LONGEST: u64 = 3650 * 86_400;

/// The options of a two-way mapping.
pub const TWO_WAY: &Known =
    &[("scope", &["all", "co-sell"]), ("conflicts", &["newest", "partner", "d365", "report"]), ("check-mark", &["off", "on"])];

/// The policy of a two-way mapping.
pub(super) struct TwoWay {
    pub(super) scope: Scope,
    pub(super) conflicts: Conflicts,
    pub(super) check_mark: bool,
}

/// The types of an event block, and whether its activities are completed.
pub const EVENTS: &Known = &[
    ("send", &["on", "off"]),
    ("open", &["on", "off"]),
    ("click", &["on", "off"]),
    ("bounce", &["on", "off"]),
    ("completed", &["on", "off"]),
];

/// The directions of an opt-out block.
pub const DIRECTIONS: &Known = &[("direction", &["disabled", "d365-to-campaign", "campaign-to-d365", "bidirectional"])];

/// The policy that a mapping's options set.
pub(super) fn policy(mapping: &Mapping, context: &mut Context<'_>) -> Policy {
    let mut policy = Policy::default();
    for (name, value) in chosen(settings(mapping), INGRESS, context) {
        match (name, value) {
            ("deletes", "propagate") => policy.deletes = Deletes::Propagate,
            ("filtered-out", "delete") => policy.filtered_out = FilteredOut::Delete,
            ("picklists", "labels") => policy.picklists = Picklists::Labels,
            ("rejected", "stop") => policy.rejected = Rejected::Stop,
            ("refresh", "daily") => policy.refresh_daily = true,
            (RECONCILE, EVERY) => policy.reconcile = interval(mapping, context),
            _ => {}
        }
    }
    policy
}

/// The interval of `reconcile`, in seconds.
fn interval(mapping: &Mapping, context: &mut Context<'_>) -> Option<u64> {
    let setting = settings(mapping).find(|s| s.name.text == RECONCILE)?;
    let Some(every) = setting.every else {
        context.report(
            Diagnostic::new(Code::D108, setting.value.span, "`reconcile every` has no interval", "how often?")
                .help("add a duration: `reconcile every 7d`"),
        );
        return None;
    };
    if !(SHORTEST..=LONGEST).contains(&every) {
        context.report(
            Diagnostic::new(
                Code::D108,
                setting.span,
                "this interval is not between 1 hour and 3650 days",
                "not between 1 hour and 3650 days",
            )
            .help("write an interval from `1h` to `3650d`, such as `reconcile every 7d`: each comparison reads the whole table"),
        );
        return None;
    }
    Some(every)
}

/// The options of a two-way mapping.
pub(super) fn two_way(mapping: &Mapping, context: &mut Context<'_>) -> TwoWay {
    let mut policy = TwoWay { scope: Scope::default(), conflicts: Conflicts::default(), check_mark: false };
    for (name, value) in chosen(settings(mapping), TWO_WAY, context) {
        match (name, value) {
            ("scope", "co-sell") => policy.scope = Scope::CoSell,
            // Referrals are on the left, opportunities on the right.
            ("conflicts", "partner") => policy.conflicts = Conflicts::Left,
            ("conflicts", "d365") => policy.conflicts = Conflicts::Right,
            ("conflicts", "report") => policy.conflicts = Conflicts::Report,
            ("check-mark", "on") => policy.check_mark = true,
            _ => {}
        }
    }
    policy
}

/// Whether a mapping sets an option itself, even to its default.
pub(super) fn is_set(mapping: &Mapping, name: &str) -> bool {
    settings(mapping).any(|s| s.name.text == name)
}

fn settings(mapping: &Mapping) -> impl Iterator<Item = &Setting> {
    mapping.entries.iter().flat_map(|e| match e {
        Entry::Options(options) => options.settings.as_slice(),
        Entry::Key(_) | Entry::Adopt(_) | Entry::Field(_) | Entry::Replace(_) | Entry::Filter(_) | Entry::Linked(_) | Entry::When(_) => &[],
    })
}

/// Returns the known settings, each with its value. Unknown and repeated ones are reported.
pub(super) fn chosen<'s>(
    settings: impl Iterator<Item = &'s Setting>,
    known: &Known,
    context: &mut Context<'_>,
) -> Vec<(&'static str, &'static str)> {
    let mut chosen = Vec::new();
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for setting in settings {
        let name = setting.name.text.as_str();
        if let Some(first) = seen.insert(name, setting.span) {
            context.report(
                Diagnostic::new(Code::D115, setting.span, format!("`{name}` is set twice"), "the second time")
                    .related(first, "the first time")
                    .help("keep one of the two"),
            );
        }
        let Some((name, values)) = known.iter().find(|k| k.0 == name) else {
            let names = || known.iter().map(|k| k.0);
            let diagnostic = Diagnostic::new(Code::D108, setting.name.span, format!("there is no option `{name}`"), "unknown option")
                .meant(near(name, names()), setting.name.span, || format!("the options here are {}", list(names(), 9)));
            context.report(diagnostic);
            // The value may be written in the wrong way too.
            let meant = near(name, names()).and_then(|meant| known.iter().find(|k| k.0 == meant.text));
            let lower = setting.value.text.to_lowercase();
            if let Some(value) = meant.and_then(|(_, values)| values.iter().find(|v| **v == lower && **v != setting.value.text)) {
                context.report(
                    Diagnostic::new(Code::D108, setting.value.span, format!("`{}` is not a value", setting.value.text), "unknown value")
                        .meant(near(&setting.value.text, [*value]), setting.value.span, String::new),
                );
            }
            continue;
        };
        let value = setting.value.text.as_str();
        match values.iter().find(|v| **v == value) {
            Some(value) => chosen.push((*name, *value)),
            None if *name == RECONCILE => context.report(
                Diagnostic::new(Code::D108, setting.value.span, format!("`reconcile` cannot be `{value}`"), "not an interval")
                    .help("write `reconcile every 7d`, or remove the option: without it, nothing is compared"),
            ),
            None => {
                let written: Vec<String> = values
                    .iter()
                    .enumerate()
                    .map(
                        |(i, v)| {
                            if i == 0 && *name != "direction" { format!("`{name} {v}` (the default)") } else { format!("`{name} {v}`") }
                        },
                    )
                    .collect();
                let diagnostic = Diagnostic::new(Code::D108, setting.value.span, format!("`{name}` cannot be `{value}`"), "unknown value")
                    .meant(known_elsewhere(value, values).or_else(|| near(value, values.iter().copied())), setting.value.span, || {
                        format!("write {}", written.join(" or "))
                    });
                context.report(diagnostic);
            }
        }
    }
    chosen
}

/// The value that has another name elsewhere.
fn known_elsewhere(value: &str, values: &[&'static str]) -> Option<Near> {
    let meant = match value.to_lowercase().as_str() {
        "yes" | "true" | "y" => "on",
        "no" | "false" | "n" | "none" => "off",
        "both" | "two-way" | "twoway" | "bidirection" | "both-ways" => "bidirectional",
        _ => return None,
    };
    values.contains(&meant).then(|| Near::guess(meant))
}
