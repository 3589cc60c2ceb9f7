//! A client of an MCP endpoint on loopback, over HTTP/1.1: every header and every byte of the body
//! is the caller's to choose.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long an answer may take from the first byte sent to the last one received.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is kept, in bytes.
const BODY_MAX: usize = 32 << 20;

/// From what size on a body waits for a refusal before it is sent, in bytes.
const LARGE: usize = 1 << 20;
/// How long it waits.
const HESITATION: Duration = Duration::from_millis(300);

/// The era of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Era {
    /// 2025-11-25: `initialize` and a session.
    Legacy,
    /// 2026-07-28: each request stands alone.
    Modern,
}

/// One client's view of one endpoint.
#[derive(Clone, Debug)]
pub(in super::super) struct Endpoint {
    /// Where it listens.
    pub(in super::super) address: SocketAddr,
    /// The path of the endpoint.
    pub(in super::super) path: String,
    /// The client's bearer token, if it has one.
    pub(in super::super) token: Option<String>,
}

/// A request before it is sent.
#[derive(Clone, Debug)]
pub(in super::super) struct Post {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Post {
    /// A body with the headers that every request has.
    pub(in super::super) fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            headers: Vec::new(),
            body: body.into(),
        }
        .set("content-type", "application/json")
        .set("accept", "application/json, text/event-stream")
    }

    /// A modern request for `body`, which calls `method` on `name`.
    pub(in super::super) fn modern(body: impl Into<Vec<u8>>, method: &str, name: &str) -> Self {
        let post = Self::new(body)
            .set("mcp-protocol-version", "2026-07-28")
            .set("mcp-method", method);
        if name.is_empty() {
            post
        } else {
            post.set("mcp-name", name)
        }
    }

    /// A legacy request for `body` in a session.
    pub(in super::super) fn legacy(body: impl Into<Vec<u8>>, session: &str) -> Self {
        Self::new(body)
            .set("mcp-protocol-version", "2025-11-25")
            .set("mcp-session-id", session)
    }

    /// Sets a header, in place of what it was.
    pub(in super::super) fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.add(name, value)
    }

    /// Adds a header line, whether or not there is one of that name.
    pub(in super::super) fn add(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What came back.
#[derive(Debug)]
pub(in super::super) struct Reply {
    /// The HTTP status code.
    pub(in super::super) status: u16,
    /// The session id, if one was handed out.
    pub(in super::super) session: Option<String>,
    /// The JSON-RPC messages of the body, be it JSON or an event stream.
    pub(in super::super) messages: Vec<Value>,
    /// The body as it came.
    pub(in super::super) body: Vec<u8>,
}

impl Reply {
    /// The answer to the request: the last message with a result or an error.
    pub(in super::super) fn answer(&self) -> Option<&Value> {
        let answers =
            |message: &&Value| message.get("result").is_some() || message.get("error").is_some();
        self.messages.iter().rfind(answers)
    }

    /// A request of the server's within the reply.
    pub(in super::super) fn question(&self) -> Option<&Value> {
        self.messages
            .iter()
            .find(|message| message.get("method").is_some() && message.get("id").is_some())
    }

    /// Whether the body holds `text`, anywhere.
    pub(in super::super) fn holds(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.body
            .windows(text.len().max(1))
            .any(|window| window == text)
    }

    /// The text of a tool result; an error that tells what came instead.
    pub(in super::super) fn text(&self) -> anyhow::Result<String> {
        let answer = self
            .answer()
            .with_context(|| format!("HTTP {} and no answer", self.status))?;
        let failed = answer.pointer("/result/isError") == Some(&Value::Bool(true));
        anyhow::ensure!(
            answer.get("result").is_some() && !failed,
            "refused: {answer}"
        );
        Ok(super::result_text(answer))
    }
}

impl Endpoint {
    /// Sends `post` and reads the reply up to its end, the answer, or a question of the server's.
    pub(in super::super) async fn send(&self, post: Post) -> anyhow::Result<Reply> {
        tokio::time::timeout(PATIENCE, self.exchange(post))
            .await
            .with_context(|| format!("no reply within {} s", PATIENCE.as_secs()))?
    }

    async fn exchange(&self, post: Post) -> anyhow::Result<Reply> {
        let stream = TcpStream::connect(self.address)
            .await
            .context("nothing listens")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Its errors come out of the request as well.
        let driver = tokio::spawn(connection);
        let mut request = Request::post(&self.path);
        if !post.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", self.address.to_string());
        }
        let bearer = self.token.as_deref().map(|token| format!("Bearer {token}"));
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        for (name, value) in &post.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        let request = request.body(Hesitant::new(post.body))?;
        let response = sender
            .send_request(request)
            .await
            .context("no HTTP response")?;
        let reply = read(response).await;
        driver.abort();
        reply
    }

    /// Begins a legacy session; its id.
    pub(in super::super) async fn begin(&self) -> anyhow::Result<String> {
        let hello = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": super::capabilities(),
                "clientInfo": super::client_info(),
            },
        });
        let reply = self.send(Post::new(hello.to_string())).await?;
        let session = reply
            .session
            .with_context(|| format!("`initialize` gave no session: HTTP {}", reply.status))?;
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.send(Post::legacy(ready.to_string(), &session)).await?;
        Ok(session)
    }

    /// Sends a modern request with these parameters and the members that the revision requires.
    pub(in super::super) async fn request(
        &self,
        method: &str,
        params: &Value,
    ) -> anyhow::Result<Reply> {
        let mut params = params.clone();
        let meta = serde_json::from_str(&modern_meta())?;
        params
            .as_object_mut()
            .context("parameters are an object")?
            .insert("_meta".to_owned(), meta);
        let name = params
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send(Post::modern(body.to_string(), method, &name))
            .await
    }

    /// Calls a tool, by the modern revision.
    pub(in super::super) async fn call(
        &self,
        tool: &str,
        arguments: &Value,
    ) -> anyhow::Result<Reply> {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
            .await
    }

    /// Calls a tool in a legacy session.
    pub(in super::super) async fn call_in(
        &self,
        session: &str,
        tool: &str,
        arguments: &Value,
    ) -> anyhow::Result<Reply> {
        let params = json!({"name": tool, "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        self.send(Post::legacy(body.to_string(), session)).await
    }
}

/// The `_meta` member of a modern request, as text.
pub(in super::super) fn modern_meta() -> String {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": super::capabilities(),
        "io.modelcontextprotocol/clientInfo": super::client_info(),
    })
    .to_string()
}

