//! The section `serve`: where the pages and the API of `d365map serve` are, and who may use them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::reader::Reader;
use crate::yaml::Spanned;

/// Where `serve` listens, if the file does not say.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8070);
/// What is asked for at a service to sign in with: an id token, with the person's name.
const SCOPES: [&str; 2] = ["openid", "profile"];
/// The claim with the roles of an app registration in Entra ID.
const ROLES_CLAIM: &str = "roles";
/// The claim that people know themselves by (OpenID Connect Core 1.0, 5.1).
const NAME_CLAIM: &str = "preferred_username";
/// Entra ID's names for several directories at once, whose tokens have other issuers.
const SEVERAL_DIRECTORIES: [&str; 3] = ["common", "organizations", "consumers"];

/// What a person or a client may do. A later one may do all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything but personal data.
    Viewer,
    /// Also sees personal data, and starts, stops, repeats, retries and approves.
    Operator,
    /// Also edits mapping files, forgets persons, and reads the audit log.
    Admin,
}

impl Role {
    /// All roles, the one with the fewest rights first.
    #[cfg(any(test, feature = "internals"))]
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The role as it is written in project files.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// Where the pages and the API of a project are, and who may use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeSettings {
    /// Where this machine listens.
    pub listen: SocketAddr,
    /// The address that people use, if it is not that of `listen`.
    pub public_url: Option<Url>,
    /// The certificate, if `serve` speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// Whether a proxy in front of `serve` speaks TLS.
    pub behind_proxy: bool,
    /// Whether mapping files may be changed in the browser.
    pub edit: bool,
    /// The service to sign in with.
    pub sign_in: Option<SignInSettings>,
    /// Programs that use the API.
    pub clients: Vec<ClientSettings>,
}

impl Default for ServeSettings {
    fn default() -> ServeSettings {
        ServeSettings { listen: LISTEN, public_url: None, tls: None, behind_proxy: false, edit: false, sign_in: None, clients: Vec::new() }
    }
}

/// The certificate of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those between it and a root, PEM, relative to the project's folder.
    pub certificate: PathBuf,
    /// Where the private key is kept, PEM.
    pub key: SecretRef,
}

/// A service to sign in with: an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInSettings {
    /// Its issuer: the address below which its configuration is found.
    pub issuer: Url,
    /// The id of d365map there.
    pub client_id: String,
    /// Where the secret is kept; a public client has none.
    pub client_secret: Option<SecretRef>,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// The claim with roles or groups, with dots for nested ones.
    pub roles_claim: String,
    /// The claim with the person's name.
    pub name_claim: String,
    /// The values of the claim for each role.
    pub roles: Vec<(Role, Vec<String>)>,
}

