//! What findings advise leads to a file that passes, and does not name what they reject.

use d365map::app::fixed;
use d365map::check::Compiled;
use d365map::diagnostics::Safety;
use d365map::diagnostics::render::{Format, Style, render};
use d365map::eval::{opt_out_value, opted_out};
use d365map::format::format;
use serde_json::json;

use super::support::{codes, compiled, compiled_with_tables, rendered, whole};

fn said(compiled: &Compiled) -> String {
    render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN)
}

/// The help of the only finding with this code.
#[track_caller]
fn help_of(text: &str, code: &str) -> String {
    let compiled = compiled(text);
    let found: Vec<_> = compiled.diagnostics.iter().filter(|d| d.code.name() == code).collect();
    let [finding] = found.as_slice() else { panic!("{text}\n{}", said(&compiled)) };
    finding.help.clone().expect("a help")
}

/// The pieces of a help in back-ticks.
fn quoted(help: &str) -> Vec<&str> {
    help.split('`').skip(1).step_by(2).collect()
}

/// Writes the key lines that a help gives: each in the mapping that is named, or in the one in which the finding is.
fn with_keys(text: &str, help: &str, own: &str) -> String {
    let pieces = quoted(help);
    let mut text = text.to_owned();
    for (at, line) in pieces.iter().enumerate().filter(|(_, piece)| piece.starts_with("key ")) {
        let near = [Some(at + 1), at.checked_sub(1)].into_iter().flatten().filter_map(|n| pieces.get(n));
        let name = near.into_iter().find(|name| text.contains(&format!("mapping {name}:"))).copied().unwrap_or(own);
        let start = text.find(&format!("mapping {name}:")).expect("the mapping");
        let key = start + text[start..].find("  key ").expect("a key") + 2;
        let end = key + text[key..].find('\n').expect("a line");
        text.replace_range(key..end, line);
    }
    text
}

#[test]
fn advice_about_keys_leads_to_a_file_that_passes() {
    let contacts = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n";
    let accounts = |name: &str, key: &str| {
        format!("mapping {name}: d365.account -> campaign.profile {{\n  key {key} -> externalId\n  name -> lastName | truncate(50)\n}}\n")
    };
    let resources = |first: &str, second: &str| {
        format!(
            "mapping one: d365.account -> campaign.cusAccount {{\n  key {first} -> cusAccountId\n  name -> cusName\n}}\n\
             mapping two: d365.contact -> campaign.cusAccount {{\n  key {second} -> cusAccountId\n  fullname -> cusName\n}}\n"
        )
    };
    for (text, own) in [
        (format!("{contacts}{}", accounts("companies", "accountnumber")), "companies"),
        (format!("{}{contacts}", accounts("companies", "accountnumber")), "companies"),
        (format!("{contacts}{}", accounts("companies", "accountid")), "companies"),
        (format!("{contacts}{}", accounts("companies", "\" {accountid}\"")), "companies"),
        (accounts("companies", "accountnumber"), "companies"),
        (resources("accountid", "contactid"), "two"),
        (resources("accountnumber", "contactid"), "two"),
        (resources("accountid", "address1_postalcode"), "two"),
        (resources("accountnumber", "address1_postalcode"), "two"),
        (resources("parentaccountid", "contactid"), "one"),
    ] {
        let mut current = text.clone();
        for _ in 0..4 {
            let found = compiled(&current);
            let error = found.diagnostics.iter().find(|d| matches!(d.code.name(), "D110" | "D502"));
            let Some(error) = error else { break };
            current = with_keys(&current, error.help.as_ref().expect("a help"), own);
        }
        let found: Vec<_> = codes(&current).into_iter().filter(|code| *code != "D514").collect();
        assert_eq!(found, Vec::<&str>::new(), "{text}\nbecame\n{current}\n{}", rendered(&current));
    }
    // A text is not offered if the whole key is too long with it.
    let text = resources("accountid", "governmentid");
    assert!(!help_of(&text, "D110").contains("key \""), "{}", rendered(&text));
    // A contact is named only where one is meant.
    let help = rendered(&accounts("companies", "accountnumber"));
    assert!(!help.contains("contact"), "{help}");
}

