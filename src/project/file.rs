//! Reading d365map.yaml: shape, ranges, addresses; all faults at once where the shape allows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::diagnostics::{Code, FileProblem, Level, Levels, Severity, nearest};

use super::entra::CertificateDoc;
use super::journal::JournalDoc;
use super::limits::LimitsDoc;
use super::notify::NotifyDoc;
use super::optouts::OptoutsDoc;
use super::partner_center::PartnerCenterDoc;
use super::reader::Reader;
use super::schedules::ScheduleDoc;
use super::serve::ServeDoc;
use super::sftp::SftpDoc;
use super::{CampaignConnection, CampaignCredential, Connections, DynamicsConnection, EntraCredential, Project, SecretRef, ServiceAccount};
use crate::systems::campaign::{CampaignConfig, LinkForm};
use crate::systems::dataverse::{DataverseConfig, entra_token_url};
use crate::yaml::{self, Spanned};

/// The version of the format that this program reads.
const VERSION: u32 = 1;

/// Adobe's gateway for the Campaign Standard API.
const CAMPAIGN_GATEWAY: &str = "https://mc.adobe.io";

/// Scopes of an OAuth server-to-server credential for Campaign Standard. Assumed: which scopes a credential has is shown
/// in Adobe's developer console, and what it shows is to be written into the project file.
pub(super) const CAMPAIGN_SCOPE: &str = "openid,AdobeID,campaign_sdk,campaign_config_server_general,deliverability_service_general";

/// The metascope of a service account for Campaign Standard. Assumed, as the scopes are.
const METASCOPE: &str = "ent_campaign_sdk";

/// The settings of a project of d365map: where its files are, how the services are reached, what bounds a run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "d365map.yaml")]
pub(super) struct ProjectDoc {
    /// The version of the format: 1.
    version: Spanned<u32>,
    /// The folder of the mapping files, relative to this file and within its folder. Default: mappings.
    mappings: Option<Spanned<String>>,
    /// The folder of the schema files, relative to this file and within its folder. Default: schemas.
    schemas: Option<Spanned<String>>,
    /// The state file: cursors, outbox, ledger, dead letters. It has personal data; keep it out of version control. Default:
    /// .d365map/state.db.
    state: Option<Spanned<String>>,
    /// How the services are reached. Each connection is needed only by commands that talk to its service.
    #[serde(default)]
    connections: Option<ConnectionsDoc>,
    /// What bounds a run.
    #[serde(default)]
    limits: Option<LimitsDoc>,
    /// How opt-outs are read in Campaign, and how times are compared.
    #[serde(default)]
    opt_outs: Option<OptoutsDoc>,
    /// When the rounds of `run --watch` begin, by workflow: a mapping by its name, its opt-outs by `NAME.optout`, a block of events by
    /// its name.
    #[serde(default)]
    schedules: Option<yaml::Map<ScheduleDoc>>,
    /// The pages and the API of `d365map serve`: where they are, and who may use them.
    #[serde(default)]
    serve: Option<ServeDoc>,
    /// Of what people are notified while `run --watch` goes on, and how.
    #[serde(default)]
    notify: Option<Spanned<NotifyDoc>>,
    /// The severity of warnings by their codes. `d365map explain` lists the codes.
    #[serde(default)]
    lint: Option<yaml::Map<LintDoc>>,
}

