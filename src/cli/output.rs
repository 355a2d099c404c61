//! How commands talk: results on standard output, everything else on standard error, colours only on a terminal.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::diagnostics::render::Style;

/// The style for standard output.
pub fn stdout_style() -> Style {
    style(std::io::stdout().is_terminal())
}

/// The style for standard error.
pub fn stderr_style() -> Style {
    style(std::io::stderr().is_terminal())
}

fn style(terminal: bool) -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let width = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).filter(|_| terminal).unwrap_or(Style::PLAIN.width);
    Style { color: terminal && !refused, width }
}

/// Writes a result. A reader that has gone away (`d365map … | head`) is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// With `--log-format json` a collector reads standard error: warnings go there as events too.
static AS_EVENTS: AtomicBool = AtomicBool::new(false);

/// From now on warnings and notes are events of the log.
pub fn log_warnings_as_events() {
    AS_EVENTS.store(true, Ordering::Relaxed);
}

/// Warns.
pub fn warning(text: &str) {
    if AS_EVENTS.load(Ordering::Relaxed) { tracing::warn!("{text}") } else { eprintln!("warning: {text}") }
}

/// Says something by the way.
pub fn note(text: &str) {
    if AS_EVENTS.load(Ordering::Relaxed) { tracing::warn!(note = true, "{text}") } else { eprintln!("note: {text}") }
}

/// A number with its noun: `1 record`, `2 records`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", crate::plan::estimate::grouped(number), if number == 1 { "" } else { "s" })
}

/// Says why a command failed.
pub fn fail(message: &str) -> super::Exit {
    let message = message.trim_end();
    if AS_EVENTS.load(Ordering::Relaxed) {
        tracing::error!("{message}")
    } else {
        eprintln!("error: {message}")
    }
    super::Exit::Failure
}
