//! What is around every page.

use maud::{DOCTYPE, Markup, html};

use crate::serve::access::Right;
use crate::serve::answer::{At, Failure};
use crate::serve::assets::VERSION;

/// The pages of a project, as its navigation has them: path, name, and the right that the page needs.
const TABS: &[(&str, &str, Right)] = &[
    ("", "Overview", Right::View),
    ("/mappings", "Mappings", Right::View),
    ("/edit", "Editor", Right::View),
    ("/dead-letters", "Dead letters", Right::View),
    ("/opt-outs", "Opt-outs", Right::View),
    ("/runs", "Runs", Right::View),
    ("/doctor", "Doctor", Right::View),
    ("/drift", "Schema drift", Right::View),
    ("/privacy", "Privacy", Right::Administer),
    ("/settings", "Settings", Right::View),
];

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – d365map" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href={ "/assets/style.css?v=" (VERSION) };
                script src={ "/assets/live.js?v=" (VERSION) } defer {}
                script src={ "/assets/editor.js?v=" (VERSION) } defer {}
            }
            body { (body) }
        }
    }
}

/// A page of a project. `tab` is the path of the tab that it belongs to.
pub fn page(at: &At, tab: &str, title: &str, content: &Markup) -> Markup {
    let several = at.site.projects.len() > 1;
    let problem = at.served.now().problem;
    let body = html! {
        a.skip href="#content" { "Skip to the content" }
        header.top {
            a.brand href="/" { "d365map" }
            @if several {
                nav.projects aria-label="Projects" {
                    @for name in at.site.projects.keys() {
                        a href={ "/p/" (name) } aria-current=[(*name == at.served.name).then_some("true")] { (name) }
                    }
                }
            } @else {
                span.project { (at.served.name) }
            }
            (account(at))
        }
        nav.tabs aria-label="Pages" {
            @for (path, name, right) in TABS {
                @if at.may(*right) {
                    a href=(at.path(path)) aria-current=[(*path == tab).then_some("page")] { (name) }
                }
            }
        }
        main #content tabindex="-1" {
            @if let Some(problem) = &problem {
                section.notice.bad role="status" {
                    h2 { "This project is not running" }
                    pre { (problem) }
                    @if at.may(Right::Operate) {
                        form method="post" action=(at.path("/try-again")) { (csrf(at)) button { "Try again now" } }
                    }
                }
            }
            h1 { (title) }
            (content)
        }
    };
    document(&format!("{title} – {}", at.served.name), &body)
}

fn account(at: &At) -> Markup {
    html! {
        div.account {
            span { (at.caller.name) " " span.role { (at.caller.role.name()) } }
            form method="post" action="/sign-out" { (csrf(at)) button.plain { "Sign out" } }
        }
    }
}

/// A text as a part of a path in an address.
pub fn segment(text: &str) -> String {
    const KEPT: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &KEPT).to_string()
}

/// The field of a form that shows that a page of this server sent it.
pub fn csrf(at: &At) -> Markup {
    html! { input type="hidden" name="csrf" value=(at.caller.csrf.as_deref().unwrap_or_default()); }
}

/// A page outside projects, for people who have no session or whose request failed.
pub fn outside(title: &str, content: &Markup) -> Markup {
    let body = html! {
        header.top { a.brand href="/" { "d365map" } }
        main.narrow #content { h1 { (title) } (content) }
    };
    document(title, &body)
}

/// A failure as a page.
pub fn failure(failure: &Failure) -> Markup {
    let title = match failure.status.as_u16() {
        404 => "Not found",
        403 => "Not allowed",
        409 => "Not done",
        400 | 422 => "This cannot be done",
        502 => "A service did not answer as expected",
        503 => "Not available at the moment",
        _ => "Something went wrong",
    };
    let content = html! {
        div.notice.bad role="alert" {
            pre { (failure.message) }
            @for hint in &failure.hints { p { (hint) } }
        }
        p { a href="/" { "Back to the overview" } }
    };
    outside(title, &content)
}
