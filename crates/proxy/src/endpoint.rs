//! The HTTP endpoint: guards, authenticates and reads each request, tells the eras apart, and turns answers into responses.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use portcullis_mcp::{Era, Limits, Message, Version, decode, header, member, meta, method};
use portcullis_oauth::identity::Identity;

use crate::access::Access;
use crate::asking;
use crate::authenticate::{Entrant, Unauthenticated};
use crate::body::Body;
use crate::legacy;
use crate::modern;
use crate::peer::Peer;
use crate::reply::{Door, Reply, turn_away};
use crate::route::Route;
use crate::runtime::Runtime;
use crate::session::Session;
use crate::stream::Stream;

/// How long an answer may take before it becomes an event stream.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the rest of a message that is too large is read.
const DRAINING: Duration = Duration::from_secs(2);

/// An HTTP request that has passed the door: whose it is, and for which endpoint.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) peer: Peer,
    pub(crate) entrant: Entrant,
    pub(crate) route: Route,
    pub(crate) headers: HeaderMap,
}

impl Arrival {
    /// What the principal is known by, if it is known by a token.
    pub(crate) fn credential(&self) -> Option<Box<(Peer, Arc<Identity>)>> {
        let identity = self.entrant.identity.as_ref()?;
        Some(Box::new((self.peer.clone(), Arc::clone(identity))))
    }
}

/// The body of a message that waits for its answer.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Answers one HTTP request from `peer`.
pub(crate) async fn respond(
    runtime: Arc<Runtime>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    if (Access::owns(parts.uri.path()) || asking::owns(parts.uri.path()))
        && let Some(access) = runtime.authenticator.access()
    {
        return Ok(page(&runtime, access, &peer, parts, body).await);
    }
    Ok(match enter(&runtime, &peer, &parts).await {
        Ok((entrant, route)) => {
            let Parts {
                method, headers, ..
            } = parts;
            let arrival = Arrival {
                runtime,
                peer,
                entrant,
                route,
                headers,
            };
            match method {
                Method::POST => post(arrival, body).await,
                Method::GET => legacy::get(&arrival),
                Method::DELETE => legacy::delete(&arrival),
                _ => method_not_allowed(),
            }
        }
        Err(refused) => *refused,
    })
}

/// The checks at the door: where from, where to, who.
async fn enter(
    runtime: &Runtime,
    peer: &Peer,
    parts: &Parts,
) -> Result<(Entrant, Route), Box<Response<Body>>> {
    if runtime
        .guard
        .check(peer.port(), &parts.uri, &parts.headers)
        .is_err()
    {
        return Err(Box::new(turned_away(runtime, Door::Stray)));
    }
    let Some(route) = Route::parse(parts.uri.path()) else {
        return Err(Box::new(plain(StatusCode::NOT_FOUND)));
    };
    let now = runtime.clock.now();
    let entering = runtime.authenticator.authenticate(peer, parts, &route, now);
    let entrant = match entering.await {
        Ok(entrant) => entrant,
        Err(unauthenticated) => {
            return Err(Box::new(challenge(runtime, &route, unauthenticated)));
        }
    };
    // Only somebody who may enter learns which servers there are.
    match &route {
        Route::Server(name) if !runtime.servers.contains_key(name) => {
            Err(Box::new(plain(StatusCode::NOT_FOUND)))
        }
        Route::Server(_) | Route::All => Ok((entrant, route)),
    }
}

/// The most bytes of a form.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// A page or document by which clients and people get a credential, or answer a question. Pages see to their own forms: `Origin` is theirs to judge.
async fn page(
    runtime: &Runtime,
    access: &Access,
    peer: &Peer,
    parts: Parts,
    mut body: Incoming,
) -> Response<Body> {
    let guard = &runtime.guard;
    let is_own = if asking::is_admin(parts.uri.path()) {
        // A browser shows a certificate to whichever site asks: none but ours may.
        guard.check(peer.port(), &parts.uri, &parts.headers).is_ok()
    } else {
        guard.is_own(peer.port(), &parts.uri, &parts.headers)
    };
    if !is_own {
        return turned_away(runtime, Door::Stray);
    }
    let limits = &runtime.limits;
    let Some(_entered) = runtime.shared.requests.enter(limits.requests_max) else {
        return turned_away(runtime, Door::Overloaded);
    };
    let reading = collect(&mut body, 0, FORM_BYTES_MAX);
    let body = match tokio::time::timeout(limits.body_timeout.get(), reading).await {
        Ok(Ok(Some(body))) => body,
        Ok(Ok(None)) => return plain(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_broken)) => return plain(StatusCode::BAD_REQUEST),
        Err(_elapsed) => return plain(StatusCode::REQUEST_TIMEOUT),
    };
    let is_served = |route: &Route| match route {
        Route::All => true,
        Route::Server(name) => runtime.servers.contains_key(name),
    };
    let request = Request::from_parts(parts, body);
    if asking::owns(request.uri().path()) {
        let answer = asking::respond(runtime, access, peer, request).await;
        return answer.map(|bytes| Body::Whole(Some(bytes)));
    }
    let scopes = runtime.pipeline.scopes();
    let now = runtime.clock.now();
    let answer = access.respond(request, peer, scopes, is_served, now.0);
    answer.await.map(|bytes| Body::Whole(Some(bytes)))
}

