//! Tables of files in a plan: their rows, the index by their keys, and the uses of their columns.
//!
//! The rows of a table are in the plan once, whatever number of fields use them; in memory too, where every use has a reference to
//! them. A use holds a fingerprint of the keys and of its column, so that a mapping counts as changed if what it looks up has changed, and
//! not if another column has.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use hashbrown::{DefaultHashBuilder, HashTable};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{At, OnFailure, Read};
use crate::time::Date;
use crate::unicode::nfc;
use crate::value::{Const, Value};

/// The rows of a table, with the columns that mappings use. The keys are in the form in which the values of fields are compared with them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupTable {
    /// The name in the mapping files.
    pub name: String,
    /// Where it is declared.
    pub at: At,
    /// The file that it was read from, with `/` relative to the project.
    pub file: String,
    /// The key columns. No cell of them is empty, and no two rows have the same keys.
    pub keys: Vec<Column>,
    /// The columns whose values are looked up.
    pub columns: Vec<Column>,
    #[serde(skip)]
    index: OnceLock<Index>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in the file.
    pub name: String,
    /// Its cells, one for each row.
    pub cells: Cells,
}

/// The cells of a column, which have one type; `None` for an empty one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cells {
    /// Texts; those of a key are in normalization form C.
    Texts(Vec<Option<Box<str>>>),
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Decimal numbers.
    Decimals(Vec<Option<Decimal>>),
    /// True or false.
    Booleans(Vec<Option<bool>>),
    /// Days.
    Dates(Vec<Option<Date>>),
}

impl Cells {
    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        match self {
            Cells::Texts(cells) => cells.len(),
            Cells::Integers(cells) => cells.len(),
            Cells::Decimals(cells) => cells.len(),
            Cells::Booleans(cells) => cells.len(),
            Cells::Dates(cells) => cells.len(),
        }
    }

    /// The value of a row.
    pub fn value(&self, row: usize) -> Value<'_> {
        fn at<T: Clone>(cells: &[Option<T>], row: usize) -> Option<T> {
            cells.get(row).and_then(Clone::clone)
        }
        let value = match self {
            Cells::Texts(cells) => cells.get(row).and_then(Option::as_deref).map(|text| Value::Text(text.into())),
            Cells::Integers(cells) => at(cells, row).map(Value::Integer),
            Cells::Decimals(cells) => at(cells, row).map(Value::Decimal),
            Cells::Booleans(cells) => at(cells, row).map(Value::Boolean),
            Cells::Dates(cells) => at(cells, row).map(Value::Date),
        };
        value.unwrap_or(Value::Null)
    }

    /// Adds the cells to a fingerprint, each with its length, so that no two lists give the same bytes.
    fn digest(&self, into: &mut Sha256) {
        let mut add = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => {
                into.update((bytes.len() as u64 + 1).to_le_bytes());
                into.update(bytes);
            }
            None => into.update(0_u64.to_le_bytes()),
        };
        match self {
            Cells::Texts(cells) => cells.iter().for_each(|cell| add(cell.as_ref().map(|text| text.as_bytes()))),
            Cells::Integers(cells) => cells.iter().for_each(|cell| add(cell.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice))),
            Cells::Decimals(cells) => cells.iter().for_each(|cell| add(cell.map(|n| n.serialize()).as_ref().map(<[u8; 16]>::as_slice))),
            Cells::Booleans(cells) => cells.iter().for_each(|cell| add(cell.map(|b| [u8::from(b)]).as_ref().map(<[u8; 1]>::as_slice))),
            Cells::Dates(cells) => cells.iter().for_each(|cell| add(cell.map(|date| date.to_string()).as_deref().map(str::as_bytes))),
        }
        into.update([self.kind()]);
    }

    fn kind(&self) -> u8 {
        match self {
            Cells::Texts(_) => 0,
            Cells::Integers(_) => 1,
            Cells::Decimals(_) => 2,
            Cells::Booleans(_) => 3,
            Cells::Dates(_) => 4,
        }
    }
}

/// A cell or a value as keys are compared.
#[derive(PartialEq, Eq, Hash)]
enum KeyPart<'k> {
    Text(std::borrow::Cow<'k, str>),
    Integer(i64),
    Decimal(Decimal),
    Boolean(bool),
    Date(Date),
}

