//! Rows as blocks of a mapping: tables of replacements, filters and options.

use std::collections::BTreeMap;

use super::cells::{is_comparison, is_text, quoted, reads, spelled};
use super::table::Row;
use super::text::{ADOPT, HEADING, Line, NotAValue, Note, OPT_OUTS, TABLE, Writer, find};
use crate::schema::FieldType;

impl Writer<'_> {
    /// The `replace` blocks.
    pub(super) fn replacements(&mut self, rows: &[(&str, &Row)], mappings: &[(&str, &Row)]) {
        let (source, target) = (self.source, self.target);
        let mut order: Vec<String> = Vec::new();
        let mut by_field: BTreeMap<String, Vec<(&str, &Row)>> = BTreeMap::new();
        // Comments between the rows belong to the next one.
        let mut waiting = Vec::new();
        for (file, row) in rows {
            let cell = row.cell("field");
            if row.is_comment() {
                waiting.push((*file, *row));
                continue;
            }
            if cell.is_empty() {
                self.leave(file, row, "no field");
                continue;
            }
            let name = find(cell, source).unwrap_or_else(|| cell.to_owned());
            if !order.contains(&name) {
                order.push(name.clone());
            }
            let rows = by_field.entry(name).or_default();
            rows.append(&mut waiting);
            rows.push((file, row));
        }
        for name in order {
            let from = source.field(&name.split('.').collect::<Vec<_>>()).map(|f| &f.ty);
            // The results are values of the field that the first mapping of the replaced one writes.
            let mapped = mappings.iter().find(|(_, row)| find(row.cell("source"), source).as_deref() == Some(&name));
            let to = mapped.and_then(|(_, row)| find(row.cell("target"), target));
            let to = to.and_then(|t| target.field(&t.split('.').collect::<Vec<_>>())).map(|f| &f.ty);
            let rows = by_field.remove(&name).unwrap_or_default();
            let first = rows.iter().take_while(|(_, row)| row.is_comment()).count();
            self.line(String::new(), None);
            rows[..first].iter().for_each(|(file, row)| self.comment(file, row));
            self.line(format!("replace {} {{", spelled(&name)), None);
            for (file, row) in rows.into_iter().skip(first) {
                if row.is_comment() {
                    self.comment(file, row);
                    continue;
                }
                let left = match row.cell("old").to_lowercase().as_str() {
                    "" | "null" | "(empty)" | "(blank)" => Ok("null".to_owned()),
                    "*" | "else" | "other" | "(other)" => Ok("else".to_owned()),
                    _ if is_comparison(row.cell("old")) => Ok(row.cell("old").to_owned()),
                    _ => self.value(row.cell("old"), from, file, row),
                };
                let right = match row.cell("new").to_lowercase().as_str() {
                    "" | "null" | "(empty)" => Ok("null".to_owned()),
                    word @ ("keep" | "reject") => Ok(word.to_owned()),
                    _ => self.value(row.cell("new"), to.or(Some(&FieldType::Text { max: None })), file, row),
                };
                let (left, right) = match (left, right) {
                    (Ok(left), Ok(right)) => (left, right),
                    (Err(why), _) | (_, Err(why)) => {
                        self.leave(file, row, &why.to_string());
                        continue;
                    }
                };
                let arm = format!("{left} => {right}");
                if reads(&format!("replace a {{ {arm} }}")) {
                    self.comment(file, row);
                    self.line(arm, Some((file.to_owned(), row.number)));
                } else {
                    self.leave(file, row, "the row does not make a replacement");
                }
            }
            self.line("}".to_owned(), None);
        }
        waiting.into_iter().for_each(|(file, row)| self.comment(file, row));
    }

    /// The filters.
    pub(super) fn filters(&mut self, rows: &[(&str, &Row)]) {
        if rows.is_empty() {
            return;
        }
        let either = rows.iter().any(|(_, r)| r.cell("join").eq_ignore_ascii_case("or"));
        let both = rows.iter().any(|(_, r)| r.cell("join").eq_ignore_ascii_case("and"));
        if either && both {
            self.notes.push(Note {
                place: "the filter".to_owned(),
                text: "rows are joined by And and by Or; those joined by Or are in a separate `any { … }`".to_owned(),
            });
        }
        self.line(String::new(), None);
        let first = rows.iter().take_while(|(_, row)| row.is_comment()).count();
        rows[..first].iter().for_each(|(file, row)| self.comment(file, row));
        let rows = &rows[first..];
        if rows.is_empty() {
            return;
        }
        self.line(format!("filter {} {{", if either && !both { "any" } else { "all" }), None);
        let (loose, strict): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, r)| either && both && r.cell("join").eq_ignore_ascii_case("or"));
        for (file, row) in strict {
            self.condition(file, row);
        }
        if !loose.is_empty() {
            self.line("any {".to_owned(), None);
            for (file, row) in loose {
                self.condition(file, row);
            }
            self.line("}".to_owned(), None);
        }
        self.line("}".to_owned(), None);
    }

    /// The settings of the mapping.
    /// The options.
    pub(super) fn options(&mut self, rows: &[(&str, &Row)]) {
        let (mut lines, mut tables): (Vec<Line>, Vec<Line>) = (Vec::new(), Vec::new());
        // Comments above the block.
        let mut head = Vec::new();
        for (file, row) in rows {
            let (option, value) = (row.cell("option"), row.cell("value"));
            let place = Some(((*file).to_owned(), row.number));
            let with_comments = |line: String| row.comments().chain([line]).map(|line| (line, place.clone())).collect::<Vec<_>>();
            match option {
                HEADING | OPT_OUTS => {}
                TABLE => tables.extend(with_comments(format!("table {value}"))),
                ADOPT if reads(&format!("adopt {value}")) => {
                    self.line(String::new(), None);
                    self.lines.extend(with_comments(format!("adopt {value}")));
                }
                _ if row.is_comment() => {
                    let all = row.comments().map(|line| (line, place.clone()));
                    if lines.is_empty() { head.extend(all) } else { lines.extend(all) }
                }
                _ if reads(&format!("options {{ {option} {value} }}")) => lines.extend(with_comments(format!("{option} {value}"))),
                _ => self.leave(file, row, "the row is not an option and its value"),
            }
        }
        if !lines.is_empty() || !head.is_empty() {
            self.line(String::new(), None);
        }
        self.lines.extend(head);
        if !lines.is_empty() {
            self.line("options {".to_owned(), None);
            self.lines.extend(lines);
            self.line("}".to_owned(), None);
        }
        // Tables are declared before the mapping.
        for (at, line) in tables.into_iter().enumerate() {
            self.lines.insert(at, line);
        }
    }

    fn condition(&mut self, file: &str, row: &Row) {
        let cell = row.cell("field");
        if row.is_comment() {
            return self.comment(file, row);
        }
        if cell.is_empty() {
            return self.leave(file, row, "no field");
        }
        // A condition of the language as it is.
        if row.cell("comparison").is_empty() && row.cell("value").is_empty() && reads(&format!("filter all {{\n{cell}\n}}")) {
            self.comment(file, row);
            return self.line(cell.to_owned(), Some((file.to_owned(), row.number)));
        }
        let name = self.name(cell, self.source, file, row);
        let schema = self.source;
        let ty = find(cell, schema).and_then(|f| schema.field(&f.split('.').collect::<Vec<_>>())).map(|f| &f.ty);
        let word: String = row.cell("comparison").to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let text = || if is_text(row.cell("value")) { row.cell("value").to_owned() } else { quoted(row.cell("value")) };
        let cells: Vec<&str> = match word.as_str() {
            "in" | "one of" | "not in" => row.cell("value").split([';', ',']).map(str::trim).collect(),
            _ => vec![row.cell("value")],
        };
        let values: Result<Vec<String>, NotAValue> = cells.into_iter().map(|cell| self.value(cell, ty, file, row)).collect();
        let values = match values {
            Ok(values) => values.join(", "),
            Err(why) => return self.leave(file, row, &why.to_string()),
        };
        let condition = match word.as_str() {
            "=" | "==" | "equals" | "equal" | "is" | "eq" | "equal to" => format!("{name} = {}", values),
            "!=" | "<>" | "not equal" | "does not equal" | "not equals" | "is not" | "ne" => format!("{name} != {}", values),
            ">" | "greater than" | "gt" | "after" => format!("{name} > {}", values),
            ">=" | "greater or equal" | "greater than or equal" | "ge" | "on or after" => format!("{name} >= {}", values),
            "<" | "less than" | "lt" | "before" => format!("{name} < {}", values),
            "<=" | "less or equal" | "less than or equal" | "le" | "on or before" => format!("{name} <= {}", values),
            "contains" => format!("{name} contains {}", text()),
            "does not contain" => format!("not {name} contains {}", text()),
            "starts with" | "begins with" => format!("{name} starts with {}", text()),
            "ends with" => format!("{name} ends with {}", text()),
            "is empty" | "is null" | "empty" | "does not contain data" => format!("{name} is empty"),
            "is not empty" | "is not null" | "not empty" | "contains data" | "is present" => format!("{name} is present"),
            "in" | "one of" => format!("{name} in ({})", values),
            "not in" => format!("not {name} in ({})", values),
            _ => return self.leave(file, row, "an unknown comparison"),
        };
        if !reads(&format!("filter all {{\n{condition}\n}}")) {
            return self.leave(file, row, "the row does not make a condition");
        }
        self.comment(file, row);
        self.line(condition, Some((file.to_owned(), row.number)));
    }
}
