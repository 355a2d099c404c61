//! Workflows and their names. A workflow is what it reads, what it writes and by which key; its name is only how people call
//! it. A mapping that is renamed keeps its outbox, its ledger, its cursor and all that belongs to it; what is not
//! certain is refused, since deletions that were missed under the old name would never be carried out.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Inside;
use super::store::Store;
use super::tx::{Tx, mapping_id};
use crate::store::{KnownWorkflow, Payload, PlannedWorkflow, Recognition, RenamedWorkflow, StoreError, WorkflowIdentity};

/// Tables with a column that is a workflow's number: table, column. Each row goes when the workflow is dropped. In this order:
/// a table comes after those whose rows point into it.
const OWNED: &[(&str, &str)] = &[
    ("mass_change", "mapping"),
    ("mass_passed", "mapping"),
    ("held", "mapping"),
    ("due_record", "mapping"),
    ("related_use", "mapping"),
    ("related_row", "mapping"),
    ("related_source", "mapping"),
    ("outbox", "mapping"),
    ("link", "mapping"),
    ("link", "parent"),
    ("ledger", "mapping"),
    ("target_path", "mapping"),
    ("dead_letter", "mapping"),
    ("cursor", "mapping"),
    ("event", "flow"),
    ("event_gap", "flow"),
    ("event_cursor", "flow"),
    ("optout", "mapping"),
    ("optout_flow", "mapping"),
    ("optout_topic", "mapping"),
];

