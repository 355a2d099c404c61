//! The admin interface: what a test reads and sets. It needs no authentication and is not part of either vendor's API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::App;
use super::dataverse::limits::Limits;
use super::dataverse::setup::Setup;
use super::dataverse::table::{Column, TableChange};
use super::faults::{Limit, Order};

pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/stats", get(stats))
        .route("/dump/contacts", get(dump_contacts))
        .route("/dump/table/{name}", get(dump_table))
        .route("/dump/profiles", get(dump_profiles))
        .route("/reset-stats", post(reset_stats))
        .route("/expire-tokens", post(expire_tokens))
        .route("/expire-delta", post(expire_delta))
        .route("/schema-change", post(schema_change))
        .route("/alter-column", post(alter_column))
        .route("/record-count", post(record_count))
        .route("/expire-pkeys", post(expire_pkeys))
        .route("/fail-next", post(fail_next))
        .route("/clear-faults", post(clear_faults))
        .route("/held", get(held))
        .route("/release-held", post(release_held))
        .route("/throttle", post(throttle))
        .merge(super::campaign::admin::routes())
        .merge(super::journal::routes())
        .merge(super::partner_center::routes())
        .route("/setup", post(set_up))
        .route("/table", post(change_table))
        .route("/add-column", post(add_column))
        .route("/merge", post(merge))
        .route("/rows/{table}", post(create_row))
        .route("/rows/{table}/{id}", patch(update_row).delete(delete_row))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), keep))
        .with_state(app)
}

/// Keeps what a request of this interface changed.
async fn keep(State(app): AppState, request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let changes = request.method() != axum::http::Method::GET;
    let response = next.run(request).await;
    if changes {
        app.keep();
    }
    response
}

type AppState = State<Arc<App>>;

#[derive(Deserialize)]
struct Dump {
    /// Versions and instants too, which differ from run to run.
    #[serde(default)]
    system: bool,
}

fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn wrong(text: String) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": text}))).into_response()
}

async fn stats(State(app): AppState) -> Response {
    Json(app.stats.to_json()).into_response()
}

fn table(app: &App, name: &str, system: bool) -> Response {
    match app.dataverse.dump(name, system) {
        Some(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": format!("no table `{name}`")}))).into_response(),
    }
}

async fn dump_contacts(State(app): AppState, Query(dump): Query<Dump>) -> Response {
    table(&app, "contact", dump.system)
}

async fn dump_table(State(app): AppState, Path(name): Path<String>, Query(dump): Query<Dump>) -> Response {
    table(&app, &name, dump.system)
}

async fn dump_profiles(State(app): AppState, Query(dump): Query<Dump>) -> Response {
    Json(app.campaign.dump("profile", dump.system)).into_response()
}

async fn reset_stats(State(app): AppState) -> Response {
    app.stats.reset();
    done()
}

async fn held(State(app): AppState) -> Response {
    Json(json!({ "held": app.held() })).into_response()
}

async fn release_held(State(app): AppState) -> Response {
    Json(json!({ "statuses": app.release() })).into_response()
}

async fn expire_tokens(State(app): AppState) -> Response {
    app.dataverse.tokens.expire_all(Instant::now());
    app.campaign.tokens.expire_all(Instant::now());
    if let Some(partner) = &app.partner {
        partner.expire_tokens();
    }
    done()
}

async fn expire_delta(State(app): AppState) -> Response {
    app.dataverse.expire_delta(None);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaChange {
    table: String,
}

async fn schema_change(State(app): AppState, body: Option<Json<SchemaChange>>) -> Response {
    let name = body.map_or_else(|| "contact".to_owned(), |Json(change)| change.table);
    if app.dataverse.expire_delta(Some(&name)) { done() } else { wrong(format!("no table `{name}`")) }
}

/// A change of one column in Dataverse's metadata, as an administrator makes it; rows stay as they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlterColumn {
    pub(super) table: String,
    pub(super) column: String,
    /// The new length of a text.
    #[serde(default)]
    pub(super) length: Option<usize>,
    /// An option that is taken away.
    #[serde(default)]
    pub(super) without_option: Option<i64>,
    /// Whether the column is taken out of the API.
    #[serde(default)]
    pub(super) remove: bool,
    /// Column security.
    #[serde(default)]
    pub(super) secured: Option<Secured>,
}

/// Column security, as it concerns the application users.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Secured {
    /// Switched off.
    Off,
    /// Switched on; their field security profile allows reading.
    Readable,
    /// Switched on; they have no profile: the service gives null.
    Hidden,
}

