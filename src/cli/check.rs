//! `d365map check [PATH…]`: all findings of all files.

use std::path::PathBuf;

use super::output::{fail, print, stdout_style};
use super::{Exit, Global, files, fix};
use crate::diagnostics::Severity;
use crate::diagnostics::render::{Format, render};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; without them the mapping folder of the project.
    paths: Vec<PathBuf>,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Mend what can be mended without changing what is meant, then report the rest.
    #[arg(long)]
    fix: bool,
}

/// Checks and prints.
pub fn run(args: &Args, global: &Global) -> Exit {
    let style = stdout_style();
    let groups = match files::asked(&args.paths, global.project.as_deref(), style) {
        Ok(groups) => groups,
        Err(error) => return fail(&error.to_string()),
    };
    let mut fixed = 0;
    let (mut errors, mut warnings, mut fixable, mut mappings, mut count) = (0, 0, 0, 0, 0);
    let mut documents = Vec::new();
    for group in groups {
        count += group.inputs.len();
        let compiled = if args.fix {
            match fix::apply(group) {
                Ok(done) => {
                    fixed += done.count;
                    done.compiled
                }
                Err(error) => return fail(&error),
            }
        } else {
            group.compile()
        };
        mappings += compiled.mappings;
        errors += compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).count();
        warnings += compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Warning).count();
        fixable += compiled.diagnostics.iter().filter(|d| d.fix.is_some()).count();
        documents.push(compiled);
    }
    print(&render_all(documents, args.format, style));
    if !global.quiet {
        let s = |n: usize| if n == 1 { "" } else { "s" };
        let findings = match (errors, warnings) {
            (0, 0) => "no findings".to_owned(),
            (e, w) => format!("{e} error{}, {w} warning{}", s(e), s(w)),
        };
        let mended = if fixed == 0 { String::new() } else { format!("mended {fixed} finding{}, ", s(fixed)) };
        eprintln!("checked {mappings} mapping{} in {count} file{}: {mended}{findings}", s(mappings), s(count));
        let fixable = if args.fix { 0 } else { fixable };
        if fixable > 0 {
            eprintln!("{fixable} of them can be mended by `d365map check --fix`");
        }
        if errors + warnings > 0 && args.format == Format::Human {
            eprintln!("`d365map explain CODE` says more about a code");
        }
    }
    if errors + warnings == 0 { Exit::Clean } else { Exit::Findings }
}

/// The findings of all groups as one document: machine formats must not be several documents in a row.
fn render_all(groups: Vec<crate::check::Compiled>, format: Format, style: crate::diagnostics::render::Style) -> String {
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
    render(&all, &sources, format, style)
}
