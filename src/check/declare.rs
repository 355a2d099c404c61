//! Declarations: `let`, `include` and shared tables are replaced with what they declare before anything is checked.
//!
//! A name declared in a file is known there and in every file that includes it directly. So a constant is a literal, and a
//! shared table a list of arms, to all the rules that come later; their spans point at the use for a constant, and at the
//! arm of the shared table for a replacement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Context;
use crate::diagnostics::{Code, Diagnostic, FileId, Safety, Span, near};
use crate::schema::{SystemId, Table, TableId};
use crate::syntax::ast::{
    Argument, Arm, ArmFrom, Assigned, Assignment, Call, Clause, Condition, ConditionKind, Entry, Expectation, ExpressionKind, FieldMapping,
    File, Group, Ident, Literal, LiteralValue, Moment, MomentBase, Operand, Or, OrKind, Path, Source, Step, TableName, TemplatePart, Test,
    Value,
};
use crate::syntax::{TokenKind, tokens};

/// A parsed file with its id.
pub(super) struct Parsed {
    pub(super) id: FileId,
    pub(super) file: File,
}

/// The names that one file declares.
#[derive(Default)]
struct Declared {
    constants: BTreeMap<String, (Literal, Span)>,
    tables: BTreeMap<String, (Vec<Arm>, bool, Span)>,
    /// Tables of files, by their numbers in the list of all files.
    lookups: BTreeMap<String, (usize, Span)>,
}

/// What of the declarations was used: (file, name), files by their place in the list.
#[derive(Default)]
struct Used {
    constants: BTreeSet<(usize, String)>,
    tables: BTreeSet<(usize, String)>,
    /// Which file uses names of which.
    between: BTreeSet<(usize, usize)>,
}

