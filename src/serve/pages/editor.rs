//! The editor of mapping files. It works as a form: "Check", "Format" and "Save" are its buttons. A script adds what the language server
//! does in other editors, by the same code ([`assist`]).
//!
//! A file with errors is saved only if the person confirms it: a draft must not be lost, and workflows that run go on by the plan that
//! they have. They cannot be started again before the errors are corrected, which the page says.

mod assist;
mod findings;
mod opened;

use axum::Form;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use similar::{ChangeTag, TextDiff};

pub use self::assist::assist;
pub use self::findings::findings;
use self::opened::{Opened, Saved};
use super::{frame, page};
use crate::app::AppError;
use crate::check::Compiled;
use crate::count::{counted, noun_for};
use crate::diagnostics::{FileId, Severity};
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure, blocking};

/// Findings that are shown below a file.
const MOST: usize = 100;

/// The address of the editor of a file.
pub fn address(at: &At, file: &str) -> String {
    let parts: Vec<String> = file.split('/').map(frame::segment).collect();
    at.path(&format!("/edit/{}", parts.join("/")))
}

/// Whether the caller may save here.
fn may_save(at: &At) -> bool {
    at.may(Right::Edit) && at.served.project().serve.edit
}

/// Lists the mapping files.
pub async fn list(at: At) -> Result<Markup, Failure> {
    let files = at.served.files().await?;
    let sources = &files.compiled.sources;
    let content = html! {
        (rules(&at))
        div.wide tabindex="0" role="region" aria-label="Mapping files" {
            table {
                caption.hidden { "Mapping files" }
                thead { tr { th scope="col" { "File" } th.number scope="col" { "Lines" } th scope="col" { "Findings" } } }
                tbody { @for (id, source) in sources.iter() { tr {
                    th scope="row" { a href=(address(&at, &source.name)) { (source.name) } }
                    td.number { (source.line_count()) }
                    td { (short(&files.compiled, id)) }
                } } }
            }
        }
        @if sources.iter().next().is_none() { p { "This project has no mapping files yet." } }
    };
    Ok(page(&at, "/edit", "Mapping files", &content))
}

/// Who may change files, if the caller may not.
fn rules(at: &At) -> Markup {
    html! {
        @if !at.served.project().serve.edit {
            p { "Files can be read here, but not saved. To allow that, write " code { "serve: { edit: true }" } " into the project file." }
        } @else if !at.may(Right::Edit) {
            p { "Your role does not include the right to change mapping files." }
        }
    }
}

/// The findings of a file in few words.
fn short(compiled: &Compiled, file: FileId) -> Markup {
    let (errors, warnings) = counts(compiled, Some(file));
    html! {
        @if errors > 0 { span.badge.bad { (counted(errors, "error")) } " " }
        @if warnings > 0 { span.badge.warn { (counted(warnings, "warning")) } }
        @if errors + warnings == 0 { span.quiet { "none" } }
    }
}

/// Errors and warnings of a file, or of all files.
fn counts(compiled: &Compiled, file: Option<FileId>) -> (usize, usize) {
    let all = compiled.diagnostics.iter().filter(|d| file.is_none_or(|file| d.span.file == file));
    let (errors, warnings): (Vec<_>, Vec<_>) = all.partition(|d| d.severity() == Severity::Error);
    (errors.len(), warnings.len())
}

/// What was done before the page is shown.
#[derive(Debug, Default, Deserialize)]
pub struct Done {
    done: Option<String>,
}

/// Shows a file.
pub async fn show(at: At, Path((_, file)): Path<(String, String)>, Query(query): Query<Done>) -> Result<Markup, Failure> {
    let project = at.served.project();
    let (opened, compiled) = blocking(move || {
        let opened = Opened::on_disk(&project, &file)?;
        let compiled = opened.compile(&opened.text)?;
        Ok::<_, Failure>((opened, compiled))
    })
    .await?;
    let saved = query.done.as_deref() == Some("save");
    let note = html! {
        @if saved {
            p.notice.good role="status" {
                "Saved. Workflows go on by the file as it was when they were started; " a href=(at.path("/mappings")) { "Mappings" }
                " shows what differs."
            }
        }
    };
    Ok(shown(&at, &opened, &opened.text, &compiled, &note, &html! {}))
}

