//! What each name in a file stands for.

use super::group::Group;
use crate::diagnostics::Span;
use crate::schema::{Catalogue, Field, FieldType, Leads, SystemId, Table, TableId};
use crate::syntax::ast::{
    self, Argument, Arm, ArmFrom, Assigned, Assignment, Clause, Condition, ConditionKind, Entry, Expectation, ExpressionKind, FieldMapping,
    File, Group as Conditions, Ident, Linked, LinkedKind, Literal, LiteralValue, Mapping, Operand, OptoutTarget, Or, OrKind, Path, Source,
    Step, TableName, TemplatePart, Test, Value, Way,
};

/// The marks of every file, by its number.
pub fn all_marks(group: &Group) -> Vec<Vec<Mark>> {
    let mappings: Vec<&Mapping> = group.files.iter().flat_map(|f| &f.tree.mappings).collect();
    group.files.iter().map(|f| marks(&f.tree, &mappings, &group.catalogue)).collect()
}

/// The mark under the cursor: the narrowest that holds the byte or ends at it.
pub fn mark_at(marks: &[Mark], offset: usize) -> Option<&Mark> {
    let holds = |m: &&Mark| m.span.range().start <= offset && offset <= m.span.range().end;
    marks.iter().filter(holds).min_by_key(|m| m.span.range().len())
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Mapping(String),
    Constant(String),
    Shared(String),
    Table(TableId),
    /// A field of a table, by its dotted name.
    Field(TableId, String),
    Step(String),
    /// A table of a file.
    Rows(String),
    /// A column of such a table.
    Column(String, String),
}

/// A name at a place.
#[derive(Clone, Debug)]
pub struct Mark {
    pub span: Span,
    pub name: Name,
    /// Whether the name is declared here. For a field: whether this is its replacement.
    pub declares: bool,
}

/// The tables of a mapping.
#[derive(Clone)]
pub struct Sides<'c> {
    pub source: Option<&'c Table>,
    pub target: Option<&'c Table>,
}

impl<'c> Sides<'c> {
    /// The table of a system; `otherwise` if none is named.
    pub fn of(&self, system: Option<&str>, otherwise: Option<&'c Table>) -> Option<&'c Table> {
        let Some(system) = system else { return otherwise };
        [self.source, self.target].into_iter().flatten().find(|table| table.id.system.name() == system)
    }
}

pub fn table<'c>(name: &TableName, catalogue: &'c Catalogue) -> Option<&'c Table> {
    catalogue.get(&id(name)?).map(AsRef::as_ref)
}

fn id(name: &TableName) -> Option<TableId> {
    Some(TableId::new(SystemId::from_name(&name.system.text)?, name.table.text.clone()))
}

pub fn sides<'c>(mapping: &Mapping, catalogue: &'c Catalogue) -> Sides<'c> {
    let head = mapping.head.as_ref();
    Sides { source: head.and_then(|h| table(&h.source, catalogue)), target: head.and_then(|h| table(&h.target, catalogue)) }
}

/// The tables between which the lines of a block of linked records go.
pub fn linked_sides<'c>(linked: &Linked, outer: &Sides<'c>, catalogue: &'c Catalogue) -> Sides<'c> {
    let source = match linked.kind {
        LinkedKind::Record => outer.source,
        LinkedKind::Rows => outer.source.and_then(|source| catalogue.items(source, &linked.path.names()).map(AsRef::as_ref)),
    };
    Sides { source, target: table(&linked.table, catalogue) }
}

/// The field at a path.
pub fn field<'c>(table: Option<&'c Table>, path: &Path) -> Option<&'c Field> {
    table?.field(&path.names())
}

struct Walk<'c, 'm> {
    catalogue: &'c Catalogue,
    /// The mappings of all files, for blocks that name one.
    mappings: &'m [&'m Mapping],
    marks: Vec<Mark>,
}

