//! The connection to Dynamics 365, from the outside in: address, connection, clock, token, application user, limits, tables.
//!
//! Sources: Dataverse Web API, *WhoAmI*; Dataverse, *Manage application users*, *Security concepts*, *Service protection API
//! limits*, *Enable change tracking*, *Work with alternate keys*. The words that report a missing, disabled or roleless
//! user are assumed; what matches none of them is shown unchanged.

use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::address;
use super::needs::{ACTIVITY, Needs, TableNeeds, Verb};
use super::privileges::{Depth, Privileges, named};
use super::reach::{self, Door};
use super::token::{self, Issuer};
use super::{Bench, Unusable};
use crate::connect::{Http, Look, Miss};
use crate::systems::dataverse::Dataverse;
use crate::time::{self, Instant};

/// What is known of the connection.
pub struct Connection<'a> {
    /// The environment's address.
    pub url: &'a Url,
    /// The directory, where the project names it.
    pub tenant: Option<&'a str>,
    /// Where tokens come from.
    pub token_url: &'a Url,
    /// Whether the project says so itself.
    pub own_token_url: bool,
    /// The application's id.
    pub client_id: &'a str,
    /// Requests to one host at the same time, as configured.
    pub concurrency: usize,
}

/// Requests in a window of 300 seconds, by the documents.
const BURST: u64 = 6000;

/// Seconds before its end from which a certificate should be renewed.
const RENEW: i64 = 30 * 86_400;

const ROLES: &str = "Power Platform admin center › the environment › Settings › Users + permissions";

/// Those behind the connection, in their order.
const REST: [(&str, &str); 6] = [
    ("dynamics.clock", "clock"),
    ("dynamics.token-service", "token service"),
    ("dynamics.token", "token"),
    ("dynamics.user", "application user"),
    ("dynamics.limits", "limits"),
    ("dynamics.tables", "tables"),
];

