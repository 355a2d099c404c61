//! Our Dataverse connector against an OData V4 server that is not ours: SAP's CAP with SQLite.

use d365map::connect::ConnectError;
use d365map::systems::dataverse::value::{ColumnValue, body};
use d365map::systems::dataverse::{
    Condition, Dataverse, DataverseConfig, Entity, KeyValue, Operation, Outcome, Page, PageRequest, Part, PartOutcome, Query, Row, RowKey,
    text_literal,
};
use serde_json::Value;
use uuid::Uuid;

use super::{http, secret, server};

fn connected() -> Dataverse {
    let config = DataverseConfig {
        url: server("D365MAP_INTEROP_ODATA"),
        token_url: server("D365MAP_INTEROP_OAUTH").join("/token").unwrap(),
        client_id: "client".to_owned(),
        credential: secret("right").into(),
    };
    Dataverse::new(http(), config).unwrap()
}

fn contacts() -> Entity {
    Entity::new("contacts", "contact", "contactid")
}

fn accounts() -> Entity {
    Entity::new("accounts", "account", "accountid")
}

fn text(value: impl Into<String>) -> ColumnValue {
    ColumnValue::Text(value.into())
}

/// A mark by which a test knows its own rows.
fn mark() -> String {
    Uuid::new_v4().simple().to_string()
}

fn person(mark: &str, number: usize) -> String {
    body([
        ("firstname", text(mark)),
        ("lastname", text(format!("n{number:04}"))),
        ("emailaddress1", text(format!("{mark}-{number}@example.org"))),
    ])
}

fn rows(page: &Page) -> Vec<Value> {
    page.rows
        .iter()
        .map(|row| match row {
            Row::Changed(raw) => serde_json::from_str(raw.get()).unwrap(),
            Row::Deleted { id, .. } => panic!("{id} is reported as deleted"),
            Row::Unusable { .. } => panic!("a row cannot be used"),
        })
        .collect()
}

async fn selected(dataverse: &Dataverse, query: Query) -> Vec<Value> {
    let mut found = Vec::new();
    let mut request = PageRequest::First(query);
    for _ in 0..20 {
        let page = dataverse.page(&request).await.unwrap();
        found.extend(rows(&page));
        let Some(link) = page.next else { return found };
        request = PageRequest::Follow { link, page_size: 50 };
    }
    panic!("paging does not end");
}

async fn row(dataverse: &Dataverse, id: Uuid) -> Option<Value> {
    dataverse.row(&contacts(), &RowKey::Id(id), &[], false).await.unwrap()
}

fn query(mark: &str, select: &[&str]) -> Query {
    let select = select.iter().map(|s| (*s).to_owned()).collect();
    Query::of("contacts", select, 50).filtered(format!("firstname eq {}", text_literal(mark)))
}