/// `error`, `warning` or `off`. An error cannot be turned into less.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct LintDoc(#[schemars(extend("enum" = ["error", "warning", "off"]))] Spanned<String>);

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ConnectionsDoc {
    /// Dynamics 365 by the Dataverse Web API: an application user.
    dynamics: Option<Spanned<DynamicsDoc>>,
    /// Adobe Campaign Standard by its REST API: an OAuth server-to-server credential.
    campaign: Option<Spanned<CampaignDoc>>,
    /// Partner Center by its referrals API: an app in whose name a person signs in, with `d365map login partner-center`.
    partner_center: Option<Spanned<PartnerCenterDoc>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DynamicsDoc {
    /// The address of the environment without a path, such as https://contoso.crm4.dynamics.com.
    url: Spanned<String>,
    /// The directory of the application: its id or its domain. Required without `token-url`.
    tenant: Option<Spanned<String>>,
    /// Where tokens come from, if not from Entra ID's endpoint of the tenant.
    token_url: Option<Spanned<String>>,
    /// The id of the application, which must be an application user of the environment.
    client_id: Spanned<String>,
    /// Where the client secret is kept. Required without `client-certificate`.
    client_secret: Option<SecretRef>,
    /// A certificate that is uploaded to the app registration, in place of the secret.
    client_certificate: Option<CertificateDoc>,
    /// The language of the labels that `schema pull` writes: a Windows language code (1031) or a culture (de-DE). Default: that of the
    /// application user.
    label_language: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ServiceAccountDoc {
    /// The id of the organization, `…@AdobeOrg`.
    organization_id: Spanned<String>,
    /// The id of the technical account, `…@techacct.adobe.com`.
    technical_account: Spanned<String>,
    /// Where the private key is kept (PEM).
    private_key: SecretRef,
    /// The metascopes by name. Default: ent_campaign_sdk.
    metascopes: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CampaignDoc {
    /// The address of the gateway; the organization is added to it. Default: https://mc.adobe.io.
    url: Option<Spanned<String>>,
    /// The organization's id, as in https://mc.adobe.io/ORGANIZATION/campaign. Required unless `url` ends with it.
    organization: Option<Spanned<String>>,
    /// Where tokens come from, if not from Adobe's public service.
    token_url: Option<Spanned<String>>,
    /// The client id of the credential, which is the API key too.
    client_id: Spanned<String>,
    /// Where the client secret is kept.
    client_secret: SecretRef,
    /// Adobe's deprecated service account (JWT), for projects that were not migrated yet.
    service_account: Option<ServiceAccountDoc>,
    /// The SFTP server of the instance, with the exports of logs and opt-out changes.
    sftp: Option<SftpDoc>,
    /// The journal of Adobe I/O Events, from which email events come in near real time.
    journal: Option<JournalDoc>,
    /// The scopes of the credential, separated by commas, as Adobe's developer console shows them.
    scope: Option<Spanned<String>>,
    /// The API for profiles. `profileAndServices` supports neither added fields nor a custom key. Default: profileAndServicesExt.
    #[schemars(extend("enum" = ["profileAndServicesExt", "profileAndServices", null]))]
    api: Option<Spanned<String>>,
    /// How a link to another record is written. Default: pkey.
    #[serde(default)]
    link_form: Option<LinkForm>,
}

/// Masks what a careless hand has written where a reference belongs, byte for byte: an excerpt must not show it.
fn masked(text: &str) -> Arc<str> {
    static SECRET: LazyLock<Regex> = LazyLock::new(|| {
        let key = r#"(?im)^([^\n#]*?(?:secret|passw(?:or)?d|passphrase|pwd|token|private[-_]key|[\s{,]["']?key)["']?[ \t]*:[ \t]*)"#;
        #[expect(clippy::expect_used, reason = "a constant")]
        Regex::new(&format!("{key}([^\\s{{][^\\n]*)")).expect("a valid pattern")
    });
    // What cannot be the name of a variable may be the secret itself.
    static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant")]
        Regex::new(r#"\benv["']?[ \t]*:[ \t]*([^\n,}]+)"#).expect("a valid pattern")
    });
    let mut out = text.to_owned();
    for value in VARIABLE.captures_iter(text).filter_map(|found| found.get(1)) {
        let name = value.as_str().trim().trim_matches(['"', '\'']);
        if !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            out.replace_range(value.range(), &"*".repeat(value.len()));
        }
    }
    for found in SECRET.captures_iter(text) {
        if let Some(value) = found.get(2) {
            out.replace_range(value.range(), &"*".repeat(value.len()));
            // A value over several lines: everything that is indented below.
            let indent = |line: &str| line.len() - line.trim_start().len();
            let start = text[..value.start()].rfind('\n').map_or(0, |at| at + 1);
            let own = indent(&text[start..value.start()]);
            let mut at = value.end() + 1;
            for line in text.get(at..).unwrap_or_default().split_inclusive('\n') {
                if !line.trim().is_empty() && indent(line) <= own {
                    break;
                }
                let body = line.trim_end();
                out.replace_range(at..at + body.len(), &"*".repeat(body.len()));
                at += line.len();
            }
        }
    }
    Arc::from(out)
}

/// Reads a project file's text.
pub(super) fn read(path: &Path, text: &Arc<str>, root: PathBuf) -> Result<Project, Vec<FileProblem>> {
    let shown = masked(text);
    let doc: ProjectDoc = yaml::from_str(path, text).map_err(|problem| {
        let help = problem.help.clone();
        let safe = FileProblem::new(path, &shown, problem.span.clone(), problem.message.clone()).label(problem.label.clone());
        vec![FileProblem { help, ..safe }]
    })?;
    let mut reader = Reader { path, text: &shown, problems: Vec::new() };
    let project = reader.project(&doc, root);
    if reader.problems.is_empty() { Ok(project) } else { Err(reader.problems) }
}

impl Reader<'_> {
    fn project(&mut self, doc: &ProjectDoc, root: PathBuf) -> Project {
        if doc.version.value != VERSION {
            let help = if doc.version.value > VERSION { "use a newer d365map" } else { "write `version: 1`" };
            self.problem(
                &doc.version.span,
                format!("version {} of the format is not known", doc.version.value),
                format!("this program reads version {VERSION}"),
                help,
            );
        }
        let defaults = Project::defaults(&root);
        let mappings = self.own_folder("mappings", doc.mappings.as_ref(), &root, defaults.mappings);
        let schemas = self.own_folder("schemas", doc.schemas.as_ref(), &root, defaults.schemas);
        let state = self.folder(doc.state.as_ref(), &root, defaults.state);
        let connections = doc.connections.as_ref().map(|c| self.connections(c)).unwrap_or_default();
        let limits = doc.limits.as_ref().map(|l| self.limits(l)).unwrap_or_default();
        let optouts = doc.opt_outs.as_ref().map(|o| self.optouts(o)).unwrap_or_default();
        let schedules = doc.schedules.as_ref().map(|s| self.schedules(s)).unwrap_or_default();
        let serve = doc.serve.as_ref().map(|s| self.serve(s)).unwrap_or_default();
        let notify = doc.notify.as_ref().map(|n| self.notify(n));
        let lint = doc.lint.as_ref().map(|l| self.lint(l)).unwrap_or_default();
        Project { file: defaults.file, mappings, schemas, state, connections, limits, optouts, schedules, serve, notify, lint, root }
    }

    /// The severities of codes. What is an error stays one: it cannot be run.
    fn lint(&mut self, doc: &yaml::Map<LintDoc>) -> Levels {
        let mut levels = Levels::new();
        for (name, LintDoc(level)) in &doc.0 {
            let Some(code) = Code::from_name(&name.value) else {
                let near = nearest(&name.value, Code::ALL.iter().map(|c| c.name()));
                let help = near.map_or("`d365map explain` lists the codes".to_owned(), |n| format!("did you mean {n}?"));
                self.problem(&name.span, format!("there is no code `{}`", name.value), "unknown code", help);
                continue;
            };
            let level = match level.value.as_str() {
                "error" => Level::Error,
                "warning" => Level::Warning,
                // YAML 1.1 tools write `off` as `false`.
                "off" | "false" => Level::Off,
                other => {
                    self.problem(
                        &level.span,
                        format!("`{other}` is not a severity"),
                        "not a severity",
                        "write `error`, `warning` or `off`",
                    );
                    continue;
                }
            };
            if code.severity() == Severity::Error && level != Level::Error {
                self.problem(
                    &name.span,
                    format!("{code} is an error and cannot be reduced to a warning"),
                    "an error",
                    "only the severity of warnings can be set: a mapping with an error cannot run",
                );
                continue;
            }
            levels.insert(code, level);
        }
        levels
    }

    fn folder(&mut self, given: Option<&Spanned<String>>, root: &Path, default: PathBuf) -> PathBuf {
        match given {
            Some(given) if given.value.trim().is_empty() => {
                self.problem(
                    &given.span,
                    "the path is empty",
                    "names nothing",
                    "write a path relative to the project file, or leave the key out",
                );
                default
            }
            Some(given) => root.join(&given.value),
            None => default,
        }
    }

    /// A folder that must stay within the project's, whatever links lead there: its files are quoted in findings.
    fn own_folder(&mut self, key: &str, given: Option<&Spanned<String>>, root: &Path, default: PathBuf) -> PathBuf {
        let folder = self.folder(given, root, default);
        let Err(error) = crate::disk::within_if_exists(root, &folder) else { return folder };
        let (message, label, help) = match error.kind() {
            // d365map's own, not the system's.
            std::io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => (
                format!("the folder `{key}` is outside of the project folder {}", root.display()),
                "leads out of the project folder",
                format!("move it into the project folder, or move {} to a folder that contains both", super::FILE_NAME),
            ),
            std::io::ErrorKind::NotFound => (
                format!("the folder `{key}` is a symbolic link to something that does not exist"),
                "leads nowhere",
                "replace the link with a folder".to_owned(),
            ),
            // A folder that cannot be entered, and the like, is reported when it is read.
            _ => return folder,
        };
        let problem = match given {
            Some(given) => FileProblem::new(self.path, self.text, given.span.clone(), message).label(label),
            // The default folder is a link: nothing in the file is to be marked.
            None => FileProblem::new(self.path, &Arc::from(""), 0..0, message),
        };
        self.problems.push(problem.help(help));
        folder
    }

    fn connections(&mut self, doc: &ConnectionsDoc) -> Connections {
        Connections {
            dynamics: doc.dynamics.as_ref().and_then(|d| self.dynamics(d)),
            campaign: doc.campaign.as_ref().and_then(|c| self.campaign(c)),
            partner_center: doc.partner_center.as_ref().and_then(|p| self.partner_center(p)),
        }
    }

    fn dynamics(&mut self, doc: &Spanned<DynamicsDoc>) -> Option<DynamicsConnection> {
        let DynamicsDoc { url: address, tenant, token_url, client_id, client_secret, client_certificate, label_language } = &doc.value;
        let url = self.url(address);
        if let Some(url) = &url
            && !matches!(url.path(), "" | "/")
        {
            let mut root = url.clone();
            root.set_path("");
            self.problem(
                &address.span,
                "the address of Dynamics is that of the environment alone",
                "has a path",
                format!("write `{}`", root.as_str().trim_end_matches('/')),
            );
        }
        let own_token_url = token_url.as_ref().map(|t| self.url(t));
        if tenant.is_none() && own_token_url.is_none() {
            self.problem(
                &client_id.span,
                "the connection to Dynamics has no tenant",
                "the address of the token service is unknown",
                "add `tenant:` with the directory's id",
            );
        }
        let credential = match (client_secret, client_certificate) {
            (Some(secret), None) => Some(EntraCredential::Secret(secret.clone())),
            (None, Some(given)) => Some(self.certificate(given)),
            (Some(_), Some(given)) => {
                self.problem(
                    &given.certificate.span,
                    "the connection to Dynamics has a secret and a certificate",
                    "beside `client-secret`",
                    "leave one of them out; a certificate is the safer one",
                );
                None
            }
            (None, None) => {
                self.problem(
                    &client_id.span,
                    "the connection to Dynamics has no credential",
                    "neither `client-secret` nor `client-certificate`",
                    "add `client-secret: { env: NAME }`, or `client-certificate:` with `certificate` and `private-key`",
                );
                None
            }
        };
        for text in [Some(client_id), tenant.as_ref()].into_iter().flatten() {
            self.word(text);
        }
        if let Some(tenant) = tenant {
            self.tenant(tenant);
        }
        let label_language = label_language.as_ref().and_then(|given| self.label_language(given));
        let tenant = tenant.as_ref().map(|t| t.value.clone());
        let token_url = match &own_token_url {
            Some(url) => url.clone(),
            // An invalid tenant was reported before.
            None => tenant.as_deref().and_then(|tenant| entra_token_url(tenant).ok()),
        };
        let client_id = client_id.value.clone();
        let config = DataverseConfig { url: url?, token_url: token_url?, client_id, credential: credential? };
        Some(DynamicsConnection { config, tenant, own_token_url: own_token_url.is_some(), label_language })
    }

    fn campaign(&mut self, doc: &Spanned<CampaignDoc>) -> Option<CampaignConnection> {
        let CampaignDoc {
            url: address,
            organization,
            token_url,
            client_id,
            client_secret,
            service_account,
            sftp,
            journal,
            scope,
            api,
            link_form,
        } = &doc.value;
        let mut url = match address {
            Some(address) => self.url(address),
            None => Url::parse(CAMPAIGN_GATEWAY).ok(),
        };
        if let Some(organization) = organization
            && !organization.value.is_empty()
            && organization.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        {
            if let Some(url) = &mut url
                && url.path().trim_end_matches('/').rsplit('/').next() != Some(organization.value.as_str())
            {
                url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), organization.value));
            }
        } else if let Some(organization) = organization {
            self.problem(
                &organization.span,
                "this is not an organization's id",
                "not an id",
                "write the part of the address between mc.adobe.io/ and /campaign",
            );
        }
        let place = address.as_ref().or(organization.as_ref()).map_or(&client_id.span, |s| &s.span).clone();
        if let Some(url) = &url {
            if matches!(url.path(), "" | "/") {
                self.problem(
                    &place,
                    "the connection to Campaign names no organization",
                    "without an organization",
                    "add `organization:` with the organization's id, or write it at the end of `url`",
                );
            } else if url.path().trim_end_matches('/').ends_with("/campaign") {
                self.problem(&place, "the address of Campaign ends with the organization", "goes too far", "leave `/campaign` out");
            }
        }
        let token_url = token_url.as_ref().map(|t| self.url(t));
        for text in [Some(client_id), scope.as_ref(), api.as_ref()].into_iter().flatten() {
            self.word(text);
        }
        if let Some(api) = api
            && !matches!(api.value.as_str(), "profileAndServicesExt" | "profileAndServices")
        {
            self.problem(
                &api.span,
                format!("profiles are not written by `{}`", api.value),
                "not an API of profiles",
                "write profileAndServicesExt, or profileAndServices where no field was added to the profile",
            );
        }
        let service_account = service_account.as_ref().map(|a| self.service_account(a));
        let (sftp, journal) = (sftp.as_ref().and_then(|s| self.sftp(s)), journal.as_ref().and_then(|j| self.journal(j)));
        let scope = scope.as_ref().map_or(CAMPAIGN_SCOPE, |s| s.value.as_str());
        let is_service_account = service_account.is_some();
        let credential = CampaignCredential { client_secret: client_secret.clone(), service_account };
        let mut config = CampaignConfig::of(url?, &client_id.value, credential, is_service_account, scope);
        if let Some(url) = token_url {
            config.token_url = url?;
        }
        if let Some(api) = api {
            config.api.clone_from(&api.value);
        }
        config.link_form = link_form.unwrap_or_default();
        Some(CampaignConnection { config, sftp, journal })
    }

    fn service_account(&mut self, doc: &ServiceAccountDoc) -> ServiceAccount {
        for text in [&doc.organization_id, &doc.technical_account].into_iter().chain(doc.metascopes.iter().flatten()) {
            self.word(text);
        }
        let metascopes = match &doc.metascopes {
            Some(given) => given.iter().map(|s| s.value.clone()).collect(),
            None => vec![METASCOPE.to_owned()],
        };
        ServiceAccount {
            organization_id: doc.organization_id.value.clone(),
            technical_account: doc.technical_account.value.clone(),
            private_key: doc.private_key.clone(),
            metascopes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn an_excerpt_never_shows_what_is_written_in_place_of_a_reference() {
        let text = "a:\n  client-secret: hush # x\n  other: 1\n  client_secret: \"hüsh\"\n  password: |\n    hush\n    hush\n  b: { client-secret: hush, c: 1 }\n  client-secret: { env: NAME }\n";
        let shown = masked(text);
        assert_eq!(shown.len(), text.len());
        assert!(!shown.contains("hush") && !shown.contains("sh\""), "{shown}");
        assert!(shown.contains("{ env: NAME }") && shown.contains("other: 1"), "{shown}");
    }
}
