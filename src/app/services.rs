//! From the project file to clients of the services.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::{BaseStrategy, choose_base_strategy};
use secrecy::SecretString;

use crate::connect::journal::{Journal, JournalConfig};
use crate::connect::sftp::{HostKey, Sftp, SftpConfig, SftpError};
use crate::connect::{
    AdobeServiceAccount, Budget, ClientCertificate, ConnectError, Credential, DelegatedCredential, Http, HttpConfig, RefreshToken,
    RequestLifetime, Signature,
};
use crate::plan::ExecutionPlan;
use crate::project::{
    CampaignConnection, EntraCredential, PartnerCenterConnection, Project, RefreshTokenPlace, SecretError, SecretRef, SftpConnection,
};
use crate::run::Services;
use crate::store::{StoreError, Stores, Usage};
use crate::system::SystemId;
use crate::systems::Systems;
use crate::systems::campaign::Campaign;
use crate::systems::dataverse::Dataverse;
use crate::systems::partner_center::{PartnerCenter, PartnerCenterConfig};
use crate::time;

/// How often the day's number of requests is written to the state.
const NOTED_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// The HTTP layer with a project's limits, for questions about tables and set-ups: these are few, and the day's budget, which is
/// for records, does not bind them.
pub fn http(project: &Project) -> Result<Http, ServiceError> {
    layer(project, None)
}

/// The HTTP layer with a project's limits; `spent` is what each API was sent on this day, where the day's budget binds.
fn layer(project: &Project, spent: Option<&BTreeMap<String, u64>>) -> Result<Http, ServiceError> {
    let limits = &project.limits;
    let budget = |system: SystemId| Budget {
        per_second: limits.requests_per_second.get(&system).copied().and_then(NonZeroU32::new),
        per_day: limits.requests_per_day.get(&system).copied().filter(|_| spent.is_some()),
        spent_today: spent.and_then(|s| s.get(system.api())).copied().unwrap_or_default(),
    };
    let budgets = SystemId::ALL.map(|system| (system.api(), budget(system))).into();
    let config = HttpConfig {
        attempts: limits.attempts,
        request_timeout: limits.request_timeout,
        request_lifetime: RequestLifetime::of(limits.request_timeout),
        concurrency_per_host: limits.concurrency.max(1),
        budgets,
        ..HttpConfig::default()
    };
    Ok(Http::new(config)?)
}

/// Why no client of a service could be made.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The project does not say how Dynamics 365 is reached.
    #[error("the project has no connection to Dynamics: add `connections: dynamics:` to d365map.yaml (`d365map init` writes an example)")]
    NoDynamics,
    /// The project does not say how Campaign is reached.
    #[error("the project has no connection to Campaign: add `connections: campaign:` to d365map.yaml (`d365map init` writes an example)")]
    NoCampaign,
    /// The project does not say how Partner Center is reached.
    #[error("the project has no connection to Partner Center: add `connections: partner-center:` to d365map.yaml")]
    NoPartnerCenter,
    /// The user has no folder for a token file.
    #[error("the home folder of this user is not known: set HOME, or name a file as `token-file` of the connection partner-center")]
    NoHome,
    /// A secret could not be fetched.
    #[error("{at}: {source}")]
    Secret {
        /// The key of the project file.
        at: &'static str,
        /// Why.
        source: SecretError,
    },
    /// The client certificate cannot be used.
    #[error("{at}: {source}")]
    Certificate {
        /// The key of the project file.
        at: &'static str,
        /// Why.
        source: CertificateError,
    },
    /// A credential cannot be used.
    #[error("{at}: {source}")]
    Credential {
        /// The key of the project file.
        at: &'static str,
        /// Why.
        source: ConnectError,
    },
    /// A client refuses its configuration.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The client of the SFTP server refuses its configuration.
    #[error(transparent)]
    Sftp(#[from] SftpError),
}

impl ServiceError {
    /// What is wrong, and the fix if it is known apart.
    pub fn parts(&self) -> (String, Option<String>) {
        match self {
            ServiceError::Credential { at, source: ConnectError::Config { problem, remedy } } => {
                (format!("{at}: {problem}"), Some(remedy.clone()))
            }
            ServiceError::Connect(ConnectError::Config { problem, remedy }) => (problem.clone(), Some(remedy.clone())),
            other => (other.to_string(), None),
        }
    }
}

