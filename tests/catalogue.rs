//! The built-in schemas against the vendors' own lists: one trial for each attribute and each rule.
//!
//! The lists are not part of the project. Where one is absent its trials are reported as ignored, never as passed.
//! `D365MAP_BLESS=1 cargo test --test catalogue` rewrites the built-in contact table from the metadata document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use d365map::schema::pull::{DataverseDocuments, dataverse};
use d365map::schema::{Catalogue, Field, FieldType, Provenance, SystemId, Table, TableId, file, write};
use libtest_mimic::{Arguments, Failed, Trial};
use quick_xml::XmlVersion;
use quick_xml::events::Event;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

const CONTACT_XML: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/dataverse/contact.metadata.xml");
const PROFILE_CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/campaign/profile.fields.csv");
const BUILTIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema/builtin");

/// Prefixes of Microsoft's own solutions (portals, marketing, partner management). Other custom columns of the
/// document belong to the organization that it was exported from.
const MICROSOFT: [&str; 4] = ["adx_", "msa_", "msdyn_", "mspp_"];

/// Options that the organization of the document has renamed, with Microsoft's own labels (contact table reference).
const RENAMED: [(&str, &[(i64, &str)]); 1] =
    [("preferredcontactmethodcode", &[(1, "Any"), (2, "Email"), (3, "Phone"), (4, "Fax"), (5, "Mail")])];

/// The options of an attribute as Microsoft ships them.
fn standard_options(attribute: &Xml) -> Vec<(i64, String)> {
    match RENAMED.iter().find(|(name, _)| attribute.get("LogicalName") == Some(name)) {
        Some((_, options)) => options.iter().map(|(value, label)| (*value, (*label).to_owned())).collect(),
        None => attribute.options(),
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    let bless = std::env::var_os("D365MAP_BLESS").is_some();
    if bless {
        // Trials are made from the built-in tables, so the files come first.
        arguments.test_threads = Some(1);
        bless_all();
    }
    let mut trials = Vec::new();
    contact_trials(&mut trials);
    profile_trials(&mut trials);
    libtest_mimic::run(&arguments, trials).exit();
}

fn bless_all() {
    if let Some(root) = metadata() {
        std::fs::write(Path::new(BUILTIN).join("d365.contact.yaml"), write(&generated(&root))).unwrap();
    }
    let path = Path::new(BUILTIN).join("campaign.profile.yaml");
    let text = Arc::from(std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, write(&file::read(&path, &text).unwrap())).unwrap();
    println!("written; build and run again to check what is built in");
    std::process::exit(0);
}

fn builtin(system: SystemId, name: &str) -> &'static Table {
    Catalogue::builtin().get(&TableId::new(system, name)).unwrap()
}

fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if condition { Ok(()) } else { Err(message().into()) }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), Failed> {
    ensure(ours == theirs, || format!("{what}: the catalogue has {ours:?}, the vendor's list {theirs:?}"))
}

// ---------------------------------------------------------------------------------------------------------------------
// XML as a tree of local names.

#[derive(Debug, Default)]
struct Xml {
    name: String,
    nil: bool,
    text: String,
    children: Vec<Xml>,
}

