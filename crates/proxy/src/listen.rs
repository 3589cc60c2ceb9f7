//! Changes that clients want to hear of: `subscriptions/listen` of modern clients, `resources/subscribe` and the standing stream
//! of legacy ones, at servers of either era.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::{
    Era, Id, Object, Outcome, ServerName, boolean, encode_notification, meta, method, quote, string,
};
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;

use crate::bridge;
use crate::caller::Caller;
use crate::dispatch;
use crate::federation;
use crate::link::{Link, Note};
use crate::outbound;
use crate::reply::Refusal;
use crate::route::Route;
use crate::running::TASKS_EXTENSION;
use crate::runtime::{Runtime, Server};
use crate::session::Session;
use crate::upstream::{Event, UpstreamError};

/// Resources that one client may be subscribed to on one stream.
const URIS_MAX: usize = 1000;
/// How long the acknowledgement waits for slow servers.
const ACK_PATIENCE: Duration = Duration::from_secs(2);
/// First and longest wait before a server is listened to again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What a client wants to hear of, or a server has agreed to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: BTreeSet<String>,
    /// Members that we have no name for, as they are.
    rest: Vec<(String, Bytes)>,
}

const TOOLS: &str = "toolsListChanged";
const PROMPTS: &str = "promptsListChanged";
const RESOURCES: &str = "resourcesListChanged";
const URIS: &str = "resourceSubscriptions";

impl Filter {
    fn parse(json: &[u8]) -> Option<Self> {
        let object = Object::parse(json)?;
        let mut filter = Self::default();
        for (key, value) in object.iter() {
            match key {
                TOOLS => filter.tools = boolean(value)?,
                PROMPTS => filter.prompts = boolean(value)?,
                RESOURCES => filter.resources = boolean(value)?,
                URIS => filter.uris = federation::strings(value)?.into_iter().collect(),
                _ => filter
                    .rest
                    .push((key.to_owned(), Bytes::copy_from_slice(value))),
            }
        }
        Some(filter)
    }

