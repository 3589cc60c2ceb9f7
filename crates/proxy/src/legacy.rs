//! Requests of the legacy era over HTTP: sessions, their streams and their end (MCP 2025-11-25, transports, "Streamable HTTP").

use std::sync::Arc;
use std::time::Instant;

use http::header::HeaderValue;
use http::{HeaderName, Response, StatusCode};
use portcullis_mcp::{Message, Object, Request, Version, header, is_object, method};

use crate::body::Body;
use crate::caller::{Caller, request_id, unknown_profile};
use crate::calls::{self, NotBegun};
use crate::dispatch::dispatch;
use crate::endpoint::{self, Arrival};
use crate::hello;
use crate::listen;
use crate::reply::{Door, Refusal, Reply, render};
use crate::runtime::Counted;
use crate::session::{self, Session};
use crate::stream::{Stream, parse_event_id};

/// Answers a POST.
pub(crate) async fn post(arrival: Arrival, message: Message, entered: Counted) -> Response<Body> {
    if let Message::Request(request) = &message
        && &*request.method == method::INITIALIZE
    {
        return initialize(arrival, request, entered).await;
    }
    let session = match find(&arrival) {
        Ok(session) => session,
        Err(refused) => return *refused,
    };
    match message {
        Message::Request(request) => self::request(arrival, session, request, entered).await,
        Message::Notification(notification) => {
            session.touch(Instant::now());
            notified(&session, &notification.method, notification.params()).await;
            endpoint::plain(StatusCode::ACCEPTED)
        }
        Message::Response(response) => {
            session.touch(Instant::now());
            if let Some(id) = &response.id
                && !session.answered(id, response.outcome)
            {
                tracing::debug!("a client answered what nobody asked");
            }
            endpoint::plain(StatusCode::ACCEPTED)
        }
    }
}

/// The session that a request names, if it is the principal's own.
fn find(arrival: &Arrival) -> Result<Arc<Session>, Box<Response<Body>>> {
    let refuse = |door| Box::new(endpoint::turned_away(&arrival.runtime, door));
    let mut fields = arrival
        .headers
        .get_all(HeaderName::from_static(header::MCP_SESSION_ID))
        .iter();
    let id = match (fields.next(), fields.next()) {
        (Some(id), None) => id.to_str().unwrap_or_default(),
        _ => return Err(refuse(Door::NoSession)),
    };
    for version in arrival
        .headers
        .get_all(HeaderName::from_static(header::MCP_PROTOCOL_VERSION))
    {
        let known = version.to_str().ok().and_then(Version::parse);
        if !known.is_some_and(|version| Version::LEGACY.contains(&version)) {
            return Err(refuse(Door::SessionVersion));
        }
    }
    arrival
        .runtime
        .shared
        .sessions
        .get(id, &arrival.entrant.principal, &arrival.route)
        .ok_or_else(|| refuse(Door::UnknownSession))
}

fn caller(arrival: &Arrival, session: &Arc<Session>, stream: Arc<Stream>) -> Caller {
    Caller {
        runtime: Arc::clone(&arrival.runtime),
        principal: arrival.entrant.principal.clone(),
        credential: arrival.credential(),
        route: arrival.route.clone(),
        version: session.version,
        profile: Arc::clone(&session.profile),
        session: Some(Arc::clone(session)),
        stream,
        request_id: request_id(arrival.runtime.clock.now()),
        headers: None,
    }
}

/// What a legacy client says of itself in `initialize`, and the version that is agreed on.
pub(crate) fn introduction(
    request: &Request,
) -> Result<(Version, crate::upstream::Profile), Refusal> {
    let params = request.params().and_then(Object::parse);
    let params = params.ok_or_else(|| Refusal::invalid_params("`params` is missing"))?;
    let asked = params
        .get_str("protocolVersion")
        .ok_or_else(|| Refusal::invalid_params("`protocolVersion` is missing or not a string"))?;
    let version = Version::parse(&asked)
        .filter(|version| Version::LEGACY.contains(version))
        .unwrap_or(Version::LATEST_LEGACY);
    let object = |member: &str| {
        params
            .get(member)
            .filter(|json| is_object(json))
            .map(|json| json.to_vec().into())
    };
    let capabilities = object("capabilities")
        .ok_or_else(|| Refusal::invalid_params("`capabilities` is missing or not an object"))?;
    let client_info = object("clientInfo")
        .ok_or_else(|| Refusal::invalid_params("`clientInfo` is missing or not an object"))?;
    Ok((
        version,
        session::profile(version, capabilities, client_info),
    ))
}

async fn initialize(arrival: Arrival, request: &Request, entered: Counted) -> Response<Body> {
    let shared = Arc::clone(&arrival.runtime.shared);
    let begun = introduction(request).and_then(|(version, profile)| {
        let sessions_max = arrival.runtime.limits.sessions_max;
        let (principal, route) = (arrival.entrant.principal.clone(), arrival.route.clone());
        shared
            .sessions
            .begin(
                principal,
                route,
                version,
                profile,
                Instant::now(),
                sessions_max,
            )
            .map_err(|error| {
                tracing::warn!(%error, "no session was begun");
                Refusal::Overloaded("too many sessions are open")
            })
    });
    let session = match begun {
        Ok(session) => session,
        Err(refusal) => {
            let caller = Caller {
                version: Version::LATEST_LEGACY,
                profile: Arc::new(unknown_profile()),
                session: None,
                stream: Stream::new(),
                request_id: request_id(arrival.runtime.clock.now()),
                headers: None,
                runtime: arrival.runtime,
                credential: None,
                principal: arrival.entrant.principal,
                route: arrival.route,
            };
            return endpoint::whole(render(&caller, &request.id, &request.method, Err(refusal)));
        }
    };
    let caller = caller(&arrival, &session, Stream::new());
    let result = hello::initialize(&caller, session.version).await;
    let failed = result.is_err();
    let reply = render(&caller, &request.id, &request.method, result);
    drop(entered);
    let mut response = endpoint::whole(reply);
    if failed {
        shared.sessions.end(&session);
    } else if let Ok(id) = HeaderValue::from_str(&session.id) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(header::MCP_SESSION_ID), id);
    }
    response
}

