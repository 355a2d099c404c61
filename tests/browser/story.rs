//! What people do on the pages.

use crate::driver::Browser;
use crate::flow::support::ada;
use crate::project;
use crate::support::{NAME, Serving};

/// The row of the only workflow.
const ROW: &str = "table.workflows tbody tr";
/// Its number of records.
const RECORDS: &str = "table.workflows tbody tr td:nth-of-type(4)";
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

fn button(action: &str) -> String {
    format!("button[formaction$='/workflows/contacts/{action}']")
}

async fn sign_in(browser: &Browser, serving: &Serving) {
    browser.open(&serving.link()).await;
    browser.shows("h1", "Overview").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_once_by_the_link_and_signs_out() {
    let serving = project::small().await;
    let browser = Browser::start().await;
    let link = serving.link();
    browser.open(&link).await;
    browser.shows("h1", "Overview").await;
    browser.shows(".account", "admin").await;
    browser.press(".account button").await;
    browser.shows("h1", "Signed out").await;
    browser.open(&link).await;
    browser.shows("h1", "cannot be used").await;
    browser.open(&serving.url(&format!("/p/{NAME}/dead-letters"))).await;
    browser.shows("h1", "Sign in").await;
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_arrive_live_and_a_workflow_is_stopped_and_started() {
    let serving = project::small().await;
    let browser = Browser::start().await;
    sign_in(&browser, &serving).await;
    browser.shows(ROW, "running").await;
    browser.shows(RECORDS, "1").await;
    // Had the page been loaded again, this would be gone.
    browser.client.execute("window.same = true", Vec::new()).await.expect("a script");
    for n in 2..=4 {
        serving.world.create(n, ada()).await;
    }
    browser.shows(RECORDS, "4").await;
    assert_eq!(browser.value("window.same === true").await, true, "the records are to arrive without a reload");

    browser.press(&button("stop")).await;
    browser.shows("[role=status]", "is being stopped").await;
    browser.shows(ROW, "stopped").await;
    serving.world.create(5, ada()).await;
    browser.press(&button("start")).await;
    browser.shows("[role=status]", "is being started").await;
    browser.shows(ROW, "running").await;
    browser.shows(RECORDS, "5").await;
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_looked_at_and_retried() {
    let serving = project::small().await;
    serving.until("contacts", "at rest", |w| !w["record"]["round_ended"].is_null()).await;
    project::refuse(&serving, 2).await;
    serving.world.create(2, ada()).await;
    serving.world.create(3, ada()).await;
    let browser = Browser::start().await;
    sign_in(&browser, &serving).await;
    browser.shows("table.workflows tbody a[href*='dead-letters']", "2").await;
    browser.press("nav.tabs a[href$='/dead-letters']").await;
    browser.shows("h1", "Dead letters").await;
    browser.press("tbody a").await;
    browser.shows("h1", "Dead letter ").await;
    assert!(!browser.text().await.contains("Lovelace"), "values are hidden until somebody asks for them");
    browser.press("a[href='?values=yes']").await;
    browser.shows("dl.details", "Lovelace").await;
    browser.press("button[formaction$='/dead-letters/retry']").await;
    browser.shows("[role=status]", "Queued again").await;
    browser.press("tbody input[type=checkbox]").await;
    browser.press("button[formaction$='/dead-letters/retry'][value=all]").await;
    browser.open(&serving.url(&format!("/p/{NAME}/dead-letters"))).await;
    browser.shows_after_reload("main", "There are no dead letters").await;
    assert_eq!(serving.world.profiles().await.len(), 3);
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_javascript_a_reload_shows_what_a_script_would() {
    let serving = project::small().await;
    let browser = Browser::without_scripts().await;
    sign_in(&browser, &serving).await;
    browser.shows_after_reload(ROW, "running").await;
    browser.press(&button("stop")).await;
    browser.shows("[role=status]", "is being stopped").await;
    browser.shows_after_reload(ROW, "stopped").await;
    browser.press("nav.tabs a[href$='/dead-letters']").await;
    browser.press("form.filter button").await;
    browser.shows("main", "There are no dead letters").await;
    browser.press(".account button").await;
    browser.shows("h1", "Signed out").await;
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_reached_by_the_keyboard_and_shows_its_focus() {
    let serving = project::small().await;
    serving.until("contacts", "at rest", |w| !w["record"]["round_ended"].is_null()).await;
    let browser = Browser::start().await;
    sign_in(&browser, &serving).await;
    browser.key(TAB).await;
    let focused = "document.activeElement.textContent";
    assert_eq!(browser.value(focused).await, "Skip to the content");
    browser.key(ENTER).await;
    assert_eq!(browser.value("document.activeElement.id").await, "content");

    browser.open(&serving.url(&format!("/p/{NAME}"))).await;
    let list = "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, [tabindex=\"0\"]')]";
    let count = browser.value(&format!("{list}.length")).await.as_u64().expect("a number");
    assert!(count > 8);
    for n in 0..count {
        browser.key(TAB).await;
        let at = browser
            .value(&format!("[{list}.indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]"))
            .await;
        assert_eq!(at[0], n, "{}", browser.value("document.activeElement.outerHTML").await);
        assert_ne!(at[1], "none", "the focus is not shown: {}", browser.value("document.activeElement.outerHTML").await);
    }
    let stop = button("stop");
    browser.find(&stop).await;
    browser.client.execute(&format!("document.querySelector(\"{stop}\").focus()"), Vec::new()).await.expect("a script");
    browser.key(ENTER).await;
    browser.shows("[role=status]", "is being stopped").await;
    browser.end().await;
    serving.end().await;
}
