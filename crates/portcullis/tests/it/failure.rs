//! One server fails, in each way that a server can: the others do not notice, lists say what they
//! lack, and the server is back by itself once it can be.

use std::fs;
use std::future::pending;
use std::time::{Duration, Instant};

use portcullis_testkit::Launch;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::gateway::{
    BOUND, Gateway, Modern, called, eventually, faulty, fixture, names, remote, runs, send, text,
};
use crate::scripted::{Call, Script};

/// Calls whose median is taken.
const CALLS: usize = 41;

/// The median time of calls to the two good servers, one after the other.
async fn median(client: &Modern) -> Duration {
    let mut times = Vec::new();
    for n in 0..CALLS {
        let server = ["good", "fine"][n % 2];
        let began = Instant::now();
        let answer = client
            .call(&format!("{server}__echo"), json!({ "text": "hello" }))
            .await;
        times.push(began.elapsed());
        assert_eq!(text(&answer), "hello");
    }
    times.sort();
    times[CALLS / 2]
}

/// Two good servers and `bad`, which is a `faulty-server` with these arguments.
async fn trio(bad: &[&str], rest: &str) -> Gateway {
    let servers = [
        faulty("good", &[], ""),
        faulty("fine", &[], ""),
        faulty("bad", bad, rest),
    ];
    Gateway::start(&servers.concat()).await
}

/// Calls `bad` by `width` tasks at a time, again and again, until the set is dropped.
fn trouble(client: &Modern, width: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..width {
        let client = client.clone();
        tasks.spawn(async move {
            loop {
                client.call("bad__echo", json!({ "text": "hello" })).await;
            }
        });
    }
    tasks
}

/// The entries of `_meta."portcullis/missing"`.
fn missing(listed: &Value) -> Vec<Value> {
    let missing = &listed["result"]["_meta"]["portcullis/missing"];
    missing.as_array().cloned().unwrap_or_default()
}

/// Waits until the merged list is whole again, and a call to `bad` succeeds.
async fn is_back(client: &Modern) {
    let began = Instant::now();
    loop {
        let listed = client.ask("tools/list", json!({})).await;
        let found = names(&listed, "tools", "name")
            .iter()
            .any(|name| name == "bad__echo");
        if found && missing(&listed).is_empty() {
            let answer = client.call("bad__echo", json!({ "text": "back" })).await;
            if answer["result"]["content"][0]["text"] == "back" {
                return;
            }
        }
        assert!(
            began.elapsed() < BOUND,
            "the server did not come back: {listed}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn others_keep_their_pace(bad: &[&str], rest: &str, width: usize) {
    let gateway = trio(bad, rest).await;
    let client = Modern::at(&gateway.all());
    let listed = client.ask("tools/list", json!({})).await;
    assert_eq!(names(&listed, "tools", "name").len(), 6, "{listed}");
    median(&client).await;
    let before = median(&client).await;
    let mut tasks = trouble(&client, width);
    gateway
        .rows_when(|rows| rows.iter().any(|row| row.server == "bad"))
        .await;
    let during = median(&client).await;
    assert!(
        during < before * 3 + Duration::from_millis(50),
        "{before:?} became {during:?}"
    );
    // Lists do not wait for calls, and the good ones are in them.
    let began = Instant::now();
    let listed = client.ask("tools/list", json!({})).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    for name in ["good__echo", "good__work", "fine__echo", "fine__work"] {
        assert!(
            names(&listed, "tools", "name")
                .iter()
                .any(|listed| listed == name),
            "{listed}"
        );
    }
    tasks.shutdown().await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    others_keep_their_pace(&["--mode", "hang"], "timeout = \"5m\"", 100).await;
}

#[tokio::test]
async fn a_server_that_writes_garbage() {
    others_keep_their_pace(&["--mode", "garbage"], "", 2).await;
}

#[tokio::test]
async fn a_server_that_floods_its_standard_error() {
    let flood = ["--mode", "flood-stderr", "--bytes", "4000000"];
    others_keep_their_pace(&flood, "", 1).await;
}

#[tokio::test]
async fn a_server_that_crashes_again_and_again() {
    others_keep_their_pace(&["--mode", "crash-after", "--after", "3"], "", 2).await;
}

#[tokio::test]
async fn a_server_that_writes_too_much() {
    let large = ["--mode", "oversize", "--bytes", "20000000"];
    others_keep_their_pace(&large, "", 1).await;
}

#[tokio::test]
async fn a_killed_server_is_missed_and_comes_back() {
    // The delay means nothing to this mode; it marks the process.
    let mark = "7654321";
    let gateway = trio(&["--mode", "hang", "--only-work", "--delay-ms", mark], "").await;
    let client = Modern::at(&gateway.all());
    is_back(&client).await;
    let marked = || {
        let servers = called(&gateway.processes(), "faulty-server");
        let has_mark = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        };
        servers.into_iter().filter(has_mark).collect::<Vec<u32>>()
    };
    let first = marked();
    assert_eq!(first.len(), 1, "{first:?}");
    let before = median(&client).await;

    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.call("bad__work", json!({})).await });
    gateway
        .rows_when(|rows| rows.iter().any(|row| row.target.as_deref() == Some("work")))
        .await;
    send(first[0], Signal::KILL);
    // The call that it was busy with is answered.
    let lost = call.await.unwrap();
    assert_eq!(lost["error"]["code"], -31001, "{lost}");
    assert!(lost["error"]["data"]["requestId"].is_string());
    let during = median(&client).await;
    assert!(
        during < before * 3 + Duration::from_millis(50),
        "{before:?} became {during:?}"
    );
    is_back(&client).await;
    let second = marked();
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
    assert!(!runs(first[0]));
    let rows = gateway
        .rows_when(|rows| rows.iter().all(|row| row.outcome != "started"))
        .await;
    assert!(rows.iter().any(|row| row.outcome == "upstream_down"));
}

