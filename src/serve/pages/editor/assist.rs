//! What the script of the editor asks for while somebody writes: findings, completion, and what is at the cursor.

use std::ops::Range;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use lsp_types::{CompletionItem, CompletionTextEdit, InsertTextFormat};
use serde::{Deserialize, Serialize};

use super::fragment;
use super::opened::Opened;
use crate::assist::{Encoding, Group, completion, hover, uri_of};
use crate::serve::answer::{At, Failure, blocking};
use crate::serve::pages::markdown;

/// Items that are offered at once.
const MOST: usize = 50;

/// A text that is being written.
#[derive(Debug, Deserialize)]
pub struct Written {
    text: String,
    /// Where the cursor is, in UTF-16 code units.
    #[serde(default)]
    at: usize,
}

/// Something that can be written at the cursor.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Offer {
    label: String,
    detail: String,
    /// What takes the place of what is between `from` and the cursor.
    text: String,
    /// In UTF-16 code units, from the beginning of the text.
    from: usize,
    /// Where the cursor is then, from the beginning of `text`.
    cursor: usize,
}

/// Answers the script.
pub async fn assist(
    at: At,
    Path((_, what, file)): Path<(String, String, String)>,
    Form(written): Form<Written>,
) -> Result<Response, Failure> {
    let (project, text) = (at.served.project(), written.text.replace("\r\n", "\n"));
    let offset = byte_of(&text, written.at);
    match what.as_str() {
        "findings" => {
            let (opened, compiled) = blocking(move || {
                let opened = Opened::on_disk(&project, &file)?;
                let compiled = opened.compile(&text)?;
                Ok::<_, Failure>((opened, compiled))
            })
            .await?;
            Ok(fragment(&at, &opened, &compiled).into_response())
        }
        "completion" => {
            let offers = blocking(move || {
                let (group, index) = group(&Opened::on_disk(&project, &file)?, &text)?;
                Ok::<_, Failure>(offers(completion::of(&group, index, offset), &group, index, &text, offset))
            })
            .await?;
            Ok(Json(offers).into_response())
        }
        "hover" => {
            let found = blocking(move || {
                let (group, index) = group(&Opened::on_disk(&project, &file)?, &text)?;
                Ok::<_, Failure>(hover::at(&group, index, offset).map(|(text, _)| text))
            })
            .await?;
            Ok(found.map_or_else(maud::Markup::default, |text| markdown::html(&text)).into_response())
        }
        _ => Err(Failure::not_found("the editor has no such help")),
    }
}

/// The files as the language server has them, with another text of one.
fn group(opened: &Opened, text: &str) -> Result<(Group, usize), Failure> {
    let mut files = opened.group.clone();
    files.replace(opened.index, text.as_bytes().to_vec()).map_err(crate::app::AppError::from)?;
    let mut index = None;
    let mut texts = Vec::new();
    for (n, (input, path)) in files.inputs.into_iter().zip(&files.paths).enumerate() {
        let Some(uri) = uri_of(path) else { continue };
        if n == opened.index {
            index = Some(texts.len());
        }
        texts.push((uri, input.name, String::from_utf8_lossy(&input.bytes).into_owned()));
    }
    let index = index.ok_or_else(|| Failure::not_found("the file has no address"))?;
    Ok((Group::of(texts.into_iter(), &files.tables, files.catalogue, &files.levels, Encoding::Utf16), index))
}