/// Examines the environment. `client` is there when the secret is.
pub async fn examine(bench: &mut Bench, http: &Http, at: &Connection<'_>, client: Result<&Dataverse, &Unusable>, needs: &Needs) {
    address::check(bench, at.url, at.own_token_url);
    let root = at.url.join("api/data/v9.2/").unwrap_or_else(|_| at.url.clone());
    let door = Door {
        connection: "dynamics.connection",
        service: "dynamics.service",
        name: "Dataverse",
        url: &root,
        absent: address::no_such_host(at.url),
        find: address::WHERE,
    };
    let outside = reach::door(bench, http, &door).await;
    if let Some(look) = &outside {
        reach::clock(bench, "dynamics.clock", look);
        belongs(bench, at, look);
    } else {
        bench.skip(REST[0].0, REST[0].1, "the service does not answer");
    }
    let asked =
        reach::token_service(bench, http, "dynamics.token-service", at.token_url, "check `tenant`, and `token-url` where it is set").await;
    if asked.is_none() {
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
    if !token::sign_in(bench, "dynamics.token", Issuer::Entra, at.client_id, client.sign_in()).await {
        bench.skip_all(&REST[3..], "there is no token");
        return;
    }
    if outside.is_none() {
        bench.skip_all(&REST[3..], "the service does not answer");
        return;
    }
    let Some(user) = user(bench, at, client).await else {
        bench.skip_all(&REST[4..], "the application user cannot work");
        return;
    };
    if needs.tables.is_empty() {
        bench.skip("dynamics.tables", "tables", "no mapping names one");
        return;
    }
    tables(bench, client, user, needs).await;
}

/// How long a client certificate is good for.
pub fn certificate(bench: &mut Bench, not_after: Option<Instant>, now: Instant) {
    let (id, subject) = ("dynamics.certificate", "certificate");
    let mend = "make a new one, upload its public part in the app registration under Certificates & secrets, and put both where the project file points";
    let Some(not_after) = not_after else {
        bench.skip(id, subject, "it does not say how long it is valid");
        return;
    };
    let day = time::format_instant(not_after);
    let left = (not_after - now).num_seconds();
    match left {
        ..=0 => bench.fail(id, subject, format!("it has expired ({day})"), mend),
        1..RENEW => bench.warn(id, subject, format!("it expires in {} ({day})", reach::span(left)), mend),
        _ => bench.ok(id, subject, format!("good until {day}")),
    }
}

/// Whether the environment belongs to the tenant that the connection names.
fn belongs(bench: &mut Bench, at: &Connection<'_>, look: &Look) {
    let Some(challenge) = &look.challenge else { return };
    if let (Some(theirs), Some(ours)) = (challenge.tenant.as_deref(), at.tenant)
        && Uuid::try_parse(theirs).is_ok()
        && Uuid::try_parse(ours).is_ok()
        && !theirs.eq_ignore_ascii_case(ours)
    {
        bench.fail(
            "dynamics.tenant",
            "tenant",
            format!("the environment belongs to the tenant {theirs}, the connection names {ours}"),
            format!("write `tenant: {theirs}`, and register the application there; or correct the environment's address"),
        );
    }
    let host = |url: &str| Url::parse(url).ok().and_then(|u| u.host_str().map(|h| h.replacen(".api.", ".", 1)));
    if let Some(resource) = challenge.resource.as_deref()
        && host(resource) != host(at.url.as_str())
    {
        bench.warn(
            "dynamics.tenant",
            "environment",
            format!("the environment calls itself {resource}"),
            "write that address as the connection's `url`, unless you use a gateway",
        );
    }
}

/// Who the application is to the environment, and what its limits are.
async fn user(bench: &mut Bench, at: &Connection<'_>, client: &Dataverse) -> Option<Uuid> {
    let (id, subject) = ("dynamics.user", "application user");
    let look = match looked(bench, id, subject, client.look_who_am_i()).await {
        Some(look) if look.is_success() => look,
        Some(look) => {
            let (cause, mend) = refused_user(at, &look);
            bench.fail(id, subject, cause, mend);
            return None;
        }
        None => return None,
    };
    let user = look.json().and_then(|v| v.get("UserId").and_then(Value::as_str).and_then(|t| Uuid::try_parse(t).ok()));
    let Some(user) = user else {
        bench.fail(id, subject, "the answer to WhoAmI names no user", format!("what answers is not Dataverse: {}", address::WHERE));
        return None;
    };
    bench.ok(id, subject, format!("{user}"));
    limits(bench, at, &look);
    Some(user)
}

fn refused_user(at: &Connection<'_>, look: &Look) -> (String, String) {
    let said = look.said();
    let lower = said.to_ascii_lowercase();
    let code = look.code.as_deref().unwrap_or_default();
    let client = at.client_id;
    if code.eq_ignore_ascii_case("0x80072560") || lower.contains("not a member of the organization") {
        (
            format!("the token is good, but the environment has no application user for {client} ({said})"),
            format!("make one: {ROLES} › Application users › New app user, with the security role of the integration"),
        )
    } else if lower.contains("disabled") {
        (format!("the application user of {client} is disabled ({said})"), format!("enable it: {ROLES} › Application users"))
    } else if lower.contains("no roles") || lower.contains("role assigned") || lower.contains("security role") {
        (
            format!("the application user of {client} has no security role ({said})"),
            format!("give it one: {ROLES} › Application users › Edit security roles"),
        )
    } else if look.status == 401 {
        (
            format!("the environment refuses a fresh token ({said})"),
            "check that `tenant` is the environment's own directory, that the application user exists and is enabled, and the clock"
                .to_owned(),
        )
    } else if let Some(privilege) = named(&said) {
        (
            format!("the application user lacks {privilege} ({said})"),
            format!("give it a security role: {ROLES} › Application users › Edit security roles"),
        )
    } else {
        unexpected(look, "WhoAmI")
    }
}

fn limits(bench: &mut Bench, at: &Connection<'_>, look: &Look) {
    let (id, subject) = ("dynamics.limits", "limits");
    let limits = look.limits;
    let mut known = Vec::new();
    if let Some(left) = limits.requests_left {
        known.push(format!("{left} of {BURST} requests left in five minutes"));
    }
    if let Some(left) = limits.seconds_left {
        known.push(format!("{left:.0} of 1200 s of execution time left"));
    }
    if let Some(hint) = limits.parallelism {
        known.push(format!("{hint} requests at a time recommended, {} at most configured", at.concurrency));
    }
    let known = known.join("; ");
    if limits.requests_left.is_some_and(|left| left < BURST / 10) || limits.seconds_left.is_some_and(|left| left < 120.0) {
        bench.warn(
            id,
            subject,
            format!("this user is close to its limits: {known}"),
            "something else uses the same application user: give d365map a separate one, or run at another time",
        );
    } else if known.is_empty() {
        bench.skip(id, subject, "the service names none in its answer");
    } else {
        bench.ok(id, subject, known);
    }
}

async fn tables(bench: &mut Bench, client: &Dataverse, user: Uuid, needs: &Needs) {
    let wanted = needs.tables.iter().any(|(name, t)| !t.writes.is_empty() || name == ACTIVITY || !t.tracked);
    let privileges = if wanted { privileges(bench, client, user).await } else { Err("no flow needs them".to_owned()) };
    for (name, table) in &needs.tables {
        if name == ACTIVITY {
            writes(bench, name, "Activity", table, &privileges);
            continue;
        }
        let Some(definition) = definition(bench, client, name, table).await else { continue };
        let tracking = definition.as_ref().and_then(|d| d.get("ChangeTrackingEnabled")).and_then(Value::as_bool);
        if table.tracked {
            tracked(bench, name, tracking);
        }
        if table.read {
            read(bench, client, name, table, table.tracked && tracking != Some(false), &privileges).await;
        }
        let schema = match name.as_str() {
            // Its privileges have a different name, `prvAppendToUser` (Dataverse: *Security role privileges*).
            "systemuser" => "User",
            _ => definition.as_ref().and_then(|d| d.get("SchemaName")).and_then(Value::as_str).unwrap_or(name),
        };
        writes(bench, name, schema, table, &privileges);
        if let Some(definition) = &definition {
            keys(bench, name, definition);
        }
    }
}

/// The user's privileges, or why they are not known.
async fn privileges(bench: &Bench, client: &Dataverse, user: Uuid) -> Result<Privileges, String> {
    match bench.step(client.look_privileges(user)).await {
        Ok(Ok(look)) if look.is_success() => {
            look.json().as_ref().and_then(Privileges::read).ok_or_else(|| "the list of privileges cannot be read".to_owned())
        }
        Ok(Ok(look)) => Err(format!("the environment does not list the user's privileges (status {})", look.status)),
        Ok(Err(miss)) => Err(format!("the user's privileges could not be asked for: {}", words(&miss))),
        Err(_) => Err("the time for this connection is over".to_owned()),
    }
}

/// A table's definition: `None` where the table is not there or nothing answers, an empty one where it may not be read.
async fn definition(bench: &mut Bench, client: &Dataverse, name: &str, table: &TableNeeds) -> Option<Option<Value>> {
    let (id, subject) = ("dynamics.table", format!("table {name}"));
    let look = looked(bench, id, &subject, client.look_definition(name)).await?;
    let flows = join(&table.flows);
    if look.status == 404 {
        bench.fail(
            id,
            subject,
            format!("the environment has no table `{name}` ({flows})"),
            "check the environment, and whether the solution with the table is installed there",
        );
        return None;
    }
    if look.status == 403 {
        bench.warn(
            id,
            subject,
            format!("its definition cannot be read ({})", look.said()),
            format!("give the application user's role Read on Entity and Attribute (tab Customization): {ROLES} › Security roles. Without it change tracking, keys and drift are not checked"),
        );
        return Some(None);
    }
    let Some(definition) = look.is_success().then(|| look.json()).flatten() else {
        let (cause, mend) = unexpected(&look, "the table's definition");
        bench.fail(id, subject, cause, mend);
        return None;
    };
    let set = definition.get("EntitySetName").and_then(Value::as_str).unwrap_or_default();
    if set != table.set && !set.is_empty() && !table.set.is_empty() {
        bench.fail(
            id,
            subject,
            format!("the environment calls its rows `{set}`, the project's schema `{}`", table.set),
            format!("`d365map schema pull d365.{name}` fetches the schema again"),
        );
        return None;
    }
    bench.ok(id, subject, format!("for {flows}"));
    Some(Some(definition))
}

fn tracked(bench: &mut Bench, name: &str, on: Option<bool>) {
    let (id, subject) = ("dynamics.tracking", format!("tracking {name}"));
    match on {
        Some(true) => bench.ok(id, subject, "change tracking is on"),
        Some(false) => bench.fail(
            id,
            subject,
            format!("change tracking is off for `{name}`: its changes cannot be followed"),
            "switch it on: make.powerapps.com › Tables › the table › Properties › Advanced options › Track changes, save, and publish. It cannot be switched off again",
        ),
        None => bench.skip(id, subject, "the table's definition does not say"),
    }
}

async fn read(
    bench: &mut Bench,
    client: &Dataverse,
    name: &str,
    table: &TableNeeds,
    tracked: bool,
    privileges: &Result<Privileges, String>,
) {
    let (id, subject) = ("dynamics.read", format!("read {name}"));
    let Some(look) = looked(bench, id, &subject, client.look_row(&table.set, &table.primary_key, tracked)).await else { return };
    let role =
        format!("give the application user's role Read on the table at organization level (the full circle): {ROLES} › Security roles");
    if look.status == 403 {
        let lacks = named(look.message.as_deref().unwrap_or_default()).map_or("a right".to_owned(), str::to_owned);
        let level = if tracked { "; following changes needs it at organization level" } else { "" };
        bench.fail(id, subject, format!("the application user lacks {lacks}{level} ({})", look.said()), role);
        return;
    }
    if !look.is_success() {
        let (cause, mend) = unexpected(&look, "a first page");
        bench.fail(id, subject, cause, mend);
        return;
    }
    if tracked {
        bench.ok(id, subject, "a first page with change tracking came, so at organization level");
        return;
    }
    match privileges.as_ref().map(|p| p.depth(&format!("prvRead{name}"))) {
        Ok(Some(depth)) if depth < Depth::Global => {
            bench.fail(id, subject, format!("the application user reads {depth} only; following changes needs organization level"), role);
        }
        _ => bench.ok(id, subject, "rows can be read; the level is shown when changes are followed"),
    }
}

fn writes(bench: &mut Bench, name: &str, schema: &str, table: &TableNeeds, privileges: &Result<Privileges, String>) {
    if table.writes.is_empty() {
        return;
    }
    let (id, subject) = ("dynamics.write", format!("write {name}"));
    let privileges = match privileges {
        Ok(privileges) => privileges,
        Err(reason) => {
            bench.skip(id, subject, format!("{reason}, and nothing is written to find out"));
            return;
        }
    };
    let depth = |verb: &Verb| (format!("prv{}{schema}", verb.word()), privileges.depth(&format!("prv{}{schema}", verb.word())));
    let found: Vec<_> = table.writes.iter().map(depth).collect();
    let missing: Vec<&str> = found.iter().filter(|(_, d)| d.is_none()).map(|(n, _)| n.as_str()).collect();
    let narrow = found.iter().find_map(|(n, d)| d.filter(|d| *d < Depth::Global).map(|d| (n, d)));
    let mend = format!("give it in the application user's role at organization level: {ROLES} › Security roles");
    if !missing.is_empty() {
        bench.fail(id, subject, format!("the application user lacks {} ({})", missing.join(", "), join(&table.flows)), mend);
    } else if let Some((privilege, depth)) = narrow {
        bench.warn(id, subject, format!("{privilege} reaches {depth} only"), mend);
    } else {
        bench.ok(id, subject, found.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", "));
    }
}