/// Why a client certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Its file cannot be read.
    #[error("the certificate {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is not a certificate, or not that of the key.
    #[error(transparent)]
    Unusable(#[from] ConnectError),
}

impl CertificateError {
    /// What is wrong, and the fix if it is known apart.
    pub fn parts(&self) -> (String, Option<String>) {
        match self {
            CertificateError::Unusable(ConnectError::Config { problem, remedy }) => (problem.clone(), Some(remedy.clone())),
            other => (other.to_string(), None),
        }
    }
}

/// The client of Dataverse.
pub fn dataverse(project: &Project, http: Http) -> Result<Dataverse, ServiceError> {
    let connection = project.connections.dynamics.as_ref().ok_or(ServiceError::NoDynamics)?;
    let credential = entra_credential(project, &connection.config.credential, &DYNAMICS_KEYS)?;
    dataverse_with(project, http, credential)
}

/// The keys of a connection's credential in the project file.
struct CredentialKeys {
    shared: &'static str,
    certificate: &'static str,
    key: &'static str,
}

const DYNAMICS_KEYS: CredentialKeys = CredentialKeys {
    shared: "connections.dynamics.client-secret",
    certificate: "connections.dynamics.client-certificate",
    key: "connections.dynamics.client-certificate.private-key",
};

const PARTNER_CENTER_KEYS: CredentialKeys = CredentialKeys {
    shared: "connections.partner-center.client-secret",
    certificate: "connections.partner-center.client-certificate",
    key: "connections.partner-center.client-certificate.private-key",
};

/// The credential of an app registration, with its secrets fetched.
fn entra_credential(project: &Project, credential: &EntraCredential, keys: &CredentialKeys) -> Result<Credential, ServiceError> {
    match credential {
        EntraCredential::Secret(secret) => Ok(secret.resolve(&project.root).map_err(at_key(keys.shared))?.into()),
        EntraCredential::Certificate { certificate, private_key, rs256 } => {
            let key = private_key.resolve_key(&project.root).map_err(at_key(keys.key))?;
            let wrong = |source| ServiceError::Certificate { at: keys.certificate, source };
            Ok(Credential::Certificate(client_certificate(&project.root.join(certificate), &key, *rs256).map_err(wrong)?))
        }
    }
}

/// The connection to Partner Center, with its secrets fetched. Whether somebody has signed in is not looked at.
pub fn partner_center(project: &Project) -> Result<PartnerCenterConfig, ServiceError> {
    let connection = project.connections.partner_center.as_ref().ok_or(ServiceError::NoPartnerCenter)?;
    let kept = &connection.config.credential;
    let client = kept.client.as_ref().map(|client| entra_credential(project, client, &PARTNER_CENTER_KEYS)).transpose()?;
    let refresh = match &kept.refresh_token {
        RefreshTokenPlace::Given(reference) => given_refresh_token(project, reference)?,
        RefreshTokenPlace::Default | RefreshTokenPlace::File(_) => RefreshToken::File(token_file(project, connection)?),
    };
    Ok(connection.config.with_credential(DelegatedCredential { client, refresh }))
}

fn given_refresh_token(project: &Project, reference: &SecretRef) -> Result<RefreshToken, ServiceError> {
    let token = reference.resolve(&project.root).map_err(at_key("connections.partner-center.refresh-token"))?;
    Ok(RefreshToken::Given(token))
}

/// The file in which the sign-in to Partner Center is kept. The default is in the state directory of the user, a file for each app and
/// directory: projects that use the same app share one sign-in.
pub fn token_file(project: &Project, connection: &PartnerCenterConnection) -> Result<PathBuf, ServiceError> {
    if let RefreshTokenPlace::File(path) = &connection.config.credential.refresh_token {
        return Ok(project.root.join(path));
    }
    let strategy = choose_base_strategy().map_err(|_| ServiceError::NoHome)?;
    let folder = strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("d365map").join("partner-center");
    let sign_in = &connection.config.sign_in;
    let port = sign_in.authority.port().map_or(String::new(), |port| format!("-{port}"));
    let host = match sign_in.authority.host_str() {
        Some("login.microsoftonline.com") | None => String::new(),
        Some(host) => format!("{host}{port}-"),
    };
    let name: String = format!("{host}{}-{}.json", sign_in.tenant, sign_in.client_id)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' })
        .collect();
    Ok(folder.join(name))
}

