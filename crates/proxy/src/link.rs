//! A link: one upstream connection and whom it serves. A legacy client's session has links of its own; clients of
//! the modern era share one for each principal and set of declared capabilities, and a server of the modern era
//! needs only one for each principal.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_mcp::{Era, Object, Outcome, ServerName, method, quote};
use portcullis_pipeline::Catalog;
use tokio::sync::{broadcast, mpsc};

use crate::bridge::Asked;
use crate::caller::Caller;
use crate::config::Share;
use crate::federation;
use crate::listen;
use crate::outbound;
use crate::runtime::{Runtime, Server};
use crate::session::Session;
use crate::upstream::{Ask, Connection, Event, Profile, Reply, Unsolicited, UpstreamError};

/// Messages of a server that wait to be passed on.
const INBOX: usize = 64;
/// Changes that a slow listener may lag behind.
const CHANGES: usize = 256;

/// Where a link is, or will be once somebody needs it.
pub(crate) type LinkSlot = Arc<tokio::sync::OnceCell<Arc<Link>>>;

/// One upstream connection and whom it serves.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) server: Arc<Server>,
    pub(crate) connection: Arc<Connection>,
    owner: Owner,
    tools: Mutex<Option<Arc<Tools>>>,
    /// Requests in progress that can answer what the server asks beside its exchanges, the newest last.
    takers: Mutex<Vec<mpsc::WeakSender<(Ask, Reply)>>>,
    /// How many listeners want updates of each resource.
    subscribed: Mutex<HashMap<Box<str>, usize>>,
}

#[derive(Debug)]
enum Owner {
    Session(Weak<Session>),
    Shared(broadcast::Sender<Arc<Note>>),
}

/// A notification of a server that belongs to no request.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) method: Box<str>,
    pub(crate) params: Option<Bytes>,
}

/// The tool definitions that a server listed.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) catalog: Catalog,
    pub(crate) listed: Instant,
}

/// What a server asks beside its exchanges, for as long as somebody can answer.
#[derive(Debug)]
pub(crate) struct Questions(Option<Taker>);

/// Both ends: while the first is held, the second can be reached.
type Taker = (mpsc::Sender<(Ask, Reply)>, mpsc::Receiver<(Ask, Reply)>);

impl Questions {
    /// The next question; waits for ever where none can come.
    pub(crate) async fn next(&mut self) -> Option<(Ask, Reply)> {
        match &mut self.0 {
            Some((_, questions)) => questions.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// The links that are shared, by what they may be shared for.
#[derive(Debug, Default)]
pub(crate) struct Links {
    by_key: Mutex<HashMap<Key, Held>>,
}

#[derive(Debug)]
struct Held {
    slot: LinkSlot,
    used: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    server: ServerName,
    principal: Arc<str>,
    /// What the client declared, unless the server is told with each request.
    declared: Option<(Bytes, Option<Box<str>>)>,
}

impl Links {
    fn slot(&self, key: &Key, now: Instant) -> LinkSlot {
        let mut by_key = self.by_key.lock();
        if let Some(held) = by_key.get_mut(key) {
            held.used = now;
            return Arc::clone(&held.slot);
        }
        let slot = LinkSlot::default();
        by_key.insert(
            key.clone(),
            Held {
                slot: Arc::clone(&slot),
                used: now,
            },
        );
        slot
    }

    /// Puts a link where it belongs, unless there is another already.
    fn settle(&self, key: &Key, slot: &LinkSlot, now: Instant) {
        let held = || Held {
            slot: Arc::clone(slot),
            used: now,
        };
        self.by_key.lock().entry(key.clone()).or_insert_with(held);
    }

    fn forget(&self, key: &Key, slot: &LinkSlot) {
        let mut by_key = self.by_key.lock();
        if by_key
            .get(key)
            .is_some_and(|held| Arc::ptr_eq(&held.slot, slot))
        {
            by_key.remove(key);
        }
    }

    /// Lets go of links that nobody has used for `life`, and of those to servers that are no longer configured.
    pub(crate) fn expire(&self, runtime: &Runtime, now: Instant, life: Duration) {
        let gone: Vec<Held> = {
            let mut by_key = self.by_key.lock();
            let gone = by_key.extract_if(|key, held| {
                let current = runtime.servers.get(&key.server);
                let in_use = held.slot.get().is_some_and(|link| link.is_listened_to());
                let stale = held.slot.get().is_some_and(|link| {
                    link.connection.is_closed()
                        || !current.is_some_and(|server| Arc::ptr_eq(server, &link.server))
                });
                stale || (!in_use && now.saturating_duration_since(held.used) > life)
            });
            gone.map(|(_, held)| held).collect()
        };
        drop(gone);
    }

    /// Takes all links out.
    pub(crate) fn take_all(&self) -> Vec<Arc<Link>> {
        let all = std::mem::take(&mut *self.by_key.lock());
        all.into_values()
            .filter_map(|held| held.slot.get().cloned())
            .collect()
    }
}

/// Where a caller's link to a server is kept.
enum Place<'a> {
    Session(&'a Arc<Session>),
    Shared(Key),
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Session(own), Self::Session(other)) => Arc::ptr_eq(own, other),
            (Self::Shared(own), Self::Shared(other)) => own == other,
            _ => false,
        }
    }
}

