//! Which changes of a referral's status are allowed. [D]

/// Status and substatus.
pub(super) type Phase<'a> = (&'a str, &'a str);

/// Whether a referral in this phase can change no more.
pub(super) fn is_final((status, _): Phase<'_>) -> bool {
    status == "Closed"
}

/// Checks that a referral may have this status and substatus.
fn fits((status, substatus): Phase<'_>) -> Result<(), String> {
    let allowed: &[&str] = match status {
        "New" => &["Pending", "Received"],
        "Active" => &["Accepted"],
        "Closed" => &["Won", "Lost", "Declined", "Expired"],
        _ => return Err(format!("A referral cannot have the status {status}.")),
    };
    if allowed.contains(&substatus) {
        return Ok(());
    }
    Err(format!("The substatus {substatus} is not allowed with the status {status}. Allowed are: {}.", allowed.join(", ")))
}

/// Checks a change.
pub(super) fn check(from: Phase<'_>, to: Phase<'_>, close_only_from_active: bool) -> Result<(), String> {
    fits(to)?;
    if from == to {
        return Ok(());
    }
    match (from.0, to.0) {
        ("Closed", _) => Err(format!("The referral is closed ({}) and cannot be changed.", from.1)),
        ("New", "New" | "Active" | "Closed") | ("Active", "Active" | "Closed") => {
            if close_only_from_active && from.0 == "New" && matches!(to.1, "Won" | "Lost") {
                return Err(format!("A referral that was not accepted cannot be {}.", to.1.to_lowercase()));
            }
            Ok(())
        }
        _ => Err(format!("A referral cannot go from {} to {}.", from.0, to.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_transitions_is_the_documented_one() {
        let new = ("New", "Pending");
        let active = ("Active", "Accepted");
        let phases =
            [new, ("New", "Received"), active, ("Closed", "Won"), ("Closed", "Lost"), ("Closed", "Declined"), ("Closed", "Expired")];
        let allowed = |from, strict| phases.into_iter().filter(|to| check(from, *to, strict).is_ok()).collect::<Vec<_>>();
        assert_eq!(allowed(new, false), phases);
        assert_eq!(allowed(new, true), [new, phases[1], active, phases[5], phases[6]]);
        assert_eq!(allowed(active, true), phases[2..]);
        assert_eq!(allowed(phases[3], true), [phases[3]]);
        assert!(check(new, ("Active", "Won"), false).is_err() && check(new, ("Closed", "Accepted"), false).is_err());
    }
}