impl Xml {
    fn parse(text: &str) -> Xml {
        let mut reader = quick_xml::Reader::from_str(text);
        let mut stack = vec![Xml::default()];
        loop {
            match reader.read_event().unwrap() {
                Event::Start(e) => stack.push(Xml::open(&e)),
                Event::Empty(e) => {
                    let element = Xml::open(&e);
                    stack.last_mut().unwrap().children.push(element);
                }
                Event::End(_) => {
                    let done = stack.pop().unwrap();
                    stack.last_mut().unwrap().children.push(done);
                }
                Event::Text(e) => stack.last_mut().unwrap().text.push_str(&e.xml_content(XmlVersion::Implicit1_0)),
                Event::GeneralRef(e) => {
                    let name = e.xml_content(XmlVersion::Implicit1_0).into_owned();
                    let named = quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned);
                    let text = named.or_else(|| e.resolve_char_ref().unwrap().map(String::from)).unwrap();
                    stack.last_mut().unwrap().text.push_str(&text);
                }
                Event::Eof => return stack.pop().unwrap().children.into_iter().next().unwrap(),
                Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn open(e: &quick_xml::events::BytesStart<'_>) -> Xml {
        let nil = e.attributes().map(Result::unwrap).any(|a| a.key.local_name().as_ref() == "nil" && a.value.as_ref() == "true");
        Xml { name: e.local_name().as_ref().to_owned(), nil, ..Xml::default() }
    }

    fn child(&self, path: &str) -> Option<&Xml> {
        path.split('/').try_fold(self, |e, name| e.children.iter().find(|c| c.name == name && !c.nil))
    }

    fn get(&self, path: &str) -> Option<&str> {
        self.child(path).filter(|e| e.children.is_empty()).map(|e| e.text.trim()).filter(|t| !t.is_empty())
    }

    fn is(&self, path: &str) -> bool {
        self.get(path) == Some("true")
    }

    fn all<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a Xml> + use<'a> {
        self.child(path).into_iter().flat_map(|e| &e.children)
    }

    /// The text in language 1033 of a label's element.
    fn english(&self, path: &str) -> Option<&str> {
        let label = self.child(path)?;
        label.all("LocalizedLabels").find(|l| l.get("LanguageCode") == Some("1033")).and_then(|l| l.get("Label"))
    }

    fn options(&self) -> Vec<(i64, String)> {
        let set = ["OptionSet", "GlobalOptionSet"].into_iter().find_map(|s| self.child(s)).unwrap();
        set.all("Options").map(|o| (o.get("Value").unwrap().parse().unwrap(), o.english("Label").unwrap().to_owned())).collect()
    }

    /// The same as the Web API writes it in JSON.
    fn json(&self) -> Value {
        const LISTS: [&str; 7] = ["Attributes", "Keys", "KeyAttributes", "LocalizedLabels", "ManyToOneRelationships", "Options", "Targets"];
        const NUMBERS: [&str; 6] = ["LanguageCode", "MaxLength", "MaxValue", "MinValue", "Precision", "Value"];
        if self.nil {
            return Value::Null;
        }
        if LISTS.contains(&self.name.as_str()) {
            return self.children.iter().map(Xml::json).collect();
        }
        if !self.children.is_empty() {
            return Value::Object(self.children.iter().map(|c| (c.name.clone(), c.json())).collect::<Map<_, _>>());
        }
        match self.text.trim() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text if NUMBERS.contains(&self.name.as_str()) => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
            text => Value::from(text),
        }
    }
}

fn metadata() -> Option<Arc<Xml>> {
    Some(Arc::new(Xml::parse(&std::fs::read_to_string(CONTACT_XML).ok()?)))
}

/// Whether the Web API gives the attribute, and Microsoft ships it.
fn wanted(attribute: &Xml) -> bool {
    let name = attribute.get("LogicalName").unwrap();
    let own = attribute.is("IsCustomAttribute") && !MICROSOFT.iter().any(|p| name.starts_with(p));
    attribute.is("IsValidForRead") && attribute.is("IsValidODataAttribute") && !own
}

// ---------------------------------------------------------------------------------------------------------------------
// The generator: the metadata as the service would send it, through the conversion that a pull uses.

fn generated(root: &Xml) -> Table {
    let attributes: Value = root.all("Attributes").filter(|a| wanted(a)).map(Xml::json).collect();
    let definition: Map<String, Value> = root
        .children
        .iter()
        .filter(|c| !matches!(c.name.as_str(), "Attributes" | "Keys" | "OneToManyRelationships" | "ManyToManyRelationships"))
        .map(|c| (c.name.clone(), c.json()))
        .collect();
    let documents = DataverseDocuments {
        definition: Value::Object(definition),
        attributes,
        subtypes: BTreeMap::new(),
        many_to_one: root.child("ManyToOneRelationships").unwrap().json(),
        // A fresh contact table has no alternate key; those of the document are the organization's own.
        language: None,
        secured: std::collections::BTreeMap::new(),
        keys: Value::Array(Vec::new()),
    };
    let pulled = dataverse(&documents).unwrap();
    assert!(pulled.notes.is_empty(), "{:?}", pulled.notes);
    let mut table = pulled.table;
    for field in table.fields.values_mut() {
        field.provenance = Provenance::Documented;
    }
    for (name, options) in RENAMED {
        if let Some(FieldType::Choice(set)) = table.fields.get_mut(name).map(|field| &mut field.ty) {
            for option in &mut Arc::make_mut(set).options {
                let standard = options.iter().find(|(value, _)| *value == option.value);
                option.label = standard.map(|(_, label)| (*label).to_owned()).expect("an option of Microsoft's");
            }
        }
    }
    table
}