async fn alter_column(State(app): AppState, body: String) -> Response {
    match serde_json::from_str::<AlterColumn>(&body) {
        Ok(change) => match app.dataverse.alter(&change) {
            Ok(()) => done(),
            Err(error) => wrong(error),
        },
        Err(error) => wrong(error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordCount {
    table: String,
    /// None for the number of the moment.
    count: Option<u64>,
}

async fn record_count(State(app): AppState, Json(snapshot): Json<RecordCount>) -> Response {
    let mut snapshots = super::write(&app.dataverse.snapshots);
    match snapshot.count {
        Some(count) => snapshots.insert(snapshot.table, count),
        None => snapshots.remove(&snapshot.table),
    };
    done()
}

async fn expire_pkeys(State(app): AppState) -> Response {
    app.campaign.expire_pkeys();
    done()
}

async fn fail_next(State(app): AppState, body: String) -> Response {
    match serde_json::from_str::<Order>(&body) {
        Ok(order) => {
            app.faults.order(order);
            done()
        }
        Err(error) => wrong(error.to_string()),
    }
}

async fn clear_faults(State(app): AppState) -> Response {
    app.faults.clear();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Throttle {
    /// Requests per window; null lifts the limit.
    #[serde(default)]
    requests: Option<u32>,
    /// Milliseconds.
    #[serde(default)]
    window: Option<u64>,
    /// Milliseconds of execution in the window, in Dataverse.
    #[serde(default)]
    execution: Option<u64>,
    /// Requests at one time, in Dataverse.
    #[serde(default)]
    concurrency: Option<u32>,
}

async fn throttle(State(app): AppState, body: String) -> Response {
    match serde_json::from_str::<Throttle>(&body) {
        Ok(throttle) => {
            let window = Duration::from_millis(throttle.window.unwrap_or(1000));
            let requests = throttle.requests.map(|requests| Limit { requests, window });
            app.faults.set_limit(requests);
            let execution = throttle.execution.map(|total| (Duration::from_millis(total), window));
            app.dataverse.protection.set(Limits { requests, execution, concurrency: throttle.concurrency });
            done()
        }
        Err(error) => wrong(error.to_string()),
    }
}

/// Reads a body and does what it says.
fn apply<T: DeserializeOwned>(body: &str, work: impl FnOnce(T) -> Result<(), String>) -> Response {
    match serde_json::from_str(body).map_err(|error| error.to_string()).and_then(work) {
        Ok(()) => done(),
        Err(error) => wrong(error),
    }
}

async fn set_up(State(app): AppState, body: String) -> Response {
    apply::<Setup>(&body, |change| app.dataverse.set_up(&change))
}

async fn change_table(State(app): AppState, body: String) -> Response {
    apply::<TableChange>(&body, |change| app.dataverse.change_table(&change))
}

/// A new column, as an administrator adds it: delta tokens of the table die.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddColumn {
    table: String,
    column: Column,
}

async fn add_column(State(app): AppState, body: String) -> Response {
    apply::<AddColumn>(&body, |change| app.dataverse.add_column(&change.table, change.column))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Merge {
    target: String,
    subordinate: String,
}

async fn merge(State(app): AppState, body: String) -> Response {
    apply::<Merge>(&body, |merge| app.dataverse.merge(&merge.target, &merge.subordinate))
}

/// The body of a row's creation, as in a `POST` to the API; another user makes it.
async fn create_row(State(app): AppState, Path(table): Path<String>, body: String) -> Response {
    match app.dataverse.create_row(&table, &body) {
        Ok(id) => (StatusCode::CREATED, Json(json!({"id": id}))).into_response(),
        Err(error) => wrong(error),
    }
}

async fn update_row(State(app): AppState, Path((table, id)): Path<(String, String)>, body: String) -> Response {
    match app.dataverse.update_row(&table, &id, &body) {
        Ok(()) => done(),
        Err(error) => wrong(error),
    }
}

async fn delete_row(State(app): AppState, Path((table, id)): Path<(String, String)>) -> Response {
    match app.dataverse.delete_row(&table, &id) {
        Ok(()) => done(),
        Err(error) => wrong(error),
    }
}