impl Place<'_> {
    fn of<'a>(caller: &'a Caller, server: &Server) -> Place<'a> {
        let era = server.hello().map(|hello| hello.era);
        let share = server.settings.share;
        if let (Some(session), Share::Session) = (&caller.session, share)
            && era != Some(Era::Modern)
        {
            return Place::Session(session);
        }
        let declared = (era != Some(Era::Modern)).then(|| {
            (
                caller.profile.capabilities.clone(),
                caller.profile.log_level.clone(),
            )
        });
        Place::Shared(Key {
            server: server.name.clone(),
            principal: Arc::clone(caller.principal.identity()),
            declared,
        })
    }
}

impl Link {
    /// The caller's link to a server, connected if it is not yet.
    pub(crate) async fn to(
        caller: &Caller,
        server: &Arc<Server>,
    ) -> Result<Arc<Self>, UpstreamError> {
        let mut place = Place::of(caller, server);
        let now = Instant::now();
        let mut is_settled = false;
        loop {
            let slot = match &place {
                Place::Session(session) => session.link_slot(&server.name),
                Place::Shared(key) => caller.runtime.shared.links.slot(key, now),
            };
            let link = slot
                .get_or_try_init(|| Self::connect(caller, server, &place))
                .await?;
            let is_usable = !link.connection.is_closed() && Arc::ptr_eq(&link.server, server);
            // By now the server's era is known, and with it who may share the link.
            let settled = Place::of(caller, server);
            if is_usable && (is_settled || settled == place) {
                return Ok(Arc::clone(link));
            }
            if let (true, Place::Shared(key), Owner::Shared(_)) = (is_usable, &settled, &link.owner)
            {
                caller.runtime.shared.links.settle(key, &slot, now);
            }
            match &place {
                Place::Session(session) => session.forget_link(&server.name, &slot),
                Place::Shared(key) => caller.runtime.shared.links.forget(key, &slot),
            }
            // Once is enough, even for a server that says something else each time.
            is_settled = settled != place;
            place = settled;
        }
    }

    async fn connect(
        caller: &Caller,
        server: &Arc<Server>,
        place: &Place<'_>,
    ) -> Result<Arc<Self>, UpstreamError> {
        let (inbox, messages) = mpsc::channel(INBOX);
        let connection = server
            .upstream
            .connect(
                Arc::clone(&caller.profile),
                server.credential(caller),
                inbox,
            )
            .await?;
        server.connected(&connection);
        let owner = match place {
            // A server of the modern era turns out to need no link of the session's own.
            Place::Session(session) if connection.hello().era == Era::Legacy => {
                Owner::Session(Arc::downgrade(session))
            }
            _ => Owner::Shared(broadcast::Sender::new(CHANGES)),
        };
        let link = Arc::new(Self {
            server: Arc::clone(server),
            connection,
            owner,
            tools: Mutex::new(server.tools()),
            takers: Mutex::default(),
            subscribed: Mutex::default(),
        });
        tokio::spawn(pump(
            messages,
            Arc::downgrade(&link),
            Arc::clone(&caller.runtime),
        ));
        if let (Owner::Shared(_), Era::Legacy) = (&link.owner, link.era()) {
            // What the server asks of a client may come on a stream of its own.
            link.connection.open_stream();
        }
        let level = match &caller.session {
            Some(session) => session.log_level(),
            None => caller.profile.log_level.clone(),
        };
        if let (Some(level), Era::Legacy) = (level, link.era()) {
            link.set_level(&caller.runtime, &caller.profile, &level)
                .await;
        }
        if let Some(session) = link.session() {
            link.renew(&caller.runtime, &session).await;
        }
        Ok(link)
    }

