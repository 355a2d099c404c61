//! How a project reaches the emulators: the lines of the project file that `emulate` prints, and that `init --emulated` and `demo`
//! write.

use std::path::Path;

use crate::disk;
use crate::project::Project;
use d365map_emulator::{self as emulator, Addresses};

/// The ports of a project that `init --emulated` makes; the examples use them too. They lie below the ranges from which systems
/// give free ports away.
pub const PORTS: Ports = Ports { dataverse: 8365, campaign: 8366, journal: 8367 };

/// The ports at which a project expects the emulators; 0 if it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    pub dataverse: u16,
    pub campaign: u16,
    pub journal: u16,
}

impl Ports {
    /// The ports of a project's connections, as far as they lead to this machine.
    pub fn of(project: &Project) -> Ports {
        let port = |url: Option<&url::Url>| {
            let here = url.filter(|url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")));
            here.and_then(url::Url::port).unwrap_or(0)
        };
        let connections = &project.connections;
        let campaign = connections.campaign.as_ref();
        Ports {
            dataverse: port(connections.dynamics.as_ref().map(|c| &c.config.url)),
            campaign: port(campaign.map(|c| &c.config.url)),
            journal: port(campaign.and_then(|c| c.journal.as_ref()).map(|j| &j.url)),
        }
    }

    pub fn addresses(self) -> Addresses {
        Addresses::new(self.dataverse, self.campaign, self.journal)
    }
}

/// Where a project keeps the secrets of both services: the references as a project file has them.
#[derive(Clone, Copy, Debug)]
pub struct References {
    pub dynamics: &'static str,
    pub campaign: &'static str,
}

/// Secrets in the environment, as the emulators print them.
pub const IN_ENVIRONMENT: References =
    References { dynamics: "{ env: D365MAP_DYNAMICS_SECRET }", campaign: "{ env: D365MAP_CAMPAIGN_SECRET }" };

/// Secrets in files, which [`write_secrets`] writes.
pub const IN_FILES: References = References { dynamics: "{ file: secrets/dynamics }", campaign: "{ file: secrets/campaign }" };

/// The section `connections` of a project file for the emulators at these addresses, with a line feed at its end.
pub fn connections(at: &Addresses, secrets: References) -> String {
    let credentials = emulator::credentials();
    format!(
        "connections:
  dynamics:
    url: {}
    token-url: {}
    client-id: {}
    client-secret: {}
  campaign:
    url: {}
    token-url: {}
    client-id: {}
    client-secret: {}
    scope: {}
    journal:
      url: {}
      ims-organization: {}
",
        at.dataverse_url(),
        at.dataverse_token_url(),
        credentials.dataverse.id,
        secrets.dynamics,
        at.campaign_url(),
        at.campaign_token_url(),
        credentials.campaign.id,
        secrets.campaign,
        credentials.campaign_scope,
        at.journal_url(),
        credentials.campaign_account.organization,
    )
}

/// The lines of the connection to Partner Center below [`connections`], if the emulators have it.
pub fn partner_center(at: &Addresses) -> Option<String> {
    let (url, webhooks) = (at.referrals_url()?, at.webhooks_url()?);
    let people = emulator::credentials().partner;
    Some(format!(
        "  partner-center:
    url: {url}
    webhooks-url: {webhooks}
    authority: {url}
    tenant: {}
    client-id: {}
",
        people.tenant, people.public_client
    ))
}

/// Writes the emulators' secrets to the files that [`IN_FILES`] names, below a project's folder.
///
/// # Errors
///
/// The path and the system's reason.
pub fn write_secrets(root: &Path) -> Result<(), (std::path::PathBuf, std::io::Error)> {
    let credentials = emulator::credentials();
    let folder = root.join("secrets");
    std::fs::create_dir_all(&folder).map_err(|e| (folder.clone(), e))?;
    for (name, secret) in [("dynamics", &credentials.dataverse.secret), ("campaign", &credentials.campaign.secret)] {
        let path = folder.join(name);
        disk::write(&path, secret.as_bytes(), disk::Access::Private).map_err(|e| (path, e))?;
    }
    Ok(())
}