/// The byte at a number of UTF-16 code units.
fn byte_of(text: &str, units: usize) -> usize {
    let mut counted = 0;
    for (at, c) in text.char_indices() {
        if counted >= units {
            return at;
        }
        counted += c.len_utf16();
    }
    text.len()
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What is being typed before the cursor.
fn typed(text: &str, offset: usize) -> Range<usize> {
    let before = text.get(..offset).unwrap_or_default();
    let start = before
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    start..offset
}

/// The items that begin with what is typed, then those that contain it.
fn offers(items: Vec<CompletionItem>, group: &Group, index: usize, text: &str, offset: usize) -> Vec<Offer> {
    let word = typed(text, offset);
    let prefix = text.get(word.clone()).unwrap_or_default().to_lowercase();
    let rank = |item: &CompletionItem| {
        let name = item.filter_text.as_ref().unwrap_or(&item.label).to_lowercase();
        let name = name.trim_start_matches(['$', '@', '"', '`']);
        if name.starts_with(&prefix) { Some(0) } else { name.contains(&prefix).then_some(1) }
    };
    let mut ranked: Vec<(u8, CompletionItem)> = items.into_iter().filter_map(|item| Some((rank(&item)?, item))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(MOST).map(|(_, item)| offer(item, group, index, text, word.start)).collect()
}

fn offer(item: CompletionItem, group: &Group, index: usize, text: &str, start: usize) -> Offer {
    let (start, inserted) = match item.text_edit {
        Some(CompletionTextEdit::Edit(edit)) => (group.files[index].lines.offset(edit.range.start), edit.new_text),
        Some(CompletionTextEdit::InsertAndReplace(edit)) => (group.files[index].lines.offset(edit.insert.start), edit.new_text),
        None => (start, item.insert_text.unwrap_or_else(|| item.label.clone())),
    };
    let (inserted, cursor) = match item.insert_text_format {
        Some(InsertTextFormat::SNIPPET) => plain(&inserted),
        _ => {
            let cursor = units(&inserted);
            (inserted, cursor)
        }
    };
    let from = units(text.get(..start).unwrap_or_default());
    Offer { label: item.label, detail: item.detail.unwrap_or_default(), text: inserted, from, cursor }
}

/// A snippet as text, and where its first placeholder is, in UTF-16 code units: `a ${1:b} $0` is `a b `.
fn plain(snippet: &str) -> (String, usize) {
    let (mut out, mut first) = (String::new(), None);
    let mut rest = snippet;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        let (sign, tail) = rest[at..].split_at(1);
        if sign == "\\" {
            let escaped = tail.chars().next();
            out.extend(escaped);
            rest = &tail[escaped.map_or(0, char::len_utf8)..];
            continue;
        }
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (length, default) = match tail.strip_prefix('{') {
            Some(inner) if digits(inner) > 0 => {
                let end = inner.find('}').unwrap_or(inner.len());
                (1 + end + usize::from(end < inner.len()), inner[digits(inner)..end].trim_start_matches(':'))
            }
            _ => (digits(tail), ""),
        };
        if length == 0 {
            out.push('$');
        } else {
            first.get_or_insert(units(&out));
            out.push_str(default);
        }
        rest = &tail[length..];
    }
    out.push_str(rest);
    let cursor = first.unwrap_or_else(|| units(&out));
    (out, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_is_its_text_with_the_cursor_at_the_first_placeholder() {
        for (snippet, text, cursor) in [
            ("key ${1:id} -> $0", "key id -> ", 4),
            ("truncate($1)", "truncate()", 9),
            ("a\\$b", "a$b", 3),
            ("$ 5 ${", "$ 5 ${", 6),
            ("ä😀$1", "ä😀", 3),
        ] {
            assert_eq!(plain(snippet), (text.to_owned(), cursor), "{snippet}");
        }
    }

    #[test]
    fn places_of_a_browser_are_counted_in_utf16() {
        let text = "ä😀b";
        for (given, byte) in [(0, 0), (1, 2), (3, 6), (4, 7), (99, 7)] {
            assert_eq!(byte_of(text, given), byte);
        }
    }

    #[test]
    fn what_is_typed_is_the_word_before_the_cursor() {
        for (text, word) in [("a first", "first"), ("x -> d365.con", "con"), ("“na", "na"), ("| ", ""), ("filtered-o", "filtered-o")] {
            assert_eq!(&text[typed(text, text.len())], word, "{text}");
        }
    }
}