    fn write(&self) -> Vec<u8> {
        let mut object = Object::new();
        for (key, wanted) in [
            (TOOLS, self.tools),
            (PROMPTS, self.prompts),
            (RESOURCES, self.resources),
        ] {
            if wanted {
                object.set(key, b"true".as_slice());
            }
        }
        if !self.uris.is_empty() {
            let uris: Vec<Vec<u8>> = self.uris.iter().map(|uri| quote(uri)).collect();
            let mut list = b"[".to_vec();
            list.extend_from_slice(&uris.join(&b','));
            list.push(b']');
            object.set(URIS, list);
        }
        for (key, value) in &self.rest {
            object.set(key, value.to_vec());
        }
        object.to_vec()
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn admits(&self, note: &Note) -> bool {
        match &*note.method {
            method::NOTIFICATIONS_TOOLS_LIST_CHANGED => self.tools,
            method::NOTIFICATIONS_PROMPTS_LIST_CHANGED => self.prompts,
            method::NOTIFICATIONS_RESOURCES_LIST_CHANGED => self.resources,
            method::NOTIFICATIONS_RESOURCES_UPDATED => note
                .params
                .as_deref()
                .and_then(Object::parse)
                .is_some_and(|params| {
                    params
                        .get_str("uri")
                        .is_some_and(|uri| self.uris.contains(&*uri))
                }),
            // Other kinds come only from a server that was asked for them.
            _ => !self.rest.is_empty(),
        }
    }

    fn join(&mut self, other: &Self) {
        self.tools |= other.tools;
        self.prompts |= other.prompts;
        self.resources |= other.resources;
        self.uris.extend(other.uris.iter().cloned());
        for entry in &other.rest {
            if !self.rest.contains(entry) {
                self.rest.push(entry.clone());
            }
        }
    }

    /// What of this a legacy server can tell.
    fn offered_by(&self, link: &Link) -> Self {
        let declared = Object::parse(&link.connection.hello().capabilities).unwrap_or_default();
        let has = |capability: &str, member: &str| {
            declared
                .get(capability)
                .and_then(Object::parse)
                .is_some_and(|own| own.get(member).and_then(boolean) == Some(true))
        };
        Self {
            tools: self.tools && has("tools", "listChanged"),
            prompts: self.prompts && has("prompts", "listChanged"),
            resources: self.resources && has("resources", "listChanged"),
            uris: if has("resources", "subscribe") {
                self.uris.clone()
            } else {
                BTreeSet::new()
            },
            rest: Vec::new(),
        }
    }
}

/// What comes from the servers that a client listens to.
enum Heard {
    Acknowledged(ServerName, Filter),
    Note(ServerName, Note),
}

/// Ends the tasks that listen when the client goes.
#[derive(Debug, Default)]
struct Listeners(Vec<AbortHandle>);

impl Drop for Listeners {
    fn drop(&mut self) {
        for listener in &self.0 {
            listener.abort();
        }
    }
}

/// Answers `subscriptions/listen`: it lasts until the client closes the stream or the gateway stops.
pub(crate) async fn serve(
    caller: &Caller,
    id: &Id,
    params: Option<&Bytes>,
) -> Result<Bytes, Refusal> {
    let wanted = params
        .and_then(|params| Object::parse(params))
        .and_then(|params| params.get("notifications").and_then(Filter::parse))
        .ok_or_else(|| Refusal::invalid_params("`notifications` is missing or not a filter"))?;
    if wanted.uris.len() > URIS_MAX {
        return Err(Refusal::invalid_params(
            "too many resources are subscribed to",
        ));
    }
    let tasks = wanted.rest.iter().any(|(key, _)| key == "taskIds");
    if tasks && !caller.declares_extension(TASKS_EXTENSION) {
        return Err(Refusal::missing_capability("extensions"));
    }
    let (heard, mut hears) = mpsc::channel(64);
    let mut listeners = Listeners::default();
    let by_server = by_server(caller, &wanted);
    let mut waiting = by_server.len();
    for (server, filter) in by_server {
        let listener = Listener {
            caller: caller.for_listening(),
            server,
            filter,
            heard: heard.clone(),
        };
        listeners
            .0
            .push(tokio::spawn(listener.run()).abort_handle());
    }
    drop(heard);

    let mut agreed = Filter::default();
    let mut early = Vec::new();
    let patience = tokio::time::sleep(ACK_PATIENCE);
    tokio::pin!(patience);
    while waiting > 0 {
        tokio::select! {
            heard = hears.recv() => match heard {
                Some(Heard::Acknowledged(server, filter)) => {
                    waiting -= 1;
                    agreed.join(&outward_filter(&caller.route, &server, filter));
                }
                Some(Heard::Note(server, note)) => early.push((server, note)),
                None => break,
            },
            () = &mut patience => break,
        }
    }
    if waiting > 0 {
        // A server that is down may come back, and is then heard.
        agreed.join(&wanted);
    }
    let mut params = Object::new();
    params.set("notifications", agreed.write());
    let mut tag = Object::new();
    let mut own_id = Vec::new();
    id.write(&mut own_id);
    tag.set(meta::SUBSCRIPTION_ID, own_id.clone());
    params.set("_meta", tag.to_vec());
    caller.stream.push(encode_notification(
        method::NOTIFICATIONS_SUBSCRIPTIONS_ACKNOWLEDGED,
        Some(&params.to_vec()),
    ));
    for (server, note) in early {
        pass_on(caller, &own_id, &server, &note);
    }
    let ending = &caller.runtime.shared.ending;
    loop {
        tokio::select! {
            heard = hears.recv() => match heard {
                Some(Heard::Note(server, note)) => pass_on(caller, &own_id, &server, &note),
                Some(Heard::Acknowledged(..)) => {}
                None => break,
            },
            () = ending.cancelled() => break,
        }
    }
    let mut result = Object::new();
    result.set("resultType", b"\"complete\"".as_slice());
    result.set("_meta", tag.to_vec());
    Ok(result.to_vec().into())
}

fn pass_on(caller: &Caller, id: &[u8], server: &ServerName, note: &Note) {
    let (name, params) = federation::outward_note(&caller.route, server, note);
    let raw = params.unwrap_or_default();
    let mut params = Object::parse(&raw).unwrap_or_default();
    let held = params.get("_meta").unwrap_or(b"{}").to_vec();
    let mut tag = Object::parse(&held).unwrap_or_default();
    tag.set(meta::SUBSCRIPTION_ID, id);
    let tag = tag.to_vec();
    params.set("_meta", tag);
    caller
        .stream
        .notify(encode_notification(name, Some(&params.to_vec())));
}

/// Splits what a client wants to hear among the servers of its endpoint.
fn by_server(caller: &Caller, wanted: &Filter) -> Vec<(Arc<Server>, Filter)> {
    let servers: Vec<&Arc<Server>> = match &caller.route {
        Route::Server(name) => caller.runtime.servers.get(name).into_iter().collect(),
        Route::All => caller.runtime.servers.values().collect(),
    };
    let mut uris: HashMap<ServerName, BTreeSet<String>> = HashMap::new();
    for uri in &wanted.uris {
        if let Some((server, own)) = federation::inward_uri(caller, uri) {
            uris.entry(server.name.clone()).or_default().insert(own);
        }
    }
    let rest = if caller.route == Route::All {
        Vec::new()
    } else {
        wanted.rest.clone()
    };
    servers
        .into_iter()
        .map(|server| {
            let uris = uris.remove(&server.name).unwrap_or_default();
            (
                Arc::clone(server),
                Filter {
                    uris,
                    rest: rest.clone(),
                    ..wanted.clone()
                },
            )
        })
        .filter(|(_, filter)| !filter.is_empty())
        .collect()
}

fn outward_filter(route: &Route, server: &ServerName, mut filter: Filter) -> Filter {
    if *route == Route::All {
        let outward = |uri: &String| portcullis_mcp::federated_uri(server, uri);
        filter.uris = filter.uris.iter().map(outward).collect();
    }
    filter
}

/// Listens to one server, and again when the connection is lost.
struct Listener {
    caller: Caller,
    server: Arc<Server>,
    filter: Filter,
    heard: mpsc::Sender<Heard>,
}

impl Listener {
    async fn run(self) {
        let mut wait = RETRY.0;
        loop {
            let begun = tokio::time::Instant::now();
            match self.once().await {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(server = %self.server.name, %error, "listening was interrupted");
                }
            }
            if self.heard.is_closed() {
                return;
            }
            if begun.elapsed() > RETRY.1 {
                wait = RETRY.0;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }

    async fn once(&self) -> Result<(), UpstreamError> {
        let link = Link::to(&self.caller, &self.server).await?;
        match link.era() {
            Era::Modern => self.modern(&link).await,
            Era::Legacy => self.legacy(&link).await,
        }
    }

    async fn modern(&self, link: &Link) -> Result<(), UpstreamError> {
        let mut params = Object::new();
        params.set("notifications", self.filter.write());
        let profile = self.caller.profile_for(link);
        let call = outbound::listen(Some(params.to_vec().into()), profile);
        let mut exchange = link.connection.exchange(call).await?;
        loop {
            match exchange.next().await {
                Event::Notification {
                    method: name,
                    params,
                } => {
                    if &*name == method::NOTIFICATIONS_SUBSCRIPTIONS_ACKNOWLEDGED {
                        let agreed = params
                            .as_deref()
                            .and_then(Object::parse)
                            .and_then(|params| params.get("notifications").and_then(Filter::parse));
                        self.send(Heard::Acknowledged(
                            self.server.name.clone(),
                            agreed.unwrap_or_default(),
                        ))
                        .await;
                        continue;
                    }
                    let note = Note {
                        method: name,
                        params,
                    };
                    if let Err(denial) = self
                        .caller
                        .runtime
                        .pipeline
                        .check_notification(&note.method, note.params.as_deref())
                    {
                        tracing::warn!(server = %self.server.name, code = denial.code(), "a server's notification was dropped");
                        continue;
                    }
                    if &*note.method == method::NOTIFICATIONS_TOOLS_LIST_CHANGED {
                        link.forget_tools();
                    }
                    if self.filter.admits(&note) {
                        self.send(Heard::Note(self.server.name.clone(), note)).await;
                    }
                }
                Event::Done(Ok(answer)) => {
                    if let Outcome::Error(_) = answer.outcome {
                        // A server that does not know the method tells of nothing.
                        self.send(Heard::Acknowledged(
                            self.server.name.clone(),
                            Filter::default(),
                        ))
                        .await;
                    }
                    return Ok(());
                }
                Event::Done(Err(error)) => return Err(error),
                Event::Progress(_) | Event::Ask(_) => {}
            }
        }
    }

    async fn legacy(&self, link: &Arc<Link>) -> Result<(), UpstreamError> {
        let Some(mut changes) = link.changes() else {
            return Ok(());
        };
        link.connection.open_stream();
        let agreed = self.filter.offered_by(link);
        let _subscriptions = Subscriptions::begin(link, &self.caller, &agreed.uris).await?;
        self.send(Heard::Acknowledged(
            self.server.name.clone(),
            agreed.clone(),
        ))
        .await;
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(note) => {
                        if agreed.admits(&note) {
                            let note = Note { method: note.method.clone(), params: note.params.clone() };
                            self.send(Heard::Note(self.server.name.clone(), note)).await;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(server = %self.server.name, missed, "a listener fell behind");
                    }
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                () = link.connection.closed() => return Ok(()),
            }
        }
    }