/// A body in one piece. A large one comes a moment after the head, so that a refusal of its size
/// arrives while the connection stands (RFC 9110, section 10.1.1, asks clients for as much).
struct Hesitant {
    rest: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Hesitant {
    fn new(body: Vec<u8>) -> Self {
        let pause = (body.len() >= LARGE).then(|| Box::pin(tokio::time::sleep(HESITATION)));
        Self {
            rest: body.into(),
            pause,
        }
    }
}

impl Body for Hesitant {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(task));
            self.pause = None;
        }
        let rest = std::mem::take(&mut self.rest);
        Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

async fn read(response: Response<Incoming>) -> anyhow::Result<Reply> {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let stream = header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let session = header("mcp-session-id");
    let status = response.status().as_u16();
    let mut reply = Reply {
        status,
        session,
        messages: Vec::new(),
        body: Vec::new(),
    };
    let mut incoming = response.into_body();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.context("the reply broke off")?.into_data() else {
            continue;
        };
        reply.body.extend_from_slice(&data);
        anyhow::ensure!(reply.body.len() <= BODY_MAX, "the reply never ends");
        if stream && reply.body.ends_with(b"\n\n") {
            reply.messages = events(&reply.body);
            if reply.answer().is_some() || reply.question().is_some() {
                return Ok(reply);
            }
        }
    }
    reply.messages = if stream {
        events(&reply.body)
    } else {
        serde_json::from_slice(&reply.body).into_iter().collect()
    };
    Ok(reply)
}

/// The messages of an event stream; what is not JSON is left out, as its answer then is missing.
fn events(stream: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n");
    let data = |event: &str| {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
        lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n")
    };
    text.split("\n\n")
        .filter_map(|event| serde_json::from_str(&data(event)).ok())
        .collect()
}
