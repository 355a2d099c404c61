//! Semantic tokens: what the grammar of an editor cannot tell, such as a field that exists from one that does not.

use lsp_types::{SemanticToken, SemanticTokenModifier, SemanticTokenType, SemanticTokens, SemanticTokensLegend};

use super::documents::{Group, Source};
use crate::assist::marks::{Mark, Name};
use crate::syntax::{TokenKind, tokens};

/// The words of the language that are used alone.
const KEYWORDS: [&str; 45] = [
    "table",
    "from",
    "sheet",
    "rows",
    "by",
    "mapping",
    "key",
    "adopt",
    "replace",
    "filter",
    "case",
    "when",
    "options",
    "optout",
    "events",
    "test",
    "let",
    "include",
    "given",
    "expect",
    "filtered",
    "rejected",
    "absent",
    "direction",
    "subscription",
    "all",
    "any",
    "not",
    "is",
    "present",
    "empty",
    "in",
    "between",
    "and",
    "changed",
    "within",
    "every",
    "contains",
    "starts",
    "ends",
    "with",
    "or",
    "else",
    "now",
    "today",
];

/// The kinds of tokens, in the order of their numbers.
pub(super) fn legend() -> SemanticTokensLegend {
    SemanticTokensLegend {
        token_types: vec![
            SemanticTokenType::KEYWORD,
            SemanticTokenType::STRING,
            SemanticTokenType::NUMBER,
            SemanticTokenType::COMMENT,
            SemanticTokenType::OPERATOR,
            SemanticTokenType::PROPERTY,
            SemanticTokenType::FUNCTION,
            SemanticTokenType::TYPE,
            SemanticTokenType::CLASS,
            SemanticTokenType::VARIABLE,
            SemanticTokenType::ENUM,
        ],
        token_modifiers: vec![SemanticTokenModifier::DECLARATION],
    }
}

/// The tokens of a file.
pub(super) fn of(group: &Group, file: usize, marks: &[Mark]) -> SemanticTokens {
    let Source { text, lines, .. } = &group.files[file];
    // (range, type, modifiers); a name's mark comes before what its words look like.
    let mut found: Vec<(std::ops::Range<usize>, u32, u32)> = marks
        .iter()
        .map(|mark| {
            let kind = match mark.name {
                Name::Field(..) => 5,
                Name::Step(_) => 6,
                Name::Table(_) => 7,
                Name::Mapping(_) => 8,
                Name::Constant(_) => 9,
                Name::Shared(_) | Name::Rows(_) => 10,
                Name::Column(..) => 5,
            };
            (mark.span.range(), kind, u32::from(mark.declares && !matches!(mark.name, Name::Field(..))))
        })
        .collect();
    found.sort_by_key(|(range, _, _)| (range.start, range.end));
    // Names within a text (`"{firstname}"`) leave the text around them.
    let marked = found.clone();
    for token in tokens(text) {
        let word = token.text(text);
        let kind = match token.kind {
            TokenKind::Comment => 3,
            TokenKind::Text => 1,
            TokenKind::Number => 2,
            TokenKind::Word if KEYWORDS.contains(&word) => 0,
            TokenKind::Sign
                if matches!(
                    word,
                    "->" | "<-" | "<->" | "=>" | "<=>" | "|" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/"
                ) =>
            {
                4
            }
            TokenKind::Word | TokenKind::Sign | TokenKind::Newline => continue,
        };
        let first = marked.partition_point(|(r, _, _)| r.end <= token.range.start);
        let mut at = token.range.start;
        for (range, _, _) in marked[first..].iter().take_while(|(r, _, _)| r.start < token.range.end) {
            if range.start > at {
                found.push((at..range.start, kind, 0));
            }
            at = at.max(range.end);
        }
        if at < token.range.end {
            found.push((at..token.range.end, kind, 0));
        }
    }
    found.sort_by_key(|(range, _, _)| (range.start, range.end));
    let (mut line, mut column) = (0, 0);
    let mut data = Vec::new();
    let mut end = 0;
    for (range, token_type, token_modifiers_bitset) in found {
        let (from, to) = (lines.position(range.start), lines.position(range.end));
        // Tokens of the protocol neither overlap nor cross lines.
        if range.start < end || from.line != to.line || range.is_empty() {
            continue;
        }
        end = range.end;
        let delta_start = if from.line == line { from.character - column } else { from.character };
        data.push(SemanticToken {
            delta_line: from.line - line,
            delta_start,
            length: to.character - from.character,
            token_type,
            token_modifiers_bitset,
        });
        (line, column) = (from.line, from.character);
    }
    SemanticTokens { result_id: None, data }
}
