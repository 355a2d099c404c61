//! How commands talk: results on standard output, everything else on standard error, colours only on a terminal.

use std::io::{IsTerminal, Write};

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

/// Says why a command failed.
pub fn fail(message: &str) -> super::Exit {
    eprintln!("error: {}", message.trim_end());
    super::Exit::Failure
}
