//! Which status a referral may go to, as data. Source: Partner Center REST, *Update a referral* (status and substatus).

use std::fmt;

macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $about:literal])* $word:ident)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $about])* $word,)*
            /// A word that is not documented; it is kept as it is.
            Other(String),
        }

        impl $name {
            /// All documented words.
            pub const ALL: &[$name] = &[$($name::$word),*];

            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$word => stringify!($word),)*
                    $name::Other(word) => word,
                }
            }
        }

        /// The service's own words have capital letters; any case is read.
        impl From<&str> for $name {
            fn from(word: &str) -> $name {
                let known = $name::ALL.iter().find(|known| known.as_str().eq_ignore_ascii_case(word));
                known.cloned().unwrap_or_else(|| $name::Other(word.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The status of a referral.
    Status {
        /// Not said.
        None
        /// There is no answer yet.
        New
        /// Accepted.
        Active
        /// Ended.
        Closed
    }
}

words! {
    /// The substatus of a referral.
    Substatus {
        /// Not said.
        None
        /// Waits for the other partner.
        Pending
        /// Waits for an answer of ours.
        Received
        /// Accepted.
        Accepted
        /// The deal is won.
        Won
        /// The deal is lost.
        Lost
        /// It was not accepted.
        Declined
        /// There was no answer within 14 days.
        Expired
    }
}

/// Status and substatus, which are changed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The status.
    pub status: Status,
    /// The substatus.
    pub substatus: Substatus,
}

/// One status: where it leads, and the substatus that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The status.
    pub status: Status,
    /// The status that a referral may have after it.
    pub next: &'static [Status],
    /// The substatus that goes with it.
    pub substatus: &'static [Substatus],
}

/// The documented rules.
pub const RULES: [Rule; 3] = [
    Rule {
        status: Status::New,
        next: &[Status::New, Status::Active, Status::Closed],
        substatus: &[Substatus::Pending, Substatus::Received],
    },
    Rule { status: Status::Active, next: &[Status::Active, Status::Closed], substatus: &[Substatus::Accepted] },
    Rule {
        status: Status::Closed,
        next: &[Status::Closed],
        substatus: &[Substatus::Won, Substatus::Lost, Substatus::Declined, Substatus::Expired],
    },
];

/// Why a referral cannot go from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has ended.
    #[error("a referral that is {0} cannot be changed")]
    Ended(Substatus),
    /// The status does not lead to the other one.
    #[error("a referral cannot go from {from} to {to}")]
    Status {
        /// From here.
        from: Status,
        /// To here.
        to: Status,
    },
    /// The status does not have this substatus.
    #[error("the status {status} cannot have the substatus {substatus}")]
    Substatus {
        /// The status.
        status: Status,
        /// The substatus.
        substatus: Substatus,
    },
}

/// The status that a substatus belongs to. `None` if it is not documented, or belongs to none.
pub fn status_of(substatus: &Substatus) -> Option<Status> {
    RULES.iter().find(|rule| rule.substatus.contains(substatus)).map(|rule| rule.status.clone())
}

/// The substatus of a status that has only one.
pub fn substatus_of(status: &Status) -> Option<Substatus> {
    match rule(status)?.substatus {
        [only] => Some(only.clone()),
        _ => None,
    }
}

fn rule(status: &Status) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.status == *status)
}

impl Status {
    /// The status that a substatus belongs to; none if it is not documented, or belongs to none.
    pub fn of(substatus: &Substatus) -> Option<Status> {
        RULES.iter().find(|rule| rule.substatus.contains(substatus)).map(|rule| rule.status.clone())
    }
}

impl State {
    /// Whether a referral may have this status with this substatus by the documented rules.
    pub fn is_allowed(&self) -> bool {
        rule(&self.status).is_some_and(|rule| rule.substatus.contains(&self.substatus))
    }

    /// Whether nothing about the referral can be changed any more.
    pub fn is_terminal(&self) -> bool {
        self.status == Status::Closed
    }

    /// Checks a change of status and substatus by the documented rules. What is not documented is left to the service.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check_change(&self, to: &State) -> Result<(), Refusal> {
        if self == to {
            return Ok(());
        }
        if self.is_terminal() {
            return Err(Refusal::Ended(self.substatus.clone()));
        }
        if let (Some(from), Some(_)) = (rule(&self.status), rule(&to.status))
            && !from.next.contains(&to.status)
        {
            return Err(Refusal::Status { from: self.status.clone(), to: to.status.clone() });
        }
        match rule(&to.status) {
            Some(rule) if !matches!(to.substatus, Substatus::Other(_)) && !rule.substatus.contains(&to.substatus) => {
                Err(Refusal::Substatus { status: to.status.clone(), substatus: to.substatus.clone() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: &str, substatus: &str) -> State {
        State { status: status.into(), substatus: substatus.into() }
    }

    #[test]
    fn a_change_is_allowed_as_the_documented_table_says() {
        for (from, to, allowed) in [
            (("New", "Pending"), ("New", "Received"), true),
            (("New", "Received"), ("Active", "Accepted"), true),
            (("New", "Received"), ("Closed", "Declined"), true),
            (("Active", "Accepted"), ("Closed", "Won"), true),
            (("Active", "Accepted"), ("Closed", "Lost"), true),
            (("Active", "Accepted"), ("New", "Pending"), false),
            (("Closed", "Won"), ("Active", "Accepted"), false),
            (("Closed", "Won"), ("Closed", "Lost"), false),
            (("Closed", "Won"), ("Closed", "Won"), true),
            (("New", "Pending"), ("Active", "Won"), false),
            (("Active", "Accepted"), ("Closed", "Pending"), false),
        ] {
            let result = state(from.0, from.1).check_change(&state(to.0, to.1));
            assert_eq!(result.is_ok(), allowed, "{from:?} to {to:?}: {result:?}");
        }
    }

    #[test]
    fn every_status_but_none_has_one_rule_and_leads_to_itself() {
        for status in Status::ALL.iter().filter(|status| **status != Status::None) {
            let rules: Vec<&Rule> = RULES.iter().filter(|rule| rule.status == *status).collect();
            assert_eq!(rules.len(), 1, "{status}");
            assert!(rules[0].next.contains(status));
        }
    }

    #[test]
    fn a_substatus_belongs_to_one_status() {
        for substatus in Substatus::ALL.iter().filter(|substatus| **substatus != Substatus::None) {
            assert_eq!(RULES.iter().filter(|rule| rule.substatus.contains(substatus)).count(), 1, "{substatus}");
        }
        assert_eq!(status_of(&Substatus::Won), Some(Status::Closed));
        assert_eq!(status_of(&Substatus::Received), Some(Status::New));
        assert_eq!((substatus_of(&Status::Active), substatus_of(&Status::Closed)), (Some(Substatus::Accepted), None));
        assert_eq!((status_of(&Substatus::None), status_of(&"Engaged".into())), (None, None));
    }

    #[test]
    fn a_word_that_is_not_documented_is_kept_and_left_to_the_service() {
        let engaged = state("Active", "Engaged");
        assert_eq!(engaged.substatus, Substatus::Other("Engaged".to_owned()));
        assert_eq!(engaged.substatus.to_string(), "Engaged");
        assert_eq!(state("Active", "Accepted").check_change(&engaged), Ok(()));
        assert_eq!(engaged.check_change(&state("Closed", "Won")), Ok(()));
        assert_eq!(state("active", "ACCEPTED"), state("Active", "Accepted"));
    }
}
