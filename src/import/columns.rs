//! Which column of a table holds what: headings by many names, in a row that may follow titles.

use std::collections::BTreeMap;

use super::kind::Kind;
use crate::sheets::{Grid, GridRow};

/// The names that people give a column, in small letters without spaces and punctuation.
const COLUMNS: &[(&str, &[&str])] = &[
    (
        "source",
        &[
            "source",
            "sourcefield",
            "sourceattribute",
            "d365",
            "d365field",
            "dynamics",
            "dynamics365",
            "dynamicsfield",
            "dynamicsattribute",
            "d365attribute",
            "dynamics365field",
            "dynamics365attribute",
            "crm",
            "crmfield",
            "crmattribute",
            "dataversecolumn",
            "from",
            "microsoftdynamics365field",
        ],
    ),
    (
        "target",
        &[
            "target",
            "targetfield",
            "targetattribute",
            "campaign",
            "campaignfield",
            "campaignattribute",
            "adobecampaign",
            "adobecampaignfield",
            "adobecampaignattribute",
            "adobefield",
            "adobeattribute",
            "acs",
            "acsfield",
            "acsattribute",
            "to",
        ],
    ),
    ("direction", &["direction", "syncdirection", "dataflow", "dataflowdirection", "flow", "way", "dir"]),
    ("steps", &["steps", "transformation", "transformations", "transform", "rule"]),
    ("default", &["default", "defaultvalue"]),
    ("updates", &["applyupdates", "updates", "update"]),
    ("empty", &["emptyvalues", "emptyvalue", "ifempty", "whenempty"]),
    ("when", &["onlywhen", "onlyif", "applieswhen", "appliesif"]),
    ("key", &["key", "iskey"]),
    ("comment", &["comment", "comments", "note", "notes", "remark", "remarks", "description"]),
    ("field", &["field", "attribute", "column", "fieldname"]),
    ("old", &["existingvalue", "oldvalue", "fromvalue", "value", "sourcevalue", "old", "existing"]),
    ("new", &["newvalue", "tovalue", "replacement", "targetvalue", "new", "replacewith"]),
    ("comparison", &["comparison", "operator", "condition", "compare"]),
    ("join", &["andor", "join", "logic", "connector", "group"]),
    ("option", &["option", "setting"]),
];

/// What a column is called below a heading that names a system: `Dynamics 365` over `Field` and `Type`. "Name" alone is not among them: it
/// is the name of a field in many tables.
const NAME_OF_A_FIELD: &[&str] = &["field", "attribute", "column", "fieldname", "attributename", "logicalname", "technicalname", "apiname"];

/// Rows before the heading, at most: titles, versions, authors.
const TITLES: usize = 50;

/// What is wrong with `ROLE=HEADING`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadingError {
    /// Not a role and a heading.
    #[error("`{text}` is not ROLE=HEADING, such as source=\"CRM field\"; roles are {roles}")]
    Shape {
        /// What was written.
        text: String,
        /// The roles that exist.
        roles: String,
    },
    /// A role that does not exist.
    #[error("`{role}` is not a role of a column: use one of {roles}")]
    Role {
        /// What was written.
        role: String,
        /// The roles that exist.
        roles: String,
    },
    /// A role with two headings.
    #[error("the column for `{0}` is named twice")]
    Twice(&'static str),
}

/// The headings that an author names: `source=CRM field`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headings(Vec<(&'static str, String)>);

impl Headings {
    /// Adds the heading of a column.
    ///
    /// # Errors
    ///
    /// [`HeadingError`].
    pub fn add(&mut self, text: &str) -> Result<(), HeadingError> {
        let names = || COLUMNS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let (role, heading) = text
            .split_once('=')
            .filter(|(_, heading)| !plain(heading).is_empty())
            .ok_or_else(|| HeadingError::Shape { text: text.to_owned(), roles: names() })?;
        let role = COLUMNS
            .iter()
            .map(|(name, _)| *name)
            .find(|name| name.eq_ignore_ascii_case(role.trim()))
            .ok_or_else(|| HeadingError::Role { role: role.trim().to_owned(), roles: names() })?;
        if self.0.iter().any(|(known, _)| *known == role) {
            return Err(HeadingError::Twice(role));
        }
        self.0.push((role, heading.trim().to_owned()));
        Ok(())
    }

    /// The headings that none of these tables has.
    pub fn unused<'h>(&'h self, used: &[String]) -> Vec<&'h str> {
        self.0.iter().map(|(_, heading)| heading.as_str()).filter(|heading| !used.iter().any(|u| plain(u) == plain(heading))).collect()
    }

    fn role(&self, heading: &str) -> Option<&'static str> {
        let heading = plain(heading);
        self.0.iter().find(|(_, named)| plain(named) == heading).map(|(role, _)| *role)
    }
}

fn plain(heading: &str) -> String {
    heading.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The role of a column by its heading alone. The column between two fields may have an arrow for a heading.
fn known(heading: &str) -> Option<&'static str> {
    let name = plain(heading);
    if name.is_empty() && super::direction::is_arrow(heading) {
        return Some("direction");
    }
    COLUMNS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(role, _)| *role)
}

/// The heading row of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Its index among the rows of the grid.
    pub(super) row: usize,
    /// The columns that are known, by their number.
    pub(super) roles: BTreeMap<usize, &'static str>,
    pub(super) kind: Kind,
    /// The headings that the author named and this row has.
    pub(super) named: Vec<String>,
}