/// A certificate with its private key that is at hand.
pub fn client_certificate(certificate: &Path, key: &SecretString, rs256: bool) -> Result<ClientCertificate, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable { path: certificate.to_path_buf(), source };
    let pem = crate::disk::read_text(certificate, crate::disk::SMALL).map_err(unreadable)?;
    let signature = if rs256 { Signature::Rs256 } else { Signature::Ps256 };
    Ok(ClientCertificate::new(&pem, key, signature)?)
}

/// The client of Dataverse, with a credential that is at hand.
pub fn dataverse_with(project: &Project, http: Http, credential: Credential) -> Result<Dataverse, ServiceError> {
    let connection = project.connections.dynamics.as_ref().ok_or(ServiceError::NoDynamics)?;
    Ok(Dataverse::new(http, connection.config.with_credential(credential))?)
}

/// The client of Campaign.
pub fn campaign(project: &Project, http: Http) -> Result<Campaign, ServiceError> {
    let connection = project.connections.campaign.as_ref().ok_or(ServiceError::NoCampaign)?;
    Ok(Campaign::new(http, connection.config.with_credential(fetched_credential(project, connection)?))?)
}

/// The credential of Campaign, with its secrets fetched.
fn fetched_credential(project: &Project, connection: &CampaignConnection) -> Result<Credential, ServiceError> {
    let secret = connection.config.credential.client_secret.resolve(&project.root).map_err(at_key("connections.campaign.client-secret"))?;
    let account = connection.config.credential.service_account.as_ref();
    let key = account.map(|account| account.private_key.resolve_key(&project.root)).transpose();
    let key = key.map_err(at_key("connections.campaign.service-account.private-key"))?;
    campaign_credential(connection, secret, key.as_ref())
}

fn at_key(at: &'static str) -> impl Fn(SecretError) -> ServiceError {
    move |source| ServiceError::Secret { at, source }
}

/// The credential of Campaign, of secrets that are at hand; `key` is the service account's where there is one.
pub fn campaign_credential(
    connection: &CampaignConnection,
    secret: SecretString,
    key: Option<&SecretString>,
) -> Result<Credential, ServiceError> {
    let (Some(account), Some(key)) = (&connection.config.credential.service_account, key) else { return Ok(Credential::Secret(secret)) };
    let (organization, technical) = (account.organization_id.as_str(), account.technical_account.as_str());
    let account = AdobeServiceAccount::new(secret, organization, technical, account.metascopes.clone(), key);
    Ok(Credential::AdobeJwt(account.map_err(|source| ServiceError::Credential { at: "connections.campaign.service-account", source })?))
}

/// What each API was sent on this day.
///
/// # Errors
/// The store cannot be read.
pub async fn spent_today(stores: &Stores) -> Result<BTreeMap<String, u64>, StoreError> {
    stores.usage.usage(time::day_number(time::now())).await
}

/// All that a plan's flows talk to, on one HTTP layer. `mappings`: the flows that will run; `None` for all of the plan. `spent`: what each
/// API was sent on this day; without it, the day's budget is not used up by earlier runs.
pub fn of_plan(
    project: &Project,
    plan: &ExecutionPlan,
    mappings: Option<&[String]>,
    spent: Option<&BTreeMap<String, u64>>,
) -> Result<(Http, Services), ServiceError> {
    let http = layer(project, Some(spent.unwrap_or(&BTreeMap::new())))?;
    // Secrets are fetched for what will be called, and for nothing else.
    let reads_exports = !plan.optouts.is_empty() || !plan.events.is_empty();
    let needs_campaign = reads_exports || !plan.ingress.is_empty() || plan.two_way.is_empty();
    let mut systems = Systems::default();
    if needs_campaign {
        systems = systems.with(SystemId::Campaign, campaign(project, http.clone())?);
    }
    let mut services = Services {
        exports: if reads_exports { exports(project)? } else { None },
        journal: if plan.events.is_empty() { None } else { journal(project, http.clone())? },
        files: project.connections.campaign.as_ref().and_then(|c| c.sftp.as_ref()).map(|s| s.files.clone()).unwrap_or_default(),
        ..Services::new(systems.with(SystemId::D365, dataverse(project, http.clone())?))
    };
    if plan.two_way.iter().any(|flow| mappings.is_none_or(|wanted| wanted.contains(&flow.name))) {
        services = with_partner_center(project, http.clone(), services)?;
    }
    Ok((http, services))
}

