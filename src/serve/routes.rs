//! The one table of routes.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::access::{Door, Right};
use super::answer::Failure;
use super::pages::{audit, dead_letters, doctor, drift, editor, explain, home, live, mappings, optouts, overview, privacy, runs, settings};
use super::route::Route;
use super::site::Site;
use super::{api, assets};

/// All routes.
pub fn table() -> Vec<Route> {
    let mut table = vec![
        Route::page("/", Right::View, || get(home::page)),
        Route::page("/p/{project}", Right::View, || get(overview::page)),
        Route::action("/p/{project}/workflows/{name}/start", Right::Operate, || post(overview::start)),
        Route::action("/p/{project}/workflows/{name}/restart", Right::Operate, || post(overview::restart)),
        Route::action("/p/{project}/workflows/{name}/stop", Right::Operate, || post(overview::stop)),
        Route::page("/p/{project}/workflows/{name}/replay", Right::Operate, || get(overview::replay_page)),
        Route::action("/p/{project}/workflows/{name}/replay", Right::Operate, || post(overview::replay)),
        Route::action("/p/{project}/workflows/{name}/approve-mass-change", Right::Operate, || post(overview::approve_mass_change)),
        Route::action("/p/{project}/try-again", Right::Operate, || post(overview::try_again)),
        Route::page("/p/{project}/dead-letters", Right::View, || get(dead_letters::list)),
        Route::page("/p/{project}/dead-letters/{id}", Right::View, || get(dead_letters::show)),
        Route::action("/p/{project}/dead-letters/retry", Right::Operate, || post(dead_letters::retry)),
        Route::action("/p/{project}/dead-letters/drop", Right::Operate, || post(dead_letters::drop)),
        Route::page("/p/{project}/mappings", Right::View, || get(mappings::list)),
        Route::page("/p/{project}/mappings/{name}", Right::View, || get(mappings::show)),
        Route::action("/p/{project}/test-mappings", Right::Operate, || post(mappings::run_tests)),
        Route::page("/p/{project}/edit", Right::View, || get(editor::list)),
        Route::page("/p/{project}/edit/{*file}", Right::View, || get(editor::show)),
        Route::action("/p/{project}/edit/{*file}", Right::Edit, || post(editor::act)),
        Route::action("/p/{project}/assist/{what}/{*file}", Right::Edit, || post(editor::assist)),
        Route::page("/p/{project}/runs", Right::View, || get(runs::show)),
        Route::page("/p/{project}/settings", Right::View, || get(settings::show)),
        Route::page("/explain", Right::View, || get(explain::list)),
        Route::page("/explain/{code}", Right::View, || get(explain::page)),
        Route::page("/p/{project}/opt-outs", Right::View, || get(optouts::page)),
        Route::action("/p/{project}/opt-outs/compare", Right::Operate, || post(optouts::compare)),
        Route::page("/p/{project}/opt-outs/{mapping}/decide", Right::Operate, || get(optouts::decide_page)),
        Route::action("/p/{project}/opt-outs/{mapping}/decide", Right::Operate, || post(optouts::decide)),
        Route::page("/p/{project}/doctor", Right::View, || get(doctor::page)),
        Route::page("/p/{project}/doctor/report.json", Right::View, || get(doctor::report)),
        Route::action("/p/{project}/doctor/run", Right::Operate, || post(doctor::run)),
        Route::page("/p/{project}/drift", Right::View, || get(drift::page)),
        Route::action("/p/{project}/drift/compare", Right::Operate, || post(drift::compare)),
        Route::page("/p/{project}/privacy", Right::Administer, || get(privacy::page)),
        Route::action("/p/{project}/privacy/report", Right::Administer, || post(privacy::report)),
        Route::action("/p/{project}/privacy/forget", Right::Administer, || post(privacy::forget)),
        Route::action("/p/{project}/privacy/lift", Right::Administer, || post(privacy::lift)),
        Route::page("/p/{project}/audit", Right::Administer, || get(audit::show)),
        Route::live("/live/{project}/{part}", Right::View, || get(live::stream)),
        Route::api(Method::GET, "/metrics", Right::View, || get(api::metrics)),
        Route::open(Method::GET, "/assets/{name}", || get(assets::file)),
        Route::open(Method::GET, "/healthz", || get(api::health)),
        Route::open(Method::GET, "/readyz", || get(api::ready)),
    ];
    table.extend(api::routes());
    table
}

/// The routes with what is around all of them.
pub fn router(site: Arc<Site>) -> Router {
    let mut router = Router::new();
    for route in table() {
        let handler = match route.door {
            Door::Page | Door::Action => (route.handler)().layer(map_response(as_page)),
            Door::Api | Door::Live | Door::Open => (route.handler)(),
        };
        router = router.route(route.path, handler.layer(site.access.guard(route.right, route.door)));
    }
    let router = router.merge(site.access.routes());
    let unknown = async |uri: Uri| {
        if uri.path().starts_with("/api/") {
            return api::Problem::from(Failure::not_found(format!("there is no such path; `{}/openapi.json` has all", api::BASE)))
                .into_response();
        }
        Failure::not_found("there is no such page").into_response()
    };
    let other_method = async |uri: Uri| {
        let failure = Failure { status: StatusCode::METHOD_NOT_ALLOWED, ..Failure::bad_request("this address does not take this method") };
        if uri.path().starts_with("/api/") { api::Problem::from(failure).into_response() } else { failure.into_response() }
    };
    let router = router.fallback(unknown).method_not_allowed_fallback(other_method);
    site.access.clone().around(router.with_state(site))
}

/// What the framework says of an address or a form that it cannot read, as a page.
async fn as_page(response: Response) -> Response {
    let status = response.status();
    let is_text = response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() && is_text) {
        return response;
    }
    let failure = Failure::bad_request("the address or the form has a part that this page cannot read");
    Failure { status, ..failure }.into_response()
}
