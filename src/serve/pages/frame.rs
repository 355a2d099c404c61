//! What is around every page of a project.

use maud::{Markup, html};

use crate::serve::access::Right;
use crate::serve::answer::At;
use crate::serve::shell::document;

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
    ("/audit", "Audit log", Right::Administer),
    ("/settings", "Settings", Right::View),
];

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
