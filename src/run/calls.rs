//! The kinds of calls that writers make. Calls of one kind need the same right in the same service.

use super::RunError;
use crate::engine::refusals::Refused;
use crate::plan::EventType;
use crate::system::SystemId;

/// Calls that need the same right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CallKind {
    /// A read of a record in the target.
    Look,
    /// A record is created in the target.
    Create,
    /// A record is updated in the target.
    Update,
    /// A record is deleted in the target.
    Delete,
    /// A record is read again from the source.
    Reread,
    /// A two-way mapping creates a record on its left side.
    CreateBack,
    /// A two-way mapping updates a record on its left side.
    UpdateBack,
    /// A contact is written in Dynamics 365.
    Contact,
    /// Activities of a type are created in Dynamics 365.
    Activities(EventType),
    /// Follow-up tasks of a type's events are created in Dynamics 365.
    Tasks(EventType),
    /// Activities of a type are completed in Dynamics 365.
    Completing(EventType),
}

impl CallKind {
    /// For people: what is denied.
    fn words(self) -> String {
        match self {
            CallKind::Look => "every read of a record".to_owned(),
            CallKind::Create | CallKind::CreateBack => "every create".to_owned(),
            CallKind::Update | CallKind::UpdateBack => "every update".to_owned(),
            CallKind::Delete => "every delete".to_owned(),
            CallKind::Reread => "every read of a single record".to_owned(),
            CallKind::Contact => "every update of a contact".to_owned(),
            CallKind::Activities(kind) => format!("every create of an activity for `{}` events", kind.name()),
            CallKind::Tasks(kind) => format!("every create of a task for `{}` events", kind.name()),
            CallKind::Completing(kind) => format!("every completion of an activity for `{}` events", kind.name()),
        }
    }

    /// Whether it goes to the system that a mapping writes, and not to the one that it reads.
    pub fn is_of_target(self) -> bool {
        match self {
            CallKind::Look | CallKind::Create | CallKind::Update | CallKind::Delete => true,
            CallKind::Reread
            | CallKind::CreateBack
            | CallKind::UpdateBack
            | CallKind::Contact
            | CallKind::Activities(_)
            | CallKind::Tasks(_)
            | CallKind::Completing(_) => false,
        }
    }
}

/// The systems that a mapping reads and writes. Events and opt-outs follow the direction of mappings too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides {
    pub source: SystemId,
    pub target: SystemId,
}

impl Sides {
    /// Dynamics 365 and Campaign.
    pub const DYNAMICS_AND_CAMPAIGN: Sides = Sides { source: SystemId::D365, target: SystemId::Campaign };

    /// Partner Center on the left side, and Dynamics 365 on the right one.
    pub const PARTNER_AND_DYNAMICS: Sides = Sides { source: SystemId::Partner, target: SystemId::D365 };

    /// The system that a call goes to, for people.
    fn service(self, call: CallKind) -> &'static str {
        if call.is_of_target() { self.target.title() } else { self.source.title() }
    }
}

/// Why a workflow's round ends for a refusal that is about all records.
pub(super) fn refused(refused: Refused<CallKind>, sides: Sides, name: &str, waiting: u64) -> RunError {
    let name = name.to_owned();
    match refused {
        Refused::Denied(call, error) => RunError::Denied { name, calls: call.words(), error: Box::new(error) },
        Refused::Stranger { call, answers, last } => RunError::Stranger { name, service: sides.service(call), answers, last, waiting },
    }
}
