//! `d365map check --fix`: applies the fixes of findings to the files.
//!
//! Several rounds: mending one entry may bring to light what is wrong with it next. A round applies every fix whose edits
//! touch no other's; a file is written as a whole or not at all, and only once, after the last round.

use super::compile::write_whole;
use super::files::{self, Group};
use crate::check::Compiled;
use crate::diagnostics::{Diagnostic, Edit};

/// More rounds than a fix can lead to another; a stop for fixes that undo each other.
const ROUNDS: usize = 10;

/// What was mended.
pub struct Fixed {
    /// How many findings.
    pub count: usize,
    /// What is left.
    pub compiled: Compiled,
}

/// Mends the files of a group that were asked for.
pub fn apply(mut group: Group) -> Result<Fixed, String> {
    let mut count = 0;
    let mut changed = vec![false; group.inputs.len()];
    let mut compiled = group.clone().compile();
    for _ in 0..ROUNDS {
        let mut any = false;
        for (file, input) in group.inputs.iter_mut().enumerate().take(group.asked) {
            let Ok(text) = std::str::from_utf8(&input.bytes) else { continue };
            let (text, fixes) = mend(text, file, &compiled.diagnostics);
            if fixes > 0 {
                count += fixes;
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
        write_whole(path, &group.inputs[file].bytes).map_err(|e| format!("{}: {e}", files::display(path)))?;
    }
    Ok(Fixed { count, compiled })
}

/// Applies every fix of one file that does not touch another one's edits; how many were applied.
pub fn mend(text: &str, file: usize, diagnostics: &[Diagnostic]) -> (String, usize) {
    let mut edits: Vec<&Edit> = Vec::new();
    let mut count = 0;
    for fix in diagnostics.iter().filter(|d| d.span.file.0 as usize == file).filter_map(|d| d.fix.as_ref()) {
        let inside = |e: &Edit| e.span.file.0 as usize == file && text.get(e.span.range()).is_some();
        // Two insertions at one place have no order, so only one is made in a round.
        let free = |e: &Edit| edits.iter().all(|o| e.span.end < o.span.start || o.span.end < e.span.start);
        if fix.edits.iter().all(|e| inside(e) && free(e)) {
            edits.extend(&fix.edits);
            count += 1;
        }
    }
    edits.sort_by_key(|e| std::cmp::Reverse(e.span.start));
    let mut out = text.to_owned();
    for edit in edits {
        out.replace_range(edit.span.range(), &edit.text);
    }
    (out, count)
}
