//! Completion, in half-typed text too: the words of the entry before the cursor decide what is allowed there, together with
//! the blocks around it, not from the tree, which has nothing where an entry cannot be read yet.

mod formula;

use formula::{constants, formula, outcomes};
use lsp_types::{CompletionItem, CompletionItemKind, Documentation, InsertTextFormat, MarkupContent, MarkupKind};

use super::documents::Group;
use super::hover::type_text;
use super::marks::Sides;
use crate::check::{ATTRIBUTES, DIRECTIONS, EVENTS, EventField, INGRESS, TWO_WAY};
use crate::schema::{Field, FieldType, SystemId, Table, TableId};
use crate::steps::{FUNCTIONS, STEPS};
use crate::syntax::ast::{Mapping, Source, Way};
use crate::syntax::{Token, TokenKind, tokens};

/// A block around the cursor: the words before its brace.
struct Open<'t> {
    header: Vec<&'t str>,
}

/// What is before the cursor.
struct Place<'t> {
    blocks: Vec<Open<'t>>,
    /// The words of the entry, without the one that is being typed.
    entry: Vec<&'t str>,
    /// Whether the cursor is in a comment or a text.
    quiet: bool,
}

fn place(text: &str, offset: usize) -> Place<'_> {
    let all = tokens(text);
    let before: Vec<&Token> = all.iter().take_while(|t| t.range.start < offset).collect();
    let mut place = Place { blocks: Vec::new(), entry: Vec::new(), quiet: false };
    for (i, token) in before.iter().enumerate() {
        let word = token.text(text);
        let typed = token.range.end >= offset;
        match token.kind {
            // A comment goes on to the end of its line, even if there are spaces.
            TokenKind::Comment => place.quiet |= text.get(token.range.start..offset).is_some_and(|t| !t.contains('\n')),
            TokenKind::Text if typed && (token.range.end > offset || word.len() == 1) => place.quiet = true,
            TokenKind::Newline => {
                // Steps go on in the next line.
                let next = all
                    .iter()
                    .skip_while(|t| t.range.start <= token.range.start)
                    .find(|t| !matches!(t.kind, TokenKind::Newline | TokenKind::Comment));
                if next.is_none_or(|t| t.text(text) != "|" || t.range.start >= offset)
                    && !place.entry.is_empty()
                    && !waits_for_brace(&before[i..], text)
                    && !in_list(&place.entry, next.map(|t| t.text(text)))
                {
                    place.entry.clear();
                }
            }
            TokenKind::Sign if word == "{" => place.blocks.push(Open { header: std::mem::take(&mut place.entry) }),
            TokenKind::Sign if word == "}" => {
                place.blocks.pop();
                place.entry.clear();
            }
            TokenKind::Sign if word == ";" => place.entry.clear(),
            TokenKind::Sign if word == "," && in_values(&place) => place.entry.clear(),
            // The word that is being typed.
            TokenKind::Word | TokenKind::Number if typed => {}
            TokenKind::Word | TokenKind::Number | TokenKind::Text | TokenKind::Sign => place.entry.push(word),
        }
    }
    place
}

/// Whether the next word is the brace of the present entry.
fn waits_for_brace(rest: &[&Token], text: &str) -> bool {
    rest.iter().find(|t| !matches!(t.kind, TokenKind::Newline | TokenKind::Comment)).is_some_and(|t| t.text(text) == "{")
}

/// Whether a list in parentheses goes on in the next line. A parenthesis that is not closed yet is not a list of several lines.
fn in_list(entry: &[&str], next: Option<&str>) -> bool {
    let open = entry.iter().rposition(|word| *word == "(").is_some_and(|at| !entry[at..].contains(&")"));
    open && (matches!(entry.last(), Some(&"(" | &",")) || matches!(next, Some(")" | ",")))
}

/// Whether the cursor is among the values of a test, perhaps in an item of a list.
fn in_values(place: &Place<'_>) -> bool {
    place.blocks.iter().rev().take(2).any(|b| matches!(b.header.first(), Some(&"given" | &"expect")))
}

