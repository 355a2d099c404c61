//! The limits of the integration that a set of files can break: twenty custom entities, fifty columns in each. Links have
//! theirs in [`super::links`]. The limits on numbers of records are the runner's.

use super::{Context, MappingInfo};
use crate::count::counted;
use crate::diagnostics::{Code, Diagnostic};
use crate::schema::{SystemId, TableId};
use crate::syntax::ast::{Entry, Mapping};

const MOST_ENTITIES: usize = 20;
const MOST_COLUMNS: usize = 50;

fn is_custom(info: &MappingInfo) -> bool {
    info.target.as_ref().is_some_and(|t| t.system == SystemId::Campaign && *t != TableId::new(SystemId::Campaign, "profile"))
}

/// The limits that concern one mapping.
pub(super) fn columns(mapping: &Mapping, info: &MappingInfo, context: &mut Context<'_>) {
    if !is_custom(info) {
        return;
    }
    let mut columns: Vec<_> = mapping.entries.iter().filter_map(|e| if let Entry::Key(key) = e { Some(key.span) } else { None }).collect();
    // The blocks of a `when` write the same columns.
    let mut seen = std::collections::BTreeSet::new();
    columns.extend(mapping.fields().filter(|field| seen.insert(field.target.text())).map(|field| field.span));
    if let Some(span) = columns.get(MOST_COLUMNS) {
        context.report(
            Diagnostic::new(
                Code::D702,
                *span,
                format!("this mapping writes {}, but at most {MOST_COLUMNS} are allowed", counted(columns.len(), "column")),
                "the first column above the limit",
            )
            .related(info.span, "in this mapping")
            .help("remove columns that are not used in Campaign, or write several fields to one text"),
        );
    }
}

/// The limits that concern all mappings together.
pub(super) fn entities<'m>(mappings: impl Iterator<Item = (&'m Mapping, &'m MappingInfo)>, context: &mut Context<'_>) {
    let custom: Vec<&MappingInfo> = mappings.filter(|(_, info)| is_custom(info)).map(|(_, info)| info).collect();
    if let Some(extra) = custom.get(MOST_ENTITIES) {
        context.report(
            Diagnostic::new(
                Code::D701,
                extra.span,
                format!("{} custom entities are mapped, but at most {MOST_ENTITIES} are allowed", custom.len()),
                "the first one above the limit",
            )
            .help("map fewer tables, or distribute them among several projects"),
        );
    }
}
