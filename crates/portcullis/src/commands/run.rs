//! `portcullis run`: the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use portcullis_policy::PolicyFile;
use portcullis_proxy::{Bound, Gateway, Runtime};
use serde_json::json;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::FAILED;
use crate::cli;
use crate::config::load::{Unusable, load};
use crate::config::mistakes::Mistakes;
use crate::config::{Config, LogLevel};
use crate::environment::Environment;
use crate::output;
use crate::permissions::RefusedPolicies;
use crate::reload::{Cause, Watch};
use crate::shutdown::Ending;
use crate::state::{IfTaken, StateDirectory, default_directory};
use crate::wiring::Wiring;

/// Serves until a signal ends it.
pub(crate) fn run(
    args: &cli::Run,
    log: &cli::Log,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let path = super::config_path(args.config.path.as_deref(), environment)?;
    let source = Source {
        path,
        args,
        environment,
    };
    let (config, warnings) = source.read()?;
    super::start_logging(log, &config.log, LogLevel::Info, environment)?;
    log_warnings(&warnings);
    let directory = match &config.state.directory {
        Some(directory) => directory.clone(),
        None => default_directory(environment)?,
    };
    let state = StateDirectory::open(&directory, IfTaken::Refuse)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(serve(&source, config, state));
    // A signal that insisted left requests behind; they end here.
    runtime.shutdown_background();
    outcome
}

/// Where a configuration comes from, again and again.
struct Source<'a> {
    path: PathBuf,
    args: &'a cli::Run,
    environment: &'a Environment,
}

impl Source<'_> {
    /// What the file says, and after it the arguments.
    fn read(&self) -> Result<(Config, Mistakes), Unusable> {
        let loaded = load(&self.path, self.environment, self.args.listen, |_, _| {
            Vec::new()
        })?;
        let mut config = loaded.config;
        if let Some(directory) = &self.args.state_dir {
            config.state.directory = Some(directory.clone());
        }
        if let Some(who) = self.args.without_credential {
            config.listen.without_credential = who.into();
        }
        Ok((config, loaded.warnings))
    }
}

async fn serve(
    source: &Source<'_>,
    mut config: Config,
    state: StateDirectory,
) -> anyhow::Result<ExitCode> {
    let mut ending = Ending::listen().context("signals cannot be received")?;
    let mut watch =
        Watch::start(&watched(source, &config)).context("signals cannot be received")?;
    let wiring = Wiring::open(&config, state, source.environment).await?;
    let bound = Bound::take(&config.listen).await?;
    let address = bound.local_addr();
    let access = wiring.access(&config, address).await?;
    let policies = config.read_policies(address.ip().is_loopback())?;
    let runtime = wiring.build(&config, &policies, Some(access), None)?;
    announce(&bound, &config)?;
    let gateway = Gateway::new(bound, runtime);
    let mut current = Current {
        address,
        config,
        policies,
        served: gateway.runtime(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let mut stop = Some(stop);
    let serving = gateway.serve(async {
        stopped.await.ok();
    });
    tokio::pin!(serving);
    let drained = loop {
        tokio::select! {
            drained = &mut serving => break drained,
            signal = ending.next() => {
                let Some(stop) = stop.take() else {
                    warn!(signal, "ended at once");
                    return Ok(ExitCode::from(FAILED));
                };
                info!(signal, "ending after the requests in progress; a second signal ends at once");
                // Whoever would hear it has ended by itself.
                stop.send(()).ok();
            }
            cause = watch.next(), if stop.is_some() => {
                current.reload(cause, source, &wiring).await;
                watch.look_at(&watched(source, &current.config));
            }
        }
    };
    info!(
        in_progress = drained.in_progress,
        cut_off = drained.cut_off,
        "ended"
    );
    drop(current);
    wiring.close().await;
    Ok(ExitCode::SUCCESS)
}

/// What a change of has the configuration read again.
fn watched(source: &Source<'_>, config: &Config) -> Vec<PathBuf> {
    let mut paths = vec![source.path.clone()];
    paths.extend(config.policy.files.iter().cloned());
    paths
}

/// Tells whoever started the gateway where it is.
fn announce(bound: &Bound, config: &Config) -> anyhow::Result<()> {
    let address = bound.local_addr();
    let scheme = if bound.is_tls() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let servers: Vec<&String> = config.servers.keys().collect();
    info!(%url, servers = servers.len(), "listening");
    let ready =
        json!({ "event": "ready", "url": url, "pid": std::process::id(), "servers": servers });
    Ok(output::print_json(&ready)?)
}

fn log_warnings(warnings: &Mistakes) {
    for line in warnings.lines() {
        warn!("{line}");
    }
}

/// What serves clients at the moment.
struct Current {
    address: SocketAddr,
    config: Config,
    policies: Vec<PolicyFile>,
    /// Where requests find the runtime that they begin with.
    served: Arc<ArcSwap<Runtime>>,
}

impl Current {
    /// Puts what the file says now into use as a whole, or changes nothing.
    async fn reload(&mut self, cause: Cause, source: &Source<'_>, wiring: &Wiring) {
        match self.replace(cause, source, wiring).await {
            Ok(true) => info!(servers = self.config.servers.len(), "reloaded"),
            Ok(false) => {}
            Err(cause) => {
                let of_file = match cause.downcast_ref() {
                    Some(Unusable::Mistakes(mistakes)) => std::slice::from_ref(mistakes),
                    _ => &[],
                };
                let of_policies = cause.downcast_ref::<RefusedPolicies>();
                let of_policies = of_policies.map_or(&[][..], |refused| &refused.0);
                for line in of_file.iter().chain(of_policies).flat_map(Mistakes::lines) {
                    error!("{line}");
                }
                error!("reload refused, the former configuration stays in use: {cause:#}");
            }
        }
    }

    /// Whether there was something to change.
    async fn replace(
        &mut self,
        cause: Cause,
        source: &Source<'_>,
        wiring: &Wiring,
    ) -> anyhow::Result<bool> {
        let (mut config, warnings) = source.read()?;
        let policies = config.read_policies(self.address.ip().is_loopback())?;
        let same = serde_json::to_value(&config)? == serde_json::to_value(&self.config)?
            && policies == self.policies;
        if same && cause == Cause::File {
            return Ok(false);
        }
        if let Some(setting) = fixed(&config, &self.config) {
            anyhow::bail!("`{setting}` changes only when the gateway is started anew");
        }
        log_warnings(&warnings);
        let access = wiring.access(&config, self.address).await?;
        let previous = self.served.load_full();
        let runtime = wiring.build(&config, &policies, Some(access), Some(&previous))?;
        self.served.store(runtime);
        self.config = config;
        self.policies = policies;
        Ok(true)
    }
}

/// A setting that differs though it cannot change while the gateway runs.
fn fixed(new: &Config, old: &Config) -> Option<&'static str> {
    let paths = |config: &Config| {
        config
            .listen
            .tls
            .as_ref()
            .map(|tls| (tls.certificate.clone(), tls.key.clone()))
    };
    let differs = [
        (new.listen.address != old.listen.address, "listen.address"),
        (paths(new) != paths(old), "listen.tls"),
        (new.state != old.state, "state"),
        (new.egress != old.egress, "egress"),
        (new.record != old.record, "record"),
        (new.log != old.log, "log"),
    ];
    differs
        .into_iter()
        .find(|(differs, _)| *differs)
        .map(|(_, setting)| setting)
}