/// The table of an item of a list in a test: the items of the list that its block names, or the rows of the table.
fn list_in_test<'g>(place: &Place<'_>, tables: &Tables<'g>, group: &'g Group) -> Option<&'g Table> {
    let [.., clause, list] = place.blocks.as_slice() else { return None };
    let record = tables.named(&clause.header)?;
    let names = dotted(&list.header);
    let of_rows = || group.catalogue.get(&TableId::new(record.id.system, *names.first()?));
    group.catalogue.items(record, &names).or_else(of_rows).map(AsRef::as_ref)
}

/// The tables of the mapping that the cursor is in, or that its block names.
struct Tables<'g> {
    source: Option<&'g Table>,
    target: Option<&'g Table>,
    mapping: Option<&'g Mapping>,
}

impl<'g> Tables<'g> {
    /// The table of a clause of a test: `given`, `given partner`.
    fn named(&self, clause: &[&str]) -> Option<&'g Table> {
        let otherwise = if clause.first() == Some(&"given") { self.source } else { self.target };
        Sides { source: self.source, target: self.target }.of(clause.get(1).copied(), otherwise)
    }

    /// The systems of a mapping in both directions.
    fn systems(&self) -> Vec<&'static str> {
        let tables = [self.source, self.target].into_iter().flatten().filter(|_| self.two_way());
        tables.map(|table| table.id.system.name()).collect()
    }

    /// Whether the mapping goes both ways, as far as its tables tell.
    fn two_way(&self) -> bool {
        let by_head = self.mapping.and_then(|m| m.head.as_ref()).is_some_and(|head| head.way == Way::Both);
        by_head || self.source.is_some_and(|table| table.id.system == SystemId::Partner)
    }
}

/// The tables between which the lines of the innermost block go.
fn tables<'g>(place: &Place<'_>, group: &'g Group) -> Tables<'g> {
    let mut tables = outer_tables(place, group);
    for block in place.blocks.iter().skip(1) {
        if let [keyword @ ("link" | "rows"), words @ ..] = block.header.as_slice() {
            let (path, table) = linked(words, group);
            if *keyword == "rows" {
                tables.source = tables.source.and_then(|source| group.catalogue.items(source, &dotted(path)).map(AsRef::as_ref));
            }
            tables.target = table;
        }
    }
    tables
}

/// The path of a block of linked records, and its table: `A . B : d365 . account by …`.
fn linked<'t, 'g>(words: &'t [&'t str], group: &'g Group) -> (&'t [&'t str], Option<&'g Table>) {
    let colon = words.iter().position(|word| *word == ":").unwrap_or(words.len());
    let table = match words.get(colon + 1..) {
        Some([system, ".", name, ..]) => SystemId::from_name(system).map(|system| TableId::new(system, *name)),
        _ => None,
    };
    (&words[..colon], table.and_then(|table| group.catalogue.get(&table)).map(AsRef::as_ref))
}

fn outer_tables<'g>(place: &Place<'_>, group: &'g Group) -> Tables<'g> {
    let none = Tables { source: None, target: None, mapping: None };
    let Some(outer) = place.blocks.first() else { return none };
    let mappings = || group.files.iter().flat_map(|f| &f.tree.mappings);
    let by_name = |name: &str| mappings().find(|m| m.head.as_ref().is_some_and(|h| h.name.text == name));
    match outer.header.as_slice() {
        // mapping NAME : a . b -> c . d
        ["mapping", name, ":", a, ".", b, _, c, ".", d] => {
            let table =
                |system: &str, name: &str| group.catalogue.get(&TableId::new(SystemId::from_name(system)?, name)).map(AsRef::as_ref);
            Tables { source: table(a, b), target: table(c, d), mapping: by_name(name) }
        }
        ["optout" | "test", name, ..] => match by_name(name) {
            Some(mapping) => {
                let sides = super::marks::sides(mapping, &group.catalogue);
                Tables { source: sides.source, target: sides.target, mapping: Some(mapping) }
            }
            None => none,
        },
        _ => none,
    }
}

