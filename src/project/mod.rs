//! The project file d365map.yaml: connections, folders, limits, secrets by reference.

mod entra;
mod exports;
mod file;
mod journal;
mod language;
mod limits;
mod notify;
mod optouts;
mod partner_center;
mod reader;
mod schedules;
mod secret;
mod serve;
mod sftp;
pub mod template;
mod webhook;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::connect::sftp::{ExportFiles, SftpConfig};
use crate::diagnostics::{FileProblem, Levels};
use crate::system::SystemId;
use crate::systems::campaign::CampaignConfig;
use crate::systems::dataverse::DataverseConfig;
use crate::time::schedule::Schedule;

pub use journal::JournalConnection;
pub use notify::{Notify, NotifyCommand, NotifyEvent, NotifyWebhook};
pub use optouts::OptoutReading;
pub use partner_center::{PartnerCenterConnection, PartnerCenterCredential, RefreshTokenPlace};
pub use secret::{SecretError, SecretRef};
pub use serve::{ClientSettings, Role, ServeSettings, SignInSettings, TlsFiles};
pub use webhook::WebhookConnection;

/// The name of a project file.
pub const FILE_NAME: &str = "d365map.yaml";

/// A project: the folder of its file, and what the file says. Paths are joined to the folder already.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project file, absolute; it need not exist.
    pub file: PathBuf,
    /// The folder of the project file, absolute.
    pub root: PathBuf,
    /// The folder of the mapping files.
    pub mappings: PathBuf,
    /// The folder of the schema files; it need not exist.
    pub schemas: PathBuf,
    /// The state file; it need not exist.
    pub state: PathBuf,
    /// How the services are reached.
    pub connections: Connections,
    /// What bounds a run.
    pub limits: Limits,
    /// How opt-outs are read and compared.
    pub optouts: OptoutReading,
    /// When the rounds of `run --watch` begin, by workflow; the others have [`Limits::watch_interval`].
    pub schedules: BTreeMap<String, Schedule>,
    /// The pages and the API of `serve`.
    pub serve: ServeSettings,
    /// Of what people are notified, and how; none if they are not.
    pub notify: Option<Notify>,
    /// The severities that the project sets for itself.
    pub lint: Levels,
}

/// How the services are reached; what is absent is needed by no command that stays on this machine.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// Dynamics 365, by the Dataverse Web API.
    pub dynamics: Option<DynamicsConnection>,
    /// Adobe Campaign Standard.
    pub campaign: Option<CampaignConnection>,
    /// Partner Center.
    pub partner_center: Option<PartnerCenterConnection>,
}

/// Dataverse with an application user (client credentials).
#[derive(Clone, Debug)]
pub struct DynamicsConnection {
    /// As the connector takes it, but for the credential.
    pub config: DataverseConfig<EntraCredential>,
    /// The directory (tenant) of the application, if the file names it.
    pub tenant: Option<String>,
    /// Whether the file names the token service itself.
    pub own_token_url: bool,
    /// The language in which labels are pulled, as a Windows language code (LCID); `None` for that of the application user.
    pub label_language: Option<u32>,
}

/// How an application proves to Entra ID who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntraCredential {
    /// Where its secret is kept.
    Secret(SecretRef),
    /// A certificate that is uploaded to the app registration.
    Certificate {
        /// The public certificate, PEM.
        certificate: PathBuf,
        /// Where its private key is kept, PEM.
        private_key: SecretRef,
        /// `RS256` in place of `PS256`, for token services that know only the older form.
        rs256: bool,
    },
}

/// Campaign, and what is beside it.
#[derive(Clone, Debug)]
pub struct CampaignConnection {
    /// As the connector takes it, but for the credential.
    pub config: CampaignConfig<CampaignCredential>,
    /// The SFTP server with the exports of logs and opt-outs, where the project uses it.
    pub sftp: Option<SftpConnection>,
    /// The journal of events, where the project has one.
    pub journal: Option<JournalConnection>,
}

/// Where Campaign's credential is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignCredential {
    /// The secret of the OAuth server-to-server credential, or of the service account.
    pub client_secret: SecretRef,
    /// The deprecated service account (JWT), where the credential is one.
    pub service_account: Option<ServiceAccount>,
}

/// Campaign's SFTP server.
#[derive(Clone, Debug)]
pub struct SftpConnection {
    /// As the connector takes it, but for the secrets. A known-hosts file is relative to the project's folder.
    pub config: SftpConfig<SecretRef>,
    /// Which exports are read, and how.
    pub files: ExportFiles,
}

/// Adobe's deprecated service account: a technical account for which a key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// `0123456789ABCDEF@AdobeOrg`.
    pub organization_id: String,
    /// `0123456789ABCDEF@techacct.adobe.com`.
    pub technical_account: String,
    /// Where its private key is kept, PEM.
    pub private_key: SecretRef,
    /// The metascopes by name.
    pub metascopes: Vec<String>,
}

