//! A client that sends what it is told and shows what came back.
//!
//! [`Client`] speaks correct HTTP/1.1 with any method, header and body; [`exchange`] sends bytes
//! that need not be HTTP at all.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A client of one URL; every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    uri: Uri,
    address: String,
    bound: Duration,
}

/// The head of a response, and its body still to be read.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
    bound: Duration,
}

/// One event of a stream (HTML living standard §9.2.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field.
    pub name: Option<String>,
    /// The `id` field.
    pub id: Option<String>,
    /// The `retry` field, in milliseconds.
    pub retry_ms: Option<u64>,
    /// The `data` fields, joined by newlines.
    pub data: String,
}

impl Client {
    /// A client of `url`; every step of an exchange is to take no longer than `bound`.
    ///
    /// # Errors
    ///
    /// `url` is none with an authority.
    pub fn new(url: &str, bound: Duration) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("no URL: `{url}`"))?;
        let address = uri.authority().context("the URL has no host")?.to_string();
        Ok(Self {
            uri,
            address,
            bound,
        })
    }

    /// The host and port that requests go to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends one request. `host` is set if `headers` has none.
    ///
    /// # Errors
    ///
    /// A header is none, or no response head comes in time.
    pub async fn send(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request = request.header(header::HOST, &self.address);
        }
        let request = request.body(Full::new(body.into()))?;
        let answer = timeout(self.bound, async {
            let stream = TcpStream::connect(&self.address).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender.send_request(request).await?)
        });
        let (head, body) = answer.await.context("no response in time")??.into_parts();
        let (status, headers) = (head.status, head.headers);
        Ok(Answer {
            status,
            headers,
            body,
            buffer: Vec::new(),
            bound: self.bound,
        })
    }

    /// Posts a JSON-RPC message with the media types that MCP asks for, and further headers.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn post(&self, headers: &[(&str, &str)], message: &Value) -> anyhow::Result<Answer> {
        let mut all = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        all.extend_from_slice(headers);
        self.send(Method::POST, &all, message.to_string()).await
    }

    /// Posts a modern request, with its `_meta` and the headers that mirror it.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn request(
        &self,
        headers: &[(&str, &str)],
        id: u64,
        method: &str,
        params: Value,
    ) -> anyhow::Result<Answer> {
        let message = modern(id, method, params);
        let name = ["name", "uri", "taskId"]
            .iter()
            .find_map(|key| message.get("params")?.get(key));
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let mut all = vec![
            ("mcp-protocol-version", crate::answers::MODERN),
            ("mcp-method", method),
        ];
        if !name.is_empty() {
            all.push(("mcp-name", name));
        }
        all.extend_from_slice(headers);
        self.post(&all, &message).await
    }
}

/// A modern request with its `_meta`, declaring no capability.
#[must_use]
pub fn modern(id: u64, method: &str, mut params: Value) -> Value {
    let meta = serde_json::json!({
        "io.modelcontextprotocol/protocolVersion": crate::answers::MODERN,
        "io.modelcontextprotocol/clientInfo": { "name": "testkit", "version": "0.1.0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(fields) = params.as_object_mut() {
        fields.entry("_meta").or_insert(meta);
    }
    serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

impl Answer {
    /// The value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The rest of the body.
    ///
    /// # Errors
    ///
    /// It breaks off, or does not end in time.
    pub async fn bytes(mut self) -> anyhow::Result<Vec<u8>> {
        let rest = timeout(self.bound, self.body.collect())
            .await
            .context("no end in time")??;
        self.buffer.extend_from_slice(&rest.to_bytes());
        Ok(self.buffer)
    }

    /// The JSON-RPC response: the whole body, or the first event that is a response.
    ///
    /// # Errors
    ///
    /// There is none in time.
    pub async fn message(mut self) -> anyhow::Result<Value> {
        if !self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
        {
            let bytes = self.bytes().await?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return serde_json::from_slice(&bytes).with_context(|| format!("no JSON: {text}"));
        }
        while let Some(event) = self.event().await? {
            let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
            if message
                .get("result")
                .or_else(|| message.get("error"))
                .is_some()
            {
                return Ok(message);
            }
        }
        bail!("the stream ended without a response")
    }

    /// The next event; none at the end of the stream.
    ///
    /// # Errors
    ///
    /// The stream breaks off, or nothing comes in time.
    pub async fn event(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = take_event(&mut self.buffer) {
                return Ok(Some(event));
            }
            let frame = timeout(self.bound, self.body.frame())
                .await
                .context("no event in time")?;
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

/// Sends `bytes` to `address`, and returns what came back until the peer closed or `bound` passed.
///
/// # Errors
///
/// The connection cannot be made.
pub async fn exchange(
    address: SocketAddr,
    bytes: &[u8],
    bound: Duration,
) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let mut answer = Vec::new();
    let exchanged = timeout(bound, async {
        stream.write_all(bytes).await?;
        stream.read_to_end(&mut answer).await
    });
    // A reset or a peer that stays is as good an end as a close: what came is what counts.
    drop(exchanged.await);
    Ok(answer)
}

/// Takes the first whole event out of `buffer`; comments make none.
fn take_event(buffer: &mut Vec<u8>) -> Option<Event> {
    loop {
        let text = String::from_utf8_lossy(buffer).replace("\r\n", "\n");
        let (block, rest) = text.split_once("\n\n")?;
        let mut event = Event::default();
        let mut data = Vec::new();
        let mut empty = true;
        for line in block.lines().filter(|line| !line.starts_with(':')) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            empty = false;
            match field {
                "event" => event.name = Some(value),
                "id" => event.id = Some(value),
                "retry" => event.retry_ms = value.parse().ok(),
                "data" => data.push(value),
                _ => {}
            }
        }
        event.data = data.join("\n");
        *buffer = rest.as_bytes().to_vec();
        if !empty {
            return Some(event);
        }
    }
}
