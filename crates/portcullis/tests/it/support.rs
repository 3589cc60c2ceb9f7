//! The gateway as a running program, and the clients that speak to it.

mod guarded;
mod scripted;
mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use http::Method;
use portcullis_testkit::{
    Harness, Launch,
    raw::{Answer, Client},
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use guarded::{CANARY, CLIENT_SECRET, Guarded};
pub(crate) use scripted::{Call, Scripted};
pub(crate) use tls::Identity;

/// Longer than any step of these tests takes on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_mins(1);
/// The token of the client `alice`, and a word that is to be found nowhere.
pub(crate) const ALICE: &str = "alice-canary-f00dfeed-0123456789abcdef";
/// The token of the client `bob`.
pub(crate) const BOB: &str = "bob-canary-f00dfeed-0123456789abcdef-0";
/// The media types of a POST.
pub(crate) const MEDIA: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

/// A directory with a configuration, for a gateway that is still to start.
pub(crate) struct Setup {
    directory: TempDir,
    listen: String,
    limits: String,
    rest: String,
    environment: Vec<(&'static str, &'static str)>,
}

impl Setup {
    /// A configuration that listens on a free loopback port, without clients or servers.
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            listen: "address = \"127.0.0.1:0\"\n".to_owned(),
            limits: String::new(),
            rest: String::new(),
            environment: Vec::new(),
        }
    }

    /// Adds the clients `alice` and `bob`, whose tokens come from the environment.
    pub(crate) fn clients(mut self) -> Self {
        self.rest += "[clients.alice]\ntoken = \"${ALICE}\"\n[clients.bob]\ntoken = \"${BOB}\"\n";
        self
    }

    /// Adds a server at `url`, of the era `era`.
    pub(crate) fn url(self, name: &str, url: &str, era: &str) -> Self {
        self.server(name, &format!("url = \"{url}\"\nera = \"{era}\""))
    }

    /// Adds a server with these settings.
    pub(crate) fn server(mut self, name: &str, settings: &str) -> Self {
        self.rest = format!("{}[servers.{name}]\n{settings}\n", self.rest);
        self
    }

    /// Adds tables.
    pub(crate) fn with(mut self, tables: &str) -> Self {
        self.rest += tables;
        self
    }

    /// Sets a variable of the gateway's environment.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Adds lines to `[limits]`.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        self.limits = format!("{}{lines}\n", self.limits);
        self
    }

    /// Sets the lines of `[listen]`.
    pub(crate) fn listen(mut self, lines: &str) -> Self {
        self.listen = format!("{lines}\n");
        self
    }

    /// Where the configuration is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn text(&self) -> String {
        let Self {
            listen,
            limits,
            rest,
            ..
        } = self;
        format!("[listen]\n{listen}[limits]\n{limits}{rest}")
    }

    fn write(&self) -> PathBuf {
        let path = self.path().join("portcullis.toml");
        std::fs::write(&path, self.text()).unwrap();
        path
    }

    /// A command of the binary, with this configuration.
    pub(crate) fn launch(&self, command: &str, arguments: &[&str]) -> Launch {
        let path = self.write();
        let state = self.path().join("state");
        let launch = Launch::new(PROGRAM)
            .args([command, "--log", "trace", "--config"])
            .args([&path])
            .args(["--state-dir"])
            .args([&state])
            .args(arguments)
            .env("HOME", self.path())
            .env("ALICE", ALICE)
            .env("BOB", BOB);
        let set = |launch: Launch, (name, value): &(&str, &str)| launch.env(name, value);
        self.environment.iter().fold(launch, set)
    }

    /// Starts the gateway. Where nobody could enter otherwise, those of the same user may.
    pub(crate) async fn start(self) -> Gateway {
        let text = self.text();
        let entering: &[&str] = if text.contains("[clients") || text.contains("[oauth") {
            &[]
        } else {
            &["--without-credential", "same-user"]
        };
        self.start_with(entering).await
    }

    /// Starts the gateway as it is by default.
    pub(crate) async fn start_closed(self) -> Gateway {
        self.start_with(&[]).await
    }

    async fn start_with(self, arguments: &[&str]) -> Gateway {
        let harness = self
            .launch("run", arguments)
            .start("\"ready\"", BOUND)
            .await;
        Gateway {
            harness: harness.unwrap(),
            setup: self,
        }
    }

    /// Starts the gateway, which is to refuse; how it ended, and what it said.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut harness = self.launch("run", arguments).start_silent().unwrap();
        let status = harness.wait(BOUND).await.unwrap();
        // The last lines may still be on their way when the process is gone.
        drop(harness.line_with("\u{0}", BOUND).await);
        (status, harness.output())
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) harness: Harness,
    setup: Setup,
}

