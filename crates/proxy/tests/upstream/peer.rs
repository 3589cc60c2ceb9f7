//! An HTTP server that answers as a closure says, and tells the test what it was asked.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_mcp::{Object, string};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::soon;

/// One request that the server got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) verb: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON-RPC method; empty in responses and without a body.
    pub(crate) fn method(&self) -> String {
        let method = Object::parse(&self.body)
            .and_then(|message| Some(string(message.get("method")?)?.into_owned()));
        method.unwrap_or_default()
    }

    /// The raw id.
    pub(crate) fn id(&self) -> String {
        crate::support::at(&self.body, &["id"])
    }

    /// A JSON-RPC result for this request.
    pub(crate) fn result(&self, result: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#,
            self.id()
        )
    }

    /// A JSON-RPC error for this request; `rest` are more members of `error`.
    pub(crate) fn error(&self, code: i64, rest: &str) -> String {
        let id = self.id();
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"no"{rest}}}}}"#)
    }
}

/// What the server answers.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Out,
}

impl Reply {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self {
            status,
            headers,
            body: Out::Whole(Some(body.into().into())),
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Out::Whole(None),
        }
    }

    /// An event stream of `events`, which then ends.
    pub(crate) fn events(events: &[String]) -> Self {
        let (sender, stream) = Self::stream();
        for event in events {
            sender.send(event.clone()).unwrap();
        }
        stream
    }

    /// An event stream that the test writes; it ends when the sender is dropped.
    pub(crate) fn stream() -> (mpsc::UnboundedSender<String>, Self) {
        let (sender, events) = mpsc::unbounded_channel();
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        (
            sender,
            Self {
                status: 200,
                headers,
                body: Out::Events(events, None),
            },
        )
    }

    /// An answer that never begins.
    pub(crate) fn never() -> Self {
        Self {
            status: 0,
            headers: Vec::new(),
            body: Out::Whole(None),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Tells when the body is let go of: sent to its end, or the client is gone.
    pub(crate) fn watched(mut self) -> (CancellationToken, Self) {
        let gone = CancellationToken::new();
        if let Out::Events(_, guard) = &mut self.body {
            *guard = Some(gone.clone().drop_guard());
        }
        (gone, self)
    }
}

/// One `message` event.
pub(crate) fn event(id: Option<&str>, data: &str) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}data: {data}\n\n")
}

enum Out {
    Whole(Option<Bytes>),
    Events(mpsc::UnboundedReceiver<String>, Option<DropGuard>),
}

impl Body for Out {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(events, _) => events
                .poll_recv(cx)
                .map(|event| event.map(|text| Ok(Frame::data(text.into())))),
        }
    }
}

/// The server. Dropped, it stops, with all its connections.
pub(crate) struct Peer {
    pub(crate) url: String,
    seen: mpsc::UnboundedReceiver<Seen>,
    connections: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Peer {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (sender, seen) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let connections = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(answer);
        tokio::spawn(stop.clone().run_until_cancelled_owned({
            let stop = stop.clone();
            let connections = connections.clone();
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    connections.fetch_add(1, Ordering::Relaxed);
                    let (answer, sender) = (answer.clone(), sender.clone());
                    let service =
                        service_fn(move |request| respond(request, answer.clone(), sender.clone()));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                        // A client that goes away is no concern of the peer.
                        connection.await.ok();
                    }));
                }
            }
        }));
        Self {
            url,
            seen,
            connections,
            _stop: stop.drop_guard(),
        }
    }

    /// How many connections were made to the server.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The next request for which `wanted` holds.
    pub(crate) async fn seen(&mut self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let seen = soon(self.seen.recv()).await.expect("a request");
            if wanted(&seen) {
                return seen;
            }
        }
    }

    /// The next request with this JSON-RPC method.
    pub(crate) async fn seen_method(&mut self, method: &str) -> Seen {
        self.seen(|seen| seen.method() == method).await
    }

    /// The JSON-RPC methods and HTTP verbs of all requests so far.
    pub(crate) fn so_far(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(seen) = self.seen.try_recv() {
            let method = seen.method();
            all.push(if method.is_empty() {
                seen.verb.to_string()
            } else {
                method
            });
        }
        all
    }
}

async fn respond(
    request: Request<Incoming>,
    answer: Arc<impl Fn(&Seen) -> Reply>,
    sender: mpsc::UnboundedSender<Seen>,
) -> Result<Response<Out>, Infallible> {
    let (parts, body) = request.into_parts();
    let seen = Seen {
        verb: parts.method,
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
    };
    let reply = answer(&seen);
    // The test may have ended already.
    sender.send(seen).ok();
    if reply.status == 0 {
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(reply.body).unwrap())
}
