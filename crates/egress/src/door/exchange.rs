//! One plain request, checked and passed on.
//!
//! It is read by one parser and written anew by another, so that whatever its framing was, the host sees
//! one request with one reading. One connection carries one request: the next is judged on its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::allowance::{Wish, WishKind};
use super::attempt::Attempt;
use super::reason::Reason;
use super::route::Route;
use crate::host::Host;

/// How long the server has for the head of a request, and how long it may be.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_MAX: usize = 64 << 10;

/// What goes back to the server: the host's answer, or ours.
pub(crate) type Body = Either<Full<Bytes>, Incoming>;

/// What of a message is about one connection (RFC 9110 §7.6.1), beside what `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("te"),
    HeaderName::from_static("transfer-encoding"),
];

/// The connections to the outside that an exchange drives. They end with it.
pub(crate) type Tasks = Arc<Mutex<JoinSet<()>>>;

/// How requests are read.
pub(crate) fn reader() -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX);
    builder
}

/// Serves one request in origin form to `connected`, the host that the connection is to, or to the one
/// that `Host` names where the connection says none.
pub(crate) async fn serve<S>(io: S, connected: Option<Host>, port: u16, attempt: Attempt)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tasks = Tasks::default();
    let attempt = Arc::new(Mutex::new(Some(attempt)));
    let service = service_fn(|request: Request<Incoming>| {
        let attempt = attempt.lock().take();
        let connected = connected.clone();
        let tasks = Arc::clone(&tasks);
        async move {
            let Some(mut attempt) = attempt else {
                return Ok(repeated());
            };
            let wish = match captured(&request, connected, port, &mut attempt) {
                Ok(wish) => wish,
                Err(reason) => return Ok(denied(attempt, reason)),
            };
            Ok::<_, Infallible>(forward(request, wish, attempt, &tasks).await)
        }
    });
    let serving = reader().serve_connection(TokioIo::new(io), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "an exchange of a confined server broke off");
    }
    if let Some(mut unasked) = attempt.lock().take() {
        unasked.deny(Reason::Malformed);
    }
    finish(&tasks).await;
}

/// What a request to ourselves in the place of a host is for.
fn captured(
    request: &Request<Incoming>,
    connected: Option<Host>,
    port: u16,
    attempt: &mut Attempt,
) -> Result<Wish, Reason> {
    if let Some(host) = &connected {
        attempt.sought(&host.to_string(), Some(port));
    }
    if *request.method() == Method::CONNECT {
        return Err(Reason::Malformed);
    }
    let (host, named_port) = host_header(request.headers(), port, attempt)?;
    let differs = connected.is_some_and(|connected| connected != host);
    if differs || named_port != port {
        return Err(Reason::HostHeader);
    }
    if let Some(target) = request.uri().authority()
        && authority(target, port)? != (host.clone(), port)
    {
        return Err(Reason::HostHeader);
    }
    Ok(Wish {
        host,
        port,
        kind: WishKind::Request(request.method().clone()),
    })
}

/// Waits for the connections to the outside: each ends when nobody reads from it.
pub(crate) async fn finish(tasks: &Tasks) {
    let mut tasks = std::mem::take(&mut *tasks.lock());
    while tasks.join_next().await.is_some() {}
}

/// The one host that `Host` (RFC 9112 §3.2) names.
pub(crate) fn host_header(
    headers: &HeaderMap,
    default_port: u16,
    attempt: &mut Attempt,
) -> Result<(Host, u16), Reason> {
    let mut values = headers.get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Reason::Malformed);
    };
    if let Ok(text) = value.to_str() {
        attempt.sought(text, None);
    }
    let value = Authority::try_from(value.as_bytes()).map_err(|_invalid| Reason::NotCanonical)?;
    authority(&value, default_port)
}

/// The host and port of an authority without a user.
pub(crate) fn authority(authority: &Authority, default_port: u16) -> Result<(Host, u16), Reason> {
    if authority.as_str().contains('@') {
        return Err(Reason::NotCanonical);
    }
    let port = match (authority.port(), authority.port_u16()) {
        (_, Some(0)) | (Some(_), None) => return Err(Reason::NotCanonical),
        (_, Some(port)) => port,
        (None, None) => default_port,
    };
    let host = Host::canonical(authority.host()).ok_or(Reason::NotCanonical)?;
    Ok((host, port))
}

