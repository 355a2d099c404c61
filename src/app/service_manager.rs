//! Messages to the service manager that started this process: systemd, by `sd_notify`. Without one, nothing happens.
//!
//! Source: sd_notify(3), systemd.service(5) (`Type=notify`, `WatchdogSec=`).

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;

/// The process has started: it serves, or its workflows run.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("running")]);
}

/// The process reads its configuration again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The process ends: what is in flight is finished first.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in flight")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not notified");
    }
}

/// Feeds the watchdog of the service manager, if it has one, until the result is dropped: as long as this runtime gets to its work, the
/// process is alive. Must be called within a runtime.
pub fn feed_watchdog() -> Option<AbortOnDropHandle<()>> {
    let timeout = sd_notify::watchdog_enabled()?;
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        let mut due = tokio::time::interval(timeout / 2);
        loop {
            due.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    })))
}
