//! What holds for every page of the route table.

use std::path::Path;

use d365map::serve::access::Door;
use d365map::serve::table;

use crate::driver::Browser;
use crate::project;
use crate::support::{NAME, Serving};

/// The narrowest and the widest window that pages are made for, and a usual one.
const WIDTHS: [u32; 3] = [360, 1280, 2560];
const HEIGHT: u32 = 900;

/// What the project has that paths name.
struct Given {
    /// The number of a dead letter.
    letter: i64,
    /// The path of the page on which somebody decides about opt-outs, with its query.
    decide: String,
}

/// The path of a page with values for its parameters.
fn filled(template: &str, given: &Given) -> String {
    if template.ends_with("/decide") {
        return given.decide.clone();
    }
    let part = |part: &str| match part {
        "{project}" => NAME.to_owned(),
        "{name}" => "contacts".to_owned(),
        "{id}" => given.letter.to_string(),
        "{code}" => "D101".to_owned(),
        "{file}" | "{*file}" => "mappings/contacts.d365map".to_owned(),
        _ if part.starts_with('{') => panic!("the test does not know what {part} of {template} is"),
        _ => part.to_owned(),
    };
    template.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The pages: a name for the picture, and the path. The start page leads to one of them, and reports are files.
fn all(given: &Given) -> Vec<(String, String)> {
    let is_page = |path: &str| path != "/" && !path.ends_with(".json");
    let pages = table().into_iter().filter(|route| route.door == Door::Page && is_page(route.path));
    pages.map(|route| (name(route.path), filled(route.path, given))).collect()
}

/// A name for the picture of a page: `overview`, `dead-letters`, `dead-letters-id`.
fn name(template: &str) -> String {
    let name = template.trim_start_matches("/p/{project}").trim_matches('/').replace('/', "-").replace(['{', '}', '*'], "");
    if name.is_empty() { "overview".to_owned() } else { name }
}

/// A served project, a browser in which somebody has signed in, and the pages.
async fn everything() -> (Serving, Browser, Vec<(String, String)>) {
    let (serving, letter) = project::large().await;
    let browser = Browser::start().await;
    browser.open(&serving.link()).await;
    let decide = project::fill(&browser, &serving).await;
    let pages = all(&Given { letter, decide });
    (serving, browser, pages)
}

/// Opens a page, and checks that it is one.
async fn open(browser: &Browser, serving: &Serving, path: &str) {
    browser.open(&serving.url(path)).await;
    let status = browser.value("performance.getEntriesByType('navigation')[0].responseStatus").await;
    assert_eq!(status, 200, "{path}: {}", browser.text().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_violates_wcag_in_light_or_dark() {
    let (serving, browser, pages) = everything().await;
    let mut faults = Vec::new();
    for (width, dark) in [(1280, false), (1280, true), (360, false)] {
        browser.look(width, HEIGHT, dark).await;
        for (_, path) in &pages {
            open(&browser, &serving, path).await;
            let view = format!("{width} pixels, {}", if dark { "dark" } else { "light" });
            faults.extend(browser.violations().await.into_iter().map(|fault| format!("{path}, {view}: {fault}")));
        }
    }
    for path in ["/sign-in?out=true", "/p/contoso/dead-letters/0"] {
        browser.open(&serving.url(path)).await;
        faults.extend(browser.violations().await.into_iter().map(|fault| format!("{path}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_wider_than_the_window() {
    let (serving, browser, pages) = everything().await;
    let mut faults = Vec::new();
    for width in WIDTHS {
        browser.look(width, HEIGHT, false).await;
        for (_, path) in &pages {
            open(&browser, &serving, path).await;
            let shown = browser.value("[innerWidth, document.documentElement.scrollWidth]").await;
            if shown[0] != width || shown[1].as_u64() > Some(u64::from(width)) {
                faults.push(format!("{path} at {width} pixels: {shown}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_takes_nothing_from_elsewhere_and_breaks_no_rule_of_the_policy_of_the_server() {
    let (serving, browser, pages) = everything().await;
    for (_, path) in &pages {
        open(&browser, &serving, path).await;
        let loaded = browser.value("performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)").await;
        let hosts: Vec<&str> = loaded.as_array().expect("a list").iter().filter_map(|host| host.as_str()).collect();
        assert!(hosts.iter().all(|host| *host == serving.address.to_string()), "{path}: {hosts:?}");
        let inline = browser.value("document.querySelectorAll('[style], style, script:not([src])').length").await;
        assert_eq!(inline, 0, "{path}: the policy forbids styles and scripts in the page itself");
    }
    browser.end().await;
    serving.end().await;
}

/// Writes the pictures of docs/serve.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes files: run.sh --screenshots"]
async fn pictures_of_all_pages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/serve");
    std::fs::create_dir_all(&folder).expect("a folder");
    let (serving, browser, pages) = everything().await;
    let mut pictures: Vec<(String, String, u32, bool)> = pages.into_iter().map(|(name, path)| (name, path, 1200, false)).collect();
    pictures.push(("overview-dark".to_owned(), format!("/p/{NAME}"), 1200, true));
    pictures.push(("overview-narrow".to_owned(), format!("/p/{NAME}"), 360, false));
    for (name, path, width, dark) in pictures {
        browser.look(width, 760, dark).await;
        open(&browser, &serving, &path).await;
        let picture = browser.client.screenshot().await.expect("a picture");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("a file");
    }
    browser.end().await;
    serving.end().await;
}