impl Header {
    /// Whether the target is left of the source, so that an arrow between them points the other way round.
    pub(super) fn is_mirrored(&self) -> bool {
        let at = |wanted: &str| self.roles.iter().find(|(_, role)| **role == wanted).map(|(column, _)| *column);
        matches!((at("source"), at("target")), (Some(source), Some(target)) if target < source)
    }
}

/// Finds the heading row: the first of the top rows whose columns make a table. A row with a heading that the author named goes before
/// the others.
pub(super) fn header(grid: &Grid, wanted: Option<Kind>, headings: &Headings) -> Option<Header> {
    let mut first: Option<Header> = None;
    let mut partial: Option<Header> = None;
    for at in 0..grid.rows.len().min(TITLES) {
        let above = at.checked_sub(1).map(|above| &grid.rows[above]);
        let below = above.and_then(|above| assign(grid, at, Some(above), headings)).map(|found| (found, true));
        let alone = assign(grid, at, None, headings).map(|found| (found, false));
        for ((roles, named), is_below) in below.into_iter().chain(alone) {
            let kind = match wanted {
                Some(kind) => has_all(kind, &renamed(&roles, kind)).then_some(kind),
                None => [Kind::Fields, Kind::Filters, Kind::Replacements, Kind::Options].into_iter().find(|kind| is_known(*kind, &roles)),
            };
            let known = roles.len();
            match (kind, wanted) {
                (Some(kind), _) => {
                    let header = Header { row: at, roles: renamed(&roles, kind), kind, named };
                    if !header.named.is_empty() {
                        return Some(header);
                    }
                    // The row of systems would make a table too, with the row below it as its first.
                    match &first {
                        Some(Header { row, .. }) if !(is_below && *row + 1 == at) => {}
                        Some(_) | None => first = Some(header),
                    }
                }
                // The author says what the table lists, so a column may be missing.
                (None, Some(kind)) if known > partial.as_ref().map_or(0, |p| p.roles.len()) => {
                    partial = Some(Header { row: at, roles: renamed(&roles, kind), kind, named });
                }
                (None, _) => {}
            }
        }
    }
    first.or(partial)
}

/// The roles of a row's cells as headings, and the headings among them that the author named. With the row above it, a cell there that
/// names a system and spans several columns counts for the names below it.
fn assign(grid: &Grid, at: usize, above: Option<&GridRow>, headings: &Headings) -> Option<(BTreeMap<usize, &'static str>, Vec<String>)> {
    let mut roles: BTreeMap<usize, &'static str> = BTreeMap::new();
    let mut named = Vec::new();
    let mut grouped = false;
    for (column, heading) in &grid.rows[at].cells {
        if let Some(role) = headings.role(heading) {
            named.push(heading.clone());
            // What the author says counts before what is guessed.
            roles.retain(|_, other| *other != role);
            roles.insert(*column, role);
            continue;
        }
        let group = above.filter(|_| NAME_OF_A_FIELD.contains(&plain(heading).as_str())).and_then(|above| grid.spanning(above, *column));
        let group = group.and_then(known).filter(|role| matches!(*role, "source" | "target"));
        grouped |= group.is_some();
        let Some(role) = group.or_else(|| known(heading)) else { continue };
        if headings.0.iter().any(|(other, _)| *other == role && grid.rows[at].cells.values().any(|c| headings.role(c) == Some(*other))) {
            continue;
        }
        roles.insert(*column, role);
    }
    (above.is_none() || grouped).then_some((roles, named))
}

/// Whether columns are those of this kind of table and of no other.
fn is_known(kind: Kind, roles: &BTreeMap<usize, &'static str>) -> bool {
    let has = |name: &str| roles.values().any(|role| *role == name);
    match kind {
        Kind::Fields => has("source") && has("target"),
        Kind::Filters => has("comparison") && (has("field") || has("source")),
        Kind::Replacements => has("old") && has("new") && (has("field") || has("source")),
        Kind::Options => has("option") && has("old"),
    }
}

/// Whether a table that is known to be of this kind has the columns that it needs.
fn has_all(kind: Kind, roles: &BTreeMap<usize, &'static str>) -> bool {
    let needed: &[&str] = match kind {
        Kind::Fields => &["source", "target"],
        Kind::Filters => &["field", "comparison"],
        Kind::Replacements => &["field", "old", "new"],
        Kind::Options => &["option", "value"],
    };
    needed.iter().all(|needed| roles.values().any(|role| role == needed))
}

fn renamed(roles: &BTreeMap<usize, &'static str>, kind: Kind) -> BTreeMap<usize, &'static str> {
    roles.iter().map(|(column, role)| (*column, rename(role, kind))).collect()
}

/// In replacements and filters the source is the field; in filters the value is what is compared with.
fn rename(role: &'static str, kind: Kind) -> &'static str {
    match (kind, role) {
        (Kind::Replacements | Kind::Filters, "source") => "field",
        (Kind::Filters | Kind::Options, "old" | "target" | "new") => "value",
        (Kind::Replacements, "target") => "new",
        (Kind::Fields, "field") => "source",
        (_, other) => other,
    }
}

/// The role of a heading in a table whose kind is known, for tables without an order of columns.
pub(super) fn role(heading: &str, kind: Kind, headings: &Headings) -> Option<&'static str> {
    headings.role(heading).or_else(|| known(heading)).map(|role| rename(role, kind))
}
