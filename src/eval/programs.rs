//! Programs apart from a mapping: those of one side of a two-way mapping, over that side's record.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::decode::{Decoder, decodes, kind_text};
use super::filter::Ready;
use super::program::{ArmUse, Program, Reason};
use super::{EvalError, Rejection};
use crate::json;
use crate::plan::{At, Condition, FieldProgram, Scope, Slot};
use crate::time::{self, Instant};
use crate::value::Value;

/// What a side's record has in its slots: each wire name with its JSON text.
pub type Flat = BTreeMap<String, String>;

/// Programs made ready.
#[derive(Debug)]
pub struct Programs<'p> {
    slots: &'p [Slot],
    decoder: Decoder,
    filter: Option<Ready>,
    programs: Vec<Program<'p>>,
    paths: Vec<String>,
    at: At,
}

impl<'p> Programs<'p> {
    /// Makes programs ready, with the condition on their records. `at` is the place of the mapping.
    ///
    /// # Errors
    /// [`EvalError`] if the plan was changed by hand.
    pub fn new(
        slots: &'p [Slot],
        programs: impl Iterator<Item = &'p FieldProgram> + Clone,
        filter: Option<&'p Condition>,
        at: At,
    ) -> Result<Programs<'p>, EvalError> {
        Ok(Programs {
            slots,
            decoder: Decoder::new(slots),
            filter: filter.map(Ready::new).transpose()?,
            paths: programs.clone().map(|program| program.path.join(".")).collect(),
            programs: programs.map(Program::new).collect::<Result<_, _>>()?,
            at,
        })
    }

    /// Counts from now on which arms of its replacements records take.
    #[must_use]
    pub fn counting(mut self) -> Programs<'p> {
        self.programs.iter_mut().for_each(Program::count);
        self
    }

    /// The arms of the replacements, each with whether a record took it; nothing if they are not counted.
    pub fn arms(&mut self) -> Vec<ArmUse> {
        let mut arms = Vec::new();
        self.programs.iter_mut().for_each(|program| program.arms(&mut arms));
        arms
    }

    /// The values of a record's slots. A dotted wire name names nested objects.
    pub fn flat(&self, record: &str) -> Flat {
        let found = self.slots.iter().filter_map(|slot| Some((slot.wire.clone(), raw_at(record, &slot.wire)?)));
        found.collect()
    }

    /// Whether the filter lets a record in, and the result of each program as the target's API writes it.
    ///
    /// # Errors
    /// [`Rejection`] if the record cannot be mapped.
    pub fn run(&self, flat: &Flat, now: Instant) -> Result<(bool, Vec<String>), Rejection> {
        let fields: Vec<String> = flat.iter().map(|(name, raw)| format!("{}:{raw}", Value::Text(name.into()).json())).collect();
        let text = format!("{{{}}}", fields.join(","));
        let Ok(slots) = self.decoder.decode(&text) else { return Err(self.undecodable(flat)) };
        let admitted = self.filter.as_ref().is_none_or(|filter| filter.holds(&slots, now));
        let mut values = Vec::with_capacity(self.programs.len());
        for (program, path) in self.programs.iter().zip(&self.paths) {
            let value = program.run(&slots, now).map_err(|fault| {
                let Reason { code, at, message } = fault.reason();
                Rejection { source_id: None, code, field: path.clone(), at, message }
            })?;
            // Only a `when` and `@present`, which such a mapping cannot have, leave a field as it is.
            values.push(value.as_ref().map_or_else(|| "null".to_owned(), written));
        }
        Ok((admitted, values))
    }

    fn undecodable(&self, flat: &Flat) -> Rejection {
        let faulty = self.slots.iter().find(|slot| flat.get(&slot.wire).is_some_and(|raw| !decodes(slot.kind, raw)));
        let (field, at, message) = match faulty {
            Some(slot) => (slot.field.clone(), slot.at, format!("the value is not {}", kind_text(slot.kind))),
            None => (String::new(), self.at, "the record is not valid JSON".to_owned()),
        };
        Rejection { source_id: None, code: "D903", field, at, message }
    }
}

/// A value as JSON text, with times as Dynamics 365 and Partner Center write them.
pub fn written(value: &Value<'_>) -> String {
    match value {
        Value::Instant(instant) => format!("\"{}\"", time::format_instant(*instant)),
        Value::Local(local) => format!("\"{}\"", local.format("%Y-%m-%dT%H:%M:%S")),
        value => value.json(),
    }
}

/// Whether a referral is within a scope.
///
/// Co-sell referrals are those that were shared by a partner: marketplace leads are `Direct`, and qualified leads are independent and
/// come from Microsoft (Partner Center: *referral resources*).
pub fn in_scope(referral: &str, scope: Scope) -> bool {
    if scope == Scope::All {
        return true;
    }
    let text = |path: &str| raw_at(referral, path).and_then(|json| serde_json::from_str::<String>(&json).ok());
    let is = |path: &str, value: &str| text(path).is_some_and(|text| text.eq_ignore_ascii_case(value));
    let lead = is("qualification", "Direct") || is("qualification", "MarketingQualified");
    let from_microsoft = is("type", "Independent") && is("inviteContext.invitedBy.organizationId", "msft");
    !(lead || from_microsoft)
}

/// The JSON text at a path of a record: the property of that name, or what a dotted name leads to; numbers lead to items of lists.
pub fn raw_at(record: &str, path: &str) -> Option<String> {
    let Some(properties) = json::properties(record) else {
        // A number leads to an item of a list.
        let items: Vec<&RawValue> = serde_json::from_str(record).ok()?;
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let item = items.get(first.parse::<usize>().ok()?)?.get();
        return rest.map_or_else(|| Some(item.to_owned()), |rest| raw_at(item, rest));
    };
    if let Some(raw) = properties.get(path) {
        return Some(raw.get().to_owned());
    }
    let (first, rest) = path.split_once('.')?;
    raw_at(properties.get(first)?.get(), rest)
}
