//! What is wrong with an entry that the grammar did not accept.
//!
//! Four looks, from the most telling to the least: characters that text programs put in ([`pasted`]), habits from other languages and programs
//! ([`mistakes`]), a misspelled keyword, and at last a second reading by the strict rule, whose expectations are put into the author's words.

use std::ops::Range;

use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};

pub(super) use super::faulty::Context;
use super::faulty::{Finding, blank_strings};
use super::parse::{Grammar, Rule};
use super::{mistakes, pasted};
use crate::diagnostics::{Code, near, nearest};

fn finding(code: Code, range: Range<usize>, message: impl Into<String>, label: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding {
        code,
        range,
        message: message.into(),
        label: label.into(),
        help: Some(help.into()),
        instead: None,
        edits: Vec::new(),
        rewrite: None,
    }
}

/// All that can be said of a swallowed entry; at least one finding.
pub(super) fn explain(text: &str, context: Context) -> Vec<Finding> {
    if let Some(found) = pasted_characters(text, context)
        .or_else(|| mistakes::explain(text, context, usage(strict_rule(text, context), text), &|text| reads(text, context)))
        .or_else(|| misspelt_keyword(text, context))
    {
        return vec![found];
    }
    vec![reread(text, context)]
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

fn pasted_characters(text: &str, context: Context) -> Option<Finding> {
    let pasted::Found { first: (range, kind), edits } = pasted::find(&blank_strings(text), context)?;
    let (message, label, help) = kind.words(context);
    let mut line = text.to_owned();
    for (range, instead) in edits.iter().rev() {
        line.replace_range(range.clone(), instead);
    }
    let shown =
        !edits.is_empty() && line.len() < 200 && !line.contains('\n') && !matches!(kind, pasted::Pasted::Space | pasted::Pasted::Invisible);
    let help = if shown { format!("write `{line}`") } else { help.to_owned() };
    Some(Finding { edits, ..finding(Code::D009, range, message, label, help) })
}

fn misspelt_keyword(text: &str, context: Context) -> Option<Finding> {
    let word = first_word(text);
    let rest = text[word.len()..].trim_start();
    let (keywords, must_be): (&[&str], bool) = match context {
        Context::Item => (&["mapping", "optout", "events", "test", "replace", "table", "let", "include"], true),
        // `key` and the block words are plain names too, so only what cannot be a field mapping is taken for one.
        Context::Entry if rest.contains('{') && !blank_strings(text).split('{').next().is_some_and(|head| head.contains("->")) => {
            (&["replace", "filter", "options", "when", "case"], true)
        }
        Context::Condition if rest.starts_with('{') => (&["all", "any"], true),
        Context::Clause => (&["given", "expect", "now"], true),
        Context::Entry
        | Context::Head
        | Context::Arm
        | Context::Branch
        | Context::Condition
        | Context::Setting
        | Context::Event
        | Context::Pair
        | Context::Assignment
        | Context::TableLine => (&[], false),
    };
    if !must_be || keywords.contains(&word) {
        return None;
    }
    let end = if word.is_empty() { text.chars().next().map_or(0, char::len_utf8) } else { word.len() };
    let list = keywords.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
    let help = match (nearest(word, keywords.iter().copied()), context) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Context::Item) => {
            "a file consists of `mapping NAME: d365.table -> campaign.table { … }` blocks, and of `test`, `optout`, `events`, `let`, `include`, `replace` and `table`"
                .to_owned()
        }
        (None, _) => format!("the blocks that are allowed here are {list}"),
    };
    let what = if word.is_empty() { format!("`{}`", &text[..end]) } else { format!("`{word}`") };
    let instead = near(word, keywords.iter().copied());
    let found = finding(
        Code::D008,
        0..end,
        format!("{what} is not the beginning of anything that is allowed here"),
        format!("expected {list}"),
        help,
    );
    Some(Finding { instead, ..found })
}

/// Whether the grammar accepts an entry. It swallows what is wrong inside a block, so that is looked for.
fn reads(text: &str, context: Context) -> bool {
    let swallowed = |rule: Rule| matches!(rule, Rule::bad_entry | Rule::bad_item | Rule::bad_head);
    Grammar::parse(strict_rule(text, context), text).is_ok_and(|pairs| !pairs.flatten().any(|pair| swallowed(pair.as_rule())))
}