/// The alternate keys of a table. No workflow addresses rows of Dynamics 365 by one; a key whose index is missing is a sign of doubled rows.
fn keys(bench: &mut Bench, name: &str, definition: &Value) {
    for key in definition.get("Keys").and_then(Value::as_array).into_iter().flatten() {
        let columns = key.get("KeyAttributes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let subject = format!("key {name}.{}", columns.collect::<Vec<_>>().join("+"));
        key_status(bench, &subject, key);
    }
}

fn key_status(bench: &mut Bench, subject: &str, key: &Value) {
    let id = "dynamics.key";
    let name = key.get("LogicalName").and_then(Value::as_str).unwrap_or("the key");
    let status = key.get("EntityKeyIndexStatus").and_then(Value::as_str).unwrap_or_default();
    let (cause, mend) = match status {
        "Active" => {
            bench.ok(id, subject, format!("alternate key {name} is active"));
            return;
        }
        "Pending" | "InProgress" => (
            format!("the index of the alternate key {name} is being built ({status}): it cannot be used yet"),
            "wait; a large table takes hours. If it stays so, check the system jobs of the environment (Settings › Audit and logs › System jobs)",
        ),
        "Failed" => (
            format!("the index of the alternate key {name} could not be built"),
            "probably two rows have the same value: the system job names the reason. Fix the rows, then make.powerapps.com › Tables › the table › Keys › Reactivate key",
        ),
        other => {
            bench.skip(id, subject, format!("the state `{other}` of the alternate key {name} is not known"));
            return;
        }
    };
    bench.warn(id, subject, format!("{cause}; no workflow needs it"), mend);
}

/// Makes one request within the time, and reports if there is no answer.
async fn looked(bench: &mut Bench, id: &'static str, subject: &str, look: impl Future<Output = Result<Look, Miss>>) -> Option<Look> {
    match bench.step(look).await {
        Ok(Ok(look)) => Some(look),
        Ok(Err(Miss::Connect(error))) => {
            let (cause, mend) = token::plain(&error);
            bench.fail(id, subject, cause, mend);
            None
        }
        Ok(Err(Miss::Unreachable(unreachable))) => {
            bench.fail(
                id,
                subject,
                format!("no answer: {}", unreachable.message),
                "try again; if it fails again, check proxy and firewall",
            );
            None
        }
        Err(_) => {
            bench.over(id, subject);
            None
        }
    }
}

fn words(miss: &Miss) -> String {
    match miss {
        Miss::Connect(error) => error.to_string(),
        Miss::Unreachable(unreachable) => unreachable.message.clone(),
    }
}

/// An answer that none of the known causes explains.
fn unexpected(look: &Look, what: &str) -> (String, String) {
    if look.html {
        return (
            format!("an HTML page came in place of {what} (status {})", look.status),
            format!("a sign-in page or a proxy answered instead: {}", address::WHERE),
        );
    }
    match look.status {
        429 => {
            let wait = look.limits.retry_after.map_or(String::new(), |d| format!(", and asks to wait {} s", d.as_secs()));
            (
                format!("the service limits requests{wait} ({})", look.said()),
                "something else uses the same application user: wait, or give d365map a separate user".to_owned(),
            )
        }
        500..=599 => (format!("the service fails ({})", look.said()), "try again later; see the vendor's service health page".to_owned()),
        200..=299 => (format!("{what} is not an answer of Dataverse"), format!("check that no proxy changes answers; {}", address::WHERE)),
        _ => (format!("{what} was refused with {} ({})", look.status, look.said()), "run with -vv to see the requests".to_owned()),
    }
}

fn join(names: &std::collections::BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Group, Outcome};

    #[tokio::test]
    async fn a_certificate_is_asked_to_be_renewed_a_month_before_its_end() {
        let now = time::parse_instant("2026-06-01T00:00:00Z").unwrap();
        let outcome = |end: &str| {
            let mut bench = Bench::new(Group::Dynamics, std::time::Duration::from_secs(1));
            certificate(&mut bench, time::parse_instant(end), now);
            bench.done().remove(0).outcome
        };
        assert!(matches!(outcome("2026-05-31T00:00:00Z"), Outcome::Failed { .. }));
        assert!(matches!(outcome("2026-06-20T00:00:00Z"), Outcome::Warning { cause, .. } if cause.contains("19 days")));
        assert!(matches!(outcome("2027-06-01T00:00:00Z"), Outcome::Ok { .. }));
    }
}
