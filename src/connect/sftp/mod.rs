//! Campaign's SFTP server: the exports that its daily workflow writes, and a folder for logs.
//!
//! Documented: the integration has a workflow in Campaign export opt-out changes once a day to `d365_loads/exports`; the server is
//! `<instance>.campaign.adobe.com`, users come in with a key. Assumed, and settable where it matters: what the files are called, which columns
//! they have ([`records`](self)), that a file is complete when its size and time no longer change, and that a file under way has a
//! temporary suffix or a leading dot if it shows at all.
//!
//! Nothing is remembered here: the caller keeps what it has consumed ([`Consumed`]) and hands it back.

mod columns;
mod error;
mod files;
mod host_key;
mod key;
mod reader;
mod records;
mod session;
mod split;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use russh_sftp::protocol::FileAttributes;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::time::Instant;

pub use columns::{DeliveryLogColumns, LogColumns, OptOutColumns, OptOutLayout, TrackingLogColumns};
pub use error::SftpError;
pub use files::{ExportFiles, Files};
pub use host_key::HostKey;
pub use reader::{Batch, ExportReader};
pub use records::{
    Column, Delivery, DeliveryLog, DeliveryLogShape, DeliveryOutcome, FieldProblem, LogShape, MissingColumn, OptOut, OptOutChange,
    OptOutShape, Record, TrackingKind, TrackingLog, TrackingLogShape,
};
pub use split::{BadLine, CsvFormat, Position};

use session::{Session, Target, join};

/// The folder of the exports, relative to the one that the user begins in (vendor's documentation of the integration).
pub const EXPORTS: &str = "d365_loads/exports";
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Suffixes of files that somebody is still writing, in lower case.
const TEMPORARY: [&str; 7] = [".tmp", ".temp", ".part", ".partial", ".filepart", ".writing", ".inprogress"];

/// A connection to a server. `K` is a secret, or where it is kept.
#[derive(Debug, Clone)]
pub struct SftpConfig<K = SecretString> {
    /// The server's name or address.
    pub host: String,
    /// The port, 22 as a rule.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The user's private key, its whole text.
    pub key: K,
    /// What opens the key, where it is protected.
    pub passphrase: Option<K>,
    /// What confirms the key of the server.
    pub host_key: HostKey,
    /// The folder of the exports.
    pub exports: String,
    /// The folder that logs are written to, if any.
    pub logs: Option<String>,
    /// From the beginning to the SFTP session.
    pub connect_timeout: Duration,
    /// For one request.
    pub request_timeout: Duration,
    /// Tries of one operation while nothing comes through, the first one included.
    pub attempts: u32,
    /// The pause before the second try; it doubles with each further one, with jitter.
    pub first_pause: Duration,
    /// How long a file must not change before it is read.
    pub settle: Duration,
    /// How long a file must not change before its last line counts as complete although it has no line break. Until then that
    /// line may be the first half of one whose upload has paused.
    pub last_line_after: Duration,
}

impl<K> SftpConfig<K> {
    /// With defaults for all that has one.
    pub fn new(host: impl Into<String>, user: impl Into<String>, key: K, host_key: HostKey) -> Self {
        Self {
            host: host.into(),
            port: 22,
            user: user.into(),
            key,
            passphrase: None,
            host_key,
            exports: EXPORTS.to_owned(),
            logs: None,
            connect_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(30),
            attempts: 5,
            first_pause: Duration::from_secs(1),
            settle: Duration::from_secs(10),
            last_line_after: Duration::from_secs(3600),
        }
    }

    /// The same with secrets that were kept where these say.
    pub fn with_secrets<L>(&self, key: L, passphrase: Option<L>) -> SftpConfig<L> {
        let host_key = self.host_key.clone();
        SftpConfig {
            port: self.port,
            passphrase,
            exports: self.exports.clone(),
            logs: self.logs.clone(),
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            attempts: self.attempts,
            first_pause: self.first_pause,
            settle: self.settle,
            last_line_after: self.last_line_after,
            ..SftpConfig::new(self.host.clone(), self.user.clone(), key, host_key)
        }
    }
}

/// A file on the server, as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name, without a folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Time of its last change, by the server's clock, in whole seconds.
    pub modified: Instant,
}

