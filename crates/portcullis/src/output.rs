//! What a command prints.
//!
//! Standard output carries answers, standard error what a person should know besides. A reader
//! that has gone away is no failure: see [`is_closed`].

use std::io::{self, IsTerminal as _, Write as _};

use crate::environment::Environment;

/// Writes `text` to standard output at once.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes `text` and a line end to standard output at once.
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes `value` as one line of JSON to standard output at once.
pub(crate) fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    print_line(&serde_json::to_string(value)?)
}

/// Writes `text` to standard error. There is nobody to tell when that fails.
pub(crate) fn tell(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Whether `error` says that whoever read our output has gone away.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// How what standard error shows is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Whether colours are seen.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    /// Colours on a terminal only, and not when `NO_COLOR` is set to anything.
    pub(crate) fn of_stderr(environment: &Environment) -> Self {
        let refused = environment
            .get("NO_COLOR")
            .is_some_and(|value| !value.is_empty())
            || environment.get("TERM").is_some_and(|value| value == "dumb");
        let columns = environment
            .get("COLUMNS")
            .and_then(|c| c.to_str()?.parse().ok());
        Self {
            colour: io::stderr().is_terminal() && !refused,
            width: columns.unwrap_or(100).clamp(60, 200),
        }
    }
}
