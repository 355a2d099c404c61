//! The typed execution plan: what the runner executes and nothing else.

pub mod changes;
pub mod estimate;
mod formula;
mod lookup;
mod model;
mod print;
mod related;

use std::hash::Hasher;

pub use formula::{Formula, Operator, QUOTIENT_SCALE, Term, TermPart};
pub use lookup::{Cells, Column, Lookup, LookupBy, LookupTable};
pub use model::*;
pub use print::describe;
pub(crate) use print::test_text;
pub use related::{Related, RelatedLookup, RelatedTable};

pub use crate::value::constant;

/// Why a plan file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not a plan at all, or damaged.
    #[error("this is not a plan: {0}. Make one with `d365map compile -o plan.json`")]
    Unreadable(#[from] serde_json::Error),
    /// Made by a compiler of another format.
    #[error("this plan has format {found}; this version runs format {FORMAT}. Compile it again with this version")]
    Format {
        /// The format in the file.
        found: u64,
    },
    /// A reference within the plan that does not exist: the file was changed by hand.
    #[error("this plan is damaged: {0}. Compile it again")]
    Damaged(String),
}

impl ExecutionPlan {
    /// The plan as JSON, the same bytes for the same plan, with a line break at the end.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists only: serialising cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a plan and checks that it holds together.
    pub fn from_json(text: &str) -> Result<ExecutionPlan, PlanError> {
        #[derive(serde::Deserialize)]
        struct Version {
            format: u64,
        }
        let Version { format } = serde_json::from_str(text)?;
        if format != u64::from(FORMAT) {
            return Err(PlanError::Format { found: format });
        }
        let mut plan: ExecutionPlan = serde_json::from_str(text)?;
        plan.attach_tables()?;
        plan.ingress.iter().try_for_each(IngressFlow::verify)?;
        plan.two_way.iter().try_for_each(TwoWayFlow::verify)?;
        if let Some(flow) = plan.optouts.iter().find(|flow| plan.flow(&flow.mapping).is_none()) {
            return Err(PlanError::Damaged(format!("the opt-outs of `{}` belong to no flow", flow.mapping)));
        }
        if let Some(flow) = plan.optouts.iter().find(|flow| flow.topics && flow.direction != Direction::D365ToCampaign) {
            return Err(PlanError::Damaged(format!("the topics of `{}` have another direction than d365-to-campaign", flow.mapping)));
        }
        Ok(plan)
    }

    /// Gives every use of a table the table itself.
    pub(crate) fn attach_tables(&mut self) -> Result<(), PlanError> {
        if let Some(table) = self.tables.iter().find(|table| !table.is_whole()) {
            return Err(PlanError::Damaged(format!("the columns of the table `{}` are not equally long", table.name)));
        }
        let tables = &self.tables;
        let mut damaged = None;
        let mut attach = |lookup: &mut Lookup, keys: usize| {
            lookup.table = tables.get(lookup.table_index as usize).filter(|table| table.keys.len() == keys).cloned();
            if lookup.column().is_none() {
                damaged = Some(format!("the table {} has no column {}", lookup.table_index, lookup.column_index));
            }
        };
        let ingress = self.ingress.iter_mut().flat_map(|flow| std::iter::once(&mut flow.key).chain(&mut flow.fields));
        ingress.for_each(|program| program.lookups_mut(&mut attach));
        for flow in &mut self.two_way {
            let programs = flow.forward.iter_mut().chain(&mut flow.backward);
            let programs = programs.chain(flow.links.iter_mut().flat_map(|link| &mut link.fields));
            let programs = programs.chain(flow.rows.iter_mut().flat_map(|rows| rows.forward.iter_mut().chain(&mut rows.backward)));
            programs.for_each(|program| program.lookups_mut(&mut attach));
        }
        damaged.map_or(Ok(()), |why| Err(PlanError::Damaged(why)))
    }

    /// The flow of a mapping.
    pub fn flow(&self, name: &str) -> Option<&IngressFlow> {
        self.ingress.iter().find(|f| f.name == name)
    }