// ---------------------------------------------------------------------------------------------------------------------
// d365.contact

fn trial(name: impl Into<String>, ignored: bool, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, run).with_ignored_flag(ignored)
}

fn contact_trials(trials: &mut Vec<Trial>) {
    let Some(root) = metadata() else {
        for rule in ["every_attribute", "nothing_else", "types", "generated_file"] {
            trials.push(trial(format!("contact::{rule}"), true, || Err("the metadata document is not here".into())));
        }
        return;
    };
    let names: BTreeSet<String> = root.all("Attributes").filter(|a| wanted(a)).map(|a| a.get("LogicalName").unwrap().to_owned()).collect();
    for name in &names {
        let (root, name) = (root.clone(), name.clone());
        trials.push(trial(format!("contact::attribute::{name}"), false, move || {
            let attribute = root.all("Attributes").find(|a| a.get("LogicalName") == Some(&name)).unwrap();
            attribute_agrees(&root, attribute)
        }));
    }
    trials.push(trial("contact::nothing_but_the_listed_attributes", false, move || {
        let ours: BTreeSet<String> = builtin(SystemId::D365, "contact").fields.keys().cloned().collect();
        same("attributes", ours, names)
    }));
    let document = root.clone();
    trials.push(trial("contact::what_is_left_out_is_unreadable_or_the_organizations_own", false, move || {
        let table = builtin(SystemId::D365, "contact");
        for attribute in document.all("Attributes").filter(|a| !table.fields.contains_key(a.get("LogicalName").unwrap())) {
            let name = attribute.get("LogicalName").unwrap();
            let unreadable = !attribute.is("IsValidForRead") || !attribute.is("IsValidODataAttribute");
            ensure(unreadable || name.starts_with("cra05_"), || format!("{name} is readable and not in the catalogue"))?;
        }
        Ok(())
    }));
    let document = root.clone();
    trials.push(trial("contact::as_many_of_each_type_as_in_the_document", false, move || types_agree(&document)));
    let document = root.clone();
    trials.push(trial("contact::the_table_itself", false, move || {
        let table = builtin(SystemId::D365, "contact");
        same("set", Some(table.collection.as_str()), document.get("EntitySetName"))?;
        same("primary key", Some(table.primary_key.as_str()), document.get("PrimaryIdAttribute"))?;
        same("primary name", table.primary_name.as_deref(), document.get("PrimaryNameAttribute"))?;
        same("change tracking", table.change_tracking, document.get("ChangeTrackingEnabled").map(|v| v == "true"))?;
        same("label", Some(table.label.as_str()), document.english("DisplayName"))
    }));
    trials.push(trial("contact::the_built_in_file_is_the_generated_one", false, move || {
        let path = Path::new(BUILTIN).join("d365.contact.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        ensure(text == write(&generated(&root)), || "it differs; run with D365MAP_BLESS=1 and look at the difference".to_owned())
    }));
    trials.push(trial("contact::rows_known_by_heart", false, known_rows));
}

/// Compares one attribute with the document, without the conversion that made the built-in file.
fn attribute_agrees(root: &Xml, attribute: &Xml) -> Result<(), Failed> {
    let name = attribute.get("LogicalName").unwrap();
    let field = builtin(SystemId::D365, "contact").fields.get(name).ok_or_else(|| format!("{name} is not in the catalogue"))?;
    same("name", field.name.as_str(), name)?;
    same("label", field.label.as_deref(), attribute.english("DisplayName"))?;
    same("create", field.creatable, attribute.is("IsValidForCreate"))?;
    same("update", field.updatable, attribute.is("IsValidForUpdate"))?;
    same("read", field.readable, true)?;
    same("required: the API enforces none of a contact's attributes", field.required, false)?;
    same("provenance", field.provenance, Provenance::Documented)?;
    let declared = attribute.get("AttributeType").unwrap();
    let type_name = attribute.get("AttributeTypeName/Value").unwrap();
    same("vendor type", format!("{}Type", field.vendor_type).as_str(), type_name)?;
    if declared != "Virtual" {
        same("vendor type", field.vendor_type.as_str(), declared)?;
    }
    let whole = |path: &str| attribute.get(path).map(|t| t.parse::<i64>().unwrap());
    let exact = |path: &str| attribute.get(path).unwrap().parse::<Decimal>().unwrap();
    let wrong = || -> Result<(), Failed> { Err(format!("{type_name} must not be {:?}", field.ty).into()) };
    match (type_name, &field.ty) {
        ("StringType" | "MemoType", FieldType::Text { max }) => same("length", max.map(i64::from), whole("MaxLength")),
        ("IntegerType" | "BigIntType", FieldType::Integer { min, max }) => {
            same("minimum", *min, whole("MinValue").unwrap_or(i64::MIN))?;
            same("maximum", *max, whole("MaxValue").unwrap_or(i64::MAX))
        }
        ("DecimalType" | "MoneyType", FieldType::Decimal { scale, min, max }) => {
            same("scale", i64::from(*scale), whole("Precision").unwrap())?;
            same("minimum", *min, exact("MinValue"))?;
            same("maximum", *max, exact("MaxValue"))
        }
        ("DoubleType", FieldType::Double) | ("UniqueidentifierType", FieldType::Guid) | ("ImageType", FieldType::Unsupported) => Ok(()),
        ("BooleanType", FieldType::Boolean { labels }) => {
            let side = |s: &str| attribute.english(&format!("OptionSet/{s}/Label")).unwrap().to_owned();
            same("labels", labels.clone(), Some((side("FalseOption"), side("TrueOption"))))
        }
        ("DateTimeType", ty) => {
            let behavior = attribute.get("DateTimeBehavior/Value").unwrap();
            let expected = match behavior {
                "DateOnly" => FieldType::Date,
                "UserLocal" => FieldType::DateTime,
                "TimeZoneIndependent" => FieldType::LocalDateTime,
                other => return Err(format!("unknown behavior {other}").into()),
            };
            same("behavior", ty, &expected)
        }
        ("PicklistType" | "StateType" | "StatusType", FieldType::Choice(set))
        | ("MultiSelectPicklistType", FieldType::MultiChoice(set)) => {
            let ours: Vec<_> = set.options.iter().map(|o| (o.value, o.label.clone())).collect();
            ensure(!ours.is_empty(), || "no options".to_owned())?;
            same("options", ours, standard_options(attribute))
        }
        ("LookupType" | "CustomerType" | "OwnerType", FieldType::Lookup { targets }) => {
            let ours: Vec<_> = targets.iter().map(|t| (t.table.as_str(), t.navigation.as_deref())).collect();
            let relation = |table: &str| {
                let of_field = || root.all("ManyToOneRelationships").filter(|r| r.get("ReferencingAttribute") == Some(name));
                let to = |table: &str| of_field().find(|r| r.get("ReferencedEntity") == Some(table));
                to(table).or_else(|| to("owner")).and_then(|r| r.get("ReferencingEntityNavigationPropertyName"))
            };
            let theirs: Vec<_> = attribute.all("Targets").map(|t| t.text.as_str()).map(|t| (t, relation(t))).collect();
            ensure(!ours.is_empty(), || "no targets".to_owned())?;
            same("targets", ours, theirs)
        }
        (_, _) => wrong(),
    }
}

fn types_agree(root: &Xml) -> Result<(), Failed> {
    let mut ours: BTreeMap<String, usize> = BTreeMap::new();
    for field in builtin(SystemId::D365, "contact").fields.values() {
        *ours.entry(format!("{}Type", field.vendor_type)).or_default() += 1;
    }
    let mut theirs: BTreeMap<String, usize> = BTreeMap::new();
    for attribute in root.all("Attributes").filter(|a| wanted(a)) {
        *theirs.entry(attribute.get("AttributeTypeName/Value").unwrap().to_owned()).or_default() += 1;
    }
    same("types", ours, theirs)
}

/// Facts that are known without any document.
fn known_rows() -> Result<(), Failed> {
    let table = builtin(SystemId::D365, "contact");
    let field = |name: &str| -> &Field { &table.fields[name] };
    let length = |name: &str| if let FieldType::Text { max } = field(name).ty { max } else { None };
    for (name, max) in [
        ("firstname", 50),
        ("lastname", 50),
        ("nickname", 100),
        ("emailaddress1", 100),
        ("telephone1", 50),
        ("address1_city", 80),
        ("fullname", 160),
        ("description", 2000),
    ] {
        same(name, length(name), Some(max))?;
    }
    same("birthdate", &field("birthdate").ty, &FieldType::Date)?;
    same("createdon", &field("createdon").ty, &FieldType::DateTime)?;
    same("lastusedincampaign shows a day and is an instant", &field("lastusedincampaign").ty, &FieldType::DateTime)?;
    let FieldType::Choice(gender) = &field("gendercode").ty else { return Err("gendercode is not a choice".into()) };
    same("gendercode", gender.by_label("female").first().map(|o| o.value), Some(2))?;
    let FieldType::Choice(state) = &field("statecode").ty else { return Err("statecode is not a choice".into()) };
    same("statecode", state.by_value(1).map(|o| o.label.as_str()), Some("Inactive"))?;
    ensure(!field("statecode").creatable && field("statecode").updatable, || "statecode is set by an update only".to_owned())?;
    same("donotsendmm", &field("donotsendmm").ty, &FieldType::Boolean { labels: Some(("Send".into(), "Do Not Send".into())) })?;
    let FieldType::Lookup { targets } = &field("parentcustomerid").ty else { return Err("parentcustomerid is not a lookup".into()) };
    let targets: Vec<_> = targets.iter().map(|t| (t.table.as_str(), t.navigation.as_deref().unwrap())).collect();
    same("parentcustomerid", targets, vec![("account", "parentcustomerid_account"), ("contact", "parentcustomerid_contact")])?;
    same("wire name", field("parentcustomerid").wire_name(SystemId::D365), "_parentcustomerid_value".to_owned())?;
    let FieldType::Decimal { scale, max, .. } = field("creditlimit").ty else { return Err("creditlimit is no decimal".into()) };
    same("creditlimit", (scale, max), (2, Decimal::from(100_000_000_000_000_i64)))?;
    ensure(!table.fields.contains_key("accountidname"), || "accountidname is an annotation in the Web API".to_owned())
}

// ---------------------------------------------------------------------------------------------------------------------
// campaign.profile

/// One row of the vendor's list.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    target: Option<String>,
    label: String,
    ty: String,
    values: String,
}

