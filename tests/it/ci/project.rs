//! Projects whose findings have everything a report can hold.

use d365map::check::{Compiled, Input, compile};
use d365map::diagnostics::Severity;
use d365map::schema::Catalogue;

/// A file name that is not a valid address.
pub const ODD_NAME: &str = "mappings/Kontakte für 100%.d365map";

const FIRST: &str = "\
mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstnmae -> firstName | truncate(30)
  \"Größe: {lastname} 😀\" -> lastName | truncat(50)
  gendercode -> gender
  replace gendercode { Male => male }
  middlename -> lastName
  jobtitle -> salutation
  jobtitle -> fax
  createdon -> birthDate
  address1_city -> birthDate
}
";

const SECOND: &str = "\
mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName | truncate(600)
}
";

/// Errors and warnings, related places in the same and in another file, fixes, text beyond ASCII, an odd file name.
pub fn faulty() -> Compiled {
    let compiled = compiled(&[(ODD_NAME, FIRST), ("mappings/second.d365map", SECOND), ("mappings/clean.d365map", "let a = 1\n")]);
    let has = |what: &str, found: bool| assert!(found, "the project has no {what}");
    let all = &compiled.diagnostics;
    has("error", all.iter().any(|d| d.severity() == Severity::Error));
    has("warning", all.iter().any(|d| d.severity() == Severity::Warning));
    has("fix", all.iter().any(|d| d.fix.is_some()));
    has("related place in the same file", all.iter().any(|d| d.related.iter().any(|(s, _)| s.file == d.span.file)));
    has("related place in another file", all.iter().any(|d| d.related.iter().any(|(s, _)| s.file != d.span.file)));
    compiled
}

/// Without findings.
pub fn clean() -> Compiled {
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n";
    let compiled = compiled(&[("mappings/contacts.d365map", text)]);
    assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
    compiled
}

fn compiled(files: &[(&str, &str)]) -> Compiled {
    let input = |(name, text): &(&str, &str)| Input { name: (*name).to_owned(), bytes: text.as_bytes().to_vec() };
    compile(files.iter().map(input).collect(), Catalogue::builtin())
}
