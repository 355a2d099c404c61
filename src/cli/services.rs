//! From the project file to clients of the services.

use crate::connect::campaign::{Campaign, CampaignConfig};
use crate::connect::dataverse::{Dataverse, DataverseConfig, entra_token_url};
use crate::connect::{Http, HttpConfig};
use crate::project::Project;
use crate::run::Services;

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
    let client_secret = connection.client_secret.resolve(&project.root).map_err(|e| format!("connections.dynamics.client-secret: {e}"))?;
    let config = DataverseConfig {
        url: connection.url.clone(),
        token_url,
        client_id: connection.client_id.clone(),
        credential: client_secret.into(),
    };
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
    let defaults = CampaignConfig::new(connection.url.clone(), connection.client_id.clone(), client_secret, connection.scope.clone());
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