fn rows() -> Option<Vec<Row>> {
    let text = std::fs::read_to_string(PathBuf::from(PROFILE_CSV)).ok()?;
    let row = |line: &str| {
        let mut cells = line.splitn(4, ',');
        let mut cell = || cells.next().unwrap().trim().to_owned();
        let (name, label, ty, values) = (cell(), cell(), cell(), cell());
        let (name, target) = match name.split_once(" (") {
            Some((name, target)) => (name.to_owned(), Some(target.trim_end_matches(')').to_owned())),
            None => (name, None),
        };
        Row { name, target, label, ty, values: values.trim_matches('"').to_owned() }
    };
    Some(text.lines().skip(1).filter(|l| !l.is_empty()).map(row).filter(|r| !r.name.starts_with("cus")).collect())
}

fn profile_trials(trials: &mut Vec<Trial>) {
    let Some(rows) = rows() else {
        trials.push(trial("profile::every_attribute", true, || Err("the list is not here".into())));
        return;
    };
    let names: Vec<String> = rows.iter().map(|r| r.name.clone()).collect();
    for row in rows {
        trials.push(trial(format!("profile::attribute::{}", row.name), false, move || row_agrees(&row)));
    }
    trials.push(trial("profile::the_vendors_order_and_nothing_else", false, move || {
        // ccpaOptOut is documented with the other opt-outs and missing in the list.
        let ours: Vec<String> = builtin(SystemId::Campaign, "profile").fields.keys().filter(|n| *n != "ccpaOptOut").cloned().collect();
        same("attributes", ours, names)
    }));
    trials.push(trial("profile::opt_outs_have_both_names", false, || {
        let table = builtin(SystemId::Campaign, "profile");
        for suffix in ["", "Email", "Fax", "Mobile", "Phone", "PostalMail", "Pushnotification"] {
            let new = table.field(&[&format!("denyList{suffix}")]).map(|f| f.name.clone());
            same("alias", new, Some(format!("blackList{suffix}")))?;
        }
        ensure(table.fields.contains_key("ccpaOptOut"), || "no ccpaOptOut".to_owned())
    }));
    trials.push(trial("profile::addresses_are_nested", false, || {
        let table = builtin(SystemId::Campaign, "profile");
        for part in ["address1", "address2", "address3", "address4", "city", "zipCode", "stateCode", "countryCode"] {
            let field = table.field(&["location", part]).ok_or_else(|| format!("location.{part} is missing"))?;
            ensure(field.creatable && field.updatable && field.provenance == Provenance::Assumed, || {
                format!("location.{part} is writable and assumed")
            })?;
        }
        let line = table.field(&["postalAddress", "line1"]).ok_or("postalAddress.line1 is missing")?;
        ensure(!line.creatable && !line.updatable, || "a laid-out address is read-only".to_owned())
    }));
    trials.push(trial("profile::what_the_service_sets_is_read_only", false, || {
        let table = builtin(SystemId::Campaign, "profile");
        for name in ["PKey", "age", "created", "createdBy", "cryptedId", "domain", "lastModified", "modifiedBy", "postalAddress", "title"] {
            let field = &table.fields[name];
            ensure(!field.creatable && !field.updatable, || format!("{name} is writable"))?;
        }
        for name in ["created", "lastModified"] {
            same(name, &table.fields[name].ty, &FieldType::DateTime)?;
        }
        same("custom key", table.alternate_keys.iter().map(|k| k.fields.join(",")).collect::<Vec<_>>(), vec!["externalId".to_owned()])
    }));
    trials.push(trial("profile::the_built_in_file_is_in_the_writers_form", false, || {
        let text = std::fs::read_to_string(Path::new(BUILTIN).join("campaign.profile.yaml")).unwrap();
        ensure(text == write(builtin(SystemId::Campaign, "profile")), || "it differs; run with D365MAP_BLESS=1".to_owned())
    }));
}

