//! A gateway of the test's own: the real binary in a directory of its own, its clients, its record
//! and its processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_testkit::raw::{Answer, Client};
use portcullis_testkit::{Harness, Launch};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

/// Longest that anything here may take.
pub(crate) const BOUND: Duration = Duration::from_mins(1);

/// The version of the modern era, and the newest one before it.
pub(crate) const MODERN: &str = portcullis_testkit::answers::MODERN;
pub(crate) const LEGACY: &str = portcullis_testkit::answers::LEGACY;

/// The path of a server of the test kit.
pub(crate) fn fixture(name: &str) -> String {
    portcullis_testkit::fixture(name)
        .unwrap()
        .display()
        .to_string()
}

/// The entry of a local server.
pub(crate) fn local(name: &str, command: &[&str], rest: &str) -> String {
    let command = serde_json::to_string(command).unwrap();
    format!("[servers.{name}]\ncommand = {command}\n{rest}\n")
}

/// The entry of a remote server.
pub(crate) fn remote(name: &str, url: &str, rest: &str) -> String {
    format!("[servers.{name}]\nurl = \"{url}\"\n{rest}\n")
}

/// The entry of a local `faulty-server` with `arguments`.
pub(crate) fn faulty(name: &str, arguments: &[&str], rest: &str) -> String {
    let program = fixture("faulty-server");
    let command: Vec<&str> = std::iter::once(program.as_str())
        .chain(arguments.iter().copied())
        .collect();
    local(name, &command, rest)
}

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    harness: Harness,
    pub place: TempDir,
}

impl Gateway {
    /// Starts the gateway by `config`, to which the listener and the state directory are added.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config).await
    }

    /// Starts a gateway in the place that another one left.
    pub(crate) async fn start_in(place: TempDir, config: &str) -> Self {
        let launch = Launch::new(env!("CARGO_BIN_EXE_portcullis"));
        Self::launch(launch, place, config).await
    }

    /// Starts a gateway by a shell that executes `before` first.
    pub(crate) async fn start_after(before: &str, config: &str) -> Self {
        let script = format!("{before}\nexec \"$0\" \"$@\"");
        let binary = env!("CARGO_BIN_EXE_portcullis");
        let launch = Launch::new("/bin/sh").args(["-c", &script, binary]);
        Self::launch(launch, tempfile::tempdir().unwrap(), config).await
    }

    async fn launch(launch: Launch, place: TempDir, config: &str) -> Self {
        let path = place.path().join("portcullis.toml");
        fs::write(&path, whole(place.path(), config)).unwrap();
        let launch = launch
            .args(["run", "--log", "info", "--config", path.to_str().unwrap()])
            .args(["--without-credential", "same-user"])
            .env("HOME", place.path())
            .env("PATH", "/usr/bin:/bin");
        let harness = launch.start("\"ready\"", BOUND).await.unwrap();
        Self { harness, place }
    }

    /// Replaces the configuration file as a whole.
    pub(crate) fn configure(&self, config: &str) {
        let new = self.place.path().join("new.toml");
        fs::write(&new, whole(self.place.path(), config)).unwrap();
        fs::rename(new, self.place.path().join("portcullis.toml")).unwrap();
    }

    /// The endpoint of all servers.
    pub(crate) fn all(&self) -> String {
        format!("{}/mcp", self.harness.url())
    }

    /// The endpoint of one server.
    pub(crate) fn one(&self, server: &str) -> String {
        format!("{}/servers/{server}/mcp", self.harness.url())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.harness
            .url()
            .strip_prefix("http://")
            .unwrap()
            .to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.harness.id().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for a line of the log that has `text` in it.
    pub(crate) async fn says(&self, text: &str) -> String {
        self.harness.line_with(text, BOUND).await.unwrap()
    }

    pub(crate) fn output(&self) -> String {
        self.harness.output()
    }

    /// Waits for the end; the exit code, and the place for the next gateway.
    pub(crate) async fn ended(mut self) -> (Option<i32>, TempDir) {
        let status = self.harness.wait(BOUND).await.unwrap();
        (status.code(), self.place)
    }

    /// The record, the oldest row first.
    pub(crate) fn rows(&self) -> Vec<Call> {
        rows(self.place.path())
    }

    /// Waits until the record is as `fits` says, which it is within a second of the event.
    pub(crate) async fn rows_when(&self, fits: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let mut rows = Vec::new();
        eventually("the record", || {
            rows = self.rows();
            fits(&rows)
        })
        .await;
        rows
    }

    /// The processes that descend from the gateway.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        descendants(self.pid())
    }
}

