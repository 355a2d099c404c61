//! The pages of codes: what a finding means, with an example that is wrong and one that is right.

use axum::extract::Path;
use maud::{Markup, html};

use super::markdown;
use super::parts::prose;
use crate::diagnostics::{Code, nearest};
use crate::serve::answer::Failure;
use crate::serve::shell::outside;

/// Lists all codes.
pub async fn list() -> Markup {
    let content = html! {
        ul.plain {
            @for code in Code::ALL { li { a href={ "/explain/" (code) } { (code) } " " (prose(code.title())) } }
        }
    };
    outside("Codes", &content)
}

/// Shows a code.
pub async fn page(Path(name): Path<String>) -> Result<Markup, Failure> {
    let Some(code) = Code::from_name(&name) else {
        let near = nearest(&name, Code::ALL.iter().map(|code| code.name()));
        let failure = Failure::not_found(format!("there is no code `{name}`"));
        return Err(near.into_iter().fold(failure, |failure, near| failure.hint(format!("Did you mean {near}?"))));
    };
    let page = code.page();
    let (title, text) = page.split_once('\n').unwrap_or((page, ""));
    let content = html! {
        div.prose { (markdown::html(text)) }
        p { a href="/explain" { "All codes" } }
    };
    Ok(outside(title.trim_start_matches('#').trim(), &content))
}