/// What the caller has consumed of a file, in the form in which it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// The file's name.
    pub name: String,
    /// Its size when it was read.
    pub size: u64,
    /// Its time of change when it was read.
    pub modified: Instant,
    /// Where reading stopped.
    pub position: Position,
}

/// A file to read, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The file.
    pub file: RemoteFile,
    /// Where reading stopped before; at the beginning when nothing was read.
    pub from: Option<Position>,
    /// Whether it has not changed for so long that its last line is complete even without a line break.
    pub still: bool,
}

/// How old the newest export is: opt-outs are missed when the workflow that writes them has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// Young enough.
    Fresh {
        /// Its age; zero where the server's clock is ahead.
        age: Duration,
    },
    /// Older than the limit.
    Stale {
        /// The newest file.
        name: String,
        /// Its age.
        age: Duration,
        /// The limit.
        limit: Duration,
    },
    /// There is no export at all.
    Missing,
}

impl Freshness {
    /// What to tell the operator, if there is anything.
    pub fn warning(&self) -> Option<String> {
        let remedy = "check in Campaign whether the workflow that exports them has stopped: until it runs, opt-outs are missed";
        match self {
            Freshness::Fresh { .. } => None,
            Freshness::Stale { name, age, limit } => {
                let hours = |d: &Duration| d.as_secs() / 3600;
                Some(format!("the newest export, {name}, is {} h old, more than {} h; {remedy}", hours(age), hours(limit)))
            }
            Freshness::Missing => Some(format!("there is no export; {remedy}")),
        }
    }
}

/// How old the newest of `files` is. The ages are by the server's clock, which may differ from this machine's by some minutes: a sensible limit
/// is a day and some hours.
pub fn freshness(files: &[RemoteFile], now: Instant, limit: Duration) -> Freshness {
    let Some(newest) = files.iter().max_by_key(|file| file.modified) else { return Freshness::Missing };
    let age = (now - newest.modified).to_std().unwrap_or_default();
    if age > limit { Freshness::Stale { name: newest.name.clone(), age, limit } } else { Freshness::Fresh { age } }
}

/// What a connection can do, for a check of the set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The exports that are there.
    pub exports: Vec<RemoteFile>,
    /// Whether there is a folder for logs that can be listed; none where none is configured.
    pub logs: Option<bool>,
}

/// A client of one server; clones share the connection. It connects when it is needed, and again when the connection was lost.
#[derive(Clone)]
pub struct Sftp(Arc<Inner>);

struct Inner {
    config: SftpConfig,
    target: Arc<Target>,
    session: Mutex<Option<Arc<Session>>>,
    reported: Reported,
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sftp").field("server", &self.0.target.server).finish_non_exhaustive()
    }
}

