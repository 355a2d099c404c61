//! Documentation as one HTML page, without scripts or other files.

use std::fmt::Write;

use quick_xml::escape::escape;

use super::Document;
use crate::printable;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1b1b1b;background:#fff}\
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}caption{text-align:left;font-weight:600;padding:.3rem 0}\
th,td{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;vertical-align:top}th{background:#eee}\
code{font-family:ui-monospace,monospace}@media(prefers-color-scheme:dark){body{color:#eee;background:#1b1b1b}th{background:#333}}";

/// The page.
pub fn html(document: &Document) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>Mappings</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Mappings</h1>\n"
    );
    // Writing into a String cannot fail.
    for section in &document.sections {
        let _ = writeln!(out, "<section>\n<h2>{}</h2>", text(&section.title));
        if !section.remark.is_empty() {
            let _ = writeln!(out, "<p>{}</p>", text(&section.remark));
        }
        out.push_str("<ul>\n");
        for line in &section.intro {
            let _ = writeln!(out, "<li>{}</li>", text(line));
        }
        let _ = writeln!(out, "<li>File: <code>{}</code></li>\n</ul>", text(&section.file));
        for grid in &section.tables {
            let _ = writeln!(out, "<table>\n<caption>{}</caption>", text(&grid.title));
            let head: String = grid.head.iter().map(|h| format!("<th scope=\"col\">{}</th>", text(h))).collect();
            let _ = writeln!(out, "<thead><tr>{head}</tr></thead>\n<tbody>");
            for row in &grid.rows {
                let cells: String = row.iter().map(|c| format!("<td>{}</td>", text(c))).collect();
                let _ = writeln!(out, "<tr>{cells}</tr>");
            }
            out.push_str("</tbody>\n</table>\n");
        }
        out.push_str("</section>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn text(text: &str) -> String {
    escape(printable::block(text)).into_owned()
}
