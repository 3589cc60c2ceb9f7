//! Puts the crates together: everything that a gateway is built on, and a gateway from it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use parking_lot::Mutex;
use portcullis_egress::Egress;
use portcullis_oauth::client::{self, Credentials};
use portcullis_oauth::vault::Vault;
use portcullis_pipeline::Pipeline;
use portcullis_pipeline::permissions::Learnt;
use portcullis_policy::PolicyFile;
use portcullis_proxy::config::auth;
use portcullis_proxy::upstream::Local;
use portcullis_proxy::{Access, AskAt, Asking, Clock, Parts, Runtime, Terminal, Webhook};
use portcullis_sandbox::Sandbox;
use portcullis_store::{Durability, Store};
use serde_json::Value as Json;

use crate::access;
use crate::config::{self, Config};
use crate::environment::Environment;
use crate::packages;
use crate::permissions;
use crate::profile::{self, Settled};
use crate::reached::Reached;
use crate::state::{DATABASE, SEALING_KEY, StateDirectory};

/// The hidden command that guards a local server; see [`portcullis_sandbox::guard_main`].
pub(crate) const GUARD: &str = "__guard";

/// What outlives a reload.
#[derive(Debug)]
pub(crate) struct Wiring {
    store: Store,
    vault: Arc<Vault>,
    egress: Egress,
    /// What the permission model has learnt.
    learnt: Arc<Learnt>,
    sandbox: Sandbox,
    reached: Reached,
    environment: Environment,
    /// Where the person at the client is asked about calls.
    ask: AskAt,
    /// Where that is the terminal.
    terminal: Option<Terminal>,
    /// The servers' credentials, and what they were built from: a reload that leaves that as it is leaves them in use.
    credentials: Mutex<Option<(Json, Arc<Credentials>)>>,
    /// The door, and what it was built from. It remembers failures and proofs that were seen, which a reload must not forget.
    door: Mutex<Option<(Json, Arc<Access>)>>,
    /// Last, so that it is given up when nothing uses it any more.
    state: StateDirectory,
}

impl Wiring {
    /// Opens the database in `state`, and everything else that does not change with the servers.
    pub(crate) async fn open(
        config: &Config,
        state: StateDirectory,
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        let settings = portcullis_store::Settings {
            durability: match config.record.durability {
                config::Durability::Process => Durability::Process,
                config::Durability::Power => Durability::Power,
            },
            ..portcullis_store::Settings::default()
        };
        let store = Store::open(&state.path().join(DATABASE), settings)?;
        let learnt = Arc::new(permissions::learnt(&store).await?);
        Ok(Self {
            reached: Reached::begin(store.clone()),
            store,
            learnt,
            vault: Arc::new(Vault::open(&state.path().join(SEALING_KEY))?),
            egress: config.egress.build()?,
            sandbox: Sandbox::new(vec![own_binary()?, OsString::from(GUARD)]),
            environment: environment.clone(),
            ask: AskAt::default(),
            terminal: None,
            credentials: Mutex::default(),
            door: Mutex::default(),
            state,
        })
    }

    /// The same, which asks the person at the client there, or at `terminal`.
    pub(crate) fn asking_at(self, ask: AskAt, terminal: Option<Terminal>) -> Self {
        Self {
            ask,
            terminal,
            ..self
        }
    }

    /// Builds the door of a gateway that listens on `address`.
    pub(crate) async fn access(
        &self,
        config: &Config,
        address: SocketAddr,
    ) -> anyhow::Result<Arc<Access>> {
        let credentials = self.credentials(config, address)?;
        let source = serde_json::to_value((
            access::public_url(config, address)?,
            &config.oauth,
            access::scopes(config),
            config.servers.keys().collect::<Vec<_>>(),
            &config.listen.tls,
        ))?;
        if let Some((known, access)) = &*self.door.lock()
            && *known == source
            && are_same(access.credentials.as_ref(), credentials.as_ref())
        {
            return Ok(Arc::clone(access));
        }
        let on = access::Foundation {
            store: &self.store,
            egress: &self.egress,
            vault: &self.vault,
            credentials,
        };
        let access = Arc::new(access::build(config, address, on).await?);
        *self.door.lock() = Some((source, Arc::clone(&access)));
        Ok(access)
    }

