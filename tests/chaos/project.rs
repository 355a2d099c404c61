//! The project of a trial: mapping files, schemas, project file and the emulators' seed.

use std::path::Path;

/// Seconds for one request of the runner. The gateway holds writes for less than twice that time.
const REQUEST_TIMEOUT: u32 = 2;

/// The direction of a trial's opt-outs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Disabled,
    ToCampaign,
    ToDynamics,
    Both,
}

impl Direction {
    pub const ALL: [Direction; 4] = [Direction::Both, Direction::ToCampaign, Direction::ToDynamics, Direction::Disabled];

    pub fn word(self) -> &'static str {
        match self {
            Direction::Disabled => "disabled",
            Direction::ToCampaign => "d365-to-campaign",
            Direction::ToDynamics => "campaign-to-d365",
            Direction::Both => "bidirectional",
        }
    }

    /// Whether the runner compares times of Dynamics, Campaign and this machine.
    pub fn compares_times(self) -> bool {
        matches!(self, Direction::ToDynamics | Direction::Both)
    }
}

/// What differs between trials.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub direction: Direction,
    /// `filtered-out delete` for contacts, or `keep`.
    pub contacts_leave: bool,
    /// `deletes propagate` for orders, or `ignore`.
    pub orders_deleted: bool,
    /// Whether changed profiles are read by a filter on `lastModified`, or all profiles are listed.
    pub changed_profiles: bool,
}

/// Ports on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub dataverse: u16,
    pub campaign: u16,
    pub journal: u16,
}

const SEED: &str = include_str!("project/seed.json");
const MAPPINGS: [(&str, &str); 4] = [
    ("accounts.d365map", include_str!("project/accounts.d365map")),
    ("contacts.d365map", include_str!("project/contacts.d365map")),
    ("orders.d365map", include_str!("project/orders.d365map")),
    ("events.d365map", include_str!("project/events.d365map")),
];
const SCHEMAS: [(&str, &str); 5] = [
    ("d365.account.yaml", include_str!("project/schemas/d365.account.yaml")),
    ("d365.new_order.yaml", include_str!("project/schemas/d365.new_order.yaml")),
    ("campaign.cusAccount.yaml", include_str!("project/schemas/campaign.cusAccount.yaml")),
    ("campaign.cusOrder.yaml", include_str!("project/schemas/campaign.cusOrder.yaml")),
    ("campaign.profile.yaml", include_str!("project/schemas/campaign.profile.yaml")),
];

/// Writes the project into a folder; the services are reached at these ports, which are the gateway's.
pub fn write(folder: &Path, options: Options, gateway: Ports) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("mappings"))?;
    std::fs::create_dir_all(folder.join("schemas"))?;
    for (name, text) in MAPPINGS {
        let text = text
            .replace("FILTERED_OUT", if options.contacts_leave { "delete" } else { "keep" })
            .replace("ORDER_DELETES", if options.orders_deleted { "propagate" } else { "ignore" })
            .replace("DIRECTION", options.direction.word());
        std::fs::write(folder.join("mappings").join(name), text)?;
    }
    for (name, text) in SCHEMAS {
        std::fs::write(folder.join("schemas").join(name), text)?;
    }
    let changed = if options.changed_profiles {
        "  changed-profiles: { filter: byLastModified, parameter: lastModified_parameter }\n"
    } else {
        "  list-every-seconds: 0\n"
    };
    let yaml = format!(
        "version: 1
connections:
  dynamics:
    url: http://127.0.0.1:{dataverse}
    token-url: http://127.0.0.1:{dataverse}/7e2f1c3a-0000-4000-8000-00000000d365/oauth2/v2.0/token
    client-id: d365d365-0000-4000-8000-000000000001
    client-secret: {{ env: CHAOS_DYNAMICS_SECRET }}
  campaign:
    url: http://127.0.0.1:{campaign}/emulated-org
    token-url: http://127.0.0.1:{campaign}/ims/token/v3
    client-id: emulatedcampaignclient
    client-secret: {{ env: CHAOS_CAMPAIGN_SECRET }}
    scope: openid,AdobeID,campaign_sdk,campaign_config_server_general
    journal:
      url: http://127.0.0.1:{journal}/events/organizations/365/integrations/36500/d365d365-0000-4000-8000-00000000e001
      ims-organization: D365D365D365D365@AdobeOrg
limits:
  # The trials delete and empty at random; the guard against mass changes has its own tests.
  mass-change-percent: 100
  page-size: 5
  concurrency: 4
  attempts: 3
  request-timeout-seconds: {REQUEST_TIMEOUT}
  watch-interval-seconds: 1
opt-outs:
{changed}  clock-tolerance-seconds: 2
",
        dataverse = gateway.dataverse,
        campaign = gateway.campaign,
        journal = gateway.journal,
    );
    std::fs::write(folder.join("d365map.yaml"), yaml)
}

/// Writes the emulators' seed with all events that the journal has had so far: `--data` does not keep them.
pub fn write_seed(file: &Path, events: &[serde_json::Value]) -> std::io::Result<()> {
    let mut seed: serde_json::Value = serde_json::from_str(SEED).expect("the seed is JSON");
    seed["journal"]["events"] = events.into();
    std::fs::write(file, seed.to_string())
}
