//! Referrals: create, read, list, change.

use super::*;

#[tokio::test]
async fn a_deal_of_the_partner_begins_as_accepted_with_everything_the_service_adds() {
    let bench = Bench::new().await;
    let mut body = deal("A & B");
    body["Status"] = json!("New");
    body["SubStatus"] = json!("Pending");
    let answer = bench.api(Method::POST, "").header("client-request-id", "7").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    for name in ["request-id", "x-ms-ags-diagnostic", "timestamp"] {
        assert!(answer.headers().contains_key(name), "{name}");
    }
    assert_eq!(answer.headers()["client-request-id"], "7");
    let header = answer.headers()["etag"].to_str().unwrap().to_owned();
    let created = json(answer).await;
    assert_eq!((&created["status"], &created["substatus"]), (&json!("Active"), &json!("Accepted")));
    assert_eq!(created["eTag"], json!(header));
    assert!(header.starts_with('"') && header.ends_with('"'));
    assert_eq!(created["name"], "A &amp; B");
    assert!(created["details"].as_object().unwrap()["closingDateTime"].is_null() && created["salesStage"].is_null());
    assert!(created["@odata.context"].as_str().unwrap().ends_with("#Referrals/$entity"));
    let id = created["id"].as_str().unwrap();
    assert_eq!(bench.get(&format!("/{}", id.to_uppercase())).await, created);
    let alias = format!("{}/engagements/v1/referrals/{id}", bench.running.referrals_url().unwrap());
    assert_eq!(json(bench.http.get(alias).bearer_auth(&bench.token).send().await.unwrap()).await["id"], id);
    assert_eq!(bench.api(Method::DELETE, &format!("/{id}")).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_create_needs_its_fields_and_known_values() {
    let bench = Bench::new().await;
    let refused = async |change: &dyn Fn(&mut Value)| {
        let mut body = deal("x");
        change(&mut body);
        let answer = bench.api(Method::POST, "").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(json(answer).await["error"]["code"], "invalidRequest");
    };
    refused(&|body| body["type"] = Value::Null).await;
    refused(&|body| body["type"] = json!("Other")).await;
    refused(&|body| body["customerProfile"]["address"]["country"] = json!("United States")).await;
    refused(&|body| body["details"]["currency"] = json!("Dollar")).await;
    refused(&|body| body["details"]["dealValue"] = json!("much")).await;
    refused(&|body| body["consent"] = Value::Null).await;
    refused(&|body| body["engagementId"] = json!("0e000000-0000-4000-8000-00000000000a")).await;
    refused(&|body| {
        body["inviteContext"] = json!({"assistanceRequestCode": "GeneralOrOther"});
        body["details"]["requirements"]["solutions"] = json!([]);
    })
    .await;
    let mut body = deal("x");
    body["details"]["dealValue"] = json!("10000");
    assert_eq!(bench.create(&body).await["details"]["dealValue"], json!(10000));
    let answer = bench.api(Method::POST, "").header("content-type", "text/plain").body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 415);
}

#[tokio::test]
async fn a_patch_answers_204_or_the_whole_referral_and_every_write_gives_a_new_etag() {
    let bench = Bench::new().await;
    let created = bench.create(&deal("x")).await;
    let path = format!("/{}", created["id"].as_str().unwrap());
    let answer = bench.patch(&created["id"], json!([{"op": "replace", "path": "/details/dealValue", "value": "20000"}])).await;
    assert_eq!(answer.status(), 204);
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_ne!(json!(etag), created["eTag"]);
    let notes = json!([{"op": "add", "path": "/details/notes", "value": "new"}]);
    let stale = bench.api(Method::PATCH, &path).header("if-match", created["eTag"].as_str().unwrap()).json(&notes).send().await.unwrap();
    assert_eq!(stale.status(), 412);
    let error = json(stale).await["error"].clone();
    assert_eq!((&error["code"], &error["innerError"]["code"]), (&json!("preconditionFailed"), &json!("resourceModified")));
    let fresh = bench.api(Method::PATCH, &path).header("if-match", &etag).header("prefer", "return=representation");
    let answer = fresh.json(&notes).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = json(answer).await;
    assert_eq!((&body["details"]["notes"], &body["details"]["dealValue"]), (&json!("new"), &json!(20000)));
    assert!(body["updatedDateTime"].as_str() > created["updatedDateTime"].as_str());
    let answer = bench.patch(&created["id"], json!([{"op": "remove", "path": "/details/notes"}])).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_closed_referral_is_frozen() {
    let bench = Bench::new().await;
    let created = bench.create(&deal("x")).await;
    let close = |status: &str, substatus: &str| json!([{"op": "replace", "path": "/status", "value": status}, {"op": "replace", "path": "/substatus", "value": substatus}]);
    let illegal = bench.patch(&created["id"], close("New", "Pending")).await;
    assert_eq!((illegal.status().as_u16(), json(illegal).await["error"]["target"].clone()), (400, json!("referral")));
    assert_eq!(bench.patch(&created["id"], close("Closed", "Won")).await.status(), 204);
    let path = format!("/{}", created["id"].as_str().unwrap());
    assert!(bench.get(&path).await["closedDateTime"].is_string());
    assert_eq!(bench.patch(&created["id"], json!([{"op": "replace", "path": "/name", "value": "y"}])).await.status(), 400);
    assert_eq!(bench.patch(&created["id"], close("Active", "Accepted")).await.status(), 400);
}

#[tokio::test]
async fn a_put_needs_if_match_and_keeps_unknown_fields() {
    let bench = Bench::new().await;
    let mut body = bench.create(&deal("x")).await;
    let path = format!("/{}", body["id"].as_str().unwrap());
    body["name"] = json!("y");
    body["brandNew"] = json!({"a": 1});
    assert_eq!(bench.api(Method::PUT, &path).json(&body).send().await.unwrap().status(), 400);
    let etag = body["eTag"].as_str().unwrap().to_owned();
    let put = || bench.api(Method::PUT, &path).header("if-match", &etag).json(&body);
    let answer = put().send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let after = json(answer).await;
    assert_eq!((&after["name"], &after["brandNew"]), (&json!("y"), &json!({"a": 1})));
    assert_eq!(after["createdDateTime"], body["createdDateTime"]);
    assert_eq!(put().send().await.unwrap().status(), 412);
}

#[tokio::test]
async fn a_list_comes_in_pages_whose_link_is_opaque_and_leads_elsewhere() {
    let bench = Bench::with(settings(), json!({"partner": {"generate": 250}})).await;
    let mut query = "?$orderby=updatedDateTime desc&$filter=status eq 'Active'&$select=id,customerProfile/name".to_owned();
    let mut seen = Vec::new();
    let mut pages = Vec::new();
    loop {
        let page = bench.get(&query).await;
        assert_eq!(page["@odata.count"], 250);
        let rows = page["value"].as_array().unwrap();
        pages.push(rows.len());
        seen.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        assert_eq!(rows[0].as_object().unwrap().len(), 2, "{}", rows[0]);
        let Some(link) = page["@odata.nextLink"].as_str() else { break };
        assert!(link.contains("/v1.0/referrals?$skiptoken="), "{link}");
        assert_eq!(bench.http.get(link).bearer_auth(&bench.token).send().await.unwrap().status(), 404);
        query = link[link.find('?').unwrap()..].to_owned();
    }
    assert_eq!(pages, [100, 100, 50]);
    assert_eq!(seen.first().unwrap(), "9e000000-0000-4000-8000-000000000250");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 250);
    let page = bench.get("?$top=3&$skip=1&$orderby=createdDateTime").await;
    assert_eq!(page["value"].as_array().unwrap().len(), 3);
    assert!(page["@odata.nextLink"].is_null());
    for query in ["?$filter=nothing eq 1", "?$filter=status is 'x'", "?$orderby=name", "?$apply=x", "?$skiptoken=x"] {
        assert_eq!(bench.api(Method::GET, query).send().await.unwrap().status(), 400, "{query}");
    }
}

#[tokio::test]
async fn marketplace_leads_are_not_in_lists() {
    let bench = Bench::new().await;
    let mut lead = deal("lead");
    lead["qualification"] = json!("Direct");
    let id = bench.create(&lead).await["id"].clone();
    assert_eq!(bench.get("").await["@odata.count"], 0);
    assert_eq!(bench.get(&format!("/{}", id.as_str().unwrap())).await["qualification"], "Direct");
}

#[tokio::test]
async fn a_referrals_user_reads_the_referrals_of_their_team_only() {
    let mut bench = Bench::new().await;
    let mut mine = deal("mine");
    mine["team"][0]["email"] = json!(bench.people.user.name);
    let mine = bench.create(&mine).await["id"].clone();
    let other = bench.create(&deal("other")).await["id"].clone();
    bench.token = bench.sign_in(&bench.people.user.name, REFERRALS).await["access_token"].as_str().unwrap().to_owned();
    let page = bench.get("").await;
    assert_eq!((&page["@odata.count"], &page["value"][0]["id"]), (&json!(1), &mine));
    let status = async |id: &Value| bench.api(Method::GET, &format!("/{}", id.as_str().unwrap())).send().await.unwrap().status().as_u16();
    assert_eq!((status(&mine).await, status(&other).await, status(&json!("nowhere")).await), (200, 403, 404));
    let change = bench.patch(&mine, json!([{"op": "replace", "path": "/name", "value": "y"}])).await;
    assert_eq!((change.status().as_u16(), json(change).await["error"]["code"].clone()), (403, json!("accessDenied")));
}

#[tokio::test]
async fn microsofts_part_of_an_engagement_is_accepted_by_the_seller_and_expires_after_14_days() {
    let bench = Bench::new().await;
    let mut own = deal("own");
    own["type"] = json!("Shared");
    own["inviteContext"] = json!({"assistanceRequestCode": "GeneralOrOther"});
    let own = bench.create(&own).await;
    let invite = |engagement: &Value| {
        let mut body = deal("invitation");
        body["type"] = json!("Shared");
        body["engagementId"] = engagement.clone();
        body["target"] = json!([{"type": "BusinessProfileLocation", "id": "msft"}]);
        body
    };
    let sibling = bench.create(&invite(&own["engagementId"])).await;
    assert_eq!((&sibling["status"], &sibling["engagementId"]), (&json!("New"), &own["engagementId"]));
    let all = bench.get(&format!("?$filter=engagementId eq {}", own["engagementId"].as_str().unwrap())).await;
    assert_eq!(all["@odata.count"], 2);
    assert_eq!(bench.patch(&sibling["id"], json!([{"op": "replace", "path": "/name", "value": "y"}])).await.status(), 403);
    bench.admin("partner/seller", json!({"referral": own["id"], "action": "accept", "msx": "7-ABC"})).await;
    let path = format!("/{}", sibling["id"].as_str().unwrap());
    let accepted = bench.get(&path).await;
    assert_eq!((&accepted["substatus"], &accepted["trackingInfo"]["microsoftMsxId"]), (&json!("Accepted"), &json!("7-ABC")));

    let second = bench.create(&deal("second")).await;
    let sibling = bench.create(&invite(&second["engagementId"])).await;
    bench.admin("partner/clock", json!({"days": 14})).await;
    bench.admin("partner/clock", json!({"seconds": 60})).await;
    let dump = bench.http.get(format!("{}/partner/referrals", bench.running.admin_url())).send().await.unwrap();
    let dump = json(dump).await;
    let expired = dump.as_array().unwrap().iter().find(|referral| referral["id"] == sibling["id"]).unwrap();
    assert_eq!((&expired["status"], &expired["substatus"]), (&json!("Closed"), &json!("Expired")));
}

#[tokio::test]
async fn the_seller_follows_a_script_on_the_virtual_clock() {
    let script = serde_json::from_value(json!({"steps": [{"action": "accept", "hours": 2}, {"action": "win", "hours": 48}]})).unwrap();
    let bench = Bench::with(PartnerCenterConfig { seller: script, ..settings() }, json!({})).await;
    let own = bench.create(&deal("own")).await;
    let mut body = deal("invitation");
    body["engagementId"] = own["engagementId"].clone();
    body["target"] = json!([{"type": "BusinessProfileLocation", "id": "msft"}]);
    let id = bench.create(&body).await["id"].clone();
    let phase = async || {
        let dump = json(bench.http.get(format!("{}/partner/referrals", bench.running.admin_url())).send().await.unwrap()).await;
        dump.as_array().unwrap().iter().find(|referral| referral["id"] == id).unwrap()["substatus"].clone()
    };
    assert_eq!(phase().await, "Pending");
    bench.admin("partner/clock", json!({"seconds": 7201})).await;
    assert_eq!(phase().await, "Accepted");
    bench.admin("partner/clock", json!({"days": 2})).await;
    assert_eq!(phase().await, "Won");
}

#[tokio::test]
async fn co_sell_cannot_be_taken_back_and_a_deal_is_registered_when_it_was_won_late_enough() {
    let bench = Bench::new().await;
    let created = bench.create(&deal("x")).await;
    let back = json!([{"op": "replace", "path": "/consent/consentToShareReferralWithMicrosoftSellers", "value": false}]);
    assert_eq!(bench.patch(&created["id"], back).await.status(), 400);
    let register = || json!([{"op": "add", "path": "/registrations/-", "value": {"type": "AzureIPCoSell"}}]);
    assert_eq!(bench.patch(&created["id"], register()).await.status(), 400);
    let win = json!([{"op": "replace", "path": "/status", "value": "Closed"}, {"op": "replace", "path": "/substatus", "value": "Won"}]);
    // Four days later: the access token has expired meanwhile.
    bench.admin("partner/clock", json!({"days": 4})).await;
    let mut bench = bench;
    bench.token = bench.sign_in("", REFERRALS).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.patch(&created["id"], win).await.status(), 204);
    assert_eq!(bench.patch(&created["id"], register()).await.status(), 204);
    let after = bench.get(&format!("/{}", created["id"].as_str().unwrap())).await;
    assert_eq!((&after["registrationStatus"], &after["registrations"][0]["status"]), (&json!("ReviewPending"), &json!("ReviewPending")));
}

