//! The record: one row for each request, there before the request goes out; and no request that
//! could not be recorded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_testkit::Recorder;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::gateway::{Call as Row, Gateway, Modern, Session, faulty, remote, rows, text};
use crate::scripted::{Call, Script};

const ALICE: &str = "alice-0123456789-0123456789-0123456789";
const BOB: &str = "bob-0123456789-0123456789-0123456789-01";

fn clients() -> String {
    format!("[clients.alice]\ntoken = \"{ALICE}\"\n[clients.bob]\ntoken = \"{BOB}\"\n")
}

fn done(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.outcome != "started")
}

#[tokio::test]
async fn a_row_for_each_request() {
    let server = Script::of(false)
        .result(
            "tools/list",
            json!({ "tools": [
                { "name": "any", "inputSchema": { "type": "object", "additionalProperties": true } },
                { "name": "number", "inputSchema": {
                    "type": "object",
                    "properties": { "n": { "type": "integer" } },
                } },
            ] }),
        )
        .on("tools/call", |call: Call| async move {
            match call.params()["arguments"]["do"].as_str() {
                Some("fail") => call.result(json!({ "content": [], "isError": true })),
                Some("refuse") => call.error(-32050, "no", Value::Null),
                Some("hang") => std::future::pending::<()>().await,
                _ => call.raw(r#"{"content":[],"pad":"0123456789"}"#),
            }
        })
        .start()
        .await;
    let config = clients() + &server.entry("files", false, "timeout = \"300ms\"");
    let before = now_ms();
    let gateway = Gateway::start(&config).await;
    let mut alice = Modern::at(&gateway.all());
    alice.token = Some(ALICE);
    let mut bob = Modern::at(&gateway.one("files"));
    bob.token = Some(BOB);

    let calls: [(&Modern, &str, Value); 6] = [
        (&alice, "files__any", json!({})),
        (&bob, "any", json!({ "do": "fail" })),
        (&bob, "any", json!({ "do": "refuse" })),
        (&alice, "files__any", json!({ "do": "hang" })),
        (&alice, "files__number", json!({ "n": "three" })),
        (&bob, "none", json!({})),
    ];
    let mut answers = Vec::new();
    for (client, tool, arguments) in &calls {
        answers.push(client.call(tool, arguments.clone()).await);
    }
    bob.ask("resources/list", json!({})).await;
    let refused = bob.ask("no/such", json!({})).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");

    let rows = gateway
        .rows_when(|rows| rows.len() >= 7 && done(rows))
        .await;
    let calls: Vec<&Row> = rows
        .iter()
        .filter(|row| row.method == "tools/call")
        .collect();
    let told: Vec<(&str, &str, &str)> = calls
        .iter()
        .map(|row| {
            (
                &*row.principal,
                row.target.as_deref().unwrap(),
                &*row.outcome,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("alice", "any", "ok"),
            ("bob", "any", "tool_error"),
            ("bob", "any", "rpc_error"),
            ("alice", "any", "timeout"),
            ("alice", "number", "denied"),
            ("bob", "none", "denied"),
        ]
    );
    let codes: Vec<Option<&str>> = calls.iter().map(|row| row.denial_code.as_deref()).collect();
    let denials = [
        None,
        None,
        None,
        None,
        Some("invalid-arguments"),
        Some("unknown-tool"),
    ];
    assert_eq!(codes, denials);
    assert_eq!(calls[2].error_code, Some(-32050));
    assert_eq!(
        calls[0].result_bytes,
        i64::try_from(r#"{"content":[],"pad":"0123456789"}"#.len()).ok()
    );
    assert!(calls[3].duration_us.unwrap() >= 290_000, "{:?}", calls[3]);
    for row in &calls {
        assert_eq!(row.client.as_deref(), Some("modern-client/1"));
        assert_eq!(
            (&*row.server, &*row.era_client, &*row.era_server),
            ("files", "modern", "legacy")
        );
        assert!((before..=now_ms()).contains(&row.started_ms), "{row:?}");
        assert!(row.completed_ms.unwrap_or(row.started_ms) >= row.started_ms);
        assert!(row.arguments_bytes > 0);
    }
    assert!(calls[1].arguments_bytes > calls[5].arguments_bytes);
    // A refusal names the row that tells of it.
    let named = &answers[5]["error"]["data"]["requestId"];
    assert_eq!(named, &json!(calls[5].request_id));
    let named = &answers[4]["result"]["_meta"]["portcullis/denial"]["requestId"];
    assert_eq!(named, &json!(calls[4].request_id), "{}", answers[4]);
    let others: Vec<&Row> = rows
        .iter()
        .filter(|row| row.method != "tools/call")
        .collect();
    let others: Vec<(&str, &str)> = others
        .iter()
        .map(|row| (&*row.method, &*row.outcome))
        .collect();
    assert!(others.contains(&("resources/list", "ok")), "{others:?}");
    // No token is in the record.
    for file in ["portcullis.db", "portcullis.db-wal"] {
        let bytes = std::fs::read(gateway.place.path().join("state").join(file));
        let bytes = bytes.unwrap_or_default();
        assert!(
            !bytes
                .windows(ALICE.len())
                .any(|window| window == ALICE.as_bytes())
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gateway's clock is the system's"
)]
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn the_row_is_there_before_the_server_is_asked() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_owned();
    let server = |is_modern| {
        let path = path.clone();
        Script::of(is_modern)
            .tools(&["look"])
            .on("tools/call", move |call: Call| {
                let path = path.clone();
                async move {
                    let mark = call.params()["arguments"]["mark"].as_str().unwrap().len();
                    let rows = rows(&path).into_iter().filter(|row| {
                        row.outcome == "started"
                            && row.arguments_bytes > i64::try_from(mark).unwrap()
                    });
                    let text = rows.count().to_string();
                    call.result(json!({ "content": [{ "type": "text", "text": text }] }));
                }
            })
    };
    let (modern, legacy) = (server(true).start().await, server(false).start().await);
    let config = modern.entry("modern", true, "") + &legacy.entry("legacy", false, "");
    let gateway = Gateway::start_in(place, &config).await;
    let client = Modern::at(&gateway.all());
    let session = Session::open(&gateway.all(), json!({})).await;
    for n in 1..=20 {
        // No earlier call was as large.
        let arguments = json!({ "mark": "x".repeat(n * 1000) });
        for server in ["modern", "legacy"] {
            let tool = format!("{server}__look");
            assert_eq!(text(&client.call(&tool, arguments.clone()).await), "1");
            gateway.rows_when(done).await;
            assert_eq!(text(&session.call(&tool, arguments.clone()).await), "1");
            gateway.rows_when(done).await;
        }
    }
}

#[tokio::test]
async fn an_unfinished_call_is_in_the_record_meanwhile() {
    let gateway = Gateway::start(&faulty("slow", &["--mode", "hang"], "")).await;
    let session = Session::open(&gateway.one("slow"), json!({})).await;
    let params = json!({ "name": "echo", "arguments": { "text": "a" } });
    let calling = session.clone();
    let call = tokio::spawn(async move { calling.send(5, "tools/call", params).await });
    let is_open = |rows: &[Row]| rows.iter().any(|row| row.outcome == "started");
    let rows = gateway.rows_when(is_open).await;
    let open = rows.iter().find(|row| row.outcome == "started").unwrap();
    assert_eq!(open.target.as_deref(), Some("echo"));
    assert_eq!(
        (open.completed_ms, open.result_bytes, open.duration_us),
        (None, None, None)
    );
    session
        .notify("notifications/cancelled", json!({ "requestId": 5 }))
        .await;
    let rows = gateway.rows_when(done).await;
    assert!(matches!(
        &*rows.last().unwrap().outcome,
        "cancelled" | "abandoned"
    ));
    call.await.unwrap();
}

/// Bounds the size of files that a running process may write.
fn bound_files(gateway: &Gateway, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap());
    let own = getrlimit(Resource::Fsize);
    let limit = Rlimit {
        current: bytes,
        maximum: own.maximum,
    };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let recorder = Recorder::start().await.unwrap();
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let slow = Script::of(true)
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
    let config = remote("files", &recorder.url(), "") + &slow.entry("slow", false, "");
    // A file that may not grow is an error to the one who writes, rather than a signal.
    let gateway = Gateway::start_after("trap '' XFSZ", &config).await;
    let client = Modern::at(&gateway.all());
    let session = Session::open(&gateway.one("files"), json!({})).await;
    assert_eq!(
        text(&client.call("files__echo", json!({ "text": "one" })).await),
        "one"
    );
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.call("slow__wait", json!({})).await });
    slow.sees_of("tools/call", 1).await;
    let passed = recorder.seen_of("tools/call").len();
    let sent = recorder.seen().len();

    bound_files(&gateway, Some(0));
    for n in 0..20 {
        let refused = match n % 3 {
            0 => client.call("files__echo", json!({ "text": "two" })).await,
            1 => session.call("echo", json!({ "text": "two" })).await,
            _ => session.ask("resources/read", json!({ "uri": "a:b" })).await,
        };
        assert_eq!(refused["error"]["code"], -31000, "{refused}");
        assert_eq!(refused["error"]["data"]["code"], "undecided-record");
    }
    // What was under way is answered; its row waits for the disk.
    release.notify_one();
    assert_eq!(text(&call.await.unwrap()), "late");
    assert_eq!(recorder.seen_of("tools/call").len(), passed);
    assert!(recorder.seen_of("resources/read").is_empty());
    assert_eq!(recorder.seen().len(), sent, "nothing at all went out");

    bound_files(&gateway, None);
    assert_eq!(
        text(&client.call("files__echo", json!({ "text": "three" })).await),
        "three"
    );
    let rows = gateway.rows_when(done).await;
    let calls: Vec<(&str, &str)> = rows
        .iter()
        .filter(|row| row.method == "tools/call")
        .map(|row| (&*row.server, &*row.outcome))
        .collect();
    assert_eq!(calls, [("files", "ok"), ("slow", "ok"), ("files", "ok")]);
}

#[tokio::test]
async fn a_refused_request_of_a_full_disk_is_quick() {
    let recorder = Recorder::start().await.unwrap();
    let config = remote("files", &recorder.url(), "");
    let gateway = Gateway::start_after("trap '' XFSZ", &config).await;
    let client = Modern::at(&gateway.all());
    client.call("files__echo", json!({ "text": "one" })).await;
    bound_files(&gateway, Some(0));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        calls.spawn(async move { client.call("files__echo", json!({ "text": "two" })).await });
    }
    let all = tokio::time::timeout(Duration::from_secs(20), calls.join_all())
        .await
        .unwrap();
    assert!(
        all.iter()
            .all(|refused| refused["error"]["data"]["code"] == "undecided-record")
    );
    assert_eq!(recorder.seen_of("tools/call").len(), 1);
}
