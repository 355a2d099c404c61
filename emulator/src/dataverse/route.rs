//! From a request's method and path to the operation.

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};

use super::error::{Fail, Result};
use super::expand::{self, Step};
use super::setup::Operation;
use super::url::{Options, Prefer, RowKey, segments};
use super::{Access, Call, Dataverse, Operations, bulk, close, counts, csdl, definitions, metadata, read, write};
use crate::net;

impl Dataverse {
    /// Runs one operation, alone or as a part of a batch.
    pub(super) fn route(&self, call: &Call<'_>, client: usize, route: &mut String, access: &mut Access<'_>) -> Result<Response<Body>> {
        check_headers(call)?;
        // Ignoring a request to act as another user would give a wrong answer, not a missing one.
        if ["callerobjectid", "mscrmcallerid"].iter().any(|name| call.headers.contains_key(*name)) {
            return Err(Fail::not_emulated("impersonation"));
        }
        let versioned = call.path.strip_prefix("/api/data/v9.").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        let (version, below) = versioned
            .filter(|(version, _)| matches!(*version, "0" | "1" | "2"))
            .ok_or_else(|| Fail::new(404, "0x8006088a", format!("Resource not found: '{}'.", call.path)))?;
        let site = &*self.site.at(version);
        // Its argument is not a key.
        if below.starts_with("RetrieveMetadataChanges(") && *call.method == Method::GET {
            *route = "RetrieveMetadataChanges".to_owned();
            return access.read(|store| definitions::metadata_changes(site, store, below, call.query));
        }
        if below.starts_with("RetrieveTotalRecordCount(") && *call.method == Method::GET {
            *route = "RetrieveTotalRecordCount".to_owned();
            let snapshots = crate::read(&self.snapshots);
            return access.read(|store| counts::total(site, store, &snapshots, below, call.query));
        }
        if below.starts_with("systemusers(")
            && below.ends_with(")/Microsoft.Dynamics.CRM.RetrievePrincipalAttributePrivileges()")
            && *call.method == Method::GET
        {
            *route = "RetrievePrincipalAttributePrivileges".to_owned();
            return Ok(access.read(|store| metadata::attribute_privileges(site, store)));
        }
        // A function without arguments, in OData's own form.
        let below = below.strip_suffix("()").filter(|name| !name.contains(['/', '('])).unwrap_or(below);
        let parts = segments(below)?;
        let get = call.method == Method::GET;
        let Some(first) = parts.first() else {
            *route = "service document".to_owned();
            return if get { Ok(Dataverse::service_document(site, access)) } else { Err(Fail::method(call.method.as_str())) };
        };
        match first.name.as_str() {
            // A function called as an action. [D]
            "WhoAmI" if !get => {
                let text = format!("No HTTP resource was found that matches the request URI '{}{}'.", self.site.base, call.path);
                return Err(Fail::new(404, "", text));
            }
            "EntityDefinitions" if !get => {
                *route = "EntityDefinitions".to_owned();
                return definitions::entity_definitions(site, access, call, &parts);
            }
            "RelationshipDefinitions" => {
                *route = "RelationshipDefinitions".to_owned();
                return definitions::relationships(site, access, call, &parts);
            }
            "CreateEntities" | "BulkDelete" if *call.method == Method::POST => {
                route.clone_from(&first.name);
                return if first.name == "BulkDelete" {
                    definitions::bulk_delete(site, access, call)
                } else {
                    definitions::create_entities(access, call)
                };
            }
            "WhoAmI" => {
                *route = "WhoAmI".to_owned();
                return Ok(self.who_am_i(site, client, access));
            }
            "EntityDefinitions" => {
                *route = "EntityDefinitions".to_owned();
                return access.read(|store| metadata::get(site, store, &parts, call.query));
            }
            "$metadata" if get => {
                *route = "$metadata".to_owned();
                return access.read(|store| csdl::answer(store, call.query));
            }
            "$batch" => return Err(Fail::method(call.method.as_str())),
            _ => {}
        }
        let closing = close::Closing::named(&first.name);
        let table = access.read(|store| match closing {
            Some(_) => store.by_name(close::OPPORTUNITY),
            None => store.by_set(&first.name),
        });
        let table = table.ok_or_else(|| missing(&first.name))?;
        let key_name = if first.key.is_some() { "(key)" } else { "" };
        *route = format!("{}{key_name}", first.name);
        let prefer = Prefer::parse(call.headers);
        let options = Options::parse(call.query)?;
        let references = if let Access::Held(_, references) = access { Some(*references) } else { None };
        let application = crate::read(&self.conditions).applications[client].clone();
        let user = self.clients[client].user;
        let writer = write::Writer {
            site,
            user: client as u8,
            headers: call.headers,
            options: &options,
            prefer: &prefer,
            references,
            rights: write::Rights { user, application: &application },
        };
        if let Some(closing) = closing {
            if *call.method != Method::POST || parts.len() > 1 || first.key.is_some() {
                return Err(Fail::method(call.method.as_str()));
            }
            json_body(call)?;
            return access.write(|store| writer.close(store, closing, call.body));
        }
        if get {
            let tracking = prefer.track || options.deltatoken.is_some();
            let operation = if tracking { Operation::ReadOrganization } else { Operation::Read };
            access.read(|store| application.may(user, operation, &store.tables[table].table))?;
        }
        if !get && access.read(|store| store.tables[table].table.read_only) {
            return Err(Fail::method(call.method.as_str()));
        }
        match (call.method.as_str(), &first.key, &parts[1..]) {
            ("GET", None, []) => {
                if options.deltatoken.is_some() {
                    route.push_str("?delta");
                }
                let scope = read::Scope { path: first.name.clone(), pointing: None };
                access.read(|store| read::set(site, store, table, &scope, &options, &prefer))
            }
            ("GET", None, [count]) if count.name == "$count" => {
                route.push_str("/$count");
                access.read(|store| read::count(site, store, table, &options))
            }
            ("GET", Some(key), []) => access.read(|store| read::one(site, store, table, key, &options, &prefer, call.headers)),
            ("GET", Some(key), [name]) => match access.read(|store| expand::step(store, table, &name.name))? {
                Step::Column => {
                    route.push_str("/column");
                    access.read(|store| read::property(site, store, table, key, &name.name))
                }
                Step::One(single) => {
                    route.push_str("/nav");
                    access.read(|store| {
                        application.may(user, Operation::Read, &store.tables[single.table].table)?;
                        match expand::follow(store, table, key, single)? {
                            Some(id) => read::one(site, store, single.table, &RowKey::Id(id), &options, &prefer, call.headers),
                            None => Ok(net::empty(StatusCode::NO_CONTENT)),
                        }
                    })
                }
                Step::Many(child, lookup) => {
                    route.push_str("/nav");
                    access.read(|store| {
                        application.may(user, Operation::Read, &store.tables[child].table)?;
                        let id = read::find(store, table, key)?.existing(&store.tables[table].table)?;
                        let scope =
                            read::Scope { path: format!("{}({id})/{}", first.name, name.name), pointing: Some((lookup, table, id)) };
                        read::set(site, store, child, &scope, &options, &prefer)
                    })
                }
            },
            ("GET", Some(key), [nav, reference]) if reference.name == "$ref" => {
                route.push_str("/nav/$ref");
                access.read(|store| expand::references(site, store, table, key, &nav.name))
            }
            (method @ ("PUT" | "POST"), Some(key), [nav, reference]) if reference.name == "$ref" => {
                route.push_str("/nav/$ref");
                json_body(call)?;
                access.write(|store| writer.associate(store, table, key, &nav.name, call.body, method == "POST"))
            }
            ("POST", None, []) => {
                json_body(call)?;
                access.write(|store| writer.create(store, table, call.body))
            }
            ("PATCH", Some(key), []) => {
                json_body(call)?;
                access.write(|store| writer.patch(store, table, key, &first.raw, call.body))
            }
            ("DELETE", Some(key), []) => access.write(|store| writer.delete(store, table, key)),
            ("PUT", Some(key), [column]) => {
                route.push_str("/column");
                json_body(call)?;
                access.write(|store| writer.set_property(store, table, key, &column.name, Some(call.body)))
            }
            ("DELETE", Some(key), [column]) => {
                route.push_str("/column");
                access.write(|store| writer.set_property(store, table, key, &column.name, None))
            }
            ("DELETE", Some(key), [nav, reference]) if reference.name == "$ref" => {
                route.push_str("/nav/$ref");
                access.write(|store| match &nav.key {
                    None => writer.set_property(store, table, key, &nav.name, None),
                    Some(other) => writer.dissociate(store, table, key, &nav.name, other),
                })
            }
            ("POST", None, [action]) if action.name.starts_with(bulk::NAMESPACE) => {
                let name = &action.name[bulk::NAMESPACE.len()..];
                let Some(message) = bulk::Message::named(name) else {
                    // Only elastic tables have it. [D]
                    if name == "DeleteMultiple" {
                        return Err(Fail::new(400, "0x80040216", "DeleteMultiple has not yet been implemented."));
                    }
                    return Err(Fail::no_segment(&action.name));
                };
                route.push('/');
                route.push_str(message.name());
                json_body(call)?;
                let (mut response, count) = access.write(|store| writer.bulk(store, table, message, call.body))?;
                response.extensions_mut().insert(Operations(count));
                Ok(response)
            }
            (_, _, [more, ..]) => Err(Fail::no_segment(&more.name)),
            (method, _, []) => Err(Fail::method(method)),
        }
    }
}