/// The servers of most tests talk to the test, by ports and pipes that no confined server reaches.
pub(crate) const UNCONFINED: &str = "[sandbox]\ntier = \"off\"\nreason = \"a test talks to it\"\n";

fn whole(place: &Path, config: &str) -> String {
    // Keys at the root come before any table.
    let (root, tables) = match config.find('[') {
        Some(at) => config.split_at(at),
        None => (config, ""),
    };
    let sandbox = if config.contains("[sandbox]") {
        ""
    } else {
        UNCONFINED
    };
    format!(
        "{root}\n[listen]\naddress = \"127.0.0.1:0\"\n[state]\ndirectory = \"{}\"\n{sandbox}{tables}",
        place.join("state").display()
    )
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until `holds`, for what nobody tells of.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn database(place: &Path) -> PathBuf {
    place.join("state/portcullis.db")
}

/// One row of the record.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub request_id: String,
    pub started_ms: i64,
    pub principal: String,
    pub client: Option<String>,
    pub server: String,
    pub method: String,
    pub target: Option<String>,
    pub era_client: String,
    pub era_server: String,
    pub arguments_bytes: i64,
    pub outcome: String,
    pub denial_code: Option<String>,
    pub error_code: Option<i64>,
    pub result_bytes: Option<i64>,
    pub duration_us: Option<i64>,
    pub completed_ms: Option<i64>,
}

/// The record of the gateway in `place`, the oldest row first.
pub(crate) fn rows(place: &Path) -> Vec<Call> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(database(place), flags).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    let mut statement = connection
        .prepare("SELECT * FROM calls ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Call {
            request_id: row.get("request_id")?,
            started_ms: row.get("started_ms")?,
            principal: row.get("principal")?,
            client: row.get("client")?,
            server: row.get("server")?,
            method: row.get("method")?,
            target: row.get("target")?,
            era_client: row.get("era_client")?,
            era_server: row.get("era_server")?,
            arguments_bytes: row.get("arguments_bytes")?,
            outcome: row.get("outcome")?,
            denial_code: row.get("denial_code")?,
            error_code: row.get("error_code")?,
            result_bytes: row.get("result_bytes")?,
            duration_us: row.get("duration_us")?,
            completed_ms: row.get("completed_ms")?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Parent and state of a process; none when there is no such process any more.
fn process(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    let state = rest.next()?.chars().next()?;
    Some((rest.next()?.parse().ok()?, state))
}

/// Whether the process is there and more than a dead entry.
pub(crate) fn runs(pid: u32) -> bool {
    process(pid).is_some_and(|(_, state)| !matches!(state, 'Z' | 'X'))
}

/// Every process whose line of parents leads to `ancestor`.
pub(crate) fn descendants(ancestor: u32) -> BTreeSet<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
        Some((pid, process(pid)?.0))
    });
    let all: Vec<(u32, u32)> = all.collect();
    let mut found = BTreeSet::from([ancestor]);
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            found.remove(&ancestor);
            return found;
        }
        found.extend(more);
    }
}

/// Those of `pids` whose program is called `name`.
pub(crate) fn called(pids: &BTreeSet<u32>, name: &str) -> Vec<u32> {
    let is_called = |pid: &&u32| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program.file_name().is_some_and(|file| file == name)
    };
    pids.iter().filter(is_called).copied().collect()
}

