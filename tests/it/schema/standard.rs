//! The option sets of the built-in tables of Dynamics 365 hold Microsoft's standard options and labels, not those of some organization.

use d365map::schema::{Catalogue, FieldType, SystemId};

/// The standard options of each column, from Microsoft's table references. Columns without a list have the one option `Default Value`.
const STANDARD: &[(&str, &str, &str)] = &[
    ("contact", "accountrolecode", "1 Decision Maker; 2 Employee; 3 Influencer"),
    ("contact", "address1_addresstypecode", "1 Bill To; 2 Ship To; 3 Primary; 4 Other"),
    ("contact", "address1_freighttermscode", "1 FOB; 2 No Charge"),
    ("contact", "address1_shippingmethodcode", "1 Airborne; 2 DHL; 3 FedEx; 4 UPS; 5 Postal Mail; 6 Full Load; 7 Will Call"),
    ("contact", "familystatuscode", "1 Single; 2 Married; 3 Divorced; 4 Widowed"),
    ("contact", "gendercode", "1 Male; 2 Female"),
    ("contact", "paymenttermscode", "1 Net 30; 2 2% 10, Net 30; 3 Net 45; 4 Net 60"),
    ("contact", "preferredappointmentdaycode", "0 Sunday; 1 Monday; 2 Tuesday; 3 Wednesday; 4 Thursday; 5 Friday; 6 Saturday"),
    ("contact", "preferredappointmenttimecode", "1 Morning; 2 Afternoon; 3 Evening"),
    ("contact", "preferredcontactmethodcode", "1 Any; 2 Email; 3 Phone; 4 Fax; 5 Mail"),
    ("contact", "statecode", "0 Active; 1 Inactive"),
    ("contact", "statuscode", "1 Active; 2 Inactive"),
    ("account", "statecode", "0 Active; 1 Inactive"),
    (
        "opportunity",
        "msft_microsoftpartnercenterhelp",
        "299600000 Workload specific value proposition; 299600001 Customer technical architecture; 299600002 Proof of concept; \
         299600003 Quotes/licensing; 299600004 Post-sales customer success; 299600005 General or other",
    ),
    ("opportunity", "statecode", "0 Open; 1 Won; 2 Lost"),
];

/// Languages by their Windows number, which are the same in every organization.
const LANGUAGES: &str = "mspp_userpreferredlcid";

#[test]
fn option_sets_of_built_in_tables_have_microsofts_standard_labels() {
    let mut wrong = Vec::new();
    for table in Catalogue::builtin().tables().filter(|t| t.id.system == SystemId::D365) {
        for (name, field) in table.fields.iter().filter(|(name, _)| name.as_str() != LANGUAGES) {
            let (FieldType::Choice(set) | FieldType::MultiChoice(set)) = &field.ty else { continue };
            let ours: Vec<String> = set.options.iter().map(|o| format!("{} {}", o.value, o.label)).collect();
            let listed = STANDARD.iter().find(|(of, column, _)| *of == table.id.name && column == name);
            let standard = listed.map_or("1 Default Value", |(.., options)| options);
            if ours.join("; ") != standard {
                wrong.push(format!("{}.{name}: {}, not {standard}", table.id, ours.join("; ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn labels_of_built_in_tables_carry_no_mark_of_an_organization() {
    let marks = ["test", "demo", "sample", "sandbox", "todo"];
    for table in Catalogue::builtin().tables() {
        for field in table.fields.values() {
            let options = match &field.ty {
                FieldType::Choice(set) | FieldType::MultiChoice(set) => set.options.iter().map(|o| o.label.clone()).collect(),
                FieldType::Boolean { labels: Some((no, yes)) } => vec![no.clone(), yes.clone()],
                FieldType::Enumeration(values) => values.iter().map(|v| v.label.clone()).collect(),
                _ => Vec::new(),
            };
            for label in options.iter().chain(&field.label) {
                let words = label.to_lowercase();
                let mut words = words.split(|c: char| !c.is_alphanumeric());
                assert!(!words.any(|word| marks.contains(&word)), "{}.{}: {label}", table.id, field.name);
            }
        }
    }
}