impl Sftp {
    /// Checks the configuration and reads the key; makes no connection.
    ///
    /// # Errors
    /// [`SftpError::Config`], [`SftpError::Key`].
    pub fn new(config: SftpConfig) -> Result<Self, SftpError> {
        let wrong = |problem: &str, remedy: &str| SftpError::Config { problem: problem.to_owned(), remedy: remedy.to_owned() };
        let bad = |text: &str| text.trim().is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace());
        if bad(&config.host) || config.host.contains(['/', '@']) {
            return Err(wrong("`host` is not the name of a server", "write the name alone, as in contoso.campaign.adobe.com"));
        }
        if bad(&config.user) {
            return Err(wrong("`user` is not the name of a user", "write the SFTP user that Campaign's Control Panel shows"));
        }
        if config.exports.trim().is_empty() || config.logs.as_ref().is_some_and(|logs| logs.trim().is_empty()) {
            return Err(wrong("a folder's path is empty", "write the path, or `.` for the start folder of the user"));
        }
        config.host_key.check()?;
        let key = key::parse(&config.key, config.passphrase.as_ref())?;
        let target = Target {
            server: format!("{}@{}:{}", config.user, config.host, config.port),
            host: config.host.trim_matches(['[', ']']).to_owned(),
            port: config.port,
            user: config.user.clone(),
            key,
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
        };
        Ok(Self(Arc::new(Inner { config, target: Arc::new(target), session: Mutex::new(None), reported: Reported::default() })))
    }

    /// `user@host:port`.
    pub fn server(&self) -> &str {
        &self.0.target.server
    }

    /// Connects and looks at the folders.
    ///
    /// # Errors
    /// [`SftpError`]; a folder for logs that cannot be listed is not an error here.
    pub async fn check(&self) -> Result<Access, SftpError> {
        let exports = self.exports().await?;
        let logs = match &self.0.config.logs {
            None => None,
            Some(folder) => match self.list(folder).await {
                Ok(_) => Some(true),
                Err(SftpError::NotFound { .. } | SftpError::Denied { .. }) => Some(false),
                Err(error) => return Err(error),
            },
        };
        Ok(Access { exports, logs })
    }

    /// The files in the folder of the exports, by time and name, save those with a temporary name. Some may be still growing:
    /// [`Sftp::settled`] leaves these out.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn exports(&self) -> Result<Vec<RemoteFile>, SftpError> {
        self.list(&self.0.config.exports).await
    }

    /// The files to read now: whose name fits `pattern` (`*` and `?`), which no longer change, and which hold something that was not consumed.
    ///
    /// Files that changed within the last `settle` are looked at twice, `settle` apart. A file that has grown is read on where it was
    /// left; one that became shorter, or whose time changed and not its size, is read from its beginning. Ages are by the server's
    /// clock against this machine's: where they differ a file may be taken for older than it is, so that its reader still leaves
    /// the end of a growing file for later.
    ///
    /// # Errors
    /// [`SftpError`].
    pub async fn settled(&self, pattern: &str, consumed: &[Consumed]) -> Result<Vec<Export>, SftpError> {
        let consumed: HashMap<&str, &Consumed> = consumed.iter().map(|c| (c.name.as_str(), c)).collect();
        let wanted = |file: &RemoteFile| {
            let known = consumed.get(file.name.as_str());
            let done = known
                .is_some_and(|c| c.size == file.size && c.modified == file.modified && c.position.offset + c.position.tail >= file.size);
            host_key::matches(pattern, &file.name) && !done
        };
        let before: Vec<RemoteFile> = self.exports().await?.into_iter().filter(wanted).collect();
        if before.is_empty() {
            return Ok(Vec::new());
        }
        let now = crate::time::now();
        let age = |file: &RemoteFile| (now - file.modified).to_std().unwrap_or_default();
        let config = &self.0.config;
        // Times of change are in whole seconds.
        let settled = if before.iter().any(|file| age(file) < config.settle + Duration::from_secs(1)) {
            tokio::time::sleep(config.settle).await;
            let after = self.exports().await?;
            after.into_iter().filter(|file| before.contains(file)).collect()
        } else {
            before
        };
        Ok(settled
            .into_iter()
            .map(|file| {
                let from = consumed.get(file.name.as_str()).filter(|c| {
                    let same = c.size == file.size && c.modified == file.modified;
                    same || c.size < file.size
                });
                let still = age(&file) >= config.last_line_after;
                Export { from: from.map(|c| c.position.clone()), file, still }
            })
            .collect())
    }

    /// Begins to read an export.
    ///
    /// # Errors
    /// [`SftpError`]; [`SftpError::Replaced`] where the file is not the one of which `from` speaks, [`SftpError::Content`] where its header
    /// lacks a column.
    pub async fn read<R: Record>(&self, export: &Export, format: CsvFormat, columns: R::Columns) -> Result<ExportReader<R>, SftpError> {
        let path = join(&self.0.config.exports, &export.file.name);
        ExportReader::open(self.clone(), path, export, format, columns).await
    }

    /// Writes a file into the folder of the logs. Readers see it whole or not at all; a file of the same name is replaced in one step
    /// where the server can do that, and is an error elsewhere.
    ///
    /// # Errors
    /// [`SftpError`]; [`SftpError::Config`] without a folder for logs, or for a name with a folder in it.
    #[cfg(any(test, feature = "internals"))]
    pub async fn upload_log(&self, name: &str, content: &[u8]) -> Result<(), SftpError> {
        let wrong = |problem: String, remedy: &str| SftpError::Config { problem, remedy: remedy.to_owned() };
        let Some(folder) = &self.0.config.logs else {
            return Err(wrong("there is no folder for logs".to_owned(), "add `logs:` to `connections.campaign.sftp`"));
        };
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
            return Err(wrong(format!("`{}` is not the name of a file", error::words(name)), "use letters, digits, `-`, `_` and `.`"));
        }
        let mut pauses = self.pauses();
        loop {
            // A separate name for each try, so that the remains of a failed one are not in the way.
            let temporary = format!(".{name}.{}.part", uuid::Uuid::new_v4().simple());
            let put = async {
                let session = self.session().await?;
                let put = session.put(folder, name, &temporary, content).await;
                if put.as_ref().is_err_and(SftpError::is_transient) {
                    self.forget(&session).await;
                }
                put
            };
            match put.await {
                Err(error) if error.is_transient() => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    tokio::time::sleep(pause).await;
                }
                other => return other,
            }
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<RemoteFile>, SftpError> {
        let mut pauses = self.pauses();
        let mut files = loop {
            let listed = async {
                let session = self.session().await?;
                let listed = files_in(&session, folder, &self.0.reported).await;
                if listed.as_ref().is_err_and(SftpError::is_transient) {
                    self.forget(&session).await;
                }
                listed
            };
            match listed.await {
                Err(error) if error.is_transient() => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    tokio::time::sleep(pause).await;
                }
                other => break other?,
            }
        };
        files.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        Ok(files)
    }

    /// The open session, or a new one.
    async fn session(&self) -> Result<Arc<Session>, SftpError> {
        let mut slot = self.0.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|s| !s.is_closed()) {
            return Ok(session.clone());
        }
        let known = self.0.config.host_key.known(&self.0.target.host, self.0.target.port)?;
        let session = Arc::new(Session::open(self.0.target.clone(), &known).await?);
        *slot = Some(session.clone());
        Ok(session)
    }

    /// Puts a session aside that failed, unless another one has taken its place already.
    async fn forget(&self, session: &Arc<Session>) {
        let mut slot = self.0.session.lock().await;
        if slot.as_ref().is_some_and(|s| Arc::ptr_eq(s, session)) {
            *slot = None;
        }
    }

    fn request_timeout(&self) -> Duration {
        self.0.config.request_timeout
    }

    fn late(&self, doing: String) -> SftpError {
        SftpError::Timeout { server: self.server().to_owned(), doing, after: self.0.config.request_timeout }
    }

    /// The pauses before further tries: each twice the one before, up to half a minute, and of each between half and all of it, so that
    /// many clients do not come back at the same moment.
    fn pauses(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let first = self.0.config.first_pause;
        let further = self.0.config.attempts.saturating_sub(1);
        (0..further).map(move |n| {
            let whole = first.saturating_mul(2u32.saturating_pow(n)).min(LONGEST_PAUSE);
            whole.mul_f64(rand::rng().random_range(0.5..=1.0))
        })
    }
}

