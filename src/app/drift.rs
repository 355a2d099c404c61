//! Drift: what has changed in the services since the schemas were committed, and which lines of the mappings it touches.
//!
//! A change is breaking where the mappings no longer compile against the live schemas, or where the plan would read a value
//! as a different kind than it is; both are detected by compiling the same files against both catalogs, so that exactly
//! the findings of `check` after a pull block a run.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::error::{AppError, MetadataError, PullError};
use super::files::{self, Group};
use super::metadata::{self, Source, fetch};
use crate::check::{Compiled, compile_project};
use crate::diagnostics::render::{Format, Style, render};
use crate::diagnostics::{Code, Diagnostic, Position, Severity, Span};
use crate::plan::{ExecutionPlan, FieldProgram, Fit, IngressFlow};
use crate::project::Project;
use crate::schema::{Catalogue, Change, SystemId, Table, TableId, diff};

/// What has changed.
pub struct Drift {
    /// The changes of each table that has any.
    pub tables: Vec<(TableId, Vec<Change>)>,
    /// What breaks, with the place in a mapping file.
    pub breaking: Vec<Diagnostic>,
    /// The files that the places lie in.
    compiled: Option<Compiled>,
    /// What a plan without its files can say: a place and what is wrong there.
    pub places: Vec<String>,
}

/// Something that a change breaks.
pub struct Break<'a> {
    /// The finding.
    pub finding: &'a Diagnostic,
    /// The mapping file.
    pub file: &'a str,
    /// The place in it.
    pub at: Option<Position>,
    /// The text of the line.
    pub text: &'a str,
}

impl Drift {
    /// Whether a run must not begin.
    pub fn is_breaking(&self) -> bool {
        !self.breaking.is_empty() || !self.places.is_empty()
    }

    /// Whether nothing has changed.
    pub fn is_none(&self) -> bool {
        self.tables.is_empty() && !self.is_breaking()
    }

    /// For people.
    pub fn text(&self, style: Style) -> String {
        let mut out = String::new();
        for (table, changes) in &self.tables {
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(out, "{table}");
            for change in changes {
                let _ = writeln!(out, "  {change}");
            }
        }
        if let Some(compiled) = &self.compiled
            && !self.breaking.is_empty()
        {
            let _ = writeln!(out, "\nwhat this breaks:\n");
            out.push_str(&render(&self.breaking, &compiled.sources, Format::Human, style));
        }
        for place in &self.places {
            let _ = writeln!(out, "  {place}");
        }
        out
    }

    /// What breaks, each with its line.
    pub fn breaks(&self) -> impl Iterator<Item = Break<'_>> {
        self.breaking.iter().map(|finding| {
            let Some(compiled) = &self.compiled else { return Break { finding, file: "", at: None, text: "" } };
            let (file, at) = compiled.sources.locate(finding.span);
            let source = compiled.sources.get(finding.span.file);
            let text = source.and_then(|source| source.text.get(source.line_range(source.line_at(finding.span.start as usize))));
            Break { finding, file, at: Some(at), text: text.unwrap_or_default() }
        })
    }

    /// For machines.
    pub fn json(&self) -> serde_json::Value {
        let tables: Vec<serde_json::Value> = self
            .tables
            .iter()
            .map(|(table, changes)| serde_json::json!({ "table": table.to_string(), "changes": changes.iter().map(ToString::to_string).collect::<Vec<_>>() }))
            .collect();
        let breaking: Vec<serde_json::Value> = self
            .breaks()
            .map(|b| {
                serde_json::json!({
                    "code": b.finding.code.name(), "file": b.file, "line": b.at.map(|a| a.line), "column": b.at.map(|a| a.column),
                    "message": b.finding.message, "label": b.finding.label, "help": b.finding.help,
                })
            })
            .collect();
        serde_json::json!({ "version": 1, "tables": tables, "breaking": breaking, "places": self.places })
    }
}

/// The tables that a plan reads or writes and whose services give metadata.
pub fn tables_of(plan: &ExecutionPlan) -> BTreeSet<TableId> {
    let ingress = plan.ingress.iter().flat_map(|f| [f.source.table.as_str(), f.target.table.as_str()]);
    let related = plan.ingress.iter().flat_map(|f| &f.related.tables).map(|table| table.table.as_str());
    let two_way = plan.two_way.iter().flat_map(|f| [f.left.table.as_str(), f.right.table.as_str()]);
    ingress.chain(related).chain(two_way).filter_map(TableId::parse).filter(|t| t.system.has_metadata()).collect()
}

