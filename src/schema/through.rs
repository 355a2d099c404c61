//! Paths that lead through lookups to columns of other tables: `owninguser.fullname`, `parentcustomerid.account.name`. For those who
//! look at half-written or faulty files; the checker knows more about what is wrong with a path.

use super::catalogue::Catalogue;
use super::model::{Field, FieldType, LookupTarget, SystemId, Table, TableId};

/// Where a path of lookups leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leads<'c> {
    /// To rows of a table.
    Table(&'c Table),
    /// To rows of one of these tables, one of which the path has to name.
    OneOf(&'c [LookupTarget]),
}

impl Catalogue {
    /// Where the lookups of a path lead; `None` if one of its names is not a lookup, or points to a table that is not known.
    pub fn leads<'c>(&'c self, table: &'c Table, path: &[&str]) -> Option<Leads<'c>> {
        let mut table = table;
        let mut names = path.iter();
        while let Some(name) = names.next() {
            let FieldType::Lookup { targets } = &table.field(&[name])?.ty else { return None };
            let target = match targets.as_slice() {
                [only] => only,
                several => match names.next() {
                    Some(named) => several.iter().find(|target| target.table == *named)?,
                    None => return Some(Leads::OneOf(several)),
                },
            };
            table = self.get(&TableId::new(SystemId::D365, target.table.clone()))?;
        }
        Some(Leads::Table(table))
    }

    /// The column that a path names: one of the table itself, or one of a table that lookups point to. With the column's table.
    pub fn column<'c>(&'c self, table: &'c Table, path: &[&str]) -> Option<(&'c Table, &'c Field)> {
        if let Some(field) = table.field(path) {
            return Some((table, field));
        }
        let (name, lookups) = path.split_last()?;
        match self.leads(table, lookups)? {
            Leads::Table(table) => Some((table, table.field(&[name])?)),
            Leads::OneOf(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_through_lookups_and_names_the_table_if_there_are_several() {
        let catalogue = Catalogue::builtin();
        let contact = catalogue.get(&TableId::new(SystemId::D365, "contact")).unwrap();
        let column = |path: &str| {
            let path: Vec<&str> = path.split('.').collect();
            catalogue.column(contact, &path).map(|(table, field)| format!("{}.{}", table.id, field.name))
        };
        assert_eq!(column("lastname").as_deref(), Some("d365.contact.lastname"));
        assert_eq!(column("owninguser.fullname").as_deref(), Some("d365.systemuser.fullname"));
        assert_eq!(column("parentcustomerid.account.name").as_deref(), Some("d365.account.name"));
        assert_eq!(column("masterid.owninguser.fullname").as_deref(), Some("d365.systemuser.fullname"));
        for wrong in ["parentcustomerid.name", "lastname.name", "owningteam.name", "owninguser.nothing"] {
            assert_eq!(column(wrong), None, "{wrong}");
        }
        assert!(matches!(catalogue.leads(contact, &["parentcustomerid"]), Some(Leads::OneOf(targets)) if targets.len() == 2));
    }
}