#[test]
fn keys_that_differ_only_in_white_space_at_their_ends_are_the_same() {
    let two = |key: &str| {
        format!(
            "mapping one: d365.account -> campaign.cusAccount {{\n  key accountid -> cusAccountId\n  name -> cusName\n}}\n\
             mapping two: d365.contact -> campaign.cusAccount {{\n  key {key} -> cusAccountId\n  fullname -> cusName\n}}\n"
        )
    };
    for key in ["\" {contactid}\"", "\"{contactid}  \"", "\"\\t{contactid}\\n\"", "\"\u{a0}{contactid}\""] {
        assert_eq!(codes(&two(key)), ["D110"], "{}", two(key));
    }
    assert_eq!(codes(&two("\" c-{contactid}\"")), Vec::<&str>::new());
}

fn adopting(lines: &str) -> String {
    format!("mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  {lines}\n}}\n")
}

#[test]
fn a_value_that_can_come_from_a_constant_is_not_searched_for() {
    for line in [
        "emailaddress1 -> email | default(\"nobody@example.com\")",
        "emailaddress1 -> email | email or default(\"nobody@example.com\")",
        "jobtitle -> email | map { \"a\" => keep; else => \"x\" } | truncate(20)",
        "jobtitle -> email | map { null => \"x\"; else => keep }",
        "gendercode -> email | map { Male => \"m\"; else => null }",
        "coalesce(emailaddress1 | default(\"x\"), emailaddress2) -> email",
        "case { statecode = Active => emailaddress1; else => \"x\" } -> email",
        "emailaddress1 -> email\n  replace emailaddress1 { null => \"x\"; else => keep }",
        "when statecode = Active { emailaddress1 -> email } else { \"x\" -> email }",
    ] {
        let text = adopting(&format!("adopt by email\n  {line}"));
        assert_eq!(codes(&text), ["D540"], "{}", rendered(&text));
    }
    for line in [
        "emailaddress1 -> email | lower | email or null",
        "emailaddress1 -> email | email or reject",
        "coalesce(emailaddress1, emailaddress2) -> email",
        "\"{lastname}@example.com\" -> email",
        "emailaddress1 -> email | map { \"none\" => null; \"old@example.com\" => \"new@example.com\"; else => keep }",
        "case { statecode = Active => emailaddress1; else => null } -> email",
    ] {
        let text = adopting(&format!("adopt by email\n  {line}"));
        assert_eq!(codes(&text), Vec::<&str>::new(), "{}", rendered(&text));
    }
    let text = adopting("adopt by cusPoints\n  = coalesce(numberofchildren, 0) -> cusPoints");
    assert_eq!(codes(&text), ["D540"], "{}", rendered(&text));
}

#[test]
fn advice_about_adopt_does_not_name_what_it_rejects() {
    for (rejected, lines) in [
        ("email", "\"x@example.com\" -> email"),
        ("email", "\"x@example.com\" -> email\n  lastname -> lastName"),
        ("email", "emailaddress1 -> email | default(\"x\")\n  lastname -> lastName"),
        ("gender", "gendercode -> gender | map { Male => male; else => unknown }\n  emailaddress1 -> email"),
        ("location.city", "address1_city -> location.city | truncate(50)\n  \"x\" -> email\n  lastname -> lastName"),
    ] {
        let help = help_of(&adopting(&format!("adopt by {rejected}\n  {lines}")), "D540");
        let proposed = help.split_once("writes: ").map_or("", |(_, names)| names);
        assert!(!proposed.split([',', ' ']).any(|name| name == rejected || name == "externalId"), "{help}");
        if lines.contains("lastName") {
            assert!(proposed.contains("lastName") && !proposed.contains("email"), "{help}");
        }
    }
    assert!(help_of(&adopting("adopt by cusNote\n  lastname -> lastName"), "D540").contains("`FIELD -> cusNote`"));
}

