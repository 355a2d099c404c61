//! Dead letters: what was not written, why, and what to do with it.

use axum::Form;
use axum::extract::{Path, Query};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;

use super::parts::{done, given, instant, text_of};
use super::{editor, frame, page};
use crate::app::operate;
use crate::count::counted;
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure};
use crate::store::{DeadLetter, DeadLetterFilter};

/// Dead letters on a page.
const PAGE: usize = 50;

/// Which dead letters are shown.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    mapping: Option<String>,
    code: Option<String>,
    /// The number of the last one of the page before.
    after: Option<i64>,
    done: Option<String>,
}

/// The texts that follow an action.
const DONE: &[(&str, &str)] = &[
    ("retry", "Queued again. The record is read from its source and written in the next round."),
    ("drop", "Dropped. A record stays unwritten until it changes in its source."),
];

impl Which {
    fn filter(&self) -> DeadLetterFilter {
        DeadLetterFilter { mapping: given(self.mapping.as_ref()), code: given(self.code.as_ref()), ids: None }
    }

    fn query(&self, after: Option<i64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in
            [("mapping", given(self.mapping.as_ref())), ("code", given(self.code.as_ref())), ("after", after.map(|n| n.to_string()))]
        {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        query.finish()
    }
}

/// Lists dead letters.
pub async fn list(at: At, Query(which): Query<Which>) -> Result<Markup, Failure> {
    let stores = at.served.stores().await?;
    let filter = which.filter();
    let mut letters = stores.dead_letters.dead_letters(&filter, which.after.unwrap_or(0), PAGE + 1).await?;
    let more = letters.len() > PAGE;
    letters.truncate(PAGE);
    let names: Vec<String> = operate::known(&stores.control.status().await?).into_iter().collect();
    let text = text_of(which.done.as_ref(), DONE);
    let content = html! {
        (done(text))
        form.filter method="get" data-submit-on-change {
            label { "Mapping "
                select name="mapping" {
                    option value="" { "all" }
                    @for name in &names { option value=(name) selected[filter.mapping.as_ref() == Some(name)] { (name) } }
                }
            }
            label { "Code " input name="code" value=(filter.code.as_deref().unwrap_or_default()) size="12"; }
            button { "Filter" }
        }
        @if letters.is_empty() {
            p { "There are no dead letters" @if filter.mapping.is_some() || filter.code.is_some() { " like this" } "." }
        } @else {
            form method="post" {
                (frame::csrf(&at))
                @if let Some(mapping) = &filter.mapping { input type="hidden" name="mapping" value=(mapping); }
                @if let Some(code) = &filter.code { input type="hidden" name="code" value=(code); }
                div.wide tabindex="0" role="region" aria-label="Dead letters" {
                    table.cards {
                        caption.hidden { "Dead letters" }
                        thead { tr {
                            @if at.may(Right::Operate) { th scope="col" { span.hidden { "Selected" } } }
                            th.number scope="col" { "Number" } th scope="col" { "Mapping" } th scope="col" { "Code" }
                            th scope="col" { "Field" } th scope="col" { "Line" } th scope="col" { "Record" } th scope="col" { "Failed (UTC)" }
                        } }
                        tbody { @for letter in &letters { (row(&at, letter)) } }
                    }
                }
                @if at.may(Right::Operate) {
                    div.actions {
                        button formaction=(at.path("/dead-letters/retry")) name="which" value="selected" { "Retry the selected ones" }
                        button.danger formaction=(at.path("/dead-letters/drop")) name="which" value="selected" { "Drop the selected ones" }
                        button formaction=(at.path("/dead-letters/retry")) name="which" value="all" {
                            "Retry all" @if filter.mapping.is_some() || filter.code.is_some() { " of this kind" }
                        }
                    }
                }
            }
            nav.pages aria-label="Pages of dead letters" {
                @if which.after.is_some() { a href={ "?" (which.query(None)) } { "First page" } }
                @if more && let Some(last) = letters.last() { a href={ "?" (which.query(Some(last.id))) } { "Next page" } }
            }
        }
    };
    Ok(page(&at, "/dead-letters", "Dead letters", &content))
}

fn row(at: &At, letter: &DeadLetter) -> Markup {
    html! {
        tr {
            @if at.may(Right::Operate) {
                td { input type="checkbox" name="id" value=(letter.id) aria-label={ "Select dead letter " (letter.id) }; }
            }
            td.number data-label="Number" { a href=(at.path(&format!("/dead-letters/{}", letter.id))) { (letter.id) } }
            td data-label="Mapping" { (letter.mapping) }
            td data-label="Code" { code { (letter.failure.code) } @if letter.retry_requested_at.is_some() { " " span.badge { "being retried" } } }
            td data-label="Field" { (letter.failure.field.as_deref().unwrap_or("–")) }
            td data-label="Line" { (place(at, letter)) }
            td data-label="Record" { code { (letter.source_id) } }
            td data-label="Failed (UTC)" { (instant(letter.created_at)) }
        }
    }
}

/// The line of the mapping file, which leads to the editor.
fn place(at: &At, letter: &DeadLetter) -> Markup {
    html! {
        @match &letter.failure.place {
            Some(place) => a href={ (editor::address(at, &place.file)) "?line=" (place.line) "#text" } { (place.file) ":" (place.line) ":" (place.column) },
            None => "–",
        }
    }
}

/// Whether values are to be shown.
#[derive(Debug, Default, Deserialize)]
pub struct Values {
    values: Option<String>,
}

/// Shows one dead letter. What was sent and answered may be personal data: it is shown to those who may see it and ask for it, once that is
/// noted.
pub async fn show(at: At, Path((_, id)): Path<(String, i64)>, Query(query): Query<Values>) -> Result<Markup, Failure> {
    let stores = at.served.stores().await?;
    let letter = stores.dead_letters.dead_letter(id).await?;
    let letter =
        letter.ok_or_else(|| Failure::not_found(format!("there is no dead letter {id}; it may have been retried with success")))?;
    let values = query.values.is_some();
    if values {
        if !at.may(Right::ShowValues) {
            return Err(Failure::forbidden("your role does not include the right to see values of records"));
        }
        at.audit_view(&format!("dead letter {id}")).await?;
    }
    let f = &letter.failure;
    let hidden = || html! { span.quiet { "hidden" } };
    let content = html! {
        dl.details {
            dt { "Mapping" } dd { (letter.mapping) }
            dt { "Code" } dd { code { (f.code) } }
            dt { "Line" } dd { (place(&at, &letter)) }
            @if let Some(field) = &f.field { dt { "Field" } dd { (field) } }
            dt { "Operation" } dd { (letter.operation.as_str()) }
            dt { "Record" } dd { code { (letter.source_id) } }
            dt { "Failed" } dd { (instant(letter.created_at)) " UTC, after " (counted(letter.attempts, "attempt")) }
            @if let Some(at) = letter.retry_requested_at { dt { "Retry" } dd { "requested " (instant(at)) " UTC" } }
            @if let Some(status) = f.status { dt { "Answer" } dd { "HTTP " (status) } }
            dt { "Reason" } dd { @if values || operate::is_own(&f.code) { pre { (f.message) } } @else { (hidden()) } }
            dt { "Key" } dd { @if values { (letter.key.as_deref().unwrap_or("–")) } @else { (hidden()) } }
            dt { "Request" } dd { @if values { pre { (pretty(f.request.as_deref())) } } @else { (hidden()) } }
            dt { "Response" } dd { @if values { pre { (pretty(f.response.as_deref())) } } @else { (hidden()) } }
        }
        @if !values && at.may(Right::ShowValues) {
            p { a.button href="?values=yes" { "Show values" } " " span.quiet { "They may be personal data. It is noted that you looked." } }
        }
        @if at.may(Right::Operate) {
            form.actions method="post" {
                (frame::csrf(&at))
                input type="hidden" name="id" value=(letter.id);
                input type="hidden" name="which" value="selected";
                button formaction=(at.path("/dead-letters/retry")) { "Retry" }
                button.danger formaction=(at.path("/dead-letters/drop")) { "Drop" }
            }
        }
    };
    Ok(page(&at, "/dead-letters", &format!("Dead letter {id}"), &content))
}

/// JSON with its lines apart; anything else as it is.
fn pretty(text: Option<&str>) -> String {
    let Some(text) = text else { return "–".to_owned() };
    let value = serde_json::from_str::<serde_json::Value>(text);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| text.to_owned())
}