#[tokio::test]
async fn a_person_changes_a_referral_in_partner_center_and_microsoft_sends_one() {
    let bench = Bench::new().await;
    let mut body = deal("incoming");
    body["type"] = json!("Shared");
    let id = bench.admin("partner/referrals", body).await["id"].as_str().unwrap().to_owned();
    let incoming = bench.get(&format!("/{id}")).await;
    assert_eq!((&incoming["direction"], &incoming["substatus"]), (&json!("Incoming"), &json!("Pending")));
    assert_eq!(incoming["inviteContext"]["invitedBy"]["organizationId"], "msft");
    let url = format!("{}/partner/referrals/{id}", bench.running.admin_url());
    let change = json!({"details": {"dealValue": 7}, "status": "Active", "substatus": "Accepted"});
    assert_eq!(bench.http.patch(&url).json(&change).send().await.unwrap().status(), 204);
    let after = bench.get(&format!("/{id}")).await;
    assert_eq!(
        (&after["details"]["dealValue"], &after["details"]["currency"], &after["status"]),
        (&json!(7), &json!("USD"), &json!("Active"))
    );
    assert!(after["acceptedDateTime"].is_string());
}

#[tokio::test]
async fn the_sample_has_referrals_of_several_kinds() {
    let bench = Bench::with(settings(), serde_json::from_str(d365map_emulator::SAMPLE_SEED).unwrap()).await;
    let page = bench.get("?$orderby=createdDateTime").await;
    let phases: Vec<_> = page["value"].as_array().unwrap().iter().map(|row| row["substatus"].as_str().unwrap()).collect();
    assert_eq!(phases, ["Pending", "Accepted", "Accepted", "Pending", "Lost"]);
    let directions: Vec<_> = page["value"].as_array().unwrap().iter().map(|row| row["direction"].as_str().unwrap()).collect();
    assert_eq!(directions, ["Incoming", "Outgoing", "Outgoing", "Outgoing", "Outgoing"]);
    let siblings = bench.get("?$filter=engagementId eq 'e5000000-0000-4000-8000-000000000003'").await;
    assert_eq!(siblings["@odata.count"], 2);
    bench.admin("partner/seller", json!({"referral": "e5000000-0000-4000-8000-000000000003", "action": "decline"})).await;
}

#[tokio::test]
async fn ordered_faults_have_the_shape_of_the_api() {
    let bench = Bench::new().await;
    bench.admin("fail-next", json!({"api": "referrals", "kind": "throttle", "retry_after": 3})).await;
    let answer = bench.api(Method::GET, "").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "3"));
    bench.admin("fail-next", json!({"api": "referrals", "kind": "status", "status": 503})).await;
    let answer = bench.api(Method::GET, "").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(!answer.headers().contains_key("retry-after"));
    assert_eq!(json(answer).await["error"]["code"], "serviceNotAvailable");
    bench.admin("fail-next", json!({"api": "referrals", "kind": "lost-answer", "method": "POST"})).await;
    assert!(bench.api(Method::POST, "").json(&deal("lost")).send().await.is_err());
    assert_eq!(bench.get("").await["@odata.count"], 1, "the deal was created");
    bench.admin("fail-next", json!({"api": "partner-token", "kind": "status", "status": 503})).await;
    assert_eq!(bench.post_form("oauth2/v2.0/token", &[]).await.status(), 503);
    let stats = json(bench.http.get(format!("{}/stats", bench.running.admin_url())).send().await.unwrap()).await;
    assert_eq!(stats["apis"]["referrals"]["total"], 4);
}
