//! What is recorded of each attempt of a confined server to reach something.

use std::sync::Arc;
use std::time::Duration;

use super::reason::Reason;

/// Takes the record of a connection, when it is over. Is called by the tasks that
/// serve, and so must neither wait nor panic.
pub type Recorder = Arc<dyn Fn(Connection) + Send + Sync>;

/// One attempt of a confined server to reach something, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The server.
    pub server: String,
    /// The tool for whose call the rule allowed it, or else of the only call in flight.
    pub tool: Option<String>,
    /// The host as it was asked for; absent if nothing readable was. At most 255 characters, and no
    /// controls.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// How it was asked for.
    pub kind: Kind,
    /// The method of a plain request.
    pub method: Option<String>,
    /// Bytes that went from the server to the host.
    pub bytes_out: u64,
    /// Bytes that came from the host to the server.
    pub bytes_in: u64,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
    /// How long it took.
    pub duration: Duration,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, unless it was allowed and ended by itself.
    pub reason: Option<Reason>,
}

/// How a server asks for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// By `CONNECT` (RFC 9110 §9.3.6).
    Connect,
    /// By a request in absolute form (RFC 9112 §3.2.2).
    Request,
    /// At port 443, not knowing of the door.
    CapturedTls,
    /// At port 80, not knowing of the door.
    CapturedRequest,
    /// By asking for the address of a name; recorded where that is denied, at most a hundred times a minute.
    Lookup,
}

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It was made, and ended by itself.
    Allowed,
    /// It was not made.
    Denied,
    /// It was allowed, and could not be made.
    Failed,
    /// It was made, and then ended by the door.
    Cut,
}
