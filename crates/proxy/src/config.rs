//! Settings of the message path: where to listen, which servers to reach, and every bound.
//!
//! The types are read by the binary from `portcullis.toml`; nothing reads them after the runtime
//! has been built from them. Durations are written as text with a unit (`"30s"`, `"250ms"`), sizes
//! as text with a unit (`"4MiB"`) or as a number of bytes.

pub mod auth;
pub mod sandbox;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Duration};

/// Where and how the gateway listens.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address and port; port 0 takes any free one and prints it. A non-loopback address needs
    /// `tls`.
    pub address: SocketAddr,
    /// `Host` values accepted besides the loopback names and the address itself, each `host` or `host:port`.
    pub hosts: Vec<String>,
    /// `Origin` values accepted besides loopback ones, each `scheme://host[:port]`.
    pub origins: Vec<String>,
    /// Certificate and key for TLS.
    pub tls: Option<Tls>,
    /// The address by which clients reach the gateway, such as `https://gateway.example`, when it is another than `address`: with
    /// a host and no path. Tokens are for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Who may enter without a credential, over the loopback interface alone.
    pub without_credential: WithoutCredential,
}

/// Who may enter without a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutCredential {
    /// Nobody: other users of this machine could connect as well.
    #[default]
    Nobody,
    /// Processes of the user that runs the gateway, as the kernel knows them (Linux).
    SameUser,
    /// Every process of this machine, whoever runs it.
    DangerouslyAnyone,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8420)),
            hosts: Vec::new(),
            origins: Vec::new(),
            tls: None,
            public_url: None,
            without_credential: WithoutCredential::default(),
        }
    }
}

/// Files of the listener's TLS identity, in PEM.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Whether clients may show a certificate of their own, to be known by it or to have tokens bound to it (RFC 8705). Browsers ask
    /// their user which one.
    #[serde(default)]
    pub client_certificates: bool,
}

/// A client that authenticates itself by a bearer token.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The token, at least 32 characters; write `${NAME}` or `${file:PATH}` rather than the token itself.
    pub token: String,
    /// The groups that policies know it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Box<str>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// One MCP server that the gateway stands in front of: a local process or a URL.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Program and arguments of a local server, started without a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables set for a local server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Names of the gateway's own environment variables that a local server may see, besides
    /// `PATH`, `HOME`, `LANG`, `LC_ALL`, `TMPDIR`, `TZ` and `USER`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_env: Vec<String>,
    /// Working directory of a local server; the gateway's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// How a local server is confined.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sandbox: sandbox::Sandbox,
    /// URL of a remote server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// HTTP header fields sent to a remote server with each request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How the gateway proves itself to a remote server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<auth::Auth>,
    /// Which HTTP transport a remote server speaks.
    #[serde(default)]
    pub transport: HttpTransport,
    /// Which era of the protocol the server speaks.
    #[serde(default)]
    pub era: EraSetting,
    /// Whose requests may share one process or session of this server.
    #[serde(default)]
    pub share: Share,
    /// Longest silence of the server within one request; progress starts it anew.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Longest time for one request, whatever its progress.
    #[serde(default = "default_timeout_max")]
    pub timeout_max: Duration,
    /// How long to wait for a silent server's answer to `server/discover` before `initialize` is tried.
    #[serde(default = "default_probe")]
    pub probe_timeout: Duration,
    /// Requests in progress at this server at a time; more wait, then are refused.
    #[serde(default = "default_concurrency")]
    pub concurrency_max: usize,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
fn default_timeout() -> Duration {
    Duration::from_secs(60)
}
fn default_timeout_max() -> Duration {
    Duration::from_secs(600)
}
fn default_probe() -> Duration {
    Duration::from_secs(10)
}
const fn default_concurrency() -> usize {
    256
}

/// Which HTTP transport a remote server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HttpTransport {
    /// Found out by asking, as the specification describes.
    #[default]
    Auto,
    /// Streamable HTTP (2025-03-26 and later).
    StreamableHttp,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// Which era of the protocol a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EraSetting {
    /// Found out by asking, as the specification describes.
    #[default]
    Auto,
    /// 2025-11-25 and earlier: `initialize` and sessions.
    Legacy,
    /// 2026-07-28: stateless.
    Modern,
}

/// Whose requests may share one process or session of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// A legacy client's session has a process or session of its own; modern clients share one
    /// for each principal and set of declared capabilities.
    #[default]
    Session,
    /// All sessions of one principal that declare the same capabilities share one.
    Principal,
}

/// Bounds on everything that grows.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest message accepted from a client.
    pub request_bytes_max: Bytes,
    /// Largest message accepted from a server.
    pub response_bytes_max: Bytes,
    /// Deepest nesting of JSON in either direction.
    pub depth_max: usize,
    /// Largest HTTP request head.
    pub head_bytes_max: Bytes,
    /// Connections open at a time.
    pub connections_max: usize,
    /// Requests in progress at a time, over all clients; more are refused with 503.
    pub requests_max: usize,
    /// Sessions of legacy clients held at a time, for each principal.
    pub sessions_max: usize,
    /// Event streams open at a time, for each principal.
    pub streams_max: usize,
    /// Calls that wait for a client's input at a time, for each principal.
    pub parked_max: usize,
    /// Tools, prompts or resources accepted from one server's list.
    pub list_entries_max: usize,
    /// Time for a client to send a request's head.
    pub head_timeout: Duration,
    /// Time for a client to send a request's body.
    pub body_timeout: Duration,
    /// Time an idle client connection is kept.
    pub idle_timeout: Duration,
    /// Time an idle legacy session is kept.
    pub session_idle_timeout: Duration,
    /// Time a call waits for a client's input.
    pub parked_timeout: Duration,
    /// Time that requests in progress get at shutdown.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: Bytes::mebibytes(4),
            response_bytes_max: Bytes::mebibytes(16),
            depth_max: 64,
            head_bytes_max: Bytes::kibibytes(64),
            connections_max: 4096,
            requests_max: 4096,
            sessions_max: 16_384,
            streams_max: 1024,
            parked_max: 64,
            list_entries_max: 10_000,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            session_idle_timeout: Duration::from_secs(3600),
            parked_timeout: Duration::from_secs(300),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// All settings of this crate.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where and how the gateway listens.
    pub listen: Listen,
    /// Clients that authenticate by a bearer token of this file, by name.
    pub clients: BTreeMap<String, Client>,
    /// The servers, by name: `[a-z][a-z0-9-]*`, at most 32 characters.
    pub servers: BTreeMap<String, Server>,
    /// Bounds on everything that grows.
    pub limits: Limits,
}
