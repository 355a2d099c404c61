//! Compiling a text in a test, with the built-in schemas and a few custom fields.

use std::sync::OnceLock;

use d365map::check::{Compiled, Input, TableFile, TableFiles, compile, compile_project};
use d365map::diagnostics::Levels;
use d365map::diagnostics::render::{Format, Style, render};
use d365map::eval::{Evaluated, Evaluator};
use d365map::plan::ExecutionPlan;
use d365map::schema::{Catalogue, Field, FieldType, Provenance, SystemId, Table, TableId};
use d365map::time;

/// The built-in tables with those of `tests/data/schemas`; the profile has custom fields of several types, the contact a field that cannot be read and one of
/// an unknown type.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schemas");
        let mut catalogue = Catalogue::with_dir(&folder).expect("the schemas of the tests");
        let mut profile = table(&catalogue, SystemId::Campaign, "profile");
        for (name, ty, required) in [
            ("cusCreditLimit", FieldType::Double, false),
            ("cusPoints", FieldType::Integer { min: -2_147_483_648, max: 2_147_483_647 }, false),
            ("cusDisplayName", FieldType::Text { max: Some(100) }, false),
            ("cusOrigin", FieldType::Text { max: Some(20) }, false),
            ("cusNote", FieldType::Text { max: None }, false),
            ("cusSince", FieldType::DateTime, false),
            ("cusRequired", FieldType::Text { max: Some(50) }, true),
        ] {
            profile.fields.insert(name.to_owned(), field(name, ty, required, true));
        }
        let link = FieldType::Link { target: Some("cusAccount".to_owned()) };
        profile.fields.insert("cusAccount".to_owned(), field("cusAccount", link, false, true));
        let unit = FieldType::Link { target: Some("orgUnitBase".to_owned()) };
        profile.fields.insert("orgUnit".to_owned(), field("orgUnit", unit, false, true));
        catalogue.insert(profile);
        let mut contact = table(&catalogue, SystemId::D365, "contact");
        contact.fields.insert("photodata".to_owned(), field("photodata", FieldType::Text { max: Some(50) }, false, false));
        contact.fields.insert("entityimage_url".to_owned(), field("entityimage_url", FieldType::Unsupported, false, true));
        let old =
            Field { deprecated: Some("use `new_code`".to_owned()), ..field("new_oldcode", FieldType::Text { max: Some(10) }, false, true) };
        contact.fields.insert("new_oldcode".to_owned(), old);
        contact.fields.insert("new_meeting".to_owned(), field("new_meeting", FieldType::LocalDateTime, false, true));
        contact.fields.insert("new_weight".to_owned(), field("new_weight", FieldType::Double, false, true));
        let options = [(1, "Tea"), (9, "Coffee")].map(|(value, label)| d365map::schema::Choice { value, label: label.to_owned() });
        let set = d365map::schema::ChoiceSet { options: options.to_vec() };
        let stages = [(1, "In Progress"), (2, "In Progress"), (3, "Done")]
            .map(|(value, label)| d365map::schema::Choice { value, label: label.to_owned() });
        let stages = d365map::schema::ChoiceSet { options: stages.to_vec() };
        contact.fields.insert("new_stage".to_owned(), field("new_stage", FieldType::Choice(stages.into()), false, true));
        let channels = [(1, "fax"), (2, "Letter")].map(|(value, label)| d365map::schema::Choice { value, label: label.to_owned() });
        let channels = d365map::schema::ChoiceSet { options: channels.to_vec() };
        contact.fields.insert("new_channel".to_owned(), field("new_channel", FieldType::Choice(channels.into()), false, true));
        contact.fields.insert("new_drinks".to_owned(), field("new_drinks", FieldType::MultiChoice(set.into()), false, true));
        catalogue.insert(contact);
        let mut lead = table(&catalogue, SystemId::D365, "contact");
        lead.id = TableId::new(SystemId::D365, "lead");
        catalogue.insert(lead);
        catalogue
    })
}

