//! Dead letters: a page of them, one of them, and what to do with them.

use axum::extract::Path;

use super::documents::{CountDocument, DeadLetterChoice, DeadLetterDocument, DeadLettersDocument, DeadLettersQuery, VERSION, ValuesQuery};
use super::exchange::{Answer, Asked, Body, Document, Given, Problem, values};
use super::projects::{MOST, USUAL};
use crate::app::operate;
use crate::serve::answer::{At, Failure};
use crate::store::DeadLetterFilter;

/// Lists dead letters.
pub async fn list(Asked(at): Asked, Given(query): Given<DeadLettersQuery>) -> Answer<DeadLettersDocument> {
    values(&at, query.values, "dead letters").await?;
    let letters = at.served.stores().await?.dead_letters;
    let limit = usize::from(query.limit.unwrap_or(USUAL).min(MOST));
    let filter = DeadLetterFilter { mapping: query.mapping, code: query.code, ids: None };
    let mut found = letters.dead_letters(&filter, query.after, limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|letter| letter.id);
    let shown = found.into_iter().map(|letter| if query.values { letter } else { operate::without_values(letter) });
    Ok(Document::of(DeadLettersDocument { version: VERSION, values: query.values, dead_letters: shown.collect(), next }))
}

/// Returns a dead letter.
pub async fn show(Asked(at): Asked, Path((_, id)): Path<(String, String)>, Given(query): Given<ValuesQuery>) -> Answer<DeadLetterDocument> {
    let unknown = || Failure::not_found(format!("there is no dead letter {id}; it may have been retried with success"));
    let number: i64 = id.parse().map_err(|_| unknown())?;
    let letters = at.served.stores().await?.dead_letters;
    let letter = letters.dead_letter(number).await?.ok_or_else(unknown)?;
    values(&at, query.values, &format!("dead letter {number}")).await?;
    let dead_letter = if query.values { letter } else { operate::without_values(letter) };
    Ok(Document::of(DeadLetterDocument { version: VERSION, values: query.values, dead_letter }))
}

/// The dead letters that a request names. To name none is an error and does not mean all.
fn chosen(choice: DeadLetterChoice) -> Result<DeadLetterFilter, Problem> {
    let DeadLetterChoice { ids, mapping, code, all } = choice;
    if ids.as_ref().is_none_or(Vec::is_empty) && mapping.is_none() && code.is_none() && !all {
        let failure = Failure::bad_request("the request does not say which dead letters are meant");
        return Err(failure.hint("Give `ids`, `mapping` or `code`, or `all` with the value true.").into());
    }
    Ok(DeadLetterFilter { mapping, code, ids })
}

/// What the audit log says.
fn object(filter: &DeadLetterFilter) -> String {
    let DeadLetterFilter { mapping, code, ids } = filter;
    match ids {
        Some(ids) => format!("dead letters {}", ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
        None => format!("dead letters of mapping {}, code {}", mapping.as_deref().unwrap_or("any"), code.as_deref().unwrap_or("any")),
    }
}

async fn noted(at: &At, action: &str, filter: &DeadLetterFilter, done: Result<u64, Failure>) -> Answer<CountDocument> {
    at.audit(action, &object(filter), &done).await;
    at.served.live.changed();
    Ok(Document::of(CountDocument { version: VERSION, count: done? }))
}

/// Queues dead letters again.
pub async fn retry(Asked(at): Asked, Body(choice): Body<DeadLetterChoice>) -> Answer<CountDocument> {
    let filter = chosen(choice)?;
    let letters = at.served.stores().await?.dead_letters;
    let done = operate::retry_dead_letters(&*letters, &filter).await.map_err(Failure::from);
    noted(&at, "retry", &filter, done).await
}

/// Removes dead letters.
pub async fn drop(Asked(at): Asked, Body(choice): Body<DeadLetterChoice>) -> Answer<CountDocument> {
    let filter = chosen(choice)?;
    let letters = at.served.stores().await?.dead_letters;
    let done = operate::drop_dead_letters(&*letters, &filter).await.map_err(Failure::from);
    noted(&at, "drop", &filter, done).await
}
