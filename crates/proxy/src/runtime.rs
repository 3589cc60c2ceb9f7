//! Everything built from one configuration, and what outlives a reload of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use parking_lot::Mutex;
use portcullis_mcp::ServerName;
use portcullis_oauth::client::Credentials;
use portcullis_pipeline::{Pipeline, PrincipalKind};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::asking::{Asking, gives_tickets};
use crate::authenticate::{Authenticator, InvalidClient};
use crate::bridge::Parked;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::config::auth::{Auth, Connection as Connected};
use crate::config::{Config, Limits};
use crate::guard::{Guard, InvalidGuard};
use crate::handles::Handles;
use crate::link::{Links, Tools};
use crate::lists::ListCache;
use crate::seal::{NoRandomness, Sealer};
use crate::session::Sessions;
use crate::upstream::{
    Connection, Credential, Grants, Hello, InvalidServer, Local, Spec, Upstream,
};

/// What the message path is built on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Decides on each message.
    pub pipeline: Arc<Pipeline>,
    /// Who may enter by a token, and how they come by one; `None` where there is no listener.
    pub access: Option<Arc<Access>>,
    /// The gateway's credentials toward its servers; `None` where no server needs any.
    pub credentials: Option<Arc<Credentials>>,
    /// How people are asked about calls.
    pub asking: Asking,
    /// The way out, and what local servers are started by.
    pub local: Local,
    /// What each local server is granted.
    pub grants: BTreeMap<ServerName, Grants>,
    /// The time of day.
    pub clock: Clock,
    /// The gateway's own environment, of which local servers see what the configuration names.
    pub environment: BTreeMap<String, String>,
}

/// Everything built from one configuration.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) servers: BTreeMap<ServerName, Arc<Server>>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) limits: Limits,
    pub(crate) guard: Guard,
    pub(crate) authenticator: Authenticator,
    pub(crate) asking: Asking,
    /// Whether whoever has the link to a question may answer it.
    pub(crate) tickets: bool,
    pub(crate) clock: Clock,
    pub(crate) shared: Arc<Shared>,
}

/// What outlives a reload: sessions, links, and what clients hold handles to.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) sessions: Sessions,
    pub(crate) links: Links,
    pub(crate) parked: Handles<Parked>,
    pub(crate) sealer: Sealer,
    pub(crate) requests: Gauge,
    pub(crate) streams: Streams,
    /// Cancelled when the gateway begins to shut down: what would last for ever ends.
    pub(crate) ending: CancellationToken,
    /// Cancelled when what is still in progress at shutdown gets no more time.
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: crate::bridge::TaskOwners,
}

/// One configured server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: ServerName,
    pub(crate) settings: crate::config::Server,
    /// Those of a local server.
    grants: Option<Grants>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) lists: ListCache,
    /// Where the server has a credential of its own.
    credentials: Option<Arc<Credentials>>,
    hello: Mutex<Option<Arc<Hello>>>,
    tools: Mutex<Option<Arc<Tools>>>,
}

/// Why a configuration cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A server's name does not fit.
    #[error(
        "`{0}` is not a server name; write a letter, then letters, digits or `-`, at most 32, in lower case"
    )]
    ServerName(String),
    /// A server's entry does not fit.
    #[error("server `{name}`: {source}")]
    Server {
        /// The server's name.
        name: ServerName,
        /// What does not fit.
        source: InvalidServer,
    },
    /// A server's credential has nowhere to come from.
    #[error("server `{0}`: its `auth` has nowhere to come from")]
    NoCredentials(ServerName),
    /// A `Host` or `Origin` does not fit.
    #[error(transparent)]
    Guard(#[from] InvalidGuard),
    /// A client does not fit.
    #[error(transparent)]
    Client(#[from] InvalidClient),
    /// A listener that others could reach without TLS or without authentication.
    #[error(
        "`listen.address` is not a loopback address; set `listen.tls` and at least one entry in `clients`, or listen on 127.0.0.1"
    )]
    Exposed,
    /// No random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Server {
    /// What the server said of itself when it was last connected.
    pub(crate) fn hello(&self) -> Option<Arc<Hello>> {
        self.hello.lock().clone()
    }

    /// Takes note of what the server has said of itself.
    pub(crate) fn connected(&self, connection: &Connection) {
        let hello = connection.hello();
        let mut known = self.hello.lock();
        if known
            .as_ref()
            .is_none_or(|known| known.raw != hello.raw || known.era != hello.era)
        {
            *known = Some(Arc::new(hello.clone()));
        }
    }

    /// The credential that a connection on behalf of `caller` shows.
    pub(crate) fn credential(&self, caller: &Caller) -> Option<Credential> {
        let credentials = self.credentials.as_ref()?;
        let is_shared = matches!(
            self.settings.auth,
            Some(Auth::Oauth {
                connection: Connected::Shared,
                ..
            })
        );
        // A page that nobody can log in to is of no use.
        let access = caller.runtime.authenticator.access();
        let has_login = access.is_some_and(|access| access.login.is_some());
        let is_known = is_shared || caller.principal.kind == PrincipalKind::User;
        Some(Credential {
            credentials: Arc::clone(credentials),
            server: self.name.clone(),
            holder: caller.principal.holder(),
            by_browser: has_login && is_known,
            clock: caller.runtime.clock,
        })
    }

    /// Whether it can go on under settings that were read anew.
    fn is_as(&self, settings: &crate::config::Server, parts: &Parts) -> bool {
        let same_credentials = match (&self.credentials, &parts.credentials) {
            (Some(own), Some(given)) => Arc::ptr_eq(own, given),
            (own, _) => own.is_none(),
        };
        let same_grants = self.grants.as_ref() == parts.grants.get(&self.name);
        self.settings == *settings && same_grants && same_credentials
    }

    /// What the server has last listed on any connection.
    pub(crate) fn tools(&self) -> Option<Arc<Tools>> {
        self.tools.lock().clone()
    }

    pub(crate) fn learn(&self, tools: &Arc<Tools>) {
        *self.tools.lock() = Some(Arc::clone(tools));
    }

    pub(crate) fn forget_tools(&self) {
        *self.tools.lock() = None;
    }
}

