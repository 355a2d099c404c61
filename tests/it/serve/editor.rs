//! The editor: findings where they are, saving only what was loaded, and only files of the project.

use reqwest::StatusCode;
use serde_json::Value;

use super::desk::Desk;

const EDIT: &str = "serve: { edit: true }\n";
const FILE: &str = "mappings/contacts.d365map";
const PAGE: &str = "/edit/mappings/contacts.d365map";
const TEXT: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname     -> firstName | truncate(30)
}
";

async fn desk() -> Desk {
    Desk::of(EDIT, &[(FILE, TEXT)]).await
}

fn wrong() -> String {
    TEXT.replace("firstname ", "firstnam  ")
}

#[tokio::test]
async fn a_mistake_is_shown_where_it_is_with_its_code_and_nothing_is_saved() {
    let desk = desk().await;
    desk.get(PAGE).await.has(&["No findings", "&gt; campaign.profile {\n", "name=\"loaded\""]);
    let page = desk.post(PAGE, &[("loaded", ""), ("do", "check"), ("text", &wrong())]).await;
    assert_eq!(page.status, StatusCode::OK);
    page.has(&[
        "mappings/contacts.d365map:3:3",
        "<mark>firstnam</mark>",
        "href=\"/explain/D10",
        "did you mean <code>firstname</code>?",
        "1 error",
    ]);
    page.has(&["firstnam      -&gt; firstName"]);
    assert_eq!(desk.read(FILE), TEXT);
}

#[tokio::test]
async fn a_text_is_formatted_without_being_saved() {
    let desk = desk().await;
    let untidy = TEXT.replace("  key", "      key");
    let page = desk.post(PAGE, &[("loaded", ""), ("do", "format"), ("text", &untidy)]).await;
    page.has(&["Formatted. Nothing was saved yet.", "\n  key contactid"]);
    let broken = desk.post(PAGE, &[("loaded", ""), ("do", "format"), ("text", "mapping {{{")]).await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
    broken.has(&["cannot be formatted", "mapping {{{"]);
    assert_eq!(desk.read(FILE), TEXT);
}

#[tokio::test]
async fn a_file_is_saved_with_the_line_ends_that_it_has() {
    let desk = desk().await;
    for ends in ["\n", "\r\n"] {
        desk.write(FILE, &TEXT.replace('\n', ends));
        let loaded = desk.get(PAGE).await.field("loaded");
        // A browser sends the text of a field with `\r\n`.
        let text = TEXT.replace("30", "29").replace('\n', "\r\n");
        let page = desk.post(PAGE, &[("loaded", &loaded), ("do", "save"), ("text", &text)]).await;
        assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/p/contoso/edit/mappings/contacts.d365map?done=save"));
        assert_eq!(desk.read(FILE), TEXT.replace("30", "29").replace('\n', ends));
    }
    desk.get(&format!("{PAGE}?done=save")).await.has(&["Saved."]);
}