async fn request(
    arrival: Arrival,
    session: Arc<Session>,
    request: Request,
    entered: Counted,
) -> Response<Body> {
    session.touch(Instant::now());
    let stream = session.new_stream();
    let caller = caller(&arrival, &session, Arc::clone(&stream));
    let guard = match session.calls.begin(&request.id) {
        Ok(guard) => guard,
        Err(refused) => {
            let refusal = match refused {
                NotBegun::TooMany => {
                    Refusal::Overloaded("too many requests are in progress in this session")
                }
                NotBegun::DuplicateId => {
                    Refusal::invalid_request("a request with this id is still in progress")
                }
            };
            return endpoint::whole(render(&caller, &request.id, &request.method, Err(refusal)));
        }
    };
    let runtime = Arc::clone(&caller.runtime);
    let shared = Arc::clone(&runtime.shared);
    let (name, most) = (
        Arc::clone(caller.principal.identity()),
        caller.runtime.limits.streams_max,
    );
    let answering = Box::pin(async move {
        let reply = tokio::select! {
            biased;
            reply = dispatch(&caller, &request) => reply,
            () = guard.cancelled.cancelled() => Reply::Nothing,
        };
        drop((guard, entered));
        reply
    });
    let session = Some(session);
    endpoint::answer(
        runtime,
        move || shared.streams.enter(&name, most),
        answering,
        stream,
        session,
    )
    .await
}

/// Takes a legacy client's notification.
pub(crate) async fn notified(session: &Arc<Session>, method_name: &str, params: Option<&[u8]>) {
    match method_name {
        method::NOTIFICATIONS_CANCELLED => {
            if let Some(id) = calls::cancelled_id(params) {
                tracing::debug!(reason = ?calls::cancel_reason(params), "a client cancelled a request");
                session.calls.cancel(&id);
            }
        }
        method::NOTIFICATIONS_ROOTS_LIST_CHANGED => {
            for slot in session.links() {
                if let Some(link) = slot.get() {
                    let sent = link.connection.notify(method_name, params).await;
                    if let Err(error) = sent {
                        tracing::debug!(server = %link.server.name, %error, "a notification was lost");
                    }
                }
            }
        }
        // `initialized` tells nothing new; progress on a request of ours is not asked for.
        _ => {
            tracing::debug!(method = %method_name, "a client's notification means nothing here");
        }
    }
}

/// Answers a GET: the session's own stream, or one that broke.
pub(crate) fn get(arrival: &Arrival) -> Response<Body> {
    if !arrival
        .headers
        .contains_key(HeaderName::from_static(header::MCP_SESSION_ID))
    {
        return endpoint::method_not_allowed();
    }
    let session = match find(arrival) {
        Ok(session) => session,
        Err(refused) => return *refused,
    };
    if !endpoint::accepts(&arrival.headers, "text", "event-stream") {
        return endpoint::plain(StatusCode::NOT_ACCEPTABLE);
    }
    session.touch(Instant::now());
    let last = arrival
        .headers
        .get(HeaderName::from_static(header::LAST_EVENT_ID));
    let resumed = match last.map(|id| id.to_str().ok().and_then(parse_event_id)) {
        None => None,
        Some(Some((number, after))) => match session.stream(number) {
            Some(stream) => Some((stream, after)),
            None => return endpoint::plain(StatusCode::NOT_FOUND),
        },
        Some(None) => return endpoint::plain(StatusCode::BAD_REQUEST),
    };
    let runtime = &arrival.runtime;
    let most = runtime.limits.streams_max;
    let Some(counted) = runtime
        .shared
        .streams
        .enter(arrival.entrant.principal.identity(), most)
    else {
        return endpoint::turned_away(runtime, Door::Streams);
    };
    if let Some((stream, after)) = resumed {
        return endpoint::events(stream.read(after, false).holding(counted));
    }
    let standing = Arc::clone(session.standing());
    let prime = session.version >= Version::V2025_11_25;
    let caller = caller(arrival, &session, Arc::clone(&standing));
    tokio::spawn(async move { listen::stand(&caller, &session).await });
    endpoint::events(standing.read(None, prime).holding(counted))
}

/// Answers a DELETE: the client ends its session.
pub(crate) fn delete(arrival: &Arrival) -> Response<Body> {
    if !arrival
        .headers
        .contains_key(HeaderName::from_static(header::MCP_SESSION_ID))
    {
        return endpoint::method_not_allowed();
    }
    match find(arrival) {
        Ok(session) => {
            arrival.runtime.shared.sessions.end(&session);
            endpoint::plain(StatusCode::NO_CONTENT)
        }
        Err(refused) => *refused,
    }
}
