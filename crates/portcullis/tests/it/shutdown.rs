//! The end of the gateway, asked for or not: every call is answered or refused, every row is
//! completed, and no process stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::gateway::{
    BOUND, Gateway, Modern, Session, called, eventually, faulty, messages, rows, runs,
};
use crate::scripted::{Call, Script};

const CALLS: usize = 1000;
const CONNECTIONS: usize = 64;

/// How one call ended for its client.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Result,
    Error(i64),
    /// No JSON-RPC answer.
    Broken(String),
}

/// The end that a whole response body tells of: one message, or events of which one is the answer.
fn end_of(status: u16, body: &[u8], id: usize) -> End {
    let text = String::from_utf8_lossy(body);
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let answer = std::iter::once(&*text)
        .chain(events)
        .filter_map(|json| serde_json::from_str::<Value>(json).ok())
        .find(|message| message["id"] == id);
    match answer {
        Some(answer) if answer["result"]["content"][0]["text"] == "hello" => End::Result,
        Some(answer) if answer["error"]["code"].is_i64() => {
            End::Error(answer["error"]["code"].as_i64().unwrap())
        }
        _ => End::Broken(format!("{status}: {text}")),
    }
}

fn call(address: &str, id: usize) -> Request<Full<Bytes>> {
    let params = json!({ "name": "echo", "arguments": { "text": "hello" } });
    let message = portcullis_testkit::raw::modern(id as u64, "tools/call", params);
    Request::post(format!("http://{address}/servers/slow/mcp"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", crate::gateway::MODERN)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo")
        .body(Full::new(message.to_string().into()))
        .unwrap()
}

/// Begins all the calls, spread over all the connections.
async fn flood(address: &str) -> JoinSet<End> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        connections.push(sender);
    }
    let mut calls = JoinSet::new();
    for id in 0..CALLS {
        let mut sender = connections[id % CONNECTIONS].clone();
        let request = call(address, id);
        calls.spawn(async move {
            let answered = timeout(BOUND, async {
                let response = sender.send_request(request).await?;
                let status = response.status().as_u16();
                let body = response.into_body().collect().await?.to_bytes();
                Ok::<_, hyper::Error>(end_of(status, &body, id))
            });
            match answered.await {
                Ok(Ok(end)) => end,
                Ok(Err(error)) => End::Broken(error.to_string()),
                Err(_) => End::Broken("no end in time".to_owned()),
            }
        });
    }
    calls
}

/// A gateway with the slow server, all calls in flight there.
async fn busy(delay_ms: &str, shutdown: &str) -> (Gateway, JoinSet<End>) {
    let rest = format!("concurrency_max = {CALLS}\ntimeout = \"5m\"");
    let server = faulty("slow", &["--mode", "slow", "--delay-ms", delay_ms], &rest);
    let idle = faulty("idle", &[], "");
    let limits = format!("[limits]\nshutdown_timeout = \"{shutdown}\"\n");
    let gateway = Gateway::start(&(limits + &server + &idle)).await;
    // Both servers run, and the slow one's tools are known.
    Modern::at(&gateway.all())
        .ask("tools/list", json!({}))
        .await;
    let calls = flood(&gateway.address()).await;
    gateway
        .rows_when(|rows| rows.iter().filter(|row| row.method == "tools/call").count() == CALLS)
        .await;
    (gateway, calls)
}

/// Ends the gateway, and checks what has to hold whatever became of the calls.
async fn end(gateway: Gateway, calls: JoinSet<End>) -> (Vec<End>, Vec<String>) {
    let processes = gateway.processes();
    assert_eq!(
        called(&processes, "faulty-server").len(),
        2,
        "{processes:?}"
    );
    gateway.signal(Signal::TERM);
    gateway.says("ending after the requests in progress").await;
    let address = gateway.address();
    let (ends, ended) = tokio::join!(calls.join_all(), gateway.ended());
    let (code, place) = ended;
    assert_eq!(code, Some(0));
    assert!(TcpStream::connect(&address).await.is_err());
    nothing_runs(&processes).await;
    let rows = rows(place.path());
    let outcomes = rows.into_iter().filter(|row| row.method == "tools/call");
    let outcomes: Vec<String> = outcomes.map(|row| row.outcome).collect();
    assert_eq!(outcomes.len(), CALLS);
    (ends, outcomes)
}