fn known(conn: &Connection) -> Inside<Vec<KnownWorkflow>> {
    let mut statement = conn.prepare_cached(
        "SELECT name, identity, ledger_rows, outbox_rows, (SELECT COUNT(*) FROM dead_letter AS d WHERE d.mapping = m.id) AS dead,
           EXISTS (SELECT 1 FROM optout_flow AS o WHERE o.mapping = m.id),
           EXISTS (SELECT 1 FROM event_cursor AS e WHERE e.flow = m.id) OR EXISTS (SELECT 1 FROM event AS e WHERE e.flow = m.id)
         FROM mapping AS m
         WHERE ledger_rows > 0 OR outbox_rows > 0 OR dead > 0
           OR EXISTS (SELECT 1 FROM cursor AS c WHERE c.mapping = m.id)
           OR EXISTS (SELECT 1 FROM optout_flow AS o WHERE o.mapping = m.id)
           OR EXISTS (SELECT 1 FROM event_cursor AS e WHERE e.flow = m.id) OR EXISTS (SELECT 1 FROM event AS e WHERE e.flow = m.id)
         ORDER BY name",
    )?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let rows = statement.query_map([], |row| {
        let identity = row.get::<_, Option<String>>(1)?.as_deref().and_then(WorkflowIdentity::from_text);
        let kind = match (&identity, row.get(5)?, row.get(6)?) {
            (Some(identity), _, _) => identity.kind.clone(),
            (None, true, _) => "optout".to_owned(),
            (None, false, true) => "events".to_owned(),
            (None, false, false) => "mapping".to_owned(),
        };
        Ok(KnownWorkflow {
            name: row.get(0)?,
            kind,
            identity,
            records: count(row.get(2)?),
            backlog: count(row.get(3)?),
            dead_letters: count(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Store {
    /// The workflows that the state holds something of, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known_workflows(&self) -> Result<Vec<KnownWorkflow>, StoreError> {
        self.read("list workflows", |conn, _| known(conn))
    }

    /// Compares the workflows of a plan with those of the state before any of them runs. One that was renamed is recognized by
    /// its identity, and its state follows; the identities of all are noted. `busy` are workflows that run now, which are not
    /// renamed. One transaction.
    ///
    /// # Errors
    /// [`StoreError::Orphan`] if a new workflow may be an old one under another name, and that is not certain;
    /// [`StoreError::Busy`]; when the file cannot be written.
    pub fn recognize_workflows(&self, plan: &[PlannedWorkflow], busy: &[String]) -> Result<Recognition, StoreError> {
        self.write("compare workflows", |tx| {
            let found = recognized(tx.conn, plan)?;
            for RenamedWorkflow { from, to } in &found.renamed {
                if busy.contains(from) {
                    return Err(StoreError::Busy { name: from.clone(), new: to.clone() }.into());
                }
                tx.rename(from, to)?;
            }
            for workflow in plan {
                if workflow.runs {
                    tx.mapping(&workflow.name)?;
                }
                tx.conn
                    .prepare_cached("UPDATE mapping SET identity = ?2 WHERE name = ?1 AND identity IS NOT ?2")?
                    .execute([&workflow.name, &workflow.identity.to_text()])?;
            }
            Ok(found)
        })
    }

    /// As [`Store::recognize_workflows`], for a dry run: finds the workflows and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Orphan`]; when the file cannot be read.
    pub fn find_workflows(&self, plan: &[PlannedWorkflow]) -> Result<Recognition, StoreError> {
        self.read("compare workflows", |conn, _| recognized(conn, plan))
    }

    /// Gives a workflow's state another name.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`]; [`StoreError::UnknownWorkflow`]; [`StoreError::NameTaken`]; when the file cannot be written.
    pub fn rename_workflow(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.require_lock()?;
        self.write("rename a workflow", |tx| {
            let known = known(tx.conn)?;
            if !known.iter().any(|k| k.name == from) {
                return Err(unknown(from, &known).into());
            }
            if known.iter().any(|k| k.name == to) {
                return Err(StoreError::NameTaken { name: to.to_owned() }.into());
            }
            tx.rename(from, to)
        })
    }

    /// Removes all that the state holds of a workflow. Its records at the target stay as they are.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`]; [`StoreError::UnknownWorkflow`]; [`StoreError::KeepsOptOuts`]; when the file cannot be written.
    pub fn drop_workflow(&self, name: &str) -> Result<KnownWorkflow, StoreError> {
        self.require_lock()?;
        self.write("drop a workflow", |tx| {
            let known = known(tx.conn)?;
            let Some(workflow) = known.iter().find(|k| k.name == name) else {
                return Err(unknown(name, &known).into());
            };
            if let Some(id) = mapping_id(tx.conn, name)? {
                let count: i64 = tx.conn.query_row("SELECT COUNT(*) FROM optout_kept WHERE mapping = ?1", [id], |row| row.get(0))?;
                if count > 0 {
                    return Err(StoreError::KeepsOptOuts { name: name.to_owned(), count }.into());
                }
                tx.remove_mapping(id)?;
            }
            tx.conn.execute("DELETE FROM export WHERE flow = ?1", [name])?;
            tx.conn.execute("DELETE FROM export_problem WHERE flow = ?1", [name])?;
            tx.conn.execute("DELETE FROM workflow WHERE name = ?1", [name])?;
            Ok(workflow.clone())
        })
    }

    /// The name from which the ids of a workflow's events are derived: the first that it had.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn origin(&self, name: &str) -> Result<String, StoreError> {
        self.read("look up a workflow's first name", |conn, _| origin_of(conn, name))
    }
}

pub(super) fn origin_of(conn: &Connection, name: &str) -> Inside<String> {
    let mut statement = conn.prepare_cached("SELECT coalesce(origin, name) FROM mapping WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?.unwrap_or_else(|| name.to_owned()))
}

/// Finds the workflows of a plan among those of the state: which were renamed, and which the plan does not have any more.
fn recognized(conn: &Connection, plan: &[PlannedWorkflow]) -> Inside<Recognition> {
    let known = known(conn)?;
    let (kept, mut orphans): (Vec<_>, Vec<_>) = known.into_iter().partition(|k| plan.iter().any(|p| p.name == k.name));
    let new: Vec<&PlannedWorkflow> = plan.iter().filter(|p| !kept.iter().any(|k| k.name == p.name)).collect();
    let mut renamed: Vec<RenamedWorkflow> = Vec::new();
    for workflow in &new {
        let same: Vec<&KnownWorkflow> = orphans.iter().filter(|o| o.identity.as_ref() == Some(&workflow.identity)).collect();
        let rivals = new.iter().filter(|other| other.identity == workflow.identity).count();
        match (&*same, rivals) {
            ([orphan], 1) => renamed.push(RenamedWorkflow { from: orphan.name.clone(), to: workflow.name.clone() }),
            ([], _) => {
                if let Some(orphan) = orphans.iter().find(|o| may_be(o, &workflow.identity)) {
                    let why = if orphan.identity.is_some() {
                        "it reads the same table, but the key or the target is another one"
                    } else {
                        "the state was last used by a version of d365map that did not note what it reads and writes"
                    };
                    return Err(orphaned(orphan, workflow, why).into());
                }
            }
            ([orphan, ..], _) => {
                let why = "several workflows read the same table and write the same records";
                return Err(orphaned(orphan, workflow, why).into());
            }
        }
    }
    orphans.retain(|o| renamed.iter().all(|r| r.from != o.name));
    Ok(Recognition { renamed, orphans })
}

/// Whether an orphan may be a new workflow's past, as far as it is known.
fn may_be(orphan: &KnownWorkflow, identity: &WorkflowIdentity) -> bool {
    orphan.kind == identity.kind && orphan.identity.as_ref().is_none_or(|known| known.source == identity.source)
}

fn orphaned(orphan: &KnownWorkflow, workflow: &PlannedWorkflow, why: &str) -> StoreError {
    StoreError::Orphan { name: orphan.name.clone(), records: orphan.records, new: workflow.name.clone(), why: why.to_owned() }
}

fn unknown(name: &str, known: &[KnownWorkflow]) -> StoreError {
    StoreError::UnknownWorkflow { name: name.to_owned(), known: known.iter().map(|k| k.name.clone()).collect() }
}

impl Tx<'_> {
    fn rename(&mut self, from: &str, to: &str) -> Inside<()> {
        // A row of the new name has no state: a wish or a status query has made it.
        if let Some(id) = mapping_id(self.conn, to)? {
            self.remove_mapping(id)?;
        }
        self.conn.execute("UPDATE mapping SET origin = coalesce(origin, name), name = ?2 WHERE name = ?1", [from, to])?;
        self.conn.execute("DELETE FROM export WHERE flow = ?1", [to])?;
        self.conn.execute("UPDATE export SET flow = ?2 WHERE flow = ?1", [from, to])?;
        self.conn.execute("DELETE FROM export_problem WHERE flow = ?1", [to])?;
        self.conn.execute("UPDATE export_problem SET flow = ?2 WHERE flow = ?1", [from, to])?;
        // What somebody has asked of the new name counts; otherwise what was asked of the old one.
        let asked: bool =
            self.conn.query_row("SELECT EXISTS (SELECT 1 FROM workflow WHERE name = ?1 AND request > 0)", [to], |row| row.get(0))?;
        self.conn.execute("DELETE FROM workflow WHERE name = ?1", [if asked { from } else { to }])?;
        self.conn.execute("UPDATE workflow SET name = ?2, restart_due = NULL WHERE name = ?1", [from, to])?;
        self.conn.execute(
            "UPDATE run SET mappings = (SELECT json_group_array(CASE value WHEN ?1 THEN ?2 ELSE value END) FROM json_each(mappings))
             WHERE instr(mappings, ?1) > 0",
            [from, to],
        )?;
        self.rename_links(from, to)?;
        self.forget_caches();
        Ok(())
    }

    /// Links in payloads name the mapping of the record that they lead to.
    fn rename_links(&mut self, from: &str, to: &str) -> Inside<()> {
        for (rows, update) in [
            ("SELECT seq, '', payload FROM outbox", "UPDATE outbox SET payload = ?3 WHERE seq = ?1 AND ?2 = ''"),
            (
                "SELECT seq, '', payload FROM (SELECT seq, waited AS payload FROM outbox)",
                "UPDATE outbox SET waited = ?3 WHERE seq = ?1 AND ?2 = ''",
            ),
            ("SELECT mapping, key, payload FROM held", "UPDATE held SET payload = ?3 WHERE mapping = ?1 AND key = ?2"),
        ] {
            let found: Vec<(i64, String, String)> = {
                let mut statement = self.conn.prepare(&format!("{rows} WHERE instr(payload, '\"links\"') > 0"))?;
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?
            };
            let mut update = self.conn.prepare(update)?;
            for (number, key, text) in found {
                let mut payload = Payload::from_json(&text)?;
                let mut changed = false;
                for field in payload.links_mut().filter(|field| field.link.as_deref() == Some(from)) {
                    field.link = Some(to.into());
                    changed = true;
                }
                if changed {
                    update.execute(params![number, key, payload.to_json()])?;
                }
            }
        }
        Ok(())
    }

    fn remove_mapping(&mut self, id: i64) -> Inside<()> {
        // What waits for its records is looked at again when it is next claimed.
        self.conn.execute("UPDATE outbox SET waits = 0 WHERE seq IN (SELECT seq FROM link_wait WHERE parent = ?1)", [id])?;
        self.conn.execute("DELETE FROM link_wait WHERE parent = ?1", [id])?;
        for (table, column) in OWNED {
            self.conn.execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [id])?;
        }
        self.conn.execute("DELETE FROM mapping WHERE id = ?1", [id])?;
        self.forget_caches();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Change, CursorMove, Field, PageCommit, RunKind, Wish};

    fn planned(name: &str) -> PlannedWorkflow {
        let identity =
            WorkflowIdentity { kind: "mapping".into(), source: "d365.account".into(), target: "cusAccount".into(), key: "id".into() };
        PlannedWorkflow { name: name.to_owned(), identity, runs: true }
    }

    #[test]
    fn what_waits_for_a_parent_follows_the_parents_new_name_and_so_do_wishes() {
        let store = Store::in_memory().unwrap();
        store.recognize_workflows(&[planned("accounts")], &[]).unwrap();
        let (run, _) = store.start_run(RunKind::Once, &["accounts".to_owned()]).unwrap();
        let page = |flow: &str, id: &str, link: Option<&str>| {
            let mut payload = Payload::default();
            payload.push_value("x", &1.into(), false).unwrap();
            if let Some(parent) = link {
                let value = serde_json::value::to_raw_value(parent).unwrap().into();
                let link = Some("accounts".into());
                payload.push(Field {
                    path: "parent".into(),
                    value,
                    initial_only: false,
                    create_only: false,
                    filled: None,
                    link,
                    absent: crate::store::IfAbsent::Wait,
                });
            }
            let from = store.cursor_or_first(flow, "plan").unwrap();
            let changes = vec![Change::Upsert { source_id: id.into(), key: format!("K-{id}"), payload }];
            store
                .commit_page(PageCommit {
                    run,
                    mapping: flow.into(),
                    from,
                    changes,
                    rewrite: false,
                    times: crate::store::PageTimes::default(),
                    guard: None,
                    to: CursorMove::Next("next".into()),
                })
                .unwrap();
        };
        page("contacts", "c", Some("a"));
        assert!(store.claim(run, "contacts", 9, crate::time::now()).unwrap().is_empty(), "it waits for its parent");
        page("accounts", "a", None);
        store.wish(&["accounts".to_owned()], Wish::Stop, false).unwrap();

        let busy = ["accounts".to_owned()];
        assert!(matches!(store.recognize_workflows(&[planned("firms")], &busy), Err(StoreError::Busy { .. })));
        let found = store.recognize_workflows(&[planned("firms")], &[]).unwrap();
        assert_eq!(found.renamed, [RenamedWorkflow { from: "accounts".into(), to: "firms".into() }]);
        assert_eq!(found.orphans.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["contacts"]);
        assert_eq!(store.workflows().unwrap().iter().map(|w| (w.name.as_str(), w.wish)).collect::<Vec<_>>(), [("firms", Wish::Stop)]);

        let parent = store.claim(run, "firms", 9, crate::time::now()).unwrap().remove(0);
        store.settle(run, vec![parent.written(true)]).unwrap();
        let child = store.claim(run, "contacts", 9, crate::time::now()).unwrap();
        assert_eq!(child.len(), 1, "its parent is there");
        assert!(child[0].write_set(true).any(|field| field.link.as_ref().is_some_and(|link| &*link.mapping == "firms")));
    }

    #[test]
    fn a_workflow_that_keeps_the_only_copy_of_an_opt_out_is_not_dropped() {
        let store = Store::in_memory().unwrap();
        store.recognize_workflows(&[planned("accounts")], &[]).unwrap();
        store.cursor_or_first("accounts", "plan").unwrap();
        store.begin_optouts("accounts.optout", "pairs").unwrap();
        let keep = |out| {
            let judge = |_| (crate::store::Person::default(), false);
            store.keep_optouts("accounts", "accounts.optout", "11111111-0000-4000-8000-000000000001", out, judge).unwrap();
        };
        keep(crate::store::Flags::of(1));
        let refused = store.drop_workflow("accounts");
        assert!(matches!(&refused, Err(StoreError::KeepsOptOuts { count: 1, .. })), "{refused:?}");
        keep(crate::store::Flags::NONE);
        store.drop_workflow("accounts").unwrap();
    }

    #[test]
    fn a_dropped_workflow_leaves_nothing_and_lets_go_what_waits_for_its_records() {
        let store = Store::in_memory().unwrap();
        for table in [
            "outbox",
            "ledger",
            "cursor",
            "due_record",
            "related_source",
            "related_row",
            "related_use",
            "held",
            "mass_change",
            "mass_passed",
            "optout",
            "optout_flow",
            "optout_topic",
            "event",
            "event_cursor",
            "event_gap",
        ] {
            assert!(OWNED.iter().any(|(owned, _)| *owned == table), "{table}");
        }
        store.recognize_workflows(&[planned("accounts")], &[]).unwrap();
        store.cursor_or_first("accounts", "plan").unwrap();
        store.begin_events("email").unwrap();
        for name in ["accounts", "email"] {
            store.drop_workflow(name).unwrap();
        }
        assert!(store.known_workflows().unwrap().is_empty());
        let rows: i64 = store.read("test", |conn, _| Ok(conn.query_row("SELECT COUNT(*) FROM mapping", [], |row| row.get(0))?)).unwrap();
        assert_eq!(rows, 0);
    }
}