fn table(catalogue: &Catalogue, system: SystemId, name: &str) -> Table {
    let id = TableId::new(system, name);
    catalogue.get(&id).unwrap_or_else(|| panic!("{id} is not built in")).as_ref().clone()
}

fn field(name: &str, ty: FieldType, required: bool, readable: bool) -> Field {
    Field {
        name: name.to_owned(),
        label: None,
        ty,
        vendor_type: "custom".to_owned(),
        required,
        readable,
        creatable: true,
        updatable: true,
        aliases: Vec::new(),
        wire: None,
        provenance: Provenance::Declared,
        deprecated: None,
        derived: None,
    }
}

/// The files of `tests/data/tables` in the folder of the mapping file, and one with too many rows.
pub fn table_files() -> &'static TableFiles {
    static FILES: OnceLock<TableFiles> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tables");
        let entries = std::fs::read_dir(folder).expect("the tables of the tests").flatten();
        let file = |entry: std::fs::DirEntry| {
            let name = format!("mappings/tables/{}", entry.file_name().to_string_lossy());
            (name, TableFile::Bytes(std::fs::read(entry.path()).expect("a table").into()))
        };
        let mut files: TableFiles = entries.map(file).collect();
        let rows: String = (0..=100_000).map(|n| format!("{n},x\n")).collect();
        files.insert("mappings/tables/too-many.csv".to_owned(), TableFile::Bytes(format!("code,label\n{rows}").into_bytes().into()));
        files
    })
}

/// Compiles one file.
pub fn compiled(text: &str) -> Compiled {
    let input = Input { name: "mappings/test.d365map".to_owned(), bytes: text.as_bytes().to_vec() };
    compile_project(vec![input], table_files(), catalogue(), &Levels::new())
}

/// Compiles one file with tables that are given by their names and texts.
pub fn compiled_with_tables(text: &str, tables: &[(&str, &str)]) -> Compiled {
    let input = Input { name: "mappings/test.d365map".to_owned(), bytes: text.as_bytes().to_vec() };
    let file = |(name, text): &(&str, &str)| (format!("mappings/{name}"), TableFile::Bytes(text.as_bytes().into()));
    compile_project(vec![input], &tables.iter().map(file).collect(), catalogue(), &Levels::new())
}

/// Compiles several files of one folder, each given by its name and its text.
pub fn compiled_files(files: &[(&str, &str)]) -> Compiled {
    let input = |(name, text): &(&str, &str)| Input { name: (*name).to_owned(), bytes: text.as_bytes().to_vec() };
    compile(files.iter().map(input).collect(), catalogue())
}

/// Entries as a whole file, unless they are one already.
pub fn whole(text: &str) -> String {
    if text.contains("mapping ") || text.trim().is_empty() || text.trim_start().starts_with('#') && !text.contains("->") {
        return text.to_owned();
    }
    if ["optout", "events", "let ", "include", "test "].iter().any(|word| text.starts_with(word)) {
        return text.to_owned();
    }
    let key = if text.lines().any(|l| l.trim_start().starts_with("key ")) { "" } else { "  key contactid -> externalId\n" };
    let field = if text.contains("->") { "" } else { "  lastname -> lastName\n" };
    let body: String = text.lines().map(|l| if l.is_empty() { "\n".to_owned() } else { format!("  {l}\n") }).collect();
    format!("mapping contacts: d365.contact -> campaign.profile {{\n{key}{field}{body}}}\n")
}

/// The findings as people see them.
pub fn rendered(text: &str) -> String {
    let compiled = compiled(text);
    render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN)
}

/// The codes that are found, each once.
pub fn codes(text: &str) -> Vec<&'static str> {
    let mut codes: Vec<&str> = compiled(text).diagnostics.iter().map(|d| d.code.name()).collect();
    codes.dedup();
    codes
}

/// The plan of entries; the findings where there is none.
pub fn plan(text: &str) -> ExecutionPlan {
    let text = whole(text);
    let compiled = compiled(&text);
    let findings = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
    compiled.plan.unwrap_or_else(|| panic!("{findings}"))
}

