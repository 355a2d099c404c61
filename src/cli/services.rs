//! From the project file to clients of the services.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use secrecy::SecretString;
use url::Url;

use crate::connect::campaign::{Campaign, CampaignConfig};
use crate::connect::dataverse::{Dataverse, DataverseConfig, entra_token_url};
use crate::connect::sftp::{HostKey, SftpConfig};
use crate::connect::{AdobeServiceAccount, Budget, ClientCertificate, Credential, Http, HttpConfig, Signature};
use crate::project::{CampaignConnection, DynamicsConnection, DynamicsCredential, Project, SftpConnection, SftpHostKey};
use crate::run::Services;

/// The HTTP layer with a project's limits.
pub fn http(project: &Project) -> Result<Http, String> {
    let limits = &project.limits;
    let (second, day) = (limits.requests_per_second, limits.requests_per_day);
    let budget =
        |second: Option<u32>, day: Option<u64>| Budget { per_second: second.and_then(NonZeroU32::new), per_day: day, spent_today: 0 };
    let budgets =
        BTreeMap::from([("dataverse", budget(second.dynamics, day.dynamics)), ("campaign", budget(second.campaign, day.campaign))]);
    let config = HttpConfig {
        attempts: limits.attempts,
        request_timeout: limits.request_timeout,
        concurrency_per_host: limits.concurrency.max(1),
        budgets,
        ..HttpConfig::default()
    };
    Http::new(config).map_err(|e| e.to_string())
}

const NO_DYNAMICS: &str =
    "the project has no connection to Dynamics: add `connections: dynamics:` to d365map.yaml (`d365map init` writes an example)";
const NO_CAMPAIGN: &str =
    "the project has no connection to Campaign: add `connections: campaign:` to d365map.yaml (`d365map init` writes an example)";

/// The client of Dataverse.
pub fn dataverse(project: &Project, http: Http) -> Result<Dataverse, String> {
    let connection = project.connections.dynamics.as_ref().ok_or(NO_DYNAMICS)?;
    let credential = match &connection.credential {
        DynamicsCredential::Secret(secret) => {
            secret.resolve(&project.root).map_err(|e| format!("connections.dynamics.client-secret: {e}"))?.into()
        }
        DynamicsCredential::Certificate { certificate, private_key, rs256 } => {
            let at = "connections.dynamics.client-certificate";
            let key = private_key.resolve_key(&project.root).map_err(|e| format!("{at}.private-key: {e}"))?;
            Credential::Certificate(client_certificate(&project.root.join(certificate), &key, *rs256).map_err(|e| format!("{at}: {e}"))?)
        }
    };
    dataverse_with(project, http, credential)
}

/// A certificate with its private key that is at hand.
pub fn client_certificate(certificate: &Path, key: &SecretString, rs256: bool) -> Result<ClientCertificate, String> {
    let pem = std::fs::read_to_string(certificate).map_err(|e| format!("the certificate {}: {e}", certificate.display()))?;
    let signature = if rs256 { Signature::Rs256 } else { Signature::Ps256 };
    ClientCertificate::new(&pem, key, signature).map_err(|e| e.to_string())
}

/// The client of Dataverse, with a credential that is at hand.
pub fn dataverse_with(project: &Project, http: Http, credential: Credential) -> Result<Dataverse, String> {
    let connection = project.connections.dynamics.as_ref().ok_or(NO_DYNAMICS)?;
    let config = DataverseConfig {
        url: connection.url.clone(),
        token_url: dataverse_token_url(connection)?,
        client_id: connection.client_id.clone(),
        credential,
    };
    Dataverse::new(http, config).map_err(|e| e.to_string())
}

/// Where Dataverse's tokens come from.
pub fn dataverse_token_url(connection: &DynamicsConnection) -> Result<Url, String> {
    match (&connection.token_url, &connection.tenant) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(tenant)) => entra_token_url(tenant).map_err(|e| e.to_string()),
        (None, None) => Err("connections.dynamics needs `tenant` (the directory's id), or `token-url`".to_owned()),
    }
}

/// The client of Campaign.
pub fn campaign(project: &Project, http: Http) -> Result<Campaign, String> {
    let connection = project.connections.campaign.as_ref().ok_or(NO_CAMPAIGN)?;
    let secret = connection.client_secret.resolve(&project.root).map_err(|e| format!("connections.campaign.client-secret: {e}"))?;
    let key = match &connection.service_account {
        None => None,
        Some(account) => {
            let key = account.private_key.resolve_key(&project.root);
            Some(key.map_err(|e| format!("connections.campaign.service-account.private-key: {e}"))?)
        }
    };
    Campaign::new(http, campaign_config(connection, campaign_credential(connection, secret, key.as_ref())?)).map_err(|e| e.to_string())
}

/// The credential of Campaign, of secrets that are at hand; `key` is the service account's where there is one.
pub fn campaign_credential(
    connection: &CampaignConnection,
    secret: SecretString,
    key: Option<&SecretString>,
) -> Result<Credential, String> {
    let (Some(account), Some(key)) = (&connection.service_account, key) else { return Ok(Credential::Secret(secret)) };
    let (organization, technical) = (account.organization_id.as_str(), account.technical_account.as_str());
    let account = AdobeServiceAccount::new(secret, organization, technical, account.metascopes.clone(), key);
    Ok(Credential::AdobeJwt(account.map_err(|e| format!("connections.campaign.service-account: {e}"))?))
}

/// A connection to Campaign as the project describes it.
pub fn campaign_config(connection: &CampaignConnection, credential: Credential) -> CampaignConfig {
    let defaults = CampaignConfig::new(connection.url.clone(), connection.client_id.clone(), credential, connection.scope.clone());
    CampaignConfig {
        token_url: connection.token_url.clone().unwrap_or_else(|| defaults.token_url.clone()),
        api: connection.api.clone().unwrap_or_else(|| defaults.api.clone()),
        ..defaults
    }
}

/// Both clients on one HTTP layer.
pub fn both(project: &Project) -> Result<(Http, Services), String> {
    let http = http(project)?;
    let services = Services { dataverse: dataverse(project, http.clone())?, campaign: campaign(project, http.clone())? };
    Ok((http, services))
}

/// A connection to the SFTP server as the project describes it, with a key that is at hand.
pub fn sftp_config(project: &Project, connection: &SftpConnection, key: SecretString, passphrase: Option<SecretString>) -> SftpConfig {
    let host_key = match &connection.host_key {
        SftpHostKey::KnownHosts(file) => HostKey::KnownHosts(project.root.join(file)),
        SftpHostKey::Fingerprint(print) => HostKey::Fingerprint(print.clone()),
    };
    let limits = &project.limits;
    SftpConfig {
        port: connection.port,
        passphrase,
        exports: connection.exports.clone(),
        logs: connection.logs.clone(),
        request_timeout: limits.request_timeout,
        attempts: limits.attempts,
        ..SftpConfig::new(connection.host.clone(), connection.user.clone(), key, host_key)
    }
}