#[tokio::test]
async fn a_row_is_made_read_changed_and_deleted() {
    let dataverse = connected();
    let mark = mark();
    let given = body([
        ("firstname", text("Zoë \"O'Brien\"\\\n")),
        ("lastname", text("名")),
        ("emailaddress1", text(format!("{mark}@example.org"))),
        ("creditlimit", ColumnValue::Decimal("12345678901.1234".parse().unwrap())),
        ("numberofchildren", ColumnValue::Integer(2)),
        ("donotemail", ColumnValue::Boolean(true)),
        ("birthdate", ColumnValue::Date("1980-10-24".parse().unwrap())),
    ]);
    let id = dataverse.create(&contacts(), &given).await.unwrap();
    let made = row(&dataverse, id).await.unwrap();
    let expected: Value = serde_json::from_str(&given).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(made[name], *value, "{name}");
    }
    let change = body([("firstname", ColumnValue::Null), ("numberofchildren", ColumnValue::Integer(3))]);
    let outcome = dataverse.write(&contacts(), &RowKey::Id(id), &change, &Condition::Exists).await.unwrap();
    assert_eq!(outcome, Outcome::Updated { id: Some(id) });
    let changed = row(&dataverse, id).await.unwrap();
    assert_eq!(
        (&changed["firstname"], &changed["numberofchildren"], &changed["lastname"]),
        (&Value::Null, &Value::from(3), &Value::from("名"))
    );
    assert_eq!(dataverse.delete(&contacts(), &RowKey::Id(id), None).await.unwrap(), Outcome::Written);
    // Which of the two is missing, row or table, Dataverse shows by separate codes; without it neither is assumed.
    let error = dataverse.row(&contacts(), &RowKey::Id(id), &[], false).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotFound { .. }), "{error}");
    let error = dataverse.delete(&contacts(), &RowKey::Id(id), None).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn pages_are_followed_to_the_last_with_each_row_once() {
    let dataverse = connected();
    let mark = mark();
    let operations = (0..120).map(|n| Part::Single(Operation::create(&contacts(), person(&mark, n)))).collect::<Vec<_>>();
    let outcomes = dataverse.batch(&operations, false).await.unwrap();
    assert!(outcomes.iter().all(|o| matches!(o, PartOutcome::Done(_))), "{outcomes:?}");
    let first = dataverse.page(&PageRequest::First(query(&mark, &["contactid", "lastname"]))).await.unwrap();
    assert_eq!((first.rows.len(), first.next.is_some(), first.delta.is_some()), (50, true, false));
    let mut names: Vec<String> = selected(&dataverse, query(&mark, &["contactid", "lastname"]))
        .await
        .iter()
        .map(|r| r["lastname"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, (0..120).map(|n| format!("n{n:04}")).collect::<Vec<_>>());
    assert!(dataverse.count("contacts").await.unwrap() >= 120);
}

#[tokio::test]
async fn filters_orders_and_expansions_mean_what_they_say() {
    let dataverse = connected();
    let mark = mark();
    let account = Uuid::new_v4();
    let named = body([("accountid", text(account.to_string())), ("name", text("A. Datum & Co. (50% off) +'#?"))]);
    assert_eq!(dataverse.create(&accounts(), &named).await.unwrap(), account);
    for number in 0..4 {
        dataverse.create(&contacts(), &person(&mark, number)).await.unwrap();
    }
    let select: &[&str] = &["contactid", "lastname"];
    let with = async |filter: String| {
        let all = format!("firstname eq {} and ({filter})", text_literal(&mark));
        let mut names: Vec<String> = selected(&connected(), Query::of("contacts", vec!["lastname".into()], 50).filtered(all))
            .await
            .iter()
            .map(|r| r["lastname"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(with("lastname eq 'n0001' or lastname gt 'n0002'".into()).await, ["n0001", "n0003"]);
    assert_eq!(with("startswith(lastname,'n000') and not endswith(lastname,'2')".into()).await, ["n0000", "n0001", "n0003"]);
    assert_eq!(with("contains(emailaddress1,'-2@')".into()).await, ["n0002"]);
    assert_eq!(with("createdon gt 2020-01-01T00:00:00Z and birthdate eq null and numberofchildren ne 7".into()).await.len(), 4);

    let ordered = Query { order: Some("lastname desc".into()), ..query(&mark, select) };
    let names: Vec<Value> = selected(&dataverse, ordered).await.iter().map(|r| r["lastname"].clone()).collect();
    assert_eq!(names, ["n0003", "n0002", "n0001", "n0000"]);

    // A link is set by reference, and read with the row it leads to.
    let id: Uuid = selected(&dataverse, query(&mark, select)).await[0]["contactid"].as_str().unwrap().parse().unwrap();
    let bound = format!(r#"{{"parentcustomerid@odata.bind":"/accounts({account})"}}"#);
    dataverse.write(&contacts(), &RowKey::Id(id), &bound, &Condition::Exists).await.unwrap();
    let expanded = Query {
        expand: Some("parentcustomerid($select=accountid,name)".into()),
        filter: Some(format!("parentcustomerid/name eq {}", text_literal("A. Datum & Co. (50% off) +'#?"))),
        ..query(&mark, select)
    };
    let found = selected(&dataverse, expanded).await;
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(found["contactid"], Value::from(id.to_string()));
    assert_eq!(found["parentcustomerid"]["accountid"], Value::from(account.to_string()));
}

#[tokio::test]
async fn an_upsert_makes_a_row_or_changes_it_and_tells_which() {
    let dataverse = connected();
    let (mark, id) = (mark(), Uuid::new_v4());
    let key = RowKey::Id(id);
    let made = dataverse.write(&contacts(), &key, &person(&mark, 1), &Condition::Any).await.unwrap();
    assert_eq!(made, Outcome::Created { id: Some(id) });
    let changed = dataverse.write(&contacts(), &key, &person(&mark, 2), &Condition::Any).await.unwrap();
    assert_eq!(changed, Outcome::Updated { id: Some(id) });
    assert_eq!(selected(&dataverse, query(&mark, &["lastname"])).await.len(), 1);
}

#[tokio::test]
async fn an_alternate_key_that_would_break_an_address_uses_a_filter() {
    let dataverse = connected();
    let mark = mark();
    let email = format!("{mark}+a/b?c&d@example.org");
    let key = RowKey::Alternate(vec![("emailaddress1".into(), KeyValue::Text(email.clone()))]);
    assert_eq!(dataverse.find(&contacts(), &key).await.unwrap(), None);
    let person = |name: &str| body([("firstname", text(&mark)), ("lastname", text(name))]);
    let Outcome::Created { id: Some(id) } = dataverse.write(&contacts(), &key, &person("one"), &Condition::Any).await.unwrap() else {
        panic!("the row was not made");
    };
    assert_eq!(dataverse.find(&contacts(), &key).await.unwrap(), Some(id));
    let outcome = dataverse.write(&contacts(), &key, &person("two"), &Condition::Any).await.unwrap();
    assert_eq!(outcome, Outcome::Updated { id: Some(id) });
    assert_eq!(dataverse.write(&contacts(), &key, &person("three"), &Condition::Absent).await.unwrap(), Outcome::Exists);
    let found = row(&dataverse, id).await.unwrap();
    assert_eq!((found["emailaddress1"].as_str(), found["lastname"].as_str()), (Some(email.as_str()), Some("two")));
}

#[tokio::test]
async fn a_write_that_depends_on_a_version_takes_effect_once() {
    let dataverse = connected();
    let id = Uuid::new_v4();
    let key = RowKey::Id(id);
    dataverse.create(&accounts(), &body([("accountid", text(id.to_string())), ("name", text("one"))])).await.unwrap();
    let version = async || {
        let row = dataverse.row(&accounts(), &key, &[], false).await.unwrap().unwrap();
        row["@odata.etag"].as_str().unwrap().to_owned()
    };
    let first = version().await;
    let named = |name: &str| body([("name", text(name))]);
    let outcome = dataverse.write(&accounts(), &key, &named("two"), &Condition::Version(first.clone())).await.unwrap();
    assert_eq!(outcome, Outcome::Updated { id: Some(id) });
    let error = dataverse.write(&accounts(), &key, &named("three"), &Condition::Version(first.clone())).await.unwrap_err();
    assert_eq!(error.status(), Some(412), "{error}");
    let error = dataverse.delete(&accounts(), &key, Some(&first)).await.unwrap_err();
    assert_eq!(error.status(), Some(412), "{error}");
    let now = version().await;
    assert_ne!(now, first);
    assert_eq!(dataverse.delete(&accounts(), &key, Some(&now)).await.unwrap(), Outcome::Written);
}

#[tokio::test]
async fn a_change_set_is_kept_whole_or_not_at_all() {
    let dataverse = connected();
    let (mark, account) = (mark(), Uuid::new_v4());
    let named = body([("accountid", text(account.to_string())), ("name", text(&mark))]);
    let taken = person(&mark, 0);
    let good = Part::ChangeSet(vec![Operation::create(&accounts(), named), Operation::create(&contacts(), taken.clone())]);
    // The second row of this set has the unique key of one that is there.
    let bad = Part::ChangeSet(vec![Operation::create(&contacts(), person(&mark, 1)), Operation::create(&contacts(), taken)]);
    let read = Part::Single(Operation::get(&accounts(), &RowKey::Id(account), &["name".into()]).unwrap());
    let outcomes = dataverse.batch(&[good, bad, read], true).await.unwrap();
    let [PartOutcome::Done(written), PartOutcome::Failed { .. }, PartOutcome::Done(answers)] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    assert_eq!((written.len(), written[0].id), (2, Some(account)));
    let name: Value = serde_json::from_slice(&answers[0].body).unwrap();
    assert_eq!(name["name"], Value::from(mark.as_str()));
    let kept = selected(&dataverse, query(&mark, &["lastname"])).await;
    assert_eq!(kept.iter().map(|r| r["lastname"].as_str().unwrap()).collect::<Vec<_>>(), ["n0000"], "nothing is left of the second set");
}

#[tokio::test]
async fn a_batch_ends_with_the_first_failure_unless_it_is_to_go_on() {
    let dataverse = connected();
    let mark = mark();
    let gone = Operation::delete(&contacts(), &RowKey::Id(Uuid::new_v4())).unwrap();
    let parts = |from: usize| {
        vec![
            Part::Single(Operation::create(&contacts(), person(&mark, from))),
            Part::Single(gone.clone()),
            Part::Single(Operation::create(&contacts(), person(&mark, from + 1))),
        ]
    };
    let on = dataverse.batch(&parts(0), true).await.unwrap();
    let shapes = |outcomes: &[PartOutcome]| {
        let shape = |o: &PartOutcome| match o {
            PartOutcome::Done(_) => "done",
            PartOutcome::Failed { .. } => "failed",
            PartOutcome::NotBegun => "not begun",
        };
        outcomes.iter().map(shape).collect::<Vec<_>>()
    };
    assert_eq!(shapes(&on), ["done", "failed", "done"], "{on:?}");
    let off = dataverse.batch(&parts(2), false).await.unwrap();
    assert_eq!(shapes(&off), ["done", "failed", "not begun"], "{off:?}");
    assert_eq!(selected(&dataverse, query(&mark, &["lastname"])).await.len(), 3);
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_what_was_not_understood() {
    let dataverse = connected();
    let error = dataverse.page(&PageRequest::First(Query::of("nothings", Vec::new(), 50))).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotFound { .. }), "{error}");
    let error = dataverse.page(&PageRequest::First(Query::of("contacts", Vec::new(), 50).filtered("lastname eq eq"))).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }), "{error}");
    let error = dataverse.page(&PageRequest::First(Query::of("contacts", vec!["nocolumn".into()], 50))).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }), "{error}");
}