/// A program that uses the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Its name, for the audit log.
    pub name: String,
    /// Where its token is kept.
    pub token: SecretRef,
    /// What it may do.
    pub role: Role,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct ServeDoc {
    /// The address and port on which this machine serves pages and API. Default: 127.0.0.1:8070, for this machine alone.
    listen: Option<Spanned<String>>,
    /// The address that people and programs use, such as https://sync.contoso.com. Required with `sign-in`.
    public_url: Option<Spanned<String>>,
    /// The certificate, if d365map speaks TLS itself.
    tls: Option<TlsDoc>,
    /// Whether a proxy in front of d365map speaks TLS and adds X-Forwarded-For. Default: false.
    behind_proxy: Option<bool>,
    /// Whether administrators may change mapping files in the browser. Default: false.
    edit: Option<bool>,
    /// The service to sign in with (OpenID Connect), such as Entra ID. Required beyond this machine.
    sign_in: Option<Spanned<SignInDoc>>,
    /// Programs that use the API.
    clients: Option<Vec<ClientDoc>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TlsDoc {
    /// The file of the certificate and those between it and a root (PEM), relative to this file.
    certificate: Spanned<String>,
    /// Where the private key is kept (PEM).
    key: SecretRef,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SignInDoc {
    /// The issuer, such as https://login.microsoftonline.com/TENANT-ID/v2.0.
    issuer: Spanned<String>,
    /// The id of the application that is registered there.
    client_id: Spanned<String>,
    /// Where the client secret is kept. A public client has none.
    client_secret: Option<SecretRef>,
    /// The scopes. Default: openid and profile.
    scopes: Option<Vec<Spanned<String>>>,
    /// The claim with roles or groups, with dots for nested ones. Default: roles, the app roles of Entra ID.
    roles_claim: Option<Spanned<String>>,
    /// The claim with the person's name. Default: preferred_username.
    name_claim: Option<Spanned<String>>,
    /// Values of the claim that make a viewer.
    viewer: Option<Vec<Spanned<String>>>,
    /// Values of the claim that make an operator.
    operator: Option<Vec<Spanned<String>>>,
    /// Values of the claim that make an administrator.
    admin: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClientDoc {
    /// A name for the audit log.
    name: Spanned<String>,
    /// Where the token is kept: at least 32 characters.
    token: SecretRef,
    /// What the client may do.
    role: Role,
}

impl Reader<'_> {
    pub(super) fn serve(&mut self, doc: &ServeDoc) -> ServeSettings {
        let behind_proxy = doc.behind_proxy.unwrap_or(false);
        let settings = ServeSettings {
            listen: doc.listen.as_ref().and_then(|given| self.listen(given)).unwrap_or(LISTEN),
            public_url: doc.public_url.as_ref().and_then(|given| self.public_url(given)),
            tls: doc.tls.as_ref().map(|tls| self.tls(tls)),
            behind_proxy,
            edit: doc.edit.unwrap_or(false),
            sign_in: doc.sign_in.as_ref().and_then(|given| self.sign_in_service(&given.value)),
            clients: self.clients(doc.clients.as_deref().unwrap_or_default()),
        };
        let beyond = !settings.listen.ip().to_canonical().is_loopback();
        if let Some(listen) = &doc.listen
            && beyond
        {
            if doc.tls.is_none() && !behind_proxy {
                self.problem(
                    &listen.span,
                    "other machines can reach this address, and everything would be sent unencrypted",
                    "not an address of this machine alone",
                    "write `127.0.0.1:8070`, add `tls:` with `certificate` and `key`, or write `behind-proxy: true` if a proxy speaks https",
                );
            }
            if doc.sign_in.is_none() {
                self.problem(
                    &listen.span,
                    "other machines can reach this address, but no service to sign in with is configured",
                    "`sign-in` is missing",
                    "add `sign-in:` with `issuer` and `client-id`; the link on the terminal works on this machine only",
                );
            }
        }
        if let Some(sign_in) = &doc.sign_in
            && doc.public_url.is_none()
        {
            self.problem(
                &sign_in.value.issuer.span,
                "the service does not know where to send people back to",
                "`public-url` is missing",
                "add `public-url: https://…`, and register that address with `/sign-in/callback` at the service",
            );
        }
        settings
    }

    fn public_url(&mut self, given: &Spanned<String>) -> Option<Url> {
        let url = self.url(given)?;
        if url.path() != "/" {
            self.problem(
                &given.span,
                "the pages cannot be below a path",
                "has a path",
                format!("write `{}`", url.origin().ascii_serialization()),
            );
        }
        Some(url)
    }

    fn tls(&mut self, doc: &TlsDoc) -> TlsFiles {
        self.word(&doc.certificate);
        TlsFiles { certificate: PathBuf::from(doc.certificate.value.trim()), key: doc.key.clone() }
    }

    fn sign_in_service(&mut self, doc: &SignInDoc) -> Option<SignInSettings> {
        let SignInDoc { issuer: address, client_id, client_secret, scopes, roles_claim, name_claim, viewer, operator, admin } = doc;
        for text in [Some(client_id), roles_claim.as_ref(), name_claim.as_ref()].into_iter().flatten() {
            self.word(text);
        }
        let issuer = self.url(address);
        let directory = issuer.as_ref().and_then(|url| url.path_segments()?.next());
        if directory.is_some_and(|name| SEVERAL_DIRECTORIES.contains(&name)) {
            self.problem(
                &address.span,
                "this issuer is not one directory, so people of any organization could sign in",
                "not a directory",
                "write the id of your directory: `https://login.microsoftonline.com/TENANT-ID/v2.0`",
            );
        }
        if let Some(scopes) = scopes
            && !scopes.iter().any(|scope| scope.value == "openid")
        {
            let place = scopes.first().map_or(&client_id.span, |scope| &scope.span);
            self.problem(place, "the scope `openid` is missing", "without `openid`", "add `openid`; without it there is no id token");
        }
        let lists = [(Role::Viewer, viewer), (Role::Operator, operator), (Role::Admin, admin)];
        let roles = lists.map(|(role, values)| (role, self.words(values.as_deref().unwrap_or_default())));
        if roles.iter().all(|(_, values)| values.is_empty()) {
            self.problem(
                &client_id.span,
                "no value of a claim gives a role, so no person could do anything",
                "neither `viewer` nor `operator` nor `admin`",
                "add `admin: [VALUE]` with a role or a group, as it is in the claim",
            );
        }
        let text = |given: &Option<Spanned<String>>, default: &str| given.as_ref().map_or(default, |given| given.value.trim()).to_owned();
        Some(SignInSettings {
            issuer: issuer?,
            client_id: client_id.value.trim().to_owned(),
            client_secret: client_secret.clone(),
            scopes: scopes.as_ref().map_or_else(|| SCOPES.map(str::to_owned).to_vec(), |given| self.words(given)),
            roles_claim: text(roles_claim, ROLES_CLAIM),
            name_claim: text(name_claim, NAME_CLAIM),
            roles: roles.to_vec(),
        })
    }

    fn clients(&mut self, docs: &[ClientDoc]) -> Vec<ClientSettings> {
        for (n, doc) in docs.iter().enumerate() {
            self.word(&doc.name);
            if docs.iter().take(n).any(|other| other.name.value == doc.name.value) {
                self.problem(
                    &doc.name.span,
                    "two clients have the same name",
                    "repeated",
                    "give each client its own name, for the audit log",
                );
            }
        }
        let client = |doc: &ClientDoc| ClientSettings { name: doc.name.value.trim().to_owned(), token: doc.token.clone(), role: doc.role };
        docs.iter().map(client).collect()
    }
}
