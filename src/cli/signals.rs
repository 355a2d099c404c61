//! Ctrl-C and SIGTERM end a command in good order.

use tokio_util::sync::CancellationToken;

use super::output::note;

/// Cancels the token at the first Ctrl-C or SIGTERM; ends the process at the second.
pub fn stop_on_signals(stop: CancellationToken) {
    tokio::spawn(async move {
        signal().await;
        note("stopping: what is in flight is finished first; press Ctrl-C again to quit immediately");
        stop.cancel();
        signal().await;
        std::process::exit(130);
    });
}

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
