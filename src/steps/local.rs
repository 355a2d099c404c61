//! `local`: an instant as the time that clocks of a zone show.

use serde::{Deserialize, Serialize};

use super::shared::ready::{Failed, OTHER_TYPE};
use super::shared::zone::{check_zone, ready_zone, time_zone};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "local",
    usage: "local(\"Europe/Berlin\"), or local(zonefield, \"Europe/Berlin\") if a field contains the zone",
    summary: "the local time in a time zone",
    rows: &[
        Row {
            signature: "`local(\"Europe/Berlin\")`",
            takes: "an instant",
            gives: "the local time in that [zone](#time-zones), for `date`, `format`, `shift` and similar steps after it",
        },
        Row {
            signature: "`local(new_zone)`, `local(new_zone, \"Europe/Berlin\")`",
            takes: "an instant",
            gives: "the same in the zone whose name a field contains. If the field is empty, the second argument is the zone. Fails if the zone is empty or unknown",
        },
    ],
    samples: &["local(\"Europe/Berlin\")", "local(nickname)", "local(nickname, \"UTC\")"],
    rule: Rule::Call(check),
};

/// The step in a plan: the time zone, by its IANA or Windows name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalTime(String);

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let zone = call.one_text("expected a time zone in quotes, such as \"Europe/Berlin\", or a field that contains one")?;
    check_zone(zone)?;
    check_instant(&call.input.ty)?;
    Ok(Checked::sure(Operation::LocalTime(LocalTime(zone.to_owned())), call.typed(Ty::Local)))
}

/// Checks that the value before the step is an instant.
pub fn check_instant(ty: &Ty) -> Result<(), Wrong> {
    match ty {
        Ty::Instant => Ok(()),
        Ty::Local | Ty::Date => Err(Wrong::ty("an instant", "remove the step: this value is the same in every time zone")),
        _ => Err(Wrong::ty("an instant", "remove the step, or read the text as an instant first: `| datetime(\"…\") or null`")),
    }
}

impl Operate for LocalTime {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let zone = ready_zone(&self.0)?;
        Ok(Ready::new(move |value| in_zone(&value, zone)))
    }

    fn written(&self) -> String {
        format!("local({:?})", self.0)
    }
}

/// The time in the zone of this name.
pub fn local_in<'a>(value: Value<'a>, zone: Option<&str>) -> Result<Value<'a>, Failed> {
    let name = zone.ok_or(Failed("the record has no time zone"))?;
    in_zone(&value, time_zone(name.trim()).ok_or(Failed("the field does not contain the name of a time zone"))?)
}

fn in_zone<'a>(value: &Value<'a>, zone: chrono_tz::Tz) -> Result<Value<'a>, Failed> {
    match value {
        Value::Instant(instant) => Ok(Value::Local(instant.with_timezone(&zone).naive_local())),
        _ => Err(OTHER_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run, text};
    use crate::time::{parse_instant, parse_local};

    #[test]
    fn an_instant_becomes_the_time_of_its_zone() {
        let checked = check(&STEP, &[text("Europe/Berlin")], Ty::Instant);
        assert_eq!(output(&checked), (Ty::Local, false));
        for (instant, local) in [("2024-01-31T23:30:00Z", "2024-02-01T00:30:00"), ("2024-07-01T10:00:00Z", "2024-07-01T12:00:00")] {
            let value = Value::Instant(parse_instant(instant).expect("an instant"));
            assert_eq!(run(&checked, value), Ok(Value::Local(parse_local(local).expect("a time"))));
        }
        assert!(check(&STEP, &[text("Berlin")], Ty::Instant).is_err());
        assert!(check(&STEP, &[text("Europe/Berlin")], Ty::Date).is_err());
    }

    #[test]
    fn a_zone_of_the_record_must_have_a_known_name() {
        let value = || Value::Instant(parse_instant("2024-01-31T23:30:00Z").expect("an instant"));
        let tokyo = Ok(Value::Local(parse_local("2024-02-01T08:30:00").expect("a time")));
        assert_eq!(local_in(value(), Some("Asia/Tokyo")), tokyo);
        assert_eq!(local_in(value(), Some(" Tokyo Standard Time ")), tokyo);
        assert!(local_in(value(), Some("Tokyo")).is_err() && local_in(value(), None).is_err());
    }
}
