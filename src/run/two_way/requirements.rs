//! What a system requires of a record and the record does not have: a dead letter instead of a call.

use super::Shared;
use crate::store::PairSide;
use crate::systems::Missing;

/// The code of the dead letter.
pub(super) const CODE: &str = "requirements";

/// What the left system requires of a record that is created with this body, or changed by it, and what that does not have: the message
/// of a dead letter.
pub(super) fn of_left(shared: &Shared, before: Option<&str>, body: &str) -> Option<String> {
    let missing = shared.left.target.missing(shared.table(PairSide::Left), before, body);
    if missing.is_empty() {
        return None;
    }
    Some(message(shared.left.target.system().title(), shared.flow().right.name(), &missing))
}

fn message(system: &str, right: &str, missing: &[Missing]) -> String {
    let list: Vec<String> = missing.iter().map(|missing| format!("{} (`{}`)", missing.name, missing.field)).collect();
    format!(
        "{system} requires what the deal does not have: {}. Nothing was sent. Fill in the {right} and its linked records, or add field mappings",
        list.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_each_field_in_the_words_of_the_system_and_of_the_mapping() {
        let missing = [
            Missing { field: "customerProfile.name", name: "the customer's name" },
            Missing { field: "owner", name: "a member of your team" },
        ];
        assert_eq!(
            message("Partner Center", "opportunity", &missing),
            "Partner Center requires what the deal does not have: the customer's name (`customerProfile.name`), a member of your team (`owner`). \
             Nothing was sent. Fill in the opportunity and its linked records, or add field mappings"
        );
    }
}
