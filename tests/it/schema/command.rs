//! `schema show` and `schema pull` as they are called.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use d365map::app::metadata::{Source, Status, pull};
use d365map::app::{MetadataError, PullError};
use d365map::connect::ConnectError;
use d365map::schema::pull::DataverseDocuments;
use d365map::schema::{Catalogue, Change, SchemaFolder, SystemId, TableId};
use serde_json::{Value, json};

fn call(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_d365map")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_table_is_shown_in_three_formats() {
    let folder = tempfile::tempdir().unwrap();
    let human = call(folder.path(), &["schema", "show", "d365.contact"]);
    assert!(human.status.success());
    assert!(text(&human.stdout).contains("parentcustomerid_account"));
    let yaml = call(folder.path(), &["schema", "show", "d365.contact", "--format", "yaml"]);
    assert!(text(&yaml.stdout).starts_with("version: 1\ntable: d365.contact\n"));
    let json = call(folder.path(), &["schema", "show", "campaign.profile", "--format", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["fields"]["location"]["fields"]["city"]["type"], "string");
}

#[test]
fn without_a_table_the_tables_are_listed_and_an_unknown_one_is_answered_with_a_near_one() {
    let folder = tempfile::tempdir().unwrap();
    let list = text(&call(folder.path(), &["schema", "show"]).stdout);
    assert!(list.contains("d365.contact") && list.contains("campaign.profile"), "{list}");
    for (typed, near) in [("d365.contcat", "d365.contact"), ("contact", "d365.contact"), ("campaign.profil", "campaign.profile")] {
        let output = call(folder.path(), &["schema", "show", typed]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(&format!("Did you mean {near}?")), "{}", text(&output.stderr));
    }
}

#[test]
fn a_faulty_schema_file_is_shown_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("d365map.yaml"), "version: 1\n").unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(
        folder.path().join("schemas/a.yaml"),
        "version: 1\ntable: d365.contact\nextends: built-in\nfields:\n  a: { type: strin }\n",
    )
    .unwrap();
    let output = call(folder.path(), &["schema", "show"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("`strin` is not a type") && error.contains("a.yaml:5") && error.contains("did you mean `string`?"), "{error}");
}

/// Documents by table.
struct Documents(Vec<(&'static str, Value)>);

impl Source for Documents {
    fn dataverse(&self, table: &str) -> Result<DataverseDocuments, MetadataError> {
        let attributes = self.campaign(table)?;
        let definition = json!({"LogicalName": table, "EntitySetName": format!("{table}s"), "PrimaryIdAttribute": format!("{table}id")});
        Ok(DataverseDocuments { definition, attributes, ..DataverseDocuments::default() })
    }

    /// `gone` stands for a table that the service does not have; another unknown table for a service that fails.
    fn campaign(&self, resource: &str) -> Result<Value, MetadataError> {
        if resource == "gone" {
            return Err(MetadataError::NoSuchTable("404: no such table".to_owned()));
        }
        let found = self.0.iter().find(|(name, _)| *name == resource).map(|(_, v)| v.clone());
        found
            .ok_or_else(|| MetadataError::Connect(ConnectError::Config { problem: "no answer".to_owned(), remedy: "ask again".to_owned() }))
    }
}

fn account(columns: &[&str]) -> Documents {
    let own = columns.iter().map(|c| json!({"LogicalName": c, "AttributeType": "String"}));
    Documents(vec![(
        "account",
        std::iter::once(json!({"LogicalName": "accountid", "AttributeType": "Uniqueidentifier"})).chain(own).collect(),
    )])
}

fn tables(ids: &[(SystemId, &str)]) -> BTreeSet<TableId> {
    ids.iter().map(|(system, name)| TableId::new(*system, *name)).collect()
}

#[test]
fn a_pull_writes_a_file_that_the_catalogue_reads_and_tells_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("schemas");
    let wanted = tables(&[(SystemId::D365, "account")]);
    let first = pull(&account(&["name"]), &wanted, SchemaFolder::alone(&dir), false, false).unwrap();
    assert_eq!((first[0].status, first[0].path.as_path()), (Status::Created, dir.join("d365.account.yaml").as_path()));
    let id = TableId::new(SystemId::D365, "account");
    assert_eq!(Catalogue::with_dir(&dir).unwrap().get(&id).unwrap().fields.len(), 2);
    let again = pull(&account(&["name"]), &wanted, SchemaFolder::alone(&dir), false, false).unwrap();
    assert_eq!((again[0].status, again[0].changes.len()), (Status::Unchanged, 0));
    let dry = pull(&account(&["city"]), &wanted, SchemaFolder::alone(&dir), false, true).unwrap();
    assert_eq!((dry[0].status, &dry[0].changes), (Status::Updated, &vec![Change::Added("city".into()), Change::Removed("name".into())]));
    assert!(Catalogue::with_dir(&dir).unwrap().get(&id).unwrap().fields.contains_key("name"), "a dry run writes nothing");
    pull(&account(&["city"]), &wanted, SchemaFolder::alone(&dir), false, false).unwrap();
    assert!(Catalogue::with_dir(&dir).unwrap().get(&id).unwrap().fields.contains_key("city"));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_pull_that_fails_for_one_table_writes_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = pull(
        &account(&[]),
        &tables(&[(SystemId::D365, "account"), (SystemId::D365, "lead")]),
        SchemaFolder::alone(folder.path()),
        false,
        false,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "d365.lead: no answer; ask again");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_table_that_the_service_does_not_have_is_reported_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let old = "version: 1\ntable: d365.gone\nlabel: Gone\ncollection: gones\nprimary-key: goneid\nfields: { goneid: { type: guid } }\n";
    let path = folder.path().join("d365.gone.yaml");
    std::fs::write(&path, old).unwrap();
    let wanted = tables(&[(SystemId::D365, "account"), (SystemId::D365, "gone")]);
    let outcome = pull(&account(&["name"]), &wanted, SchemaFolder::alone(folder.path()), false, false).unwrap();
    let found: Vec<_> = outcome.iter().map(|o| (o.table.name.as_str(), o.status, o.notes.clone())).collect();
    let missing = vec!["404: no such table".to_owned()];
    assert_eq!(found, [("account", Status::Created, Vec::new()), ("gone", Status::Missing, missing)]);
    assert!(folder.path().join("d365.account.yaml").exists());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), old, "the file of a missing table stays as it is");
}

