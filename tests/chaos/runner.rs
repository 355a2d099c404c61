//! The runner as a separate process.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

/// The command in the project's folder.
pub struct Runner {
    folder: PathBuf,
    /// The library that moves a process's clock.
    clock_library: Option<PathBuf>,
    child: Option<Child>,
    started: u32,
    /// Seconds by which the runner's clock is ahead.
    pub clock: i64,
    /// Whether to approve the differences of the first comparison.
    pub approve: bool,
}

/// What a finished command left.
pub struct Finished {
    pub status: Option<i32>,
    pub out: String,
    pub error: String,
}

/// libfaketime as Debian installs it.
pub fn clock_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    folders.flatten().map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

impl Runner {
    pub fn new(folder: &Path, clock_library: Option<PathBuf>) -> Runner {
        Runner { folder: folder.to_owned(), clock_library, child: None, started: 0, clock: 0, approve: false }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_d365map"));
        command
            .args(args)
            .current_dir(&self.folder)
            .env("CHAOS_DYNAMICS_SECRET", "emulator-dataverse-secret")
            .env("CHAOS_CAMPAIGN_SECRET", "emulator-campaign-secret")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let (Some(library), true) = (&self.clock_library, self.clock != 0) {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME", format!("{:+}s", self.clock))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    /// Starts `run` or `run --watch`; its output goes to a separate log.
    pub fn start(&mut self, watch: bool) -> std::io::Result<()> {
        self.started += 1;
        let log = std::fs::File::create(self.folder.join(format!("runner-{:03}.log", self.started)))?;
        let mut args = vec!["run", "-v"];
        if watch {
            args.push("--watch");
        }
        if self.approve {
            args.push("--accept-reconciliation");
        }
        self.child = Some(self.command(&args).stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    pub fn number(&self) -> u32 {
        self.started
    }

    /// Whether the process runs; its status once it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// SIGKILL. Whether there was a process.
    pub async fn kill(&mut self) -> bool {
        match self.child.take() {
            Some(mut child) => child.kill().await.is_ok(),
            None => false,
        }
    }

    /// SIGTERM, and waits for the end; `None` if it does not end in time, in which case it is killed.
    pub async fn stop(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        if let Some(pid) = child.id() {
            let _ = Command::new("/bin/sh").args(["-c", &format!("kill -TERM {pid}")]).status().await;
        }
        match tokio::time::timeout(at_most, child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ = child.kill().await;
                None
            }
        }
    }

    /// Runs a command to its end; `status` is `None` if it did not end in time or was ended by a signal.
    pub async fn call(&self, args: &[&str], at_most: Duration) -> Finished {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let output = match child {
            Ok(child) => tokio::time::timeout(at_most, child.wait_with_output()).await,
            Err(error) => return Finished { status: None, out: String::new(), error: error.to_string() },
        };
        match output {
            Ok(Ok(output)) => Finished { status: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) },
            Ok(Err(error)) => Finished { status: None, out: String::new(), error: error.to_string() },
            Err(_) => Finished { status: None, out: String::new(), error: format!("it did not end within {at_most:?}") },
        }
    }
}