    /// A place for people: `mappings/contacts.d365map:12:3`.
    pub fn place(&self, at: At) -> String {
        let file = self.files.get(at.file as usize).map_or("?", String::as_str);
        format!("{file}:{}:{}", at.line, at.column)
    }
}

impl IngressFlow {
    /// A fingerprint of what the flow does, for noticing that a cursor belongs to another version of the mapping. Places in
    /// the file do not count: a comment more changes nothing.
    pub fn fingerprint(&self) -> String {
        // The state of a version that did not note when records are due has none of them: everything is read again.
        if self.filter.as_ref().is_some_and(Condition::asks_the_time) { fingerprint(&("due", self)) } else { fingerprint(self) }
    }

    /// Whether the result for a record can change although the record does not: its filter or a `case` depends on the time.
    pub fn asks_the_time(&self) -> bool {
        self.filter.as_ref().is_some_and(Condition::asks_the_time) || self.fields.iter().any(FieldProgram::asks_the_time)
    }

    /// Checks what the types cannot say, so that a plan changed by hand cannot make the runner fail midway.
    fn verify(&self) -> Result<(), PlanError> {
        let mut slots = vec![self.source.primary_key];
        if let Some(filter) = &self.filter {
            filter.reads(&mut slots);
        }
        let programs = || std::iter::once(&self.key).chain(&self.fields);
        programs().for_each(|p| p.reads(&mut slots));
        if !self.related.holds_together() {
            return Err(PlanError::Damaged(format!("flow `{}` reads through a lookup that points nowhere", self.name)));
        }
        verify(&self.name, self.source.slots.len(), &slots, programs())
    }
}

impl TwoWayFlow {
    /// The most UTF-16 code units of a text that the mapping writes to a column of the right side; `None` if it writes none there.
    pub fn longest(&self, column: &str) -> Option<u32> {
        let program = self.forward.iter().find(|program| program.path == [column])?;
        match program.fit {
            Fit::Text { max } => max,
            _ => None,
        }
    }

    fn verify(&self) -> Result<(), PlanError> {
        let inner = self.rows.iter().flat_map(|rows| [(&rows.items, &rows.forward), (&rows.rows, &rows.backward)]);
        for (known, programs) in inner.chain(self.links.iter().map(|link| (&self.left.slots, &link.fields))) {
            let mut slots = Vec::new();
            programs.iter().for_each(|p| p.reads(&mut slots));
            verify(&self.name, known.len(), &slots, programs.iter())?;
        }
        for (side, programs, filter) in [(&self.left, &self.forward, self.filter.as_ref()), (&self.right, &self.backward, None)] {
            let mut slots = Vec::new();
            programs.iter().for_each(|p| p.reads(&mut slots));
            if let Some(filter) = filter {
                filter.reads(&mut slots);
            }
            verify(&self.name, side.slots.len(), &slots, programs.iter())?;
        }
        Ok(())
    }
}

fn verify<'f>(flow: &str, count: usize, slots: &[u32], mut programs: impl Iterator<Item = &'f FieldProgram>) -> Result<(), PlanError> {
    if let Some(slot) = slots.iter().find(|s| **s as usize >= count) {
        return Err(PlanError::Damaged(format!("flow `{flow}` reads slot {slot} of {count}")));
    }
    if let Some(field) = programs.find(|f| f.path.is_empty()) {
        return Err(PlanError::Damaged(format!("flow `{flow}` has a field without a name at line {}", field.at.line)));
    }
    Ok(())
}

impl FieldProgram {
    /// Every slot that the program reads.
    pub fn reads(&self, slots: &mut Vec<u32>) {
        reads_of(&self.source, &self.steps, slots);
    }

    /// Whether the value depends on the time of the run.
    pub fn asks_the_time(&self) -> bool {
        self.conditions().into_iter().any(Condition::asks_the_time)
    }

    /// Every condition in the program.
    pub fn conditions(&self) -> Vec<&Condition> {
        let mut conditions = Vec::new();
        conditions_of(&self.source, &mut conditions);
        conditions
    }
}

