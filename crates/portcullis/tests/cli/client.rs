//! The least that is an MCP client over HTTP, of the modern era: one connection a request.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// What the gateway answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The text of a tool's result.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        let text = self
            .body
            .pointer("/result/content/0/text")
            .and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no tool result in {self:?}"))
    }
}

/// Calls the sample server's tool with `how`, by the endpoint `/servers/SERVER/mcp`.
pub(crate) fn call(address: &str, server: &str, how: &str) -> Answer {
    try_call(address, server, how).unwrap()
}

/// The same, where the gateway may end before it has answered.
pub(crate) fn try_call(address: &str, server: &str, how: &str) -> io::Result<Answer> {
    let body = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "look",
            "arguments": { "how": how },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            },
        },
    })
    .to_string();
    let mut stream = TcpStream::connect(address)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /servers/{server}/mcp HTTP/1.0\r\n\
         Host: {address}\r\n\
         Content-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\n\
         Mcp-Method: tools/call\r\n\
         Mcp-Name: look\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer {
        status,
        body: message(head, body),
    })
}

/// The answer in `body`: alone, or the last of an event stream, which it becomes when it takes long.
fn message(head: &str, body: &str) -> Value {
    let events = head
        .to_ascii_lowercase()
        .contains("content-type: text/event-stream");
    let text = if events {
        let mut data = body.lines().filter_map(|line| line.strip_prefix("data:"));
        data.next_back().unwrap_or_default()
    } else {
        body
    };
    serde_json::from_str(text).unwrap_or(Value::Null)
}