#[test]
fn a_text_for_a_link_is_offered_as_the_key_of_a_record() {
    let help = help_of(&whole("address1_county -> orgUnit"), "D202");
    assert!(quoted(&help).contains(&"| link campaign.orgUnitBase or reject"), "{help}");
    assert_eq!(codes(&whole("address1_county -> orgUnit | link campaign.orgUnitBase or reject")), Vec::<&str>::new());
    // A lookup is linked by the mapping that writes the other record.
    let accounts = "mapping accounts: d365.account -> campaign.cusAccount {\n  key accountid -> cusAccountId\n  name -> cusName\n}\n";
    let help = help_of(&format!("{accounts}{}", whole("parentcustomerid -> cusAccount")), "D202");
    assert!(quoted(&help).contains(&"parentcustomerid -> cusAccount | link accounts"), "{help}");
}

#[test]
fn a_line_can_end_before_or() {
    for (broken, joined) in [
        (
            "adopt by email\n    or mobilePhone\n  emailaddress1 -> email\n  mobilephone -> mobilePhone | truncate(32)",
            "adopt by email or mobilePhone",
        ),
        (
            "address1_county -> orgUnit | link campaign.orgUnitBase by name # the unit\n    or reject",
            "link campaign.orgUnitBase by name or reject",
        ),
        ("emailaddress1 -> email | email\n    or default(\"x\")", "| email or default(\"x\")"),
        ("= 100 / numberofchildren\n    or null -> cusNote | round(0)", "= 100 / numberofchildren or null -> cusNote"),
        ("lastname -> lastName\n  fax -> fax | truncate(32)", "lastname -> lastName"),
    ] {
        let text = adopting(broken);
        assert_eq!(codes(&text), Vec::<&str>::new(), "{}", rendered(&text));
        let formatted = format(&text).expect("a form");
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain(&formatted).contains(joined), "{formatted}");
        assert_eq!(format(&formatted).as_deref(), Some(formatted.as_str()));
        assert_eq!(codes(&formatted), Vec::<&str>::new(), "{formatted}");
    }
    // A field can have the name `or`.
    let text = adopting("lastname -> lastName | trim\n  or -> firstName");
    assert_eq!(codes(&text), ["D103"], "{}", rendered(&text));
}

#[test]
fn a_group_after_not_needs_all_or_any_and_the_fix_writes_it() {
    for (wrong, right) in [
        ("filter not { statecode = Inactive; lastname is empty }", "filter all { not all { statecode = Inactive; lastname is empty } }"),
        ("filter not any { statecode = Inactive }", "filter all { not any { statecode = Inactive } }"),
        ("filter all { not { statecode = Inactive } }", "filter all { not all { statecode = Inactive } }"),
        (
            "filter all {\n  statecode = Active\n  not {\n    lastname is empty\n  }\n}",
            "filter all {\n  statecode = Active\n  not all {\n    lastname is empty\n  }\n}",
        ),
    ] {
        let wrong = whole(&format!("lastname -> lastName\n{wrong}"));
        let found = compiled(&wrong);
        assert_eq!(codes(&wrong), ["D009"], "{}", said(&found));
        assert!(said(&found).contains("`all` or `any`"), "{}", said(&found));
        let (after, _) = fixed(&wrong, 0, &found.diagnostics, Safety::Unsafe);
        let right = whole(&format!("lastname -> lastName\n{right}"));
        let form = |text: &str| format(text).expect("a form");
        assert_eq!(form(&after), form(&right));
    }
}

#[test]
fn a_computed_opt_out_is_offered_as_a_pair_with_cases() {
    for line in [
        "gendercode -> denyListEmail | map { Male => true; else => false }",
        "preferredcontactmethodcode -> denyListFax | map { Email => false; null => false; else => true }",
        "jobtitle -> denyList | map { \"no\" => true; null => true; else => false }",
        "numberofchildren -> denyList | map { 1 => true; else => false }",
    ] {
        let text = whole(&format!("lastname -> lastName\n{line}"));
        let found = compiled(&text);
        let finding = found.diagnostics.iter().find(|d| d.code.name() == "D602");
        let help = finding.and_then(|d| d.help.clone()).unwrap_or_else(|| panic!("{}", said(&found)));
        let block = quoted(&help).into_iter().find(|piece| piece.starts_with("optout ")).expect("a block");
        let text = format!("{}\n{block}\n", whole("lastname -> lastName"));
        assert_eq!(codes(&text), Vec::<&str>::new(), "{text}\n{}", rendered(&text));
    }
}

