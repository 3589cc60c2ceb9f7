//! The gateway's state as an administrator's command finds and opens it: beside a running gateway, whose lock it does not take.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use portcullis_oauth::server::issuer_of;
use portcullis_oauth::vault::Vault;
use portcullis_store::{Durability, Store};
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::WrongRequest;
use crate::cli::admin;
use crate::config::load::load;
use crate::config::{self, search};
use crate::environment::Environment;
use crate::state::{self, default_directory};

/// Where a command works.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    args: &'a admin::Place,
    environment: &'a Environment,
}

/// What these commands need of the configuration. The rest may stand for what only the gateway's environment has, and is not
/// looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Excerpt {
    listen: Listen,
    state: config::State,
    /// `None` without a file.
    servers: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listen {
    address: Option<SocketAddr>,
    public_url: Option<Url>,
    tls: Option<IgnoredAny>,
}

impl<'a> Place<'a> {
    /// The place that the arguments name.
    pub(crate) fn new(args: &'a admin::Place, environment: &'a Environment) -> Self {
        Self { args, environment }
    }

    /// Does `work` with the open store.
    pub(crate) fn run(
        &self,
        work: impl AsyncFnOnce(&Store) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let path = self.directory()?.join(state::DATABASE);
        let settings = portcullis_store::Settings {
            // What an administrator was told is done stays done.
            durability: Durability::Power,
            ..portcullis_store::Settings::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let store = Store::open_beside(&path, settings)?;
            let outcome = work(&store).await;
            store.close().await;
            outcome
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// What seals secrets and signing keys in the store.
    pub(crate) fn vault(&self) -> anyhow::Result<Arc<Vault>> {
        let path = self.directory()?.join(state::SEALING_KEY);
        Ok(Arc::new(Vault::open(&path)?))
    }

    /// Where people find the gateway: what the arguments say, else the configuration, else the address that it listens on.
    pub(crate) fn public_url(&self, named: &admin::Base) -> anyhow::Result<Url> {
        let url = match &named.url {
            Some(url) => url.clone(),
            None => derived(self.excerpt()?.listen)?,
        };
        if let Err(error) = issuer_of(&url) {
            return Err(WrongRequest(error.to_string()).into());
        }
        Ok(url)
    }

    /// The names of the configured servers; `None` without a configuration.
    pub(crate) fn servers(&self) -> anyhow::Result<Option<Vec<String>>> {
        let servers = self.excerpt()?.servers;
        Ok(servers.map(|servers| servers.into_keys().collect()))
    }

    /// The state directory, which is made if it is not there.
    pub(crate) fn directory(&self) -> anyhow::Result<PathBuf> {
        let directory = match &self.args.state_dir {
            Some(directory) => directory.clone(),
            None => match self.excerpt()?.state.directory {
                Some(directory) => directory,
                None => default_directory(self.environment)?,
            },
        };
        state::make(&directory)?;
        Ok(directory)
    }

    fn excerpt(&self) -> anyhow::Result<Excerpt> {
        let here = std::env::current_dir().context("the working directory cannot be found out")?;
        let named = self.args.config.as_deref();
        let Ok(path) = search::find(named, &here, self.environment) else {
            return Ok(Excerpt::default());
        };
        if let Some(excerpt) = plain(&path) {
            return Ok(excerpt);
        }
        // There are references in it, or mistakes, which this names.
        let loaded = load(&path, self.environment, None, |_, _| Vec::new())?;
        Ok(Excerpt::deserialize(serde_json::to_value(&loaded.config)?)?)
    }
}

/// What stands in the file, if it is written out there.
fn plain(path: &std::path::Path) -> Option<Excerpt> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut excerpt: Excerpt = toml::from_str(&text).ok()?;
    excerpt.servers.get_or_insert_default();
    if let Some(directory) = &mut excerpt.state.directory {
        if directory.to_str()?.contains("${") {
            return None;
        }
        *directory = path.parent()?.join(&*directory);
    }
    Some(excerpt)
}

fn derived(listen: Listen) -> anyhow::Result<Url> {
    if let Some(url) = listen.public_url {
        return Ok(url);
    }
    let address = listen
        .address
        .unwrap_or_else(|| portcullis_proxy::config::Listen::default().address);
    if address.port() == 0 || address.ip().is_unspecified() {
        let message = format!(
            "nobody can open the address `{address}` that the gateway listens on; \
             say where it is by `--url URL`"
        );
        return Err(WrongRequest(message).into());
    }
    let scheme = if listen.tls.is_some() {
        "https"
    } else {
        "http"
    };
    Ok(Url::parse(&format!("{scheme}://{address}"))?)
}
