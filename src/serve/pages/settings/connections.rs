//! How the services are reached.

use super::{Row, Section, row};
use crate::connect::sftp::HostKey;
use crate::project::{
    CampaignConnection, Connections, DynamicsConnection, EntraCredential, JournalConnection, PartnerCenterConnection, RefreshTokenPlace,
    SecretRef, SftpConnection, WebhookConnection,
};

pub(super) fn sections(connections: &Connections) -> Vec<Section> {
    let missing = Some("There is no connection.");
    let section = |title, rows: Option<Vec<Row>>| {
        let note = if rows.is_some() { None } else { missing };
        Section { title, note, rows: rows.unwrap_or_default() }
    };
    vec![
        section("Connection to Dynamics 365", connections.dynamics.as_ref().map(dynamics)),
        section("Connection to Campaign", connections.campaign.as_ref().map(campaign)),
        section("Connection to Partner Center", connections.partner_center.as_ref().map(partner_center)),
    ]
}

/// A setting that is a secret: where it comes from.
pub(super) fn secret(key: impl Into<String>, place: &SecretRef) -> Row {
    row(key, format!("from {}", place.origin()))
}

fn entra(prefix: &str, credential: &EntraCredential) -> Vec<Row> {
    match credential {
        EntraCredential::Secret(place) => vec![secret(format!("{prefix}.client-secret"), place)],
        EntraCredential::Certificate { certificate, private_key, rs256 } => vec![
            row(format!("{prefix}.client-certificate.certificate"), certificate.display().to_string()),
            secret(format!("{prefix}.client-certificate.private-key"), private_key),
            row(format!("{prefix}.client-certificate.signature"), if *rs256 { "RS256" } else { "PS256" }),
        ],
    }
}

fn dynamics(connection: &DynamicsConnection) -> Vec<Row> {
    let DynamicsConnection { config, tenant, label_language, .. } = connection;
    let key = |name: &str| format!("connections.dynamics.{name}");
    let mut rows = vec![row(key("url"), config.url.as_str())];
    rows.extend(tenant.as_ref().map(|tenant| row(key("tenant"), tenant)));
    rows.push(row(key("token-url"), config.token_url.as_str()));
    rows.push(row(key("client-id"), &config.client_id));
    rows.extend(entra("connections.dynamics", &config.credential));
    rows.extend(label_language.map(|language| row(key("label-language"), language.to_string())));
    rows
}

fn campaign(connection: &CampaignConnection) -> Vec<Row> {
    let CampaignConnection { config, sftp, journal } = connection;
    let key = |name: &str| format!("connections.campaign.{name}");
    let mut rows = vec![
        row(key("url"), config.url.as_str()),
        row(key("token-url"), config.token_url.as_str()),
        row(key("client-id"), &config.client_id),
        secret(key("client-secret"), &config.credential.client_secret),
        row(key("scope"), &config.scope),
        row(key("api"), &config.api),
    ];
    if let Some(account) = &config.credential.service_account {
        rows.push(row(key("service-account.organization-id"), &account.organization_id));
        rows.push(row(key("service-account.technical-account"), &account.technical_account));
        rows.push(secret(key("service-account.private-key"), &account.private_key));
        rows.push(row(key("service-account.metascopes"), account.metascopes.join(", ")));
    }
    rows.extend(sftp.iter().flat_map(sftp_rows));
    rows.extend(journal.iter().flat_map(journal_rows));
    rows
}

fn sftp_rows(connection: &SftpConnection) -> Vec<Row> {
    let config = &connection.config;
    let key = |name: &str| format!("connections.campaign.sftp.{name}");
    let mut rows = vec![
        row(key("host"), &config.host),
        row(key("port"), config.port.to_string()),
        row(key("user"), &config.user),
        secret(key("key"), &config.key),
    ];
    rows.extend(config.passphrase.as_ref().map(|place| secret(key("passphrase"), place)));
    rows.push(match &config.host_key {
        HostKey::KnownHosts(file) => row(key("known-hosts"), file.display().to_string()),
        HostKey::Fingerprint(print) => row(key("host-key"), print),
    });
    rows.push(row(key("exports"), &config.exports));
    let files = &connection.files;
    let patterns = [
        ("deliveries.files", files.deliveries.as_ref().map(|files| &files.pattern)),
        ("tracking.files", files.tracking.as_ref().map(|files| &files.pattern)),
        ("opt-outs.files", files.opt_outs.as_ref().map(|files| &files.pattern)),
    ];
    rows.extend(patterns.into_iter().filter_map(|(name, pattern)| Some(row(key(name), pattern?))));
    rows
}

fn journal_rows(journal: &JournalConnection) -> Vec<Row> {
    let key = |name: &str| format!("connections.campaign.journal.{name}");
    vec![row(key("url"), journal.url.as_str()), row(key("ims-organization"), &journal.ims_organization)]
}

fn partner_center(connection: &PartnerCenterConnection) -> Vec<Row> {
    let config = &connection.config;
    let key = |name: &str| format!("connections.partner-center.{name}");
    let mut rows = vec![
        row(key("url"), config.url.as_str()),
        row(key("authority"), config.sign_in.authority.as_str()),
        row(key("tenant"), &config.sign_in.tenant),
        row(key("client-id"), &config.sign_in.client_id),
        row(key("require-mfa"), config.sign_in.require_mfa.to_string()),
    ];
    rows.extend(config.credential.client.iter().flat_map(|client| entra("connections.partner-center", client)));
    rows.push(match &config.credential.refresh_token {
        RefreshTokenPlace::Default => row(key("token-file"), "the file of this user that `d365map login partner-center` writes"),
        RefreshTokenPlace::File(path) => row(key("token-file"), path.display().to_string()),
        RefreshTokenPlace::Given(place) => secret(key("refresh-token"), place),
    });
    rows.extend(connection.webhook.iter().flat_map(webhook));
    rows
}

fn webhook(webhook: &WebhookConnection) -> Vec<Row> {
    let key = |name: &str| format!("connections.partner-center.webhook.{name}");
    let mut rows = Vec::new();
    rows.extend(webhook.url.as_ref().map(|url| row(key("url"), url.as_str())));
    rows.extend(webhook.listen.as_ref().map(|listen| row(key("listen"), listen.to_string())));
    rows.push(row(key("certificate-hosts"), webhook.certificate_hosts.join(", ")));
    rows.push(row(key("events"), webhook.events.join(", ")));
    rows
}
