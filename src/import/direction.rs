//! The column that says which way a row goes: arrows and words.

use crate::schema::SystemId;

/// Which way a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the mapping's first table to its second.
    Forward,
    /// From the second to the first.
    Backward,
    /// Both ways.
    Both,
}

impl Direction {
    /// The other way round.
    fn turned(self) -> Direction {
        match self {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
            Direction::Both => Direction::Both,
        }
    }

    /// As a mapping file writes it.
    pub(super) fn arrow(self) -> &'static str {
        match self {
            Direction::Forward => "->",
            Direction::Backward => "<-",
            Direction::Both => "<->",
        }
    }
}

/// An arrow without fields.
fn arrow(text: &str) -> Option<Direction> {
    let sign: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    match sign.as_str() {
        "->" | "-->" | "=>" | "==>" | ">" | ">>" | "→" | "⇒" | "➔" | "⟶" | "–>" | "—>" | "−>" => Some(Direction::Forward),
        "<-" | "<--" | "<=" | "<==" | "<" | "<<" | "←" | "⇐" | "⟵" | "<–" | "<—" | "<−" => Some(Direction::Backward),
        "<->" | "<-->" | "<=>" | "<==>" | "<>" | "↔" | "⇔" | "⟷" | "⇄" | "⇆" | "<–>" | "<—>" | "<−>" => {
            Some(Direction::Both)
        }
        _ => None,
    }
}

/// Whether a text is an arrow and nothing else.
pub(super) fn is_arrow(text: &str) -> bool {
    arrow(text).is_some()
}

/// Reads a cell of the direction column; an empty cell says [`Direction::Forward`]. `mirrored`: the second table's column is left of the
/// first one's, so an arrow between them points the other way.
///
/// # Errors
///
/// Nothing, for text that says no direction.
pub(super) fn read(cell: &str, mirrored: bool, first: SystemId, second: SystemId) -> Result<Direction, ()> {
    if cell.trim().is_empty() {
        return Ok(Direction::Forward);
    }
    if let Some(found) = arrow(cell) {
        return Ok(if mirrored { found.turned() } else { found });
    }
    let text = cell.to_lowercase();
    let place = |system: SystemId| system.also_called().iter().filter_map(|name| text.find(name)).min();
    match (place(first), place(second)) {
        (Some(a), Some(b)) => {
            // Between the two names: an arrow, or a word such as "to".
            let between: String =
                text[a.min(b)..a.max(b)].chars().filter(|c| !c.is_alphanumeric() && !matches!(c, '(' | ')' | '.' | ',' | '/')).collect();
            let order = if a < b { Direction::Forward } else { Direction::Backward };
            let words = words(&text);
            let found = match arrow(&between) {
                Some(Direction::Forward) => order,
                Some(Direction::Backward) => order.turned(),
                Some(Direction::Both) => Direction::Both,
                None if both(&words) || words.iter().any(|w| w == "and") => Direction::Both,
                None if words.iter().any(|w| w == "from") && !words.iter().any(|w| w == "to") => order.turned(),
                None => order,
            };
            Ok(found)
        }
        (at_first, at_second) => {
            let words = words(&text);
            let one = match (at_first, at_second) {
                (None, Some(_)) => Some(Direction::Forward),
                (Some(_), None) => Some(Direction::Backward),
                (None, None) | (Some(_), Some(_)) => None,
            };
            match one {
                // "to Campaign", "from D365".
                Some(to) if words.first().is_some_and(|w| w == "to" || w == "into") => Ok(to),
                Some(to) if words.first().is_some_and(|w| w == "from") => Ok(to.turned()),
                None if both(&words) => Ok(Direction::Both),
                None if matches!(words.join("").as_str(), "oneway" | "1way" | "unidirectional" | "forward") => Ok(Direction::Forward),
                Some(_) | None => Err(()),
            }
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// "both", "both ways", "bidirectional", "bi-directional", "two-way", "2-way"
fn both(words: &[String]) -> bool {
    let together = words.join("");
    words.iter().any(|w| w == "both") || ["bidirectional", "twoway", "2way"].iter().any(|w| together.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_and_words_say_a_direction() {
        let of = |cell: &str| read(cell, false, SystemId::D365, SystemId::Campaign);
        for cell in [
            "",
            "->",
            " → ",
            "–>",
            "=>",
            "D365 to Campaign",
            "Dynamics -> Adobe Campaign",
            "CRM → ACS",
            "to Campaign",
            "from Dynamics 365",
            "Campaign <- D365",
            "To ACS from CRM",
            "one-way",
        ] {
            let right = if cell == "To ACS from CRM" { Direction::Backward } else { Direction::Forward };
            assert_eq!(of(cell), Ok(right), "{cell}");
        }
        for cell in ["<-", "←", "Campaign to D365", "Adobe Campaign => Dynamics", "to CRM", "from Campaign", "D365 from Campaign"] {
            assert_eq!(of(cell), Ok(Direction::Backward), "{cell}");
        }
        for cell in [
            "<->",
            "↔",
            "both",
            "Both ways",
            "bi-directional",
            "Two-way",
            "D365 <-> Campaign",
            "Campaign and D365",
            "both (D365, Campaign)",
        ] {
            assert_eq!(of(cell), Ok(Direction::Both), "{cell}");
        }
        for cell in ["?", "yes", "Campaign", "inbound", "tbd"] {
            assert_eq!(of(cell), Err(()), "{cell}");
        }
    }

    #[test]
    fn an_arrow_between_columns_in_the_other_order_points_the_other_way() {
        let of = |cell: &str| read(cell, true, SystemId::D365, SystemId::Campaign);
        assert_eq!((of("<-"), of("->"), of("<->")), (Ok(Direction::Forward), Ok(Direction::Backward), Ok(Direction::Both)));
        assert_eq!((of(""), of("D365 to Campaign")), (Ok(Direction::Forward), Ok(Direction::Forward)));
    }
}