/// The files of a folder that are not under way. What a listing lacks (SFTP version 3 makes size and time optional) is asked for
/// file by file.
async fn files_in(session: &Session, folder: &str, reported: &Reported) -> Result<Vec<RemoteFile>, SftpError> {
    let mut files = Vec::new();
    for (name, listed) in session.list(folder).await? {
        if matches!(name.as_str(), "." | "..") || !regular(&listed) {
            continue;
        }
        if !plain(&name) {
            reported.warn(folder, &name);
            continue;
        }
        if unfinished(&name) {
            continue;
        }
        let path = join(folder, &name);
        let attributes = match (listed.size, listed.mtime) {
            (Some(_), Some(_)) => listed,
            _ => match session.attributes(&path).await {
                // Gone since it was listed.
                Err(SftpError::NotFound { .. }) => continue,
                attributes => attributes?,
            },
        };
        if !regular(&attributes) {
            continue;
        }
        let modified = attributes.mtime.and_then(|seconds| Instant::from_timestamp(i64::from(seconds), 0));
        // Without these nothing tells whether the file is complete. To leave it out silently would look like a folder without exports.
        let (Some(size), Some(modified)) = (attributes.size, modified) else { return Err(session.untold(&path)) };
        files.push(RemoteFile { name, size, modified });
    }
    Ok(files)
}

