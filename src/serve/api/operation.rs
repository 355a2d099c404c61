//! An operation of the API: what its route and its description are made of.

use std::sync::Arc;

use axum::http::Method;
use axum::routing::MethodRouter;
use schemars::{Schema, SchemaGenerator};

use crate::serve::access::Right;
use crate::serve::site::Site;

/// The beginning of all paths.
pub const BASE: &str = "/api/v1";

/// Gives the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// An operation of the API.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) right: Right,
    /// Its name in the description, from which generators of clients make the name of a function.
    pub(super) id: &'static str,
    /// What it does, in one sentence.
    pub(super) summary: &'static str,
    /// The type of the query; its members become parameters.
    pub(super) query: Option<SchemaOf>,
    /// The type of the body.
    pub(super) body: Option<SchemaOf>,
    /// The status of an answer that is not a problem, and its type.
    pub(super) answer: (u16, SchemaOf),
    pub(super) handler: fn() -> MethodRouter<Arc<Site>>,
}

impl Operation {
    pub(super) const fn read(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: SchemaOf,
        handler: fn() -> MethodRouter<Arc<Site>>,
    ) -> Operation {
        Operation { method: Method::GET, path, right: Right::View, id, summary, query: None, body: None, answer: (200, answer), handler }
    }

    pub(super) const fn act(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: (u16, SchemaOf),
        handler: fn() -> MethodRouter<Arc<Site>>,
    ) -> Operation {
        Operation { method: Method::POST, path, right: Right::Operate, id, summary, query: None, body: None, answer, handler }
    }

    pub(super) const fn needs(mut self, right: Right) -> Operation {
        self.right = right;
        self
    }

    pub(super) const fn asks(mut self, query: SchemaOf) -> Operation {
        self.query = Some(query);
        self
    }

    pub(super) const fn takes(mut self, body: SchemaOf) -> Operation {
        self.body = Some(body);
        self
    }
}
