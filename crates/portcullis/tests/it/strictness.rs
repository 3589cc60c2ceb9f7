//! Bytes that two parsers could read in two ways are refused, over HTTP and over a pipe; what is
//! let through reaches the server byte for byte.

use portcullis_testkit::{Harness, Recorder};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{ALICE, BOUND, Setup, echo, legacy};

const PARSE: i64 = -32700;
const INVALID: i64 = -32600;

/// A call of `echo` whose params are `params`.
fn call(params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{params}}}"#).into_bytes()
}

/// The same with `text` as the text, raw.
fn says(text: &str) -> Vec<u8> {
    call(&format!(
        r#"{{"name":"echo","arguments":{{"text":{text}}}}}"#
    ))
}

/// Every class of bytes that is refused: what it is, the bytes, the code, and whether the id is
/// still known.
fn refused() -> Vec<(&'static str, Vec<u8>, i64, bool)> {
    let good = says("\"x\"");
    let with = |before: &[u8], after: &[u8]| [before, &good, after].concat();
    let arguments = r#""arguments":{"text":"x"}"#;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let digits = "9".repeat(200);
    let envelope = |rest: &str| format!("{{{rest}}}").into_bytes();
    let tail = r#""method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}"#;
    let parse = [
        (
            "a name twice",
            call(&format!(r#"{{"name":"echo","name":"work",{arguments}}}"#)),
        ),
        (
            "a name twice, once escaped",
            call(&format!(
                r#"{{"name":"echo","n\u0061me":"work",{arguments}}}"#
            )),
        ),
        (
            "an argument twice",
            call(r#"{"name":"echo","arguments":{"text":"x","text":"y"}}"#),
        ),
        (
            "a deep member twice",
            call(r#"{"name":"echo","arguments":{"text":"x"},"_meta":{"a":{"b":1,"b":2}}}"#),
        ),
        (
            "a method twice",
            envelope(&format!(
                r#""jsonrpc":"2.0","id":5,"method":"tools/list",{tail}"#
            )),
        ),
        (
            "an id twice",
            envelope(&format!(r#""jsonrpc":"2.0","id":5,"id":6,{tail}"#)),
        ),
        ("a lone high surrogate", says(r#""\ud800""#)),
        ("a lone low surrogate", says(r#""\udc00""#)),
        ("surrogates in the wrong order", says(r#""\udc00\ud800""#)),
        ("a number beyond a double", says("1e999")),
        ("a number of 200 digits", says(&digits)),
        ("nesting beyond the bound", says(&deep)),
        ("a leading zero", says("01")),
        ("a plus sign", says("+1")),
        ("a hexadecimal number", says("0x10")),
        ("NaN", says("NaN")),
        ("Infinity", says("-Infinity")),
        ("a comment", says("/* */\"x\"")),
        (
            "a trailing comma",
            call(&format!(r#"{{"name":"echo",{arguments},}}"#)),
        ),
        ("single quotes", says("'x'")),
        ("a control character", says("\"\u{1}\"")),
        ("a tab in a string", says("\"\t\"")),
        ("an escape that is none", says(r#""\x41""#)),
        ("a byte order mark", with(b"\xef\xbb\xbf", b"")),
        ("invalid UTF-8", with(b"", b"\xff")),
        (
            "an overlong encoding",
            says("\"x\"")
                .iter()
                .flat_map(|&byte| {
                    if byte == b'x' {
                        vec![0xc0, 0xaf]
                    } else {
                        vec![byte]
                    }
                })
                .collect(),
        ),
        (
            "an encoded surrogate",
            says("\"x\"")
                .iter()
                .flat_map(|&byte| {
                    if byte == b'x' {
                        vec![0xed, 0xa0, 0x80]
                    } else {
                        vec![byte]
                    }
                })
                .collect(),
        ),
        ("two messages", [good.clone(), good.clone()].concat()),
        ("trailing bytes", with(b"", b" x")),
        ("a trailing NUL", with(b"", b"\0")),
        ("no end", good.strip_suffix(b"}").unwrap().to_vec()),
    ];
    let invalid = [
        ("a batch", with(b"[", b"]"), false),
        ("an empty batch", b"[]".to_vec(), false),
        ("a text", b"\"tools/call\"".to_vec(), false),
        ("null", b"null".to_vec(), false),
        ("an empty object", b"{}".to_vec(), false),
        ("no jsonrpc", envelope(&format!(r#""id":5,{tail}"#)), true),
        (
            "jsonrpc 1.0",
            envelope(&format!(r#""jsonrpc":"1.0","id":5,{tail}"#)),
            true,
        ),
        (
            "jsonrpc as a number",
            envelope(&format!(r#""jsonrpc":2.0,"id":5,{tail}"#)),
            true,
        ),
        (
            "a null id",
            envelope(&format!(r#""jsonrpc":"2.0","id":null,{tail}"#)),
            false,
        ),
        (
            "a fractional id",
            envelope(&format!(r#""jsonrpc":"2.0","id":5.5,{tail}"#)),
            false,
        ),
        (
            "an object as id",
            envelope(&format!(r#""jsonrpc":"2.0","id":{{}},{tail}"#)),
            false,
        ),
        (
            "an id beyond 64 bits",
            envelope(&format!(
                r#""jsonrpc":"2.0","id":18446744073709551616,{tail}"#
            )),
            false,
        ),
        (
            "a method in another case",
            envelope(&format!(
                r#""jsonrpc":"2.0","id":5,"Method":"tools/list",{tail}"#
            )),
            true,
        ),
        (
            "params in another case",
            envelope(&format!(r#""jsonrpc":"2.0","id":5,"PARAMS":{{}},{tail}"#)),
            true,
        ),
        (
            "an unknown member",
            envelope(&format!(r#""jsonrpc":"2.0","id":5,"extra":1,{tail}"#)),
            true,
        ),
        (
            "a method that is a number",
            br#"{"jsonrpc":"2.0","id":5,"method":1}"#.to_vec(),
            true,
        ),
        (
            "an empty method",
            br#"{"jsonrpc":"2.0","id":5,"method":""}"#.to_vec(),
            true,
        ),
        ("params that are an array", call(r#"["echo"]"#), true),
        ("params that are null", call("null"), true),
        (
            "a request with a result",
            envelope(&format!(r#""jsonrpc":"2.0","id":5,"result":{{}},{tail}"#)),
            true,
        ),
        (
            "a result and an error",
            br#"{"jsonrpc":"2.0","id":5,"result":{},"error":{"code":1,"message":"x"}}"#.to_vec(),
            true,
        ),
        (
            "a name in another case",
            call(&format!(r#"{{"Name":"work","name":"echo",{arguments}}}"#)),
            true,
        ),
        (
            "arguments that fold to the word",
            call(&format!(
                "{{\"name\":\"echo\",{arguments},\"argument\u{17f}\":{{}}}}"
            )),
            true,
        ),
    ];
    let parse = parse.map(|(what, bytes)| (what, bytes, PARSE, false));
    let invalid = invalid.map(|(what, bytes, with_id)| (what, bytes, INVALID, with_id));
    parse.into_iter().chain(invalid).collect()
}

#[track_caller]
fn check(what: &str, message: &Value, code: i64, with_id: bool) {
    assert_eq!(message["error"]["code"], code, "{what}: {message}");
    let id = message.get("id").unwrap_or(&Value::Null);
    let expected = if with_id { json!(5) } else { Value::Null };
    assert_eq!(*id, expected, "{what}: {message}");
}

#[tokio::test]
async fn over_http_nothing_ambiguous_passes() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients().url("one", &recorder.url(), "legacy");
    let gateway = setup.start().await;
    let session = gateway.of(ALICE).open().await;
    let headers = [("mcp-session-id", session.id.as_str())];
    let mut cases = refused();
    cases.push(("nothing", Vec::new(), PARSE, false));
    for (what, bytes, code, with_id) in cases {
        let answer = session.peer.post_bytes(&headers, bytes).await;
        assert_eq!(answer.status, 400, "{what}");
        let message = answer.message().await.unwrap();
        check(what, &message, code, with_id);
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
    let answer = session.post(&legacy(5, "tools/call", &echo("x"))).await;
    assert_eq!(answer.message().await.unwrap()["id"], 5);
}

/// Starts the gateway on a pipe; writes lines to it.
struct Pipe {
    harness: Harness,
    stdin: tokio::process::ChildStdin,
}

impl Pipe {
    fn start(setup: &Setup) -> Self {
        let launch = setup.launch("stdio", &["--server", "one"]);
        let mut harness = launch.start_silent().unwrap();
        let stdin = harness.take_stdin().unwrap();
        Self { harness, stdin }
    }

    async fn write(&mut self, line: &[u8]) {
        self.stdin.write_all(&[line, b"\n"].concat()).await.unwrap();
        self.stdin.flush().await.unwrap();
    }

    /// The messages that came out so far.
    fn messages(&self) -> Vec<Value> {
        let output = self.harness.output();
        let lines = output
            .lines()
            .filter(|line| line.starts_with("{\"jsonrpc\""));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits for the answer to the ping `id`, before which everything earlier was answered.
    async fn pinged(&mut self, id: &str) {
        let ping = json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
        self.write(ping.to_string().as_bytes()).await;
        let text = format!("\"id\":\"{id}\"");
        let found = self.harness.line_with(&text, BOUND);
        found.await.unwrap();
    }
}

#[tokio::test]
async fn over_a_pipe_nothing_ambiguous_passes() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().url("one", &recorder.url(), "legacy");
    let mut pipe = Pipe::start(&setup);
    let hello = crate::support::initialize("2025-11-25", &json!({}));
    pipe.write(hello.to_string().as_bytes()).await;
    pipe.pinged("ready").await;
    let cases = refused();
    for (_, bytes, ..) in &cases {
        pipe.write(bytes).await;
    }
    pipe.pinged("done").await;
    let mut messages = pipe.messages();
    messages.retain(|message| message.get("error").is_some());
    assert_eq!(messages.len(), cases.len());
    for ((what, _, code, with_id), message) in cases.iter().zip(&messages) {
        check(what, message, *code, *with_id);
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
    pipe.write(&says("\"x\"")).await;
    pipe.harness
        .line_with("\"id\":5,\"result\"", BOUND)
        .await
        .unwrap();
    drop(pipe.stdin);
    assert!(pipe.harness.wait(BOUND).await.unwrap().success());
}

/// Params that a server could not tell from others if they were written anew.
const ODD: &str = r#"{ "arguments" : {"text":"\u0041\/\ud83d\ude00 \n caf\u00E9 é"} ,	"name":"echo","_meta":{"v/big":9007199254740993,"v/exp":1.50E+2,"v/zero":-0.0,"v/deep":[[ {"":null} ]]}}"#;

#[tokio::test]
async fn what_passes_is_what_was_checked() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients().url("one", &recorder.url(), "legacy");
    let gateway = setup.url("new", &recorder.url(), "modern").start().await;
    let params = |body: &[u8]| -> String {
        let body: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
            serde_json::from_slice(body).unwrap();
        body["params"].get().to_owned()
    };

    let session = gateway.of(ALICE).open().await;
    let headers = [("mcp-session-id", session.id.as_str())];
    let answer = session.peer.post_bytes(&headers, call(ODD)).await;
    assert_eq!(answer.status, 200);
    let answer = answer.message().await.unwrap();
    assert_eq!(
        answer["result"]["content"][0]["text"],
        "A/\u{1f600} \n caf\u{e9} \u{e9}"
    );
    let seen = recorder.seen_of("tools/call");
    assert_eq!(params(&seen[0].body), ODD);

    // A modern server gets its own metadata beside what the client wrote.
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ];
    let own = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#;
    let modern = ODD.replace(r#""_meta":{"#, own);
    let peer = gateway.peer("/servers/new/mcp").with(ALICE);
    let answer = peer.post_bytes(&headers, call(&modern)).await;
    assert!(answer.message().await.unwrap()["result"].is_object());
    let seen = recorder.seen_of("tools/call");
    let sent = params(&seen[1].body);
    let parts = [
        r#"{"text":"\u0041\/\ud83d\ude00 \n caf\u00E9 é"}"#,
        "\"v/big\":9007199254740993",
        "\"v/exp\":1.50E+2",
        "\"v/zero\":-0.0",
        "[[ {\"\":null} ]]",
    ];
    for part in parts {
        assert!(sent.contains(part), "{part} is not in {sent}");
    }
}