/// Services with Campaign among the systems.
pub fn with_campaign(project: &Project, http: Http, services: Services) -> Result<Services, ServiceError> {
    let client = campaign(project, http)?;
    Ok(Services { systems: services.systems.with(SystemId::Campaign, client), ..services })
}

/// Services with Partner Center among the systems.
pub fn with_partner_center(project: &Project, http: Http, services: Services) -> Result<Services, ServiceError> {
    let client = PartnerCenter::of(http, &partner_center(project)?)?;
    Ok(Services { systems: services.systems.with(SystemId::Partner, client), ..services })
}

/// The journal of events, where the project has one.
pub fn journal(project: &Project, http: Http) -> Result<Option<Journal>, ServiceError> {
    let Some(connection) = &project.connections.campaign else { return Ok(None) };
    let Some(given) = &connection.journal else { return Ok(None) };
    let campaign = connection.config.with_credential(fetched_credential(project, connection)?);
    let config = JournalConfig {
        url: given.url.clone(),
        token_url: campaign.token_url,
        client_id: campaign.client_id,
        credential: campaign.credential,
        scope: given.scope.clone().unwrap_or(campaign.scope),
        ims_organization: given.ims_organization.clone(),
        fields: given.fields.clone(),
    };
    Ok(Some(Journal::new(http, config)?))
}

/// The SFTP server of Campaign's exports, where the project has one.
pub fn exports(project: &Project) -> Result<Option<Sftp>, ServiceError> {
    let Some(connection) = project.connections.campaign.as_ref().and_then(|c| c.sftp.as_ref()) else { return Ok(None) };
    let key = connection.config.key.resolve_key(&project.root).map_err(at_key("connections.campaign.sftp.key"))?;
    let passphrase = connection.config.passphrase.as_ref().map(|p| p.resolve(&project.root)).transpose();
    let passphrase = passphrase.map_err(at_key("connections.campaign.sftp.passphrase"))?;
    Ok(Some(Sftp::new(sftp_config(project, connection, key, passphrase))?))
}

/// Stores what the APIs were sent, now and then and at the end, so that the day's next run knows of it. A process that is killed forgets
/// a few seconds' worth.
pub struct UsageLog {
    usage: Arc<dyn Usage>,
    http: Http,
    task: tokio::task::JoinHandle<()>,
}

impl UsageLog {
    /// Begins; must be called within a runtime.
    pub fn start(usage: Arc<dyn Usage>, http: Http) -> UsageLog {
        let (kept, counted) = (usage.clone(), http.clone());
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(NOTED_EVERY).await;
                note(&*kept, &counted).await;
            }
        });
        UsageLog { usage, http, task }
    }

    /// Stores what was sent up to now, and ends.
    pub async fn end(self) {
        self.task.abort();
        note(&*self.usage, &self.http).await;
    }
}

async fn note(usage: &dyn Usage, http: &Http) {
    let spent: Vec<_> = http.spent().into_iter().map(|(api, day, spent)| (api.to_owned(), day, spent)).collect();
    if let Err(error) = usage.note_usage(&spent).await {
        tracing::warn!(%error, "the number of requests of the day was not stored");
    }
}

/// A connection to the SFTP server as the project describes it, with a key that is at hand.
pub fn sftp_config(project: &Project, connection: &SftpConnection, key: SecretString, passphrase: Option<SecretString>) -> SftpConfig {
    let host_key = match &connection.config.host_key {
        HostKey::KnownHosts(file) => HostKey::KnownHosts(project.root.join(file)),
        HostKey::Fingerprint(print) => HostKey::Fingerprint(print.clone()),
    };
    let (request_timeout, attempts) = (project.limits.request_timeout, project.limits.attempts);
    SftpConfig { host_key, request_timeout, attempts, ..connection.config.with_secrets(key, passphrase) }
}