/// The page: `text` is what is in the field, and `note` what was done about it. `confirm` is what a save needs besides.
fn shown(at: &At, opened: &Opened, text: &str, compiled: &Compiled, note: &Markup, confirm: &Markup) -> Markup {
    let name = &opened.name;
    let edits = at.may(Right::Edit);
    let assists = format!("{}/", at.path("/assist"));
    let content = html! {
        (note)
        (rules(at))
        form.editor method="post" action=(address(at, name)) data-editor=[edits.then_some(&assists)] data-file=(encoded(name)) {
            (frame::csrf(at))
            input type="hidden" name="loaded" value=(opened.mark);
            label for="text" { "Text of " code { (name) } }
            div.field {
                // The first line break after the tag does not belong to the text (HTML Standard, 13.1.2.5).
                textarea.code #text name="text" rows="28" wrap="off" spellcheck="false" autocapitalize="off" autocomplete="off"
                    readonly[!edits] { "\n" (text) }
            }
            (confirm)
            @if edits {
                div.actions {
                    button name="do" value="check" { "Check" }
                    button name="do" value="format" { "Format" }
                    @if may_save(at) { button.primary name="do" value="save" { "Save" } }
                    a.button href=(address(at, name)) { "Discard changes" }
                }
                p.quiet.keys hidden { "Ctrl+Space completes. Ctrl+S saves. What is at the cursor is explained below." }
            }
        }
        section #about.about aria-live="polite" hidden {}
        section #findings aria-live="polite" { (fragment(at, opened, compiled)) }
        p { a href=(at.path("/edit")) { "All mapping files" } }
    };
    page(at, "/edit", name, &content)
}

fn encoded(name: &str) -> String {
    name.split('/').map(frame::segment).collect::<Vec<_>>().join("/")
}

/// The findings of a file, and how many others have.
fn fragment(at: &At, opened: &Opened, compiled: &Compiled) -> Markup {
    let (errors, warnings) = counts(compiled, Some(opened.id()));
    let all = counts(compiled, None);
    let others = (all.0 - errors, all.1 - warnings);
    html! {
        h2 {
            @if errors + warnings == 0 { "No findings" } @else { (counted(errors, "error")) ", " (counted(warnings, "warning")) }
        }
        (findings(at, compiled, Some(opened.id()), MOST))
        @if others.0 > 0 {
            details { summary { (counted(others.0, "error")) " in other files" } (findings::of_others(at, compiled, opened.id(), MOST)) }
        }
    }
}

/// The form of the editor.
#[derive(Debug, Deserialize)]
pub struct Changed {
    /// The mark of the file that was loaded.
    loaded: String,
    text: String,
    r#do: String,
    /// A person has seen the errors, and saves the file nevertheless.
    with_errors: Option<String>,
}

/// What came of a form.
enum Came {
    /// It was saved.
    Saved,
    /// It is shown again: with a status, the text of the field, and the parts that say why.
    Again(StatusCode, Box<(Opened, String, Compiled)>, Why),
}

enum Why {
    Checked,
    Formatted,
    NotFormatted,
    Errors(usize),
    Newer(String),
}

/// Checks, formats or saves.
pub async fn act(at: At, Path((_, file)): Path<(String, String)>, Form(form): Form<Changed>) -> Result<Response, Failure> {
    let text = form.text.replace("\r\n", "\n");
    let came = match form.r#do.as_str() {
        "check" => again(&at, &file, text, |text| (text, Why::Checked)).await?,
        "format" => {
            again(&at, &file, text, |text| match crate::format::format(&text) {
                Some(formatted) => (formatted, Why::Formatted),
                None => (text, Why::NotFormatted),
            })
            .await?
        }
        "save" => {
            let saved = save(&at, &file, text, &form).await;
            // Whether it was refused because of its content is not a failure, but was not done either.
            match &saved {
                Ok(Came::Saved) => at.audit("save-mapping-file", &file, &Ok(())).await,
                Ok(Came::Again(..)) => {}
                Err(_) => at.audit("save-mapping-file", &file, &saved).await,
            }
            saved?
        }
        other => return Err(Failure::bad_request(format!("the editor has no action `{other}`"))),
    };
    let (status, parts, why) = match came {
        Came::Saved => return Ok(Redirect::to(&format!("{}?done=save", address(&at, &file))).into_response()),
        Came::Again(status, parts, why) => (status, parts, why),
    };
    let (opened, text, compiled) = *parts;
    let (note, confirm) = explained(&why, &opened, &text);
    Ok((status, shown(&at, &opened, &text, &compiled, &note, &confirm)).into_response())
}

