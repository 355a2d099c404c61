//! What a contact's record in Dynamics says about opt-outs: read from pages by change tracking and from single lookups alike.

use serde_json::Value;

use super::Shared;
use super::rule::ContactSight;
use crate::eval;
use crate::store::Flags;
use crate::time::{self, Instant};

/// What a contact's record says.
pub(super) fn of(shared: &Shared, record: &Value) -> ContactSight {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let by = text("_modifiedby_value");
    ContactSight {
        out: out_of(shared, record),
        // A record that does not tell has been changed for all that is known.
        modified: instant(record, "modifiedon").unwrap_or_else(time::now),
        by_us: by.zip(shared.user.as_deref()).is_some_and(|(by, user)| by.eq_ignore_ascii_case(user)),
        version: text("@odata.etag").map(str::to_owned),
        // A merge deactivates the contact that is given up, and names the one that stays (Dataverse: Merge action; `masterid`).
        // Topics are not handed over: that a profile is not subscribed says nothing about the contact that stays.
        master: text("_masterid_value").filter(|_| !shared.flow().topics).map(str::to_ascii_lowercase),
    }
}

/// The time in a column of a record or in an attribute of a profile.
pub(super) fn instant(record: &Value, name: &str) -> Option<Instant> {
    record.get(name).and_then(Value::as_str).and_then(time::parse_instant)
}

/// The opt-outs of a record in Campaign's sense. An empty flag is not an opt-out, an empty consent is one.
fn out_of(shared: &Shared, record: &Value) -> Flags {
    let flow = shared.flow();
    let out = flow.pairs.iter().zip(&shared.flags).filter(|(pair, _)| {
        let value = record.get(&pair.source);
        match &pair.meaning {
            Some(meaning) => eval::opted_out(meaning, value),
            None => flow.is_opt_out(pair, value.and_then(Value::as_bool).unwrap_or(false)),
        }
    });
    out.map(|(_, flag)| *flag).collect()
}
