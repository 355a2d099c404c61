//! Findings as the protocol has them.

use lsp_types::{Diagnostic as LspDiagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, NumberOrString};

use super::documents::Group;
use crate::diagnostics::{Code, Diagnostic, Severity};

/// A finding as the protocol has it.
pub(super) fn to_lsp(finding: &Diagnostic, group: &Group) -> LspDiagnostic {
    let range = |span: crate::diagnostics::Span| {
        let file = group.files.get(span.file.0 as usize)?;
        Some((file.uri.clone(), file.lines.range(span.range())))
    };
    let related = finding.related.iter().filter_map(|(span, message)| {
        let (uri, range) = range(*span)?;
        Some(DiagnosticRelatedInformation { location: Location { uri, range }, message: message.clone() })
    });
    let related: Vec<DiagnosticRelatedInformation> = related.collect();
    let help = finding.help.as_ref().map(|h| format!("\nhelp: {h}")).unwrap_or_default();
    let idle = matches!(finding.code, Code::D214 | Code::D301 | Code::D308 | Code::D801 | Code::D802 | Code::D803 | Code::D805);
    let tag = match finding.code {
        Code::D808 => Some(DiagnosticTag::DEPRECATED),
        _ => idle.then_some(DiagnosticTag::UNNECESSARY),
    };
    LspDiagnostic {
        range: range(finding.span).map(|(_, r)| r).unwrap_or_default(),
        severity: Some(match finding.severity() {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(finding.code.to_string())),
        source: Some("d365map".to_owned()),
        message: format!("{}: {}{help}", finding.message, finding.label),
        related_information: (!related.is_empty()).then_some(related),
        tags: tag.map(|t| vec![t]),
        ..LspDiagnostic::default()
    }
}