/// The rule with which a swallowed entry is read again.
fn strict_rule(text: &str, context: Context) -> Rule {
    match (context, first_word(text)) {
        (Context::Head, _) => Rule::only_head,
        (Context::Arm, _) => Rule::only_arm,
        (Context::Branch, _) => Rule::only_branch,
        (Context::Entry, "when") if text.contains('{') => Rule::only_when,
        (Context::Condition, _) => Rule::only_condition,
        (Context::Setting, _) => Rule::only_setting,
        (Context::Event, _) => Rule::only_event_line,
        (Context::Pair, _) => Rule::only_pair,
        (Context::Clause, _) => Rule::only_clause,
        (Context::Assignment, _) => Rule::only_assignment,
        (Context::TableLine, _) => Rule::only_table_key,
        (Context::Item, "let") => Rule::only_let,
        (Context::Item, "include") => Rule::only_include,
        (Context::Item, "replace") => Rule::only_shared,
        (Context::Item, "table") => Rule::only_lookup_table,
        (Context::Item, "optout") => Rule::only_optout,
        (Context::Item, "events") => Rule::only_events,
        (Context::Item, "test") => Rule::only_test,
        (Context::Entry, "key") => Rule::only_key,
        (Context::Entry, "replace") => Rule::only_replace,
        (Context::Entry, "filter") => Rule::only_filter,
        (Context::Entry, "options") => Rule::only_options,
        (Context::Entry, "link" | "rows") => Rule::only_linked,
        // A field may have this name.
        (Context::Entry, "adopt") if !text.contains("->") => Rule::only_adopt,
        (Context::Entry | Context::Item, _) => Rule::only_field,
    }
}

/// How an entry of a rule is written.
fn usage(rule: Rule, text: &str) -> &'static str {
    match rule {
        Rule::only_head => "write `mapping NAME: d365.contact -> campaign.profile {`",
        Rule::only_arm => "write `value => value`, a comparison such as `< 18 => value`, `else => value`, or `else => keep`",
        Rule::only_branch => "write `condition => result`, such as `gendercode = Male => \"Mr\"`, and at the end `else => result`",
        Rule::only_when => "write `when condition { source -> target }`, optionally followed by `else { source -> target }`",
        Rule::only_condition => {
            "write `field = value`, `field is present`, `field in (a, b)`, several of them joined by `and` or `or`, or a group `any { … }`"
        }
        Rule::only_event_line => {
            "write a type of event and whether it is sent: `open on`; a field and its column: `campaign -> COLUMN`; or the table of a type: `open -> TABLE`"
        }
        Rule::only_setting => "write an option and its value: `deletes propagate`",
        Rule::only_pair => {
            "write `direction bidirectional`, or a pair such as `donotemail <-> denyListEmail` or `field <-> subscription \"SERVICE\"`; write `not` before the second one to reverse its meaning"
        }
        Rule::only_clause => "write `given { field: value }`, then `expect { field: value }`, `expect filtered` or `expect rejected`",
        Rule::only_assignment => "write `field: value`, one per line or separated by commas",
        Rule::only_let => "write `let name = \"value\"`; the value is used as `$name`",
        Rule::only_include => "write `include \"shared/tables.d365map\"`",
        Rule::only_shared => "write `replace name { value => value }`; use it in a mapping as `replace field with name`",
        Rule::only_lookup_table => "write `table name from \"tables/name.csv\" { key column }`",
        Rule::only_table_key => "write the columns by which a row is found: `key column`, or `key column, column`",
        Rule::only_optout => "write `optout MAPPING { direction bidirectional`, pairs such as `donotemail <-> denyListEmail`, then `}`",
        Rule::only_events => "write `events email: campaign.email -> d365.contact { send on }`",
        Rule::only_test => "write `test MAPPING \"what it shows\" { given { … } expect { … } }`",
        Rule::only_key => "write `key contactid -> externalId`",
        Rule::only_adopt => "write `adopt by email`, or several fields that are tried in turn: `adopt by email or mobilePhone`",
        Rule::only_replace => "write `replace field { value => value }`",
        Rule::only_filter => "write `filter all { … }` or `filter any { … }`",
        Rule::only_options => "write `options { deletes propagate }`",
        Rule::only_linked => {
            "write `link parentaccountid: d365.account by name or create { customerProfile.name <-> name }`, or `rows LIST: TABLE by COLUMN { … }`"
        }
        _ if text.trim_start().starts_with('=') => "write `= a * 5 + 1 -> target`; after a division that can fail, add `or null`",
        _ => "write `source -> target`, then steps as `| step`",
    }
}

