//! Lists and the rows of a table: what is compared, and what is written.

use super::super::rows::{List, RowWrite, items_of, row_id, same, writes};
use crate::check::{Input, compile};
use crate::plan::LinkedRows;
use crate::schema::Catalogue;
use crate::store::in_memory;

const MAPPING: &str = "mapping referrals: partner.referral <-> d365.opportunity {
  key id <-> msft_microsoftpartnercenterreferralidentifier
  rows details.requirements.solutions: d365.msft_microsoftpartnercentersolution by msft_opportunityid {
    key id <-> msft_solutionid
    name -> msft_name | truncate(200)
    name <- msft_name
  }
}";

fn rows() -> LinkedRows {
    let input = Input { name: "referrals.d365map".to_owned(), bytes: MAPPING.as_bytes().to_vec() };
    compile(vec![input], Catalogue::builtin()).plan.expect("a plan").two_way.remove(0).rows.remove(0)
}

fn left(rows: &LinkedRows, items: &str) -> List {
    let raw = format!(r#"{{"details":{{"requirements":{{"solutions":{items}}}}}}}"#);
    List::of_items(rows, &raw, crate::time::now()).ok().expect("items")
}

fn right(rows: &LinkedRows, of: &[(&str, &str)]) -> List {
    let raw = |(number, (id, name)): (usize, &(&str, &str))| {
        format!(r#"{{"msft_microsoftpartnercentersolutionid":"row {number}","msft_solutionid":"{id}","msft_name":"{name}"}}"#)
    };
    let raws: Vec<String> = of.iter().enumerate().map(raw).collect();
    List::of_rows(rows, &raws, crate::time::now()).ok().expect("rows")
}

#[test]
fn lists_are_compared_by_the_keys_of_their_items_whatever_their_order() {
    let rows = rows();
    let items = left(&rows, r#"[{"id":"B","name":"b"},{"id":"A","name":"a","price":5}]"#);
    assert!(same(&rows, &items, &right(&rows, &[("A", "a"), ("B", "b")])));
    assert!(!same(&rows, &items, &right(&rows, &[("A", "a"), ("B", "other")])));
    assert!(!same(&rows, &items, &right(&rows, &[("A", "a")])));
    assert_eq!(left(&rows, "[]").shown().as_deref(), Some("null"), "an empty list is an empty value");
    assert_eq!(left(&rows, "null").shown(), left(&rows, "[]").shown());
    assert_eq!(left(&rows, r#"[{"id":"A","name":"a"},{"id":"A","name":"z"},{"id":""},{"name":"n"}]"#).items.len(), 1);
}

#[tokio::test]
async fn only_what_differs_is_written_to_the_rows() {
    let rows = rows();
    let printer = in_memory().unwrap().pairs.fingerprinter().await.unwrap();
    let items = left(&rows, r#"[{"id":"A","name":"a"},{"id":"B","name":"new name"},{"id":"C","name":"c"}]"#);
    let there = right(&rows, &[("A", "a"), ("B", "b"), ("D", "d")]);
    let found = writes(&rows, &items, &there, "opportunity", &printer);
    let id = row_id(&printer, &rows.table, &["opportunity", "C"]);
    assert_eq!(
        found,
        [
            RowWrite::Update { id: "row 1".to_owned(), body: r#"{"msft_name":"new name"}"#.to_owned() },
            RowWrite::Create {
                body: format!(r#"{{"msft_solutionid":"C","msft_name":"c","msft_microsoftpartnercentersolutionid":"{id}"}}"#)
            },
            RowWrite::Delete { id: "row 2".to_owned() },
        ]
    );
    assert_eq!(id, row_id(&printer, &rows.table, &["opportunity", "C"]), "a create that is sent again meets itself");
    assert_ne!(id, row_id(&printer, &rows.table, &["opportunit", "yC"]));
}

#[test]
fn what_the_mapping_does_not_know_of_an_item_stays_when_the_list_is_replaced() {
    let rows = rows();
    let items = left(&rows, r#"[{"id":"A","name":"a","price":5.10,"type":"Name"},{"id":"B","name":"b"}]"#);
    let json = items_of(&rows, &right(&rows, &[("A", "x"), ("C", "c")]), Some(&items));
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found, serde_json::json!([{"id": "A", "name": "x", "price": 5.10, "type": "Name"}, {"id": "C", "name": "c"}]));
    assert!(json.contains("5.10"), "numbers keep their digits: {json}");
}
