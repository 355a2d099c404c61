//! How messages are delivered: a program that gets them on standard input, and an address that they are sent to.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::NotifyError;
use super::board::Message;
use crate::connect::{ConnectError, Hook};
use crate::project::{NotifyCommand, Project, SecretError};

/// Why a message was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The program cannot be started.
    #[error("the command {program} cannot be started: {source}")]
    Start { program: String, source: io::Error },
    /// The program has failed.
    #[error("the command {program} failed ({status})")]
    Failed { program: String, status: ExitStatus },
    /// The program took too long, and was ended.
    #[error("the command {program} took longer than {seconds} s and was ended")]
    TooLong { program: String, seconds: u64 },
    /// The address did not take it.
    #[error(transparent)]
    Webhook(#[from] ConnectError),
}

enum Channel {
    Command(NotifyCommand),
    Webhook(Hook),
}

/// All ways in which messages of a project are delivered.
#[derive(Default)]
pub struct Channels {
    root: PathBuf,
    channels: Vec<Channel>,
}

impl Channels {
    /// The ways that a project names, with their secrets fetched.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn of(project: &Project) -> Result<Channels, NotifyError> {
        let Some(settings) = &project.notify else { return Ok(Channels::default()) };
        let mut channels: Vec<Channel> = settings.command.clone().map(Channel::Command).into_iter().collect();
        if let Some(webhook) = &settings.webhook {
            let at = |at| move |source: SecretError| NotifyError::Secret { at, source };
            let token = webhook.token.as_ref().map(|secret| secret.resolve(&project.root)).transpose();
            let token = token.map_err(at("notify.webhook.token"))?;
            let secret = webhook.signing_secret.as_ref().map(|secret| secret.resolve(&project.root)).transpose();
            let secret = secret.map_err(at("notify.webhook.signing-secret"))?;
            channels.push(Channel::Webhook(Hook::new(webhook.url.clone(), token.as_ref(), secret)?));
        }
        Ok(Channels { root: project.root.clone(), channels })
    }

    pub(super) fn count(&self) -> usize {
        self.channels.len()
    }

    /// The key of the project file, for the log.
    pub(super) fn name(&self, channel: usize) -> &'static str {
        match self.channels.get(channel) {
            Some(Channel::Command(_)) => "notify.command",
            Some(Channel::Webhook(_)) => "notify.webhook",
            None => "notify",
        }
    }

    pub(super) async fn send(&self, channel: usize, message: &Message<'_>) -> Result<(), SendError> {
        let mut body = serde_json::to_vec(message).unwrap_or_default();
        match self.channels.get(channel) {
            Some(Channel::Command(command)) => {
                body.push(b'\n');
                self.run(command, &body).await
            }
            Some(Channel::Webhook(hook)) => Ok(hook.post(body.into()).await?),
            None => Ok(()),
        }
    }

    async fn run(&self, command: &NotifyCommand, message: &[u8]) -> Result<(), SendError> {
        let Some((program, arguments)) = command.argv.split_first() else { return Ok(()) };
        let start = |source| SendError::Start { program: program.clone(), source };
        let mut started = Command::new(program);
        started.args(arguments).current_dir(&self.root).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        started.process_group(0);
        let mut child = started.kill_on_drop(true).spawn().map_err(start)?;
        let mut group = Group(child.id());
        let stdin = child.stdin.take();
        let finished = tokio::time::timeout(command.timeout, async {
            if let Some(mut stdin) = stdin {
                // A program need not read its message.
                let _ = stdin.write_all(message).await;
            }
            child.wait().await
        });
        let finished = finished.await;
        if finished.is_ok() {
            group.0 = None;
        }
        match finished {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(SendError::Failed { program: program.clone(), status }),
            Ok(Err(source)) => Err(start(source)),
            Err(_) => Err(SendError::TooLong { program: program.clone(), seconds: command.timeout.as_secs() }),
        }
    }
}

/// The processes that a command has started: they end with it if it is not waited for any longer.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
