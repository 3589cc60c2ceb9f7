//! A new configuration while clients call: it counts as a whole or not at all, and nobody notices
//! but those whom it concerns.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::gateway::{AnyClient, Gateway, Modern, called, eventually, faulty, names, runs, text};
use crate::scripted::{Call, Script};

/// How often the log has `text`.
fn count(gateway: &Gateway, text: &str) -> usize {
    gateway
        .output()
        .lines()
        .filter(|line| line.contains(text))
        .count()
}

async fn logged(gateway: &Gateway, text: &str, times: usize) {
    eventually(text, || count(gateway, text) >= times).await;
}

/// Writes the file where it stands, as some editors do.
fn rewrite(gateway: &Gateway, change: impl Fn(&str) -> String) {
    let path = gateway.place.path().join("portcullis.toml");
    let text = change(&fs::read_to_string(&path).unwrap());
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_changed_file_counts_and_unchanged_servers_stay() {
    let one = faulty("one", &[], "");
    let gateway = Gateway::start(&one).await;
    let mut clients = Vec::new();
    for is_modern in [true, false] {
        clients.push(AnyClient::at(&gateway.all(), is_modern, json!({})).await);
        let listed = clients.last().unwrap().ask("tools/list", json!({})).await;
        assert_eq!(names(&listed, "tools", "name"), ["one__echo", "one__work"]);
    }
    let before = called(&gateway.processes(), "faulty-server");
    gateway.configure(&(one.clone() + &faulty("two", &[], "")));
    logged(&gateway, " reloaded ", 1).await;
    for client in &clients {
        let listed = client.ask("tools/list", json!({})).await;
        let all = ["one__echo", "one__work", "two__echo", "two__work"];
        assert_eq!(names(&listed, "tools", "name"), all);
        assert_eq!(
            text(&client.call("one__echo", json!({ "text": "a" })).await),
            "a"
        );
    }
    let after = called(&gateway.processes(), "faulty-server");
    assert!(
        before.iter().all(|pid| after.contains(pid)),
        "{before:?} {after:?}"
    );

    // Gone again, and its process with it; a session from before goes on.
    gateway.configure(&one);
    logged(&gateway, " reloaded ", 2).await;
    for client in &clients {
        let listed = client.ask("tools/list", json!({})).await;
        assert_eq!(names(&listed, "tools", "name"), ["one__echo", "one__work"]);
        let refused = client.call("two__echo", json!({ "text": "a" })).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    let gone: Vec<u32> = after
        .into_iter()
        .filter(|pid| !before.contains(pid))
        .collect();
    assert!(!gone.is_empty());
    eventually("the end of the server", || {
        !gone.iter().any(|pid| runs(*pid))
    })
    .await;
    assert!(before.iter().all(|pid| runs(*pid)));
}

#[tokio::test]
async fn a_broken_file_changes_nothing() {
    let gateway = Gateway::start(&faulty("one", &[], "")).await;
    let client = Modern::at(&gateway.all());
    client.call("one__echo", json!({ "text": "a" })).await;
    let before = gateway.processes();
    let broken: [fn(&str) -> String; 5] = [
        |text| text.replace("[servers.one]", "[servers.one"),
        |_| "[servers.two]\ncolour = 3\n".to_owned(),
        |text| text.replace("[servers.one]", "[servers.One]"),
        |text| text.replace("127.0.0.1:0", "127.0.0.1:1"),
        |text| format!("{text}\n[clients.a]\ntoken = \"${{NO_SUCH_VARIABLE}}\"\n"),
    ];
    let good = fs::read_to_string(gateway.place.path().join("portcullis.toml")).unwrap();
    for (at, change) in broken.iter().enumerate() {
        rewrite(&gateway, |_| change(&good));
        if at % 2 == 1 {
            gateway.signal(Signal::HUP);
        }
        logged(&gateway, "reload refused", at + 1).await;
        assert_eq!(
            text(&client.call("one__echo", json!({ "text": "b" })).await),
            "b"
        );
    }
    assert_eq!(gateway.processes(), before);
    // Mended, it counts again.
    rewrite(&gateway, |_| good.clone() + &faulty("two", &[], ""));
    logged(&gateway, " reloaded ", 1).await;
    let listed = client.ask("tools/list", json!({})).await;
    assert_eq!(names(&listed, "tools", "name").len(), 4);
}

#[tokio::test]
async fn what_is_in_flight_ends_where_it_began() {
    let release = Arc::new(Notify::new());
    let server = |name: &'static str, release: Option<Arc<Notify>>| {
        Script::of(false)
            .tools(&["who"])
            .on("tools/call", move |call: Call| {
                let release = release.clone();
                async move {
                    if let Some(release) = release {
                        release.notified().await;
                    }
                    call.result(json!({ "content": [{ "type": "text", "text": name }] }));
                }
            })
    };
    let old = server("old", Some(Arc::clone(&release))).start().await;
    let new = server("new", None).start().await;
    for over_stdio in [true, false] {
        for is_modern in [true, false] {
            let earlier = old.seen("tools/call").len();
            let gateway = Gateway::start(&old.entry("it", over_stdio, "")).await;
            let client = AnyClient::at(&gateway.one("it"), is_modern, json!({})).await;
            let calling = client.clone();
            let call = tokio::spawn(async move {
                let params = json!({ "name": "who", "arguments": {} });
                calling
                    .send(9, "tools/call", params)
                    .await
                    .message()
                    .await
                    .unwrap()
            });
            old.sees_of("tools/call", earlier + 1).await;
            gateway.configure(&new.entry("it", over_stdio, ""));
            gateway.signal(Signal::HUP);
            logged(&gateway, " reloaded ", 1).await;
            assert_eq!(text(&client.call("who", json!({})).await), "new");
            assert!(!call.is_finished());
            release.notify_one();
            assert_eq!(
                text(&call.await.unwrap()),
                "old",
                "{over_stdio} {is_modern}"
            );
        }
    }
}

#[tokio::test]
async fn reloads_under_traffic_break_no_call() {
    let config = |more: &str| {
        let limits = format!("[limits]\nsessions_max = {}\n", 100 + more.len());
        limits + &faulty("one", &[], "") + more
    };
    let gateway = Gateway::start(&config("")).await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut calls = JoinSet::new();
    for n in 0..6 {
        let url = if n % 2 == 0 {
            gateway.all()
        } else {
            gateway.one("one")
        };
        let tool = if n % 2 == 0 { "one__echo" } else { "echo" };
        let client = AnyClient::at(&url, n < 3, json!({})).await;
        let done = Arc::clone(&done);
        calls.spawn(async move {
            loop {
                let said = client.call(tool, json!({ "text": "still" })).await;
                assert_eq!(text(&said), "still");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    eventually("traffic", || done.load(Ordering::Relaxed) > 20).await;
    let before = called(&gateway.processes(), "faulty-server");
    let other = faulty("two", &[], "");
    for n in 0..10 {
        let so_far = done.load(Ordering::Relaxed);
        gateway.configure(&config(if n % 2 == 0 { &other } else { "" }));
        gateway.signal(Signal::HUP);
        logged(&gateway, " reloaded ", n + 1).await;
        eventually("more traffic", || {
            done.load(Ordering::Relaxed) > so_far + 20
        })
        .await;
    }
    if let Some(ended) = calls.try_join_next() {
        ended.unwrap();
    }
    assert_eq!(calls.len(), 6, "no caller has ended");
    calls.shutdown().await;
    assert!(
        before.iter().all(|pid| runs(*pid)),
        "the unchanged server kept its process"
    );
}

#[tokio::test]
async fn a_client_s_token_counts_as_soon_as_it_is_there() {
    let token = |name: &str, word: &str| {
        format!("[clients.{name}]\ntoken = \"{word}-0123456789-0123456789-0123456789\"\n")
    };
    let server = faulty("one", &[], "");
    let gateway = Gateway::start(&(token("a", "first") + &server)).await;
    let mut client = Modern::at(&gateway.all());
    client.token = Some("first-0123456789-0123456789-0123456789");
    let mut second = client.clone();
    second.token = Some("second-0123456789-0123456789-0123456789");
    let status = async |client: &Modern| {
        client
            .send(1, "tools/list", json!({}))
            .await
            .status
            .as_u16()
    };
    assert_eq!((status(&client).await, status(&second).await), (200, 401));
    gateway.configure(&(token("a", "second") + &server));
    logged(&gateway, " reloaded ", 1).await;
    assert_eq!((status(&client).await, status(&second).await), (401, 200));
}
