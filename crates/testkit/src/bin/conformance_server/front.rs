//! Streamable HTTP: the listener, the refusal of the other era, and the cut of one stream.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rmcp::transport::{
    StreamableHttpServerConfig, StreamableHttpService,
    streamable_http_server::session::local::LocalSessionManager,
};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{
    era::{Envelope, Era, Refusal},
    fixture::Fixture,
    plain,
};

const BODY_BYTES_MAX: usize = 4 << 20;
const RETRY: Duration = Duration::from_millis(300);

type Reply = Response<BoxBody<Bytes, Infallible>>;

/// The rests of streams that were cut, by session and last event.
type Rests = HashMap<(String, String), Reply>;

struct Front {
    era: Era,
    rests: Mutex<Rests>,
    service: StreamableHttpService<Fixture, LocalSessionManager>,
}

/// Serves HTTP/1.1 at `address` until the process ends; says on standard output where.
///
/// # Errors
///
/// The address cannot be bound.
pub(crate) async fn serve(fixture: Fixture, address: SocketAddr) -> anyhow::Result<()> {
    let era = fixture.era();
    let config = StreamableHttpServerConfig::default()
        .with_sse_retry(Some(RETRY))
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]);
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = Some(RETRY);
    let service = StreamableHttpService::new(
        move || Ok(fixture.for_session()),
        Arc::new(sessions),
        config,
    );
    let front = Arc::new(Front {
        era,
        rests: Mutex::default(),
        service,
    });
    let listener = TcpListener::bind(address).await?;
    writeln!(
        std::io::stdout(),
        "listening http://{}/mcp",
        listener.local_addr()?
    )?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let front = Arc::clone(&front);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let front = Arc::clone(&front);
                async move { Ok::<_, Infallible>(front.answer(request).await) }
            });
            // A client that goes away is no news to a fixture.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        if parts.uri.path() != "/mcp" {
            return empty(StatusCode::NOT_FOUND);
        }
        if self.era == Era::Modern && parts.method != Method::POST {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let body = body.to_bytes();
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let envelope = envelope(&parts.headers);
        if let Some(refusal) = self.era.refuse(&message, envelope) {
            return refused(&refusal);
        }
        let cut = envelope.in_session && plain::is_reconnection(&message);
        let session = text(&parts.headers, "mcp-session-id").to_owned();
        let last = text(&parts.headers, "last-event-id").to_owned();
        if let Some(rest) = self.take_rest(&session, &last) {
            return rest;
        }
        let reply = self
            .service
            .handle(Request::from_parts(parts, Full::new(body)))
            .await;
        if cut {
            self.cut(session, reply).await
        } else {
            reply
        }
    }

    /// Ends an event stream after its first event, as a server may from 2025-11-25 on: the client
    /// is to come back with `Last-Event-ID`. The rest waits for it here, for the SDK loses what
    /// is sent while nobody reads.
    async fn cut(&self, session: String, reply: Reply) -> Reply {
        let (head, mut body) = reply.into_parts();
        let Some(Ok(first)) = body.frame().await else {
            return Response::from_parts(head, body);
        };
        let first = first.into_data().unwrap_or_default();
        let lines = String::from_utf8_lossy(&first).into_owned();
        let id = lines
            .lines()
            .find_map(|line| line.strip_prefix("id:"))
            .unwrap_or_default();
        let rest = Response::from_parts(head.clone(), body);
        self.rests().insert((session, id.trim().to_owned()), rest);
        Response::from_parts(head, Full::new(first).boxed())
    }

    fn take_rest(&self, session: &str, last_event: &str) -> Option<Reply> {
        self.rests()
            .remove(&(session.to_owned(), last_event.to_owned()))
    }

    fn rests(&self) -> MutexGuard<'_, Rests> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn envelope(headers: &HeaderMap) -> Envelope<'_> {
    Envelope {
        http: true,
        in_session: headers.contains_key("mcp-session-id"),
        version: headers
            .get("mcp-protocol-version")
            .and_then(|value| value.to_str().ok()),
    }
}

fn refused(refusal: &Refusal) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(refusal.body.to_string())).boxed());
    *reply.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let json = header::HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::new()).boxed());
    *reply.status_mut() = status;
    reply
}