/// What is allowed at a byte of a file.
pub(super) fn of(group: &Group, file: usize, offset: usize) -> Vec<CompletionItem> {
    let text = &group.files[file].text;
    let place = place(text, offset.min(text.len()));
    if place.quiet {
        return Vec::new();
    }
    let tables = tables(&place, group);
    let entry = place.entry.as_slice();
    let last = entry.last().copied().unwrap_or_default();
    let header: &[&str] = place.blocks.last().map_or(&[], |b| b.header.as_slice());
    let word = header.first().copied().unwrap_or_default();
    match (place.blocks.len(), word) {
        (0, _) => top(entry, group),
        (_, "table") => table_lines(entry, header.get(1).copied(), group),
        (_, "options") => settings(entry, if tables.source.is_some_and(|t| t.id.system == SystemId::Partner) { TWO_WAY } else { INGRESS }),
        (_, "events") => event_lines(entry),
        (_, "optout") => optout(entry, &tables),
        (_, "test") => clauses(entry, &tables),
        (_, "given" | "expect") => values(entry, tables.named(header)),
        _ if in_values(&place) => values(entry, list_in_test(&place, &tables, group)),
        // A block of conditions, and that of a `case`, whose conditions have results.
        (_, "filter" | "all" | "any" | "not") => conditions(entry, &tables),
        (_, "when" | "else") => entries(entry, last, &tables, group),
        _ if matches!(header.last(), Some(&("all" | "any"))) => conditions(entry, &tables),
        _ if header.last() == Some(&"case") => branches(entry, last, &tables, group),
        (_, "replace") => arms(entry, header.get(1).copied(), None, &tables),
        // The block of a `map` step.
        (depth, _) if depth > 1 && header.last() == Some(&"map") => {
            // `field -> target | map`
            let target = header.iter().position(|w| matches!(*w, "->" | "<->")).and_then(|at| header[at + 1..].split(|w| *w == "|").next());
            arms(entry, header.first().copied(), target, &tables)
        }
        (_, "mapping" | "link" | "rows") => entries(entry, last, &tables, group),
        (_, _) => Vec::new(),
    }
}

/// A line of a table: its key.
fn table_lines(entry: &[&str], table: Option<&str>, group: &Group) -> Vec<CompletionItem> {
    match entry {
        [] => words(&["key"]),
        ["key"] | ["key", .., ","] => columns(table.unwrap_or_default(), group),
        _ => Vec::new(),
    }
}

/// The tables of files.
fn tables_of_files(group: &Group) -> Vec<CompletionItem> {
    let tables = group.files.iter().flat_map(|f| &f.tree.lookups);
    tables.map(|t| item(&t.name.text, CompletionItemKind::ENUM, "table of a file")).collect()
}

/// The columns of a table of a file.
fn columns(table: &str, group: &Group) -> Vec<CompletionItem> {
    let table = group.compiled.tables.iter().find(|t| t.name == table.trim_matches('`'));
    let columns = table.into_iter().flat_map(|t| t.columns.iter().map(move |column| (column, t.keys.contains(column))));
    columns
        .map(|(column, key)| {
            let plain = column.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let text = if plain { column.clone() } else { format!("`{column}`") };
            CompletionItem { insert_text: Some(text), ..item(column, CompletionItemKind::FIELD, if key { "key column" } else { "column" }) }
        })
        .collect()
}

fn item(label: impl Into<String>, kind: CompletionItemKind, detail: impl Into<String>) -> CompletionItem {
    CompletionItem {
        label: label.into(),
        kind: Some(kind),
        detail: Some(detail.into()).filter(|d| !d.is_empty()),
        ..CompletionItem::default()
    }
}