    async fn send(&self, heard: Heard) {
        // The receiver has gone when the client has: the task is about to be ended.
        if self.heard.send(heard).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Subscriptions to resources at a legacy server, taken back when they are dropped.
struct Subscriptions {
    link: Arc<Link>,
    runtime: Arc<Runtime>,
    profile: Arc<crate::upstream::Profile>,
    uris: Vec<String>,
}

impl Subscriptions {
    async fn begin(
        link: &Arc<Link>,
        caller: &Caller,
        uris: &BTreeSet<String>,
    ) -> Result<Self, UpstreamError> {
        let mut begun = Self {
            link: Arc::clone(link),
            runtime: Arc::clone(&caller.runtime),
            profile: Arc::clone(&caller.profile),
            uris: Vec::new(),
        };
        for uri in uris {
            begun.uris.push(uri.clone());
            if link.subscribe(uri) {
                link.request(
                    &caller.runtime,
                    method::RESOURCES_SUBSCRIBE,
                    Some(uri_params(uri)),
                    &caller.profile,
                )
                .await?;
            }
        }
        Ok(begun)
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let (link, runtime) = (Arc::clone(&self.link), Arc::clone(&self.runtime));
        let profile = Arc::clone(&self.profile);
        let last: Vec<String> = self
            .uris
            .drain(..)
            .filter(|uri| link.unsubscribe(uri))
            .collect();
        if last.is_empty() || link.connection.is_closed() {
            return;
        }
        tokio::spawn(async move {
            for uri in last {
                let params = Some(uri_params(&uri));
                if let Err(error) = link
                    .request(&runtime, method::RESOURCES_UNSUBSCRIBE, params, &profile)
                    .await
                {
                    tracing::debug!(server = %link.server.name, %error, "a subscription could not be taken back");
                }
            }
        });
    }
}

fn uri_params(uri: &str) -> Bytes {
    let mut params = Object::new();
    params.set("uri", quote(uri));
    params.to_vec().into()
}

/// What a legacy client's session hears of servers whose connection is not its own.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    servers: HashMap<ServerName, Watched>,
}

#[derive(Debug)]
struct Watched {
    filter: Filter,
    listeners: Listeners,
}

/// Makes a session hear what belongs to no request of its own: opens the servers' own streams to it, and listens to the
/// servers that it shares a connection to.
pub(crate) async fn stand(caller: &Caller, session: &Arc<Session>) {
    let filter = Filter {
        tools: true,
        prompts: true,
        resources: true,
        ..Filter::default()
    };
    for (server, filter) in by_server(caller, &filter) {
        match Link::to(caller, &server).await {
            Ok(link) if link.changes().is_none() && link.era() == Era::Legacy => {
                link.connection.open_stream();
            }
            // A server that is down now is listened to once it is back.
            Ok(_) | Err(_) => watch(caller, session, &server, |watched| watched.join(&filter)),
        }
    }
}

/// Changes what a session watches at a server: the new listener begins before the old one ends.
fn watch(
    caller: &Caller,
    session: &Arc<Session>,
    server: &Arc<Server>,
    change: impl FnOnce(&mut Filter),
) {
    let (heard, mut hears) = mpsc::channel(64);
    let began = session.with_watch(|watch| {
        let known = watch
            .servers
            .get(&server.name)
            .map(|watched| watched.filter.clone());
        let mut filter = known.clone().unwrap_or_default();
        change(&mut filter);
        if known.as_ref() == Some(&filter) {
            return None;
        }
        let listener = Listener {
            caller: caller.for_listening(),
            server: Arc::clone(server),
            filter: filter.clone(),
            heard,
        };
        let task = tokio::spawn(listener.run()).abort_handle();
        let watched = Watched {
            filter,
            listeners: Listeners(vec![task]),
        };
        Some(watch.servers.insert(server.name.clone(), watched))
    });
    let Some(mut old) = began else { return };
    let listening = Arc::downgrade(session);
    let task = tokio::spawn(async move {
        while let Some(heard) = hears.recv().await {
            let Some(session) = listening.upgrade() else {
                return;
            };
            match heard {
                Heard::Acknowledged(..) => drop(old.take()),
                Heard::Note(server, note) => {
                    let (name, params) = federation::outward_note(&session.route, &server, &note);
                    let params = params.as_deref().map(untagged);
                    session.notify(name, params.as_deref());
                }
            }
        }
    });
    let task = task.abort_handle();
    session.with_watch(|watch| {
        if let Some(watched) = watch.servers.get_mut(&server.name) {
            watched.listeners.0.push(task);
        }
    });
}

/// Parameters without the tag that only modern clients know.
fn untagged(params: &[u8]) -> Vec<u8> {
    let mut object = Object::parse(params).unwrap_or_default();
    bridge::remove_meta(&mut object, meta::SUBSCRIPTION_ID);
    object.to_vec()
}

/// Answers `resources/subscribe` and `resources/unsubscribe` of a legacy client.
pub(crate) async fn subscribe(
    caller: &Caller,
    method_name: &str,
    params: Option<Bytes>,
) -> Result<Bytes, Refusal> {
    let target = federation::inward(caller, method_name, params.clone())?;
    let unreachable = |error| Refusal::upstream(&target.server.name, error);
    let link = Link::to(caller, &target.server)
        .await
        .map_err(unreachable)?;
    let (Some(session), Some(uri)) = (&caller.session, &target.name) else {
        return Err(Refusal::invalid_params("`uri` is missing or not a string"));
    };
    if link.era() == Era::Legacy && link.changes().is_none() {
        return dispatch::targeted(caller, method_name, params).await;
    }
    let wanted = method_name == method::RESOURCES_SUBSCRIBE;
    let mut full = false;
    watch(caller, session, &target.server, |filter| {
        if !wanted {
            filter.uris.remove(&**uri);
        } else if filter.uris.len() < URIS_MAX {
            filter.uris.insert(uri.to_string());
        } else {
            full = true;
        }
    });
    if full {
        return Err(Refusal::invalid_params(
            "too many resources are subscribed to",
        ));
    }
    Ok(Bytes::from_static(b"{}"))
}

/// The id that a `notifications/cancelled` names.
pub(crate) fn cancelled_id(params: Option<&[u8]>) -> Option<Id> {
    Id::parse(Object::parse(params?)?.get("requestId")?)
}

/// Why a client says it cancelled, for the log.
pub(crate) fn cancel_reason(params: Option<&[u8]>) -> Option<String> {
    let params = Object::parse(params?)?;
    string(params.get("reason")?).map(|reason| reason.chars().take(200).collect())
}