/// The path that an `include` in a file names, relative to where that file's own name is relative to; `None` if it leads
/// out of the top folder.
pub fn included_name(including: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = including.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The paths that a file includes, as they are written in it, whatever else is wrong with it.
pub fn included_paths(text: &str) -> Vec<String> {
    // Most files include nothing, and splitting a large file into tokens takes seconds.
    if !text.contains("include") {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut paths = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let first = i == 0 || tokens[i - 1].kind == TokenKind::Newline || tokens[i - 1].text(text) == ";";
        if first
            && token.text(text) == "include"
            && let Some(path) = tokens.get(i + 1).filter(|t| t.kind == TokenKind::Text)
        {
            paths.push(path.text(text).trim_matches('"').to_owned());
        }
    }
    paths
}

/// The paths of the files that tables are read from, as they are written in a file, whatever else is wrong with it.
pub fn table_paths(text: &str) -> Vec<String> {
    let declares = |line: &str| line.split(';').any(|item| item.trim_start_matches('\u{feff}').trim_start().starts_with("table"));
    if !text.lines().any(declares) {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut paths = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let first = i == 0 || matches!(tokens[i - 1].text(text), ";" | "}") || tokens[i - 1].kind == TokenKind::Newline;
        let word = |at: usize| tokens.get(i + at).map_or("", |t| t.text(text));
        if first
            && token.text(text) == "table"
            && word(2) == "from"
            && let Some(path) = tokens.get(i + 3).filter(|t| t.kind == TokenKind::Text)
        {
            paths.push(path.text(text).trim_matches('"').to_owned());
        }
    }
    paths
}

/// Replaces each use of a name with what it declares. An entry with a name that is not declared is reported and left out.
pub(super) fn resolve(files: &mut [Parsed], context: &mut Context<'_>) {
    let mut lookups = 0;
    let declared: Vec<Declared> = files.iter().map(|f| declarations(&f.file, &mut lookups, context)).collect();
    // What could not be read may declare or use a name.
    let unread: Vec<bool> = files.iter().map(|f| f.file.unread_items).collect();
    let all_read = !unread.contains(&true) && files.iter().all(|f| f.file.mappings.iter().all(|m| !m.unread_entries));
    let mut used = Used::default();
    for at in 0..files.len() {
        let (visible, includes) = visible(at, files, context);
        let scope = Scope { visible: &visible, declared: &declared, unread: &unread };
        let mut resolver = Resolver { at, scope: &scope, used: &mut used, context, reads: None };
        resolver.file(&mut files[at].file);
        unused_includes(at, &includes, &used, files, context);
    }
    for (at, names) in declared.iter().enumerate().filter(|_| all_read) {
        for (name, (_, span)) in &names.constants {
            if !used.constants.contains(&(at, name.clone())) {
                context.report(
                    Diagnostic::new(Code::D801, *span, format!("the constant `{name}` is never used"), "declared here")
                        .help(format!("use it as `${name}`, or remove the line")),
                );
            }
        }
        for (name, (_, _, span)) in &names.tables {
            if !used.tables.contains(&(at, name.clone())) {
                context.report(
                    Diagnostic::new(Code::D802, *span, format!("the replacement `{name}` is never used"), "declared here")
                        .help(format!("use it with `replace field with {name}` or `| map {name}`, or remove it")),
                );
            }
        }
    }
}

/// What a file declares. `lookups`: how many tables of files those before it declare.
fn declarations(file: &File, lookups: &mut usize, context: &mut Context<'_>) -> Declared {
    let mut declared = Declared::default();
    let mut twice = |name: &Ident, first: Span, what: &str| {
        context.report(
            Diagnostic::new(Code::D117, name.span, format!("two {what} are named `{}`", name.text), "the second one")
                .related(first, "the first one")
                .help("rename one of them"),
        );
    };
    for constant in &file.constants {
        match declared.constants.get(&constant.name.text) {
            Some((_, first)) => twice(&constant.name, *first, "constants"),
            None => {
                declared.constants.insert(constant.name.text.clone(), (constant.value.clone(), constant.name.span));
            }
        }
    }
    for table in &file.tables {
        match declared.tables.get(&table.name.text) {
            Some((_, _, first)) => twice(&table.name, *first, "replacements"),
            None => {
                declared.tables.insert(table.name.text.clone(), (table.arms.clone(), table.unread_arms, table.name.span));
            }
        }
    }
    for table in &file.lookups {
        match declared.lookups.get(&table.name.text) {
            Some((_, first)) => twice(&table.name, *first, "tables"),
            None => {
                declared.lookups.insert(table.name.text.clone(), (*lookups, table.name.span));
            }
        }
        *lookups += 1;
    }
    declared
}

/// The files whose names a file may use, itself first, and for each include its file and place.
fn visible(at: usize, files: &[Parsed], context: &mut Context<'_>) -> (Vec<usize>, Vec<(usize, Span)>) {
    let (mut visible, mut includes) = (vec![at], Vec::new());
    let name_of = |id: FileId| context.sources.get(id).map_or("", |f| f.name.as_str()).to_owned();
    let own = name_of(files[at].id);
    let names: Vec<String> = files.iter().map(|f| name_of(f.id)).collect();
    for include in &files[at].file.includes {
        let LiteralValue::Text(path) = &include.path.value else { continue };
        let wanted = included_name(&own, path);
        let Some(found) = names.iter().position(|n| Some(n) == wanted.as_ref()) else {
            let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
            let beside: Vec<&str> =
                names.iter().filter(|n| **n != own).map(|n| n.strip_prefix(folder).unwrap_or(n).trim_start_matches('/')).collect();
            let quoted = near(path, beside.iter().copied()).map(|n| n.written(|n| format!("\"{n}\"")));
            let diagnostic = Diagnostic::new(Code::D118, include.path.span, format!("there is no file \"{path}\""), "not found").meant(
                quoted,
                include.path.span,
                || "write the path relative to the folder of this file, with `/`: include \"shared/tables.d365map\"".to_owned(),
            );
            context.report(diagnostic);
            continue;
        };
        if found == at {
            context.report(
                Diagnostic::new(Code::D118, include.path.span, "this file includes itself", "the same file").help("remove the line"),
            );
            continue;
        }
        includes.push((found, include.span));
        visible.push(found);
    }
    (visible, includes)
}

fn unused_includes(at: usize, includes: &[(usize, Span)], used: &Used, files: &[Parsed], context: &mut Context<'_>) {
    let mut seen: BTreeMap<usize, Span> = BTreeMap::new();
    for (found, span) in includes {
        if let Some(first) = seen.insert(*found, *span) {
            context.report(
                Diagnostic::new(Code::D803, *span, "this file is included twice", "the second time")
                    .related(first, "the first time")
                    .help("remove one of the two"),
            );
            continue;
        }
        if !used.between.contains(&(at, *found)) && !files[at].file.unread_items && !files[*found].file.unread_items {
            context.report(
                Diagnostic::new(Code::D803, *span, "nothing of this file is used", "included without effect").help("remove the line"),
            );
        }
    }
}

struct Scope<'s> {
    visible: &'s [usize],
    declared: &'s [Declared],
    /// Which files have items that could not be read.
    unread: &'s [bool],
}