/// A client of the modern era.
#[derive(Clone)]
pub(crate) struct Modern {
    client: Client,
    pub capabilities: Value,
    pub level: Option<&'static str>,
    pub token: Option<&'static str>,
}

impl Modern {
    pub(crate) fn at(url: &str) -> Self {
        let client = Client::new(url, BOUND).unwrap();
        Self {
            client,
            capabilities: json!({}),
            level: None,
            token: None,
        }
    }

    pub(crate) fn declaring(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Sends a request; `_meta` of `params` is kept, and what the revision asks for is added.
    pub(crate) async fn send(&self, id: u64, method: &str, mut params: Value) -> Answer {
        let mut meta = params.get("_meta").cloned().unwrap_or_else(|| json!({}));
        let own = meta.as_object_mut().unwrap();
        let key = |name: &str| format!("io.modelcontextprotocol/{name}");
        own.insert(key("protocolVersion"), MODERN.into());
        own.insert(
            key("clientInfo"),
            json!({ "name": "modern-client", "version": "1" }),
        );
        own.insert(key("clientCapabilities"), self.capabilities.clone());
        if let Some(level) = self.level {
            own.insert(key("logLevel"), level.into());
        }
        params["_meta"] = meta;
        let authorization = self.token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = authorization
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        self.client
            .request(&headers, id, method, params)
            .await
            .unwrap()
    }

    /// The response to a request.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        self.send(7, method, params).await.message().await.unwrap()
    }

    /// The response to a tool call.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }
}

/// A session of a client of the legacy era.
#[derive(Clone)]
pub(crate) struct Session {
    client: Client,
    id: String,
    version: String,
    pub initialized: Value,
}

impl Session {
    pub(crate) async fn open(url: &str, capabilities: Value) -> Self {
        Self::open_as(url, LEGACY, capabilities).await
    }

    /// Begins a session in `version`.
    pub(crate) async fn open_as(url: &str, version: &str, capabilities: Value) -> Self {
        let client = Client::new(url, BOUND).unwrap();
        let params = json!({
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": { "name": "legacy-client", "version": "2" },
        });
        let message =
            json!({ "jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": params });
        let answer = client.post(&[], &message).await.unwrap();
        let id = answer
            .header("mcp-session-id")
            .unwrap_or_default()
            .to_owned();
        let initialized = answer.message().await.unwrap();
        assert!(!id.is_empty(), "no session: {initialized}");
        let version = initialized["result"]["protocolVersion"]
            .as_str()
            .unwrap()
            .to_owned();
        let session = Self {
            client,
            id,
            version,
            initialized,
        };
        session.notify("notifications/initialized", json!({})).await;
        session
    }

    async fn post(&self, message: &Value) -> Answer {
        let headers = [
            ("mcp-session-id", self.id.as_str()),
            ("mcp-protocol-version", self.version.as_str()),
        ];
        self.client.post(&headers, message).await.unwrap()
    }

    pub(crate) async fn send(&self, id: impl Into<Value>, method: &str, params: Value) -> Answer {
        let id: Value = id.into();
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.post(&message).await
    }

