//! Pages stay small however much there is to show.

use std::path::Path;

use d365map::serve::access::Door;
use d365map::serve::table;
use reqwest::Method;

use super::api::serving;
use super::support::{NAME, Serving};
use crate::flow::support::World;

/// The most that a page may have, in bytes.
const MOST: usize = 100_000;

/// Puts dead letters into the state that are as long as those of a real refusal.
fn fill(state: &Path, letters: u32) {
    let state = rusqlite::Connection::open(state).expect("the state opens");
    state
        .execute_batch(&format!(
            "INSERT INTO mapping (name) VALUES ('contacts');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {letters})
             INSERT INTO dead_letter (mapping, key, source_id, operation, code, message, field, file, line, column_no, request, status,
                                      response, created_at, attempts, with_initial, change_no)
             SELECT (SELECT id FROM mapping), printf('key-%d', i), printf('c0000000-0000-4000-8000-%012d', i), 'upsert',
                    iif(i % 3 = 0, 'D401', '400'), printf('The value of the field was refused, for the %dth time.', i), 'emailaddress1',
                    'mappings/contacts.d365map', 5, 3, printf('{{\"email\":\"%d\"}}', i), 400, iif(i = 77777, printf('%.*c', 4000, 'x'), 'refused'),
                    1700000000000 + i, 3, 0, i FROM n"
        ))
        .expect("dead letters");
}

/// The pages that a person can open, with values for the parameters of their paths.
fn pages(letter: &str) -> Vec<String> {
    let with_values = |path: &str| {
        let path = path.replace("{project}", NAME).replace("{name}", "contacts").replace("{id}", letter).replace("{code}", "D101");
        path.replace("{*file}", "mappings/contacts.d365map").replace("{mapping}", "contacts.optout")
    };
    // A report is a file, which is there only after the checks have run.
    let is_page = |path: &str| !path.ends_with(".json");
    let routes = table();
    let mut pages: Vec<String> =
        routes.iter().filter(|route| route.door == Door::Page && is_page(route.path)).map(|route| with_values(route.path)).collect();
    pages.extend(["?mapping=contacts", "?code=D401&after=50000"].map(|query| format!("/p/{NAME}/dead-letters{query}")));
    pages.push(format!("/p/{NAME}/dead-letters/{letter}?values=yes"));
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_less_than_100_kb_with_100_000_dead_letters() {
    let serving: Serving = serving(World::empty().await).await;
    let served = serving.served();
    served.stores().await.expect("the state is made");
    fill(&served.project().state, 100_000);
    let cookie = serving.sign_in().await;
    for path in pages("77777") {
        let answer = serving.send(Method::GET, &path, &[("cookie", &cookie)], "").await;
        assert!(
            answer.status.is_success() || answer.status.is_redirection() || answer.status == 409 || path.ends_with("/decide"),
            "{path}: {}",
            answer.status
        );
        assert!(answer.body.len() < MOST, "{path} has {} bytes", answer.body.len());
    }
    let list = serving.send(Method::GET, &format!("/p/{NAME}/dead-letters"), &[("cookie", &cookie)], "").await.body;
    assert_eq!(list.matches("<tr>").count(), 51, "a page of the list has 50 dead letters");
    let answer =
        serving.ask(d365map::serve::access::Role::Viewer, Method::GET, &format!("/api/v1/projects/{NAME}/dead-letters"), None).await;
    assert!(answer.body.len() < MOST, "the first page of the API has {} bytes", answer.body.len());
    serving.end().await;
}
