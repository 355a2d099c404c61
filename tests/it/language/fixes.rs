//! What `check --fix` mends: every fix makes its finding go, changes nothing else, and is what the help says.

use d365map::cli::mend;

use super::support::{codes, compiled, whole};

/// The text after all fixes of one round, and the codes that are left.
fn mended(text: &str) -> (String, Vec<&'static str>) {
    let (out, _) = mend(text, 0, &compiled(text).diagnostics);
    let left = codes(&out);
    (out, left)
}

fn entry(line: &str) -> String {
    whole(line)
}

#[track_caller]
fn becomes(wrong: &str, right: &str) {
    let (out, left) = mended(&entry(wrong));
    assert_eq!(out, entry(right));
    assert_eq!(left, Vec::<&str>::new(), "{out}");
}

#[test]
fn near_names_are_written_as_they_are_known() {
    becomes("lastnmae -> lastName", "lastname -> lastName");
    becomes("lastname -> lastNam", "lastname -> lastName");
    becomes("lastname -> lastName | trimm", "lastname -> lastName | trim");
    becomes("lastname -> lastName\noptions { deletes propagat }", "lastname -> lastName\noptions { deletes propagate }");
    becomes("lastname -> lastName\noptions { delets propagate }", "lastname -> lastName\noptions { deletes propagate }");
    becomes("lastname -> lastName\nfilter all { gendercode = Femle }", "lastname -> lastName\nfilter all { gendercode = Female }");
    let file = "mapping contacts: d365.contct -> campain.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n";
    let (out, left) = mended(file);
    assert_eq!(out, file.replace("contct", "contact").replace("campain", "campaign"));
    assert!(left.is_empty());
}

#[test]
fn booleans_are_written_as_the_language_has_them() {
    for word in ["yes", "True", "\"true\"", "1", "on"] {
        becomes(
            &format!("lastname -> lastName\nfilter all {{ followemail = {word} }}"),
            "lastname -> lastName\nfilter all { followemail = true }",
        );
    }
    becomes("lastname -> lastName\nfilter all { followemail = \"NO\" }", "lastname -> lastName\nfilter all { followemail = false }");
}

#[test]
fn a_missing_or_is_added_and_a_needless_one_taken_away() {
    becomes("jobtitle -> birthDate | date(\"dd.MM.yyyy\")", "jobtitle -> birthDate | date(\"dd.MM.yyyy\") or null");
    becomes("jobtitle -> birthDate | date(\"dd.MM.yyyy\") # why", "jobtitle -> birthDate | date(\"dd.MM.yyyy\") or null # why");
    becomes("lastname -> lastName | trim or null", "lastname -> lastName | trim");
    becomes("lastname -> lastName | trim   or default(\"x\") | lower", "lastname -> lastName | trim | lower");
}

#[test]
fn a_step_without_effect_goes_with_its_bar() {
    becomes("lastname -> lastName | truncate(200)", "lastname -> lastName");
    becomes("lastname -> lastName | trim | truncate(200) @initial", "lastname -> lastName | trim @initial");
}

#[test]
fn words_without_quotes_get_them() {
    becomes("lastname -> lastName\nfilter all { lastname = Smith }", "lastname -> lastName\nfilter all { lastname = \"Smith\" }");
}

#[test]
fn the_key_moves_to_the_top_with_its_line() {
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  # names\n  lastname -> lastName\n  key contactid -> externalId # id\n  firstname -> firstName | truncate(30)\n}\n";
    // A comment at its end makes the line more than the entry; it is left to its author.
    assert_eq!(mended(text).0, text);
    let text = text.replace(" # id", "");
    let (out, left) = mended(&text);
    assert_eq!(
        out,
        "mapping contacts: d365.contact -> campaign.profile {\n  # names\n  key contactid -> externalId\n  lastname -> lastName\n  firstname -> firstName | truncate(30)\n}\n"
    );
    assert!(left.is_empty());
}

#[test]
fn signs_of_other_languages_become_ours() {
    becomes("lastname -> lastName\nfilter all { statecode == Active }", "lastname -> lastName\nfilter all { statecode = Active }");
    becomes("lastname -> lastName\nfilter all { lastname <> \"x\" }", "lastname -> lastName\nfilter all { lastname != \"x\" }");
    becomes("fax → fax | truncate(32)\nlastname -> lastName", "fax -> fax | truncate(32)\nlastname -> lastName");
    becomes("lastname -> lastName,", "lastname -> lastName");
    becomes("lastname -> lastName\nfilter all { lastname = 'x' }", "lastname -> lastName\nfilter all { lastname = \"x\" }");
    becomes("lastname -> lastName\nfilter all { lastname is not null }", "lastname -> lastName\nfilter all { lastname is present }");
    becomes("lastname -> lastName // why", "lastname -> lastName # why");
}

#[test]
fn two_fixes_of_one_place_are_made_one_after_the_other() {
    let text = entry("lastnmae -> lastNam | trimm or null");
    let (first, _) = mended(&text);
    let (second, left) = mended(&first);
    let (third, done) = mended(&second);
    assert_eq!(third, entry("lastname -> lastName | trim"), "{left:?}");
    assert!(done.is_empty());
}
