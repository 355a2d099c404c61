//! Documentation as Markdown.

use std::fmt::Write;

use super::Document;
use crate::printable;

/// The document.
pub fn markdown(document: &Document) -> String {
    let mut out = String::from("# Mappings\n");
    // Writing into a String cannot fail.
    for section in &document.sections {
        let _ = write!(out, "\n## {}\n\n", plain(&section.title));
        if !section.remark.is_empty() {
            let _ = write!(out, "{}\n\n", plain(&section.remark));
        }
        for line in &section.intro {
            let _ = writeln!(out, "- {}", plain(line));
        }
        let _ = writeln!(out, "- File: `{}`", printable::inline(&section.file).replace('`', "'"));
        for grid in &section.tables {
            let _ = write!(out, "\n### {}\n\n", plain(&grid.title));
            let _ = writeln!(out, "| {} |", grid.head.join(" | "));
            let _ = writeln!(out, "|{}", "---|".repeat(grid.head.len()));
            for row in &grid.rows {
                let cells: Vec<String> = row.iter().map(|c| plain(c)).collect();
                let _ = writeln!(out, "| {} |", cells.join(" | "));
            }
        }
    }
    out
}

/// A text whose signs mean nothing in Markdown.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable::block(text).chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '<' | '[' | ']' | '#' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