/// Functions, actions and sets that every environment has and the emulator does not play. To say that they do not exist would be
/// wrong: a client would take it for an older environment, or for a lack of rights.
const NOT_PLAYED: &[&str] = &[
    "BulkDetectDuplicates",
    "GlobalOptionSetDefinitions",
    "GrantAccess",
    "ManagedPropertyDefinitions",
    "Merge",
    "ModifyAccess",
    "PublishAllXml",
    "PublishXml",
    "RetrieveAllEntities",
    "RetrieveAvailableLanguages",
    "RetrieveCurrentOrganization",
    "RetrieveDeprovisionedLanguages",
    "RetrieveDuplicates",
    "RetrieveInstalledLanguagePacks",
    "RetrieveProvisionedLanguages",
    "RetrieveTimestamp",
    "RetrieveVersion",
    "RevokeAccess",
    "SendEmailFromTemplate",
    "activityparties",
    "activitypointers",
    "annotations",
    "asyncoperations",
    "audits",
    "businessunits",
    "organizations",
    "publishers",
    "queues",
    "recyclebinconfigs",
    "roles",
    "savedqueries",
    "solutions",
    "subjects",
    "teams",
    "workflows",
];

/// The answer to a name below the service root that leads to no table.
fn missing(name: &str) -> Fail {
    if NOT_PLAYED.binary_search(&name).is_ok() { Fail::not_emulated(&format!("`{name}`")) } else { Fail::no_segment(name) }
}

