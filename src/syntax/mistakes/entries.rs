//! Mistakes in field mappings and keys.

use super::{Mistake, Write, is_name, unquoted};
use crate::diagnostics::Safety::{Safe, Unsafe};
use crate::syntax::faulty::Context::{Branch, Condition, Entry};

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<at>[-*•·]\s*)(?P<rest>[\w"`{])"#,
        write: Write::As("<rest>"),
        safety: Safe,
        message: "entries are not written as a list",
        label: "remove `<at>`",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<at>\d+[.)]\s+)(?P<rest>[\w"`{])"#,
        write: Write::As("<rest>"),
        safety: Safe,
        message: "entries are not numbered",
        label: "remove this number",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<at>\|)\s*(?P<s>%P)\s*\|\s*(?P<t>%P)\s*\|\s*$",
        write: Write::As("<s> -> <t>"),
        safety: Unsafe,
        message: "a field mapping is written with `->`",
        label: "not written as a table",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<at>\|)\s*(?P<step>[a-z_]+)",
        write: Write::Unknown,
        safety: Unsafe,
        message: "the step `<step>` does not belong to a field mapping",
        label: "the entry before it ends at `;`",
        help: "remove the `;` before the step: `source -> target | <step>`",
    },
    Mistake {
        contexts: &[Entry, Condition, Branch],
        pattern: r"(?P<at>\[(?P<name>%P)\])",
        write: Write::As("<name>"),
        safety: Safe,
        message: "a field is named without brackets",
        label: "remove the brackets",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<at>\{\s*(?P<name>\$?%P)\s*\})\s*->",
        write: Write::As("<name> ->"),
        safety: Safe,
        message: "a single field is named without braces",
        label: "remove the braces",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<at>[^"\n{}]*\{\s*\$?%P\s*\}(?:[^"\n{}]*\{\s*\$?%P\s*\})*[^"\n{}>]*?)\s*->"#,
        write: Write::As("\"<at>\" ->"),
        safety: Safe,
        message: "a text with fields in it is written in quotes",
        label: "quotes are missing",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<s>"[^"\n]*"|%P)\s*(?::|->|=>?)\s*(?P<at>"[^"\n]*")(?P<rest>\s*(?:\|.*)?),?$"#,
        write: Write::By(|p| {
            let (s, t) = (p.get("s"), unquoted(p.get("at"))?);
            let s = unquoted(s).unwrap_or(s);
            let rest = p.get("rest");
            (is_name(s) && is_name(t)).then(|| if rest.is_empty() { format!("{s} -> {t}") } else { format!("{s} -> {t} {rest}") })
        }),
        safety: Unsafe,
        message: "a field is named without quotes",
        label: "the target is a field, not a text",
        help: "write `{line}`; keep the quotes of the source only if it is a fixed text",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<at>%V(?:\s*[&+]\s*%V)+)\s*->"#,
        write: Write::By(|p| joined(p.get("at")).filter(|_| p.get("at").contains(['"', '&'])).map(|text| format!("{text} ->"))),
        safety: Unsafe,
        message: "texts and fields are joined in one text with placeholders",
        label: "not joined like this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<at>[\w(`$][^={}|\n]*?[\w)`]\s*(?:[*/+]|\s-\s)\s*[\w(`$][^={}|\n]*?)\s*->",
        write: Write::As("= <at> ->"),
        safety: Unsafe,
        message: "a formula begins with `=`",
        label: "expected `=` before this",
        help: "write `{line}` to calculate with numbers; texts are joined in quotes, such as `\"{firstname} {lastname}\"`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<at>=?\s*(?i:concat|concatenate|textjoin|verketten|textkette))\s*\((?P<rest>[^\n]*)->",
        write: Write::As("concat(<rest> ->"),
        safety: Safe,
        message: "this is a formula of a spreadsheet",
        label: "the function is called `concat`, without `=`",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<a>%P)\s*(?P<at>;)\s*(?P<b>%P)",
        write: Write::As("<a> -> <b>"),
        safety: Unsafe,
        message: "a field mapping is written with `->`",
        label: "expected `->` here",
        help: "write `{line}`; `;` ends an entry and does not separate source and target",
    },
    Mistake {
        contexts: &[Entry, Branch],
        pattern: r"(?P<at>\bdefault\(\s*(?P<v>[\p{L}][\p{L}\p{N}_ -]*?)\s*\))",
        write: Write::By(|p| {
            let word = p.get("v");
            (!matches!(word, "null" | "true" | "false")).then(|| format!("default(\"{word}\")"))
        }),
        safety: Unsafe,
        message: "a text is written in quotes",
        label: "quotes are missing",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^=?\s*(?P<at>[A-Za-zÄÖÜäöü]+)\(\s*(?P<f>%P)\s*(?:[,;]\s*(?P<n>\d+)\s*)?\)\s*->\s*(?P<t>%P)",
        write: Write::By(|p| step(p.get("at"), p.get("n")).map(|step| format!("{} -> {} | {step}", p.get("f"), p.get("t")))),
        safety: Safe,
        message: "this is a formula of a spreadsheet",
        label: "a step follows the target",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^=?\s*(?P<at>(?i:if|iif|wenn))\s*\((?P<c>[^,;()\n]+(?:\([^()\n]*\))?[^,;()\n]*)[,;]\s*(?P<a>[^,;()\n]+)[,;]\s*(?P<b>[^,;()\n]+)\)\s*->",
        write: Write::As("case { <c> => <a>; else => <b> } ->"),
        safety: Safe,
        message: "a value that depends on a condition is written with `case`",
        label: "a function of a spreadsheet",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^=?\s*(?P<at>(?i:if|when|wenn|case))\s+(?P<c>[^\n{}]+?)\s+(?i:then|dann)\s+(?P<a>[^\n{}]+?)\s+(?i:else|sonst)\s+(?P<b>[^\n{}]+?)\s*->",
        write: Write::As("case { <c> => <a>; else => <b> } ->"),
        safety: Safe,
        message: "a value that depends on a condition is written with `case`",
        label: "not a word that begins an entry",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^=?\s*(?P<at>(?i:if|when|wenn|case))\s+(?P<c>[^\n{}]+?)\s+(?i:then|dann)\s+(?P<a>[^\n{}]+?)\s*->",
        write: Write::As("case { <c> => <a>; else => null } ->"),
        safety: Unsafe,
        message: "a value that depends on a condition is written with `case`",
        label: "not a word that begins an entry",
        help: "write `{line}`; `else => null` empties the field for all other records",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<c>[^?\n{}]+?)\s*(?P<at>\?)\s*(?P<a>[^:\n{}]+?)\s*:\s*(?P<b>[^\n{}]+?)\s*->",
        write: Write::As("case { <c> => <a>; else => <b> } ->"),
        safety: Safe,
        message: "a value that depends on a condition is written with `case`",
        label: "a symbol of another language",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<at>(?i:not\s|!))\s*(?P<f>%P)\s*->\s*(?P<t>%P)",
        write: Write::As("<f> -> <t> | map { true => false; false => true }"),
        safety: Unsafe,
        message: "a source cannot begin with `not`",
        label: "allowed only in conditions and opt-out blocks",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<s>%P|"[^"\n]*")\s*(?P<at>\|)\s*(?P<steps>[^\n]+?)\s*->\s*(?P<t>%P)"#,
        write: Write::As("<s> -> <t> | <steps>"),
        safety: Safe,
        message: "steps are written after the target",
        label: "a step before the arrow",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<s>[A-Za-z_]\w*)\.(?P<at>(?P<f>[A-Za-z_]\w*)\((?P<args>[^()\n]*)\))\s*->\s*(?P<t>%P)",
        write: Write::By(|p| {
            let (name, arguments) = (p.get("f"), p.get("args"));
            let step = match step(name, arguments) {
                Some(step) => step,
                None if arguments.is_empty() => name.to_owned(),
                None => format!("{name}({arguments})"),
            };
            Some(format!("{} -> {} | {step}", p.get("s"), p.get("t")))
        }),
        safety: Safe,
        message: "a step is written after the target, with `|`",
        label: "not written after a dot",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"->[^\n]*?\s*(?P<at>->)\s*(?P<step>trim|upper|lower|title|truncate|collapse|digits|phone|email|date|format|default|map|round|slug|label|value)\b",
        write: Write::By(|p| {
            Some(
                p.text.get(p.captures.get(0)?.range())?.strip_suffix(p.get("step"))?.trim_end().strip_suffix("->")?.trim_end().to_owned()
                    + " | "
                    + p.get("step"),
            )
        }),
        safety: Safe,
        message: "a field mapping has one arrow",
        label: "a step begins with `|`",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<s>[^|\n>]+?)\s*->\s*(?P<t>%P)\s*(?P<at>->|,|&|\+|\band\b)\s*(?P<u>%P)\s*$",
        write: Write::As("<s> -> <t>; <s> -> <u>"),
        safety: Unsafe,
        message: "a field mapping has one target",
        label: "a second target needs a separate entry",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<a>[^\n]*?->[^,()\n]*(?:\([^()\n]*\)[^,()\n]*)*)(?P<at>,)\s*(?P<b>[^,()\n]*->)",
        write: Write::As("<a>; <b>"),
        safety: Safe,
        message: "entries are not separated by commas",
        label: "a comma between two entries",
        help: "write each on a separate line, or `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"(?P<a>\|\s*[a-z_]+(?:\([^()\n]*\))?)\s*(?P<at>,|;|\+|&|->|\band\b)\s*(?P<b>[a-z_]+)",
        write: Write::As("<a> | <b>"),
        safety: Safe,
        message: "each step begins with `|`",
        label: "expected `|` here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"(?P<at>\|\|)\s*(?P<step>[a-z_])",
        write: Write::As("| <step>"),
        safety: Safe,
        message: "a step begins with one `|`",
        label: "one `|` is enough",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"->\s*(?P<t>%P)\s+(?P<at>trim|collapse|lower|upper|title|digits|slug|email|(?:truncate|phone|date|format|default|map|round)\b\s*[({])",
        write: Write::As("-> <t> | <at>"),
        safety: Safe,
        message: "a step begins with `|`",
        label: "expected `|` before this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"\|\s*(?P<step>[a-z_]+)(?P<at>\s*(?:[=:]\s*)?(?P<v>"[^"\n]*"|-?\d+))"#,
        write: Write::As("| <step>(<v>)"),
        safety: Safe,
        message: "the argument of a step is written in parentheses",
        label: "expected `(<v>)`",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"\|\s*phone\s*[=:(]?\s*(?P<at>[A-Za-z]{2}\b\)?)",
        write: Write::By(|p| Some(format!("| phone(\"{}\")", p.get("at").trim_end_matches(')').to_uppercase()))),
        safety: Safe,
        message: "the country is written in parentheses and quotes",
        label: "a country",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"\bor\s+(?P<at>"[^"\n]*"|-?\d[\w.:-]*|true\b|false\b)"#,
        write: Write::By(|p| Some(if p.get("at") == "\"\"" { "or null".to_owned() } else { format!("or default({})", p.get("at")) })),
        safety: Safe,
        message: "a value after `or` is written with `default`",
        label: "not a word that can follow `or`",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^key\s*(?P<at>[:=])\s*",
        write: Write::As("key "),
        safety: Safe,
        message: "`key` is followed by a space",
        label: "remove this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^key\s+(?P<f>%P)(?P<at>(?:\s*(?:,|\+|&|and\s)\s*%P)+)\s*(?P<arrow><?->)",
        write: Write::As("key <f> <arrow>"),
        safety: Unsafe,
        message: "a key has one field on each side",
        label: "remove the other fields",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<lead>[^{}|\n]*?[\w`")])\s*(?P<at>-{2,}>+|->>+|=+>|~>|->\s+>)"#,
        write: Write::As("<lead> ->"),
        safety: Safe,
        message: "a field mapping is written with `->`",
        label: "expected `->` here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<t>%P)\s*(?P<at>:=|==|=|:|<-)\s*(?P<v>"[^"\n]*"|-?\d[\d.]*|true|false|null)\s*$"#,
        write: Write::As("<v> -> <t>"),
        safety: Unsafe,
        message: "a field mapping is written with `->`, and the value is on the left",
        label: "expected `->` here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^%P\s*(?P<at><-)\s*case\b",
        write: Write::Unknown,
        safety: Unsafe,
        message: "a `case` is not allowed after `<-`",
        label: "a `case` is written on the left of `->`",
        help: "write `case { … } -> target` in a mapping to that side",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<a>%P)\s*(?P<at>:=|==|=|:|<=|<)\s*(?P<b>%P)(?P<rest>\s*(?:\|[^\n]*)?)$",
        write: Write::Unknown,
        safety: Unsafe,
        message: "a field mapping is written with `->`",
        label: "expected `->` here",
        help: "write `<a> -> <b>` if `<a>` is the source, or `<b> -> <a>` if `<a>` is the target",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r#"^(?P<a>%P|"[^"\n]*"|%P\([^()\n]*\))\s*(?P<at>>|\bto\b|\binto\b|\bnach\b|\bas\b)\s*(?P<b>%P)(?P<rest>\s*(?:\|[^\n]*)?)$"#,
        write: Write::By(|p| Some(format!("{} -> {} {}", p.get("a"), p.get("b"), p.get("rest")).trim_end().to_owned())),
        safety: Safe,
        message: "a field mapping is written with `->`",
        label: "expected `->` here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?:key[ \t]+)?(?P<a>%P)(?P<b>[ \t]+(?P<at>%P))(?P<rest>\s*(?:\|[^\n]*)?)$",
        write: Write::By(|p| {
            let key = if p.text.starts_with("key ") { "key " } else { "" };
            let line = format!("{key}{} -> {} {}", p.get("a"), p.get("at"), p.get("rest"));
            (p.get("a") != "key" || !key.is_empty()).then(|| line.trim_end().to_owned())
        }),
        safety: Unsafe,
        message: "a field mapping is written with `->`",
        label: "expected `->` before this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry],
        pattern: r"^(?P<at>%P)\s*$",
        write: Write::Unknown,
        safety: Unsafe,
        message: "`<at>` alone is not a field mapping",
        label: "expected `->` and a target after this",
        help: "write `<at> -> target`; `;` ends an entry and does not separate source and target",
    },
];

/// Texts and fields between `&` or `+` as one text with placeholders.
fn joined(sum: &str) -> Option<String> {
    let (mut out, mut rest) = (String::from("\""), sum.trim());
    while !rest.is_empty() {
        if let Some(text) = rest.strip_prefix('"') {
            let (text, after) = text.split_once('"')?;
            out.push_str(text);
            rest = after;
        } else {
            let end = rest.find(['&', '+', ' ', '\t']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if !is_name(name.trim_start_matches('$')) {
                return None;
            }
            out.push_str(&format!("{{{name}}}"));
            rest = after;
        }
        rest = rest.trim_start().trim_start_matches(['&', '+']).trim_start();
    }
    out.push('"');
    Some(out)
}

/// The step that does what a function of a spreadsheet or another language does.
fn step(function: &str, number: &str) -> Option<String> {
    let plain = |name: &str| number.is_empty().then(|| name.to_owned());
    match function.to_lowercase().as_str() {
        "upper" | "ucase" | "touppercase" | "toupper" | "gross" | "groß" => plain("upper"),
        "lower" | "lcase" | "tolowercase" | "tolower" | "klein" => plain("lower"),
        "trim" | "glätten" => plain("trim"),
        "proper" | "gross2" => plain("title"),
        "left" | "links" => (!number.is_empty()).then(|| format!("truncate({number})")),
        "clean" | "säubern" => plain("strip_control"),
        _ => None,
    }
}