fn words(list: &[&str]) -> Vec<CompletionItem> {
    list.iter().map(|w| item(*w, CompletionItemKind::KEYWORD, "")).collect()
}

fn snippet(label: &str, text: &str, detail: &str) -> CompletionItem {
    CompletionItem {
        insert_text: Some(text.to_owned()),
        insert_text_format: Some(InsertTextFormat::SNIPPET),
        ..item(label, CompletionItemKind::SNIPPET, detail)
    }
}

fn top(entry: &[&str], group: &Group) -> Vec<CompletionItem> {
    let mapping_names = || {
        let heads = group.files.iter().flat_map(|f| &f.tree.mappings).filter_map(|m| m.head.as_ref());
        heads.map(|h| item(&h.name.text, CompletionItemKind::CLASS, "mapping")).collect()
    };
    match entry {
        [] => vec![
            snippet(
                "mapping",
                "mapping ${1:name}: d365.${2:contact} -> campaign.${3:profile} {\n  key ${4:contactid} -> ${5:externalId}\n  $0\n}",
                "a mapping",
            ),
            snippet("test", "test ${1:mapping} \"${2:what it shows}\" {\n  given { $3 }\n  expect { $0 }\n}", "a test"),
            snippet(
                "optout",
                "optout ${1:contacts} {\n  direction ${2|bidirectional,d365-to-campaign,campaign-to-d365,disabled|}\n  $0\n}",
                "opt-outs",
            ),
            snippet("events", "events ${1:email}: campaign.email -> d365.contact {\n  send on\n  $0\n}", "marketing events"),
            snippet("let", "let ${1:name} = $0", "a constant"),
            snippet("include", "include \"$0\"", "names of another file"),
            snippet("replace", "replace ${1:name} {\n  $0\n}", "a shared replacement"),
            snippet("table", "table ${1:name} from \"tables/${2:name}.csv\" {\n  key ${0:column}\n}", "a table of a file"),
        ],
        ["test" | "optout"] => mapping_names(),
        [.., system, "."] => group
            .catalogue
            .tables()
            .filter(|t| t.id.system.name() == *system)
            .map(|t| item(&t.id.name, CompletionItemKind::STRUCT, &t.label))
            .collect(),
        [.., ":" | "->" | "<->"] => SystemId::ALL.iter().map(|s| item(s.name(), CompletionItemKind::MODULE, "")).collect(),
        _ => Vec::new(),
    }
}

fn settings(entry: &[&str], known: &crate::check::Known) -> Vec<CompletionItem> {
    match entry {
        [] => known.iter().map(|(name, values)| item(*name, CompletionItemKind::PROPERTY, values.join(" | "))).collect(),
        [name] => {
            let values = known.iter().find(|k| k.0 == *name).map_or(&[][..], |k| k.1);
            let detail = |i| if i == 0 && values.len() > 1 { "default" } else { "" };
            values.iter().enumerate().map(|(i, v)| item(*v, CompletionItemKind::ENUM_MEMBER, detail(i))).collect()
        }
        _ => Vec::new(),
    }
}

/// A line of an event block: a setting, or what of an event is written.
fn event_lines(entry: &[&str]) -> Vec<CompletionItem> {
    let fields =
        EventField::ALL.iter().filter(|_| entry.is_empty()).map(|(_, name)| item(*name, CompletionItemKind::FIELD, "of the event"));
    settings(entry, EVENTS).into_iter().chain(fields).collect()
}

fn optout(entry: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    match entry {
        [] => {
            let booleans = tables.source.into_iter().flat_map(|t| t.fields.values()).filter(|f| matches!(f.ty, FieldType::Boolean { .. }));
            words(&["direction"]).into_iter().chain(booleans.map(|f| field_item(&f.name, f))).collect()
        }
        ["direction"] => settings(entry, DIRECTIONS),
        [.., "<->"] => {
            words(&["not"]).into_iter().chain(ATTRIBUTES.iter().map(|a| item(*a, CompletionItemKind::FIELD, "opt-out"))).collect()
        }
        [.., "<->", "not"] => ATTRIBUTES.iter().map(|a| item(*a, CompletionItemKind::FIELD, "opt-out")).collect(),
        _ => Vec::new(),
    }
}