#[test]
fn lengths_and_keys_that_campaign_does_not_tell_stay_as_the_file_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let resource = |more: &str| {
        let mut content = json!({"cusId": {"type": "string"}, "cusName": {"type": "string"}, "cusText": {"type": "string", "length": 20}});
        if !more.is_empty() {
            content[more] = json!({"type": "string"});
        }
        Documents(vec![("cusOrder", json!({"label": "Order", "name": "cusOrder", "content": content}))])
    };
    let wanted = tables(&[(SystemId::Campaign, "cusOrder")]);
    let path = pull(&resource(""), &wanted, SchemaFolder::alone(folder.path()), false, false).unwrap().remove(0).path;
    let by_hand = std::fs::read_to_string(&path)
        .unwrap()
        .replace("primary-key: PKey\n", "primary-key: PKey\nalternate-keys: { key: [cusId] }\n")
        .replace("cusName: { type: string }", "cusName: { type: string, max: 40 }")
        .replace("max: 20", "max: 30");
    std::fs::write(&path, by_hand).unwrap();
    for more in ["", "cusNew"] {
        let outcome = pull(&resource(more), &wanted, SchemaFolder::alone(folder.path()), false, false).unwrap();
        assert_eq!(outcome[0].status, Status::Updated, "{more}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("alternate-keys: { key: [cusId] }"), "{text}");
        assert!(text.contains("cusName: { type: string, max: 40 }"), "{text}");
        assert!(text.contains("max: 20"), "what the metadata tells counts: {text}");
    }
}

#[test]
fn a_pull_does_not_write_over_what_was_written_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let hand = "version: 1\ntable: d365.contact\nextends: built-in\nfields: { new_a: { type: string } }\n";
    let path = folder.path().join("own.yaml");
    std::fs::write(&path, hand).unwrap();
    let source = Documents(vec![("contact", json!([{"LogicalName": "contactid", "AttributeType": "Uniqueidentifier"}]))]);
    let wanted = tables(&[(SystemId::D365, "contact")]);
    assert!(matches!(pull(&source, &wanted, SchemaFolder::alone(folder.path()), false, false), Err(PullError::ByHand(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), hand);
    let outcome = pull(&source, &wanted, SchemaFolder::alone(folder.path()), true, false).unwrap();
    assert_eq!((outcome[0].status, outcome[0].path.as_path()), (Status::Updated, path.as_path()));
}