/// What a record comes to: the target record without its key, `"filtered"`, or the rejection.
pub fn map(entries: &str, record: serde_json::Value) -> serde_json::Value {
    map_text(entries, &with_id(record).to_string())
}

fn with_id(mut record: serde_json::Value) -> serde_json::Value {
    if record.get("contactid").is_none() {
        record["contactid"] = "8f1d0000-0000-4000-8000-000000000001".into();
    }
    record
}

/// As [`map`], for the text of a record as it is.
pub fn map_text(entries: &str, record: &str) -> serde_json::Value {
    let plan = plan(entries);
    let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
    let now = time::parse_instant("2026-11-21T12:00:00Z").expect("an instant");
    match evaluator.evaluate(record, now) {
        Evaluated::Mapped(mapped) => {
            let mut out = String::new();
            mapped.write_json(&mut out);
            let mut value: serde_json::Value = serde_json::from_str(&out).expect("the evaluator writes JSON");
            value.as_object_mut().expect("an object").remove("externalId");
            value
        }
        Evaluated::Filtered { .. } => "filtered".into(),
        Evaluated::Rejected(r) => format!("{} {} line {}: {}", r.code, r.field, r.at.line, r.message).into(),
    }
}

/// The codes that are found against other tables.
pub fn codes_with(text: &str, catalogue: &Catalogue) -> Vec<&'static str> {
    let input = Input { name: "mappings/test.d365map".to_owned(), bytes: text.as_bytes().to_vec() };
    compile(vec![input], catalogue).diagnostics.iter().map(|d| d.code.name()).collect()
}

/// With this many lookups from orders to accounts, and links for them.
pub fn with_links(count: usize) -> Catalogue {
    let mut catalogue = catalogue().clone();
    let (mut from, mut to) = (table(&catalogue, SystemId::D365, "new_order"), table(&catalogue, SystemId::Campaign, "cusOrder"));
    for i in 0..count {
        let targets = vec![d365map::schema::LookupTarget { table: "account".to_owned(), navigation: None }];
        let name = format!("new_link{i}");
        from.fields.insert(name.clone(), field(&name, FieldType::Lookup { targets }, false, true));
        let name = format!("cusLink{i}");
        to.fields.insert(name.clone(), field(&name, FieldType::Link { target: Some("cusAccount".to_owned()) }, false, true));
    }
    catalogue.insert(from);
    catalogue.insert(to);
    catalogue
}

/// With this many more columns of an account's resource.
pub fn with_columns(count: usize) -> Catalogue {
    let mut catalogue = catalogue().clone();
    let mut to = table(&catalogue, SystemId::Campaign, "cusAccount");
    for i in 0..count {
        let name = format!("cusColumn{i}");
        to.fields.insert(name.clone(), field(&name, FieldType::Text { max: Some(10) }, false, true));
    }
    catalogue.insert(to);
    catalogue
}

/// With this many custom entities and resources.
pub fn with_entities(count: usize) -> Catalogue {
    let mut catalogue = catalogue().clone();
    for i in 0..count {
        let mut from = table(&catalogue, SystemId::D365, "new_detail");
        from.id = TableId::new(SystemId::D365, format!("new_e{i}"));
        from.primary_key = "new_eid".to_owned();
        from.fields.insert("new_eid".to_owned(), field("new_eid", FieldType::Guid, false, true));
        let mut to = table(&catalogue, SystemId::Campaign, "cusDetail");
        to.id = TableId::new(SystemId::Campaign, format!("cusE{i}"));
        to.alternate_keys = vec![d365map::schema::AlternateKey { name: "key".to_owned(), fields: vec!["cusEId".to_owned()] }];
        to.fields.insert("cusEId".to_owned(), field("cusEId", FieldType::Text { max: Some(50) }, false, true));
        catalogue.insert(from);
        catalogue.insert(to);
    }
    catalogue
}