impl<'k> KeyPart<'k> {
    /// The value of a field, as keys of this column are compared; `None` if no cell can be equal to it.
    fn of_value(value: &'k Value<'_>, cells: &Cells) -> Option<KeyPart<'k>> {
        Some(match (cells, value) {
            (Cells::Texts(_), Value::Text(text)) => KeyPart::Text(nfc(text)),
            (Cells::Integers(_), Value::Integer(n)) => KeyPart::Integer(*n),
            (Cells::Decimals(_), Value::Decimal(n)) => KeyPart::Decimal(*n),
            (Cells::Decimals(_), Value::Integer(n)) => KeyPart::Decimal((*n).into()),
            (Cells::Booleans(_), Value::Boolean(b)) => KeyPart::Boolean(*b),
            (Cells::Dates(_), Value::Date(date)) => KeyPart::Date(*date),
            _ => return None,
        })
    }

    fn of_cell(cells: &'k Cells, row: usize) -> Option<KeyPart<'k>> {
        Some(match cells {
            Cells::Texts(cells) => KeyPart::Text(cells.get(row)?.as_deref()?.into()),
            Cells::Integers(cells) => KeyPart::Integer((*cells.get(row)?)?),
            Cells::Decimals(cells) => KeyPart::Decimal((*cells.get(row)?)?),
            Cells::Booleans(cells) => KeyPart::Boolean((*cells.get(row)?)?),
            Cells::Dates(cells) => KeyPart::Date((*cells.get(row)?)?),
        })
    }
}

/// The rows by their keys.
#[derive(Debug)]
struct Index {
    rows: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Index {
    /// The index of the rows, and the pairs of rows with the same keys: a later one, and the first one.
    fn new(keys: &[Column]) -> (Index, Vec<(usize, usize)>) {
        let count = keys.first().map_or(0, |key| key.cells.row_count());
        let hasher = DefaultHashBuilder::default();
        let mut rows: HashTable<u32> = HashTable::with_capacity(count);
        let mut twice = Vec::new();
        let parts = |row: usize| keys.iter().map(|key| KeyPart::of_cell(&key.cells, row)).collect::<Option<Vec<_>>>();
        for row in 0..count {
            let (Some(key), Ok(number)) = (parts(row), u32::try_from(row)) else { continue };
            let hash = hasher.hash_one(&key);
            let same = |other: &u32| parts(*other as usize).is_some_and(|other| other == key);
            match rows.find(hash, same) {
                Some(first) => twice.push((row, *first as usize)),
                None => {
                    rows.insert_unique(hash, number, |row| hasher.hash_one(parts(*row as usize).unwrap_or_default()));
                }
            }
        }
        (Index { rows, hasher }, twice)
    }
}

impl LookupTable {
    /// A table; without the columns that are looked up, which are added later.
    ///
    /// # Errors
    ///
    /// The pairs of rows that have the same keys: a later one, and the first one.
    pub fn new(name: String, at: At, file: String, keys: Vec<Column>) -> Result<LookupTable, Vec<(usize, usize)>> {
        let (index, twice) = Index::new(&keys);
        if twice.is_empty() {
            Ok(LookupTable { name, at, file, keys, columns: Vec::new(), index: OnceLock::from(index) })
        } else {
            Err(twice)
        }
    }

    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.keys.first().map_or(0, |key| key.cells.row_count())
    }

