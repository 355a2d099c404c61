//! Completion in paths through lookups.

use lsp_types::{CompletionItem, CompletionItemKind};

use super::Tables;
use super::items::{dotted, fields, item};
use crate::schema::{Leads, LookupTarget, SystemId, TableId};

/// What is allowed after the dot of a lookup: the columns of the record that it points to, or the names of its tables. `header`: the words
/// of the innermost block.
pub(super) fn through_lookups(entry: &[&str], header: &[&str], tables: &Tables<'_>) -> Option<Vec<CompletionItem>> {
    let [before @ .., "."] = entry else { return None };
    if tables.two_way() || matches!(header.first(), Some(&("expect" | "optout" | "events"))) {
        return None;
    }
    // `a . b . c`, from its end.
    let mut start = before.len().checked_sub(1)?;
    while start >= 2 && before[start - 1] == "." {
        start -= 2;
    }
    if matches!(start.checked_sub(1).map(|at| before[at]), Some("->" | "lookup")) {
        return None;
    }
    match tables.catalogue.leads(tables.source?, &dotted(&before[start..]))? {
        Leads::Table(table) => Some(fields(&[], Some(table), |field| field.readable)),
        Leads::OneOf(targets) => {
            let label = |name: &str| tables.catalogue.get(&TableId::new(SystemId::D365, name)).map(|t| t.label.clone()).unwrap_or_default();
            let table = |target: &LookupTarget| item(&target.table, CompletionItemKind::STRUCT, label(&target.table));
            Some(targets.iter().map(table).collect())
        }
    }
}
