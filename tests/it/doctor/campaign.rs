//! The connection to Adobe Campaign.

use d365map_emulator::Config;
use insta::assert_snapshot;

use super::fake::{READS, examined, services};
use super::{about, stable};
use crate::connect_server::Reply;
use crate::flow::support::World;

#[tokio::test]
async fn a_healthy_instance_is_all_well_and_what_cannot_be_asked_is_said() {
    let server = services(|_| None).await;
    let (status, out) = examined(&server, READS, "campaign").await;
    assert_eq!(status, 0, "{out}");
    assert_snapshot!(out);
    assert!(server.calls().iter().all(|c| c.method == "GET"));
}

#[tokio::test]
async fn another_organization_is_reported() {
    let world = World::new(Config::default()).await;
    world.project(READS);
    let file = world.folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&file).expect("the project file").replace("/emulated-org", "/somebody-else");
    std::fs::write(&file, text).expect("the project file");
    let (status, out, _) = world.call(&["doctor", "--connection", "campaign"]).await;
    assert_eq!(status, 1, "{out}");
    assert_snapshot!(stable(&out, world.folder.path()));
}

#[tokio::test]
async fn each_refusal_has_its_cause_and_remedy() {
    let mut told = Vec::new();
    for (subject, path, status, body) in [
        ("organization", "resourceType", 403, r#"{"error_code":"403003","message":"Api Key is invalid"}"#),
        ("organization", "resourceType", 401, r#"{"error_code":"401013","message":"Oauth token is not valid"}"#),
        ("resource", "resourceType", 500, r#"{"code":500,"message":"Oops. Something went wrong. Check your URI and try again."}"#),
        ("key", "resourceType", 200, r#"{"content":{"lastName":{}}}"#),
        ("key", "profile/d365map-doctor", 500, r#"{"code":500,"message":"Oops. Something went wrong. Check your URI and try again."}"#),
        ("token  ", "/token", 401, r#"{"error":"invalid_client","error_description":"invalid client_secret parameter"}"#),
        ("token  ", "/token", 400, r#"{"error":"invalid_scope","error_description":"scope is not allowed"}"#),
    ] {
        let server = services(move |seen| {
            let here = seen.target.contains(path) && (!seen.is_token() || seen.method == "POST");
            here.then(|| Reply::json(status, body))
        })
        .await;
        let (_, out) = examined(&server, READS, "campaign").await;
        told.push(about(&out, subject));
    }
    assert_snapshot!(told.join("\n"));
}