/// What happened, and what must be confirmed.
fn explained(why: &Why, opened: &Opened, text: &str) -> (Markup, Markup) {
    let with_errors = |checked: bool| {
        html! {
            p { label { input type="checkbox" name="with_errors" value="yes" checked[checked]; " Save the file although there are errors" } }
        }
    };
    match why {
        Why::Checked => (html! { p.notice role="status" { "Checked. Nothing was saved." } }, html! {}),
        Why::Formatted => (html! { p.notice.good role="status" { "Formatted. Nothing was saved yet." } }, html! {}),
        Why::NotFormatted => {
            (html! { p.notice.bad role="alert" { "The text cannot be formatted before its errors are corrected." } }, html! {})
        }
        Why::Errors(errors) => {
            let note = html! {
                div.notice.bad role="alert" {
                    h2 { "Not saved" }
                    p { "With this text, the mapping files have " (counted(*errors, "error")) ". Correct "
                        (if *errors == 1 { "it" } else { "them" }) ", or save the file nevertheless: what runs goes on by the files as they "
                        "were, but cannot be started again until the " (noun_for(*errors, "error")) " " (if *errors == 1 { "is" } else { "are" })
                        " corrected." }
                }
            };
            (note, with_errors(false))
        }
        Why::Newer(newer) => {
            let note = html! {
                div.notice.bad role="alert" {
                    h2 { "Not saved: the file has changed on disk since you opened it" }
                    p { "Below is your text. To save it over the newer file, press \"Save\" again. The lines that differ:" }
                    ul.plain.diff { @for (class, word, line) in difference(newer, text) {
                        li { code class=(class) { span.hidden { (word) } (line) } }
                    } }
                    details { summary { "The file on disk" } pre { (opened.text) } }
                }
            };
            (note, html! {})
        }
    }
}

/// The lines that differ between the file on disk and a text.
fn difference(disk: &str, text: &str) -> Vec<(&'static str, &'static str, String)> {
    let diff = TextDiff::from_lines(disk, text);
    let line = |change: similar::Change<&str>| {
        let (class, word, sign) = match change.tag() {
            ChangeTag::Equal => return None,
            ChangeTag::Delete => ("delete", "on disk: ", '-'),
            ChangeTag::Insert => ("insert", "your text: ", '+'),
        };
        Some((class, word, format!("{sign} {}", change.value().trim_end())))
    };
    diff.iter_all_changes().filter_map(line).collect()
}

/// Shows the form again with a text that comes of that of the form.
async fn again(at: &At, file: &str, text: String, change: impl FnOnce(String) -> (String, Why) + Send + 'static) -> Result<Came, Failure> {
    let (project, file) = (at.served.project(), file.to_owned());
    blocking(move || {
        let opened = Opened::on_disk(&project, &file)?;
        let (text, why) = change(text);
        let compiled = opened.compile(&text)?;
        let status = if matches!(why, Why::NotFormatted) { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        Ok::<_, Failure>(Came::Again(status, Box::new((opened, text, compiled)), why))
    })
    .await
}

async fn save(at: &At, file: &str, text: String, form: &Changed) -> Result<Came, Failure> {
    let project = at.served.project();
    if !project.serve.edit {
        return Err(Failure::forbidden("mapping files of this project cannot be saved here")
            .hint("To allow it, write `serve: { edit: true }` into the project file, and start the server again."));
    }
    let (file, loaded, with_errors) = (file.to_owned(), form.loaded.clone(), form.with_errors.is_some());
    // One at a time: nothing is saved between the comparison and the write.
    let mut kept = at.served.files.lock().await;
    let came = blocking(move || {
        let opened = Opened::on_disk(&project, &file)?;
        let compiled = opened.compile(&text)?;
        if opened.mark != loaded {
            let newer = opened.text.clone();
            return Ok(Came::Again(StatusCode::CONFLICT, Box::new((opened, text, compiled)), Why::Newer(newer)));
        }
        let errors = counts(&compiled, None).0;
        if errors > 0 && !with_errors {
            return Ok(Came::Again(StatusCode::UNPROCESSABLE_ENTITY, Box::new((opened, text, compiled)), Why::Errors(errors)));
        }
        match opened.write(&text).map_err(AppError::from)? {
            Saved::Written | Saved::Same => Ok::<_, Failure>(Came::Saved),
        }
    })
    .await?;
    if matches!(came, Came::Saved) {
        *kept = None;
    }
    Ok(came)
}