/// Every name in a file, in no order.
pub fn marks(file: &File, mappings: &[&Mapping], catalogue: &Catalogue) -> Vec<Mark> {
    let mut walk = Walk { catalogue, mappings, marks: Vec::new() };
    for mapping in &file.mappings {
        walk.mapping(mapping);
    }
    for constant in &file.constants {
        walk.add(constant.name.span, Name::Constant(constant.name.text.clone()), true);
    }
    for shared in &file.tables {
        walk.add(shared.name.span, Name::Shared(shared.name.text.clone()), true);
        walk.arms(&shared.arms);
    }
    for table in &file.lookups {
        walk.add(table.name.span, Name::Rows(table.name.text.clone()), true);
        for column in table.keys.iter().flat_map(|key| &key.columns) {
            walk.add(column.span, Name::Column(table.name.text.clone(), column.text.clone()), false);
        }
    }
    for block in &file.optouts {
        walk.refer(&block.mapping, Name::Mapping);
        let sides = walk.sides_of(&block.mapping.text);
        for pair in &block.pairs {
            walk.path(&pair.source, sides.source);
            if let OptoutTarget::Attribute(path) = &pair.target {
                walk.path(path, sides.target);
            }
            walk.arms(pair.cases.as_ref().map_or(&[], |cases| &cases.arms));
        }
    }
    for block in &file.events {
        walk.add(block.name.span, Name::Mapping(block.name.text.clone()), true);
        walk.table(&block.target);
    }
    for block in &file.tests {
        walk.refer(&block.mapping, Name::Mapping);
        let sides = walk.sides_of(&block.mapping.text);
        for clause in &block.clauses {
            let (values, side) = match clause {
                Clause::Given { values, system, .. } => (values, sides.of(system.as_ref().map(|s| s.text.as_str()), sides.source)),
                Clause::Expect { kind: Expectation::Mapped(values), system, .. } => {
                    (values, sides.of(system.as_ref().map(|s| s.text.as_str()), sides.target))
                }
                Clause::Expect { .. } | Clause::Clock { .. } => continue,
            };
            walk.assignments(values, side);
        }
    }
    walk.marks
}

