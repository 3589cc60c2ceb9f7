//! An MCP server inside of the test, over HTTP or stdio: it answers as the test says, byte for
//! byte if need be, and keeps what reached it. Over stdio a shell carries its lines.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::gateway::{BOUND, LEGACY, MODERN};

/// Carries lines between its standard streams and the port that it is given.
const RELAY: &str = "exec 3<>/dev/tcp/127.0.0.1/$0\n(/bin/cat <&3; kill $$) &\nexec /bin/cat >&3";

type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = Arc<dyn Fn(Call) -> Answering + Send + Sync>;

/// What a server is to be, before it runs.
pub(crate) struct Script {
    is_modern: bool,
    capabilities: Value,
    handlers: HashMap<&'static str, Handler>,
}

/// A running server; it stops when it is dropped.
pub(crate) struct Scripted {
    shared: Arc<Shared>,
    http: SocketAddr,
    pipe: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    script: Script,
    seen: watch::Sender<Vec<Seen>>,
    /// Streams for what belongs to no request: how many have been opened, and those still open.
    standing: watch::Sender<(usize, Vec<Standing>)>,
    sessions: AtomicUsize,
    asked: AtomicI64,
}

/// A stream for what belongs to no request, and the `subscriptions/listen` that asked for it.
type Standing = (Option<Value>, mpsc::UnboundedSender<Out>);

/// A message that reached the server.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub message: Value,
    /// The message as it came.
    pub raw: Bytes,
    /// Empty over stdio.
    pub headers: HeaderMap,
}

/// A request that reached the server, to be answered.
#[derive(Clone)]
pub(crate) struct Call {
    pub message: Value,
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Out>,
}

enum Out {
    /// An answer that is one message, with its HTTP status.
    Whole(u16, String),
    /// A message among others.
    Event(String),
    /// The end of everything.
    End,
}

impl Script {
    /// A server of the modern era, or of the legacy era, that offers nothing yet.
    pub(crate) fn of(is_modern: bool) -> Self {
        let listed = json!({ "listChanged": true });
        let capabilities = json!({
            "tools": listed,
            "prompts": listed,
            "resources": { "listChanged": true, "subscribe": true },
            "logging": {},
            "completions": {},
        });
        Self {
            is_modern,
            capabilities,
            handlers: HashMap::new(),
        }
    }

    /// Answers requests of `method` by `answer`, which ends them itself.
    pub(crate) fn on<F>(
        mut self,
        method: &'static str,
        answer: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.handlers
            .insert(method, Arc::new(move |call| Box::pin(answer(call))));
        self
    }

    /// Answers requests of `method` with `result`.
    pub(crate) fn result(self, method: &'static str, result: Value) -> Self {
        self.on(method, move |call| {
            call.result(result.clone());
            std::future::ready(())
        })
    }

    /// Lists `names` as tools that take anything.
    pub(crate) fn tools(self, names: &[&str]) -> Self {
        let schema = json!({ "type": "object", "additionalProperties": true });
        let tools: Vec<Value> = names
            .iter()
            .map(|name| json!({ "name": name, "inputSchema": schema }))
            .collect();
        self.result("tools/list", json!({ "tools": tools }))
    }

    /// Starts it on free ports of the loopback.
    pub(crate) async fn start(self) -> Scripted {
        let shared = Arc::new(Shared {
            script: self,
            seen: watch::Sender::new(Vec::new()),
            standing: watch::Sender::default(),
            sessions: AtomicUsize::new(0),
            asked: AtomicI64::new(0),
        });
        let http = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let pipe = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Scripted {
            http: http.local_addr().unwrap(),
            pipe: pipe.local_addr().unwrap(),
            tasks: [
                tokio::spawn(serve_http(http, Arc::clone(&shared))),
                tokio::spawn(serve_pipes(pipe, Arc::clone(&shared))),
            ],
            shared,
        }
    }
}

impl Scripted {
    /// Its entry in a configuration, by either transport.
    pub(crate) fn entry(&self, name: &str, over_stdio: bool, rest: &str) -> String {
        if over_stdio {
            let port = self.pipe.port().to_string();
            crate::gateway::local(name, &["/bin/bash", "-c", RELAY, &port], rest)
        } else {
            crate::gateway::remote(name, &format!("http://{}/mcp", self.http), rest)
        }
    }

    /// The command by which it is a local server.
    pub(crate) fn command(&self) -> [String; 4] {
        let port = self.pipe.port().to_string();
        [
            "/bin/bash".to_owned(),
            "-c".to_owned(),
            RELAY.to_owned(),
            port,
        ]
    }

    /// All messages so far with that method.
    pub(crate) fn seen(&self, method: &str) -> Vec<Seen> {
        let seen = self.shared.seen.borrow();
        seen.iter()
            .filter(|seen| seen.message["method"] == method)
            .cloned()
            .collect()
    }

    /// The first message that fits, waiting for it if need be.
    pub(crate) async fn sees(&self, fits: impl Fn(&Value) -> bool) -> Seen {
        self.shared.sees(fits).await
    }