    /// Asks a server that began anew for what the session had from the connection before: its stream and its subscriptions
    /// ended with that.
    async fn renew(self: &Arc<Self>, runtime: &Arc<Runtime>, session: &Session) {
        if session.stands() {
            self.connection.open_stream();
        }
        for uri in session.subscribed(&self.server.name) {
            let params = Some(listen::uri_params(&uri));
            let method_name = method::RESOURCES_SUBSCRIBE;
            let renewed = self
                .request(runtime, method_name, params, &session.profile)
                .await;
            if let Err(error) = renewed {
                tracing::warn!(server = %self.server.name, %error, "a subscription could not be renewed");
                return;
            }
        }
    }

    /// Tells a legacy server the least level of log messages that is wanted.
    pub(crate) async fn set_level(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        profile: &Arc<Profile>,
        level: &str,
    ) {
        if !self.declares("logging") {
            return;
        }
        let mut params = Object::new();
        params.set("level", quote(level));
        let params = Some(params.to_vec().into());
        if let Err(error) = self
            .request(runtime, method::LOGGING_SET_LEVEL, params, profile)
            .await
        {
            tracing::warn!(server = %self.server.name, %error, "the log level could not be set");
        }
    }

    /// Whether the server declares a capability.
    pub(crate) fn declares(&self, capability: &str) -> bool {
        let capabilities = &self.connection.hello().capabilities;
        Object::parse(capabilities).is_some_and(|declared| declared.contains(capability))
    }

    /// A request of the gateway's own. What else comes meanwhile is passed on as if it had come outside of any request.
    pub(crate) async fn request(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        method_name: &str,
        params: Option<Bytes>,
        profile: &Arc<Profile>,
    ) -> Result<Outcome, UpstreamError> {
        let call = outbound::internal(method_name, params, Arc::clone(profile));
        let mut exchange = self.connection.exchange(call).await?;
        loop {
            match exchange.next().await {
                Event::Done(answer) => return answer.map(|answer| answer.outcome),
                Event::Notification { method, params } => {
                    self.take_note(runtime, Note { method, params });
                }
                Event::Ask(ask) => {
                    if let Some(reply) = exchange.reply_to(&ask) {
                        self.pass_question(runtime, ask, reply);
                    }
                }
                Event::Progress(_) => {}
            }
        }
    }

    /// Offers to answer, while the result is held, what the server asks beside its exchanges. Only a shared link needs it.
    pub(crate) fn take_questions(&self) -> Questions {
        match (&self.owner, self.era()) {
            (Owner::Shared(_), Era::Legacy) => {
                let (sender, questions) = mpsc::channel(INBOX);
                let mut takers = self.takers.lock();
                takers.retain(|taker| taker.strong_count() > 0);
                takers.push(sender.downgrade());
                Questions(Some((sender, questions)))
            }
            _ => Questions(None),
        }
    }

