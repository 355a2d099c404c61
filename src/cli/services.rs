//! From the project file to clients of the services.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::connect::campaign::{Campaign, CampaignConfig};
use crate::connect::dataverse::{Dataverse, DataverseConfig, entra_token_url};
use crate::connect::{AdobeServiceAccount, Budget, ClientCertificate, Credential, Http, HttpConfig, Signature};
use crate::project::{DynamicsCredential, Project};
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

/// The client of Dataverse.
pub fn dataverse(project: &Project, http: Http) -> Result<Dataverse, String> {
    let Some(connection) = &project.connections.dynamics else {
        return Err(
            "the project has no connection to Dynamics: add `connections: dynamics:` to d365map.yaml (`d365map init` writes an example)"
                .to_owned(),
        );
    };
    let token_url = match (&connection.token_url, &connection.tenant) {
        (Some(url), _) => url.clone(),
        (None, Some(tenant)) => entra_token_url(tenant).map_err(|e| e.to_string())?,
        (None, None) => return Err("connections.dynamics needs `tenant` (the directory's id), or `token-url`".to_owned()),
    };
    let credential = match &connection.credential {
        DynamicsCredential::Secret(secret) => {
            secret.resolve(&project.root).map_err(|e| format!("connections.dynamics.client-secret: {e}"))?.into()
        }
        DynamicsCredential::Certificate { certificate, private_key, rs256 } => {
            let at = "connections.dynamics.client-certificate";
            let path = project.root.join(certificate);
            let pem = std::fs::read_to_string(&path).map_err(|e| format!("{at}.certificate: {}: {e}", path.display()))?;
            let key = private_key.resolve_key(&project.root).map_err(|e| format!("{at}.private-key: {e}"))?;
            let signature = if *rs256 { Signature::Rs256 } else { Signature::Ps256 };
            Credential::Certificate(ClientCertificate::new(&pem, &key, signature).map_err(|e| format!("{at}: {e}"))?)
        }
    };
    let config = DataverseConfig { url: connection.url.clone(), token_url, client_id: connection.client_id.clone(), credential };
    Dataverse::new(http, config).map_err(|e| e.to_string())
}

/// The client of Campaign.
pub fn campaign(project: &Project, http: Http) -> Result<Campaign, String> {
    let Some(connection) = &project.connections.campaign else {
        return Err(
            "the project has no connection to Campaign: add `connections: campaign:` to d365map.yaml (`d365map init` writes an example)"
                .to_owned(),
        );
    };
    let client_secret = connection.client_secret.resolve(&project.root).map_err(|e| format!("connections.campaign.client-secret: {e}"))?;
    let credential = match &connection.service_account {
        None => Credential::Secret(client_secret),
        Some(account) => {
            let at = "connections.campaign.service-account";
            let key = account.private_key.resolve_key(&project.root).map_err(|e| format!("{at}.private-key: {e}"))?;
            let (organization, technical) = (account.organization_id.as_str(), account.technical_account.as_str());
            let account = AdobeServiceAccount::new(client_secret, organization, technical, account.metascopes.clone(), &key);
            Credential::AdobeJwt(account.map_err(|e| format!("{at}: {e}"))?)
        }
    };
    let defaults = CampaignConfig::new(connection.url.clone(), connection.client_id.clone(), credential, connection.scope.clone());
    let config = CampaignConfig {
        token_url: connection.token_url.clone().unwrap_or_else(|| defaults.token_url.clone()),
        api: connection.api.clone().unwrap_or_else(|| defaults.api.clone()),
        ..defaults
    };
    Campaign::new(http, config).map_err(|e| e.to_string())
}

/// Both clients on one HTTP layer.
pub fn both(project: &Project) -> Result<(Http, Services), String> {
    let http = http(project)?;
    let services = Services { dataverse: dataverse(project, http.clone())?, campaign: campaign(project, http.clone())? };
    Ok((http, services))
}
