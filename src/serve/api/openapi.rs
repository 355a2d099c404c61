//! The OpenAPI description of the API: made of the list of operations and of the types of its documents.

use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::documents::{ProblemDocument, VERSION};
use super::operation::{BASE, Operation};
use crate::serve::access::CSRF_HEADER;

const DESCRIPTION: &str = "The state of d365map's projects, and what can be done with them. \
    A program sends the token of an API client; a page sends the cookie of its session. \
    Errors are problem documents (RFC 9457). Answers are not to be stored by caches.";

/// Types of components from Rust types, as they are written or as they are read.
fn generator(settings: SchemaSettings) -> SchemaGenerator {
    settings
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator()
}

/// The description of these operations.
pub(super) fn document(operations: &[Operation]) -> Value {
    let mut written = generator(SchemaSettings::draft2020_12().for_serialize());
    let mut read = generator(SchemaSettings::draft2020_12().for_deserialize());
    let mut paths: Map<String, Value> = Map::new();
    let problem = written.subschema_for::<ProblemDocument>();
    for operation in operations {
        let described = describe(operation, &problem, &mut written, &mut read);
        let path = operation.path.strip_prefix(BASE).unwrap_or(operation.path).to_owned();
        if let Some(methods) = paths.entry(path).or_insert_with(|| json!({})).as_object_mut() {
            methods.insert(operation.method.as_str().to_lowercase(), described);
        }
    }
    let mut schemas = written.take_definitions(true);
    schemas.extend(read.take_definitions(true));
    json!({
        "openapi": "3.1.1",
        "info": { "title": "d365map", "version": format!("{VERSION}.0.0"), "description": DESCRIPTION, "license": { "name": "MIT", "identifier": "MIT" } },
        "servers": [{ "url": BASE }],
        "security": [{ "token": [] }, { "session": [], "csrf": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "The token of an API client, `serve.clients` of the project file." },
                "session": { "type": "apiKey", "in": "cookie", "name": "__Host-d365map", "description": "The session of a person who has signed in." },
                "csrf": { "type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": "The CSRF token of the session; needed for everything but GET." }
            },
            "schemas": schemas
        }
    })
}

fn describe(operation: &Operation, problem: &Schema, written: &mut SchemaGenerator, read: &mut SchemaGenerator) -> Value {
    let (status, answer) = operation.answer;
    let mut parameters: Vec<Value> = operation.path.split('/').filter_map(of_path).collect();
    parameters.extend(operation.query.iter().flat_map(|query| of_query(query(read).as_value())));
    let refused =
        |description: &str| json!({ "description": description, "content": { "application/problem+json": { "schema": problem } } });
    let mut responses = json!({
        status.to_string(): { "description": "Done.", "content": { "application/json": { "schema": answer(written) } } },
        "401": refused("The token is missing or not known."),
        "403": refused("The role does not include this."),
        "429": refused("Too many requests; `Retry-After` says when to try again."),
        "default": refused("The request was not carried out.")
    });
    if let Some(responses) = responses.as_object_mut().filter(|_| operation.path.contains('{')) {
        responses.insert("404".to_owned(), refused("There is no such project, or nothing of that name in it."));
    }
    if let Some(responses) = responses.as_object_mut().filter(|_| operation.method != Method::GET) {
        responses.insert("409".to_owned(), refused("The state does not allow this now."));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": format!("Needs the role {} or a higher one.", operation.right.least().name()),
        "responses": responses
    });
    if !parameters.is_empty() {
        described["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = operation.body {
        described["requestBody"] = json!({ "content": { "application/json": { "schema": body(read) } } });
    }
    described
}

/// The parameter of a part of a path, if it is one.
fn of_path(part: &str) -> Option<Value> {
    let name = part.strip_prefix('{')?.strip_suffix('}')?;
    let (description, schema) = match name {
        "project" => ("The project, by its name in `GET /projects`.", json!({ "type": "string" })),
        "id" => ("The number.", json!({ "type": "integer" })),
        _ => ("The workflow.", json!({ "type": "string" })),
    };
    Some(json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema }))
}

/// The parameters of a query, from the schema of its type.
fn of_query(schema: &Value) -> Vec<Value> {
    let members = schema.get("properties").and_then(Value::as_object);
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({ "name": name, "in": "query", "description": description, "schema": schema })
    };
    members.into_iter().flatten().map(parameter).collect()
}