fn conditions_of<'p>(source: &'p Source, conditions: &mut Vec<&'p Condition>) {
    let Source::Case(branches) = source else { return };
    for branch in branches {
        conditions.extend(&branch.condition);
        if let BranchResult::Value { source, .. } = &branch.result {
            conditions_of(source, conditions);
        }
    }
}

fn reads_of(source: &Source, steps: &[Step], slots: &mut Vec<u32>) {
    match source {
        Source::Field(read) => of_read(read, slots),
        Source::Constant(_) => {}
        Source::Template(pieces) => of_pieces(pieces, slots),
        Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().for_each(|read| of_read(read, slots)),
        Source::Lookup(lookup) => lookup.keys.iter().for_each(|read| of_read(read, slots)),
        Source::Case(branches) => {
            for branch in branches {
                if let Some(condition) = &branch.condition {
                    condition.reads(slots);
                }
                match &branch.result {
                    BranchResult::Value { source, steps, .. } => reads_of(source, steps, slots),
                    BranchResult::Uncovered(slot) => slots.push(*slot),
                    BranchResult::Reject | BranchResult::Unchanged => {}
                }
            }
        }
        Source::Formula(formula) => {
            formula.term.reads().iter().for_each(|read| of_read(read, slots));
            reads_of_steps(&formula.steps, slots);
        }
    }
    reads_of_steps(steps, slots);
}

fn of_pieces(pieces: &[Piece], slots: &mut Vec<u32>) {
    for piece in pieces {
        if let Piece::Field(read) = piece {
            of_read(read, slots);
        }
    }
}

fn of_read(read: &Read, slots: &mut Vec<u32>) {
    slots.push(read.slot);
    reads_of_steps(&read.steps, slots);
}

fn reads_of_steps(steps: &[Step], slots: &mut Vec<u32>) {
    for step in steps {
        if let Op::Coalesce(reads) = &step.op {
            reads.iter().for_each(|read| of_read(read, slots));
        }
        if let Op::Concat(pieces) = &step.op {
            of_pieces(pieces, slots);
        }
        if let Op::PhoneIn(phone) = &step.op {
            of_read(&phone.country, slots);
        }
        if let Op::LocalIn(local) = &step.op {
            of_read(&local.zone, slots);
        }
        if let Op::Elapsed(Elapsed { until: Until::Field(read), .. }) = &step.op {
            of_read(read, slots);
        }
        if let Op::Link { table: Some(table), .. } = &step.op {
            slots.push(table.slot);
        }
    }
}

impl FieldProgram {
    /// Visits every use of a table, with the number of its keys.
    fn lookups_mut(&mut self, each: &mut dyn FnMut(&mut Lookup, usize)) {
        lookups_of(&mut self.source, &mut self.steps, each);
    }

    /// The steps in which the day of the run enters the value.
    pub fn steps_of_today(&self) -> impl Iterator<Item = &Step> {
        let mut steps = Vec::new();
        steps_of(&self.source, &self.steps, &mut steps);
        steps.into_iter().filter(|step| matches!(step.op, Op::Elapsed(Elapsed { until: Until::Today, .. })))
    }
}

fn lookups_of(source: &mut Source, steps: &mut [Step], each: &mut dyn FnMut(&mut Lookup, usize)) {
    match source {
        Source::Lookup(by) => each(&mut by.lookup, by.keys.len()),
        Source::Case(branches) => {
            for branch in branches {
                if let BranchResult::Value { source, steps, .. } = &mut branch.result {
                    lookups_of(source, steps, each);
                }
            }
        }
        Source::Formula(formula) => {
            formula.term.lookups_mut(&mut |by| each(&mut by.lookup, by.keys.len()));
            lookups_of_steps(&mut formula.steps, each);
        }
        Source::Coalesce(reads) | Source::Join { reads, .. } => lookups_of_reads(reads, each),
        Source::Template(pieces) => lookups_of_pieces(pieces, each),
        Source::Field(_) | Source::Constant(_) => {}
    }
    lookups_of_steps(steps, each);
}

fn lookups_of_reads(reads: &mut [Read], each: &mut dyn FnMut(&mut Lookup, usize)) {
    reads.iter_mut().for_each(|read| lookups_of_steps(&mut read.steps, each));
}