    /// Carries a question of the server's that belongs to no request: to the session whose link this is, else to the newest
    /// request in progress.
    fn pass_question(self: &Arc<Self>, runtime: &Arc<Runtime>, ask: Ask, reply: Reply) {
        if let Owner::Shared(_) = &self.owner {
            let taker = self
                .takers
                .lock()
                .iter()
                .rev()
                .find_map(mpsc::WeakSender::upgrade);
            // A reply that is dropped tells the server that nobody can answer.
            drop(taker.map(|taker| taker.try_send((ask, reply))));
            return;
        }
        let (link, runtime) = (Arc::clone(self), Arc::clone(runtime));
        tokio::spawn(async move {
            let Some(session) = link.session() else {
                return;
            };
            let asked = Asked {
                runtime: &runtime,
                principal: &session.principal,
                era: Era::Legacy,
                capabilities: &session.profile.capabilities,
                link: &link,
            };
            let (stream, params) = (session.standing(), ask.params.as_ref());
            let outcome = asked.ask(&session, stream, &ask.method, params).await;
            if let Err(error) = reply.send(outcome).await {
                tracing::debug!(server = %link.server.name, %error, "an answer did not reach its server");
            }
        });
    }

    pub(crate) fn era(&self) -> Era {
        self.connection.hello().era
    }

    /// What the server has listed, as far as it is known.
    pub(crate) fn tools(&self) -> Option<Arc<Tools>> {
        self.tools.lock().clone()
    }

    /// Takes note of the tools that the server has just listed.
    pub(crate) fn learn(&self, tools: &Arc<Tools>) {
        *self.tools.lock() = Some(Arc::clone(tools));
        self.server.learn(tools);
    }

    pub(crate) fn forget_tools(&self) {
        *self.tools.lock() = None;
        self.server.forget_tools();
    }

    /// The changes that the server tells of, for a listener. None for a session's own link, whose
    /// session hears of them itself.
    pub(crate) fn changes(&self) -> Option<broadcast::Receiver<Arc<Note>>> {
        match &self.owner {
            Owner::Shared(changes) => Some(changes.subscribe()),
            Owner::Session(_) => None,
        }
    }

    fn is_listened_to(&self) -> bool {
        match &self.owner {
            Owner::Shared(changes) => changes.receiver_count() > 0,
            Owner::Session(_) => true,
        }
    }

    /// Counts one more listener for a resource; whether it is the first.
    pub(crate) fn subscribe(&self, uri: &str) -> bool {
        let mut subscribed = self.subscribed.lock();
        let count = subscribed.entry(uri.into()).or_default();
        *count += 1;
        *count == 1
    }

    /// Counts one listener less for a resource; whether it was the last.
    pub(crate) fn unsubscribe(&self, uri: &str) -> bool {
        let mut subscribed = self.subscribed.lock();
        match subscribed.get_mut(uri) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            Some(_) => subscribed.remove(uri).is_some(),
            None => false,
        }
    }

    fn take_note(&self, runtime: &Runtime, note: Note) {
        if let Err(denial) = runtime
            .pipeline
            .check_notification(&note.method, note.params.as_deref())
        {
            tracing::warn!(server = %self.server.name, code = denial.code(), "a server's notification was dropped");
            return;
        }
        if &*note.method == method::NOTIFICATIONS_TOOLS_LIST_CHANGED {
            self.forget_tools();
        }
        match &self.owner {
            Owner::Session(session) => {
                if let Some(session) = session.upgrade() {
                    let (method, params) =
                        federation::outward_note(&session.route, &self.server.name, &note);
                    session.notify(method, params.as_deref());
                }
            }
            // Nobody listening is no fault.
            Owner::Shared(changes) => drop(changes.send(Arc::new(note))),
        }
    }

    fn session(&self) -> Option<Arc<Session>> {
        match &self.owner {
            Owner::Session(session) => session.upgrade(),
            Owner::Shared(_) => None,
        }
    }
}

/// Passes on what a server sends that belongs to no request.
async fn pump(mut messages: mpsc::Receiver<Unsolicited>, link: Weak<Link>, runtime: Arc<Runtime>) {
    while let Some(message) = messages.recv().await {
        let Some(link) = link.upgrade() else { return };
        match message {
            Unsolicited::Notification { method, params } => {
                link.take_note(&runtime, Note { method, params });
            }
            Unsolicited::Ask(ask, reply) => link.pass_question(&runtime, ask, reply),
            Unsolicited::Closed => return,
        }
    }
}
