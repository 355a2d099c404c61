//! A route: method, path, the right that the caller needs, and how a caller is recognized at that door.

use std::sync::Arc;

use axum::http::Method;
use axum::routing::MethodRouter;

use super::access::{Door, Right};
use super::site::Site;

/// A route.
pub struct Route {
    /// The method.
    #[cfg_attr(not(feature = "internals"), allow(dead_code, reason = "tests go through the table"))]
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The right that the caller needs.
    pub right: Right,
    /// How the caller is recognized, and how a caller without the right is answered.
    pub door: Door,
    pub(super) handler: fn() -> MethodRouter<Arc<Site>>,
}

impl Route {
    /// A page: GET.
    pub(super) const fn page(path: &'static str, right: Right, handler: fn() -> MethodRouter<Arc<Site>>) -> Route {
        Route { method: Method::GET, path, right, door: Door::Page, handler }
    }

    /// An action of a page: POST of a form.
    pub(super) const fn action(path: &'static str, right: Right, handler: fn() -> MethodRouter<Arc<Site>>) -> Route {
        Route { method: Method::POST, path, right, door: Door::Action, handler }
    }

    /// A part of a page that is updated.
    pub(super) const fn live(path: &'static str, right: Right, handler: fn() -> MethodRouter<Arc<Site>>) -> Route {
        Route { method: Method::GET, path, right, door: Door::Live, handler }
    }

    /// A route of the API.
    pub(super) const fn api(method: Method, path: &'static str, right: Right, handler: fn() -> MethodRouter<Arc<Site>>) -> Route {
        Route { method, path, right, door: Door::Api, handler }
    }

    /// A route that needs no session.
    pub(super) const fn open(method: Method, path: &'static str, handler: fn() -> MethodRouter<Arc<Site>>) -> Route {
        Route { method, path, right: Right::View, door: Door::Open, handler }
    }
}
