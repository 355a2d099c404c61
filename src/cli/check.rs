//! `d365map check [PATH…]`: all findings of all files.

use std::path::PathBuf;

use super::output::{print_file, print_styled, stdout_style};
use super::{Exit, Global};
use crate::app::{CommandError, apply_fixes, files};
use crate::count::{counted, grouped};
use crate::diagnostics::render::{Format, Limit, Style, render_at_most, sarif};
use crate::diagnostics::{Safety, Severity};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; without them the mapping folder of the project.
    paths: Vec<PathBuf>,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Apply the fixes that cannot change what a mapping means, print each change, then report the rest.
    #[arg(long)]
    fix: bool,
    /// Apply the other fixes too, such as a name that is probably meant. Read the changes before you commit them.
    #[arg(long)]
    unsafe_fixes: bool,
    /// Maximum number of findings to print for each file, 0 for all. Without it, 100 in the format for people and all in the
    /// others.
    #[arg(long, value_name = "NUMBER")]
    max_findings: Option<usize>,
}

#[derive(Default)]
struct Counts {
    errors: usize,
    warnings: usize,
    safe: usize,
    unsafe_: usize,
    mappings: usize,
    files: usize,
    fixed: usize,
}

/// Checks and prints.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let style = stdout_style();
    let groups = files::asked(&args.paths, global.project.as_deref())?;
    let wanted = match (args.fix, args.unsafe_fixes) {
        (_, true) => Some(Safety::Unsafe),
        (true, false) => Some(Safety::Safe),
        (false, false) => None,
    };
    let mut counts = Counts::default();
    let mut documents = Vec::new();
    for group in groups {
        counts.files += group.inputs.len();
        let project = group.project.clone().filter(|project| project.connections.campaign.is_some());
        let compiled = match wanted {
            Some(safety) => {
                let done = apply_fixes(group, safety)?;
                counts.fixed += done.changes.len();
                if !global.quiet {
                    done.changes.iter().for_each(|change| say!("{change}"));
                }
                done.compiled
            }
            None => group.compile(),
        };
        // Not a finding about a mapping file: the project file lacks the source, and the mapping is right as it is.
        if let (Some(project), Some(plan), false) = (&project, &compiled.plan, global.quiet) {
            super::prepare::warn_without_source(project, plan);
        }
        counts.mappings += compiled.mappings;
        counts.errors += compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).count();
        counts.warnings += compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Warning).count();
        let fixes = |safety| compiled.diagnostics.iter().filter(|d| d.fix.as_ref().is_some_and(|f| f.safety == safety)).count();
        counts.safe += fixes(Safety::Safe);
        counts.unsafe_ += fixes(Safety::Unsafe);
        documents.push(compiled);
    }
    let limit = match (args.max_findings, args.format) {
        (Some(count), _) => Limit::at_most(count),
        (None, Format::Human) => Limit::PEOPLE,
        (None, Format::Json | Format::Github | Format::Sarif | Format::Junit) => Limit::NONE,
    };
    let text = render_all(documents, args.format, style, limit);
    if args.format == Format::Human {
        print_styled(&text)
    } else {
        print_file(&text)
    }
    // Without it, users would not notice what the report leaves out.
    let beyond = sarif::beyond_limit(counts.errors + counts.warnings);
    if args.format == Format::Sarif && beyond > 0 {
        say!("warning: {}", sarif::left_out(beyond));
    }
    if !global.quiet {
        summary(&counts, args.format, wanted);
    }
    Ok(if counts.errors + counts.warnings == 0 { Exit::Clean } else { Exit::Findings })
}

fn summary(counts: &Counts, format: Format, applied: Option<Safety>) {
    let found = counts.errors + counts.warnings;
    let findings = match found {
        0 => "no findings".to_owned(),
        _ => format!("{}, {}", counted(counts.errors, "error"), counted(counts.warnings, "warning")),
    };
    let fixed = if counts.fixed == 0 { String::new() } else { format!("fixed {}, ", counted(counts.fixed, "finding")) };
    say!("checked {} in {}: {fixed}{findings}", counted(counts.mappings, "mapping"), counted(counts.files, "file"));
    if applied.is_none() && counts.safe > 0 {
        say!("`d365map check --fix` fixes {} of them", grouped(counts.safe));
    }
    if applied != Some(Safety::Unsafe) && counts.unsafe_ > 0 {
        say!("`d365map check --unsafe-fixes` fixes {} more, but can change what a mapping means", grouped(counts.unsafe_));
    }
    if found > 0 && format == Format::Human {
        say!("`d365map explain CODE` says more about a code");
    }
}

/// The findings of all groups as one document: machine formats must not be several documents in a row.
fn render_all(groups: Vec<crate::check::Compiled>, format: Format, style: Style, limit: Limit) -> String {
    let mut sources = crate::diagnostics::Sources::default();
    let mut all = Vec::new();
    for group in groups {
        let ids: Vec<_> = group.sources.iter().map(|(_, f)| sources.add(f.name.clone(), f.text.clone())).collect();
        let moved = |span: crate::diagnostics::Span| crate::diagnostics::Span {
            file: ids.get(span.file.0 as usize).copied().unwrap_or(span.file),
            ..span
        };
        all.extend(group.diagnostics.into_iter().map(|mut d| {
            d.span = moved(d.span);
            d.related.iter_mut().for_each(|r| r.0 = moved(r.0));
            d.fix.iter_mut().flat_map(|f| &mut f.edits).for_each(|e| e.span = moved(e.span));
            d
        }));
    }
    render_at_most(&all, &sources, format, style, limit)
}