    /// Waits until `count` messages with that method have come.
    pub(crate) async fn sees_of(&self, method: &str, count: usize) -> Vec<Seen> {
        let mut seen = self.shared.seen.subscribe();
        let all = |seen: &Vec<Seen>| {
            seen.iter()
                .filter(|seen| seen.message["method"] == method)
                .count()
                >= count
        };
        let waited = timeout(BOUND, seen.wait_for(all)).await;
        assert!(waited.is_ok(), "{count} of {method} did not come");
        self.seen(method)
    }

    /// Waits until `count` streams for what belongs to no request have been opened.
    pub(crate) async fn stands(&self, count: usize) {
        let mut standing = self.shared.standing.subscribe();
        let waited = timeout(BOUND, standing.wait_for(|(opened, _)| *opened >= count)).await;
        assert!(waited.is_ok(), "{count} standing streams were not opened");
    }

    /// Sends a notification that belongs to no request, on every open stream for such.
    pub(crate) fn notify(&self, method: &str, params: &Value) {
        for (listen, out) in &self.shared.standing.borrow().1 {
            let mut params = params.clone();
            if let Some(id) = listen {
                params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": id });
            }
            let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
            out.send(Out::Event(message.to_string())).ok();
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Call {
    pub(crate) fn id(&self) -> &Value {
        &self.message["id"]
    }

    /// The name of the tool that is called.
    pub(crate) fn tool(&self) -> &str {
        self.message["params"]["name"].as_str().unwrap_or_default()
    }

    pub(crate) fn params(&self) -> &Value {
        &self.message["params"]
    }

    /// Answers with a result, stamped as the era wants it.
    pub(crate) fn result(&self, mut result: Value) {
        let method = self.message["method"].as_str().unwrap_or_default();
        if self.shared.script.is_modern {
            let fields = result.as_object_mut().unwrap();
            fields.entry("resultType").or_insert("complete".into());
            if method.contains("list") || method.contains("read") || method.contains("discover") {
                fields.entry("ttlMs").or_insert(1000.into());
                fields.entry("cacheScope").or_insert("public".into());
            }
        }
        self.raw(&result.to_string());
    }

    /// Answers with these bytes as the result.
    pub(crate) fn raw(&self, result: &str) {
        let id = self.id();
        self.whole(
            200,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        );
    }

    /// Answers with an error.
    pub(crate) fn error(&self, code: i64, message: &str, data: impl Into<Value>) {
        let data: Value = data.into();
        let status = if self.shared.script.is_modern && code == -32601 {
            404
        } else {
            200
        };
        let error = json!({ "code": code, "message": message, "data": data });
        let id = self.id();
        self.whole(
            status,
            json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string(),
        );
    }

    /// Answers with any text and HTTP status.
    pub(crate) fn whole(&self, status: u16, text: String) {
        self.out.send(Out::Whole(status, text)).ok();
    }

    /// Sends a notification on the way.
    pub(crate) fn notify(&self, method: &str, params: impl Into<Value>) {
        let params: Value = params.into();
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.out.send(Out::Event(message.to_string())).ok();
    }

    /// Asks the client, and waits for its whole response.
    pub(crate) async fn ask(&self, method: &str, params: impl Into<Value>) -> Value {
        let params: Value = params.into();
        let id = 1000 + self.shared.asked.fetch_add(1, Ordering::Relaxed);
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.out.send(Out::Event(message.to_string())).ok();
        let is_response = |seen: &Value| seen["id"] == id && seen.get("method").is_none();
        self.shared.sees(is_response).await.message
    }

    /// Breaks the connection off (stdio alone).
    pub(crate) fn hang_up(&self) {
        self.out.send(Out::End).ok();
    }

    /// Waits until nobody reads the answer any more (HTTP alone).
    pub(crate) async fn gone(&self) {
        self.out.closed().await;
    }
}

impl Shared {
    async fn sees(&self, fits: impl Fn(&Value) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        let found = |seen: &Vec<Seen>| seen.iter().any(|seen| fits(&seen.message));
        let waited = timeout(BOUND, seen.wait_for(found)).await;
        let seen = waited.expect("the message did not come").unwrap();
        seen.iter()
            .find(|seen| fits(&seen.message))
            .unwrap()
            .clone()
    }

    fn stand(&self, listen: Option<Value>, out: mpsc::UnboundedSender<Out>) {
        self.standing.send_modify(|(opened, open)| {
            *opened += 1;
            open.retain(|(_, out)| !out.is_closed());
            open.push((listen, out));
        });
    }

    /// Takes a message, and has it answered if it is a request.
    fn take(self: &Arc<Self>, seen: Seen, out: mpsc::UnboundedSender<Out>) -> bool {
        let message = seen.message.clone();
        self.seen.send_modify(|all| all.push(seen));
        let (Some(method), Some(_)) = (message["method"].as_str(), message.get("id")) else {
            return false;
        };
        let handler = self.script.handlers.get(method).cloned();
        let call = Call {
            shared: Arc::clone(self),
            out,
            message,
        };
        match handler {
            Some(handler) => drop(tokio::spawn(handler(call))),
            None => self.answer(&call),
        }
        true
    }

    /// What a server does of itself.
    fn answer(&self, call: &Call) {
        let (capabilities, is_modern) = (&self.script.capabilities, self.script.is_modern);
        let info = json!({ "name": "scripted", "version": "3" });
        match call.message["method"].as_str().unwrap_or_default() {
            "server/discover" if is_modern => call.result(json!({
                "supportedVersions": [MODERN],
                "capabilities": capabilities,
                "_meta": { "io.modelcontextprotocol/serverInfo": info },
            })),
            "initialize" if !is_modern => call.result(json!({
                "protocolVersion": LEGACY,
                "capabilities": capabilities,
                "serverInfo": info,
            })),
            "tools/list" => call.result(json!({ "tools": [] })),
            "prompts/list" => call.result(json!({ "prompts": [] })),
            "resources/list" => call.result(json!({ "resources": [] })),
            "resources/templates/list" => call.result(json!({ "resourceTemplates": [] })),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
                if !is_modern =>
            {
                call.result(json!({}));
            }
            "subscriptions/listen" if is_modern => {
                let notifications = call.params()["notifications"].clone();
                let meta = json!({ "io.modelcontextprotocol/subscriptionId": call.id() });
                let agreed = json!({ "notifications": notifications, "_meta": meta });
                call.notify("notifications/subscriptions/acknowledged", agreed);
                self.stand(Some(call.id().clone()), call.out.clone());
            }
            _ => call.error(-32601, "Method not found", Value::Null),
        }
    }
}

async fn serve_pipes(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(serve_pipe(stream, shared));
    }
}

async fn serve_pipe(stream: TcpStream, shared: Arc<Shared>) {
    let (input, mut output) = stream.into_split();
    let (out, mut ready) = mpsc::unbounded_channel();
    if !shared.script.is_modern {
        shared.stand(None, out.clone());
    }
    let writing = tokio::spawn(async move {
        while let Some(Out::Whole(_, text) | Out::Event(text)) = ready.recv().await {
            if output
                .write_all(format!("{text}\n").as_bytes())
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if writing.is_finished() {
            break;
        }
        let message = serde_json::from_str(&line).unwrap_or_default();
        let seen = Seen {
            message,
            raw: line.into(),
            headers: HeaderMap::new(),
        };
        shared.take(seen, out.clone());
    }
    writing.abort();
}

async fn serve_http(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(respond(&shared, request).await) }
            });
            // A client that goes away is no news here.
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

async fn respond(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Reply> {
    let (head, body) = request.into_parts();
    let raw = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let (out, mut ready) = mpsc::unbounded_channel();
    let message: Value = match head.method {
        Method::GET if !shared.script.is_modern => {
            shared.stand(None, out);
            return reply(200, "text/event-stream", Reply::Events(ready));
        }
        Method::POST => serde_json::from_slice(&raw).unwrap_or_default(),
        Method::DELETE => json!({ "method": "DELETE" }),
        _ => return reply(405, "text/plain", Reply::Whole(None)),
    };
    let greets = message["method"] == "initialize";
    if !shared.take(
        Seen {
            message,
            raw,
            headers: head.headers,
        },
        out,
    ) {
        return reply(202, "text/plain", Reply::Whole(None));
    }
    let mut response = match ready.recv().await {
        Some(Out::Whole(status, text)) => {
            reply(status, "application/json", Reply::Whole(Some(text.into())))
        }
        Some(first) => reply(200, "text/event-stream", Reply::Begun(Some(first), ready)),
        None => reply(500, "text/plain", Reply::Whole(None)),
    };
    if greets {
        let session = shared.sessions.fetch_add(1, Ordering::Relaxed);
        let id = format!("session-{session}").parse().unwrap();
        response.headers_mut().insert("mcp-session-id", id);
    }
    response
}

fn reply(status: u16, media_type: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(media_type),
    );
    response
}

/// A body: one message, or events until the last sender goes or a whole answer has been sent.
enum Reply {
    Whole(Option<Bytes>),
    Begun(Option<Out>, mpsc::UnboundedReceiver<Out>),
    Events(mpsc::UnboundedReceiver<Out>),
    Ended,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut *self {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(Frame::data).map(Ok)),
            Self::Begun(first, rest) => match first.take() {
                Some(first) => Some(first),
                None => std::task::ready!(rest.poll_recv(cx)),
            },
            Self::Events(events) => std::task::ready!(events.poll_recv(cx)),
            Self::Ended => None,
        };
        let event = |text: &str| Bytes::from(format!("data: {text}\n\n"));
        Poll::Ready(match next {
            Some(Out::Event(text)) => Some(Ok(Frame::data(event(&text)))),
            Some(Out::Whole(_, text)) => {
                *self = Self::Ended;
                Some(Ok(Frame::data(event(&text))))
            }
            Some(Out::End) | None => None,
        })
    }
}
