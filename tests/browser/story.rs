//! What people do on the pages.

use crate::driver::{Browser, ENTER, TAB, until};
use crate::flow::support::{ada, id};
use crate::project;
use crate::support::{NAME, Serving};

/// The row of the only workflow.
const ROW: &str = "table.workflows tbody tr";
/// Its number of records.
const RECORDS: &str = "table.workflows tbody tr td:nth-of-type(4)";

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

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_mapping_is_shown_corrected_and_saved_and_a_restart_runs_the_file() {
    let serving = project::small().await;
    let file = serving.folder().join("mappings/contacts.d365map");
    let text = || std::fs::read_to_string(&file).expect("a file");
    let before = text();
    let browser = Browser::start().await;
    sign_in(&browser, &serving).await;
    browser.shows(RECORDS, "1").await;
    browser.press("nav.tabs a[href$='/edit']").await;
    browser.press("tbody a[href$='/edit/mappings/contacts.d365map']").await;

    // The finding comes while somebody types, with its line marked.
    browser.select("firstname").await;
    browser.write("firstnames").await;
    browser.shows("#findings", "1 error").await;
    browser.shows("#findings", "did you mean").await;
    browser.shows(".gutter .bad", "3").await;
    browser.press("button[name=do][value=save]").await;
    browser.shows("main [role=alert]", "Not saved").await;
    assert_eq!(text(), before);

    browser.select("firstnames").await;
    browser.write("firstname").await;
    browser.shows("#findings", "No findings").await;
    browser.select("| truncate(30)").await;
    browser.write("| upper | truncate(30)").await;
    browser.press("button[name=do][value=save]").await;
    browser.shows("main [role=status]", "Saved.").await;
    assert_eq!(text(), before.replace("| truncate(30)", "| upper | truncate(30)"));

    // What runs does not change before the restart.
    browser.press("main [role=status] a[href$='/mappings']").await;
    browser.shows("main table", "files have changed").await;
    browser.press("tbody a[href$='/mappings/contacts']").await;
    browser.shows(".notice.warn", "The files have changed").await;
    browser.press("form[action$='/workflows/contacts/restart'] button").await;
    browser.shows("main [role=status]", "is being restarted").await;
    let renamed = async || serving.world.profile(1).await.is_some_and(|profile| profile["firstName"] == "ADA");
    until("the profile has the name of the new file", renamed).await;
    browser.shows(ROW, "running").await;
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_opt_outs_are_compared_approved_and_written() {
    let serving = project::disagreeing().await;
    let browser = Browser::start().await;
    sign_in(&browser, &serving).await;
    browser.press("nav.tabs a[href$='/opt-outs']").await;
    browser.shows("main table", "needs approval").await;
    browser.press("form[action$='/opt-outs/compare'] button").await;
    browser.shows("main", "With a difference").await;
    browser.shows("main", &id(1)).await;
    browser.press("a[href*='/decide?comparison=']").await;
    browser.shows("h1", "Decide about contacts").await;
    browser.shows("form.panel", "1 value would be written").await;
    assert!(!opted_out(&serving).await, "nothing is written before somebody approves it");
    browser.press("form.panel button.primary").await;
    browser.shows("main [role=status]", "Approved.").await;
    browser.shows("main table", "in sync").await;
    until("the contact is opted out", async || opted_out(&serving).await).await;
    browser.end().await;
    serving.end().await;
}

/// Whether the only contact is opted out of email.
async fn opted_out(serving: &Serving) -> bool {
    let contacts = serving.world.admin_get("dump/contacts").await;
    contacts.as_array().expect("a list").iter().any(|contact| contact["contactid"] == id(1).as_str() && contact["donotemail"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_reported_and_forgotten_after_the_id_is_typed_again() {
    let serving = project::small().await;
    serving.until("contacts", "at rest", |w| !w["record"]["round_ended"].is_null()).await;
    project::refuse(&serving, 1).await;
    serving.world.create(2, ada()).await;
    let browser = Browser::start().await;
    sign_in(&browser, &serving).await;
    browser.shows("table.workflows tbody a[href*='dead-letters']", "1").await;
    browser.press("nav.tabs a[href$='/privacy']").await;
    let person = id(2);
    let report = async || {
        browser.press("#report-key").await;
        browser.write(&person).await;
        browser.press("form[action$='/privacy/report'] button").await;
    };
    report().await;
    browser.shows("section[role=status]", "What the state has of").await;
    browser.shows("main", "dead_letter").await;
    assert!(!browser.text().await.contains("Lovelace"), "places, not data");

    browser.press("#again").await;
    browser.write(&id(1)).await;
    browser.press("button.danger").await;
    browser.shows("main [role=alert]", "Nothing was removed").await;
    browser.press("#again").await;
    browser.write(&person).await;
    browser.press("button.danger").await;
    browser.shows("section[role=status]", "is forgotten").await;
    let address = browser.value("location.href").await;
    assert!(!address.as_str().is_some_and(|address| address.contains(&person)), "the address names the person: {address}");
    report().await;
    browser.shows("section[role=status]", "The state has no trace").await;
    browser.press("nav.tabs a[href$='/dead-letters']").await;
    browser.shows("main", "There are no dead letters").await;
    browser.end().await;
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_retried_and_a_file_corrected_by_the_keyboard_alone() {
    let serving = project::small().await;
    serving.until("contacts", "at rest", |w| !w["record"]["round_ended"].is_null()).await;
    project::refuse(&serving, 1).await;
    serving.world.create(2, ada()).await;
    let browser = Browser::start().await;
    sign_in(&browser, &serving).await;
    browser.shows("table.workflows tbody a[href*='dead-letters']", "1").await;
    browser.reach("nav.tabs a[href$='/dead-letters']").await;
    browser.key(ENTER).await;
    browser.shows("h1", "Dead letters").await;
    browser.reach("tbody input[type=checkbox]").await;
    browser.key(" ").await;
    browser.reach("button[formaction$='/dead-letters/retry']").await;
    browser.key(ENTER).await;
    browser.shows("main [role=status]", "Queued again").await;

    browser.reach("nav.tabs a[href$='/edit']").await;
    browser.key(ENTER).await;
    browser.shows("h1", "Mapping files").await;
    browser.reach("tbody a[href$='/edit/mappings/contacts.d365map']").await;
    browser.key(ENTER).await;
    browser.reach("textarea").await;
    browser.select("truncate(30)").await;
    browser.write("truncate(29)").await;
    // The tabulator leaves the text area.
    browser.reach("button[name=do][value=save]").await;
    browser.key(ENTER).await;
    browser.shows("main [role=status]", "Saved.").await;
    until("the record is written", async || serving.world.profiles().await.len() == 2).await;
    browser.end().await;
    serving.end().await;
}
