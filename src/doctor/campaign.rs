//! The connection to Adobe Campaign Standard, from the outside in: address, connection, clock, token, organization and API
//! key, resources with their keys.
//!
//! Sources: Campaign Standard API, *Troubleshooting* (403023, 401013, the answer to a wrong URI), *Metadata*, *Custom
//! resources* (identification key). The gateway's codes for a missing or wrong API key, and that an unknown key answers 404,
//! are assumed.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use super::needs::{Needs, ResourceNeeds};
use super::reach::{self, Door};
use super::token::{self, Issuer};
use super::{Bench, Unusable};
use crate::connect::journal::{Journal, Reading};
use crate::connect::{Http, Look, Miss};
use crate::printable::inline;
use crate::systems::campaign::Campaign;

/// What is known of the connection.
pub struct Connection<'a> {
    /// The organization's address.
    pub url: &'a Url,
    /// Where tokens come from.
    pub token_url: &'a Url,
    /// The credential's id.
    pub client_id: &'a str,
    /// The API that profiles are written by.
    pub api: &'a str,
}

const CONSOLE: &str = "the project's credential in the Adobe developer console";
const FIND: &str = "write `organization:` as it appears in the instance's API address, https://mc.adobe.io/ORGANIZATION/campaign";
/// No record has this key: nothing makes such a one.
const NOBODY: &str = "d365map-doctor-asks-for-a-record-that-does-not-exist";

const REST: [(&str, &str); 5] = [
    ("campaign.clock", "clock"),
    ("campaign.token-service", "token service"),
    ("campaign.token", "token"),
    ("campaign.access", "organization and API key"),
    ("campaign.resources", "resources"),
];

/// The check of the journal of events.
const JOURNAL: (&str, &str) = ("campaign.journal", "journal of events");

/// Says that no client of the journal can be made: the cause, and the fix if it is known.
pub fn no_journal(bench: &mut Bench, (cause, fix): (String, Option<String>)) {
    bench.fail(JOURNAL.0, JOURNAL.1, cause, fix.unwrap_or_else(|| "check `journal` in d365map.yaml".to_owned()));
}

/// Asks the journal of events, if the project has one, for its oldest event, which changes nothing there.
pub async fn journal(bench: &mut Bench, client: Option<&Journal>) {
    let (id, subject) = JOURNAL;
    let Some(client) = client else { return };
    match bench.step(client.read(None, 1)).await {
        Err(_) => bench.over(id, subject),
        Ok(Ok(Reading::Events { .. } | Reading::Quiet { .. })) => bench.ok(id, subject, "it can be read"),
        // Said of its oldest position: an odd answer, but one of the journal's.
        Ok(Ok(Reading::Gone)) => bench.warn(id, subject, "it has no events", "check in the console whether events are registered for it"),
        Ok(Err(error)) => {
            let text = error.to_string();
            let (cause, fix) = text.rsplit_once("; ").unwrap_or((&text, "check `journal.url` and the credential's access to the events"));
            bench.fail(id, subject, cause, fix);
        }
    }
}

/// Examines the instance. `client` is there when the secret is.
pub async fn examine(bench: &mut Bench, http: &Http, at: &Connection<'_>, client: Result<&Campaign, &Unusable>, needs: &Needs) {
    address(bench, at);
    let root = Url::parse(&format!("{}/campaign/{}/", at.url.as_str().trim_end_matches('/'), at.api)).unwrap_or_else(|_| at.url.clone());
    let door = Door {
        connection: "campaign.connection",
        service: "campaign.service",
        name: "Campaign",
        url: &root,
        absent: "the gateway is https://mc.adobe.io: leave `url` out unless it is another".to_owned(),
        find: FIND,
    };
    let outside = reach::door(bench, http, &door).await;
    match &outside {
        Some(look) => reach::clock(bench, "campaign.clock", look),
        None => bench.skip(REST[0].0, REST[0].1, "the service does not answer"),
    }
    if reach::token_service(bench, http, "campaign.token-service", at.token_url, "check `token-url`; without it Adobe's is used")
        .await
        .is_none()
    {
        bench.skip_all(&REST[2..], "the token service cannot be reached");
        return;
    }
    let client = match client {
        Ok(client) => client,
        Err(reason) => {
            bench.skip_all(&REST[2..], &reason.0);
            return;
        }
    };
    if !token::sign_in(bench, "campaign.token", Issuer::Ims, at.client_id, client.sign_in()).await {
        bench.skip_all(&REST[3..], "there is no token");
        return;
    }
    if outside.is_none() {
        bench.skip_all(&REST[3..], "the service does not answer");
        return;
    }
    resources(bench, at, client, needs).await;
}

