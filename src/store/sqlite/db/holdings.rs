//! Where persons can be in the tables; a test keeps the list whole.

/// A column with a keyed hash of the id in place of the id.
pub(super) const HASHED: &str = "id_hash";

/// What happens to a row in which a person is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// It goes.
    Row,
    /// It is another record's operation that names the person: the record is read again, without the person.
    Refetch,
    /// The words about the person go.
    Words,
}

/// Where persons can be.
pub(super) struct Holding {
    pub(super) table: &'static str,
    /// What a row is, for people.
    pub(super) what: &'static str,
    /// The column with the flow's number, if it has one.
    pub(super) mapping: Option<&'static str>,
    /// What shows which row it is.
    pub(super) label: &'static str,
    /// Columns that hold an id or a key, and nothing else: the row belongs to the person. Each with the column before it in its
    /// index, if there is one: tables of millions of rows are not searched.
    pub(super) own: &'static [(&'static str, Option<&'static str>)],
    /// Columns of words or documents that may contain one.
    pub(super) text: &'static [&'static str],
    /// What happens to a row that has the person in its words only.
    pub(super) otherwise: Removal,
}

pub(super) const HOLDINGS: &[Holding] = &[
    Holding {
        table: "ledger",
        what: "record at the target (keyed hashes of its values)",
        mapping: Some("mapping"),
        label: "key",
        own: &[("source_id", Some("mapping")), ("key", Some("mapping"))],
        text: &[],
        otherwise: Removal::Words,
    },
    Holding {
        table: "outbox",
        what: "operation that waits, with its values",
        mapping: Some("mapping"),
        label: "op || ' ' || source_id",
        own: &[("source_id", Some("mapping")), ("key", Some("mapping"))],
        text: &["payload", "waited", "last_error"],
        otherwise: Removal::Refetch,
    },
    Holding {
        table: "held",
        what: "change that is held with others until it is approved",
        mapping: Some("mapping"),
        label: "cause || ' ' || source_id",
        own: &[("source_id", Some("mapping")), ("key", Some("mapping"))],
        // Another record's values may name the person: what is held of it goes, and the next full load finds it again.
        text: &["payload"],
        otherwise: Removal::Row,
    },
    Holding {
        table: "due_record",
        what: "instant at which it is evaluated again",
        mapping: Some("mapping"),
        label: "source_id",
        own: &[("source_id", Some("mapping"))],
        text: &[],
        otherwise: Removal::Row,
    },
    Holding {
        table: "related_row",
        what: "columns of a record that others point to",
        mapping: Some("mapping"),
        label: "row_id",
        own: &[("row_id", Some("mapping"))],
        // A row that names the person is asked for by its id until it changes.
        text: &["columns"],
        otherwise: Removal::Row,
    },
    Holding {
        table: "related_use",
        what: "record that points to another one",
        mapping: Some("mapping"),
        label: "source_id",
        own: &[("row_id", Some("mapping")), ("source_id", Some("mapping"))],
        text: &[],
        otherwise: Removal::Words,
    },
    Holding {
        table: "dead_letter",
        what: "dead letter, with what was sent and answered",
        mapping: Some("mapping"),
        label: "id || ' ' || code",
        own: &[("source_id", Some("mapping")), ("key", Some("mapping"))],
        text: &["message", "request", "response"],
        otherwise: Removal::Row,
    },
    Holding {
        table: "event",
        what: "event on its way to a timeline",
        mapping: Some("flow"),
        label: "kind || ' ' || activity",
        own: &[("contact", None)],
        text: &["payload"],
        otherwise: Removal::Row,
    },
    Holding {
        table: "optout",
        what: "what both sides said last of opt-outs",
        mapping: Some("mapping"),
        label: "source_id",
        own: &[("source_id", Some("mapping"))],
        // The contact that another one was merged into.
        text: &["master"],
        otherwise: Removal::Words,
    },
    Holding {
        table: "optout_kept",
        what: "opt-outs of a profile that a mapping deleted, under a keyed hash of the id",
        mapping: Some("mapping"),
        // Not the hash: it is of no use to people.
        label: "'(hash)'",
        own: &[(HASHED, Some("mapping"))],
        text: &[],
        otherwise: Removal::Row,
    },
    Holding {
        table: "pair",
        what: "pair of a referral and an opportunity (keyed hashes of their values)",
        mapping: Some("mapping"),
        label: "anchor",
        own: &[("left_id", Some("mapping")), ("right_id", Some("mapping")), ("anchor", Some("mapping"))],
        text: &[],
        otherwise: Removal::Words,
    },
    Holding {
        table: "pair_row",
        what: "row of a list of an opportunity",
        mapping: Some("mapping"),
        label: "row_id",
        own: &[("right_id", Some("mapping"))],
        text: &[],
        otherwise: Removal::Words,
    },
    Holding {
        table: "optout_flow",
        what: "note on opt-outs that names it",
        mapping: Some("mapping"),
        label: "stage",
        own: &[],
        text: &["note"],
        otherwise: Removal::Words,
    },
    Holding {
        table: "link",
        what: "link of another record to it",
        mapping: Some("mapping"),
        label: "key",
        own: &[("key", Some("mapping")), ("parent_id", Some("parent"))],
        text: &[],
        otherwise: Removal::Words,
    },
    Holding {
        table: "link_wait",
        what: "operation of another record that waits for it",
        mapping: None,
        label: "seq",
        own: &[("parent_id", Some("parent"))],
        text: &[],
        otherwise: Removal::Words,
    },
    Holding {
        table: "notification",
        what: "notification of a change, from a webhook",
        mapping: None,
        label: "event",
        own: &[("resource", None)],
        text: &[],
        otherwise: Removal::Row,
    },
    // Who has done something stays on record, for those who answer for it; what it was done to must not name a person.
    Holding {
        table: "audit",
        what: "entry of the audit log that names it",
        mapping: None,
        label: "id || ' ' || action",
        own: &[],
        text: &["object"],
        otherwise: Removal::Words,
    },
    Holding {
        table: "run",
        what: "summary of a run that names it as an example",
        mapping: None,
        label: "id",
        own: &[],
        text: &["counters"],
        otherwise: Removal::Words,
    },
    Holding {
        table: "workflow",
        what: "note on a workflow that names it",
        mapping: None,
        label: "name",
        own: &[],
        text: &["reason", "last_error"],
        otherwise: Removal::Words,
    },
    Holding {
        table: "cursor",
        what: "error of a page that names it",
        mapping: Some("mapping"),
        label: "mapping",
        own: &[],
        text: &["last_error"],
        otherwise: Removal::Words,
    },
];

