//! Both services by hand: healthy unless a test says otherwise, and more pliable than the emulators.

use std::path::Path;

use serde_json::{Value, json};

use crate::connect_server::{Reply, Seen, Server};

pub const TENANT: &str = "7e2f1c3a-0000-4000-8000-00000000d365";
const USER: &str = "5e120000-0000-4000-8000-000000000001";

/// A mapping that reads contacts and writes profiles.
pub const READS: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
}
";

/// The same, whose opt-outs go both ways.
pub const WRITES: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
}
optout contacts {
  direction bidirectional
  donotemail <-> blackListEmail
}
";

/// The services, with other answers where `other` gives them.
pub async fn services(other: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Server {
    Server::start(move |seen, n| other(seen).unwrap_or_else(|| healthy(seen, n))).await
}

/// What a healthy service answers.
pub fn healthy(seen: &Seen, n: usize) -> Reply {
    let host = seen.header("host").expect("a host");
    if seen.is_token() {
        return if seen.method == "POST" { Reply::token(n, 3600) } else { Reply::empty(405) };
    }
    let path = seen.target.split('?').next().unwrap_or_default();
    let dataverse = path.starts_with("/api/data/v9.2/");
    if seen.header("authorization").is_none() {
        return if dataverse {
            let challenge = format!("Bearer authorization_uri=http://{host}/{TENANT}/oauth2/authorize, resource_id=http://{host}/");
            Reply::empty(401).with("www-authenticate", challenge)
        } else {
            Reply::json(401, r#"{"error_code":"401010","message":"Oauth token is missing."}"#)
        };
    }
    let answer = |value: Value| Reply::json(200, value.to_string());
    let last = path.rsplit('/').next().unwrap_or_default();
    match last {
        "WhoAmI" => answer(json!({"UserId": USER, "BusinessUnitId": USER, "OrganizationId": USER}))
            .with("x-ms-dop-hint", "8")
            .with("x-ms-ratelimit-burst-remaining-xrm-requests", "5999")
            .with("x-ms-ratelimit-time-remaining-xrm-requests", "1,199.80"),
        "Microsoft.Dynamics.CRM.RetrieveUserPrivileges()" => answer(privileges(&["prvReadContact", "prvWriteContact"], "Global")),
        _ if last.starts_with("EntityDefinitions(") => {
            let name = last.split("%27").nth(1).or_else(|| last.split('\'').nth(1)).unwrap_or_default();
            match name {
                "contact" => answer(definition("contact", "contacts", true, &json!([]))),
                "opportunity" => answer(definition(
                    "opportunity",
                    "opportunities",
                    true,
                    &key("msft_microsoftpartnercenterreferralidentifier", "Active"),
                )),
                _ => Reply::json(404, r#"{"error":{"code":"0x80060888","message":"Could not find an entity"}}"#),
            }
        }
        "contacts" | "opportunities" => answer(json!({"value": []})),
        "profile" if path.contains("/resourceType/") => answer(json!({"content": {"externalId": {}, "lastName": {}}, "name": "profile"})),
        _ if path.contains("/campaign/") => Reply::json(404, r#"{"error_code":"404","message":"The profile does not exist."}"#),
        _ => Reply::json(404, r#"{"error":{"code":"0x8006088a","message":"Resource not found"}}"#),
    }
}

pub fn privileges(names: &[&str], depth: &str) -> Value {
    let list: Vec<Value> = names.iter().map(|n| json!({"PrivilegeName": n, "Depth": depth, "PrivilegeId": USER})).collect();
    json!({ "RolePrivileges": list })
}

pub fn key(column: &str, status: &str) -> Value {
    json!([{"LogicalName": format!("{column}_key"), "KeyAttributes": [column], "EntityKeyIndexStatus": status}])
}

pub fn definition(name: &str, set: &str, tracking: bool, keys: &Value) -> Value {
    let schema = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    json!({
        "LogicalName": name, "SchemaName": schema, "EntitySetName": set, "PrimaryIdAttribute": format!("{name}id"),
        "ChangeTrackingEnabled": tracking, "Keys": keys,
    })
}

/// A project whose connections lead to one address.
pub fn project(folder: &Path, url: &str, mapping: &str) {
    project_with(folder, url, &format!("{}/token", url.trim_end_matches('/')), TENANT, mapping);
}

pub fn project_with(folder: &Path, url: &str, token_url: &str, tenant: &str, mapping: &str) {
    let url = url.trim_end_matches('/');
    let yaml = format!(
        "version: 1
connections:
  dynamics:
    url: {url}
    tenant: {tenant}
    token-url: {token_url}
    client-id: client
    client-secret: {{ env: TEST_SECRET }}
  campaign:
    url: {url}/org
    token-url: {token_url}
    client-id: client
    client-secret: {{ env: TEST_SECRET }}
"
    );
    std::fs::write(folder.join("d365map.yaml"), yaml).expect("a project file");
    std::fs::create_dir_all(folder.join("mappings")).expect("a folder");
    std::fs::write(folder.join("mappings/a.d365map"), mapping).expect("a mapping");
}

/// `doctor` of one connection in a new project at these services.
pub async fn examined(server: &Server, mapping: &str, connection: &str) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder");
    project(folder.path(), server.url.as_str(), mapping);
    super::doctor(folder.path(), &["--connection", connection], &[("TEST_SECRET", "s3cr3t-value")]).await
}