/// What bounds a run. Ranges are checked when the file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records in a page of Dataverse, 1 to 5000 (Dataverse Web API: `odata.maxpagesize`).
    pub page_size: u32,
    /// Requests to one host at the same time, 1 to 52 (Dataverse service protection limits: 52 concurrent requests).
    pub concurrency: usize,
    /// Requests per second to a system, 1 to 1000; unlimited where there is none.
    pub requests_per_second: BTreeMap<SystemId, u32>,
    /// Requests per day of UTC to a system, each record of a bulk operation counted; unlimited where there is none.
    pub requests_per_day: BTreeMap<SystemId, u64>,
    /// Operations waiting in the outbox at which reading pauses.
    pub backlog_high_water: u64,
    /// The share of a workflow's records, in percent, above which deletions, or fields that become empty, need approval.
    pub mass_change_percent: u8,
    /// How many of them need approval above that share.
    pub mass_change_count: u64,
    /// Tries of one request, the first one included.
    pub attempts: u32,
    /// Time for one request with its answer.
    pub request_timeout: Duration,
    /// From the end of one round of `run --watch` to the beginning of the next.
    pub watch_interval: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            page_size: 1000,
            concurrency: 8,
            requests_per_second: BTreeMap::new(),
            requests_per_day: BTreeMap::new(),
            backlog_high_water: 20_000,
            mass_change_percent: 20,
            mass_change_count: 100,
            attempts: 6,
            request_timeout: Duration::from_secs(120),
            watch_interval: Duration::from_secs(60),
        }
    }
}

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The file cannot be read.
    #[error("the project file {}: {source}. Make one with `d365map init`, or name another with --project", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is a symbolic link to another folder.
    #[error(
        "{} is a symbolic link that leads out of its folder, to {}. A project file must be in the folder of the project: \
         replace the link, or name the file itself with `--project {}`",
        path.display(), target.display(), target.display()
    )]
    Linked {
        /// The link.
        path: PathBuf,
        /// The file that it leads to.
        target: PathBuf,
    },
    /// The file is faulty.
    #[error("{}", list(.0))]
    Invalid(Vec<FileProblem>),
}

/// The JSON Schema of a project file, for editors.
pub fn json_schema() -> serde_json::Value {
    crate::yaml::schema_of::<file::ProjectDoc>()
}

fn list(problems: &[FileProblem]) -> String {
    problems.iter().map(FileProblem::to_string).collect::<Vec<_>>().join("\n")
}

impl Project {
    /// The project that `explicit` names (the file, or its folder), or whose file lies in `start` or nearest above it;
    /// `None` where there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is faulty; with `explicit`, also where it does not exist.
    pub fn find(start: &Path, explicit: Option<&Path>) -> Result<Option<Project>, ProjectError> {
        if let Some(path) = explicit {
            let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_path_buf() };
            return Project::load(&path).map(Some);
        }
        let start = std::path::absolute(start).map_err(|source| ProjectError::Io { path: start.to_path_buf(), source })?;
        // Whatever has the name is the project file, unless it is a folder: what cannot be read as a file is an error, and the file of
        // another project in a folder above is not taken for it.
        let exists = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| !found.is_dir());
        let found = start.ancestors().map(|folder| folder.join(FILE_NAME)).find(exists);
        found.map(|path| Project::load(&path)).transpose()
    }

    /// Reads a project file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, it is a link out of its folder, or every fault in it. `mappings` and `schemas` that lead out of the
    /// project folder are faults of the file.
    pub fn load(path: &Path) -> Result<Project, ProjectError> {
        let io = |source| ProjectError::Io { path: path.to_path_buf(), source };
        let absolute = std::path::absolute(path).map_err(io)?;
        if let Err(source) = std::fs::metadata(&absolute) {
            return Err(io(source));
        }
        let root = absolute.parent().unwrap_or(Path::new("/")).to_path_buf();
        // The excerpt of an error quotes the file, and whoever made a link may not be allowed to read what it leads to.
        if let Err(error) = crate::disk::within(&root, &absolute) {
            return Err(match absolute.canonicalize() {
                Ok(target) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    ProjectError::Linked { path: path.to_path_buf(), target }
                }
                Ok(_) | Err(_) => io(error),
            });
        }
        let text = crate::yaml::read(path).map_err(|problem| ProjectError::Invalid(vec![*problem]))?;
        let project = file::read(path, &text, root).map_err(ProjectError::Invalid)?;
        Ok(Project { file: absolute, ..project })
    }

    /// The name of the project for people: that of its folder.
    pub fn name(&self) -> String {
        self.root.file_name().map_or_else(|| "d365map".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// A project without a file: default folders and limits, no connections.
    pub fn defaults(root: &Path) -> Project {
        Project {
            file: root.join(FILE_NAME),
            root: root.to_path_buf(),
            mappings: root.join("mappings"),
            schemas: root.join("schemas"),
            state: root.join(".d365map").join("state.db"),
            connections: Connections::default(),
            limits: Limits::default(),
            optouts: OptoutReading::default(),
            schedules: BTreeMap::new(),
            serve: ServeSettings::default(),
            notify: None,
            lint: Levels::new(),
        }
    }
}