    /// Builds what serves clients by `config` and its `policies`, who enter by `access` if there is a listener. What `previous` holds for them goes on.
    pub(crate) fn build(
        &self,
        config: &Config,
        policies: &[PolicyFile],
        access: Option<Arc<Access>>,
        previous: Option<&Runtime>,
    ) -> anyhow::Result<Arc<Runtime>> {
        let Settled { servers, grants } = self.settle(config)?;
        let config = &Config {
            servers,
            ..config.clone()
        };
        let limits = &config.limits;
        let settings = portcullis_pipeline::Settings {
            params_bytes_max: limits.request_bytes_max.get(),
            result_bytes_max: limits.response_bytes_max.get(),
            ..portcullis_pipeline::Settings::default()
        };
        let scopes = access::scope_map(&access::scopes(config))?;
        let permissions = permissions::build(
            config,
            policies,
            &self.environment,
            &self.egress,
            Arc::clone(&self.learnt),
        )?;
        let pipeline = Pipeline::new(settings, permissions, self.store.clone());
        let parts = Parts {
            pipeline: Arc::new(pipeline.with_scopes(scopes)),
            credentials: match &access {
                Some(access) => access.credentials.clone(),
                None => self.credentials(config, config.listen.address)?,
            },
            access,
            asking: self.asking(config)?,
            local: self.local(),
            grants,
            clock: Clock::new(crate::clock::now_ms),
            environment: self.environment.text(),
        };
        Ok(Arc::new(Runtime::build(&config.proxy(), parts, previous)?))
    }

    /// The servers of `config` as they are started, and what each local one is granted.
    fn settle(&self, config: &Config) -> anyhow::Result<Settled> {
        let directory = std::env::current_dir();
        let place = profile::Place {
            home: profile::home(&self.environment),
            directory: &directory.context("the working directory cannot be found out")?,
            state: &std::path::absolute(self.state.path())?,
        };
        // What several gateways of one directory install is the same.
        let base = match place.state.parent() {
            Some(parent) if self.state.is_temporary() => parent,
            _ => place.state,
        };
        let parts = packages::Parts::new(self.local(), base, config, &self.environment);
        profile::settle(config, place, &parts)
    }

    /// What local servers are started by.
    fn local(&self) -> Local {
        Local {
            sandbox: self.sandbox.clone(),
            egress: self.egress.clone(),
            now_ms: crate::clock::now_ms,
            record: self.reached.recorder(),
        }
    }

    fn asking(&self, config: &Config) -> anyhow::Result<Asking> {
        let approvals = &config.policy.approvals;
        let webhook = approvals.webhook.as_ref().map(|webhook| {
            let config::policy::Webhook {
                url,
                secret,
                arguments,
            } = webhook;
            Webhook::new(url, secret, *arguments, &self.egress)
        });
        Ok(Asking {
            at: self.ask,
            terminal: self.terminal.clone(),
            webhook: webhook.transpose()?,
            approver_groups: approvals.approver_groups.iter().cloned().collect(),
        })
    }

    /// The servers' credentials by the configuration of a gateway that listens on `address`; `None` where no server needs any.
    fn credentials(
        &self,
        config: &Config,
        address: SocketAddr,
    ) -> anyhow::Result<Option<Arc<Credentials>>> {
        let base = access::public_url(config, address)?;
        let servers: Vec<_> = config
            .servers
            .iter()
            .map(|(name, server)| (name, &server.url, &server.auth))
            .collect();
        let source = serde_json::to_value((&base, &config.credentials, servers))?;
        let mut held = self.credentials.lock();
        if let Some((known, credentials)) = &*held
            && *known == source
        {
            return Ok(Some(Arc::clone(credentials)));
        }
        let Some(settings) = settings(config)? else {
            return Ok(None);
        };
        let parts = client::Parts {
            store: self.store.clone(),
            vault: Arc::clone(&self.vault),
            egress: self.egress.clone(),
            public_url: base,
            assertion_key: None,
        };
        let credentials = Arc::new(Credentials::build(settings, parts)?);
        *held = Some((source, Arc::clone(&credentials)));
        Ok(Some(credentials))
    }

    /// Writes what is left to be recorded, and gives the state directory up.
    pub(crate) async fn close(self) {
        self.reached.end().await;
        self.store.close().await;
    }
}

fn are_same(one: Option<&Arc<Credentials>>, other: Option<&Arc<Credentials>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// What the credentials of all servers are made of; `None` where no server needs any.
pub(crate) fn settings(config: &Config) -> anyhow::Result<Option<client::settings::Config>> {
    auth::settings(&config.credentials, &config.servers)
        .map_err(|(name, invalid)| anyhow::anyhow!("server `{name}`: {invalid}"))
}

/// This program, so that it can be executed again. On Linux by the kernel's own link, which is
/// right even after an upgrade has replaced the file.
pub(crate) fn own_binary() -> anyhow::Result<OsString> {
    if cfg!(target_os = "linux") {
        return Ok(OsString::from("/proc/self/exe"));
    }
    let path = std::env::current_exe().map(PathBuf::into_os_string);
    path.context("the path of this program cannot be found out")
}
