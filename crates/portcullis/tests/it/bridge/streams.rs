//! What is heard beside answers: progress, logs, changes; and calls that are given up.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Meeting, Pair, act, acting, pairs, said};
use crate::gateway::{AnyClient, messages, next, next_of, text};
use crate::scripted::Script;

#[tokio::test]
async fn progress_has_the_client_s_own_token() {
    for pair in pairs(|_| true) {
        let script = acting(pair, |call| async move {
            let token = call.params()["_meta"]["progressToken"].clone();
            let sends = !token.is_null();
            for step in [1, 2, 3] {
                let params = json!({ "progressToken": token, "progress": step, "total": 3 });
                if sends {
                    call.notify("notifications/progress", params);
                }
            }
            call.result(said(sends.to_string()));
        });
        let meeting = Meeting::of(pair, script).await;
        for token in [json!("a token"), json!(77), json!("77"), json!(0)] {
            let mut params = act();
            params["_meta"] = json!({ "progressToken": token });
            let all = messages(meeting.client.send(3, "tools/call", params).await).await;
            let steps: Vec<&Value> = all
                .iter()
                .filter(|message| message["method"] == "notifications/progress")
                .map(|message| &message["params"]["progressToken"])
                .collect();
            assert_eq!(steps, [&token, &token, &token], "{pair:?}");
        }
        let all = messages(meeting.begin(4).await).await;
        assert_eq!(
            (all.len(), text(&all[0])),
            (1, "false"),
            "{pair:?}: nobody asked for progress"
        );
    }
}

#[tokio::test]
async fn logs_come_to_those_who_ask() {
    for pair in pairs(|_| true) {
        let script = acting(pair, |call| async move {
            let level = &call.params()["_meta"]["io.modelcontextprotocol/logLevel"];
            let log = json!({ "level": "warning", "data": level });
            call.notify("notifications/message", log);
            call.result(said("done"));
        });
        let mut meeting = Meeting::of(pair, script).await;
        let logs = |all: Vec<Value>| {
            let logs = all
                .into_iter()
                .filter(|m| m["method"] == "notifications/message");
            logs.map(|log| log["params"]["data"].clone())
                .collect::<Vec<Value>>()
        };
        let heard = logs(messages(meeting.begin(1).await).await);
        if pair.modern_client {
            assert_eq!(heard, [] as [Value; 0], "{pair:?}: no word, no logs");
        }
        match &mut meeting.client {
            AnyClient::Modern(client) => client.level = Some("notice"),
            AnyClient::Legacy(session) => {
                let set = session
                    .ask("logging/setLevel", json!({ "level": "notice" }))
                    .await;
                assert_eq!(set["result"], json!({}), "{pair:?}: {set}");
                let wrong = session
                    .ask("logging/setLevel", json!({ "level": "loud" }))
                    .await;
                assert_eq!(wrong["error"]["code"], -32602, "{pair:?}: {wrong}");
            }
        }
        let heard = logs(messages(meeting.begin(2).await).await);
        let level = if pair.modern_server {
            json!("notice")
        } else {
            Value::Null
        };
        assert_eq!(heard, [level], "{pair:?}");
        if !pair.modern_server {
            let set = meeting.server.sees_of("logging/setLevel", 1).await;
            assert_eq!(
                set.last().unwrap().message["params"],
                json!({ "level": "notice" })
            );
        }
    }
}

#[tokio::test]
async fn cancellation_reaches_the_server() {
    for pair in pairs(|_| true) {
        let gone = Arc::new(Notify::new());
        let told = Arc::clone(&gone);
        let script = acting(pair, move |call| {
            let told = Arc::clone(&told);
            async move {
                call.notify(
                    "notifications/message",
                    json!({ "level": "error", "data": "on" }),
                );
                call.gone().await;
                told.notify_one();
            }
        });
        let mut meeting = Meeting::of(pair, script).await;
        if let AnyClient::Modern(client) = &mut meeting.client {
            client.level = Some("debug");
        }
        let mut answer = meeting.begin(42).await;
        next_of(&mut answer, "notifications/message").await;
        let call = meeting
            .server
            .sees_of("tools/call", 1)
            .await
            .remove(0)
            .message;
        match &meeting.client {
            AnyClient::Modern(_) => drop(answer),
            AnyClient::Legacy(session) => {
                let params = json!({ "requestId": 42, "reason": "enough" });
                session.notify("notifications/cancelled", params).await;
                assert_eq!(
                    messages(answer).await,
                    [] as [Value; 0],
                    "{pair:?}: no answer"
                );
            }
        }
        if pair.modern_server && !pair.over_stdio {
            let waited = tokio::time::timeout(Duration::from_secs(30), gone.notified()).await;
            assert!(waited.is_ok(), "{pair:?}");
            assert!(
                meeting.server.seen("notifications/cancelled").is_empty(),
                "{pair:?}"
            );
        } else {
            let told = meeting
                .server
                .sees_of("notifications/cancelled", 1)
                .await
                .remove(0);
            assert_eq!(told.message["params"]["requestId"], call["id"], "{pair:?}");
        }
        let rows = meeting
            .gateway
            .rows_when(|rows| rows.iter().all(|row| row.outcome != "started"))
            .await;
        let outcome = &rows
            .iter()
            .find(|row| row.method == "tools/call")
            .unwrap()
            .outcome;
        assert!(
            matches!(outcome.as_str(), "cancelled" | "abandoned"),
            "{pair:?}: {outcome}"
        );
    }
}

