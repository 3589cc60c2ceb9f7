//! The listener for clients that know of the proxy.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::allowance::{Wish, WishKind};
use super::attempt::Attempt;
use super::connection::Kind;
use super::exchange::{self, Body, Tasks};
use super::reason::Reason;
use super::route::Route;
use super::tunnel;

/// A tunnel that was granted.
struct Granted {
    upgrade: OnUpgrade,
    route: Route,
    attempt: Attempt,
}

/// Serves one request: a tunnel, or a plain one.
pub(crate) async fn serve(tcp: TcpStream, attempt: Attempt) {
    let tasks = Tasks::default();
    let attempt = Mutex::new(Some(attempt));
    let granted = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let attempt = attempt.lock().take();
        let (granted, tasks) = (&granted, Arc::clone(&tasks));
        async move {
            // One connection, one request: there is no second attempt to take.
            let Some(attempt) = attempt else {
                return Ok(exchange::repeated());
            };
            Ok::<_, Infallible>(match *request.method() {
                Method::CONNECT => match connect(request, attempt).await {
                    Ok(tunnel) => {
                        *granted.lock() = Some(tunnel);
                        Response::new(Either::Left(Full::new(Bytes::new())))
                    }
                    Err(denial) => *denial,
                },
                _ => plain(request, attempt, &tasks).await,
            })
        }
    });
    let serving = exchange::reader()
        .serve_connection(TokioIo::new(tcp), service)
        .with_upgrades();
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a request of a confined server broke off");
    }
    if let Some(mut unasked) = attempt.into_inner() {
        unasked.deny(Reason::Malformed);
    }
    if let Some(granted) = granted.into_inner()
        && let Ok(upgraded) = granted.upgrade.await
    {
        tunnel::serve(TokioIo::new(upgraded), granted.route, granted.attempt).await;
    }
    exchange::finish(&tasks).await;
}

/// Judges a `CONNECT`, and finds the host. It is dialled when the tunnel has shown what it is.
async fn connect(
    mut request: Request<Incoming>,
    mut attempt: Attempt,
) -> Result<Granted, Box<Response<Body>>> {
    let wish = match tunnel_wish(&request, &mut attempt) {
        Ok(wish) => wish,
        Err(reason) => return Err(Box::new(exchange::denied(attempt, reason))),
    };
    attempt.wishes(&wish);
    let shared = Arc::clone(&attempt.shared);
    match shared.route(wish).await {
        Ok(route) => {
            attempt.for_tool(route.permit.tool.clone());
            Ok(Granted {
                upgrade: hyper::upgrade::on(&mut request),
                route,
                attempt,
            })
        }
        Err(reason) => Err(Box::new(exchange::denied(attempt, reason))),
    }
}

fn tunnel_wish(request: &Request<Incoming>, attempt: &mut Attempt) -> Result<Wish, Reason> {
    let authority = request.uri().authority().ok_or(Reason::Malformed)?;
    attempt.sought(authority.as_str(), None);
    // The port has no default here.
    authority.port().ok_or(Reason::Malformed)?;
    let (host, port) = exchange::authority(authority, 0)?;
    // `Host` is not looked at: it goes nowhere, older clients send none, and Node's sends the proxy's.
    Ok(Wish {
        host,
        port,
        kind: WishKind::Tunnel,
    })
}

/// A request in absolute form.
async fn plain(request: Request<Incoming>, mut attempt: Attempt, tasks: &Tasks) -> Response<Body> {
    attempt.is(Kind::Request);
    match plain_wish(&request, &mut attempt) {
        Ok(wish) => exchange::forward(request, wish, attempt, tasks).await,
        Err(reason) => exchange::denied(attempt, reason),
    }
}

fn plain_wish(request: &Request<Incoming>, attempt: &mut Attempt) -> Result<Wish, Reason> {
    let uri = request.uri();
    let authority = uri.authority().ok_or(Reason::Malformed)?;
    attempt.sought(authority.as_str(), None);
    // With another scheme, somebody else would have to speak it.
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Err(Reason::Protocol);
    }
    let (host, port) = exchange::authority(authority, 80)?;
    let named = exchange::host_header(request.headers(), 80, attempt)?;
    attempt.sought(authority.as_str(), None);
    if named != (host.clone(), port) {
        return Err(Reason::HostHeader);
    }
    Ok(Wish {
        host,
        port,
        kind: WishKind::Request(request.method().clone()),
    })
}