impl Gateway {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.harness.url();
        let (_, address) = url.split_once("://").unwrap();
        address.parse().unwrap()
    }

    /// A command of the binary, beside this gateway.
    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> Launch {
        self.setup.launch(command, arguments)
    }

    /// A client of the endpoint at `path` that shows no credential.
    pub(crate) fn peer(&self, path: &str) -> Peer {
        let url = format!("{}{path}", self.harness.url());
        Peer {
            client: Client::new(&url, BOUND).unwrap(),
            authorization: None,
        }
    }

    /// A client of the server `one` that shows `token`.
    pub(crate) fn of(&self, token: &str) -> Peer {
        self.peer("/servers/one/mcp").with(token)
    }

    /// Writes the configuration anew as `change` leaves it, and waits until it is in use.
    pub(crate) async fn reload(&mut self, change: impl FnOnce(String) -> String) {
        self.setup.rest = change(std::mem::take(&mut self.setup.rest));
        self.setup.write();
        self.harness.line_with("reloaded", BOUND).await.unwrap();
    }

    /// Where its configuration and its state are.
    pub(crate) fn path(&self) -> &Path {
        self.setup.path()
    }

    /// Every byte of every file beneath the gateway's directory.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut open = vec![self.setup.path().to_owned()];
        let mut bytes = Vec::new();
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    bytes.extend(std::fs::read(path).unwrap());
                }
            }
        }
        bytes
    }
}

/// A client of one endpoint.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) client: Client,
    authorization: Option<String>,
}

impl Peer {
    /// A client of a server without a gateway.
    pub(crate) fn bare(url: &str) -> Self {
        Self {
            client: Client::new(url, BOUND).unwrap(),
            authorization: None,
        }
    }

    /// The same client with a bearer token.
    pub(crate) fn with(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    fn all<'a>(&'a self, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.authorization.iter();
        let own = own.map(|value| ("authorization", value.as_str()));
        own.chain(headers.iter().copied()).collect()
    }

    /// Sends anything.
    pub(crate) async fn send(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        let all = self.all(headers);
        self.client.send(method, &all, body).await.unwrap()
    }

    /// Posts bytes with the media types of a POST.
    pub(crate) async fn post_bytes(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        let all: Vec<_> = MEDIA.iter().chain(headers).copied().collect();
        self.send(Method::POST, &all, body).await
    }

    /// Posts a message.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], message: &Value) -> Answer {
        self.post_bytes(headers, message.to_string()).await
    }

    /// Posts a modern request.
    pub(crate) async fn request(&self, id: u64, method: &str, params: Value) -> Answer {
        self.request_with(&[], id, method, params).await
    }

    /// Posts a modern request with further headers.
    pub(crate) async fn request_with(
        &self,
        headers: &[(&str, &str)],
        id: u64,
        method: &str,
        params: Value,
    ) -> Answer {
        let all = self.all(headers);
        let answer = self.client.request(&all, id, method, params);
        answer.await.unwrap()
    }

    /// Calls `echo` in the modern era.
    pub(crate) async fn echo(&self, headers: &[(&str, &str)]) -> Answer {
        self.request_with(headers, 1, "tools/call", echo("hello"))
            .await
    }

    /// Begins a legacy session that declares `capabilities`.
    pub(crate) async fn open_with(&self, version: &str, capabilities: &Value) -> Session {
        let answer = self.post(&[], &initialize(version, capabilities)).await;
        assert_eq!(answer.status, 200);
        let id = answer.header("mcp-session-id").unwrap().to_owned();
        let message = answer.message().await.unwrap();
        let agreed = message["result"]["protocolVersion"].as_str().unwrap();
        let session = Session {
            peer: self.clone(),
            id,
            version: agreed.to_owned(),
        };
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(session.post(&initialized).await.status, 202);
        session
    }

    /// Begins a legacy session of the newest legacy version.
    pub(crate) async fn open(&self) -> Session {
        self.open_with("2025-11-25", &json!({})).await
    }
}