/// Reads the live schemas of tables over a committed catalogue, and says which of them the service does not have.
///
/// # Errors
///
/// A table could not be read.
fn live(source: &dyn Source, tables: &BTreeSet<TableId>, committed: &Catalogue) -> Result<(Catalogue, BTreeSet<TableId>), AppError> {
    let mut catalogue = committed.clone();
    let mut missing = BTreeSet::new();
    for id in tables {
        match fetch(source, id, committed.get(id).map(AsRef::as_ref)) {
            Ok(pulled) => catalogue.insert(pulled.table),
            Err(PullError::Source { source, .. }) if matches!(*source, MetadataError::NoSuchTable(_)) => {
                missing.insert(id.clone());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((catalogue, missing))
}

/// Refuses a plan that a change in the services breaks. Services that cannot be asked refuse nothing: each workflow waits for them by
/// itself, with a reason and a next attempt. `group` has the mapping files of the plan, if it was made of files.
///
/// # Errors
/// [`AppError::Drift`], or the connections cannot be made.
pub fn refuse(project: &Project, group: Result<Option<Group>, AppError>, plan: &ExecutionPlan) -> Result<(), AppError> {
    let source = metadata::connect(project)?;
    match group.and_then(|group| of_project(source.as_ref(), project, group, plan)) {
        Err(error) => {
            let error = error.to_string();
            tracing::warn!(error, "the services' schemas were not compared with the committed ones");
            Ok(())
        }
        Ok(drift) if drift.is_breaking() => Err(AppError::Drift { shown: drift.text(Style::PLAIN).trim_end().to_owned() }),
        Ok(_) => Ok(()),
    }
}

/// Compares the services with a project's committed schemas for the tables of a plan, by the mapping files that it was made of
/// (`group`), or by the plan alone.
///
/// # Errors
/// The services cannot be asked, or the committed schemas cannot be read.
pub fn of_project(source: &dyn Source, project: &Project, group: Option<Group>, plan: &ExecutionPlan) -> Result<Drift, AppError> {
    match group {
        Some(group) => of_group(source, group, &tables_of(plan)),
        None => of_plan(source, plan, &files::catalogue(Some(project))?),
    }
}

/// Compares the committed schemas with the live ones in view of mapping files.
///
/// # Errors
///
/// A table could not be read.
pub fn of_group(source: &dyn Source, group: Group, tables: &BTreeSet<TableId>) -> Result<Drift, AppError> {
    let (now, missing) = live(source, tables, &group.catalogue)?;
    let before = compile_project(group.inputs.clone(), &group.tables, &group.catalogue, &group.levels);
    let after = compile_project(group.inputs, &group.tables, &now, &group.levels);
    let known = |d: &Diagnostic| before.diagnostics.iter().any(|b| b.code == d.code && b.span == d.span && b.message == d.message);
    let mut breaking: Vec<Diagnostic> =
        after.diagnostics.iter().filter(|d| d.severity() == Severity::Error && !known(d)).cloned().collect();
    if let (Some(old), Some(new)) = (&before.plan, &after.plan) {
        breaking.extend(other_kinds(old, new, &after));
    }
    let changes = changes(tables, &group.catalogue, &now);
    breaking.extend(untracked(&changes, &before, &now));
    breaking.extend(gone(&missing, &before));
    Ok(Drift { tables: changes, breaking, compiled: Some(after), places: Vec::new() })
}

fn changes(tables: &BTreeSet<TableId>, before: &Catalogue, after: &Catalogue) -> Vec<(TableId, Vec<Change>)> {
    let of = |id: &TableId| Some((id.clone(), diff(before.get(id)?, after.get(id)?)));
    tables.iter().filter_map(of).filter(|(_, changes)| !changes.is_empty()).collect()
}

/// Values that the plan would read as another kind than the service sends.
fn other_kinds(old: &ExecutionPlan, new: &ExecutionPlan, compiled: &Compiled) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for flow in &old.ingress {
        let Some(now) = new.flow(&flow.name) else { continue };
        for slot in &flow.source.slots {
            let Some(other) =
                now.source.slots.iter().find(|s| s.field == slot.field && s.is_annotation() == slot.is_annotation() && s.kind != slot.kind)
            else {
                continue;
            };
            let Some((file, _)) = compiled.sources.iter().nth(slot.at.file as usize) else { continue };
            let span = Span::new(file, slot.at.start as usize..slot.at.end as usize);
            let message = format!("`{}` has another type now", slot.field);
            let label = format!("{:?} before, {:?} now", slot.kind, other.kind).to_lowercase();
            found.push(
                Diagnostic::new(Code::D119, span, message, label).help("fetch the schema with `d365map schema pull`, and check the line"),
            );
        }
    }
    found
}

/// Returns the mappings whose table the service does not have.
fn gone(missing: &BTreeSet<TableId>, compiled: &Compiled) -> Vec<Diagnostic> {
    let Some(plan) = &compiled.plan else { return Vec::new() };
    let ingress = plan.ingress.iter().flat_map(|f| [(&f.source.table, f.at), (&f.target.table, f.at)]);
    let related = plan.ingress.iter().flat_map(|f| f.related.tables.iter().map(|table| (&table.table, f.at)));
    let two_way = plan.two_way.iter().flat_map(|f| [(&f.left.table, f.at), (&f.right.table, f.at)]);
    let mut found = Vec::new();
    for (table, at) in ingress.chain(related).chain(two_way) {
        let Some(id) = TableId::parse(table).filter(|id| missing.contains(id)) else { continue };
        let Some((file, _)) = compiled.sources.iter().nth(at.file as usize) else { continue };
        let span = Span::new(file, at.start as usize..at.end as usize);
        found.push(Diagnostic::new(Code::D119, span, format!("the service does not have the table `{id}`"), "this mapping uses it").help(
            "check the table's name and the connection's `url`; in Dynamics 365, the app that brings the table may not be installed",
        ));
    }
    found
}

/// Tables whose changes cannot be followed any more.
fn untracked(changes: &[(TableId, Vec<Change>)], compiled: &Compiled, now: &Catalogue) -> Vec<Diagnostic> {
    let off = |id: &TableId| now.get(id).is_some_and(|t| t.change_tracking == Some(false));
    let mut found = Vec::new();
    for (table, _) in changes.iter().filter(|(id, _)| id.system == SystemId::D365 && off(id)) {
        let name = table.to_string();
        let follows = |flow: &&IngressFlow| flow.source.table == name || flow.related.tables.iter().any(|related| related.table == name);
        for flow in compiled.plan.iter().flat_map(|p| &p.ingress).filter(follows) {
            let Some((file, _)) = compiled.sources.iter().nth(flow.at.file as usize) else { continue };
            let span = Span::new(file, flow.at.start as usize..flow.at.end as usize);
            found.push(
                Diagnostic::new(Code::D119, span, format!("change tracking is off for `{table}`"), "its changes cannot be read")
                    .help("switch change tracking on for the table in Dynamics (Advanced options of the table)"),
            );
        }
    }
    found
}

/// What a plan needs that the live schemas do not have any more, where its mapping files are not at hand.
///
/// # Errors
///
/// A table could not be read.
pub fn of_plan(source: &dyn Source, plan: &ExecutionPlan, committed: &Catalogue) -> Result<Drift, AppError> {
    let tables = tables_of(plan);
    let (now, missing) = live(source, &tables, committed)?;
    let mut places: Vec<String> = missing.iter().map(|id| format!("the service does not have the table `{id}`")).collect();
    for flow in &plan.ingress {
        let table = |name: &str| TableId::parse(name).and_then(|id| now.get(&id));
        if let Some(table) = table(&flow.source.table) {
            for slot in &flow.source.slots {
                let parts: Vec<&str> = slot.field.split('.').collect();
                if !now.column(table, &parts).is_some_and(|(_, field)| field.readable) {
                    places.push(format!("{}: {} has no field `{}` any more", plan.place(slot.at), flow.source.table, slot.field));
                }
            }
        }
        if let Some(table) = table(&flow.target.table) {
            for program in std::iter::once(&flow.key).chain(&flow.fields) {
                places.extend(unfit(program, table, plan));
            }
        }
    }
    Ok(Drift { tables: changes(&tables, committed, &now), breaking: Vec::new(), compiled: None, places })
}

fn unfit(program: &FieldProgram, table: &Table, plan: &ExecutionPlan) -> Option<String> {
    use crate::schema::FieldType;
    let parts: Vec<&str> = program.path.iter().map(String::as_str).collect();
    let (place, name) = (plan.place(program.at), parts.join("."));
    let Some(field) = table.field(&parts) else { return Some(format!("{place}: {} has no field `{name}` any more", table.id)) };
    if !field.creatable && !field.updatable {
        return Some(format!("{place}: `{name}` cannot be written any more"));
    }
    match (&program.fit, &field.ty) {
        (Fit::Text { max: Some(old) }, FieldType::Text { max: Some(new) }) if new < old => {
            Some(format!("{place}: `{name}` holds {new} characters now, {old} before"))
        }
        (Fit::Enumeration(names), FieldType::Enumeration(values)) => {
            let gone: Vec<&str> = names.iter().filter(|n| !values.iter().any(|v| v.name == **n)).map(String::as_str).collect();
            (!gone.is_empty()).then(|| format!("{place}: `{name}` has no value {} any more", gone.join(", ")))
        }
        _ => None,
    }
}
