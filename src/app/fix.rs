//! `d365map check --fix`: applies the fixes of findings to the files.
//!
//! Several rounds: fixing one entry may bring to light what is wrong with it next. A round applies every fix whose edits
//! touch no other's; a file is written as a whole or not at all, and only once, after the last round.

use std::collections::BTreeMap;
use std::fmt;

use super::files::{self, FilesError, Group};
use crate::check::Compiled;
use crate::diagnostics::{Code, Diagnostic, Edit, Position, Safety, Sources};

/// More rounds than a fix can lead to another; a stop for fixes that undo each other.
const ROUNDS: usize = 10;

/// Longer texts are not repeated in full when a change is printed, in characters.
const SHOWN: usize = 80;

/// What was fixed.
pub struct Fixed {
    /// The changes, in the order in which they were made.
    pub changes: Vec<Change>,
    /// What is left.
    pub compiled: Compiled,
}

/// A fix that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    code: Code,
    file: String,
    at: Position,
    title: String,
    /// What each edit replaced, and by what.
    edits: Vec<(String, String)>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fixed {}:{}:{}: {}: ", self.file, self.at.line, self.at.column, self.code)?;
        match self.edits.as_slice() {
            // Spaces and invisible characters cannot be shown.
            [(before, after)] if before.trim().is_empty() && after.trim().is_empty() => f.write_str(&self.title),
            [(before, after)] if before.trim().is_empty() => write!(f, "added `{}`", short(after)),
            [(before, after)] if after.trim().is_empty() => write!(f, "removed `{}`", short(before)),
            [(before, after)] => write!(f, "`{}` → `{}`", short(before), short(after)),
            _ => f.write_str(&self.title),
        }
    }
}

fn short(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Fixes the files of a group that were asked for. With [`Safety::Safe`], only fixes that cannot change what a mapping means
/// are applied.
///
/// # Errors
/// [`FilesError::Io`] if a file cannot be written.
pub fn apply(mut group: Group, safety: Safety) -> Result<Fixed, FilesError> {
    let mut changes = Vec::new();
    let mut changed = vec![false; group.inputs.len()];
    let mut compiled = group.clone().compile();
    for _ in 0..ROUNDS {
        let mut any = false;
        for (file, input) in group.inputs.iter_mut().enumerate().take(group.asked) {
            let Ok(text) = std::str::from_utf8(&input.bytes) else { continue };
            let (text, applied) = fixed(text, file, &compiled.diagnostics, safety);
            if !applied.is_empty() {
                changes.extend(applied.iter().map(|d| change(d, &compiled.sources)));
                any = true;
                changed[file] = true;
                input.bytes = text.into_bytes();
            }
        }
        if !any {
            break;
        }
        compiled = group.clone().compile();
    }
    for (file, path) in group.paths.iter().enumerate().filter(|(i, _)| changed[*i]) {
        let failed = |source| FilesError::Io { path: files::display(path).into(), source };
        files::overwrite(path, &group.inputs[file].bytes).map_err(failed)?;
    }
    Ok(Fixed { changes, compiled })
}

fn change(diagnostic: &Diagnostic, sources: &Sources) -> Change {
    let (file, at) = sources.locate(diagnostic.span);
    let fix = diagnostic.fix.as_ref();
    let before = |e: &Edit| sources.get(e.span.file).and_then(|f| f.text.get(e.span.range())).unwrap_or_default().to_owned();
    Change {
        code: diagnostic.code,
        file: file.to_owned(),
        at,
        title: fix.map(|f| f.title.clone()).unwrap_or_default(),
        edits: fix.map(|f| f.edits.iter().map(|e| (before(e), e.text.clone())).collect()).unwrap_or_default(),
    }
}

/// Applies every fix of one file that does not touch another one's edits; the findings whose fixes were applied.
pub fn fixed<'d>(text: &str, file: usize, diagnostics: &'d [Diagnostic], safety: Safety) -> (String, Vec<&'d Diagnostic>) {
    // By their beginnings; none of them touches another.
    let mut edits: BTreeMap<u32, &Edit> = BTreeMap::new();
    let mut applied = Vec::new();
    for diagnostic in diagnostics.iter().filter(|d| d.span.file.0 as usize == file) {
        let Some(fix) = diagnostic.fix.as_ref().filter(|f| safety == Safety::Unsafe || f.safety == Safety::Safe) else { continue };
        let inside = |e: &Edit| e.span.file.0 as usize == file && text.get(e.span.range()).is_some();
        // Two insertions at one place have no order, so only one is made in a round.
        let free = |e: &Edit| {
            let before = edits.range(..=e.span.end).next_back();
            before.is_none_or(|(_, other)| other.span.end < e.span.start)
        };
        if fix.edits.iter().all(|e| inside(e) && free(e)) {
            edits.extend(fix.edits.iter().map(|e| (e.span.start, e)));
            applied.push(diagnostic);
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits.values() {
        out.push_str(text.get(at..edit.span.start as usize).unwrap_or_default());
        out.push_str(&edit.text);
        at = edit.span.end as usize;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, applied)
}
