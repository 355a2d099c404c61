//! The entry of the syntax stage: bytes to text, text to tree.

use std::collections::BTreeSet;

use pest::Parser;

use super::ast::File;
use super::build::Builder;
use super::scan::{report_separators, scan};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, FileId, Span};

/// The largest file that is read: 8 MiB, some two hundred thousand lines. What is larger is not a mapping file.
pub const MAX_FILE_BYTES: usize = 8 * 1024 * 1024;

/// The grammar's parser. Its types stay inside this stage.
#[derive(pest_derive::Parser)]
#[grammar = "grammar/d365map.pest"]
pub(super) struct Grammar;

/// A file's bytes as text. Where they are not UTF-8 or too many, the text is what can be shown of them, and the message is
/// the reason why it must not be parsed.
pub fn decode(bytes: Vec<u8>) -> (String, Option<Undecodable>) {
    if bytes.len() > MAX_FILE_BYTES {
        // The finding underlines the first byte, so that byte must be a separate character.
        let head: String = bytes[..200].iter().map(|b| if b.is_ascii_graphic() || *b == b'\n' { char::from(*b) } else { ' ' }).collect();
        return (head, Some(Undecodable::TooLarge));
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(valid).copied().unwrap_or(0);
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(Undecodable::NotUtf8 { offset: valid, byte }))
        }
    }
}

/// Why a file is not a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// More than [`MAX_FILE_BYTES`]; how many more is not known, because the rest is not read.
    TooLarge,
    /// A byte that UTF-8 does not have in this place.
    NotUtf8 {
        /// How many bytes before it are valid.
        offset: usize,
        /// The byte.
        byte: u8,
    },
}

impl Undecodable {
    /// The finding to show.
    pub fn diagnostic(self, file: FileId) -> Diagnostic {
        match self {
            Undecodable::TooLarge => Diagnostic::new(
                Code::D002,
                Span::new(file, 0..1),
                format!("this file is larger than {} MiB, the maximum for a mapping file", MAX_FILE_BYTES / 1_048_576),
                "the file begins here",
            )
            .help("if it is a data export, remove it from the folder; otherwise split it into several files in the same folder"),
            Undecodable::NotUtf8 { offset, byte } => {
                // The replacement character takes three bytes in the text that is shown.
                let span = Span::new(file, offset..offset + '\u{FFFD}'.len_utf8());
                Diagnostic::new(Code::D001, span, "this file is not UTF-8", format!("byte 0x{byte:02X} is not valid here"))
                    .help("save the file as UTF-8 in your editor (in Notepad: Save as, Encoding: UTF-8)")
            }
        }
    }
}

/// Reads a text. The tree holds all that could be read; every fault is a diagnostic.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> File {
    let mut tree = File::default();
    let before = diagnostics.len();
    let Some(scanned) = scan(file, text, diagnostics) else {
        return tree;
    };
    let mut answered = BTreeSet::new();
    for piece in &scanned.pieces {
        let mut builder = Builder::new(file, piece, &scanned, diagnostics);
        match Grammar::parse(Rule::file, &piece.text) {
            Ok(pairs) => builder.file(pairs, &mut tree),
            // The recovery rules accept any balanced text, so this is a limit of the parser and not a fault of the grammar.
            Err(error) => builder.unreadable(&error),
        }
        answered.append(&mut builder.answered);
    }
    report_separators(file, scanned.separators.iter().filter(|at| !answered.contains(at)), diagnostics);
    if tree.is_empty() && diagnostics.len() == before {
        let span = Span::new(file, 0..text.chars().next().map_or(0, char::len_utf8));
        diagnostics.push(
            Diagnostic::new(Code::D003, span, "this file contains no mapping", "nothing to compile here")
                .help("begin with `mapping NAME: d365.contact -> campaign.profile { key contactid -> externalId }`, or remove the file"),
        );
    }
    tree
}