fn check_headers(call: &Call<'_>) -> Result<()> {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    // The service speaks OData 4.0; what it answers to other versions is assumed. [K]
    if header("odata-version").is_some_and(|version| version != "4.0") {
        return Err(Fail::new(400, "0x0", "The OData-Version header must be 4.0."));
    }
    if header("odata-maxversion").is_some_and(|version| !matches!(version, "4.0" | "4.01")) {
        return Err(Fail::new(400, "0x0", "The OData-MaxVersion header must be 4.0 or higher."));
    }
    if let Some(accept) = header("accept")
        && !accept.contains("application/json")
        && !accept.contains("*/*")
        && !accept.contains("application/*")
        && !(accept.contains("text/plain") && call.path.ends_with("$count"))
        && !(accept.contains("application/xml") && call.path.ends_with("$metadata"))
    {
        return Err(Fail::new(
            415,
            "0x0",
            format!("A supported MIME type could not be found that matches the acceptable MIME types: '{accept}'."),
        ));
    }
    Ok(())
}

/// A body must say that it is JSON.
pub(super) fn json_body(call: &Call<'_>) -> Result<()> {
    let kind = call.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let mime = kind.split(';').next().unwrap_or("").trim();
    if mime.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Fail::new(415, "0x0", format!("The content type '{kind}' is not supported; send application/json.")))
    }
}
