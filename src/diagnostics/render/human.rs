//! For people: the finding over its line of source, by miette.

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, SourceCode, SourceSpan, SpanContents};

use super::Style;
use crate::diagnostics::{Diagnostic, Severity, SourceFile, Sources, Span};

/// A finding in the shape that miette prints. Further places in other files become reports of their own below it.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    code: String,
    source: Option<NamedText<'a>>,
    labels: Vec<LabeledSpan>,
    related: Vec<Elsewhere<'a>>,
}

/// A place in another file.
struct Elsewhere<'a> {
    message: &'a str,
    source: Option<NamedText<'a>>,
    label: LabeledSpan,
}

#[derive(Clone, Copy)]
struct NamedText<'a>(&'a SourceFile);

impl SourceCode for NamedText<'_> {
    fn read_span<'a>(&'a self, span: &SourceSpan, before: usize, after: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.0.text.as_bytes().read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.0.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

impl<'a> Report<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Report<'a> {
        let source_of = |span: Span| sources.get(span.file).map(NamedText);
        let mut labels = vec![LabeledSpan::new_primary_with_span(Some(diagnostic.label.clone()), miette_span(diagnostic.span, sources))];
        let mut related = Vec::new();
        for (span, text) in &diagnostic.related {
            if span.file == diagnostic.span.file {
                labels.push(LabeledSpan::new_with_span(Some(text.clone()), miette_span(*span, sources)));
            } else {
                let label = LabeledSpan::new_primary_with_span(Some("here".to_owned()), miette_span(*span, sources));
                related.push(Elsewhere { message: text, source: source_of(*span), label });
            }
        }
        Report { diagnostic, code: diagnostic.code.to_string(), source: source_of(diagnostic.span), labels, related }
    }
}

/// miette wants a span within the text; an empty one at the end of a file is shown at its last character.
fn miette_span(span: Span, sources: &Sources) -> SourceSpan {
    let length = sources.get(span.file).map_or(0, |f| f.text.len());
    let start = (span.start as usize).min(length);
    let end = (span.end as usize).clamp(start, length);
    (start, end - start).into()
}

macro_rules! plain_error {
    ($name:ident, $text:expr) => {
        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
        impl std::fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let text: fn(&Self) -> &str = $text;
                f.write_str(text(self))
            }
        }
        impl std::error::Error for $name<'_> {}
    };
}

plain_error!(Report, |r| &r.diagnostic.message);
plain_error!(Elsewhere, |e| e.message);

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
        self.diagnostic.help.as_ref().map(|h| Box::new(h) as Box<dyn std::fmt::Display>)
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

impl miette::Diagnostic for Elsewhere<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.label.clone())))
    }
}

/// All findings, each with its lines of source, ready for a terminal or a file.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let theme = if style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(style.width).with_context_lines(1).with_links(false);
    let mut out = String::new();
    for diagnostic in diagnostics {
        // Writing to a String cannot fail; should miette refuse a span, the finding is still said in one line.
        if handler.render_report(&mut out, &Report::new(diagnostic, sources)).is_err() {
            let (name, at) = sources.locate(diagnostic.span);
            out.push_str(&format!("{}: {name}:{}:{}: {}\n", diagnostic.code, at.line, at.column, diagnostic.message));
        }
        out.push('\n');
    }
    out
}
