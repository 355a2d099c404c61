//! From the project file to clients of the services.

use crate::connect::campaign::{Campaign, CampaignConfig};
use crate::connect::dataverse::{Dataverse, DataverseConfig, entra_token_url};
use crate::connect::{Credential, Http, HttpConfig};
use crate::project::{DynamicsConnection, Project};
use crate::run::Services;
use url::Url;

/// The HTTP layer with a project's limits.
pub fn http(project: &Project) -> Result<Http, String> {
    let limits = &project.limits;
    let config = HttpConfig {
        attempts: limits.attempts,
        request_timeout: limits.request_timeout,
        concurrency_per_host: limits.concurrency.max(1),
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
    let client_secret = connection.client_secret.resolve(&project.root).map_err(|e| format!("connections.dynamics.client-secret: {e}"))?;
    dataverse_with(project, http, client_secret)
}

/// The client of Dataverse, with a credential that is at hand.
pub fn dataverse_with(project: &Project, http: Http, credential: impl Into<Credential>) -> Result<Dataverse, String> {
    let connection = project.connections.dynamics.as_ref().ok_or(NO_DYNAMICS)?;
    let config = DataverseConfig {
        url: connection.url.clone(),
        token_url: dataverse_token_url(connection)?,
        client_id: connection.client_id.clone(),
        credential: credential.into(),
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
    let client_secret = connection.client_secret.resolve(&project.root).map_err(|e| format!("connections.campaign.client-secret: {e}"))?;
    campaign_with(project, http, client_secret)
}

/// The client of Campaign, with a credential that is at hand.
pub fn campaign_with(project: &Project, http: Http, credential: impl Into<Credential>) -> Result<Campaign, String> {
    Campaign::new(http, campaign_config(project, credential)?).map_err(|e| e.to_string())
}

/// A connection to Campaign as the project describes it.
pub fn campaign_config(project: &Project, credential: impl Into<Credential>) -> Result<CampaignConfig, String> {
    let connection = project.connections.campaign.as_ref().ok_or(NO_CAMPAIGN)?;
    let defaults = CampaignConfig::new(connection.url.clone(), connection.client_id.clone(), credential, connection.scope.clone());
    Ok(CampaignConfig {
        token_url: connection.token_url.clone().unwrap_or_else(|| defaults.token_url.clone()),
        api: connection.api.clone().unwrap_or_else(|| defaults.api.clone()),
        ..defaults
    })
}

/// Both clients on one HTTP layer.
pub fn both(project: &Project) -> Result<(Http, Services), String> {
    let http = http(project)?;
    let services = Services { dataverse: dataverse(project, http.clone())?, campaign: campaign(project, http.clone())? };
    Ok((http, services))
}