/// A session of a legacy client.
pub(crate) struct Session {
    pub(crate) peer: Peer,
    pub(crate) id: String,
    pub(crate) version: String,
}

impl Session {
    /// The same session id in the hands of another client.
    pub(crate) fn stolen_by(&self, peer: &Peer) -> Self {
        Self {
            peer: peer.clone(),
            id: self.id.clone(),
            version: self.version.clone(),
        }
    }

    fn headers(&self) -> [(&str, &str); 2] {
        [
            ("mcp-session-id", &self.id),
            ("mcp-protocol-version", &self.version),
        ]
    }

    /// Posts a message.
    pub(crate) async fn post(&self, message: &Value) -> Answer {
        self.peer.post(&self.headers(), message).await
    }

    /// Opens the session's own stream, or resumes the one that broke after `last`.
    pub(crate) async fn get(&self, last: Option<&str>) -> Answer {
        let mut headers = self.headers().to_vec();
        headers.push(("accept", "text/event-stream"));
        headers.extend(last.map(|last| ("last-event-id", last)));
        self.peer.send(Method::GET, &headers, "").await
    }

    /// Ends the session.
    pub(crate) async fn delete(&self) -> Answer {
        self.peer.send(Method::DELETE, &self.headers(), "").await
    }
}

/// The parameters of a call of `echo`.
pub(crate) fn echo(text: &str) -> Value {
    json!({ "name": "echo", "arguments": { "text": text } })
}

/// A legacy request.
pub(crate) fn legacy(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A legacy `initialize`.
pub(crate) fn initialize(version: &str, capabilities: &Value) -> Value {
    let params = json!({
        "protocolVersion": version,
        "capabilities": capabilities,
        "clientInfo": { "name": "it", "version": "1" },
    });
    legacy(0, "initialize", &params)
}

/// The `_meta` of a modern request that declares `capabilities`.
pub(crate) fn declaring(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// The status of an answer, once all of it has come: a slow one becomes a stream before the server
/// was called at all, and whoever lets go of that has cancelled.
pub(crate) async fn status(answer: Answer) -> u16 {
    let status = answer.status.as_u16();
    answer.bytes().await.unwrap();
    status
}

/// The JSON-RPC error code of an answer.
pub(crate) async fn code(answer: Answer) -> i64 {
    let message = answer.message().await.unwrap();
    let code = message["error"]["code"].as_i64();
    code.unwrap_or_else(|| panic!("no error: {message}"))
}

/// The text of a tool result.
pub(crate) async fn text(answer: Answer) -> String {
    let message = answer.message().await.unwrap();
    let text = message["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text: {message}"))
        .to_owned()
}

/// A sample server of the binary on HTTP, which checks nothing, and the messages that reached it.
pub(crate) struct Naive {
    _harness: Harness,
    directory: TempDir,
    pub(crate) url: String,
}

impl Naive {
    /// Starts the sample server `name`.
    pub(crate) async fn start(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let launch = Launch::new(PROGRAM).args(["__demo-server", name, "--http", "--dir"]);
        let launch = launch
            .args([directory.path()])
            .env("HOME", directory.path());
        let harness = launch.start_silent().unwrap();
        let port = harness.line_with("", BOUND).await.unwrap();
        Self {
            _harness: harness,
            directory,
            url: format!("http://127.0.0.1:{port}/mcp"),
        }
    }

    /// Every message that reached it, a line each.
    pub(crate) fn journal(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("journal.jsonl"));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}

/// The conformance server on HTTP, in these eras.
pub(crate) async fn conformance(eras: &str) -> Harness {
    let program = portcullis_testkit::fixture("conformance-server").unwrap();
    let launch = Launch::new(program).args(["--eras", eras]);
    launch.start("listening", BOUND).await.unwrap()
}