impl Runtime {
    /// Builds everything from a configuration. What `previous` holds for clients goes on; servers whose entries are
    /// unchanged keep their connections.
    pub fn build(
        config: &Config,
        parts: Parts,
        previous: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let authenticator = Authenticator::build(
            &config.clients,
            config.listen.without_credential,
            parts.access.clone(),
        )?;
        if !config.listen.address.ip().is_loopback()
            && (config.listen.tls.is_none() || !authenticator.knows_anybody())
        {
            return Err(BuildError::Exposed);
        }
        let mut servers = BTreeMap::new();
        for (name, settings) in &config.servers {
            let name: ServerName = name
                .parse()
                .map_err(|_invalid| BuildError::ServerName(name.clone()))?;
            let kept = previous
                .and_then(|previous| previous.servers.get(&name))
                .filter(|server| server.is_as(settings, &parts));
            let server = match kept {
                Some(server) => Arc::clone(server),
                None => Arc::new(Self::server(&name, settings, config, &parts)?),
            };
            servers.insert(name, server);
        }
        let shared = match previous {
            Some(previous) => Arc::clone(&previous.shared),
            None => Arc::new(Shared {
                sessions: Sessions::default(),
                links: Links::default(),
                parked: Handles::new(),
                sealer: Sealer::new()?,
                requests: Gauge::default(),
                streams: Streams::default(),
                ending: CancellationToken::new(),
                stopping: CancellationToken::new(),
                tasks: crate::bridge::TaskOwners::default(),
            }),
        };
        Ok(Self {
            servers,
            pipeline: parts.pipeline,
            limits: config.limits.clone(),
            guard: Guard::build(&config.listen)?,
            authenticator,
            asking: parts.asking,
            tickets: gives_tickets(&config.listen, parts.access.as_deref()),
            clock: parts.clock,
            shared,
        })
    }

    fn server(
        name: &ServerName,
        settings: &crate::config::Server,
        config: &Config,
        parts: &Parts,
    ) -> Result<Server, BuildError> {
        let grants = parts.grants.get(name);
        let spec = Spec::build(name.clone(), settings, grants, &config.limits, |key| {
            parts.environment.get(key).cloned()
        })
        .map_err(|source| BuildError::Server {
            name: name.clone(),
            source,
        })?;
        let credentials = match (&settings.auth, &parts.credentials) {
            (None, _) => None,
            (Some(_), Some(credentials)) => Some(Arc::clone(credentials)),
            // Without what it is to be sent with, nothing is sent.
            (Some(_), None) => return Err(BuildError::NoCredentials(name.clone())),
        };
        Ok(Server {
            name: name.clone(),
            credentials,
            settings: settings.clone(),
            grants: grants.cloned(),
            upstream: Upstream::new(spec, parts.local.clone()),
            lists: ListCache::default(),
            hello: Mutex::new(None),
            tools: Mutex::new(None),
        })
    }

    /// The names of the configured servers, in order.
    pub fn server_names(&self) -> impl Iterator<Item = &ServerName> {
        self.servers.keys()
    }

    /// Ends all sessions and closes all connections to servers.
    pub(crate) async fn close(&self) {
        let links = self.shared.links.take_all().into_iter();
        let links: Vec<_> = links.chain(self.shared.sessions.end_all()).collect();
        self.shared.parked.clear();
        join_all(links.iter().map(|link| link.connection.close())).await;
    }
}

/// Counts the event streams of each principal.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<Arc<str>, Gauge>>);

impl Streams {
    /// Counts one more stream of `principal`, unless it has `most` already.
    pub(crate) fn enter(&self, principal: &Arc<str>, most: usize) -> Option<Counted> {
        let mut gauges = self.0.lock();
        gauges.retain(|_, gauge| gauge.count() > 0);
        gauges.entry(Arc::clone(principal)).or_default().enter(most)
    }
}

/// Counts how many of a thing there are, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Gauge(Arc<Level>);

#[derive(Debug, Default)]
struct Level {
    count: AtomicUsize,
    /// Told whenever the count falls to zero.
    idle: Notify,
}

/// One of the things that a [`Gauge`] counts.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Level>);

impl Gauge {
    /// Counts one more, unless there are `most` already.
    pub(crate) fn enter(&self, most: usize) -> Option<Counted> {
        let counted = Counted(Arc::clone(&self.0));
        // Counted first, so that dropping `counted` takes it back.
        let before = self.0.count.fetch_add(1, Ordering::AcqRel);
        (before < most).then_some(counted)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Waits until there is none.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.count() == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
