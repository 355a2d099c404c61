//! The journal of events: headers, links, and what is kept.

use serde_json::{Value, json};

use super::Bench;

const SEED: &str = r#"{"journal": {"events": [{"n": 1}, {"n": 2}, {"n": 3}], "retryAfter": 5}}"#;

async fn bench() -> Bench {
    Bench::seeded(serde_json::from_str(SEED).unwrap()).await
}

fn get(bench: &Bench, query: &str) -> reqwest::RequestBuilder {
    let credentials = bench.running.credentials();
    bench
        .http
        .get(format!("{}{query}", bench.running.journal_url()))
        .bearer_auth(&bench.campaign)
        .header("x-api-key", credentials.campaign.id)
        .header("x-ims-org-id", credentials.campaign_account.organization)
}

fn next(answer: &reqwest::Response) -> String {
    let links: Vec<_> = answer.headers().get_all("link").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    let next = links.iter().find(|l| l.ends_with("rel=\"next\"")).expect("a next link");
    assert!(next.starts_with("</events/organizations/"), "the link is relative: {next}");
    next[next.find('?').unwrap()..next.find('>').unwrap()].to_owned()
}

#[tokio::test]
async fn a_page_has_positions_and_a_relative_next_link_and_204_says_when_to_come_back() {
    let bench = bench().await;
    let answer = get(&bench, "?limit=2").send().await.unwrap();
    let link = next(&answer);
    let page: Value = answer.json().await.unwrap();
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    assert_eq!((&page["events"][1]["event"], &page["_page"]["last"]), (&json!({"n": 2}), &page["events"][1]["position"]));
    let answer = get(&bench, &link).send().await.unwrap();
    let link = next(&answer);
    assert_eq!(answer.json::<Value>().await.unwrap()["_page"]["count"], 1);
    let answer = get(&bench, &link).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (204, "5"));
    assert_eq!(next(&answer), link, "the position stays the same");
    let latest: Value = get(&bench, "?latest=true").send().await.unwrap().json().await.unwrap();
    assert_eq!(latest["events"][0]["event"], json!({"n": 3}));
}

#[tokio::test]
async fn an_older_position_is_410_in_plain_text_and_the_documented_headers_are_needed() {
    let bench = bench().await;
    let link = next(&get(&bench, "?limit=1").send().await.unwrap());
    let drop = bench.http.post(format!("{}/journal/drop", bench.running.admin_url())).json(&json!({"count": 2}));
    assert!(drop.send().await.unwrap().status().is_success());
    let answer = get(&bench, &link).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (410, "text/plain"));
    let page: Value = get(&bench, "").send().await.unwrap().json().await.unwrap();
    assert_eq!(page["events"][0]["event"], json!({"n": 3}), "without a position reading starts with the oldest event");

    let credentials = bench.running.credentials();
    let bare = || bench.http.get(bench.running.journal_url());
    assert_eq!(bare().send().await.unwrap().status(), 401);
    assert_eq!(bare().bearer_auth(&bench.campaign).send().await.unwrap().status(), 403);
    let keyed = bare().bearer_auth(&bench.campaign).header("x-api-key", credentials.campaign.id);
    assert_eq!(keyed.send().await.unwrap().status(), 403, "the organization is missing");
    assert_eq!(get(&bench, "?since=made-up").send().await.unwrap().status(), 400);
}