#[tokio::test]
async fn a_server_that_cannot_start_is_missing_with_a_reason() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("late");
    let bad = format!("[servers.bad]\ncommand = [\"{}\"]\n", program.display());
    let gateway = Gateway::start(&(faulty("good", &[], "") + &bad)).await;
    let client = Modern::at(&gateway.all());
    let listed = client.ask("tools/list", json!({})).await;
    assert_eq!(
        names(&listed, "tools", "name"),
        ["good__echo", "good__work"]
    );
    let gone = missing(&listed);
    assert_eq!(gone.len(), 1, "{listed}");
    assert_eq!(gone[0]["server"], "bad");
    let reason = gone[0]["reason"].as_str().unwrap();
    assert!(
        !reason.is_empty() && !reason.contains(place.path().to_str().unwrap()),
        "{reason}"
    );
    let refused = client.call("bad__echo", json!({ "text": "a" })).await;
    assert_eq!(refused["error"]["code"], -31001, "{refused}");
    // A client that wants logs is told in words as well.
    let mut curious = client.clone();
    curious.level = Some("warning");
    let all = crate::gateway::messages(curious.send(4, "tools/list", json!({})).await).await;
    assert!(
        all.iter()
            .any(|message| message["method"] == "notifications/message"
                && message["params"]["data"]
                    .as_str()
                    .unwrap()
                    .contains("`bad`")),
        "{all:?}"
    );
    // Once it can start, it is there by itself.
    std::os::unix::fs::symlink(fixture("faulty-server"), &program).unwrap();
    is_back(&client).await;
}

#[tokio::test]
async fn a_server_whose_list_hangs_does_not_hold_up_the_list() {
    let silent = Script::of(true)
        .on("tools/list", |call: Call| async move {
            pending::<()>().await;
            drop(call);
        })
        .start()
        .await;
    for over_stdio in [true, false] {
        let config = faulty("good", &[], "") + &silent.entry("bad", over_stdio, "");
        let gateway = Gateway::start(&config).await;
        let client = Modern::at(&gateway.all());
        let began = Instant::now();
        let listed = client.ask("tools/list", json!({})).await;
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(
            names(&listed, "tools", "name"),
            ["good__echo", "good__work"]
        );
        assert_eq!(missing(&listed)[0]["server"], "bad");
    }
}

#[tokio::test]
async fn a_silent_server_answers_with_a_timeout() {
    let gateway = trio(&["--mode", "hang"], "timeout = \"300ms\"").await;
    let client = Modern::at(&gateway.all());
    let late = client.call("bad__echo", json!({ "text": "a" })).await;
    assert_eq!(late["error"]["code"], -31002, "{late}");
    let rows = gateway
        .rows_when(|rows| rows.iter().all(|row| row.outcome != "started"))
        .await;
    assert_eq!(rows.last().unwrap().outcome, "timeout");
    // It was told.
    is_listed(&client).await;
}

async fn is_listed(client: &Modern) {
    let listed = client.ask("tools/list", json!({})).await;
    assert_eq!(names(&listed, "tools", "name").len(), 6, "{listed}");
}

#[tokio::test]
async fn a_remote_server_that_is_stopped_and_started_again() {
    let start = |address: String| {
        let launch = Launch::new(fixture("faulty-server")).args(["--listen", &address]);
        launch.start("listening", BOUND)
    };
    let mut server = start("127.0.0.1:0".to_owned()).await.unwrap();
    let url = server.url().to_owned();
    let address = url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/mcp")
        .unwrap()
        .to_owned();
    let config = faulty("good", &[], "") + &faulty("fine", &[], "") + &remote("bad", &url, "");
    let gateway = Gateway::start(&config).await;
    let client = Modern::at(&gateway.all());
    is_back(&client).await;
    let before = median(&client).await;

    server.kill().await.unwrap();
    let refused = client.call("bad__echo", json!({ "text": "a" })).await;
    assert_eq!(refused["error"]["code"], -31001, "{refused}");
    let began = Instant::now();
    let listed = client.ask("tools/list", json!({})).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(names(&listed, "tools", "name").len(), 4, "{listed}");
    assert_eq!(missing(&listed)[0]["server"], "bad");
    let during = median(&client).await;
    assert!(
        during < before * 3 + Duration::from_millis(50),
        "{before:?} became {during:?}"
    );

    server = start(address).await.unwrap();
    is_back(&client).await;
    drop(server);
}

#[tokio::test]
async fn a_remote_server_that_answers_garbage() {
    let server = Launch::new(fixture("faulty-server"))
        .args(["--listen", "127.0.0.1:0", "--mode", "garbage"])
        .start("listening", BOUND)
        .await
        .unwrap();
    let gateway = Gateway::start(&remote("bad", server.url(), "")).await;
    let client = Modern::at(&gateway.one("bad"));
    let wrong = client.call("echo", json!({ "text": "a" })).await;
    assert_eq!(wrong["error"]["code"], -31003, "{wrong}");
    eventually("the end of the call", || {
        gateway
            .rows()
            .last()
            .is_some_and(|row| row.outcome != "started")
    })
    .await;
}
