//! `d365map privacy report|forget|lift`: what is known of a person here, and the end of it.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::output::{print, print_json, say_styled};
use super::run::Format;
use super::{Exit, Global};
use crate::app::operate::{self, can_be_forgotten, is_confirmed, person_key};
use crate::app::{CommandError, files, runtime, state};
use crate::count::{counted, noun_for};
use crate::printable::inline;
use crate::project::Project;
use crate::store::{Access, Forgotten, Traces};
use crate::time;

/// Lines of a log that are named; all are counted.
const LINES_NAMED: usize = 20;
/// Bytes of a line that are looked into at a time: a file without line breaks must not fill the memory.
const PIECE: usize = 1024 * 1024;
/// Bytes that two pieces of a line share, so that what lies across a cut is found. Escapes make the text up to six times as long.
const SHARED: usize = 8 * 1024;

/// Arguments of `privacy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show where a person is found: in the state, in dead letters, in logs that were kept. Shows places, not data.
    Report {
        /// The id of the contact (or another source record), the key of a target record, or a text of theirs such as an e-mail address.
        key: String,
        /// A log file, or a folder of them, that was made of d365map's output; may be given several times.
        #[arg(long, value_name = "PATH")]
        log: Vec<PathBuf>,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove every trace of a person from the state, and take nothing of theirs in any more.
    Forget {
        /// The id of the contact (or another source record), or the key of a target record.
        key: String,
        /// Show what would be removed, and remove nothing.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Take a person's records in again, after a mistake.
    Lift {
        /// The id under which the person was forgotten.
        key: String,
    },
}

/// Does what was asked.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let project = files::need_project(global.project.as_deref())?;
    match &args.action {
        Action::Report { key, log, format } => report(&project, &person_key(key), log, *format),
        Action::Forget { key, dry_run: true, format, .. } => report(&project, &person_key(key), &[], *format),
        Action::Forget { key, yes, format, .. } => forget(&project, &person_key(key), *yes, *format),
        Action::Lift { key } => lift(&project, &person_key(key)),
    }
}

fn traces(project: &Project, key: &str) -> Result<Traces, CommandError> {
    operate::long_enough(key)?;
    runtime()?.block_on(async {
        match state::open_if_any(project).await? {
            Some(stores) => operate::trace(&*stores.privacy, key).await,
            None => Ok(Traces::default()),
        }
    })
}

/// Where a text was found in a log.
#[derive(Debug, Serialize)]
struct InLog {
    file: PathBuf,
    /// How many lines.
    count: usize,
    /// The first of them, from 1.
    lines: Vec<usize>,
}

fn report(project: &Project, key: &str, logs: &[PathBuf], format: Format) -> Result<Exit, CommandError> {
    let traces = traces(project, key)?;
    let mut found = Vec::new();
    for log in logs {
        search(log, &key.to_lowercase(), &mut found).map_err(|e| CommandError::file(log.display(), e))?;
    }
    match format {
        Format::Json => print_json(&format!("{}\n", json!({"version": 1, "total": traces.total(), "traces": traces, "logs": found}))),
        Format::Human => print(&describe(key, &traces, &found, logs)),
    }
    Ok(if traces.total() == 0 && found.is_empty() { Exit::Clean } else { Exit::Findings })
}

/// Looks for a text in a file, or in all files of a folder.
fn search(path: &Path, needle: &str, found: &mut Vec<InLog>) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        // A link is not followed: it could form a cycle. A pipe or a socket keeps no log.
        let searched = |e: &&std::fs::DirEntry| e.file_type().is_ok_and(|t| t.is_file() || t.is_dir());
        return entries.iter().filter(searched).try_for_each(|e| search(&e.path(), needle, found));
    }
    let (count, lines) = matching_lines(BufReader::new(crate::disk::open_regular(path)?), needle)?;
    if count > 0 {
        found.push(InLog { file: path.to_owned(), count, lines });
    }
    Ok(())
}

/// How many lines have a text, and the first of them, from 1.
fn matching_lines(mut reader: impl BufRead, needle: &str) -> std::io::Result<(usize, Vec<usize>)> {
    let (mut piece, mut number, mut count, mut lines) = (Vec::new(), 1, 0, Vec::new());
    // Whether the line was counted in one of its earlier pieces.
    let mut counted = false;
    loop {
        let room = (PIECE - piece.len()) as u64;
        if reader.by_ref().take(room).read_until(b'\n', &mut piece)? == 0 {
            return Ok((count, lines));
        }
        if !counted && crate::store::mentions(&String::from_utf8_lossy(&piece), needle) {
            count += 1;
            counted = true;
            if lines.len() < LINES_NAMED {
                lines.push(number);
            }
        }
        if piece.ends_with(b"\n") {
            piece.clear();
            number += 1;
            counted = false;
        } else if piece.len() == PIECE {
            piece.drain(..PIECE - SHARED);
        }
    }
}