    /// The row with these keys, of which none is empty.
    pub fn find(&self, values: &[Value<'_>]) -> Option<usize> {
        if values.len() != self.keys.len() {
            return None;
        }
        let index = self.index.get_or_init(|| Index::new(&self.keys).0);
        // Most tables have one key column, and need no list then.
        if let ([value], [key]) = (values, self.keys.as_slice()) {
            let wanted = [KeyPart::of_value(value, &key.cells)?];
            let same = |row: &u32| KeyPart::of_cell(&key.cells, *row as usize).is_some_and(|cell| cell == wanted[0]);
            return index.rows.find(index.hasher.hash_one(wanted.as_slice()), same).map(|row| *row as usize);
        }
        let parts = values.iter().zip(&self.keys).map(|(value, key)| KeyPart::of_value(value, &key.cells));
        let wanted: Vec<KeyPart<'_>> = parts.collect::<Option<_>>()?;
        let cell = |(key, wanted): (&Column, &_), row: usize| KeyPart::of_cell(&key.cells, row).is_some_and(|cell| cell == *wanted);
        let same = |row: &u32| self.keys.iter().zip(&wanted).all(|pair| cell(pair, *row as usize));
        index.rows.find(index.hasher.hash_one(wanted.as_slice()), same).map(|row| *row as usize)
    }

    /// The row with these keys.
    pub fn find_constants(&self, keys: &[Const]) -> Option<usize> {
        let values: Vec<Value<'_>> = keys.iter().map(Value::of).collect();
        self.find(&values)
    }

    /// A fingerprint of the keys and of a column.
    pub fn hash(&self, column: usize) -> String {
        let mut digest = Sha256::new();
        self.keys.iter().for_each(|key| key.cells.digest(&mut digest));
        if let Some(column) = self.columns.get(column) {
            column.cells.digest(&mut digest);
        }
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether every column has a cell for each row.
    pub(super) fn is_whole(&self) -> bool {
        !self.keys.is_empty() && self.keys.iter().chain(&self.columns).all(|column| column.cells.row_count() == self.row_count())
    }
}

impl PartialEq for LookupTable {
    fn eq(&self, other: &LookupTable) -> bool {
        (&self.name, self.at, &self.file, &self.keys, &self.columns) == (&other.name, other.at, &other.file, &other.keys, &other.columns)
    }
}

/// The use of a column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Index into [`super::ExecutionPlan::tables`].
    pub table_index: u32,
    /// Index into [`LookupTable::columns`].
    pub column_index: u32,
    /// The fingerprint of the keys and the column.
    pub hash: String,
    /// The table itself. A plan that was read has it after [`super::ExecutionPlan::from_json`].
    #[serde(skip)]
    pub table: Option<Arc<LookupTable>>,
}

impl Lookup {
    /// The column.
    pub fn column(&self) -> Option<&Column> {
        self.table.as_ref()?.columns.get(self.column_index as usize)
    }

    /// `industries.label`.
    pub fn name(&self) -> String {
        let name = |name: Option<&str>| name.unwrap_or("?").to_owned();
        let column = name(self.column().map(|column| column.name.as_str()));
        format!("{}.{column}", name(self.table.as_ref().map(|table| table.name.as_str())))
    }
}

/// A value that is looked up by the values of several fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupBy {
    /// The call in the mapping file.
    pub at: At,
    /// The column.
    pub lookup: Lookup,
    /// The values of the key columns, in their order.
    pub keys: Vec<Read>,
    /// What happens if no row has these keys; `None` if each has one.
    pub on_failure: Option<OnFailure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: Vec<Cells>) -> Result<LookupTable, Vec<(usize, usize)>> {
        let at = At { file: 0, line: 1, column: 1, start: 0, end: 0 };
        let keys = keys.into_iter().map(|cells| Column { name: "k".to_owned(), cells }).collect();
        LookupTable::new("t".to_owned(), at, "t.csv".to_owned(), keys)
    }

    #[test]
    fn a_row_is_found_by_all_of_its_keys_and_only_by_them() {
        let texts = Cells::Texts(["a", "é", "a"].map(|t| Some(t.into())).to_vec());
        let numbers = Cells::Decimals([1, 1, 2].map(|n| Some(Decimal::from(n))).to_vec());
        let table = table(vec![texts, numbers]).unwrap();
        let find = |text: &str, value: Value<'_>| table.find(&[Value::Text(text.into()), value]);
        assert_eq!(find("a", Value::Integer(1)), Some(0));
        assert_eq!(find("e\u{301}", Value::Decimal(Decimal::new(100, 2))), Some(1));
        assert_eq!(find("a", Value::Integer(2)), Some(2));
        assert_eq!(find("A", Value::Integer(2)), None);
        assert_eq!(find("a", Value::Null), None);
        assert_eq!(table.find(&[Value::Text("a".into())]), None);
    }

    #[test]
    fn rows_with_the_same_keys_are_named_with_the_first_of_them() {
        let twice = table(vec![Cells::Integers([1, 2, 1, 1].map(Some).to_vec())]).map(|_| ()).unwrap_err();
        assert_eq!(twice, [(2, 0), (3, 0)]);
    }

    #[test]
    fn the_fingerprint_changes_with_the_keys_and_the_column() {
        let with = |keys: [&str; 2], values: [Option<&str>; 2]| {
            let mut table = table(vec![Cells::Texts(keys.map(|k| Some(k.into())).to_vec())]).unwrap();
            table.columns.push(Column { name: "v".to_owned(), cells: Cells::Texts(values.map(|v| v.map(Into::into)).to_vec()) });
            table.hash(0)
        };
        let one = with(["ab", "c"], [Some("x"), None]);
        for other in [with(["a", "bc"], [Some("x"), None]), with(["ab", "c"], [None, Some("x")]), with(["c", "ab"], [Some("x"), None])] {
            assert_ne!(one, other);
        }
    }
}
