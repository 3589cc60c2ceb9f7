//! `portcullis stdio`: a configuration's servers on standard input and output.

use std::process::ExitCode;

use portcullis_proxy::{AskAt, Route};
use tracing::warn;

use super::WrongRequest;
use crate::cli;
use crate::config::LogLevel;
use crate::config::load::load;
use crate::environment::Environment;
use crate::state::{IfTaken, StateDirectory, default_directory};

/// Serves one client until it closes standard input.
pub(crate) fn run(
    args: &cli::Stdio,
    log: &cli::Log,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let path = super::config_path(args.config.path.as_deref(), environment)?;
    let loaded = load(&path, environment, None, |_, _| Vec::new())?;
    let config = loaded.config;
    super::start_logging(log, &config.log, LogLevel::Warn, environment)?;
    for line in loaded.warnings.lines() {
        warn!("{line}");
    }
    let route = match &args.server {
        None => Route::All,
        Some(name) if config.servers.contains_key(name) => Route::Server(name.parse()?),
        Some(name) => {
            let known: Vec<&str> = config.servers.keys().map(String::as_str).collect();
            let message = format!(
                "no server `{name}` in the configuration; it has {}",
                known.join(", ")
            );
            return Err(WrongRequest(message).into());
        }
    };
    // The gateway of `run` keeps the configured directory itself.
    let directory = match (&args.state_dir, &config.state.directory) {
        (Some(directory), _) => directory.clone(),
        (None, Some(directory)) => directory.join("stdio"),
        (None, None) => default_directory(environment)?.join("stdio"),
    };
    let state = StateDirectory::open(&directory, IfTaken::Beneath)?;
    super::serve_stdio(&config, route, state, environment, AskAt::Client, None)
}