impl<'c> Walk<'c, '_> {
    fn add(&mut self, span: Span, name: Name, declares: bool) {
        self.marks.push(Mark { span, name, declares });
    }

    /// What a test gives or expects of a record of a table.
    fn assignments(&mut self, values: &[Assignment], table: Option<&'c Table>) {
        for assignment in values {
            match &assignment.value {
                Assigned::Value(value) => {
                    self.path(&assignment.field, table);
                    self.value(value);
                }
                Assigned::Absent => self.path(&assignment.field, table),
                Assigned::Item(values) => {
                    let names = assignment.field.names();
                    let list = table.filter(|table| table.field(&names).is_some());
                    self.path(&assignment.field, list);
                    let of_list = list.and_then(|table| self.catalogue.items(table, &names));
                    // Rows are named by their table.
                    let of_rows = || self.catalogue.get(&TableId::new(table?.id.system, names.first().copied()?));
                    let items = of_list.or_else(of_rows).map(AsRef::as_ref);
                    self.assignments(values, items);
                }
            }
        }
    }

    fn refer(&mut self, ident: &Ident, name: fn(String) -> Name) {
        self.add(ident.span, name(ident.text.clone()), false);
    }

    fn sides_of(&self, name: &str) -> Sides<'c> {
        let mapping = self.mappings.iter().find(|m| m.head.as_ref().is_some_and(|h| h.name.text == name));
        mapping.map_or(Sides { source: None, target: None }, |m| sides(m, self.catalogue))
    }

    fn table(&mut self, name: &TableName) {
        if let Some(id) = id(name).filter(|i| self.catalogue.get(i).is_some()) {
            self.add(name.span, Name::Table(id), false);
        }
    }

    fn path(&mut self, path: &Path, table: Option<&Table>) {
        let Some(table) = table else { return };
        if table.field(&path.names()).is_some() {
            self.add(path.span, Name::Field(table.id.clone(), path.text()), false);
        } else {
            self.through(path, table);
        }
    }

    /// The names of a path that leads through lookups, as far as they are known.
    fn through(&mut self, path: &Path, table: &Table) {
        let mut names: Vec<&str> = Vec::new();
        // Where the names before this one lead.
        let mut before = Some(Leads::Table(table));
        for part in &path.parts {
            let name = part.text.as_str();
            match before {
                Some(Leads::Table(table)) if table.field(&[name]).is_some() => {
                    self.add(part.span, Name::Field(table.id.clone(), name.to_owned()), false);
                }
                Some(Leads::OneOf(targets)) if targets.iter().any(|target| target.table == name) => {
                    self.add(part.span, Name::Table(TableId::new(SystemId::D365, name)), false);
                }
                _ => return,
            }
            names.push(name);
            before = self.catalogue.leads(table, &names);
        }
    }

    fn mapping(&mut self, mapping: &Mapping) {
        let Some(head) = &mapping.head else { return };
        self.add(head.name.span, Name::Mapping(head.name.text.clone()), true);
        self.table(&head.source);
        self.table(&head.target);
        let sides = sides(mapping, self.catalogue);
        for entry in &mapping.entries {
            match entry {
                Entry::Key(key) => {
                    self.path(&key.source, sides.source);
                    self.path(&key.target, sides.target);
                }
                Entry::Adopt(adopt) => adopt.fields.iter().for_each(|field| self.path(field, sides.target)),
                Entry::Field(field) => self.field(field, &sides),
                Entry::Replace(replace) => {
                    match sides.source.filter(|t| t.field(&replace.field.names()).is_some()) {
                        Some(table) => self.add(replace.field.span, Name::Field(table.id.clone(), replace.field.text()), true),
                        None => self.path(&replace.field, sides.source),
                    }
                    if let Some(shared) = &replace.shared {
                        self.refer(shared, Name::Shared);
                    }
                    self.arms(&replace.arms);
                }
                Entry::Filter(filter) => self.conditions(&filter.group, sides.source),
                Entry::Linked(linked) => self.linked(linked, &sides),
                Entry::Options(_) => {}
                Entry::When(when) => {
                    for block in &when.blocks {
                        if let Some(condition) = &block.condition {
                            self.condition(condition, sides.source);
                        }
                        block.fields.iter().for_each(|field| self.field(field, &sides));
                    }
                }
            }
        }
    }

    fn linked(&mut self, linked: &Linked, sides: &Sides<'c>) {
        self.table(&linked.table);
        let inner = linked_sides(linked, sides, self.catalogue);
        match linked.kind {
            LinkedKind::Record => self.path(&linked.path, sides.target),
            LinkedKind::Rows => self.path(&linked.path, sides.source),
        }
        linked.by.iter().for_each(|column| self.path(column, inner.target));
        for key in &linked.keys {
            self.path(&key.source, inner.source);
            self.path(&key.target, inner.target);
        }
        linked.fields.iter().for_each(|field| self.field(field, &inner));
    }

    fn field(&mut self, field: &FieldMapping, sides: &Sides<'c>) {
        let (read, written) = if field.turned { (sides.target, sides.source) } else { (sides.source, sides.target) };
        self.source(&field.source, read);
        self.path(&field.target, written);
        let from = if field.way == Way::Backward { sides.target } else { sides.source };
        for step in &field.steps {
            self.step(step, from);
        }
    }

    fn source(&mut self, source: &Source, table: Option<&Table>) {
        match source {
            Source::Field(path) => self.path(path, table),
            Source::Literal(literal) => self.literal(literal),
            Source::Template(template) => {
                for part in &template.parts {
                    match part {
                        TemplatePart::Text(_) => {}
                        TemplatePart::Field(path) => self.path(path, table),
                        TemplatePart::Constant(literal) => self.literal(literal),
                    }
                }
            }
            Source::Call(call) => self.call(call, table),
            Source::Case(case) => {
                for branch in &case.branches {
                    if let Some(condition) = &branch.condition {
                        self.condition(condition, table);
                    }
                    self.source(&branch.result, table);
                    branch.steps.iter().for_each(|step| self.step(step, table));
                }
            }
            Source::Formula(formula) => {
                for part in formula.root.all() {
                    match &part.kind {
                        ExpressionKind::Field(path) => self.path(path, table),
                        ExpressionKind::Number(literal) => self.literal(literal),
                        ExpressionKind::Call(name, _) => self.add(name.span, Name::Step(name.text.clone()), false),
                        ExpressionKind::Lookup(call) => {
                            self.add(call.name.span, Name::Step(call.name.text.clone()), false);
                            self.call(call, table);
                        }
                        ExpressionKind::Negate(_) | ExpressionKind::Chain(..) => {}
                    }
                }
                self.or(formula.or.as_ref());
            }
        }
    }

    fn call(&mut self, call: &ast::Call, table: Option<&Table>) {
        let mut arguments = call.arguments.as_slice();
        if let ("lookup", [Argument::Path(column), fields @ ..]) = (call.name.text.as_str(), arguments) {
            self.column(column);
            arguments = fields;
        }
        self.arguments(arguments, table);
        self.or(call.or.as_ref());
    }

    fn step(&mut self, step: &Step, table: Option<&Table>) {
        self.add(step.name.span, Name::Step(step.name.text.clone()), false);
        self.arguments(step.arguments.as_deref().unwrap_or_default(), table);
        match &step.operand {
            Some(Operand::Shared(name)) => self.refer(name, Name::Shared),
            Some(Operand::Link(name)) => self.refer(name, Name::Mapping),
            Some(Operand::LinkTo { table, by }) => {
                self.table(table);
                if let Some(by) = by {
                    let of = id(table).and_then(|id| self.catalogue.get(&id)).map(AsRef::as_ref);
                    self.path(by, of);
                }
            }
            Some(Operand::Lookup { column, .. }) => self.column(column),
            Some(Operand::Table { arms, .. }) => self.arms(arms),
            None => {}
        }
        self.or(step.or.as_ref());
    }

    fn or(&mut self, or: Option<&Or>) {
        if let Some(Or { kind: OrKind::Default(literal), .. }) = or {
            self.literal(literal);
        }
    }

    /// `TABLE.COLUMN`
    fn column(&mut self, path: &Path) {
        let [table, rest @ ..] = path.parts.as_slice() else { return };
        self.refer(table, Name::Rows);
        if let [column] = rest {
            self.add(column.span, Name::Column(table.text.clone(), column.text.clone()), false);
        }
    }

    fn arguments(&mut self, arguments: &[Argument], table: Option<&Table>) {
        for argument in arguments {
            match argument {
                Argument::Literal(literal) => self.literal(literal),
                Argument::Path(path) => self.path(path, table),
                Argument::Piped(path, steps) => {
                    self.path(path, table);
                    steps.iter().for_each(|step| self.step(step, table));
                }
                Argument::Period(_) => {}
            }
        }
    }

    fn arms(&mut self, arms: &[Arm]) {
        for arm in arms {
            match &arm.from {
                Some(ArmFrom::Value(value)) => self.value(value),
                Some(ArmFrom::Test { test, .. }) => self.test(test),
                None => {}
            }
            self.value(&arm.to);
        }
    }

    fn value(&mut self, value: &Value) {
        if let Value::Literal(literal) = value {
            self.literal(literal);
        }
    }

    fn literal(&mut self, literal: &Literal) {
        if let LiteralValue::Constant(name) = &literal.value {
            // The `$` is not part of the name.
            let span = Span { start: literal.span.start + 1, ..literal.span };
            self.add(span, Name::Constant(name.clone()), false);
        }
    }

    fn conditions(&mut self, group: &Conditions, table: Option<&Table>) {
        group.conditions.iter().for_each(|condition| self.condition(condition, table));
    }

    fn condition(&mut self, condition: &Condition, table: Option<&Table>) {
        match &condition.kind {
            ConditionKind::Group(inner) => self.conditions(inner, table),
            ConditionKind::Test { field, test } => {
                self.path(field, table);
                match test {
                    Test::Relation(_, value) => self.side(value, field, table),
                    Test::Between(low, high) => [low, high].into_iter().for_each(|v| self.side(v, field, table)),
                    test => self.test(test),
                }
            }
        }
    }

    /// A comparison with constants.
    fn test(&mut self, test: &Test) {
        match test {
            Test::Relation(_, value) | Test::Text(_, value) => self.value(value),
            Test::In(values) => values.iter().for_each(|v| self.value(v)),
            Test::Between(low, high) => [low, high].into_iter().for_each(|v| self.value(v)),
            Test::Within(literal) | Test::Matches(literal) => self.literal(literal),
            Test::Present | Test::Empty => {}
        }
    }

    /// The right side of a comparison: a word is a field unless the left field has an option of that name.
    fn side(&mut self, value: &Value, left: &Path, table: Option<&Table>) {
        match value {
            Value::Word(path)
                if !field(table, left)
                    .is_some_and(|f| matches!(&f.ty, FieldType::Choice(set) if !set.by_label(&path.text()).is_empty())) =>
            {
                self.path(path, table);
            }
            value => self.value(value),
        }
    }
}