fn clauses(entry: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    match entry {
        [] => vec![
            snippet("given", "given { $0 }", "the record"),
            snippet("expect", "expect { $0 }", "what should become of it"),
            snippet("now", "now ${1:2024-01-31}", "the time of the run"),
        ],
        ["given"] => words(&tables.systems()),
        ["expect"] => words(&["filtered", "rejected"]).into_iter().chain(words(&tables.systems())).collect(),
        _ => Vec::new(),
    }
}

fn values(entry: &[&str], table: Option<&Table>) -> Vec<CompletionItem> {
    match entry {
        [path @ .., ":"] => table.and_then(|t| t.field(&dotted(path))).map(field_values).unwrap_or_default(),
        path => fields(path, table, |f| f.readable || f.creatable),
    }
}

/// The names of a path as words: `a . b`.
fn dotted<'t>(words: &[&'t str]) -> Vec<&'t str> {
    words.iter().copied().filter(|w| *w != ".").map(|w| w.trim_matches('`')).collect()
}

/// Fields at the beginning of a path, or those within the field before the dot.
fn fields(path: &[&str], table: Option<&Table>, wanted: impl Fn(&Field) -> bool) -> Vec<CompletionItem> {
    let Some(table) = table else { return Vec::new() };
    match path {
        [] => table.fields.values().filter(|f| wanted(f)).map(|f| field_item(&f.name, f)).collect(),
        [parent @ .., "."] => match table.field(&dotted(parent)).map(|f| &f.ty) {
            Some(FieldType::Item(inner)) => inner.values().filter(|f| wanted(f)).map(|f| field_item(&f.name, f)).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn field_item(name: &str, field: &Field) -> CompletionItem {
    let label = field.label.as_deref().map(|l| format!("{l}: ")).unwrap_or_default();
    let plain =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let text = if plain { name.to_owned() } else { format!("`{name}`") };
    CompletionItem {
        // People look for a field by what a form calls it, too.
        filter_text: field.label.as_ref().map(|l| format!("{name} {l}")),
        insert_text: Some(text),
        deprecated: field.deprecated.is_some().then_some(true),
        ..item(name, CompletionItemKind::FIELD, format!("{label}{}", type_text(field)))
    }
}

/// The values that a field can have, as an author writes them.
fn field_values(field: &Field) -> Vec<CompletionItem> {
    match &field.ty {
        FieldType::Choice(set) | FieldType::MultiChoice(set) => set
            .options
            .iter()
            .map(|o| {
                let plain = o.label.starts_with(|c: char| c.is_ascii_alphabetic())
                    && o.label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let text = if plain { o.label.clone() } else { format!("\"{}\"", o.label) };
                item(text, CompletionItemKind::ENUM_MEMBER, o.value.to_string())
            })
            .collect(),
        FieldType::Enumeration(values) => values.iter().map(|v| item(&v.name, CompletionItemKind::ENUM_MEMBER, &v.label)).collect(),
        FieldType::Boolean { labels } => {
            let (no, yes) = labels.clone().unwrap_or_default();
            vec![item("true", CompletionItemKind::VALUE, yes), item("false", CompletionItemKind::VALUE, no)]
        }
        _ => Vec::new(),
    }
}

fn conditions(entry: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    let entry = &entry[comparison_start(entry)..];
    let end = entry
        .iter()
        .position(|w| !(*w == "." || w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '`')))
        .unwrap_or(entry.len());
    let table = tables.source;
    match entry {
        [] => {
            let mut all = fields(&[], table, |f| f.readable);
            all.extend(words(&["not"]));
            all.extend([snippet("all", "all { $0 }", "every condition"), snippet("any", "any { $0 }", "one condition")]);
            all
        }
        [.., "."] => fields(entry, table, |f| f.readable),
        [.., "is"] => words(&["present", "empty"]),
        [.., "starts" | "ends"] => words(&["with"]),
        [.., "changed"] => words(&["within"]),
        [name, rest @ ..] => {
            let field = table.and_then(|t| t.field(&dotted(&entry[..end.max(1)])).or_else(|| t.field(&[name.trim_matches('`')])));
            let Some(field) = field else { return Vec::new() };
            if rest.is_empty() {
                return operators(field);
            }
            if is_complete(rest) {
                return words(&["and", "or"]);
            }
            let dates = matches!(field.ty, FieldType::Date | FieldType::DateTime);
            let mut all = field_values(field);
            if dates {
                all.extend(words(&["now", "today"]));
            }
            if matches!(rest, ["=" | "!=" | "<" | "<=" | ">" | ">="]) {
                let alike = |other: &Field| std::mem::discriminant(&other.ty) == std::mem::discriminant(&field.ty) && other.readable;
                all.extend(fields(&[], table, |other| alike(other) && other.name != field.name));
            }
            all
        }
    }
}

/// Where the comparison begins that is being typed: behind the last `and`, `or`, `not` or parenthesis. The `and` of `between` and the
/// parentheses of a list are part of one.
fn comparison_start(entry: &[&str]) -> usize {
    let (mut start, mut between) = (0, false);
    for (at, word) in entry.iter().enumerate() {
        match *word {
            "between" => between = true,
            "and" if between => between = false,
            "and" | "or" | "not" => (start, between) = (at + 1, false),
            "(" if at == 0 || entry[at - 1] != "in" => (start, between) = (at + 1, false),
            _ => {}
        }
    }
    start
}

/// Whether what is behind a field is a whole comparison.
fn is_complete(rest: &[&str]) -> bool {
    matches!(
        rest,
        ["is", "present" | "empty"]
            | ["=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "matches", _]
            | ["starts" | "ends", "with", _]
            | ["changed", "within", _]
            | ["between", _, "and", _]
            | ["in", "(", .., ")"]
    )
}

/// A line of a `case`: a condition, then what the field gets.
fn branches(entry: &[&str], last: &str, tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    let Some(arrow) = entry.iter().position(|w| *w == "=>") else {
        let mut all = conditions(entry, tables);
        if entry.is_empty() {
            all.extend(words(&["else"]));
        }
        return all;
    };
    let result = &entry[arrow + 1..];
    let mut all = entries(result, last, tables, group);
    if result.is_empty() {
        all.retain(|item| !matches!(item.label.as_str(), "key" | "replace" | "filter" | "options" | "when"));
        all.extend(words(&["null", "reject"]));
    }
    all
}

fn operators(field: &Field) -> Vec<CompletionItem> {
    let mut all = vec!["=", "!=", "is present", "is empty", "in ("];
    match field.ty {
        FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::Double | FieldType::LocalDateTime => {
            all.extend(["<", "<=", ">", ">=", "between"]);
        }
        FieldType::Date | FieldType::DateTime => all.extend(["<", "<=", ">", ">=", "between", "changed within"]),
        FieldType::Text { .. } => all.extend(["contains", "starts with", "ends with", "matches"]),
        FieldType::MultiChoice(_) => all = vec!["contains", "is present", "is empty"],
        _ => {}
    }
    all.into_iter().map(|o| item(o, CompletionItemKind::OPERATOR, "")).collect()
}

/// A case of a replacement of a field. `target`: the path of the field that it is for, if the same entry says so.
fn arms(entry: &[&str], field: Option<&str>, target: Option<&[&str]>, tables: &Tables<'_>) -> Vec<CompletionItem> {
    let name = field.unwrap_or_default().trim_matches('`');
    match entry {
        [] => {
            let field = tables.source.and_then(|t| t.field(&[name]));
            let mut all = field.map(field_values).unwrap_or_default();
            all.extend(words(&["null", "else"]));
            // A case can also compare; `=` and questions for a value have other forms here.
            let compares = |item: &CompletionItem| !matches!(item.label.as_str(), "=" | "is present" | "is empty" | "changed within");
            all.extend(field.map(operators).unwrap_or_default().into_iter().filter(compares));
            all
        }
        [.., "=>" | "<=>"] => {
            // What the target of the field admits, where an entry says which that is.
            let here = target;
            let target = tables.mapping.into_iter().flat_map(Mapping::fields).find_map(|f| match &f.source {
                Source::Field(path) if path.text() == name => Some(&f.target),
                Source::Field(_) | Source::Literal(_) | Source::Template(_) | Source::Call(_) | Source::Case(_) | Source::Formula(_) => {
                    None
                }
            });
            let names = here.map(dotted).or_else(|| target.map(|path| path.names()));
            let mut all = names.and_then(|names| tables.target?.field(&names)).map(field_values).unwrap_or_default();
            all.extend(words(&["keep", "null", "reject"]));
            all
        }
        _ => Vec::new(),
    }
}

fn entries(entry: &[&str], last: &str, tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    let arrow = entry.iter().position(|w| matches!(*w, "->" | "<-" | "<->"));
    let piped = entry.contains(&"|");
    if let [keyword @ ("link" | "rows"), words @ ..] = entry
        && tables.two_way()
    {
        return linked_header(keyword, words, tables, group);
    }
    let shared = || {
        let names = group.files.iter().flat_map(|f| &f.tree.tables);
        names.map(|t| item(&t.name.text, CompletionItemKind::ENUM, "shared replacement")).collect::<Vec<_>>()
    };
    match entry {
        [] => {
            let mut all = fields(&[], tables.source, |f| f.readable || (tables.two_way() && f.creatable));
            all.extend(words(&["key"]));
            all.extend([
                snippet("replace", "replace ${1:field} {\n  $0\n}", "what each value becomes"),
                snippet("filter", "filter ${1|all,any|} {\n  $0\n}", "which records go"),
                snippet("options", "options {\n  $0\n}", "deletes, filtered and rejected records"),
                snippet(
                    "case",
                    "case {\n  ${1:condition} => ${2:result}\n  else => null\n} -> $0",
                    "the first condition that holds decides",
                ),
                snippet("=", "= $0 ->", "a formula"),
                snippet("when", "when ${1:condition} {\n  $2\n} else {\n  $0\n}", "field mappings for some records"),
            ]);
            if tables.two_way() {
                all.extend([
                    snippet(
                        "link",
                        "link ${1:lookup}: d365.${2:account} by ${3:name} or create {\n  $0\n}",
                        "the record that a lookup leads to",
                    ),
                    snippet("rows", "rows ${1:list}: d365.${2:table} by ${3:lookup} {\n  key id <-> $0\n}", "the items of a list, as rows"),
                ]);
            }
            all.extend(FUNCTIONS.iter().map(|f| snippet(f.name, &format!("{}($0)", f.name), f.summary)));
            all.extend(constants(group));
            all
        }
        ["key"] => {
            let own = tables.source.map(|t| item(&t.primary_key, CompletionItemKind::FIELD, "primary key"));
            let others = tables.source.into_iter().flat_map(|t| &t.alternate_keys).filter(|key| key.fields.len() == 1);
            own.into_iter().chain(others.map(|key| item(&key.fields[0], CompletionItemKind::FIELD, "alternate key"))).collect()
        }
        ["key", .., "->" | "<->"] => {
            let keys = tables.target.into_iter().flat_map(|t| &t.alternate_keys).flat_map(|k| &k.fields);
            keys.map(|f| item(f, CompletionItemKind::FIELD, "identifies a record")).collect()
        }
        ["replace"] => fields(&[], tables.source, |f| f.readable),
        ["replace", .., "with"] => shared(),
        ["replace", _] => words(&["with"]),
        ["filter"] => words(&["all", "any"]),
        ["when", condition @ ..] => conditions(condition, tables),
        ["=", calculation @ ..] if arrow.is_none() && !piped => formula(calculation, tables, group),
        [.., "|"] => steps(),
        [.., "link"] if piped => {
            let heads = group.files.iter().flat_map(|f| &f.tree.mappings).filter_map(|m| m.head.as_ref());
            heads.map(|h| item(&h.name.text, CompletionItemKind::CLASS, "mapping")).collect()
        }
        [.., "map"] if piped => shared(),
        // What a function gives that finds no row.
        [.., ")", "or"] if !piped => outcomes(false),
        [.., "lookup"] if piped => tables_of_files(group),
        [.., "lookup", "("] => tables_of_files(group),
        [.., "lookup", table, "."] | [.., "lookup", "(", table, "."] => columns(table, group),
        [.., "or"] if piped => {
            let later = item("later", CompletionItemKind::VALUE, "of a link: it is written when the other record is there");
            outcomes(true).into_iter().chain([later]).collect()
        }
        [.., "@"] => words(&["initial", "present"]),
        _ if last == "(" || last == "," => fields(&[], tables.source, |f| f.readable),
        _ => match arrow {
            Some(at) if !piped && entry[at] == "<-" => {
                let mut all = fields(&entry[at + 1..], tables.target, |f| f.readable);
                if at + 1 == entry.len() {
                    all.push(snippet("text", "\"$0\"", "a fixed value"));
                }
                all
            }
            Some(at) if !piped => fields(&entry[at + 1..], tables.target, |f| f.creatable || f.updatable),
            Some(_) => words(&["or"]),
            None if last == "." => fields(entry, tables.source, |f| f.readable),
            None => Vec::new(),
        },
    }
}

/// The words before the brace of a block of linked records: `link COLUMN: TABLE by COLUMNS or create`, `rows LIST: TABLE by LOOKUP`.
fn linked_header(keyword: &str, entry: &[&str], tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    let (path, table) = linked(entry, group);
    let record = keyword == "link";
    let lookup = |f: &Field| matches!(f.ty, FieldType::Lookup { .. });
    let after = entry.get(path.len() + 1..).unwrap_or_default();
    match after {
        _ if path.len() == entry.len() && record => fields(path, tables.target, |f| lookup(f) && f.readable),
        _ if path.len() == entry.len() => {
            fields(path, tables.source, |f| matches!(f.ty, FieldType::Item(_) | FieldType::Collection { .. }))
        }
        [] => vec![item(SystemId::D365.name(), CompletionItemKind::MODULE, "")],
        [system, "."] => {
            let of_system = group.catalogue.tables().filter(|t| t.id.system.name() == *system);
            of_system.map(|t| item(&t.id.name, CompletionItemKind::STRUCT, &t.label)).collect()
        }
        [_, ".", _] => words(&["by"]),
        [.., "or"] if record => vec![
            item("create", CompletionItemKind::VALUE, "the record is created"),
            item("null", CompletionItemKind::VALUE, "the lookup stays as it is"),
            item("reject", CompletionItemKind::VALUE, "the deal becomes a dead letter"),
        ],
        [.., "by" | ","] => fields(&[], table, |f| f.readable && (record || lookup(f))),
        [_, ".", _, "by", ..] if record => words(&["or"]),
        _ => Vec::new(),
    }
}

fn steps() -> Vec<CompletionItem> {
    STEPS
        .iter()
        .map(|step| {
            let usage = step.usage.split(", or ").next().unwrap_or(step.usage);
            CompletionItem {
                insert_text: Some(usage.to_owned()),
                documentation: Some(Documentation::MarkupContent(MarkupContent {
                    kind: MarkupKind::Markdown,
                    value: super::hover::of_step(step.name).unwrap_or_default(),
                })),
                ..item(step.name, CompletionItemKind::FUNCTION, step.summary)
            }
        })
        .collect()
}