#[tokio::test]
async fn a_legacy_client_that_goes_away_has_not_cancelled() {
    for pair in pairs(|pair| !pair.modern_client) {
        let release = Arc::new(Notify::new());
        let released = Arc::clone(&release);
        let script = acting(pair, move |call| {
            let released = Arc::clone(&released);
            async move {
                call.notify(
                    "notifications/message",
                    json!({ "level": "error", "data": "on" }),
                );
                released.notified().await;
                call.result(said("late"));
            }
        });
        let meeting = Meeting::of(pair, script).await;
        let mut answer = meeting.begin(1).await;
        // What the client has to come back with.
        let id = loop {
            let event = answer.event().await.unwrap().unwrap();
            if event.data.contains("notifications/message") {
                break event.id.unwrap();
            }
        };
        drop(answer);
        release.notify_one();
        let session = meeting.client.legacy();
        let mut resumed = session.resume(&id).await;
        let last = loop {
            let message = next(&mut resumed).await;
            if message.get("result").is_some() {
                break message;
            }
        };
        assert_eq!((text(&last), &last["id"]), ("late", &json!(1)), "{pair:?}");
        assert!(meeting.server.seen("notifications/cancelled").is_empty());
        let rows = meeting
            .gateway
            .rows_when(|rows| rows.iter().all(|row| row.outcome != "started"))
            .await;
        assert!(
            rows.iter()
                .any(|row| row.method == "tools/call" && row.outcome == "ok")
        );
    }
}

const CHANGES: [&str; 3] = [
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
];

#[tokio::test]
async fn changes_are_heard_of() {
    for pair in pairs(|_| true) {
        let meeting = Meeting::of(pair, Script::of(pair.modern_server).tools(&["act"])).await;
        let mut stream = match &meeting.client {
            AnyClient::Modern(client) => {
                let filter = json!({
                    "toolsListChanged": true,
                    "promptsListChanged": true,
                    "resourcesListChanged": true,
                    "resourceSubscriptions": ["file:///a"],
                });
                let params = json!({ "notifications": filter });
                let mut stream = client.send(11, "subscriptions/listen", params).await;
                let first = next(&mut stream).await;
                assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
                assert_eq!(first["params"]["notifications"], filter, "{pair:?}");
                stream
            }
            AnyClient::Legacy(session) => {
                let stream = session.stream().await;
                let params = json!({ "uri": "file:///a" });
                let answer = session.ask("resources/subscribe", params).await;
                assert_eq!(answer["result"], json!({}), "{pair:?}: {answer}");
                stream
            }
        };
        if pair.modern_server {
            // All in one: what came before is on its way out.
            let wants = |message: &Value| {
                let filter = &message["params"]["notifications"];
                message["method"] == "subscriptions/listen"
                    && filter["resourceSubscriptions"] == json!(["file:///a"])
                    && filter["toolsListChanged"] == true
            };
            meeting.server.sees(wants).await;
        } else {
            meeting.server.sees_of("resources/subscribe", 1).await;
        }
        meeting.server.stands(1).await;
        let tag = json!({ "io.modelcontextprotocol/subscriptionId": 11 });
        for change in CHANGES {
            meeting.server.notify(change, &json!({}));
            let told = next_of(&mut stream, change).await;
            let meta = told["params"].get("_meta");
            assert_eq!(meta, pair.modern_client.then_some(&tag), "{pair:?}: {told}");
        }
        let updated = "notifications/resources/updated";
        // Nobody has asked for this one, which a modern server may not even send.
        if pair.modern_client {
            meeting
                .server
                .notify(updated, &json!({ "uri": "file:///b" }));
        }
        meeting
            .server
            .notify(updated, &json!({ "uri": "file:///a" }));
        let told = next_of(&mut stream, updated).await;
        assert_eq!(told["params"]["uri"], "file:///a", "{pair:?}");
        if let AnyClient::Legacy(session) = &meeting.client {
            session
                .ask("resources/unsubscribe", json!({ "uri": "file:///a" }))
                .await;
            if !pair.modern_server {
                meeting.server.sees_of("resources/unsubscribe", 1).await;
            }
        } else {
            drop(stream);
            match (pair.modern_server, pair.over_stdio) {
                (false, _) => drop(meeting.server.sees_of("resources/unsubscribe", 1).await),
                (true, true) => {
                    meeting.server.sees_of("notifications/cancelled", 1).await;
                }
                (true, false) => {}
            }
        }
    }
}

#[tokio::test]
async fn a_legacy_session_hears_of_changes_after_its_server_began_anew() {
    for over_stdio in [true, false] {
        let pair = Pair {
            modern_client: false,
            modern_server: false,
            over_stdio,
        };
        let crash = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let script = acting(pair, move |call| {
            let first = crash.swap(false, std::sync::atomic::Ordering::Relaxed);
            if first && over_stdio {
                call.hang_up();
            } else if first {
                call.whole(404, String::new());
            } else {
                call.result(said("again"));
            }
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let session = meeting.client.legacy();
        let mut stream = session.stream().await;
        meeting.server.stands(1).await;
        let answer = session
            .ask("resources/subscribe", json!({ "uri": "file:///a" }))
            .await;
        assert_eq!(answer["result"], json!({}));
        session.call("act", json!({})).await;
        // Until the server is admitted again.
        let began = std::time::Instant::now();
        loop {
            let answer = session.call("act", json!({})).await;
            if answer["result"]["content"][0]["text"] == "again" {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        meeting.server.stands(2).await;
        assert_eq!(
            meeting.server.sees_of("resources/subscribe", 2).await.len(),
            2
        );
        meeting.server.notify(CHANGES[0], &json!({}));
        next_of(&mut stream, CHANGES[0]).await;
    }
}