/// Judges the request, and passes it on if it is allowed.
pub(crate) async fn forward(
    request: Request<Incoming>,
    wish: Wish,
    mut attempt: Attempt,
    tasks: &Tasks,
) -> Response<Body> {
    attempt.wishes(&wish);
    let shared = Arc::clone(&attempt.shared);
    let route = match shared.route(wish).await {
        Ok(route) => route,
        Err(reason) => return denied(attempt, reason),
    };
    attempt.for_tool(route.permit.tool.clone());
    let outside = match shared.dial(&route, &attempt.tally).await {
        Ok(outside) => outside,
        Err(reason) => return denied(attempt, reason),
    };
    let Some(request) = rewritten(request, &route) else {
        return denied(attempt, Reason::Malformed);
    };
    let peer = outside.peer();
    let (mut sender, connection) = match client::handshake(TokioIo::new(outside.io)).await {
        Ok(both) => both,
        Err(_broken) => return denied(attempt, Reason::Broken),
    };
    let answer = sender.send_request(request);
    let driving = async move {
        let tally = Arc::clone(&attempt.tally);
        tokio::select! {
            biased;
            reason = shared.withdrawn(&route, peer, &tally) => attempt.cut(reason),
            _ended = connection => attempt.over(),
        }
    };
    tasks.lock().spawn(driving);
    match answer.await {
        Ok(response) if response.status() != StatusCode::SWITCHING_PROTOCOLS => {
            let (mut head, body) = response.into_parts();
            strip(&mut head.headers);
            last(Response::from_parts(head, Either::Right(body)))
        }
        Ok(_) | Err(_) => plain(
            StatusCode::BAD_GATEWAY,
            "the exchange with the host broke off".into(),
        ),
    }
}

/// The request in origin form, as from us.
fn rewritten(mut request: Request<Incoming>, route: &Route) -> Option<Request<Incoming>> {
    let path = match request.uri().path_and_query() {
        Some(path) if path.as_str().starts_with('/') => path.clone(),
        // `OPTIONS *`, which is about the host as such.
        Some(path) if path.as_str() == "*" && *request.method() == Method::OPTIONS => path.clone(),
        Some(_) | None => return None,
    };
    *request.uri_mut() = Uri::from(path);
    let host = route.wish.host.in_authority();
    let host = match route.wish.port {
        80 => host,
        port => format!("{host}:{port}"),
    };
    strip(request.headers_mut());
    let host = HeaderValue::from_str(&host).ok()?;
    request.headers_mut().insert(HOST, host);
    *request.version_mut() = http::Version::HTTP_11;
    Some(request)
}

/// Removes what is about one connection.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The connection ends with this.
fn last(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a second request on one connection.
pub(crate) fn repeated() -> Response<Body> {
    plain(StatusCode::BAD_REQUEST, "one request a connection\n".into())
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    last(response)
}

/// The answer to what is not let out, with the line that would.
pub(crate) fn denied(mut attempt: Attempt, reason: Reason) -> Response<Body> {
    attempt.refuse(reason);
    let status = match reason {
        Reason::Malformed | Reason::NotCanonical | Reason::HostHeader => StatusCode::BAD_REQUEST,
        Reason::Unresolved | Reason::Unreachable | Reason::Broken => StatusCode::BAD_GATEWAY,
        _ => StatusCode::FORBIDDEN,
    };
    let place = attempt.place();
    let mut text = format!("portcullis: {place} may not be reached: {reason}");
    match reason {
        Reason::Host | Reason::Port => {
            if let Some(line) = attempt.line() {
                text.push_str("; if it should be, the operator adds the rule `");
                text.push_str(line);
                text.push('`');
            }
        }
        Reason::Address(_) => {
            text.push_str("; if it should be, the operator makes the rule private");
        }
        _ => {}
    }
    text.push('\n');
    plain(status, text)
}