/// Whether this is a file and no folder, link or device, by the bits of its mode; for a server that sends no mode the entry counts as a file. (The library's
/// own question takes a link for a file.)
fn regular(attributes: &FileAttributes) -> bool {
    attributes.permissions.is_none_or(|mode| mode & 0o170_000 == 0o100_000)
}

/// The longest name that a file can have, in bytes (POSIX: NAME_MAX of the usual file systems).
const LONGEST_NAME: usize = 255;

/// Whether a name is one of a file in this folder, and can be part of a line of a log. U+FFFD takes the place of bytes that are not UTF-8
/// (russh-sftp decodes names that way), so a file with such a name cannot be asked for by it.
fn plain(name: &str) -> bool {
    let hidden = |c: char| crate::printable::is_hidden(c) || c == char::REPLACEMENT_CHARACTER;
    !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME && !name.contains(['/', '\\']) && !name.contains(hidden)
}

/// The names of a server that were reported as unreadable, so that a watch reports each of them once.
#[derive(Default)]
struct Reported(std::sync::Mutex<std::collections::BTreeSet<String>>);

impl Reported {
    /// More names than this are not kept: the server is up to something.
    const MOST: usize = 1000;

    /// Warns of a file that is not read because of its name. Otherwise a missing export would go unnoticed.
    fn warn(&self, folder: &str, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if names.len() < Self::MOST && names.insert(name.to_owned()) {
            tracing::warn!(
                "sftp: the file `{}` in `{folder}` is not read: its name has control characters, a separator of folders or bytes that are not UTF-8, or more than {LONGEST_NAME} bytes; rename it if it is an export",
                error::words(name)
            );
        }
    }
}

/// Whether a name says that the file is still being written.
fn unfinished(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.starts_with('.') || name.ends_with('~') || TEMPORARY.iter().any(|suffix| lower.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, seconds: i64) -> RemoteFile {
        RemoteFile { name: name.to_owned(), size: 1, modified: Instant::from_timestamp(seconds, 0).unwrap() }
    }

    #[test]
    fn exports_that_have_ceased_raise_a_warning() {
        let now = Instant::from_timestamp(1_000_000, 0).unwrap();
        let limit = Duration::from_secs(26 * 3600);
        let files = [file("b.csv", 999_000), file("a.csv", 500_000)];
        assert_eq!(freshness(&files, now, limit), Freshness::Fresh { age: Duration::from_secs(1000) });
        assert_eq!(freshness(&files, now, limit).warning(), None);
        let stale = freshness(&files[1..], now, limit);
        assert_eq!(
            stale.warning().unwrap(),
            "the newest export, a.csv, is 138 h old, more than 26 h; check in Campaign whether the workflow that exports them has stopped: until \
             it runs, opt-outs are missed"
        );
        assert!(freshness(&[], now, limit).warning().is_some());
        assert_eq!(freshness(&[file("c", 1_000_060)], now, limit), Freshness::Fresh { age: Duration::ZERO });
    }

    #[test]
    fn a_temporary_name_is_not_an_export() {
        for name in [".x.csv", "x.csv.tmp", "x.csv.FILEPART", "x.part", "x~"] {
            assert!(unfinished(name), "{name}");
        }
        assert!(!unfinished("delivery_part.csv"));
    }

    #[test]
    fn what_cannot_be_a_connection_is_refused_before_the_key_is_looked_at() {
        let config = |host: &str, user: &str| SftpConfig::new(host, user, SecretString::from("s3cr3t"), HostKey::KnownHosts("x".into()));
        for (host, user) in [("", "u"), ("sftp://h", "u"), ("u@h", "u"), ("h", ""), ("h", "a b")] {
            assert!(matches!(Sftp::new(config(host, user)), Err(SftpError::Config { .. })), "{host} {user}");
        }
        let error = Sftp::new(config("h", "u")).unwrap_err();
        assert!(matches!(error, SftpError::Key { .. }) && !error.to_string().contains("s3cr3t"), "{error}");
        assert!(!format!("{:?}", config("h", "u")).contains("s3cr3t"));
    }
}
