//! Inlay hints: the types on both sides of an entry.

use lsp_types::{InlayHint, InlayHintKind, InlayHintLabel, Range};

use super::documents::Group;
use crate::assist::describe::type_text;
use crate::assist::marks::{field, sides};
use crate::syntax::ast::Source;

/// The hints of the lines in a range.
pub(super) fn of(group: &Group, file: usize, range: Range) -> Vec<InlayHint> {
    let source = &group.files[file];
    let lines = &source.lines;
    let mut hints = Vec::new();
    for mapping in &source.tree.mappings {
        let sides = sides(mapping, &group.catalogue);
        for entry in mapping.fields() {
            let left = match &entry.source {
                Source::Field(path) => {
                    let column = sides.source.and_then(|table| group.catalogue.column(table, &path.names()));
                    column.map(|(_, f)| (path.span, f))
                }
                Source::Literal(_) | Source::Template(_) | Source::Call(_) | Source::Case(_) | Source::Formula(_) => None,
            };
            let right = field(sides.target, &entry.target).map(|f| (entry.target.span, f));
            for (span, field) in left.into_iter().chain(right) {
                let position = lines.position(span.end as usize);
                if position.line < range.start.line || range.end.line < position.line {
                    continue;
                }
                hints.push(InlayHint {
                    position,
                    label: InlayHintLabel::String(format!(": {}", type_text(field))),
                    kind: Some(InlayHintKind::TYPE),
                    text_edits: None,
                    tooltip: None,
                    padding_left: None,
                    padding_right: Some(true),
                    data: None,
                });
            }
        }
    }
    hints
}
