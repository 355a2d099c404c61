//! Mistakes in conditions, the branches of a `case` and the cases of a replacement.

use super::{Mistake, Write, unquoted};
use crate::diagnostics::Safety::{Safe, Unsafe};
use crate::syntax::faulty::Context::{Arm, Branch, Condition};

pub(super) const MISTAKES: &[Mistake] = &[
    // ---------------------------------------------------------------------------------------- cases of a replacement
    Mistake {
        contexts: &[Arm, Branch],
        pattern: r"^(?P<at>\*|\.{3}|(?i:default|otherwise|others?|sonst|all others?|everything else|any other|rest)|ELSE|Else|_)\s*(?:=>|->|:=|=|:)",
        write: Write::As("else =>"),
        safety: Safe,
        message: "all other values are written as `else`",
        label: "expected `else`",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Arm],
        pattern: r"^(?P<a>-?\d[\d.]*)\s*(?P<at>-|–|\.{2,}|\bto\b|\bbis\b)\s*(?P<b>-?\d[\d.]*)\s*(?:=>|->|:=|=|:)",
        write: Write::As("between <a> and <b> =>"),
        safety: Safe,
        message: "a range is written with `between`",
        label: "not a range",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Arm],
        pattern: r"^(?P<list>%V(?:(?P<at>\s*,\s*|\s+or\s+|\s*\|\s*|\s*/\s*)%V)+)\s*(?:=>|->|:=|=|:)",
        write: Write::By(|p| {
            let list = p.get("list");
            let separator = p.captures.name("at").map(|at| at.as_str().trim())?;
            let parts: Vec<&str> = list.split(separator).map(str::trim).collect();
            Some(format!("in ({}) =>", parts.join(", ")))
        }),
        safety: Safe,
        message: "several values in one case are written with `in`",
        label: "one value was expected",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Arm],
        pattern: r"^(?P<at>(?:%P|value)\s*)(?P<op><=|>=|!=|<|>|\bbetween\b|\bin\b|\bcontains\b|\bstarts\b|\bends\b|\bmatches\b)",
        write: Write::As("<op>"),
        safety: Safe,
        message: "a case does not name its field",
        label: "remove this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Arm],
        pattern: r"^(?P<at>[\p{L}][\p{L}\p{N}]*(?:[ /&-]+[\p{L}\p{N}]+)+)\s*(?:=>|->|:=|=|:)",
        write: Write::By(|p| {
            let first = p.get("at").split(' ').next()?;
            let words = ["more", "greater", "less", "at", "after", "before", "starts", "ends", "between", "contains", "is", "if", "when"];
            (!words.contains(&first.to_lowercase().as_str())).then(|| format!("\"{}\" =>", p.get("at")))
        }),
        safety: Safe,
        message: "a label of several words is written in quotes",
        label: "quotes are missing",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Arm],
        pattern: r"=>\s*(?P<at>[\p{L}][\p{L}\p{N}]*(?: +[\p{L}\p{N}]+)+)\s*$",
        write: Write::As("=> \"<at>\""),
        safety: Safe,
        message: "a text of several words is written in quotes",
        label: "quotes are missing",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Arm],
        pattern: r#"^(?P<v>%V)\s*(?P<at>-{1,2}>|:=|==|=|:|>|\bto\b)\s*(?P<w>[^\s=<>])"#,
        write: Write::As("<v> => <w>"),
        safety: Safe,
        message: "a replacement is written with `=>`",
        label: "expected `=>` here",
        help: "write `{line}`",
    },
    // ---------------------------------------------------------------------------------------------- branches of `case`
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"^(?P<at>(?i:if|where|when|wenn)\b)\s*(?P<c>\S)",
        write: Write::As("<c>"),
        safety: Safe,
        message: "a condition begins with a field",
        label: "remove this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Branch],
        pattern: r"^else\s*(?P<at>(?:->|:=|=|:|\bthen\b)?)\s*(?P<v>[^\s=>:-][^\n]*)$",
        write: Write::As("else => <v>"),
        safety: Safe,
        message: "`else` is followed by `=>`",
        label: "expected `=>` here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Branch],
        pattern: r"(?P<at>=>)(?P<a>[^\n]*?)\s*(?P<arrow>->)\s*(?P<t>%P)\s*$",
        write: Write::As("=> <a>"),
        safety: Unsafe,
        message: "the target of a `case` follows its closing brace",
        label: "a target is not allowed in this line",
        help: "write `{line}`, and `} -> <t>` after all results",
    },
    Mistake {
        contexts: &[Branch],
        pattern: r"^(?P<c>[^\n]+?)\s*(?P<at>\bthen\b|\bTHEN\b|->|\?|:)\s*(?P<r>[^\s>=][^\n]*)$",
        write: Write::By(|p| {
            (!p.get("c").contains("=>") && !p.get("r").contains("=>")).then(|| format!("{} => {}", p.get("c"), p.get("r")))
        }),
        safety: Safe,
        message: "a case is written with `=>`",
        label: "expected `=>` here",
        help: "write `{line}`",
    },
    // -------------------------------------------------------------------------------------------------- conditions
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"\b(?P<at>not)\s*\{",
        write: Write::As("not all {"),
        safety: Unsafe,
        message: "a group begins with `all` or `any`, also after `not`",
        label: "expected `all` or `any` after `not`",
        help: "write `not all { … }` if at least one of the conditions must be false, or `not any { … }` if all of them must be false",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm],
        pattern: r#"(?:^|\s)(?P<at>(?i:(?:not\s+)?(?:like|ilike)))\s+(?P<v>"[^"\n]*"|'[^'\n]*')"#,
        write: Write::By(|p| {
            let text = unquoted(p.get("v"))?;
            let inner = text.trim_matches('%');
            if p.get("at").to_lowercase().starts_with("not") || inner.contains(['%', '_', '"', '{', '\\']) {
                return None;
            }
            Some(match (text.starts_with('%'), text.ends_with('%')) {
                (true, true) => format!(" contains \"{inner}\""),
                (true, false) => format!(" ends with \"{inner}\""),
                (false, true) => format!(" starts with \"{inner}\""),
                (false, false) => format!(" = \"{inner}\""),
            })
        }),
        safety: Safe,
        message: "patterns are written with words",
        label: "a word of SQL",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition],
        pattern: r"(?i)\s(?P<at>like)\s",
        write: Write::Unknown,
        safety: Unsafe,
        message: "patterns are written with words",
        label: "a word of SQL",
        help: "write `contains`, `starts with`, `ends with` or `matches \"regular expression\"`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"(?:^|(?P<before>\b(?:and|or|AND|OR)\s|\())\s*(?P<f>%P)\s+(?P<at>(?i:does\s+not|do\s+not|doesn't|is\s+not|not)\s+(?P<op>(?i:contains?|starts?\s+with|ends?\s+with|in|between|matches)))\b",
        write: Write::By(|p| {
            let op = p.get("op").to_lowercase();
            let op = match op.split_whitespace().next()? {
                "contain" | "contains" => "contains",
                "start" | "starts" => "starts with",
                "end" | "ends" => "ends with",
                "in" => "in",
                "between" => "between",
                _ => "matches",
            };
            let before = p.get("before");
            let space = if before.is_empty() || before == "(" { "" } else { " " };
            Some(format!("{before}{space}not {} {op}", p.get("f")))
        }),
        safety: Safe,
        message: "`not` is written before the field",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"\s(?P<at>(?i:is\s+not\s+(?:null|empty|blank)|not\s+null|is\s+filled|has\s+(?:a\s+)?value|exists|contains\s+data))(?:\s|\)|$)",
        write: Write::By(|p| Some(replaced(p.text.get(p.captures.get(0)?.range())?, p.get("at"), "is present"))),
        safety: Unsafe,
        message: "to ask for a field with a value, write `is present`",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"\s(?P<at>(?i:is\s+(?:null|blank|none|missing|not\s+present)|does\s+not\s+contain\s+data))(?:\s|\)|$)",
        write: Write::By(|p| Some(replaced(p.text.get(p.captures.get(0)?.range())?, p.get("at"), "is empty"))),
        safety: Unsafe,
        message: "to ask for an empty field, write `is empty`",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition],
        pattern: r"\s(?P<at>(?:=\s*|(?i:in|within|during|is in|in the)\s+)?(?i:the\s+)?(?i:last|past)\s+(?P<n>\d+)\s*(?P<u>(?i:days?|hours?|minutes?|weeks?|months?|years?)))\b",
        write: Write::By(|p| Some(format!(" changed within {}", duration(p.get("n"), p.get("u"))?))),
        safety: Safe,
        message: "to ask for a time before the run, write `changed within`",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"\s(?P<at>(?i:is\s+)?(?P<op>(?i:older|newer|younger))\s+than\s+(?P<n>\d+)\s*(?P<u>(?i:days?|hours?|minutes?|weeks?|months?|years?)))\b",
        write: Write::By(|p| {
            let sign = if p.get("op").eq_ignore_ascii_case("older") { "<" } else { ">" };
            Some(format!(" {sign} now - {}", duration(p.get("n"), p.get("u"))?))
        }),
        safety: Safe,
        message: "to compare a date with the time of the run, write `now`",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm],
        pattern: r"(?:^|\s)(?P<at>(?i:is\s+)?(?P<op>(?i:greater than or equal to|less than or equal to|more than|greater than|bigger than|larger than|higher than|later than|less than|fewer than|smaller than|lower than|earlier than|at least|at most|after|before|since|until|not equal to|not equals|equal to|equals|is equal|unequal)))\s+(?P<v>\S)",
        write: Write::By(|p| {
            let op = p.get("op").to_lowercase();
            let sign = match op.as_str() {
                "greater than or equal to" | "at least" | "since" => ">=",
                "less than or equal to" | "at most" | "until" => "<=",
                "more than" | "greater than" | "bigger than" | "larger than" | "higher than" | "later than" | "after" => ">",
                "less than" | "fewer than" | "smaller than" | "lower than" | "earlier than" | "before" => "<",
                "not equal to" | "not equals" | "unequal" => "!=",
                _ => "=",
            };
            let space = if p.text[..p.captures.name("at")?.start()].is_empty() { "" } else { " " };
            Some(format!("{space}{sign} {}", p.get("v")))
        }),
        safety: Safe,
        message: "comparisons are written as symbols",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition],
        pattern: r"\s(?P<at>eq|ne|gt|ge|lt|le)\s",
        write: Write::By(|p| {
            let sign = match p.get("at") {
                "eq" => "=",
                "ne" => "!=",
                "gt" => ">",
                "ge" => ">=",
                "lt" => "<",
                _ => "<=",
            };
            Some(format!(" {sign} "))
        }),
        safety: Safe,
        message: "comparisons are written as symbols",
        label: "a word of OData",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm],
        pattern: r"(?:^|\s)(?P<at>(?i:begins?\s+with|startswith|starts_with|start with)|(?i:endswith|ends_with|end with)|(?i:includes?|contain))\s",
        write: Write::By(|p| {
            let whole = p.text.get(p.captures.get(0)?.range())?;
            let words = match p.get("at").to_lowercase().chars().next()? {
                'b' | 's' => "starts with",
                'e' => "ends with",
                _ => "contains",
            };
            Some(replaced(whole, p.get("at"), words))
        }),
        safety: Safe,
        message: "this comparison has another name",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm],
        pattern: r"(?P<at>===?|<>|&&|\|\|)",
        write: Write::By(|p| {
            Some(
                match p.get("at") {
                    "<>" => "!=",
                    "&&" => "and",
                    "||" => "or",
                    _ => "=",
                }
                .to_owned(),
            )
        }),
        safety: Safe,
        message: "`<at>` is a symbol of another language",
        label: "not used here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm],
        pattern: r"(?:^|[\s(])(?P<at>AND|OR|NOT|IN|IS|BETWEEN|CONTAINS|STARTS|ENDS|WITH|MATCHES|PRESENT|EMPTY|NULL|NOW|TODAY|CHANGED|WITHIN|TRUE|FALSE)(?:[\s()]|$)",
        write: Write::By(|p| Some(replaced(p.text.get(p.captures.get(0)?.range())?, p.get("at"), &p.get("at").to_lowercase()))),
        safety: Safe,
        message: "the words of the language are written in lower case",
        label: "in capital letters",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"\s(?P<at>Is|In|And|Or|Not|Contains|Starts|Ends|Between)\s",
        write: Write::By(|p| Some(format!(" {} ", p.get("at").to_lowercase()))),
        safety: Unsafe,
        message: "the words of the language are written in lower case",
        label: "with a capital letter",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition],
        pattern: r"(?P<at>=>|=<|>\s+=|<\s+=)",
        write: Write::By(|p| Some(if p.get("at").contains('>') { ">=" } else { "<=" }.to_owned())),
        safety: Safe,
        message: "the two characters of this comparison are in the wrong order",
        label: "not a comparison",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition],
        pattern: r"^(?:not\s)?\s*(?P<f>%P)\s*(?P<at>:=|:)\s*(?P<v>\S)",
        write: Write::As("<f> = <v>"),
        safety: Safe,
        message: "a comparison is written with `=`",
        label: "expected `=` here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"\bin\s*(?P<at>[\[{](?P<list>[^\]}\n]*)[\]}])",
        write: Write::By(|p| Some(format!("in ({})", p.get("list")))),
        safety: Safe,
        message: "the values after `in` are written in parentheses",
        label: "not in parentheses",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm],
        pattern: r"\bin\s+(?P<at>(?P<list>%V(?:\s*,\s*%V)*))(?P<rest>\s*(?:$|=>|\band\b))",
        write: Write::By(|p| Some(format!("in ({}) {}", p.get("list"), p.get("rest")).trim_end().to_owned())),
        safety: Safe,
        message: "the values after `in` are written in parentheses",
        label: "expected `( … )` around this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"(?P<f>%P)\s*=\s*(?P<a>%V)(?P<at>(?:\s*,\s*|\s+or\s+)(?P<b>%V))(?P<end>\s*(?:$|=>))",
        write: Write::By(|p| Some(format!("{} in ({}, {}) {}", p.get("f"), p.get("a"), p.get("b"), p.get("end")).trim_end().to_owned())),
        safety: Safe,
        message: "several values of one field are written with `in`",
        label: "not a separate condition",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"=\s*(?P<at>[A-ZÄÖÜ]\p{L}*(?:\s+\p{L}+)+)(?P<end>\s*(?:$|=>))",
        write: Write::By(|p| {
            let words: Vec<&str> = p.get("at").split_whitespace().collect();
            let end = p.get("end");
            (!words.iter().any(|w| ["and", "or", "not", "is"].contains(w)))
                .then(|| format!("= \"{}\" {end}", words.join(" ")).trim_end().to_owned())
        }),
        safety: Safe,
        message: "a label of several words is written in quotes",
        label: "quotes are missing",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch],
        pattern: r"\s(?P<at>is\s+(?P<not>not\s+)?)(?P<v>%V)(?P<end>\s*(?:$|=>|\)|\band\b|\bor\b))",
        write: Write::By(|p| {
            let v = p.get("v");
            let sign = if p.get("not").is_empty() { "=" } else { "!=" };
            (!["present", "empty", "not"].contains(&v)).then(|| format!(" {sign} {v} {}", p.get("end")).trim_end().to_owned())
        }),
        safety: Safe,
        message: "a comparison with a value is written with `=` or `!=`",
        label: "only `is present` and `is empty` begin with `is`",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition],
        pattern: r"^(?P<at>!)\s*(?P<f>[\w`(])",
        write: Write::As("not <f>"),
        safety: Safe,
        message: "a condition is negated by `not`",
        label: "expected `not` here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition],
        pattern: r"^(?P<not>not\s+)?(?P<at>%P)\s*$",
        write: Write::By(|p| Some(format!("{} = {}", p.get("at"), p.get("not").is_empty()))),
        safety: Unsafe,
        message: "this condition has no comparison",
        label: "expected a comparison after this",
        help: "write `{line}`, or `<at> is present` to ask whether the field has a value",
    },
];

fn replaced(whole: &str, from: &str, to: &str) -> String {
    whole.replacen(from, to, 1)
}

/// A number and a unit as a duration.
pub(super) fn duration(number: &str, unit: &str) -> Option<String> {
    let number: u64 = number.parse().ok().filter(|n| *n <= 36_525)?;
    Some(match unit.to_lowercase().trim_end_matches('s') {
        "day" | "d" | "tag" | "tage" => format!("{number}d"),
        "hour" | "h" | "hr" | "stunde" | "stunden" => format!("{number}h"),
        "minute" | "min" | "m" => format!("{number}m"),
        "week" | "w" | "woche" | "wochen" => format!("{}d", number * 7),
        "month" | "monat" | "monate" => format!("{}d", number * 30),
        "year" | "y" | "jahr" | "jahre" => format!("{}d", number * 365),
        _ => return None,
    })
}
