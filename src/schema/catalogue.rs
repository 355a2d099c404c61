//! temporary
use super::*;
use std::collections::BTreeMap;
use std::sync::Arc;
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    tables: BTreeMap<TableId, Arc<Table>>,
}
impl Catalogue {
    pub fn get(&self, id: &TableId) -> Option<&Arc<Table>> {
        self.tables.get(id)
    }
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }
    pub fn insert(&mut self, table: Table) {
        self.tables.insert(table.id.clone(), Arc::new(table));
    }
}
