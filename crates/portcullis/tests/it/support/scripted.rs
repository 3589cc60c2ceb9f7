//! A server whose tool calls are answered by the test, one event at a time.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use portcullis_testkit::answers;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
    time::timeout,
};

use super::BOUND;

/// A server on HTTP that answers all but tool calls as [`answers`] does. It stops when it is
/// dropped.
pub(crate) struct Scripted {
    address: SocketAddr,
    calls: UnboundedReceiver<Call>,
    others: UnboundedReceiver<Value>,
    task: JoinHandle<()>,
}

/// A tool call in progress.
pub(crate) struct Call {
    /// The request.
    pub(crate) message: Value,
    events: Sender<Bytes>,
}

impl Scripted {
    /// Starts on a free port of the loopback.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (call_sender, calls) = mpsc::unbounded_channel();
        let (other_sender, others) = mpsc::unbounded_channel();
        let task = tokio::spawn(serve(listener, call_sender, other_sender));
        Self {
            address,
            calls,
            others,
            task,
        }
    }

    /// The URL of its endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// The next tool call.
    pub(crate) async fn call(&mut self) -> Call {
        let call = timeout(BOUND, self.calls.recv()).await;
        call.expect("a call in time").unwrap()
    }

    /// The tool call that has come already, if one has.
    pub(crate) fn called(&mut self) -> Option<Call> {
        self.calls.try_recv().ok()
    }

    /// The next message of `method`, other than a tool call; what came before is passed over.
    pub(crate) async fn message(&mut self, method: &str) -> Value {
        let found = timeout(BOUND, async {
            loop {
                let message = self.others.recv().await.unwrap();
                if answers::method(&message) == method {
                    return message;
                }
            }
        });
        found.await.expect("the message in time")
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Call {
    /// Sends a message on the call's stream.
    pub(crate) async fn send(&self, message: &Value) {
        let event = Bytes::from(format!("data: {message}\n\n"));
        self.events.send(event).await.unwrap();
    }

    /// Sends a log message, which makes a stream of the answer.
    pub(crate) async fn log(&self, text: &str) {
        let params = json!({ "level": "info", "data": text });
        let message = "notifications/message";
        self.send(&json!({ "jsonrpc": "2.0", "method": message, "params": params }))
            .await;
    }

    /// Answers with a text.
    pub(crate) async fn answer(self, text: &str) {
        let id = self.message.get("id").unwrap();
        let modern = answers::is_modern(&self.message);
        let mut result = answers::text_result(text);
        // As the output schema of `work` has it.
        result["structuredContent"] = json!({ "sum": 3 });
        let response = answers::response(id, result, modern);
        self.send(&response).await;
    }

    /// Waits until nobody waits for the answer any more.
    pub(crate) async fn abandoned(&self) {
        let closed = timeout(BOUND, self.events.closed()).await;
        closed.expect("the stream closed in time");
    }

    /// Whether somebody still waits for the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.events.is_closed()
    }
}

struct Events(Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = ready!(self.0.poll_recv(cx));
        Poll::Ready(event.map(|event| Ok(Frame::data(event))))
    }
}

async fn serve(
    listener: TcpListener,
    calls: UnboundedSender<Call>,
    others: UnboundedSender<Value>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (calls, others) = (calls.clone(), others.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| reply(request, &calls, &others));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away is what some tests are about.
            drop(connection.await);
        });
    }
}

async fn reply(
    request: Request<Incoming>,
    calls: &UnboundedSender<Call>,
    others: &UnboundedSender<Value>,
) -> Result<Response<Either<Full<Bytes>, Events>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let message: Value =
        serde_json::from_slice(&body.collect().await?.to_bytes()).unwrap_or_default();
    let mut response = Response::new(Either::Left(Full::default()));
    let kind = |text| HeaderValue::from_static(text);
    if head.method != Method::POST {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else if answers::method(&message) == "tools/call" {
        let (events, receiver) = mpsc::channel(8);
        // The test may have ended already.
        drop(calls.send(Call { message, events }));
        let events = kind("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, events);
        *response.body_mut() = Either::Right(Events(receiver));
    } else if let Some(answer) = paged(&message).or_else(|| answers::answer(&message)) {
        drop(others.send(message));
        let json = kind("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        *response.body_mut() = Either::Left(Full::from(answer.to_string()));
    } else {
        drop(others.send(message));
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

/// The list of tools, a tool a page.
fn paged(message: &Value) -> Option<Value> {
    if answers::method(message) != "tools/list" {
        return None;
    }
    let mut answer = answers::answer(message)?;
    let result = answer.get_mut("result")?.as_object_mut()?;
    let tools = answers::tools();
    let last = message.pointer("/params/cursor").is_some();
    let page = usize::from(last);
    result.insert("tools".to_owned(), json!([tools.get(page)?]));
    if !last {
        result.insert("nextCursor".to_owned(), json!("page-two"));
    }
    Some(answer)
}