/// Reads the entry again by the strict rule of its kind.
pub(super) fn reread(text: &str, context: Context) -> Finding {
    if context == Context::Item && first_word(text) == "mapping" {
        let help = "write `mapping NAME: d365.contact -> campaign.profile {`, then the entries, then `}`";
        return finding(Code::D008, 0..text.len(), "this mapping is not complete", "expected a name, two tables and a block", help);
    }
    let rule = strict_rule(text, context);
    let usage = usage(rule, text);
    let Err(error) = Grammar::parse(rule, text) else {
        // The strict rule accepts it, so what follows the entry is wrong.
        return finding(
            Code::D008,
            0..text.len(),
            "this entry does not end where it should",
            "expected the end of the line after it",
            usage,
        );
    };
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at.min(text.len()),
    };
    let expected = match &error.variant {
        // A step begins with a name, as a field does; the bar before it tells which is meant.
        ErrorVariant::ParsingError { .. } if follows_or(&text[..at]) => vec!["`null`", "`default(…)`", "`keep`", "`reject`"],
        ErrorVariant::ParsingError { .. } if text[..at].trim_end().ends_with('|') => vec!["a step such as `trim` or `truncate(30)`"],
        ErrorVariant::ParsingError { positives, .. } => match expectation(positives).as_slice() {
            // An entry has two forms, so that the parser names the entry and not what it begins with.
            ["a field mapping"] => vec!["a field, a text or a literal"],
            words => words.to_vec(),
        },
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    let usage = match expected.iter().any(|e| e.starts_with("a duration")) || expected.contains(&"a value or a duration such as `30d`") {
        true => "durations are days, hours or minutes: 30d, 12h, 5m; a year is 365d",
        false if follows_or(&text[..at]) => {
            "`or null` empties the field, `or default(value)` writes a value, `or keep` leaves it as it is, and with `or reject` the record becomes a dead letter"
        }
        false => usage,
    };
    let rest = &text[at..];
    let token = token_length(rest);
    let message = if token == 0 { "this entry is not complete".to_owned() } else { format!("`{}` does not belong here", &rest[..token]) };
    let label = match expected.as_slice() {
        [] => "not expected here".to_owned(),
        words => format!("expected {}", join_or(words)),
    };
    // At the end of the text, the last character is underlined: an empty span is hard to see.
    let range = if token == 0 { text.len() - text.chars().next_back().map_or(0, char::len_utf8)..text.len() } else { at..at + token };
    finding(Code::D008, range, message, label, usage)
}

/// Whether what comes next is the outcome of a step.
fn follows_or(before: &str) -> bool {
    let before = before.trim_end();
    before.strip_suffix("or").is_some_and(|b| b.ends_with([' ', '\t', ')', '\n']))
}

/// The length of the token at the beginning of a text.
fn token_length(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    if first.is_whitespace() {
        return 0;
    }
    if first.is_alphanumeric() || first == '_' {
        return text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    }
    first.len_utf8()
}

