//! The list of the API's operations.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value};

use super::documents::{
    AuditDocument, AuditQuery, CountDocument, DeadLetterChoice, DeadLetterDocument, DeadLettersDocument, DeadLettersQuery, LimitQuery,
    OptOutsDocument, ProjectsDocument, ReplayChoice, RunsDocument, ValuesQuery, WishDocument, WorkflowsDocument,
};
use super::operation::Operation;
use super::{dead_letters, openapi, opt_outs, projects, workflows};
use crate::app::operate::StatusDocument;
use crate::serve::access::Right;
use crate::serve::route::Route;

fn of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The members of a query belong to its operation: they are not a separate component.
fn members<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// All operations.
fn all() -> Vec<Operation> {
    let mut all = vec![
        Operation::read("/api/v1/openapi.json", "getDescription", "Returns this description.", of::<Map<String, Value>>, || get(describe)),
        Operation::read("/api/v1/projects", "listProjects", "Lists the projects of the server.", of::<ProjectsDocument>, || {
            get(projects::list)
        }),
        Operation::read(
            "/api/v1/projects/{project}/status",
            "getStatus",
            "Returns the state of a project: the document of `d365map status --format json`.",
            of::<StatusDocument>,
            || get(projects::status),
        ),
        Operation::read(
            "/api/v1/projects/{project}/runs",
            "listRuns",
            "Lists the last runs of a project, the newest first.",
            of::<RunsDocument>,
            || get(projects::runs),
        )
        .asks(members::<LimitQuery>),
        Operation::read(
            "/api/v1/projects/{project}/audit",
            "listAudit",
            "Lists entries of the audit log of a project, the newest first.",
            of::<AuditDocument>,
            || get(projects::audit),
        )
        .needs(Right::Administer)
        .asks(members::<AuditQuery>),
        Operation::read(
            "/api/v1/projects/{project}/opt-outs",
            "listOptOuts",
            "Lists the workflows of opt-outs and how far each has come.",
            of::<OptOutsDocument>,
            || get(opt_outs::list),
        ),
    ];
    all.extend(of_workflows());
    all.extend(of_dead_letters());
    all
}

fn of_workflows() -> [Operation; 6] {
    [
        Operation::read(
            "/api/v1/projects/{project}/workflows",
            "listWorkflows",
            "Lists the workflows of a project with their states and what they hold for approval.",
            of::<WorkflowsDocument>,
            || get(workflows::list),
        ),
        Operation::act(
            "/api/v1/projects/{project}/workflows/{name}/start",
            "startWorkflow",
            "Starts a workflow that was stopped or has failed.",
            (202, of::<WishDocument>),
            || post(workflows::start),
        ),
        Operation::act(
            "/api/v1/projects/{project}/workflows/{name}/restart",
            "restartWorkflow",
            "Stops a workflow, and starts it by the mapping files as they are now.",
            (202, of::<WishDocument>),
            || post(workflows::restart),
        ),
        Operation::act(
            "/api/v1/projects/{project}/workflows/{name}/stop",
            "stopWorkflow",
            "Stops a workflow. Requests in flight are finished first.",
            (202, of::<WishDocument>),
            || post(workflows::stop),
        ),
        Operation::act(
            "/api/v1/projects/{project}/workflows/{name}/replay",
            "replayWorkflow",
            "Has all records of a mapping read again and compared with what was last written.",
            (202, of::<WishDocument>),
            || post(workflows::replay),
        )
        .takes(of::<ReplayChoice>),
        Operation::act(
            "/api/v1/projects/{project}/workflows/{name}/approve-mass-change",
            "approveMassChange",
            "Approves what a workflow holds since it would delete many records or empty a field in many.",
            (202, of::<CountDocument>),
            || post(workflows::approve_mass_change),
        ),
    ]
}

fn of_dead_letters() -> [Operation; 4] {
    [
        Operation::read(
            "/api/v1/projects/{project}/dead-letters",
            "listDeadLetters",
            "Lists dead letters, in the order of their numbers.",
            of::<DeadLettersDocument>,
            || get(dead_letters::list),
        )
        .asks(members::<DeadLettersQuery>),
        Operation::read(
            "/api/v1/projects/{project}/dead-letters/{id}",
            "getDeadLetter",
            "Returns a dead letter.",
            of::<DeadLetterDocument>,
            || get(dead_letters::show),
        )
        .asks(members::<ValuesQuery>),
        Operation::act(
            "/api/v1/projects/{project}/dead-letters/retry",
            "retryDeadLetters",
            "Queues dead letters again: the next round reads each record from its source and writes it.",
            (200, of::<CountDocument>),
            || post(dead_letters::retry),
        )
        .takes(of::<DeadLetterChoice>),
        Operation::act(
            "/api/v1/projects/{project}/dead-letters/drop",
            "dropDeadLetters",
            "Removes dead letters: a record stays unwritten until it changes in its source.",
            (200, of::<CountDocument>),
            || post(dead_letters::drop),
        )
        .takes(of::<DeadLetterChoice>),
    ]
}

/// The routes of the API.
pub fn routes() -> impl Iterator<Item = Route> {
    all().into_iter().map(|operation| Route::api(operation.method, operation.path, operation.right, operation.handler))
}

/// The OpenAPI description of the API.
pub fn description() -> Value {
    openapi::document(&all())
}

/// Returns the description.
async fn describe() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], description().to_string())
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;
    use crate::serve::access::Right;
    use crate::serve::api::operation::BASE;

    #[test]
    fn every_path_begins_in_the_same_way_and_every_operation_has_its_own_name() {
        let all = all();
        assert!(all.iter().all(|operation| operation.path.starts_with(BASE)));
        let names: std::collections::BTreeSet<&str> = all.iter().map(|operation| operation.id).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn what_changes_something_needs_more_than_the_right_to_see() {
        assert!(all().iter().all(|operation| operation.method == Method::GET || operation.right != Right::View));
    }
}