struct Resolver<'r, 'c, 'd> {
    /// The file, by its place in the list.
    at: usize,
    scope: &'r Scope<'r>,
    used: &'r mut Used,
    context: &'c mut Context<'d>,
    /// The table that the field mappings read.
    reads: Option<Arc<Table>>,
}

impl Resolver<'_, '_, '_> {
    fn file(&mut self, file: &mut File) {
        for mapping in &mut file.mappings {
            self.reads = mapping.head.as_ref().and_then(|head| self.table_of(&head.source));
            let mut entries = Vec::with_capacity(mapping.entries.len());
            for mut entry in std::mem::take(&mut mapping.entries) {
                let known = match &mut entry {
                    Entry::Field(field) => self.field(field),
                    Entry::Replace(replace) => {
                        let shared = match &replace.shared {
                            Some(name) => match self.table(&name.clone()) {
                                Some((arms, unread)) => {
                                    (replace.arms, replace.unread_arms) = (arms, unread);
                                    true
                                }
                                None => {
                                    // The field is taken to be replaced, by something that is not known.
                                    replace.unread_arms = true;
                                    true
                                }
                            },
                            None => true,
                        };
                        replace.unread_arms |= !self.arms(&mut replace.arms);
                        shared
                    }
                    Entry::Filter(filter) => self.group(&mut filter.group),
                    Entry::Linked(linked) => {
                        let count = linked.fields.len();
                        let reads = self.reads.take();
                        linked.fields.retain_mut(|field| self.field(field));
                        self.reads = reads;
                        linked.unread |= linked.fields.len() < count;
                        true
                    }
                    Entry::When(when) => {
                        for block in &mut when.blocks {
                            if let Some(condition) = &mut block.condition {
                                block.unread_fields |= !self.condition(condition);
                            }
                            let all = block.fields.len();
                            block.fields =
                                std::mem::take(&mut block.fields).into_iter().filter_map(|mut f| self.field(&mut f).then_some(f)).collect();
                            block.unread_fields |= block.fields.len() < all;
                        }
                        true
                    }
                    Entry::Key(_) | Entry::Adopt(_) | Entry::Options(_) => true,
                };
                if known {
                    entries.push(entry);
                } else {
                    mapping.unread_entries = true;
                }
            }
            mapping.entries = entries;
        }
        self.reads = None;
        for cases in file.optouts.iter_mut().flat_map(|block| &mut block.pairs).filter_map(|pair| pair.cases.as_mut()) {
            cases.unread |= !self.arms(&mut cases.arms);
        }
        for block in &mut file.events {
            block.fields = std::mem::take(&mut block.fields).into_iter().filter_map(|mut f| self.field(&mut f).then_some(f)).collect();
        }
        for test in &mut file.tests {
            for clause in &mut test.clauses {
                let values = match clause {
                    Clause::Given { values, .. } | Clause::Expect { kind: Expectation::Mapped(values), .. } => values,
                    Clause::Clock { at, .. } => {
                        test.unread |= !self.literal(at);
                        continue;
                    }
                    Clause::Expect { .. } => continue,
                };
                test.unread |= !self.assignments(values);
            }
        }
    }

    /// Resolves the constants of a test; `false` if one cannot be.
    fn assignments(&mut self, values: &mut [Assignment]) -> bool {
        let mut complete = true;
        for assignment in values {
            complete &= match &mut assignment.value {
                Assigned::Value(value) => self.value(value),
                Assigned::Absent => true,
                Assigned::Item(values) => self.assignments(values),
            };
        }
        complete
    }

    /// The cases of a shared table, with the constants of its file resolved.
    fn table(&mut self, name: &Ident) -> Option<(Vec<Arm>, bool)> {
        let declared = self.scope.declared;
        for file in self.scope.visible {
            if let Some((arms, unread, _)) = declared[*file].tables.get(&name.text) {
                self.used.tables.insert((*file, name.text.clone()));
                self.used.between.insert((self.at, *file));
                let mut arms = arms.clone();
                let scope = Scope { visible: &[*file], declared, unread: self.scope.unread };
                let known = Resolver { at: *file, scope: &scope, used: self.used, context: self.context, reads: None }.arms(&mut arms);
                return Some((arms, *unread || !known));
            }
        }
        let known = self.scope.visible.iter().flat_map(|f| declared[*f].tables.keys()).map(String::as_str);
        let near = near(&name.text, known);
        let diagnostic = Diagnostic::new(Code::D116, name.span, format!("there is no shared replacement `{}`", name.text), "not declared")
            .meant(near, name.span, || {
                format!("declare it outside of mappings: `replace {} {{ value => value }}`, here or in a file that is included", name.text)
            });
        self.context.report(diagnostic);
        None
    }

    /// The number of the table that `TABLE.COLUMN` names.
    fn lookup(&mut self, path: &Path) -> Option<usize> {
        let name = path.parts.first()?;
        let declared = self.scope.declared;
        let found = self.scope.visible.iter().find_map(|file| declared[*file].lookups.get(&name.text).map(|(number, _)| (*file, *number)));
        let Some((file, number)) = found else {
            let known = self.scope.visible.iter().flat_map(|f| declared[*f].lookups.keys()).map(String::as_str);
            let near = near(&name.text, known);
            let diagnostic = Diagnostic::new(Code::D116, name.span, format!("there is no table `{}`", name.text), "not declared").meant(
                near,
                name.span,
                || format!("declare it outside of mappings: `table {0} from \"tables/{0}.csv\" {{ key code }}`, here or in a file that is included", name.text),
            );
            self.context.report(diagnostic);
            return None;
        };
        self.used.between.insert((self.at, file));
        self.context.tables.note_use(number);
        if path.parts.len() != 2 {
            let example = self.context.tables.example(number).unwrap_or_else(|| format!("{}.column", name.text));
            self.context.report(
                Diagnostic::new(
                    Code::D323,
                    path.span,
                    format!("this does not name a column of the table `{}`", name.text),
                    "expected TABLE.COLUMN",
                )
                .help(format!("write the table and one column of it: `{example}`")),
            );
            return None;
        }
        Some(number)
    }

    fn field(&mut self, field: &mut FieldMapping) -> bool {
        let mut known = self.source(&mut field.source) && !self.without_dollar(field);
        for step in &mut field.steps {
            known &= self.step(step);
        }
        known
    }

    fn table_of(&self, name: &TableName) -> Option<Arc<Table>> {
        let system = SystemId::from_name(&name.system.text)?;
        self.context.catalogue.get(&TableId::new(system, name.table.text.clone())).cloned()
    }

    /// Reports a constant without its `$`, if the table has no field of that name. Whether it was reported.
    fn without_dollar(&mut self, field: &FieldMapping) -> bool {
        let (Source::Field(path), Some(table)) = (&field.source, &self.reads) else { return false };
        let name = path.text();
        let declared = self.scope.declared;
        let constant = |file: &&usize| declared[**file].constants.contains_key(&name);
        let Some(file) = self.scope.visible.iter().find(constant).filter(|_| table.field(&path.names()).is_none()) else { return false };
        self.used.constants.insert((*file, name.clone()));
        self.used.between.insert((self.at, *file));
        let rest = self.context.text(Span::new(path.span.file, path.span.range().end..field.span.range().end));
        let diagnostic = Diagnostic::new(Code::D103, path.span, format!("`{}` has no field `{name}`", table.id), "a constant without `$`")
            .help(format!("write `${name}{}`", rest.lines().next().unwrap_or_default()))
            .fix(Safety::Unsafe, format!("write `${name}`"), path.span, format!("${name}"));
        self.context.report(diagnostic);
        true
    }

    fn source(&mut self, source: &mut Source) -> bool {
        match source {
            Source::Field(_) => true,
            Source::Literal(literal) => self.literal(literal),
            Source::Template(template) => {
                let mut known = true;
                for part in &mut template.parts {
                    if let TemplatePart::Constant(literal) = part {
                        known &= self.literal(literal);
                    }
                }
                known
            }
            Source::Call(call) => self.call(call),
            Source::Case(case) => {
                for mut branch in std::mem::take(&mut case.branches) {
                    let mut known = branch.condition.as_mut().is_none_or(|condition| self.condition(condition));
                    known &= self.source(&mut branch.result);
                    for step in &mut branch.steps {
                        known &= self.step(step);
                    }
                    if known {
                        case.branches.push(branch);
                    } else {
                        case.unread_branches = true;
                    }
                }
                true
            }
            Source::Formula(formula) => {
                let mut known = true;
                formula.root.each_mut(&mut |part| match part {
                    ExpressionKind::Number(literal) => known &= self.literal(literal),
                    ExpressionKind::Lookup(call) => known &= self.call(call),
                    ExpressionKind::Field(_) | ExpressionKind::Negate(_) | ExpressionKind::Chain(..) | ExpressionKind::Call(..) => {}
                });
                self.or(formula.or.as_mut()) && known
            }
        }
    }

    /// A function, with the table of a lookup.
    fn call(&mut self, call: &mut Call) -> bool {
        let mut known = self.arguments(&mut call.arguments);
        if let (true, Some(Argument::Path(column))) = (call.name.text == "lookup", call.arguments.first()) {
            call.table = self.lookup(&column.clone());
            known &= call.table.is_some();
        }
        self.or(call.or.as_mut()) && known
    }

    fn step(&mut self, step: &mut Step) -> bool {
        let mut known = step.arguments.as_mut().is_none_or(|a| self.arguments(a));
        if let Some(Operand::Shared(name)) = &step.operand {
            match self.table(&name.clone()) {
                Some((arms, unread_arms)) => step.operand = Some(Operand::Table { span: name.span, arms, unread_arms }),
                None => known = false,
            }
        } else if let Some(Operand::Table { arms, unread_arms, .. }) = &mut step.operand {
            *unread_arms |= !self.arms(arms);
        } else if let Some(Operand::Lookup { column, table }) = &mut step.operand {
            *table = self.lookup(column);
            known &= table.is_some();
        }
        self.or(step.or.as_mut()) && known
    }

    /// What happens if something fails.
    fn or(&mut self, or: Option<&mut Or>) -> bool {
        match or.map(|or| &mut or.kind) {
            Some(OrKind::Default(literal)) => self.literal(literal),
            Some(OrKind::Null | OrKind::Keep | OrKind::Reject | OrKind::Later) | None => true,
        }
    }

    fn arguments(&mut self, arguments: &mut [Argument]) -> bool {
        arguments.iter_mut().fold(true, |known, argument| match argument {
            Argument::Literal(literal) => self.literal(literal) && known,
            Argument::Piped(_, steps) => steps.iter_mut().fold(known, |known, step| self.step(step) && known),
            Argument::Path(_) | Argument::Period(_) => known,
        })
    }

    fn arms(&mut self, arms: &mut [Arm]) -> bool {
        let mut known = true;
        for arm in arms {
            known &= match &mut arm.from {
                Some(ArmFrom::Value(value)) => self.value(value),
                Some(ArmFrom::Test { test, .. }) => self.test(test),
                None => true,
            };
            known &= self.value(&mut arm.to);
        }
        known
    }

    fn value(&mut self, value: &mut Value) -> bool {
        match value {
            Value::Literal(literal) => self.literal(literal),
            Value::Word(_) => true,
            Value::Moment(Moment { base, .. }) => match base {
                MomentBase::Fixed(literal) => self.literal(literal),
                MomentBase::Now | MomentBase::Today => true,
            },
        }
    }

    fn group(&mut self, group: &mut Group) -> bool {
        let mut conditions = Vec::with_capacity(group.conditions.len());
        for mut condition in std::mem::take(&mut group.conditions) {
            if self.condition(&mut condition) {
                conditions.push(condition);
            } else {
                group.unread_conditions = true;
            }
        }
        group.conditions = conditions;
        true
    }

    fn condition(&mut self, condition: &mut Condition) -> bool {
        match &mut condition.kind {
            ConditionKind::Group(group) => self.group(group),
            ConditionKind::Test { test, .. } => self.test(test),
        }
    }

    fn test(&mut self, test: &mut Test) -> bool {
        match test {
            Test::Present | Test::Empty | Test::Matches(_) => true,
            Test::Relation(_, value) | Test::Text(_, value) => self.value(value),
            Test::Within(literal) => self.literal(literal),
            Test::In(values) => {
                // Every value is looked at, so that all unknown names are reported.
                let unknown = values.iter_mut().filter_map(|v| (!self.value(v)).then_some(())).count();
                unknown == 0
            }
            Test::Between(low, high) => {
                let low = self.value(low);
                self.value(high) && low
            }
        }
    }

    fn literal(&mut self, literal: &mut Literal) -> bool {
        let LiteralValue::Constant(name) = &literal.value else { return true };
        for file in self.scope.visible {
            if let Some((value, _)) = self.scope.declared[*file].constants.get(name) {
                self.used.constants.insert((*file, name.clone()));
                self.used.between.insert((self.at, *file));
                if let LiteralValue::Constant(_) = value.value {
                    self.context.report(
                        Diagnostic::new(Code::D116, literal.span, format!("the value of `${name}` is another constant"), "not a literal")
                            .related(value.span, "declared by another constant")
                            .help("the value of a constant must be a literal: `let name = \"value\"`"),
                    );
                    return false;
                }
                literal.value = value.value.clone();
                return true;
            }
        }
        if self.scope.visible.iter().any(|file| self.scope.unread[*file]) {
            return false;
        }
        let known = self.scope.visible.iter().flat_map(|f| self.scope.declared[*f].constants.keys()).map(String::as_str);
        let near = near(name, known).map(|n| n.written(|n| format!("${n}")));
        let diagnostic = Diagnostic::new(Code::D116, literal.span, format!("there is no constant `${name}`"), "not declared").meant(
            near,
            literal.span,
            || format!("declare it outside of mappings: `let {name} = \"value\"`, here or in a file that is included"),
        );
        self.context.report(diagnostic);
        false
    }
}
