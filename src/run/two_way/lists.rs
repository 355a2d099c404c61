//! Working at lists: reads the rows of a record, and writes what differs row by row. What that is, `rows.rs` says.

use super::fields::Record;
use super::rows::{self, RowWrite, rows_query};
use super::rule::RightSight;
use super::values::Body;
use super::work::{Break, Job};
use crate::run::calls::CallKind;
use crate::systems::{Payload, RecordKey, Table};

impl Job<'_> {
    /// Reads the rows that lead to a right record, and takes both in.
    pub(super) async fn right_as_it_is(&self, id: &str, raw: &str) -> Result<(Record, RightSight), Break> {
        let flow = self.shared.flow();
        let mut lists = Vec::with_capacity(flow.rows.len());
        for rows in &flow.rows {
            let query = rows_query(rows);
            let found = self.answer(CallKind::Look, None, self.shared.right.source.children(&query, &rows.lookup, id).await)?;
            lists.push(found.iter().map(|row| row.get().to_owned()).collect());
        }
        Ok(self.shared.reading().right(raw, &lists)?)
    }

    /// What is to be written to the tables of lists, each with its list.
    pub(super) fn row_writes(&self, fields: &[usize], left: &Record, right: &Record, id: &str) -> Vec<(usize, Vec<RowWrite>)> {
        let place = |field: &usize| self.shared.fields.list.get(*field).and_then(|field| field.list);
        let lists = fields.iter().filter_map(place).filter_map(|list| {
            let rows = self.shared.flow().rows.get(list)?;
            Some((list, rows::writes(rows, left.lists.get(list)?, right.lists.get(list)?, id, &self.shared.printer)))
        });
        lists.collect()
    }

    /// Writes what lists are missing in their tables; the rows lead to this record.
    pub(super) async fn write_rows(&mut self, lists: Vec<(usize, Vec<RowWrite>)>, id: &str) -> Result<(), Break> {
        let shared = self.shared;
        let target = &shared.right.target;
        for (list, writes) in lists {
            let Some(rows) = shared.flow().rows.get(list) else { continue };
            let (table, attribute) = (Table { name: rows.name(), collection: &rows.collection }, rows.primary_key.as_str());
            for write in writes {
                match write {
                    RowWrite::Create { body } => {
                        let mut body = Body::read(&body);
                        let parent = format!("/{}({id})", shared.flow().right.collection);
                        body.set_text(&format!("{}@odata.bind", rows.navigation), &parent);
                        let body = body.to_json();
                        let answer = target.create(table, attribute, Payload::from(&body)).await;
                        self.created(CallKind::Create, body, answer)?;
                    }
                    RowWrite::Update { id, body } => {
                        let key = RecordKey { table, attribute, value: &id };
                        let answer = target.update(key, Payload::from(&body), None).await;
                        self.answer(CallKind::Update, Some(body), answer)?;
                    }
                    RowWrite::Delete { id } => {
                        let answer = target.delete(RecordKey { table, attribute, value: &id }).await;
                        self.answer(CallKind::Delete, None, answer)?;
                    }
                }
                self.written += 1;
            }
        }
        Ok(())
    }
}
