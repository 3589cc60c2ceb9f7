//! A session of a legacy client: what `initialize` established, and what is under way for it
//! (MCP 2025-11-25, transports, "Session Management").

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_mcp::{Id, Outcome, ServerName, Version, encode_notification, encode_request};
use portcullis_pipeline::Principal;
use tokio::sync::oneshot;

use crate::caller::client_name;
use crate::calls::Calls;
use crate::link::{Link, LinkSlot};
use crate::listen::Watch;
use crate::route::Route;
use crate::seal::{NoRandomness, random_id};
use crate::stream::Stream;
use crate::upstream::Profile;

/// Event streams of one session that are kept for a resume.
const STREAMS_KEPT_MAX: usize = 16;

/// A session of a legacy client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) principal: Principal,
    pub(crate) route: Route,
    pub(crate) version: Version,
    pub(crate) profile: Arc<Profile>,
    /// What the client calls itself.
    pub(crate) client: Option<Box<str>>,
    /// What the client has asked for and not got yet.
    pub(crate) calls: Arc<Calls>,
    /// What belongs to no request: over HTTP the GET stream, over stdio the output itself.
    standing: OnceLock<Arc<Stream>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: Instant,
    links: Vec<(ServerName, LinkSlot)>,
    asked: i64,
    asks: HashMap<i64, oneshot::Sender<Outcome>>,
    streams: VecDeque<(u32, Arc<Stream>)>,
    streams_made: u32,
    log_level: Option<Box<str>>,
    watch: Option<Box<Watch>>,
    /// Whether the client wants to hear what belongs to no request.
    stands: bool,
    /// Resources subscribed to at servers by the session's own links.
    subscribed: BTreeSet<(ServerName, String)>,
}

/// A request to the client that waits for its response.
#[derive(Debug)]
pub(crate) struct PendingAsk {
    session: Arc<Session>,
    id: i64,
    response: oneshot::Receiver<Outcome>,
}

impl PendingAsk {
    /// The client's response; `None` when the session ended first.
    pub(crate) async fn response(mut self) -> Option<Outcome> {
        (&mut self.response).await.ok()
    }
}

impl Drop for PendingAsk {
    fn drop(&mut self) {
        self.session.state.lock().asks.remove(&self.id);
    }
}

impl Session {
    fn new(
        id: String,
        principal: Principal,
        route: Route,
        version: Version,
        profile: Profile,
        now: Instant,
    ) -> Self {
        Self {
            id,
            principal,
            route,
            version,
            client: client_name(&profile.client_info),
            profile: Arc::new(profile),
            calls: Arc::default(),
            standing: OnceLock::new(),
            state: Mutex::new(State {
                used: now,
                links: Vec::new(),
                asked: 0,
                asks: HashMap::new(),
                streams: VecDeque::new(),
                streams_made: 0,
                log_level: None,
                watch: None,
                stands: false,
                subscribed: BTreeSet::new(),
            }),
        }
    }

    /// The session of a client at the other end of a pipe, whose messages all go to `output`.
    pub(crate) fn over_pipe(
        principal: Principal,
        route: Route,
        version: Version,
        profile: Profile,
        output: Arc<Stream>,
        now: Instant,
    ) -> Arc<Self> {
        let session = Self::new(String::new(), principal, route, version, profile, now);
        let session = Arc::new(session);
        session.standing.get_or_init(|| output);
        session
    }

    pub(crate) fn touch(&self, now: Instant) {
        self.state.lock().used = now;
    }

    fn is_idle(&self, now: Instant, life: Duration) -> bool {
        let state = self.state.lock();
        self.calls.is_empty() && now.saturating_duration_since(state.used) > life
    }

    /// The stream for what belongs to no request.
    pub(crate) fn standing(&self) -> &Arc<Stream> {
        self.standing.get_or_init(Stream::standing)
    }

    /// Sends a notification that belongs to no request.
    pub(crate) fn notify(&self, method: &str, params: Option<&[u8]>) {
        self.standing().notify(encode_notification(method, params));
    }

    /// The slot for the session's own link to a server.
    pub(crate) fn link_slot(&self, server: &ServerName) -> LinkSlot {
        let mut state = self.state.lock();
        if let Some((_, slot)) = state.links.iter().find(|(name, _)| name == server) {
            return Arc::clone(slot);
        }
        let slot = LinkSlot::default();
        state.links.push((server.clone(), Arc::clone(&slot)));
        slot
    }

    /// Forgets a link that has closed, unless another has taken its place.
    pub(crate) fn forget_link(&self, server: &ServerName, slot: &LinkSlot) {
        let mut state = self.state.lock();
        state
            .links
            .retain(|(name, held)| name != server || !Arc::ptr_eq(held, slot));
    }

    /// The slots of all links that the session has made.
    pub(crate) fn links(&self) -> Vec<LinkSlot> {
        self.state
            .lock()
            .links
            .iter()
            .map(|(_, slot)| Arc::clone(slot))
            .collect()
    }

    /// Sends the client a request on `stream`.
    pub(crate) fn ask(
        self: &Arc<Self>,
        stream: &Stream,
        method: &str,
        params: Option<&[u8]>,
    ) -> PendingAsk {
        let (sender, response) = oneshot::channel();
        let id = {
            let mut state = self.state.lock();
            state.asked += 1;
            let id = state.asked;
            state.asks.insert(id, sender);
            id
        };
        stream.push(encode_request(&Id::Number(id), method, params));
        PendingAsk {
            session: Arc::clone(self),
            id,
            response,
        }
    }

    /// Takes the client's response to a request of ours; whether there was such a request.
    pub(crate) fn answered(&self, id: &Id, outcome: Outcome) -> bool {
        let Id::Number(id) = id else { return false };
        let Some(sender) = self.state.lock().asks.remove(id) else {
            return false;
        };
        sender.send(outcome).is_ok()
    }