#[tokio::test]
async fn a_save_over_a_newer_file_is_refused_and_both_texts_are_shown() {
    let desk = desk().await;
    let loaded = desk.get(PAGE).await.field("loaded");
    let newer = TEXT.replace("30", "20");
    desk.write(FILE, &newer);
    let mine = TEXT.replace("30", "10");
    let page = desk.post(PAGE, &[("loaded", &loaded), ("do", "save"), ("text", &mine)]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.has(&["has changed on disk", "truncate(20)", "truncate(10)"]);
    assert_eq!(desk.read(FILE), newer);
    // The person has seen it, and wants the own text.
    let page = desk.post(PAGE, &[("loaded", &page.field("loaded")), ("do", "save"), ("text", &mine)]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.read(FILE), mine);
}

#[tokio::test]
async fn a_file_with_errors_is_saved_only_if_the_person_confirms_it() {
    let desk = desk().await;
    let loaded = desk.get(PAGE).await.field("loaded");
    let page = desk.post(PAGE, &[("loaded", &loaded), ("do", "save"), ("text", &wrong())]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.has(&["Not saved", "1 error", "name=\"with_errors\""]);
    assert_eq!(desk.read(FILE), TEXT);
    let page = desk.post(PAGE, &[("loaded", &loaded), ("do", "save"), ("text", &wrong()), ("with_errors", "yes")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.read(FILE), wrong());
    desk.get("/mappings").await.has(&["The mapping files have 1 error", "mappings/contacts.d365map:3:3"]);
}

#[tokio::test]
async fn nothing_is_saved_unless_the_project_allows_it() {
    let desk = Desk::of("", &[(FILE, TEXT)]).await;
    let page = desk.get(PAGE).await;
    page.has(&["Files can be read here, but not saved."]);
    page.lacks(&["value=\"save\""]);
    let text = TEXT.replace("30", "29");
    let page = desk.post(PAGE, &[("loaded", &page.field("loaded")), ("do", "save"), ("text", &text)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.read(FILE), TEXT);
}

#[tokio::test]
async fn only_mapping_files_of_the_project_are_shown_and_saved() {
    let desk = desk().await;
    desk.write("secret.txt", "hush");
    desk.write("secret.d365map", "# hush\n");
    let outside =
        ["%2e%2e%2fsecret.txt", "mappings%2f..%2fsecret.d365map", "d365map.yaml", "%2fetc%2fpasswd", "secret.d365map", "mappings"];
    for name in outside {
        let path = format!("/edit/{name}");
        let page = desk.get(&path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{name}");
        page.lacks(&["hush", "version: 1"]);
        let page = desk.post(&path, &[("loaded", ""), ("do", "save"), ("text", "x"), ("with_errors", "yes")]).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{name}");
        let page = desk.post(&format!("/assist/findings/{name}"), &[("text", "x")]).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{name}");
    }
    assert_eq!(desk.read("secret.txt"), "hush");
    assert!(!std::fs::exists(desk.path("mappings/x")).expect("a folder"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_out_of_the_project_is_neither_shown_nor_followed_by_a_save() {
    let desk = desk().await;
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("other.d365map");
    std::fs::write(&file, "# hush\n").expect("a file");
    std::os::unix::fs::symlink(&file, desk.path("mappings/linked.d365map")).expect("a link");
    for path in ["/edit/mappings/linked.d365map", "/edit"] {
        let page = desk.get(path).await;
        assert!(page.status.is_client_error(), "{path}: {}", page.status);
        page.lacks(&["hush"]);
    }
    let page = desk.post("/edit/mappings/linked.d365map", &[("loaded", ""), ("do", "save"), ("text", "x"), ("with_errors", "yes")]).await;
    assert!(page.status.is_client_error(), "{}", page.status);
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "# hush\n");
}

#[tokio::test]
async fn markup_in_a_file_stays_text() {
    let text = "# </textarea><script>alert(1)</script>\nmapping \"<script>alert(2)</script>\"\n";
    let desk = Desk::of(EDIT, &[(FILE, text)]).await;
    let page = desk.get(PAGE).await;
    page.lacks(&["<script>alert", "</textarea><script"]);
    page.has(&["&lt;/textarea&gt;&lt;script&gt;alert(1)"]);
    desk.post("/assist/findings/mappings/contacts.d365map", &[("text", text)]).await.lacks(&["<script>"]);
}

#[tokio::test]
async fn the_script_gets_findings_completion_and_what_is_at_the_cursor() {
    let desk = desk().await;
    let ask = async |what: &str, text: &str, at: usize| {
        let path = format!("/assist/{what}/mappings/contacts.d365map");
        let page = desk.post(&path, &[("text", text), ("at", &at.to_string())]).await;
        assert_eq!(page.status, StatusCode::OK, "{what}");
        page.body
    };
    assert!(ask("findings", &wrong(), 0).await.contains("data-line=\"3\" data-column=\"3\" data-severity=\"error\""));
    let half = TEXT.replace("  firstname     -> firstName | truncate(30)\n", "  # ü\n  firstn\n");
    let at = half.find("firstn").expect("a word") + "firstn".len() - 1;
    let offers: Value = serde_json::from_str(&ask("completion", &half, at).await).expect("JSON");
    let first = &offers[0];
    assert_eq!((first["label"].as_str(), first["from"].as_u64()), (Some("firstname"), Some(at as u64 - 6)), "{offers}");
    let about = ask("hover", TEXT, TEXT.find("firstname").expect("a field") + 2).await;
    assert!(about.contains("<code>d365.contact.firstname</code>") && about.contains("text(50)"), "{about}");
    let bare = desk.post_bare("/assist/hover/mappings/contacts.d365map", &[("text", TEXT)]).await;
    assert_eq!(bare.status, StatusCode::FORBIDDEN);
}
