//! The commands, one file each.

pub(crate) mod approvals;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod connect;
pub(crate) mod connections;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod keys;
mod list;
pub(crate) mod packages;
pub(crate) mod policy;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod scopes;
pub(crate) mod secret;
pub(crate) mod stdio;
mod store;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod wrap;

use std::process::ExitCode;

use anyhow::Context as _;
use portcullis_pipeline::permissions::InvalidPermissions;
use portcullis_proxy::{AskAt, Route, Terminal};
use tracing::{info, warn};

use crate::config::{self, Config, LogLevel, load, search};
use crate::environment::Environment;
use crate::output::Style;
use crate::permissions::RefusedPolicies;
use crate::shutdown::Ending;
use crate::state::StateDirectory;
use crate::wiring::Wiring;
use crate::{cli, logging, output};

/// Exit code of an answer that is no.
pub(crate) const NO: u8 = 1;
/// Exit code of a request that was wrong.
pub(crate) const WRONG: u8 = 2;
/// Exit code of what could not be done.
pub(crate) const FAILED: u8 = 3;

/// A request that was wrong: the arguments, or a file that they name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongRequest(pub String);

/// An answer that is no: what was asked for is not there, or is there already.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct No(pub String);

/// The configuration file that `named` or the places where it may be give.
pub(crate) fn config_path(
    named: Option<&std::path::Path>,
    environment: &Environment,
) -> anyhow::Result<std::path::PathBuf> {
    let here = std::env::current_dir().context("the working directory cannot be found out")?;
    let found = search::find(named, &here, environment);
    found.map_err(|none| WrongRequest(none.to_string()).into())
}

/// Answers arguments that are none, or that ask for help.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when this fails.
    error.print().ok();
    if error.use_stderr() {
        ExitCode::from(WRONG)
    } else {
        ExitCode::SUCCESS
    }
}

/// Says what failed, and with which code the process ends.
pub(crate) fn failed(error: &anyhow::Error, environment: &Environment) -> ExitCode {
    if output::is_closed(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(load::Unusable::Mistakes(mistakes)) = error.downcast_ref() {
        let style = Style::of_stderr(environment);
        output::tell(&mistakes.draw(style.width, style.colour));
    }
    if let Some(RefusedPolicies(files)) = error.downcast_ref() {
        let style = Style::of_stderr(environment);
        for mistakes in files {
            output::tell(&mistakes.draw(style.width, style.colour));
        }
    }
    output::tell(&format!("portcullis: {error:#}\n"));
    let wrong = error.is::<WrongRequest>()
        || error.is::<load::Unusable>()
        || error.is::<RefusedPolicies>()
        || error.is::<InvalidPermissions>()
        || error.is::<logging::InvalidFilter>();
    ExitCode::from(if wrong {
        WRONG
    } else if error.is::<No>() {
        NO
    } else {
        FAILED
    })
}

/// Starts the log by what the arguments say, else by the configuration, else at `level`.
fn start_logging(
    args: &cli::Log,
    config: &config::Log,
    level: LogLevel,
    environment: &Environment,
) -> Result<(), logging::InvalidFilter> {
    let filter = match &args.filter {
        Some(filter) => logging::filter(filter),
        None => logging::filter_of(config.level.unwrap_or(level)),
    };
    logging::start(&logging::Settings {
        format: args.format.unwrap_or(config.format),
        filter,
        style: Style::of_stderr(environment),
    })
}

/// Serves one client on standard input and output until it closes them, or a signal comes.
fn serve_stdio(
    config: &Config,
    route: Route,
    state: StateDirectory,
    environment: &Environment,
    ask: AskAt,
    terminal: Option<Terminal>,
) -> anyhow::Result<ExitCode> {
    if state.is_temporary() {
        let path = state.path().display();
        warn!(%path, "another gateway uses the state directory; this one's record goes when it ends");
    }
    let mut config = config.clone();
    let policies = config.read_policies(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let mut ending = Ending::listen().context("signals cannot be received")?;
        let wiring = Wiring::open(&config, state, environment).await?;
        let wiring = wiring.asking_at(ask, terminal);
        let built = wiring.build(&config, &policies, None, None)?;
        let asked = async {
            let signal = ending.next().await;
            info!(signal, "ending after the requests in progress");
        };
        let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
        let served = portcullis_proxy::serve_stdio(built, route, input, output, asked).await;
        wiring.close().await;
        served.context("standard input or output failed")?;
        Ok(ExitCode::SUCCESS)
    });
    // Standard input is read by a thread that nothing can wake.
    runtime.shutdown_background();
    outcome
}
