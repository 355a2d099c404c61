//! How commands talk: results on standard output, everything else on standard error, colors only on a terminal.
//!
//! Nothing else in `cli` writes to these streams (a lint sees to that): here, what came from mapping files and services is made
//! safe to show, see [`printable`].

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::fmt::MakeWriter;

use super::Exit;
use crate::app::CommandError;
use crate::diagnostics::render::Style;
use crate::printable;

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

/// Writes a result for people, without colors.
pub fn print(text: &str) {
    out(&printable::block(text));
}

/// Writes a result for people that has colors if [`stdout_style`] has.
pub fn print_styled(text: &str) {
    out(&styled(text, stdout_style()));
}

/// Writes a JSON document.
pub fn print_json(text: &str) {
    out(&printable::json(text));
}

/// Writes what is a file in itself, byte for byte: a mapping file, a report for another program. Who makes it keeps control
/// characters out where the format has no use for them.
pub fn print_file(text: &str) {
    out(text);
}

/// A reader that has gone away (`d365map … | head`) is not an error.
fn out(text: &str) {
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
    if AS_EVENTS.load(Ordering::Relaxed) { tracing::warn!("{text}") } else { say(&format!("warning: {text}")) }
}

/// Says something by the way.
pub fn note(text: &str) {
    if AS_EVENTS.load(Ordering::Relaxed) { tracing::warn!(note = true, "{text}") } else { say(&format!("note: {text}")) }
}

/// Writes a note for people on standard error, as `say!` does.
pub fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{}", printable::block(text));
}

/// Writes findings and the like on standard error; the text has colors if [`stderr_style`] has, and its own line breaks.
pub fn say_styled(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(styled(text, stderr_style()).as_bytes());
}

fn styled(text: &str, style: Style) -> std::borrow::Cow<'_, str> {
    if style.color { printable::colored(text) } else { printable::block(text) }
}

/// Says why a command failed, and returns the exit status that follows from it.
pub fn fail(error: &CommandError) -> Exit {
    if AS_EVENTS.load(Ordering::Relaxed) {
        tracing::error!(kind = error.kind().name(), "{}", error.human(Style::PLAIN));
    } else {
        // The reason may be findings, rendered for this stream.
        say_styled(&format!("error: {}\n", error.human(stderr_style())));
    }
    error.kind().into()
}

/// Where log lines go: standard error, each as one write.
#[derive(Clone, Copy, Debug)]
pub struct LogWriter {
    /// Whether the lines are JSON objects.
    pub json: bool,
    /// Whether the lines have colors.
    pub color: bool,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        *self
    }
}

impl LogWriter {
    /// A line as it is written. The lines of a message of several lines are indented, so that none looks like a
    /// separate event.
    fn line(self, text: &str) -> String {
        if self.json {
            return printable::json(text).into_owned();
        }
        let (body, end) = text.strip_suffix('\n').map_or((text, ""), |body| (body, "\n"));
        let safe = if self.color { printable::colored(body) } else { printable::block(body) };
        format!("{}{end}", safe.replace('\n', "\n    "))
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().lock().write_all(self.line(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_be_forged_by_what_it_quotes() {
        let log = |text: &str| LogWriter { json: false, color: false }.line(text);
        assert_eq!(log("WARN failed\n2030-01-01 ERROR all lost\n"), "WARN failed\n    2030-01-01 ERROR all lost\n");
        assert_eq!(log("WARN a\r\u{1b}[2Kb\n::error::x\n"), "WARN a\\r\\u{1b}[2Kb\n    \\u{3a}:error::x\n");
        let json = LogWriter { json: true, color: false }.line("{\"message\":\"\u{9b}\"}\n");
        assert_eq!(json, "{\"message\":\"\\u009b\"}\n");
    }
}