#[test]
fn cases_that_are_proposed_for_a_topic_subscribe_only_with_a_consent() {
    let block = |pair: &str| format!("{}\noptout contacts {{\n  direction d365-to-campaign\n  {pair}\n}}\n", whole("lastname -> lastName"));
    for field in ["gendercode", "jobtitle", "numberofchildren", "birthdate"] {
        let help = help_of(&block(&format!("{field} <-> subscription \"SVC1\"")), "D602");
        let pair = quoted(&help).into_iter().find(|piece| piece.contains("subscription")).expect("a pair").to_owned();
        assert_eq!(codes(&block(&pair)), Vec::<&str>::new(), "{pair}");
        assert!(pair.contains("null => out") && pair.contains("=> in"), "{pair}");
    }
    let help = help_of(&block("gendercode <-> subscription \"SVC1\" { 1 => in }"), "D611");
    assert_eq!(help, "add `null => out; else => out`, or `in` in place of `out`");
}

#[test]
fn a_number_with_decimals_can_be_an_opt_out() {
    let now = d365map::time::parse_instant("2026-11-21T12:00:00Z").expect("an instant");
    for (field, cases, out, back) in [
        ("creditlimit", "0.5 => out; null => in; else => in", json!(0.50), "0.5"),
        ("creditlimit", "1.00 => in; null => in; else => out", json!(2.5), "null"),
        ("new_weight", "0 => out; null => in; else => in", json!(0.0), "0"),
        ("new_weight", "> 100.5 => out; 7 => out; null => in; else => in", json!(100.75), "7"),
    ] {
        let pair = format!("{field} <-> denyListEmail {{ {cases} }}");
        let block =
            |direction: &str| format!("{}\noptout contacts {{\n  direction {direction}\n  {pair}\n}}\n", whole("lastname -> lastName"));
        let compiled = compiled(&block("d365-to-campaign"));
        let Some(plan) = &compiled.plan else { panic!("{}", said(&compiled)) };
        let meaning = plan.optouts[0].pairs[0].meaning.as_ref().expect("cases");
        assert!(opted_out(meaning, Some(&out)), "{pair}");
        assert!(!opted_out(meaning, Some(&json!(1))), "{pair}");
        assert!(!opted_out(meaning, None), "{pair}");
        if back != "null" {
            let compiled = super::support::compiled(&block("bidirectional"));
            let Some(plan) = &compiled.plan else { panic!("{}", said(&compiled)) };
            let meaning = plan.optouts[0].pairs[0].meaning.as_ref().expect("cases");
            assert_eq!(opt_out_value(meaning, true, now).as_deref(), Some(back), "{pair}");
            assert_eq!(opt_out_value(meaning, false, now).as_deref(), Some("null"), "{pair}");
        }
    }
}

#[test]
fn an_allow_of_what_is_faulty_is_not_reported_as_idle() {
    let mapping = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  jobtitle -> lastName | lookup codes.label or null | truncate(50)\n}\n";
    let table = "# allow(D815): others need the file as it is\ntable codes from \"codes.csv\" { key code }\n";
    let text = format!("{table}{mapping}");
    let found = |text: &str, csv: &str| {
        compiled_with_tables(text, &[("codes.csv", csv)]).diagnostics.iter().map(|d| d.code.name()).collect::<Vec<_>>()
    };
    assert_eq!(found(&text, "code,label,other\nA,x,y\n"), Vec::<&str>::new());
    // Two rows of one key, a row that is too long, a mapping that cannot use the table.
    for csv in ["code,label,other\nA,x,y\nA,z,y\n", "code,label,other\nA,x,y,z\n"] {
        let codes = found(&text, csv);
        assert!(!codes.is_empty() && !codes.contains(&"D805"), "{csv}: {codes:?}");
    }
    let codes = found(&text.replace("| lookup codes", "| lookup cods"), "code,label,other\nA,x,y\n");
    assert!(!codes.is_empty() && !codes.contains(&"D805"), "{codes:?}");
    // In a file without errors, an idle comment is reported.
    assert_eq!(found(&text, "code,label\nA,x\n"), ["D805"]);
}