async fn post(arrival: Arrival, body: Incoming) -> Response<Body> {
    let limits = &arrival.runtime.limits;
    let Some(entered) = arrival.runtime.shared.requests.enter(limits.requests_max) else {
        let mut response = turned_away(&arrival.runtime, Door::Overloaded);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    if let Err(refused) = check_media(&arrival.headers) {
        return turned_away(&arrival.runtime, refused);
    }
    let body = match read(&arrival, body).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let scan = Limits {
        bytes_max: limits.request_bytes_max.get(),
        depth_max: limits.depth_max,
        ..Limits::default()
    };
    let message = match decode(body, &scan) {
        Ok(message) => message,
        Err(fault) => return turned_away(&arrival.runtime, Door::Undecodable(&fault)),
    };
    match era_of(&arrival.headers, &message) {
        Era::Modern => modern::post(arrival, message, entered).await,
        Era::Legacy => legacy::post(arrival, message, entered).await,
    }
}

/// Which era a message is written in (protocol 2026-07-28, "Backward Compatibility").
fn era_of(headers: &HeaderMap, message: &Message) -> Era {
    let (method_name, params) = match message {
        Message::Request(request) => (&*request.method, request.params()),
        Message::Notification(notification) => (&*notification.method, notification.params()),
        Message::Response(_) => ("", None),
    };
    let has_session = headers.contains_key(header::MCP_SESSION_ID);
    let in_head = headers.get(header::MCP_PROTOCOL_VERSION).map(|version| {
        version
            .to_str()
            .ok()
            .and_then(Version::parse)
            .map(Version::era)
    });
    let says_legacy = method_name == method::INITIALIZE || has_session;
    if in_head == Some(Some(Era::Modern)) && !says_legacy {
        return Era::Modern;
    }
    let held = params.and_then(|params| member(params, "_meta"));
    let in_body = held.is_some_and(|held| member(held, meta::PROTOCOL_VERSION).is_some());
    match in_head {
        _ if in_body => Era::Modern,
        _ if says_legacy => Era::Legacy,
        None => Era::Legacy,
        Some(Some(era)) => era,
        // A version that nobody knows: the modern era has an answer for it.
        Some(None) => Era::Modern,
    }
}

fn check_media(headers: &HeaderMap) -> Result<(), Door<'static>> {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        value.to_str().is_ok_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        })
    });
    if !is_json {
        return Err(Door::MediaType);
    }
    if !(accepts(headers, "application", "json") && accepts(headers, "text", "event-stream")) {
        return Err(Door::Accept);
    }
    Ok(())
}

/// Whether `Accept` lists a media type (RFC 9110 §12.5.1); weights are not looked at.
pub(crate) fn accepts(headers: &HeaderMap, kind: &str, subtype: &str) -> bool {
    let mut fields = headers.get_all(ACCEPT).iter().peekable();
    if fields.peek().is_none() {
        return true;
    }
    fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim();
            range.split_once('/').is_some_and(|(k, s)| {
                (k == "*" || k.eq_ignore_ascii_case(kind))
                    && (s == "*" || s.eq_ignore_ascii_case(subtype))
            })
        })
}

async fn read(arrival: &Arrival, mut body: Incoming) -> Result<Bytes, Box<Response<Body>>> {
    let limits = &arrival.runtime.limits;
    let most = limits.request_bytes_max.get();
    let announced = arrival.headers.get(CONTENT_LENGTH);
    let announced: Option<usize> = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let read = async {
        if announced.is_some_and(|announced| announced > most) {
            return Ok(None);
        }
        collect(&mut body, announced.unwrap_or_default(), most).await
    };
    match tokio::time::timeout(limits.body_timeout.get(), read).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => {
            // A client that is still writing would not see the answer if the connection closed on it.
            drop(tokio::time::timeout(DRAINING, drain(&mut body, most)).await);
            Err(Box::new(turned_away(&arrival.runtime, Door::TooLarge)))
        }
        Ok(Err(_broken)) => Err(Box::new(plain(StatusCode::BAD_REQUEST))),
        Err(_elapsed) => Err(Box::new(plain(StatusCode::REQUEST_TIMEOUT))),
    }
}