fn join_or(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

/// The parser's expectations as words of the language, each once. Rules that authors do not know have no word.
fn expectation(rules: &[Rule]) -> Vec<&'static str> {
    let mut words: Vec<&'static str> = Vec::new();
    for word in rules.iter().filter_map(|r| symbol(*r)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    // Any name could continue as a function call, and a call with `or`. An author who has not written an arrow yet means neither.
    if words.contains(&"`->`") {
        words.retain(|w| !matches!(*w, "`(`" | "`or`"));
    }
    words
}

fn symbol(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::arrow | Rule::way | Rule::backward => "`->`",
        Rule::both => "`<->`",
        Rule::equals => "`=`",
        Rule::fat_arrow => "`=>`",
        Rule::colon => "`:`",
        Rule::open | Rule::pair_cases => "`{`",
        Rule::close => "`}`",
        Rule::comma => "`,`",
        Rule::end_paren => "`)`",
        Rule::open_paren | Rule::wrapped => "`(`",
        Rule::pipe | Rule::pipe_step => "`|`",
        Rule::flag => "`@initial`",
        Rule::or_part | Rule::or_clause | Rule::kw_or => "`or`",
        Rule::arguments => "`(`",
        Rule::ident | Rule::path | Rule::call => "a field",
        Rule::name => "a name",
        Rule::word => "a word",
        Rule::step => "a step",
        Rule::source => "a field, a text or a literal",
        Rule::table => "a table such as `d365.contact`",
        Rule::value
        | Rule::literal
        | Rule::argument
        | Rule::string
        | Rule::integer
        | Rule::decimal
        | Rule::date
        | Rule::instant
        | Rule::boolean
        | Rule::constant
        | Rule::operand
        | Rule::moment
        | Rule::null => "a value",
        Rule::sum | Rule::product | Rule::wide_sum | Rule::wide_product | Rule::factor | Rule::nested | Rule::amount | Rule::minus => {
            "a number or a field"
        }
        Rule::formula | Rule::formula_call => "a formula",
        Rule::plus_minus | Rule::times_over => "`+`, `-`, `*` or `/`",
        Rule::duration => "a duration such as `30d`",
        Rule::period | Rule::period_unit => "a period such as `6 months`",
        Rule::mode | Rule::kw_all | Rule::kw_any => "`all` or `any`",
        Rule::operator
        | Rule::relation
        | Rule::is_present
        | Rule::is_empty
        | Rule::one_of
        | Rule::eol
        | Rule::parens
        | Rule::between
        | Rule::within
        | Rule::text_test
        | Rule::text_op
        | Rule::matches => "a comparison (`=`, `!=`, `<`, `>`, `is present`, `is empty`, `in`, `contains`, …)",
        Rule::condition
        | Rule::conjunction
        | Rule::negated
        | Rule::wide_condition
        | Rule::wide_conjunction
        | Rule::comparison
        | Rule::group
        | Rule::negation => "a condition",
        Rule::arm => "`value => value`",
        Rule::branch => "`condition => result`",
        Rule::case | Rule::kw_case => "`case`",
        Rule::when | Rule::kw_when => "`when`",
        Rule::else_when => "`else`",
        Rule::when_block => "`{`",
        Rule::setting => "an option and its value",
        Rule::every | Rule::kw_every => "`every` and a duration",
        Rule::sign | Rule::offset => "`+` or `-` and a duration",
        Rule::given | Rule::kw_given => "`given`",
        Rule::expect | Rule::kw_expect => "`expect`",
        Rule::clock | Rule::kw_now => "`now`",
        Rule::kw_today => "`today`",
        Rule::expect_values => "`{`",
        Rule::expect_filtered | Rule::kw_filtered => "`filtered`",
        Rule::kw_absent => "`absent`",
        Rule::expect_rejected | Rule::kw_rejected => "`rejected`",
        Rule::assignment => "`field: value`",
        Rule::list_item => "`list { field: value }`",
        Rule::pair => "a pair such as `donotemail <-> denyListEmail`",
        Rule::direction | Rule::kw_direction => "`direction`",
        Rule::subscription | Rule::kw_subscription => "`subscription \"SERVICE\"`",
        Rule::constant_item | Rule::kw_let => "`let`",
        Rule::include | Rule::kw_include => "`include`",
        Rule::shared => "`replace`",
        Rule::optout | Rule::kw_optout => "`optout`",
        Rule::lookup_table | Rule::kw_table => "`table`",
        Rule::kw_from => "`from`",
        Rule::kw_sheet => "`sheet`",
        Rule::lookup_in | Rule::kw_lookup => "`lookup`",
        Rule::table_key => "`key column`",
        Rule::events | Rule::kw_events => "`events`",
        Rule::test | Rule::kw_test => "`test`",
        Rule::shared_name => "`with`",
        Rule::map_table | Rule::kw_map => "`map`",
        Rule::link_to | Rule::kw_link => "`link`",
        Rule::key => "`key`",
        Rule::field => "a field mapping",
        Rule::replace => "`replace`",
        Rule::filter => "`filter`",
        Rule::options => "`options`",
        Rule::mapping | Rule::kw_mapping => "`mapping`",
        Rule::or_default => "`default(…)`",
        Rule::kw_key => "`key`",
        Rule::kw_replace => "`replace`",
        Rule::kw_filter => "`filter`",
        Rule::kw_options => "`options`",
        Rule::linked => "`link` or `rows`",
        Rule::kw_rows => "`rows`",
        Rule::kw_by => "`by`",
        Rule::adopt | Rule::kw_adopt => "`adopt`",
        Rule::kw_default => "`default`",
        Rule::kw_else => "`else`",
        Rule::kw_not => "`not`",
        Rule::kw_is => "`is`",
        Rule::kw_present => "`present`",
        Rule::kw_empty => "`empty`",
        Rule::kw_in => "`in`",
        Rule::kw_between => "`between`",
        Rule::kw_and => "`and`",
        Rule::kw_changed => "`changed`",
        Rule::kw_within => "`within`",
        Rule::kw_contains => "`contains`",
        Rule::kw_starts => "`starts`",
        Rule::kw_ends => "`ends`",
        Rule::kw_with => "`with`",
        Rule::kw_matches => "`matches`",
        Rule::EOI => "the end of the line",
        Rule::WHITESPACE
        | Rule::COMMENT
        | Rule::sep
        | Rule::end
        | Rule::file
        | Rule::mapping_head
        | Rule::bad_head
        | Rule::body
        | Rule::entry
        | Rule::item
        | Rule::pairs
        | Rule::clauses
        | Rule::clause
        | Rule::values
        | Rule::plain_step
        | Rule::only_let
        | Rule::only_include
        | Rule::only_shared
        | Rule::only_optout
        | Rule::table_lines
        | Rule::only_lookup_table
        | Rule::only_table_key
        | Rule::only_events
        | Rule::only_event_line
        | Rule::event_lines
        | Rule::linked_lines
        | Rule::only_linked
        | Rule::only_adopt
        | Rule::only_test
        | Rule::only_pair
        | Rule::only_clause
        | Rule::only_assignment
        | Rule::arms
        | Rule::conditions
        | Rule::comparator
        | Rule::settings
        | Rule::ident_start
        | Rule::ident_char
        | Rule::edge
        | Rule::bad_entry
        | Rule::bad_item
        | Rule::braces
        | Rule::quoted
        | Rule::only_key
        | Rule::only_field
        | Rule::only_replace
        | Rule::only_filter
        | Rule::only_options
        | Rule::only_arm
        | Rule::only_branch
        | Rule::only_when
        | Rule::branches
        | Rule::arm_test
        | Rule::when_body
        | Rule::only_condition
        | Rule::only_setting
        | Rule::only_head
        | Rule::mutual
        | Rule::from_right => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_symbol_is_reported_before_the_grammar_is_tried() {
        let code = |text, context| explain(text, context).pop().unwrap().code;
        assert_eq!(code("firstname = firstName", Context::Entry), Code::D009);
        assert_eq!(code("1 -> male", Context::Arm), Code::D009);
        assert_eq!(code("a && b", Context::Condition), Code::D009);
        assert_eq!(code("deletes: propagate", Context::Setting), Code::D009);
        assert_eq!(code("filtre all { }", Context::Entry), Code::D008);
    }

    #[test]
    fn several_mistakes_in_one_entry_are_rewritten_together() {
        for (text, context, right) in [
            ("- lastname => lastName | truncate 30", Context::Entry, "lastname -> lastName | truncate(30)"),
            ("a == 1 && b <> 2 AND c = 'x'", Context::Condition, "a = 1 and b != 2 and c = \"x\""),
            (
                "WHERE statecode == Active AND donotemail = false",
                Context::Entry,
                "filter all { statecode = Active and donotemail = false }",
            ),
        ] {
            let found = explain(text, context).pop().unwrap_or_else(|| panic!("{text}"));
            let (range, instead, _) = found.rewrite.unwrap_or_else(|| panic!("{text}: {:?}", found.help));
            let mut fixed = text.to_owned();
            fixed.replace_range(range, &instead);
            assert_eq!(fixed, right);
        }
    }
}
