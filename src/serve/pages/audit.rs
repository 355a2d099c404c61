//! The audit log: who did what through the pages and the API, for administrators.

use std::collections::BTreeSet;

use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;

use super::page;
use super::parts::Column::Text;
use super::parts::{Column, cards, given, instant};
use crate::serve::answer::{At, Failure};
use crate::store::{AuditEntry, AuditFilter, AuditRecord, AuditResult};

/// Entries on a page.
const PAGE: usize = 50;

const COLUMNS: &[Column] =
    &[Text("Time (UTC)"), Text("Person or client"), Text("Role"), Text("Action"), Text("Object"), Text("Result"), Text("Address")];

/// Which entries are shown.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    who: Option<String>,
    action: Option<String>,
    /// The number of the last entry of the page before.
    before: Option<i64>,
}

/// The query of an address for these entries.
fn query(filter: &AuditFilter, before: Option<i64>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let before = before.map(|number| number.to_string());
    for (name, value) in [("who", &filter.who), ("action", &filter.action), ("before", &before)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// Shows the audit log, the newest entry first.
pub async fn show(at: At, Query(which): Query<Which>) -> Result<Markup, Failure> {
    let filter = AuditFilter { who: given(which.who.as_ref()), action: given(which.action.as_ref()) };
    let audit = at.served.stores().await?.audit;
    let mut records = audit.audit(&filter, which.before, PAGE + 1).await?;
    let more = records.len() > PAGE;
    records.truncate(PAGE);
    let filtered = filter.who.is_some() || filter.action.is_some();
    let content = html! {
        p { "Who did what through the pages and the API. Entries are kept for 400 days." }
        (form(&filter, &records))
        @if records.is_empty() {
            p { "There are no entries" @if filtered { " like this" } @if which.before.is_some() { " before the page that you saw" } "." }
        } @else {
            (cards("Audit log", COLUMNS, &html! { @for record in &records { (row(&record.entry)) } }))
        }
        nav.pages aria-label="Pages of the audit log" {
            @if which.before.is_some() { a href={ "?" (query(&filter, None)) } { "Newest entries" } }
            @if more && let Some(last) = records.last() { a href={ "?" (query(&filter, Some(last.id))) } { "Older entries" } }
        }
    };
    Ok(page(&at, "/audit", "Audit log", &content))
}

/// The form of the filter, with names from the page as suggestions.
fn form(filter: &AuditFilter, records: &[AuditRecord]) -> Markup {
    let people: BTreeSet<&str> = records.iter().map(|record| &*record.entry.who).filter(|who| !who.is_empty()).collect();
    let actions: BTreeSet<&str> = records.iter().map(|record| &*record.entry.action).collect();
    html! {
        form.filter method="get" {
            label { "Person or client " input name="who" value=(filter.who.as_deref().unwrap_or_default()) list="people" size="28" autocomplete="off"; }
            datalist #people { @for who in people { option value=(who) {} } }
            label { "Action " input name="action" value=(filter.action.as_deref().unwrap_or_default()) list="actions" size="20" autocomplete="off"; }
            datalist #actions { @for action in actions { option value=(action) {} } }
            button { "Filter" }
        }
    }
}

fn row(entry: &AuditEntry) -> Markup {
    let AuditEntry { at, who, role, action, object, result, from } = entry;
    html! {
        tr {
            td data-label="Time (UTC)" { (instant(*at)) }
            td data-label="Person or client" { @if who.is_empty() { span.quiet { "not signed in" } } @else { (who) } }
            td data-label="Role" { (role.as_deref().unwrap_or("–")) }
            td data-label="Action" { code { (action) } }
            td data-label="Object" { @if object.is_empty() { "–" } @else { (object) } }
            td data-label="Result" { (outcome(*result)) }
            td data-label="Address" { (from.as_deref().unwrap_or("–")) }
        }
    }
}

fn outcome(result: AuditResult) -> Markup {
    let class = match result {
        AuditResult::Done => "badge good",
        AuditResult::Refused => "badge warn",
        AuditResult::Failed => "badge bad",
    };
    html! { span class=(class) { (result.as_str()) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_page_has_its_filter() {
        let filter = AuditFilter { who: Some("a&b=c@contoso.com".to_owned()), action: None };
        assert_eq!(query(&filter, Some(7)), "who=a%26b%3Dc%40contoso.com&before=7");
        assert_eq!(query(&AuditFilter::default(), None), "");
        assert_eq!(given(Some(&"  ".to_owned())), None);
    }

    #[test]
    fn what_an_entry_has_is_text() {
        let entry = AuditEntry {
            at: crate::time::parse_instant("2026-01-02T03:04:05Z").unwrap(),
            who: "<script>alert(1)</script>".to_owned(),
            role: Some("<b>".to_owned()),
            action: "\"><i>".to_owned(),
            object: "</td><img>".to_owned(),
            result: AuditResult::Refused,
            from: None,
        };
        let filter = AuditFilter { who: Some(entry.who.clone()), action: Some(entry.action.clone()) };
        let shown = row(&entry).into_string() + &form(&filter, &[AuditRecord { id: 1, entry }]).into_string();
        for markup in ["<script", "<b>", "<i>", "<img"] {
            assert!(!shown.contains(markup), "{markup}: {shown}");
        }
    }
}