fn address(bench: &mut Bench, at: &Connection<'_>) {
    let (id, subject) = ("campaign.address", "address");
    let shown = at.url.as_str().trim_end_matches('/');
    let local = matches!(super::address::form(at.url), super::address::Form::Local);
    if local {
        bench.ok(id, subject, format!("{shown}: this machine"));
    } else if at.url.host_str() == Some("mc.adobe.io") {
        bench.ok(id, subject, shown);
    } else {
        bench.warn(
            id,
            subject,
            format!("{shown} is not Adobe's gateway"),
            "unless it is your gateway, leave `url` out: https://mc.adobe.io is then used",
        );
    }
}

async fn resources(bench: &mut Bench, at: &Connection<'_>, client: &Campaign, needs: &Needs) {
    let mut wanted = needs.resources.clone();
    if wanted.is_empty() {
        wanted.insert("profile".to_owned(), ResourceNeeds::default());
    }
    let mut let_in = false;
    for (n, (name, resource)) in wanted.iter().enumerate() {
        let (id, subject) = ("campaign.resource", format!("resource {name}"));
        let look = match bench.step(client.look_resource(name)).await {
            Ok(Ok(look)) => look,
            Ok(Err(miss)) => {
                let (cause, mend) = missed(&miss);
                bench.fail(id, subject, cause, mend);
                continue;
            }
            Err(_) => {
                bench.over(id, subject);
                return;
            }
        };
        if n == 0 {
            match denied(at, &look) {
                Some((cause, mend)) => {
                    bench.fail("campaign.access", "organization, API key", cause, mend);
                    bench.skip("campaign.resources", "resources", "the gateway does not let the client in");
                    return;
                }
                None if look.is_success() => {
                    let_in = true;
                    bench.ok("campaign.access", "organization, API key", format!("the gateway lets {} in", at.client_id));
                }
                None => {}
            }
        }
        if !look.is_success() {
            let (cause, mend) = no_resource(at, name, &look);
            bench.fail(id, subject, cause, mend);
            continue;
        }
        let Some(description) = look.json() else {
            bench.fail(id, subject, "the description is not JSON", "check that no proxy changes answers");
            continue;
        };
        let fields = description.get("content").and_then(Value::as_object);
        bench.ok(id, &subject, format!("{} attributes by {}", fields.map_or(0, serde_json::Map::len), at.api));
        for key in &resource.keys {
            let attribute = key.split('.').next().unwrap_or(key);
            if fields.is_some_and(|f| f.contains_key(attribute)) {
                by_key(bench, client, name, key).await;
            } else {
                bench.fail(
                    "campaign.key",
                    format!("key {name}.{key}"),
                    format!("`{name}` has no attribute `{key}` by {}", at.api),
                    format!(
                        "extend the resource with it and publish it (Administration › Development › Custom resources){}",
                        plain_api(at)
                    ),
                );
            }
        }
        for by in &resource.searches {
            search(bench, client, name, by).await;
        }
    }
    if let_in && !needs.services.is_empty() {
        services(bench, client, &needs.services).await;
    }
    if let_in {
        bench.skip(
            "campaign.write",
            "write",
            "Campaign cannot be asked without writing; the first run shows it (`d365map run --dry-run` does not)",
        );
    }
}

/// Looks for the filter by which records are searched for that `adopt` takes over.
async fn search(bench: &mut Bench, client: &Campaign, resource: &str, by: &str) {
    let (id, subject) = ("campaign.search", format!("search {resource}.{by}"));
    match bench.step(client.look_filter(resource, by)).await {
        Ok(Ok(filter)) => bench.ok(id, subject, format!("the filter `{filter}` finds records for `adopt by {by}`")),
        Ok(Err(error)) => {
            let (cause, fix) = token::plain(&error);
            bench.fail(id, subject, cause, fix);
        }
        Err(_) => bench.over(id, subject),
    }
}

/// Names of services that are shown if one does not exist.
const SHOWN: usize = 20;

