//! Where the log goes: standard error, one line an event.

use clap::ValueEnum as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogLevel};
use crate::output::Style;

/// What is logged, and how.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The form of a line.
    pub format: LogFormat,
    /// A level, or directives such as `warn,portcullis_proxy=debug`.
    pub filter: String,
    /// How it is drawn.
    pub style: Style,
}

/// A filter that is not one.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{filter}` is no log filter; write a level such as `debug`, or `warn,portcullis_proxy=debug`"
)]
pub(crate) struct InvalidFilter {
    filter: String,
    #[source]
    cause: tracing_subscriber::filter::ParseError,
}

/// Starts logging for the rest of the process.
pub(crate) fn start(settings: &Settings) -> Result<(), InvalidFilter> {
    let Settings {
        format,
        filter,
        style,
    } = settings;
    let filter = parse(filter)?;
    let log = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(style.colour);
    let started = match format {
        LogFormat::Text => log.with_target(false).finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    };
    // Only a second start fails, and the first goes on.
    started.ok();
    Ok(())
}

/// Reads a filter. A directive that does not parse is refused rather than left out.
pub(crate) fn parse(filter: &str) -> Result<EnvFilter, InvalidFilter> {
    EnvFilter::builder()
        .with_default_directive(LevelFilter::OFF.into())
        .parse(filter)
        .map_err(|cause| InvalidFilter {
            filter: filter.to_owned(),
            cause,
        })
}

/// The filter that `text` asks for: a level alone is meant for the gateway, not for its libraries.
pub(crate) fn filter(text: &str) -> String {
    match LogLevel::from_str(text, true) {
        Ok(level) => filter_of(level),
        Err(_) => text.to_owned(),
    }
}

/// The filter that lets `level` through. At `info` and below, the libraries' own talk stays out.
pub(crate) fn filter_of(level: LogLevel) -> String {
    let name = match level {
        LogLevel::Off => return "off".to_owned(),
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let ours = [
        "portcullis",
        "portcullis_egress",
        "portcullis_mcp",
        "portcullis_pipeline",
        "portcullis_proxy",
        "portcullis_sandbox",
        "portcullis_store",
    ];
    let others = if level == LogLevel::Error {
        "error"
    } else {
        "warn"
    };
    let mut filter = others.to_owned();
    for target in ours {
        filter.extend([",", target, "=", name]);
    }
    filter
}

#[cfg(test)]
mod tests;