fn lookups_of_pieces(pieces: &mut [Piece], each: &mut dyn FnMut(&mut Lookup, usize)) {
    for piece in pieces {
        if let Piece::Field(read) = piece {
            lookups_of_steps(&mut read.steps, each);
        }
    }
}

fn lookups_of_steps(steps: &mut [Step], each: &mut dyn FnMut(&mut Lookup, usize)) {
    for step in steps {
        match &mut step.op {
            Op::Lookup(lookup) => each(lookup, 1),
            Op::Coalesce(reads) => lookups_of_reads(reads, each),
            Op::Concat(pieces) => lookups_of_pieces(pieces, each),
            _ => {}
        }
    }
}

/// Every step of a value, those of a formula and of the results of a `case` among them.
fn steps_of<'p>(source: &'p Source, own: &'p [Step], steps: &mut Vec<&'p Step>) {
    of_steps(own, steps);
    match source {
        Source::Case(branches) => {
            for branch in branches {
                if let BranchResult::Value { source, steps: own, .. } = &branch.result {
                    steps_of(source, own, steps);
                }
            }
        }
        Source::Formula(formula) => of_steps(&formula.steps, steps),
        Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().for_each(|read| of_steps(&read.steps, steps)),
        Source::Template(pieces) => steps_of_pieces(pieces, steps),
        Source::Field(_) | Source::Constant(_) | Source::Lookup(_) => {}
    }
}

/// The steps, and those of their arguments.
fn of_steps<'p>(own: &'p [Step], steps: &mut Vec<&'p Step>) {
    for step in own {
        steps.push(step);
        match &step.op {
            Op::Coalesce(reads) => reads.iter().for_each(|read| of_steps(&read.steps, steps)),
            Op::Concat(pieces) => steps_of_pieces(pieces, steps),
            _ => {}
        }
    }
}

fn steps_of_pieces<'p>(pieces: &'p [Piece], steps: &mut Vec<&'p Step>) {
    for piece in pieces {
        if let Piece::Field(read) = piece {
            of_steps(&read.steps, steps);
        }
    }
}

impl Condition {
    /// Every slot that the condition asks.
    pub fn reads(&self, slots: &mut Vec<u32>) {
        match &self.kind {
            ConditionKind::Group { conditions, .. } => conditions.iter().for_each(|c| c.reads(slots)),
            ConditionKind::Test { slot, test } => {
                slots.push(*slot);
                if let Test::Field(_, other) = test {
                    slots.push(*other);
                }
            }
        }
    }

    /// Whether the result depends on the time of the run.
    pub fn asks_the_time(&self) -> bool {
        match &self.kind {
            ConditionKind::Group { conditions, .. } => conditions.iter().any(Condition::asks_the_time),
            ConditionKind::Test { test, .. } => matches!(test, Test::Within(_) | Test::Relative { .. }),
        }
    }
}

/// A fingerprint of a part of a plan: what it does, regardless of its place in the file and of the rest of the plan.
pub fn fingerprint(part: &impl serde::Serialize) -> String {
    let mut tree = serde_json::to_value(part).unwrap_or_default();
    without_places(&mut tree);
    // The keys are constants: this tells versions apart, it keeps no secret.
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(0x6433_3635, 0x006d_6170);
    hasher.write(tree.to_string().as_bytes());
    format!("{:016x}", hasher.finish())
}

/// Whether an object of a plan's JSON tree is an [`At`], whatever holds it: a case that rejects has its place as its value.
fn is_place(object: &serde_json::Map<String, serde_json::Value>) -> bool {
    const MEMBERS: [&str; 5] = ["file", "line", "column", "start", "end"];
    object.len() == MEMBERS.len() && MEMBERS.iter().all(|name| object.contains_key(*name))
}

/// Takes every place out of a plan's JSON tree, and where in the plan a table is: its fingerprint stays.
fn without_places(tree: &mut serde_json::Value) {
    match tree {
        serde_json::Value::Object(object) => {
            if is_place(object) {
                *tree = serde_json::Value::Null;
                return;
            }
            object.remove("at");
            object.remove("table_index");
            object.remove("column_index");
            object.values_mut().for_each(without_places);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}