/// Whether the services exist that topics name.
async fn services(bench: &mut Bench, client: &Campaign, wanted: &BTreeSet<String>) {
    let (id, subject) = ("campaign.service-name", "services");
    let known = match bench.step(client.services()).await {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => {
            let fix = "give the project's product profile the right to read services";
            bench.fail(id, subject, error.to_string(), fix);
            return;
        }
        Err(_) => {
            bench.over(id, subject);
            return;
        }
    };
    for name in wanted {
        if known.contains(name) {
            bench.ok(id, format!("service {name}"), "it exists");
            continue;
        }
        let mut names: Vec<String> = known.iter().take(SHOWN).map(|name| format!("`{}`", inline(name))).collect();
        if known.len() > SHOWN {
            names.push(format!("and {} more", known.len() - SHOWN));
        }
        let there = if names.is_empty() { "Campaign has no services".to_owned() } else { format!("the services are {}", names.join(", ")) };
        bench.fail(
            id,
            format!("service {name}"),
            format!("no service has the name `{name}`; {there}"),
            "write the name of a service in the opt-out block, in the same case, or create the service in Campaign",
        );
    }
}

/// Looks up a record by an unused key: 404 shows that the attribute is a key.
async fn by_key(bench: &mut Bench, client: &Campaign, resource: &str, key: &str) {
    let (id, subject) = ("campaign.key", format!("key {resource}.{key}"));
    match bench.step(client.look_record(resource, NOBODY)).await {
        Ok(Ok(look)) if look.status == 404 && !look.html => bench.ok(id, subject, "records are found by it"),
        Ok(Ok(look)) if look.status == 429 => bench.skip(id, subject, "the service limits requests"),
        Ok(Ok(look)) => bench.warn(
            id,
            subject,
            format!("a lookup of an unused key was answered with {} ({}), not with 404", look.status, look.said()),
            format!("make sure that `{key}` is the resource's identification key (Custom resources › the resource › Identification keys) and that the resource is published"),
        ),
        Ok(Err(miss)) => {
            let (cause, mend) = missed(&miss);
            bench.fail(id, subject, cause, mend);
        }
        Err(_) => bench.over(id, subject),
    }
}

/// A refusal by the gateway, before the instance was asked.
fn denied(at: &Connection<'_>, look: &Look) -> Option<(String, String)> {
    let code = look.code.as_deref().unwrap_or_default();
    let (cause, mend) = match (look.status, code) {
        (403, "403023") => (
            format!("the client has no access to the organization in {} ({})", at.url.path(), look.said()),
            format!(
                "{FIND}; also give the credential the product profile of this instance: {CONSOLE} › Campaign Standard › Edit product profiles"
            ),
        ),
        (403, "403000" | "403003") => (
            format!("the API key {} is not accepted ({})", at.client_id, look.said()),
            format!(
                "`client-id` is the API key too: take it from {CONSOLE}, and check that the Campaign Standard API is added to the project"
            ),
        ),
        (401, _) => (
            format!("the gateway refuses a fresh token ({})", look.said()),
            format!("check `scope`: take the scopes from {CONSOLE}; and that the Campaign Standard API is added to the project"),
        ),
        (403, _) => (
            format!("the client lacks a right ({})", look.said()),
            format!("give the credential the product profile of this instance: {CONSOLE} › Campaign Standard › Edit product profiles"),
        ),
        _ => return None,
    };
    Some((cause, mend))
}

fn no_resource(at: &Connection<'_>, name: &str, look: &Look) -> (String, String) {
    let oops = look.message.as_deref().is_some_and(|m| m.contains("Something went wrong"));
    match look.status {
        404 | 500 if look.status == 404 || oops => (
            format!("{} has no resource `{name}` ({})", at.api, look.said()),
            format!(
                "check the resource's API name, that it is published, and its API: resources that are not linked to profiles are under customResources{}",
                plain_api(at)
            ),
        ),
        429 => (format!("the service limits requests ({})", look.said()), "wait, then ask again".to_owned()),
        _ if look.html => (
            format!("an HTML page came in place of the description of `{name}` (status {})", look.status),
            "a portal or a proxy answered instead".to_owned(),
        ),
        500..=599 => (format!("the service fails ({})", look.said()), "ask again later".to_owned()),
        _ => (
            format!("the description of `{name}` was refused with {} ({})", look.status, look.said()),
            "run with -vv to see the requests".to_owned(),
        ),
    }
}

fn plain_api(at: &Connection<'_>) -> &'static str {
    if at.api == "profileAndServices" { "; `api: profileAndServices` supports neither added fields nor keys: leave it out" } else { "" }
}

fn missed(miss: &Miss) -> (String, String) {
    match miss {
        Miss::Connect(error) => token::plain(error),
        Miss::Unreachable(unreachable) => {
            (format!("no answer: {}", unreachable.message), "try again; if it fails again, check proxy and firewall".to_owned())
        }
    }
}
