//! An MCP server on HTTP that keeps all that reached it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::answers;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The HTTP method.
    pub method: Method,
    /// The path and query.
    pub target: String,
    /// Every header.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A server that answers as [`answers`] does, on every path, and records each request. It stops
/// when it is dropped.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Recorded>>>,
    task: JoinHandle<()>,
}

impl Recorded {
    /// The values of a header, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn message(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Recorder {
    /// Starts on a free port of the loopback.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&seen)));
        Ok(Self {
            address,
            seen,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Every request so far, the oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Recorded> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The requests so far whose JSON-RPC method is `method`.
    #[must_use]
    pub fn seen_of(&self, method: &str) -> Vec<Recorded> {
        let mut seen = self.seen();
        seen.retain(|request| answers::method(&request.message()) == method);
        seen
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<Recorded>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let seen = Arc::clone(&seen);
                async move { answer(request, &seen).await }
            });
            // A client that goes away is no news here.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: &Mutex<Vec<Recorded>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let recorded = Recorded {
        method: head.method,
        target,
        headers: head.headers,
        body,
    };
    let reply = reply(&recorded);
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(recorded);
    Ok(reply)
}

fn reply(request: &Recorded) -> Response<Full<Bytes>> {
    let message = request.message();
    let mut reply = Response::new(Full::default());
    if request.method != Method::POST {
        *reply.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else if let Some(answer) = answers::answer(&message) {
        let unknown = answer.pointer("/error/code").and_then(Value::as_i64) == Some(-32601);
        if unknown && answers::is_modern(&message) {
            *reply.status_mut() = StatusCode::NOT_FOUND;
        }
        let json = HeaderValue::from_static("application/json");
        reply.headers_mut().insert(header::CONTENT_TYPE, json);
        *reply.body_mut() = Full::from(answer.to_string());
    } else {
        *reply.status_mut() = StatusCode::ACCEPTED;
    }
    reply
}