async fn nothing_runs(processes: &BTreeSet<u32>) {
    eventually("the end of all processes", || {
        !processes.iter().any(|pid| runs(*pid))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_get_the_time_they_need() {
    let (gateway, calls) = busy("12000", "60s").await;
    let rows = gateway.rows();
    let open = rows.iter().filter(|row| row.outcome == "started").count();
    assert!(open > CALLS / 2, "only {open} are still in flight");
    let (ends, outcomes) = end(gateway, calls).await;
    let odd: Vec<&End> = ends.iter().filter(|end| **end != End::Result).collect();
    assert!(
        odd.is_empty(),
        "{} of {CALLS}: {:?}",
        odd.len(),
        odd.first()
    );
    assert!(
        outcomes.iter().all(|outcome| outcome == "ok"),
        "{outcomes:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_are_cut_off() {
    let (gateway, calls) = busy("600000", "1s").await;
    let (ends, outcomes) = end(gateway, calls).await;
    // On a busy machine, some hear of their server's end before they hear of the gateway's.
    let refused = |end: &End| matches!(end, End::Error(-31004 | -31001));
    let odd: Vec<&End> = ends.iter().filter(|end| !refused(end)).collect();
    assert!(
        odd.is_empty(),
        "{} of {CALLS}: {:?}",
        odd.len(),
        odd.first()
    );
    let ended = |outcome: &String| !matches!(outcome.as_str(), "started" | "ok");
    assert!(outcomes.iter().all(ended), "{outcomes:?}");
}

#[tokio::test]
async fn nobody_is_let_in_while_the_gateway_ends() {
    let release = Arc::new(tokio::sync::Notify::new());
    let released = Arc::clone(&release);
    let server = Script::of(true)
        .tools(&["wait"])
        .on("tools/call", move |call: Call| {
            let released = Arc::clone(&released);
            async move {
                released.notified().await;
                call.result(json!({ "content": [{ "type": "text", "text": "late" }] }));
            }
        })
        .start()
        .await;
    let gateway = Gateway::start(&server.entry("slow", false, "")).await;
    let client = Modern::at(&gateway.one("slow"));
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.call("wait", json!({})).await });
    server.sees_of("tools/call", 1).await;
    // Streams that would last for ever end with a word.
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let listening = client.send(5, "subscriptions/listen", filter).await;
    let session = Session::open(&gateway.one("slow"), json!({})).await;
    let standing = session.stream().await;
    gateway.signal(Signal::TERM);
    gateway.says("ending after the requests in progress").await;
    let address = gateway.address();
    let last = messages(listening).await;
    assert_eq!(
        last.last().unwrap()["result"]["resultType"],
        "complete",
        "{last:?}"
    );
    // Who comes now is refused at the door, not kept waiting.
    eventually("the closed door", || {
        std::net::TcpStream::connect(&address).is_err()
    })
    .await;
    assert!(!call.is_finished());
    release.notify_one();
    assert_eq!(crate::gateway::text(&call.await.unwrap()), "late");
    assert_eq!(gateway.ended().await.0, Some(0));
    messages(standing).await;
}

#[tokio::test]
async fn a_killed_gateway_leaves_no_process_and_its_calls_are_marked() {
    let hang = faulty("slow", &["--mode", "hang"], "") + &faulty("idle", &[], "");
    let gateway = Gateway::start(&hang).await;
    let client = Modern::at(&gateway.all());
    client.call("idle__echo", json!({ "text": "done" })).await;
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call("slow__echo", json!({ "text": "a" })).await })
        })
        .collect();
    let open = |rows: &[crate::gateway::Call]| {
        rows.iter()
            .filter(|row| row.server == "slow" && row.outcome == "started")
            .count()
            == 5
            && rows
                .iter()
                .any(|row| row.server == "idle" && row.outcome == "ok")
    };
    gateway.rows_when(open).await;
    let processes = gateway.processes();
    assert_eq!(called(&processes, "faulty-server").len(), 2);
    gateway.signal(Signal::KILL);
    let (code, place) = gateway.ended().await;
    assert_eq!(code, None);
    for call in calls {
        call.abort();
    }
    nothing_runs(&processes).await;
    // What was interrupted still says so; nothing guesses how it ended.
    assert!(open(&rows(place.path())));
    let gateway = Gateway::start_in(place, &hang).await;
    let after = gateway.rows();
    let count = |outcome: &str| after.iter().filter(|row| row.outcome == outcome).count();
    assert_eq!(
        (count("interrupted"), count("started")),
        (5, 0),
        "{after:?}"
    );
    assert!(count("ok") > 0);
}

#[tokio::test]
async fn a_server_that_ignores_its_end_is_ended() {
    // It answers like a legacy server, and takes no hint.
    let script = "trap '' TERM INT HUP\n/bin/sleep 1000 &\nwhile true; do IFS= read -r line || /bin/sleep 1000\n\
        case $line in *initialize*) id=$${line#*\\\"id\\\":}; id=$${id%%[,\\}]*}\n\
        printf '{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"s\",\"version\":\"1\"}}}\\n' \"$id\";; esac\ndone";
    let entry = crate::gateway::local("deaf", &["/bin/sh", "-c", script], "era = \"legacy\"");
    let gateway = Gateway::start(&entry).await;
    Session::open(&gateway.one("deaf"), json!({})).await;
    eventually("the server", || gateway.processes().len() >= 3).await;
    let processes = gateway.processes();
    gateway.signal(Signal::TERM);
    let ended = timeout(Duration::from_secs(30), gateway.ended())
        .await
        .unwrap();
    assert_eq!(ended.0, Some(0));
    nothing_runs(&processes).await;
}