/// The dead letters that an action is for.
struct Chosen(DeadLetterFilter);

impl Chosen {
    /// From the fields of a form. Nothing chosen is an error, not all.
    fn of(form: &[(String, String)]) -> Result<Chosen, Failure> {
        let value = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        if value("which").as_deref() == Some("all") {
            return Ok(Chosen(DeadLetterFilter {
                mapping: given(value("mapping").as_ref()),
                code: given(value("code").as_ref()),
                ids: None,
            }));
        }
        let ids = form.iter().filter(|(name, _)| name == "id").map(|(_, value)| value.parse::<i64>());
        let ids = ids.collect::<Result<Vec<i64>, _>>().map_err(|_| Failure::bad_request("a dead letter has a number"))?;
        if ids.is_empty() {
            return Err(
                Failure::bad_request("no dead letter is selected").hint("Select the ones that are meant, and press the button again.")
            );
        }
        Ok(Chosen(DeadLetterFilter { mapping: None, code: None, ids: Some(ids) }))
    }

    /// What the audit log says.
    fn object(&self) -> String {
        let DeadLetterFilter { mapping, code, ids } = &self.0;
        match ids {
            Some(ids) => format!("dead letters {}", ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
            None => format!("dead letters of mapping {}, code {}", mapping.as_deref().unwrap_or("any"), code.as_deref().unwrap_or("any")),
        }
    }
}

/// Queues dead letters again.
pub async fn retry(at: At, Form(form): Form<Vec<(String, String)>>) -> Result<Redirect, Failure> {
    let chosen = Chosen::of(&form)?;
    let letters = at.served.stores().await?.dead_letters;
    let result = operate::retry_dead_letters(&*letters, &chosen.0).await.map_err(Failure::from).and_then(some);
    at.audit("retry", &chosen.object(), &result).await;
    result?;
    Ok(at.back("/dead-letters?done=retry"))
}

/// Removes dead letters.
pub async fn drop(at: At, Form(form): Form<Vec<(String, String)>>) -> Result<Redirect, Failure> {
    let chosen = Chosen::of(&form)?;
    let letters = at.served.stores().await?.dead_letters;
    let result = operate::drop_dead_letters(&*letters, &chosen.0).await.map_err(Failure::from).and_then(some);
    at.audit("drop", &chosen.object(), &result).await;
    result?;
    Ok(at.back("/dead-letters?done=drop"))
}

/// That nothing was meant is not success.
fn some(count: u64) -> Result<(), Failure> {
    if count > 0 { Ok(()) } else { Err(Failure::conflict("there is no dead letter of this kind, and nothing was changed")) }
}
