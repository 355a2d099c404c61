//! Ctrl-C and SIGTERM end a command in good order.

use tokio_util::sync::CancellationToken;

use super::output::note;
use crate::app::service_manager;

/// Cancels the token at the first Ctrl-C or SIGTERM; ends the process at the second.
pub fn stop_on_signals(stop: CancellationToken) {
    tokio::spawn(async move {
        signal().await;
        service_manager::stopping();
        note("stopping: what is in flight is finished first; press Ctrl-C again to quit immediately");
        stop.cancel();
        signal().await;
        std::process::exit(130);
    });
}

/// Calls a function with `with` at each SIGHUP, as long as the process lives: it reads project files again, and may block. In a terminal,
/// SIGHUP says that the terminal was closed, and ends the process as it would otherwise. Must be called within a runtime.
#[cfg(unix)]
pub fn reload_on_hangup<T: Send + 'static>(mut with: T, reload: fn(&mut T)) {
    use std::io::IsTerminal;
    use tokio::signal::unix::{SignalKind, signal};
    if std::io::stdin().is_terminal() {
        return;
    }
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            service_manager::reloading();
            let read = tokio::task::spawn_blocking(move || {
                reload(&mut with);
                with
            });
            let read = read.await;
            service_manager::ready();
            match read {
                Ok(back) => with = back,
                Err(error) => return tracing::error!(%error, "the project file is not read again any more"),
            }
        }
    });
}

/// There is no SIGHUP.
#[cfg(not(unix))]
pub fn reload_on_hangup<T: Send + 'static>(_: T, _: fn(&mut T)) {}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}
