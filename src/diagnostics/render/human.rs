//! For people: the finding over its line of source, by miette.

use std::collections::BTreeMap;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

use super::excerpt::{CONTEXT, Excerpt};
use super::{Limit, Style};
use crate::count::counted;
use crate::diagnostics::{Diagnostic, FileId, Severity, Sources, Span};
use crate::printable;

/// A finding in the shape that miette prints. Further places in other files become separate reports below it.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    code: String,
    message: String,
    help: Option<String>,
    source: Option<Excerpt>,
    labels: Vec<LabeledSpan>,
    related: Vec<Elsewhere>,
}

/// A place in another file.
struct Elsewhere {
    message: String,
    source: Option<Excerpt>,
}

/// Longer sentences are cut: a name can be as long as a file.
const LONGEST_TEXT: usize = 4000;

/// A sentence of a finding, safe to print and not longer than a person reads.
fn sentence(text: &str) -> String {
    let shown = printable::block(text);
    match shown.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}

impl<'a> Report<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Report<'a> {
        let here = |span: &Span| span.file == diagnostic.span.file;
        let texts = std::iter::once((diagnostic.span, &diagnostic.label))
            .chain(diagnostic.related.iter().filter(|(span, _)| here(span)).map(|(span, text)| (*span, text)));
        let (spans, texts): (Vec<Span>, Vec<&String>) = texts.unzip();
        let source = sources.get(diagnostic.span.file).map(|file| Excerpt::new(file, &spans));
        let labels = texts.iter().enumerate().map(|(n, text)| {
            let at = source.as_ref().map_or_else(|| (0, 0).into(), |excerpt| excerpt.span(n));
            let text = Some(sentence(text));
            if n == 0 { LabeledSpan::new_primary_with_span(text, at) } else { LabeledSpan::new_with_span(text, at) }
        });
        let elsewhere = diagnostic.related.iter().filter(|(span, _)| !here(span)).map(|(span, text)| Elsewhere {
            message: sentence(text),
            source: sources.get(span.file).map(|file| Excerpt::new(file, &[*span])),
        });
        Report {
            labels: labels.collect(),
            code: diagnostic.code.to_string(),
            message: sentence(&diagnostic.message),
            help: diagnostic.help.as_deref().map(sentence),
            related: elsewhere.collect(),
            diagnostic,
            source,
        }
    }
}

macro_rules! plain_error {
    ($name:ty, $text:expr) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let text: fn(&Self) -> &str = $text;
                f.write_str(text(self))
            }
        }
        impl std::error::Error for $name {}
    };
}

plain_error!(Report<'_>, |r| &r.message);
plain_error!(Elsewhere, |e| &e.message);

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|e| e as &dyn miette::Diagnostic)))
    }
}

impl miette::Diagnostic for Elsewhere {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = self.source.as_ref()?.span(0);
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(Some("here".to_owned()), at))))
    }
}

/// All findings, each with its lines of source, ready for a terminal or a file. Of each file at most `limit` findings are
/// shown, errors before warnings; a line after them says how many are left out.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style, limit: Limit) -> String {
    let theme = if style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(style.width).with_context_lines(CONTEXT).with_links(false);
    let mut out = String::new();
    let shown = limit.choose(diagnostics, |d| d.span.file);
    let mut left: BTreeMap<FileId, usize> = BTreeMap::new();
    for (diagnostic, _) in diagnostics.iter().zip(&shown).filter(|(_, shown)| !**shown) {
        *left.entry(diagnostic.span.file).or_default() += 1;
    }
    let mut chosen = diagnostics.iter().zip(&shown).filter_map(|(d, shown)| shown.then_some(d)).peekable();
    while let Some(diagnostic) = chosen.next() {
        // Writing to a String cannot fail; should miette refuse a span, the finding is still said in one line.
        if handler.render_report(&mut out, &Report::new(diagnostic, sources)).is_err() {
            let (name, at) = sources.locate(diagnostic.span);
            out.push_str(&format!("{}: {name}:{}:{}: {}\n", diagnostic.code, at.line, at.column, sentence(&diagnostic.message)));
        }
        out.push('\n');
        let file = diagnostic.span.file;
        if chosen.peek().is_none_or(|next| next.span.file != file)
            && let Some(count) = left.remove(&file)
        {
            let name = sources.get(file).map_or("", |f| f.name.as_str());
            out.push_str(&format!(
                "{}: and {}; `d365map check --max-findings 0` shows all\n\n",
                printable::inline(name),
                counted(count, "more finding")
            ));
        }
    }
    // A sentence that is wrapped could begin a line with what a CI service takes for a command.
    let safe = if style.color { printable::colored(&out) } else { printable::block(&out) };
    safe.into_owned()
}