fn describe(key: &str, traces: &Traces, logs: &[InLog], asked: &[PathBuf]) -> String {
    let mut out = String::new();
    if traces.total() == 0 {
        out.push_str(&format!("the state holds no trace of {}\n", inline(key)));
    }
    let is_id = uuid::Uuid::parse_str(key).is_ok();
    if !is_id && !traces.by_id_only.is_empty() {
        let rows: Vec<String> = traces.by_id_only.iter().map(|(table, count)| format!("{table} {count}")).collect();
        out.push_str(&format!(
            "{} not searched, because these tables hold ids, keys and keyed hashes only ({}): look up the contact's id in Dynamics 365, and report that id too\n",
            if traces.by_id_only.len() == 1 { "1 table was" } else { "some tables were" },
            rows.join(", ")
        ));
    }
    for (table, count) in &traces.counts {
        let of_table = || traces.found.iter().filter(|t| t.table == *table);
        let what = of_table().next().map_or("", |t| t.what);
        out.push_str(&format!("{table}: {}, {what}\n", counted(*count, "row")));
        for trace in of_table() {
            let mapping = trace.mapping.as_deref().map(|m| format!("{m}: ")).unwrap_or_default();
            out.push_str(&format!("  {mapping}{} ({})\n", inline(&trace.row), trace.columns.join(", ")));
        }
        let named = of_table().count() as u64;
        if *count > named {
            out.push_str(&format!("  and {} more\n", count - named));
        }
    }
    let others: Vec<&str> = traces.records.iter().map(String::as_str).filter(|r| !r.eq_ignore_ascii_case(key)).collect();
    if !others.is_empty() {
        out.push_str(&format!("of the {} {}\n", noun_for(others.len(), "source record"), inline(&others.join(", "))));
    }
    if let Some(at) = traces.forgotten_at {
        out.push_str(&format!("forgotten {}: no flow stores it any more\n", time::format_instant(at)));
    }
    for log in logs {
        let lines: Vec<String> = log.lines.iter().map(ToString::to_string).collect();
        let more = if log.count > log.lines.len() { ", …" } else { "" };
        let file = log.file.display().to_string();
        out.push_str(&format!("log {}: {}: {}{more}\n", inline(&file), counted(log.count, "line"), lines.join(", ")));
    }
    out.push_str(match asked {
        [] => "logs: d365map keeps none; `--log PATH` searches logs that other programs make of its output\n",
        _ if logs.is_empty() => "the logs hold no trace\n",
        _ => "lines of logs are removed where they are kept\n",
    });
    out
}

fn forget(project: &Project, key: &str, yes: bool, format: Format) -> Result<Exit, CommandError> {
    let traces = traces(project, key)?;
    can_be_forgotten(key, &traces)?;
    if !yes {
        say_styled(&describe(key, &traces, &[], &[]));
        confirm(key)?;
    }
    let forgotten = runtime()?.block_on(async { state::open(project, Access::Write).await?.privacy.forget(key).await })?;
    match format {
        Format::Json => print_json(&format!("{}\n", json!({"version": 1, "forgotten": forgotten}))),
        Format::Human => print(&told(key, &forgotten)),
    }
    Ok(if forgotten.log_is_empty { Exit::Clean } else { Exit::Findings })
}

fn confirm(key: &str) -> Result<(), CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::usage("nothing was removed; add `--yes` if there is no terminal to confirm"));
    }
    say_styled("this cannot be undone. Remove all of it? Type the id or key again: ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CommandError::usage)?;
    if is_confirmed(&answer, key) { Ok(()) } else { Err(CommandError::usage("nothing was removed")) }
}

fn told(key: &str, forgotten: &Forgotten) -> String {
    let mut out = String::new();
    for (table, count) in &forgotten.removed {
        out.push_str(&format!("{table}: {count} removed\n"));
    }
    for (table, count) in &forgotten.cleaned {
        out.push_str(&format!("{table}: {count} without it now\n"));
    }
    let ids: Vec<&str> = forgotten.ids.iter().map(String::as_str).collect();
    out.push_str(&format!("{} is forgotten; no flow stores {} any more\n", inline(key), inline(&ids.join(" and "))));
    if !forgotten.log_is_empty {
        out.push_str(
            "the log of the state file (-wal) could not be emptied, because another process reads it; run the same command again\n",
        );
    }
    out.push_str("Campaign and Dynamics were not changed: docs/privacy.md lists the steps there\n");
    out
}

fn lift(project: &Project, key: &str) -> Result<Exit, CommandError> {
    match runtime()?.block_on(async { state::open(project, Access::Write).await?.privacy.lift_tombstone(key).await })? {
        true => {
            print(&format!("{} is stored again when it changes, or by a replay\n", inline(key)));
            Ok(Exit::Clean)
        }
        false => Err(operate::not_forgotten(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_any_length_is_searched_and_counted_once() {
        let long = "x".repeat(PIECE - 5);
        // Across the end of the first piece, and again in the same line.
        let text = format!("nothing\n{long}ada@example.com{long}ada@example.com\nADA@example.com\n\nada@example.com");
        assert_eq!(matching_lines(text.as_bytes(), "ada@example.com").unwrap(), (3, vec![2, 3, 5]));
        assert_eq!(matching_lines("".as_bytes(), "ada").unwrap(), (0, Vec::new()));
    }
}
