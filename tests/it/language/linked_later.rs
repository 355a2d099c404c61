//! Links that do not wait, and keys from columns of alternate keys.

use d365map::plan::describe;

use super::support::{codes, compiled, rendered, whole};

fn accounts(line: &str) -> String {
    format!(
        "mapping accounts: d365.account -> campaign.cusAccount {{\n  key accountid -> cusAccountId\n  name -> cusName\n}}\nmapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  {line}\n}}\n"
    )
}

#[test]
fn a_link_says_whether_its_record_waits() {
    for (or, code) in
        [("", ""), (" or later", ""), (" or null", ""), (" or reject", "D207"), (" or keep", "D207"), (" or default(\"x\")", "D207")]
    {
        let text = accounts(&format!("parentcustomerid -> cusAccount | link accounts{or}"));
        let found = codes(&text);
        assert_eq!(found, if code.is_empty() { vec![] } else { vec![code] }, "{or}: {}", rendered(&text));
        if code.is_empty() {
            let plan = describe(&compiled(&text).plan.expect("a plan"));
            assert!(plan.contains(&format!("link accounts{or}   (line")), "{plan}");
        }
    }
    assert_eq!(codes(&whole("jobtitle -> birthDate | date(\"dd.MM.yyyy\") or later")), ["D213"]);
}

#[test]
fn links_form_a_cycle_only_if_records_do_not_wait() {
    let text = |or: &str| {
        format!(
            "mapping accounts: d365.account -> campaign.cusAccount {{\n  key accountid -> cusAccountId\n  new_lastorder -> cusLastOrder | link orders{or}\n}}\nmapping orders: d365.new_order -> campaign.cusOrder {{\n  key new_orderid -> cusOrderId\n  new_account -> cusAccount | link accounts\n}}\n"
        )
    };
    assert!(codes(&text("")).contains(&"D506"));
    let text = text(" or later");
    let plan = compiled(&text).plan.unwrap_or_else(|| panic!("{}", rendered(&text)));
    assert_eq!(plan.ingress.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["accounts", "orders"]);
}

#[test]
fn a_key_is_a_column_of_an_alternate_key_but_not_for_profiles() {
    let mapping = |column: &str| {
        format!("mapping accounts: d365.account -> campaign.cusAccount {{\n  key {column} -> cusAccountId\n  name -> cusName\n}}\n")
    };
    assert_eq!(codes(&mapping("accountnumber")), ["D514"]);
    assert_eq!(codes(&mapping("statecode")), ["D502"]);
    assert_eq!(codes(&whole("key emailaddress1 -> externalId\nlastname -> lastName")), ["D502"]);
}
