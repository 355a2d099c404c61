//! Pages of mappings, runs, settings and codes.

use reqwest::StatusCode;

use super::desk::Desk;

const FILE: &str = "mappings/contacts.d365map";
const TEXT: &str = "# Contacts <script>alert(1)</script> & more
mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname -> firstName | trim | truncate(30) # <b>short</b>
  gendercode -> gender

  replace gendercode {
    1 => male
    else => unknown
  }
  filter all { statecode = Active }
  options { deletes propagate }
}

test contacts \"<img src=x onerror=alert(2)>\" {
  given { firstname: \"Ada\"; statecode: Active }
  expect { firstName: \"Ada\" }
}

test contacts \"another name\" {
  given { firstname: \"Ada\"; statecode: Active }
  expect { firstName: \"Eve\" }
}
";

#[tokio::test]
async fn a_mapping_is_shown_with_the_types_of_both_sides_and_its_texts_are_escaped() {
    let desk = Desk::of("", &[(FILE, TEXT)]).await;
    desk.get("/mappings").await.has(&["href=\"/p/contoso/mappings/contacts\"", "href=\"/p/contoso/edit/mappings/contacts.d365map\""]);
    let page = desk.get("/mappings/contacts").await;
    page.has(&["firstname", "firstName", "trim, then truncate(30)", "deletes", "propagate", "statecode = Active", "every other", "50"]);
    page.has(&["Contacts &lt;script&gt;alert(1)&lt;/script&gt; &amp; more", "&lt;b&gt;short&lt;/b&gt;"]);
    page.lacks(&["<script>alert", "<b>short"]);
    assert_eq!(desk.get("/mappings/nothing").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn labels_of_schemas_are_text() {
    let schema = "version: 1\ntable: d365.thing\ncollection: things\nprimary-key: thingid\nfields:\n  thingid: { type: guid }\n  \
                  name: { type: string, max: 20, label: \"<i>Name</i>\" }\n";
    let mapping = "mapping things: d365.thing -> campaign.profile {\n  key thingid -> externalId\n  name -> lastName\n}\n";
    let desk = Desk::of("", &[(FILE, mapping), ("schemas/thing.yaml", schema)]).await;
    let page = desk.get("/mappings/things").await;
    page.has(&["&lt;i&gt;Name&lt;/i&gt;"]);
    page.lacks(&["<i>Name"]);
}

#[tokio::test]
async fn tests_run_when_asked_and_their_results_are_kept_until_the_files_change() {
    let desk = Desk::of("", &[(FILE, TEXT)]).await;
    desk.get("/mappings/contacts").await.has(&["2 tests, not run since the files have changed."]);
    let page = desk.post("/test-mappings", &[("mapping", "contacts")]).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/p/contoso/mappings/contacts?done=tests#tests"));
    let page = desk.get("/mappings/contacts?done=tests").await;
    page.has(&["The tests have run.", "&lt;img src=x", "another name", "Reached by tests: contacts"]);
    page.has(&["firstName: expected <code class=\"delete\">&quot;Eve&quot;</code>, is <code class=\"insert\">&quot;Ada&quot;</code>"]);
    page.lacks(&["<img"]);
    desk.get("/mappings").await.has(&["1 failed"]);
    desk.write(FILE, &TEXT.replace("\"Eve\"", "\"Ada\"; gender: unknown"));
    desk.get("/mappings/contacts").await.has(&["2 tests, not run since the files have changed."]);
}

#[tokio::test]
async fn a_project_without_mapping_files_and_one_with_errors_have_their_pages() {
    let desk = Desk::of("", &[("mappings/note.txt", "")]).await;
    desk.get("/mappings").await.has(&["This project has no mappings yet."]);
    desk.get("/edit").await.has(&["This project has no mapping files yet."]);
    desk.write(FILE, &TEXT.replace("-> firstName", "-> nothing"));
    let page = desk.get("/mappings").await;
    page.has(&["The mapping files have 1 error", "<mark>nothing</mark>", "/edit/mappings/contacts.d365map?line=4#text"]);
    desk.get("/mappings/contacts").await.has(&["The mapping files have 1 error"]);
    let page = desk.post("/test-mappings", &[]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    page.has(&["no test was run"]);
}

#[tokio::test]
async fn settings_have_their_keys_and_no_secrets() {
    let settings = "connections:
  dynamics:
    url: https://contoso.crm4.dynamics.com
    tenant: contoso.example
    client-id: app
    client-secret: { env: D365MAP_TEST_SECRET }
limits: { page-size: 500 }
";
    let desk = Desk::of(settings, &[(FILE, TEXT)]).await;
    let page = desk.get("/settings").await;
    page.has(&["connections.dynamics.url", "https://contoso.crm4.dynamics.com/", "from env:D365MAP_TEST_SECRET", "limits.page-size"]);
    page.has(&["500 records", "serve.edit", "There is no connection."]);
}

#[tokio::test]
async fn runs_are_listed_and_charts_have_three_times() {
    let desk = Desk::of("", &[(FILE, TEXT)]).await;
    for span in ["", "?span=day", "?span=week", "?span=nothing"] {
        let page = desk.get(&format!("/runs{span}")).await;
        assert_eq!(page.status, StatusCode::OK, "{span}");
        page.has(&["Last hour", "Last day", "Last week", "Nothing has run yet."]);
    }
}

#[tokio::test]
async fn a_code_has_its_page_and_an_unknown_one_a_suggestion() {
    let desk = Desk::of("", &[]).await;
    let page = desk.get("/explain/d101").await;
    assert_eq!(page.status, StatusCode::OK);
    page.has(&["<h1>D101: ", "<h2>Wrong</h2>", "<pre><code class=\"language-d365map\">"]);
    desk.get("/explain").await.has(&["/explain/D101"]);
    let page = desk.get("/explain/D1O1").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has(&["there is no code `D1O1`"]);
}