    /// Sends a message as it is written.
    pub(crate) async fn post_raw(&self, body: String) -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-session-id", self.id.as_str()),
            ("mcp-protocol-version", self.version.as_str()),
        ];
        self.client
            .send(http::Method::POST, &headers, body)
            .await
            .unwrap()
    }

    /// The response to a request. Not for two at a time.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        self.send(7, method, params).await.message().await.unwrap()
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        assert_eq!(self.post(&message).await.status.as_u16(), 202);
    }

    /// Answers a request of the server: `outcome` is `{ "result": … }` or `{ "error": … }`.
    pub(crate) async fn respond(&self, request: &Value, outcome: Value) {
        let mut message = outcome;
        message["jsonrpc"] = "2.0".into();
        message["id"] = request["id"].clone();
        assert_eq!(self.post(&message).await.status.as_u16(), 202);
    }

    /// Takes a stream up again after the event `last`.
    pub(crate) async fn resume(&self, last: &str) -> Answer {
        let headers = [
            ("mcp-session-id", self.id.as_str()),
            ("mcp-protocol-version", self.version.as_str()),
            ("accept", "text/event-stream"),
            ("last-event-id", last),
        ];
        let answer = self
            .client
            .send(http::Method::GET, &headers, "")
            .await
            .unwrap();
        assert_eq!(answer.status.as_u16(), 200);
        answer
    }

    /// The session's own stream.
    pub(crate) async fn stream(&self) -> Answer {
        let headers = [
            ("mcp-session-id", self.id.as_str()),
            ("mcp-protocol-version", self.version.as_str()),
            ("accept", "text/event-stream"),
        ];
        let answer = self
            .client
            .send(http::Method::GET, &headers, "")
            .await
            .unwrap();
        assert_eq!(answer.status.as_u16(), 200);
        answer
    }
}

/// A client of either era, for what both can do.
#[derive(Clone)]
pub(crate) enum AnyClient {
    Modern(Modern),
    Legacy(Session),
}

impl AnyClient {
    pub(crate) async fn at(url: &str, is_modern: bool, capabilities: Value) -> Self {
        if is_modern {
            Self::Modern(Modern::at(url).declaring(capabilities))
        } else {
            Self::Legacy(Session::open(url, capabilities).await)
        }
    }

    pub(crate) async fn send(&self, id: u64, method: &str, params: Value) -> Answer {
        match self {
            Self::Modern(client) => client.send(id, method, params).await,
            Self::Legacy(session) => session.send(id, method, params).await,
        }
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        self.send(7, method, params).await.message().await.unwrap()
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }

    /// The client as one of the modern era.
    #[track_caller]
    pub(crate) fn modern(&self) -> &Modern {
        match self {
            Self::Modern(client) => client,
            Self::Legacy(_) => panic!("a legacy client"),
        }
    }

    /// The client as one of the legacy era.
    #[track_caller]
    pub(crate) fn legacy(&self) -> &Session {
        match self {
            Self::Modern(_) => panic!("a modern client"),
            Self::Legacy(session) => session,
        }
    }
}

/// The next message of an event stream; events without one are passed over.
pub(crate) async fn next(stream: &mut Answer) -> Value {
    // Comments that keep the stream alive are no messages.
    let message = timeout(BOUND, async {
        loop {
            let event = stream.event().await.unwrap().expect("the stream ended");
            if let Ok(message) = serde_json::from_str(&event.data) {
                return message;
            }
        }
    });
    message.await.expect("no message in time")
}

/// The next message with that method.
pub(crate) async fn next_of(stream: &mut Answer, method: &str) -> Value {
    loop {
        let message = next(stream).await;
        if message["method"] == method {
            return message;
        }
    }
}

/// All messages of an answer, whichever form it has.
pub(crate) async fn messages(mut answer: Answer) -> Vec<Value> {
    if !answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/event-stream"))
    {
        return vec![answer.message().await.unwrap()];
    }
    let mut all = Vec::new();
    while let Some(event) = answer.event().await.unwrap() {
        all.extend(serde_json::from_str::<Value>(&event.data));
    }
    all
}

/// The text of a tool result's first block.
#[track_caller]
pub(crate) fn text(response: &Value) -> &str {
    response["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{response}"))
}

/// The names in a list result.
#[track_caller]
pub(crate) fn names(response: &Value, member: &str, key: &str) -> Vec<String> {
    let list = response["result"][member]
        .as_array()
        .unwrap_or_else(|| panic!("{response}"));
    list.iter()
        .map(|entry| entry[key].as_str().unwrap().to_owned())
        .collect()
}