fn row_agrees(row: &Row) -> Result<(), Failed> {
    let field =
        builtin(SystemId::Campaign, "profile").fields.get(&row.name).ok_or_else(|| format!("{} is not in the catalogue", row.name))?;
    same("label", field.label.as_deref(), Some(row.label.as_str()))?;
    let word = row.ty.split([' ', '(']).next().unwrap();
    same("vendor type", field.vendor_type.as_str(), word)?;
    let length = row.ty.rsplit_once('(').and_then(|(_, n)| n.trim_end_matches(')').parse::<u32>().ok());
    match (word, &field.ty) {
        ("string", FieldType::Text { max }) => same("length", *max, length),
        ("integer", FieldType::Integer { .. }) | ("boolean", FieldType::Boolean { .. }) | ("item", FieldType::Item(_)) => Ok(()),
        ("date", FieldType::Date) => same("day", row.name.as_str(), "birthDate"),
        ("date", FieldType::DateTime) => ensure(row.name != "birthDate", || "a birthday has no time".to_owned()),
        ("link", FieldType::Link { target }) | ("collection", FieldType::Collection { target }) => {
            same("target", target.clone(), row.target.clone())
        }
        ("enumeration", FieldType::Enumeration(values)) => {
            // Each of our values is in the list as label - name - stored, and the list holds no more.
            let mut rest = row.values.replace("INVALID VALUE - __Invalid_value__ - __Invalid_value__", "");
            let mut longest: Vec<_> =
                values.iter().map(|v| format!("{} - {} - {}", v.label, v.name, v.stored.as_deref().unwrap_or(""))).collect();
            longest.sort_by_key(|v| std::cmp::Reverse(v.len()));
            for value in longest {
                let at = rest.find(&value).ok_or_else(|| format!("`{value}` is not in the list"))?;
                rest.replace_range(at..at + value.len(), "");
            }
            same("values that the catalogue lacks", rest.trim(), "")
        }
        (word, ty) => Err(format!("{word} must not be {ty:?}").into()),
    }
}