    /// A new event stream that answers a request of this session.
    pub(crate) fn new_stream(&self) -> Arc<Stream> {
        let mut state = self.state.lock();
        state.streams_made += 1;
        Stream::resumable(state.streams_made)
    }

    /// Keeps an event stream so that the client can take it up again.
    pub(crate) fn keep_stream(&self, stream: &Arc<Stream>) {
        let Some(number) = stream.number() else {
            return;
        };
        let mut state = self.state.lock();
        if state.streams.len() >= STREAMS_KEPT_MAX {
            let done = state.streams.iter().position(|(_, kept)| kept.is_done());
            if state.streams.remove(done.unwrap_or(0)).is_none() {
                return;
            }
        }
        state.streams.push_back((number, Arc::clone(stream)));
    }

    /// The stream with that number, if it is still kept.
    pub(crate) fn stream(&self, number: u32) -> Option<Arc<Stream>> {
        if number == 0 {
            return self.standing.get().cloned();
        }
        let state = self.state.lock();
        state
            .streams
            .iter()
            .find(|(kept, _)| *kept == number)
            .map(|(_, stream)| Arc::clone(stream))
    }

    pub(crate) fn log_level(&self) -> Option<Box<str>> {
        self.state.lock().log_level.clone()
    }

    pub(crate) fn set_log_level(&self, level: &str) {
        self.state.lock().log_level = Some(level.into());
    }

    /// Takes note that the client wants to hear what belongs to no request.
    pub(crate) fn stand(&self) {
        self.state.lock().stands = true;
    }

    pub(crate) fn stands(&self) -> bool {
        self.state.lock().stands
    }

    /// Takes note of a subscription that a server has taken from the session's own link, or of its end.
    pub(crate) fn note_subscription(
        &self,
        server: &ServerName,
        uri: &str,
        wanted: bool,
        most: usize,
    ) {
        let mut state = self.state.lock();
        let subscription = (server.clone(), uri.to_owned());
        if !wanted {
            state.subscribed.remove(&subscription);
        } else if state.subscribed.len() < most {
            state.subscribed.insert(subscription);
        }
    }

    /// The resources that the session is subscribed to at a server by a link of its own.
    pub(crate) fn subscribed(&self, server: &ServerName) -> Vec<String> {
        let state = self.state.lock();
        let own = state.subscribed.iter().filter(|(name, _)| name == server);
        own.map(|(_, uri)| uri.clone()).collect()
    }

    /// What the session watches at servers of the modern era.
    pub(crate) fn with_watch<T>(&self, change: impl FnOnce(&mut Watch) -> T) -> T {
        change(self.state.lock().watch.get_or_insert_default())
    }

    /// Ends everything under way; the links that were the session's own.
    pub(crate) fn end(&self) -> Vec<Arc<Link>> {
        self.calls.cancel_all();
        let (asks, links, watch) = {
            let mut state = self.state.lock();
            (
                std::mem::take(&mut state.asks),
                std::mem::take(&mut state.links),
                state.watch.take(),
            )
        };
        drop((asks, watch));
        if let Some(standing) = self.standing.get() {
            standing.finish();
        }
        links
            .iter()
            .filter_map(|(_, slot)| slot.get().cloned())
            .collect()
    }
}

/// All sessions of legacy clients.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: Mutex<HashMap<String, Arc<Session>>>,
}

/// Why no session was begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSession {
    #[error("the principal has too many sessions")]
    Full,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Sessions {
    /// Begins a session.
    pub(crate) fn begin(
        &self,
        principal: Principal,
        route: Route,
        version: Version,
        profile: Profile,
        now: Instant,
        sessions_max: usize,
    ) -> Result<Arc<Session>, NoSession> {
        let id = random_id()?;
        let mut by_id = self.by_id.lock();
        // Counting walks the table only when it could be full.
        if by_id.len() >= sessions_max
            && by_id.values().filter(|s| s.principal == principal).count() >= sessions_max
        {
            return Err(NoSession::Full);
        }
        let session = Arc::new(Session::new(
            id.clone(),
            principal,
            route,
            version,
            profile,
            now,
        ));
        by_id.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The session with that id, if it belongs to the principal and the route.
    pub(crate) fn get(
        &self,
        id: &str,
        principal: &Principal,
        route: &Route,
    ) -> Option<Arc<Session>> {
        let by_id = self.by_id.lock();
        by_id
            .get(id)
            .filter(|s| s.principal == *principal && s.route == *route)
            .cloned()
    }

    /// Ends a session.
    pub(crate) fn end(&self, session: &Session) {
        let removed = self.by_id.lock().remove(&session.id);
        if let Some(session) = removed {
            drop(session.end());
        }
    }

    /// Ends the sessions that have been idle for longer than `life`.
    pub(crate) fn expire(&self, now: Instant, life: Duration) {
        let idle: Vec<Arc<Session>> = {
            let mut by_id = self.by_id.lock();
            let idle = by_id.extract_if(|_, session| session.is_idle(now, life));
            idle.map(|(_, session)| session).collect()
        };
        for session in idle {
            drop(session.end());
        }
    }

    /// Ends all sessions; the links that were theirs.
    pub(crate) fn end_all(&self) -> Vec<Arc<Link>> {
        let all = std::mem::take(&mut *self.by_id.lock());
        all.values().flat_map(|session| session.end()).collect()
    }
}

/// What a legacy client said of itself, as bytes of JSON objects.
pub(crate) fn profile(version: Version, capabilities: Bytes, client_info: Bytes) -> Profile {
    Profile {
        version: Some(version),
        capabilities,
        client_info,
        log_level: None,
    }
}