/// Reads on, up to a few times `most` bytes, and forgets it.
async fn drain(body: &mut Incoming, most: usize) {
    let mut left = most.saturating_mul(4);
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The whole body, which has announced a length of `announced` bytes, at most `most`; `None` when it is larger than `most` bytes.
async fn collect(
    body: &mut Incoming,
    announced: usize,
    most: usize,
) -> Result<Option<Bytes>, hyper::Error> {
    let mut first = Bytes::new();
    let mut all: Option<BytesMut> = None;
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        length += data.len();
        if length > most {
            return Ok(None);
        }
        if first.is_empty() {
            first = data;
        } else {
            let all = all.get_or_insert_with(|| {
                let mut all = BytesMut::with_capacity(announced.max(length));
                all.extend_from_slice(&first);
                all
            });
            all.extend_from_slice(&data);
        }
    }
    Ok(Some(all.map_or(first, BytesMut::freeze)))
}

/// Waits for an answer, and turns it into a response: a plain one when it comes soon and alone, else an event stream.
pub(crate) async fn answer(
    runtime: Arc<Runtime>,
    open_stream: impl FnOnce() -> Option<crate::runtime::Counted> + Send,
    mut answering: Answering,
    stream: Arc<Stream>,
    session: Option<Arc<Session>>,
) -> Response<Body> {
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let reply = {
        // A legacy client that goes away has not cancelled: its request goes on by itself.
        let mut detaching = Detaching {
            answering: Some(answering),
            detach: session.is_some(),
        };
        let reply = poll_fn(|cx| {
            if let Some(answering) = &mut detaching.answering
                && let Poll::Ready(reply) = answering.as_mut().poll(cx)
            {
                detaching.answering = None;
                return Poll::Ready(Some(reply));
            }
            if stream.poll_started(cx).is_ready() || patience.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await;
        match (reply, detaching.answering.take()) {
            (None, Some(still)) => {
                answering = still;
                None
            }
            (reply, _) => {
                answering = Box::pin(std::future::ready(Reply::Nothing));
                reply
            }
        }
    };
    if let Some(reply) = reply {
        if stream
            .poll_started(&std::task::Context::from_waker(std::task::Waker::noop()))
            .is_pending()
        {
            return whole(reply);
        }
        // Notifications came together with the answer: they go first.
        push(&stream, reply);
        return events(stream.read(None, false));
    }
    let Some(counted) = open_stream() else {
        return turned_away(&runtime, Door::Streams);
    };
    let filling = Arc::clone(&stream);
    let task = tokio::spawn(async move {
        let reply = answering.await;
        push(&filling, reply);
        drop(counted);
    });
    match session {
        Some(session) => {
            session.keep_stream(&stream);
            let prime = session.version >= Version::V2025_11_25;
            events(stream.read(None, prime))
        }
        // In the modern era, closing the stream cancels the request.
        None => events(stream.read(None, false).abort_on_drop(task.abort_handle())),
    }
}

fn push(stream: &Stream, reply: Reply) {
    if let Reply::Message { bytes, .. } = reply {
        stream.push(bytes);
    }
    stream.finish();
}

/// Lets a request go on when the connection that waits for it goes.
struct Detaching {
    answering: Option<Answering>,
    detach: bool,
}

impl Drop for Detaching {
    fn drop(&mut self) {
        if let Some(answering) = self.answering.take()
            && self.detach
        {
            tokio::spawn(answering);
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response that is one message, or none.
pub(crate) fn whole(reply: Reply) -> Response<Body> {
    match reply {
        Reply::Message {
            bytes,
            status,
            challenge,
        } => {
            let mut response = Response::new(Body::Whole(Some(bytes)));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, JSON);
            if let Some(challenge) = challenge {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
        Reply::Nothing => plain(StatusCode::ACCEPTED),
    }
}

/// A response that is an event stream.
pub(crate) fn events(reader: crate::stream::Reader) -> Response<Body> {
    let mut response = Response::new(Body::Events(Box::new(reader)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// A response without a body.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The response to a request that is turned away at the door.
pub(crate) fn turned_away(runtime: &Runtime, door: Door<'_>) -> Response<Body> {
    let (bytes, status) = turn_away(runtime.clock.now(), door);
    whole(Reply::Message {
        bytes,
        status,
        challenge: None,
    })
}

/// The verbs that an endpoint knows.
pub(crate) fn method_not_allowed() -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
    response
}

/// Asks for a credential (RFC 6750 §3, RFC 9728 §5.1).
fn challenge(runtime: &Runtime, route: &Route, unauthenticated: Unauthenticated) -> Response<Body> {
    let refused = match unauthenticated {
        Unauthenticated::InQuery => return turned_away(runtime, Door::TokenInQuery),
        Unauthenticated::Unknown => return turned_away(runtime, Door::Unauthenticated),
        Unauthenticated::Refused(refused) => refused,
    };
    let mut response = turned_away(runtime, Door::Unauthenticated);
    if let Some(access) = runtime.authenticator.access() {
        let scopes = runtime.pipeline.scopes();
        let told = access.refusal(refused, route, scopes, runtime.clock.now().0);
        *response.status_mut() = told.status();
        response.headers_mut().extend(told.into_parts().0.headers);
    }
    response
}
