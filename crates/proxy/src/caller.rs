//! Who sends a request, over what, and on what terms.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use portcullis_mcp::{Era, ServerName, Version, member, string};
use portcullis_oauth::identity::Identity;
use portcullis_pipeline::{Principal, RequestId, Timestamp};

use crate::link::Link;
use crate::peer::Peer;
use crate::reply::Refusal;
use crate::route::Route;
use crate::runtime::Runtime;
use crate::session::Session;
use crate::stream::Stream;
use crate::upstream::Profile;

/// A client's request, less its message: who sends it, and where answers go.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The runtime that the request began with; a reload does not change it.
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) principal: Principal,
    /// What the principal is known by, and where from, when it is known by a token.
    pub(crate) credential: Option<Box<(Peer, Arc<Identity>)>>,
    pub(crate) route: Route,
    pub(crate) version: Version,
    pub(crate) profile: Arc<Profile>,
    /// The session of a client of the legacy era.
    pub(crate) session: Option<Arc<Session>>,
    /// Where notifications and requests to the client go that belong to this request.
    pub(crate) stream: Arc<Stream>,
    pub(crate) request_id: RequestId,
    /// The head of a modern HTTP request, whose `Mcp-Param-*` fields have to agree with its body.
    pub(crate) headers: Option<HeaderMap>,
}

/// A fresh identifier for a request.
pub(crate) fn request_id(now: Timestamp) -> RequestId {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // It need not be a secret, only unlike the others.
    RequestId::generate(now).unwrap_or_else(|_no_randomness| {
        RequestId::new(now, COUNT.fetch_add(1, Ordering::Relaxed).into())
    })
}

/// What is known of a client that has not said anything of itself.
pub(crate) fn unknown_profile() -> Profile {
    let nothing = Bytes::from_static(b"{}");
    Profile {
        version: None,
        capabilities: nothing.clone(),
        client_info: nothing,
        log_level: None,
    }
}

/// The name that a client gives itself: recorded, and never a reason for anything.
pub(crate) fn client_name(client_info: &[u8]) -> Option<Box<str>> {
    let name = member(client_info, "name").and_then(string)?;
    let version = member(client_info, "version").and_then(string);
    let text = version.map_or_else(|| name.to_string(), |version| format!("{name}/{version}"));
    Some(text.chars().take(128).collect::<String>().into_boxed_str())
}

impl Caller {
    pub(crate) fn era(&self) -> Era {
        self.version.era()
    }

    /// What the client calls itself.
    pub(crate) fn client_name(&self) -> Option<Box<str>> {
        match &self.session {
            Some(session) => session.client.clone(),
            None => client_name(&self.profile.client_info),
        }
    }

    /// Checks that the client may hear of a resource.
    pub(crate) fn check_hearing(&self, server: &ServerName, uri: &str) -> Result<(), Refusal> {
        let now = self.runtime.clock.now();
        let pipeline = &self.runtime.pipeline;
        let asked = pipeline.check_hearing(&self.principal, server, uri, now);
        asked.map_err(Refusal::Denied)
    }

    /// Whether an entry of a list is of any use to the client: whether some request for it could be let through.
    pub(crate) fn may_use(&self, server: &ServerName, list: &str, own: &str) -> bool {
        let pipeline = &self.runtime.pipeline;
        pipeline.offers(&self.principal, server, list, own, self.runtime.clock.now())
    }

    /// Whether the client has declared an extension.
    pub(crate) fn declares_extension(&self, extension: &str) -> bool {
        member(&self.profile.capabilities, "extensions")
            .is_some_and(|extensions| member(extensions, extension).is_some())
    }

    /// The same caller, for a task that listens beside the request.
    pub(crate) fn for_listening(&self) -> Self {
        Self {
            runtime: Arc::clone(&self.runtime),
            principal: self.principal.clone(),
            credential: None,
            route: self.route.clone(),
            version: self.version,
            profile: Arc::clone(&self.profile),
            // A listener must not keep a session alive.
            session: None,
            stream: Arc::clone(&self.stream),
            request_id: self.request_id,
            headers: None,
        }
    }

    /// What a server is told of the client with each request: for a legacy client that includes the log level of its session.
    pub(crate) fn profile_for(&self, link: &Link) -> Arc<Profile> {
        if link.era() == Era::Modern
            && let Some(session) = &self.session
            && let Some(level) = session.log_level()
        {
            return Arc::new(Profile {
                log_level: Some(level),
                ..Profile::clone(&self.profile)
            });
        }
        Arc::clone(&self.profile)
    }
}