/// Tables that hold no person: settings, counts, names of flows, paths and files, hashes.
#[cfg(test)]
pub(super) const NOBODY: &[&str] = &[
    "meta",
    "optout_topic",
    "mapping",
    "usage",
    "target_path",
    "export",
    "export_problem",
    "forgotten",
    "sqlite_sequence",
    "event_seen",
    "event_cursor",
    "event_gap",
    "environment",
    "mass_change",
    "mass_passed",
    "pair_cursor",
    "pair_row_cursor",
    "related_source",
    "sample_records",
    "sample_calls",
    "alert",
];

impl Holding {
    /// Its columns, each with a condition on it. Parameters: the id or text in lower case, as it was given, and its keyed hash.
    pub(super) fn conditions(&self) -> impl Iterator<Item = (&'static str, String)> {
        let own = self.own.iter().map(|(column, before)| (*column, equals(column, *before)));
        own.chain(self.text.iter().map(|column| (*column, format!("mentions({column}, ?1)"))))
    }

    /// The person is in one of the columns.
    pub(super) fn anywhere(&self) -> String {
        self.conditions().map(|(_, c)| format!("({c})")).collect::<Vec<_>>().join(" OR ")
    }

    /// The row belongs to the person.
    pub(super) fn owned(&self) -> String {
        self.own.iter().map(|(column, before)| format!("({})", equals(column, *before))).collect::<Vec<_>>().join(" OR ")
    }
}

/// Ids are in lower case in the state, keys as the mapping makes them.
fn equals(column: &str, before: Option<&str>) -> String {
    let equals = if column == HASHED { format!("{column} = ?3") } else { format!("{column} IN (?1, ?2)") };
    before.map_or(equals.clone(), |before| format!("{before} IN (SELECT id FROM mapping) AND {equals}"))
}
