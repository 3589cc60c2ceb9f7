//! Clients and servers of different eras, over either transport: whatever the one says, the other
//! hears in its own terms.

use std::fmt;
use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use portcullis_testkit::raw::Answer;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::gateway::{
    AnyClient, Gateway, LEGACY, MODERN, Modern, Session, messages, names, next, next_of, text,
};
use crate::scripted::{Call, Script, Scripted};

/// Who meets whom, and over what.
#[derive(Clone, Copy)]
struct Pair {
    modern_client: bool,
    modern_server: bool,
    over_stdio: bool,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let era = |is_modern| if is_modern { "modern" } else { "legacy" };
        let over = if self.over_stdio { "stdio" } else { "HTTP" };
        let (client, server) = (era(self.modern_client), era(self.modern_server));
        write!(f, "{client} client, {server} server over {over}")
    }
}

/// Every pair that `wanted` lets through.
fn pairs(wanted: impl Fn(Pair) -> bool) -> Vec<Pair> {
    let all = (0..8).map(|n| Pair {
        modern_client: n & 1 == 0,
        modern_server: n & 2 == 0,
        over_stdio: n & 4 == 0,
    });
    all.filter(|pair| wanted(*pair)).collect()
}

/// What a client can be asked for.
fn everything() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} })
}

/// A pair at work.
struct Meeting {
    pair: Pair,
    gateway: Gateway,
    server: Scripted,
    client: AnyClient,
}

impl Meeting {
    async fn of(pair: Pair, script: Script) -> Self {
        Self::by(pair, script, everything(), "").await
    }

    async fn by(pair: Pair, script: Script, capabilities: Value, limits: &str) -> Self {
        let server = script.start().await;
        let config = limits.to_owned() + &server.entry("it", pair.over_stdio, "");
        let gateway = Gateway::start(&config).await;
        let client = AnyClient::at(&gateway.one("it"), pair.modern_client, capabilities).await;
        Self {
            pair,
            gateway,
            server,
            client,
        }
    }

    /// Begins a call of `act`.
    async fn begin(&self, id: u64) -> Answer {
        self.client.send(id, "tools/call", act()).await
    }
}

fn act() -> Value {
    json!({ "name": "act", "arguments": {} })
}

/// A server with the tool `act`.
fn acting<F>(pair: Pair, answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Script
where
    F: Future<Output = ()> + Send + 'static,
{
    Script::of(pair.modern_server)
        .tools(&["act"])
        .on("tools/call", answer)
}

fn said(text: impl Into<String>) -> Value {
    json!({ "content": [{ "type": "text", "text": text.into() }] })
}

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

/// What a server may ask, and how a client answers.
fn asks() -> [(&'static str, Value, Value); 4] {
    let form = json!({
        "mode": "form",
        "message": "Which?",
        "requestedSchema": { "type": "object", "properties": { "colour": { "type": "string" } } },
    });
    let sample = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": "Say." } }],
        "maxTokens": 10,
    });
    let sampled = json!({
        "role": "assistant",
        "model": "m",
        "content": { "type": "text", "text": "Said." },
    });
    [
        (
            "elicitation/create",
            form.clone(),
            json!({ "action": "accept", "content": { "colour": "red" } }),
        ),
        ("elicitation/create", form, json!({ "action": "decline" })),
        ("sampling/createMessage", sample, sampled),
        (
            "roots/list",
            json!({}),
            json!({ "roots": [{ "uri": "file:///r" }] }),
        ),
    ]
}

/// A server that asks `method` in the way of its era, and tells the answer as text.
fn asking(pair: Pair, method: &'static str, params: Value) -> Script {
    acting(pair, move |call| {
        let params = params.clone();
        async move {
            if !pair.modern_server {
                let answer = call.ask(method, params).await;
                let told = answer.get("result").or(answer.get("error"));
                return call.result(said(told.unwrap().to_string()));
            }
            match call.params().get("inputResponses") {
                Some(responses) => {
                    assert_eq!(call.params()["requestState"], "state \"1\"");
                    call.result(said(responses["key 1"].to_string()));
                }
                None => call.result(json!({
                    "resultType": "input_required",
                    "inputRequests": { "key 1": { "method": method, "params": params } },
                    "requestState": "state \"1\"",
                })),
            }
        }
    })
}

/// Makes the call of `act`, and answers what is asked on the way.
async fn call_and_answer(meeting: &Meeting, method: &str, params: &Value, outcome: Value) -> Value {
    match &meeting.client {
        AnyClient::Modern(client) => {
            let asked = client.ask("tools/call", act()).await;
            let asked = &asked["result"];
            assert_eq!(
                asked["resultType"], "input_required",
                "{:?}: {asked}",
                meeting.pair
            );
            let requests = asked["inputRequests"].as_object().unwrap();
            assert_eq!(requests.len(), 1);
            let (key, request) = requests.iter().next().unwrap();
            assert_eq!(
                (&request["method"], &request["params"]),
                (&json!(method), params)
            );
            let mut again = act();
            again["inputResponses"] = json!({ key: outcome["result"] });
            again["requestState"] = asked["requestState"].clone();
            client.ask("tools/call", again).await
        }
        AnyClient::Legacy(session) => {
            let mut stream = session.send(3, "tools/call", act()).await;
            let request = next_of(&mut stream, method).await;
            assert_eq!(&request["params"], params, "{:?}", meeting.pair);
            session.respond(&request, outcome).await;
            next(&mut stream).await
        }
    }
}

#[tokio::test]
async fn servers_ask_and_clients_answer() {
    for pair in pairs(|_| true) {
        for (method, params, result) in asks() {
            let meeting = Meeting::of(pair, asking(pair, method, params.clone())).await;
            let outcome = json!({ "result": result });
            let last = call_and_answer(&meeting, method, &params, outcome).await;
            let told: Value = serde_json::from_str(text(&last)).unwrap();
            assert_eq!(told, result, "{pair:?} {method}");
            let rows = meeting
                .gateway
                .rows_when(|rows| rows.iter().all(|row| row.outcome != "started"))
                .await;
            assert!(
                pair.modern_client && pair.modern_server
                    || rows
                        .iter()
                        .any(|row| row.method == method && row.outcome == "ok"),
                "{pair:?}: {rows:?}"
            );
        }
    }
}

#[tokio::test]
async fn several_things_are_asked_at_once_and_again() {
    for pair in pairs(|_| true) {
        let form = |message: &str| {
            json!({
                "mode": "form",
                "message": message,
                "requestedSchema": { "type": "object", "properties": {} },
            })
        };
        let script = acting(pair, move |call| async move {
            if !pair.modern_server {
                let (first, second) = tokio::join!(
                    call.ask("elicitation/create", form("one")),
                    call.ask("roots/list", json!({}))
                );
                let third = call.ask("elicitation/create", form("three")).await;
                let all = [&first["result"], &second["result"], &third["result"]];
                return call.result(said(json!(all).to_string()));
            }
            let request = |params| json!({ "method": "elicitation/create", "params": params });
            let required = |requests: Value, state: &str| {
                json!({
                    "resultType": "input_required",
                    "inputRequests": requests,
                    "requestState": state,
                })
            };
            let (state, given) = (
                &call.params()["requestState"],
                &call.params()["inputResponses"],
            );
            match state.as_str() {
                None => {
                    let roots = json!({ "method": "roots/list" });
                    let requests = json!({ "a": request(form("one")), "b": roots });
                    call.result(required(requests, "1"));
                }
                Some("1") => {
                    let state = json!([given["a"], given["b"]]).to_string();
                    call.result(required(json!({ "c": request(form("three")) }), &state));
                }
                Some(state) => {
                    let mut all: Vec<Value> = serde_json::from_str(state).unwrap();
                    all.push(given["c"].clone());
                    call.result(said(json!(all).to_string()));
                }
            }
        });
        let meeting = Meeting::of(pair, script).await;
        let answer = |request: &Value| match request["method"].as_str().unwrap() {
            "roots/list" => json!({ "roots": [] }),
            _ => json!({ "action": "accept", "content": { "m": request["params"]["message"] } }),
        };
        let last = match &meeting.client {
            AnyClient::Modern(client) => {
                let mut params = act();
                loop {
                    let response = client.ask("tools/call", params.clone()).await;
                    let result = &response["result"];
                    if result["resultType"] != "input_required" {
                        break response;
                    }
                    let requests = result["inputRequests"].as_object().unwrap();
                    let answers = requests
                        .iter()
                        .map(|(key, request)| (key.clone(), answer(request)));
                    params["inputResponses"] = Value::Object(answers.collect());
                    params["requestState"] = result["requestState"].clone();
                }
            }
            AnyClient::Legacy(session) => {
                let mut stream = session.send(3, "tools/call", act()).await;
                loop {
                    let message = next(&mut stream).await;
                    if message.get("method").is_none() {
                        break message;
                    }
                    session
                        .respond(&message, json!({ "result": answer(&message) }))
                        .await;
                }
            }
        };
        let told: Value = serde_json::from_str(text(&last)).unwrap();
        let accepted = |message| json!({ "action": "accept", "content": { "m": message } });
        assert_eq!(
            told,
            json!([accepted("one"), { "roots": [] }, accepted("three")]),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn nobody_is_asked_for_what_was_not_declared() {
    for pair in pairs(|_| true) {
        for (method, params, _) in asks() {
            let script = asking(pair, method, params);
            let meeting = Meeting::by(pair, script, json!({}), "").await;
            let last = messages(meeting.begin(5).await).await;
            assert!(
                last.iter().all(|message| message.get("method").is_none()),
                "{pair:?}"
            );
            let last = last.last().unwrap();
            let may_decline = method == "elicitation/create" && !pair.modern_client;
            if pair.modern_server && may_decline {
                // Which needs nobody to be asked.
                assert_eq!(text(last), r#"{"action":"cancel"}"#, "{pair:?}");
            } else if pair.modern_server {
                assert!(last["error"]["code"].is_i64(), "{pair:?} {method}: {last}");
            } else {
                // The server got an error, and its call went on.
                let told: Value = serde_json::from_str(text(last)).unwrap();
                assert_eq!(told["code"], -32601, "{pair:?} {method}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_not_waited_for() {
    let limits = "[limits]\nparked_timeout = \"400ms\"\n";
    for pair in pairs(|pair| !(pair.modern_client && pair.modern_server)) {
        let (method, params, result) = asks()[0].clone();
        let script = asking(pair, method, params);
        let meeting = Meeting::by(pair, script, everything(), limits).await;
        match &meeting.client {
            AnyClient::Modern(client) => {
                let asked = client.ask("tools/call", act()).await;
                let mut again = act();
                let key = asked["result"]["inputRequests"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .next();
                again["inputResponses"] = json!({ key.unwrap(): result });
                again["requestState"] = asked["result"]["requestState"].clone();
                // The call ends in the record when nobody can take it up any more.
                meeting
                    .gateway
                    .rows_when(|rows| rows.iter().all(|row| row.outcome != "started"))
                    .await;
                let late = client.ask("tools/call", again).await;
                assert_eq!(late["error"]["code"], -32602, "{pair:?}: {late}");
                // The server's call is over as well.
                meeting.server.sees_of("notifications/cancelled", 1).await;
            }
            AnyClient::Legacy(session) => {
                let mut stream = session.send(3, "tools/call", act()).await;
                let request = next_of(&mut stream, method).await;
                let last = next(&mut stream).await;
                let told: Value = serde_json::from_str(text(&last)).unwrap();
                if pair.modern_server {
                    assert_eq!(told, json!({ "action": "cancel" }), "{pair:?}");
                } else {
                    assert_eq!(told["code"], -32603, "{pair:?}: {told}");
                }
                // Too late, and no harm.
                session.respond(&request, json!({ "result": result })).await;
            }
        }
    }
}

#[tokio::test]
async fn wrong_answers_do_not_reach_the_server() {
    for pair in pairs(|pair| !pair.modern_client) {
        let (method, params, _) = asks()[0].clone();
        let wrong = [
            json!({ "result": { "content": {} } }),
            json!({ "result": { "action": "perhaps" } }),
            json!({ "error": { "code": -1, "message": "no" } }),
        ];
        for outcome in wrong {
            let meeting = Meeting::of(pair, asking(pair, method, params.clone())).await;
            let last = call_and_answer(&meeting, method, &params, outcome.clone()).await;
            let told: Value = serde_json::from_str(text(&last)).unwrap();
            if pair.modern_server {
                assert_eq!(told, json!({ "action": "cancel" }), "{pair:?}");
            } else {
                let code = if outcome.get("error").is_some() {
                    -1
                } else {
                    -31000
                };
                assert_eq!(told["code"], code, "{pair:?}: {told}");
            }
        }
    }
    // The same from modern clients.
    for pair in pairs(|pair| pair.modern_client && !pair.modern_server) {
        let (method, params, result) = asks()[0].clone();
        let meeting = Meeting::of(pair, asking(pair, method, params)).await;
        let client = meeting.client.modern();
        let asked = client.ask("tools/call", act()).await["result"].clone();
        // An answer to something else: what was asked is asked again.
        let mut again = act();
        again["requestState"] = asked["requestState"].clone();
        again["inputResponses"] = json!({ "other": result });
        let asked_again = client.ask("tools/call", again.clone()).await["result"].clone();
        assert_eq!(
            asked_again["inputRequests"], asked["inputRequests"],
            "{pair:?}"
        );
        // Each state works once.
        let spent = client.ask("tools/call", again).await;
        assert_eq!(spent["error"]["code"], -32602, "{pair:?}: {spent}");
        let key = asked["inputRequests"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .clone();
        let mut third = act();
        third["requestState"] = asked_again["requestState"].clone();
        third["inputResponses"] = json!({ key: { "action": "perhaps" } });
        let last = client.ask("tools/call", third).await;
        let told: Value = serde_json::from_str(text(&last)).unwrap();
        assert_eq!(told["code"], -31000, "{pair:?}: {told}");
    }
}

#[tokio::test]
async fn an_address_to_visit() {
    let url = "https://example.com/visit";
    // A legacy server's error becomes a question, whose answer is the call made again.
    for over_stdio in [true, false] {
        let pair = Pair {
            modern_client: true,
            modern_server: false,
            over_stdio,
        };
        let visited = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let script = acting(pair, move |call| {
            if visited.swap(true, std::sync::atomic::Ordering::Relaxed) {
                call.result(said("visited"));
            } else {
                let elicitation = json!({
                    "mode": "url", "url": url, "message": "Go.", "elicitationId": "e1",
                });
                let data = json!({ "elicitations": [elicitation] });
                call.error(-32042, "visit first", data);
            }
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let client = meeting.client.modern();
        let asked = client.ask("tools/call", act()).await["result"].clone();
        assert_eq!(asked["resultType"], "input_required", "{pair:?}: {asked}");
        let (key, request) = asked["inputRequests"]
            .as_object()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        assert_eq!(request["method"], "elicitation/create");
        let expected = json!({ "mode": "url", "url": url, "message": "Go." });
        assert_eq!(request["params"], expected);
        let mut again = act();
        again["inputResponses"] = json!({ key: { "action": "accept" } });
        if let Some(state) = asked.get("requestState") {
            again["requestState"] = state.clone();
        }
        assert_eq!(text(&client.ask("tools/call", again).await), "visited");
        let calls = meeting.server.seen("tools/call");
        assert!(calls[1].message["params"].get("inputResponses").is_none());
        // A legacy client gets the error as it is.
        let fresh = Meeting::of(
            Pair {
                modern_client: false,
                ..pair
            },
            acting(pair, move |call| {
                call.error(-32042, "visit first", json!({ "elicitations": [] }));
                ready(())
            }),
        )
        .await;
        let refused = fresh.client.call("act", json!({})).await;
        assert_eq!(refused["error"]["code"], -32042, "{refused}");
    }
    // A modern server's question becomes a request with an id of its own.
    for pair in pairs(|pair| pair.modern_server && !pair.modern_client) {
        let params = json!({ "mode": "url", "url": url, "message": "Go." });
        let meeting = Meeting::of(pair, asking(pair, "elicitation/create", params)).await;
        let session = meeting.client.legacy();
        let mut stream = session.send(3, "tools/call", act()).await;
        let request = next_of(&mut stream, "elicitation/create").await;
        assert_eq!(request["params"]["url"], url);
        assert!(
            !request["params"]["elicitationId"]
                .as_str()
                .unwrap()
                .is_empty()
        );
        session
            .respond(&request, json!({ "result": { "action": "accept" } }))
            .await;
        let last = next(&mut stream).await;
        assert_eq!(text(&last), r#"{"action":"accept"}"#);
    }
}

#[tokio::test]
async fn a_round_of_state_alone() {
    for pair in pairs(|pair| pair.modern_server) {
        let script = acting(pair, |call| {
            match call.params()["requestState"].as_str() {
                Some("more") => call.result(said("done")),
                _ => call.result(json!({ "resultType": "input_required", "requestState": "more" })),
            }
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let first = meeting.client.ask("tools/call", act()).await;
        if pair.modern_client {
            let state = &first["result"]["requestState"];
            assert_ne!(state, "more", "the server's own state is sealed");
            let mut again = act();
            again["requestState"] = state.clone();
            assert_eq!(
                text(&meeting.client.ask("tools/call", again).await),
                "done",
                "{pair:?}"
            );
        } else {
            assert_eq!(text(&first), "done", "{pair:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_for_ever_is_given_up() {
    for pair in pairs(|pair| pair.modern_server && !pair.modern_client) {
        let script = acting(pair, |call| {
            call.result(json!({ "resultType": "input_required", "requestState": "more" }));
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let refused = meeting.client.ask("tools/call", act()).await;
        assert_eq!(refused["error"]["code"], -32603, "{pair:?}: {refused}");
        assert!(meeting.server.seen("tools/call").len() <= 11);
    }
}

#[tokio::test]
async fn results_have_the_fields_of_the_client_s_era() {
    for pair in pairs(|_| true) {
        let script = acting(pair, |call| {
            call.result(said("done"));
            ready(())
        })
        .result(
            "resources/read",
            json!({ "contents": [{ "uri": "a:b", "text": "t" }] }),
        )
        .result("prompts/get", json!({ "messages": [] }))
        .result(
            "completion/complete",
            json!({ "completion": { "values": [] } }),
        );
        let meeting = Meeting::of(pair, script).await;
        let reference = json!({ "type": "ref/prompt", "name": "p" });
        let argument = json!({ "name": "a", "value": "" });
        for (method, params, is_cacheable) in [
            ("tools/list", json!({}), true),
            ("prompts/list", json!({}), true),
            ("resources/list", json!({}), true),
            ("resources/templates/list", json!({}), true),
            ("resources/read", json!({ "uri": "a:b" }), true),
            ("tools/call", act(), false),
            ("prompts/get", json!({ "name": "p" }), false),
            (
                "completion/complete",
                json!({ "ref": reference, "argument": argument }),
                false,
            ),
        ] {
            let answer = meeting.client.ask(method, params).await;
            let result = answer["result"]
                .as_object()
                .unwrap_or_else(|| panic!("{answer}"));
            let has = |member: &str| result.contains_key(member);
            assert_eq!(
                has("resultType"),
                pair.modern_client,
                "{pair:?} {method}: {answer}"
            );
            for member in ["ttlMs", "cacheScope"] {
                let due = pair.modern_client && is_cacheable;
                assert_eq!(has(member), due, "{pair:?} {method}: {answer}");
            }
            if pair.modern_client && is_cacheable {
                let kept = pair.modern_server;
                let fields = (&result["ttlMs"], &result["cacheScope"]);
                // What one client is shown is not for all.
                let expected = (if kept { 1000 } else { 0 }, "private");
                assert_eq!(
                    fields,
                    (&json!(expected.0), &json!(expected.1)),
                    "{pair:?} {method}"
                );
            }
        }
        if let AnyClient::Modern(client) = &meeting.client {
            let hello = client.ask("server/discover", json!({})).await["result"].clone();
            assert_eq!(hello["resultType"], "complete");
            assert!(hello["capabilities"]["tools"].is_object());
            assert_eq!(
                hello["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
                "scripted"
            );
            assert!(
                hello["supportedVersions"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(MODERN))
            );
            assert!(
                hello["ttlMs"].is_u64() && hello["cacheScope"].is_string(),
                "{hello}"
            );
        } else if let AnyClient::Legacy(session) = &meeting.client {
            let hello = &session.initialized["result"];
            assert_eq!(hello["protocolVersion"], LEGACY);
            assert_eq!(hello["serverInfo"]["name"], "scripted");
            assert!(hello["capabilities"]["tools"].is_object());
            for member in ["resultType", "ttlMs", "cacheScope", "supportedVersions"] {
                assert!(hello.get(member).is_none(), "{pair:?}: {hello}");
            }
        }
    }
}

#[tokio::test]
async fn requests_have_the_fields_of_the_server_s_era() {
    for pair in pairs(|_| true) {
        let script = acting(pair, |call| {
            call.result(said("done"));
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let mut params = act();
        params["_meta"] = json!({ "traceparent": "00-1", "vendor.example/k": [1] });
        meeting.client.ask("tools/call", params).await;
        let call = meeting.server.sees_of("tools/call", 1).await.remove(0);
        let meta = &call.message["params"]["_meta"];
        assert_eq!(meta["vendor.example/k"], json!([1]), "{pair:?}");
        assert_eq!(meta["traceparent"], "00-1", "{pair:?}");
        let key = |name: &str| meta.get(format!("io.modelcontextprotocol/{name}")).cloned();
        if pair.modern_server {
            assert_eq!(key("protocolVersion"), Some(json!(MODERN)), "{pair:?}");
            assert_eq!(key("clientCapabilities"), Some(everything()), "{pair:?}");
            let name = if pair.modern_client {
                "modern-client"
            } else {
                "legacy-client"
            };
            assert_eq!(key("clientInfo").unwrap()["name"], name);
        } else {
            for name in [
                "protocolVersion",
                "clientCapabilities",
                "clientInfo",
                "logLevel",
            ] {
                assert_eq!(key(name), None, "{pair:?}: {meta}");
            }
            let hello = meeting
                .server
                .sees_of("initialize", 1)
                .await
                .remove(0)
                .message;
            assert_eq!(hello["params"]["capabilities"], everything(), "{pair:?}");
        }
        if !pair.over_stdio {
            let header = |name: &str| {
                call.headers
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let version = if pair.modern_server { MODERN } else { LEGACY };
            assert_eq!(
                header("mcp-protocol-version").as_deref(),
                Some(version),
                "{pair:?}"
            );
            let mirrored = pair.modern_server.then_some("tools/call");
            assert_eq!(header("mcp-method").as_deref(), mirrored, "{pair:?}");
            assert_eq!(
                header("mcp-name").as_deref(),
                pair.modern_server.then_some("act")
            );
            assert_eq!(
                header("mcp-session-id").is_some(),
                !pair.modern_server,
                "{pair:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_missing_resource_has_the_code_of_the_client_s_era() {
    for pair in pairs(|_| true) {
        let script = Script::of(pair.modern_server).on("resources/read", move |call| {
            let code = if pair.modern_server { -32602 } else { -32002 };
            call.error(
                code,
                "Resource not found",
                json!({ "uri": call.params()["uri"] }),
            );
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let answer = meeting
            .client
            .ask("resources/read", json!({ "uri": "no:where" }))
            .await;
        let code = if pair.modern_client { -32602 } else { -32002 };
        assert_eq!(answer["error"]["code"], code, "{pair:?}: {answer}");
        assert_eq!(answer["error"]["data"]["uri"], "no:where", "{pair:?}");
    }
}

#[tokio::test]
async fn structured_content_that_is_no_object() {
    let array = json!({ "type": "array", "items": { "type": "integer" } });
    for pair in pairs(|pair| pair.modern_server) {
        let tool = json!({
            "name": "act", "inputSchema": { "type": "object" }, "outputSchema": array,
        });
        let script = Script::of(true)
            .result("tools/list", json!({ "tools": [tool] }))
            .on("tools/call", |call: Call| {
                let mut result = said("[1,2]");
                result["structuredContent"] = json!([1, 2]);
                call.result(result);
                ready(())
            });
        let meeting = Meeting::of(pair, script).await;
        let listed = meeting.client.ask("tools/list", json!({})).await;
        assert_eq!(names(&listed, "tools", "name"), ["act"]);
        let schema = listed["result"]["tools"][0].get("outputSchema");
        assert_eq!(schema, pair.modern_client.then_some(&array), "{pair:?}");
        let called = meeting.client.call("act", json!({})).await;
        assert_eq!(text(&called), "[1,2]");
        let content = called["result"].get("structuredContent");
        assert_eq!(
            content,
            pair.modern_client.then_some(&json!([1, 2])),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn a_server_s_ping_is_answered_by_the_gateway() {
    for pair in pairs(|pair| !pair.modern_server) {
        let script = acting(pair, |call| async move {
            let answer = call.ask("ping", json!({})).await;
            call.result(said(answer["result"].to_string()));
        });
        let meeting = Meeting::by(pair, script, json!({}), "").await;
        let all = messages(meeting.begin(1).await).await;
        assert_eq!((all.len(), text(&all[0])), (1, "{}"), "{pair:?}");
    }
    let script = Script::of(true);
    let meeting = Meeting::of(pairs(|pair| !pair.modern_client)[0], script).await;
    assert_eq!(
        meeting.client.ask("ping", json!({})).await["result"],
        json!({})
    );
    assert!(meeting.server.seen("ping").is_empty());
}

#[tokio::test]
async fn errors_of_one_era_are_not_shown_to_the_other() {
    for pair in pairs(|pair| pair.modern_server && !pair.modern_client) {
        for (code, expected) in [
            (-32020, -32603),
            (-32021, -32602),
            (-32022, -32603),
            (-5, -5),
        ] {
            let script = acting(pair, move |call| {
                let data = json!({ "requiredCapabilities": { "sampling": {} } });
                call.error(code, "no", data);
                ready(())
            });
            let meeting = Meeting::of(pair, script).await;
            let answer = meeting.begin(1).await;
            assert_eq!(answer.status.as_u16(), 200);
            let answer = answer.message().await.unwrap();
            assert_eq!(answer["error"]["code"], expected, "{pair:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn two_clients_with_equal_ids_and_tokens_stay_apart() {
    for pair in pairs(|pair| pair.over_stdio) {
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let script = acting(pair, move |call| {
            let both = Arc::clone(&both);
            async move {
                both.wait().await;
                let token = call.params()["_meta"]["progressToken"].clone();
                let who = call.params()["arguments"]["who"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                let params = json!({ "progressToken": token, "progress": 1, "message": who });
                call.notify("notifications/progress", params);
                both.wait().await;
                call.result(said(who));
            }
        });
        let meeting = Meeting::of(pair, script).await;
        let url = meeting.gateway.one("it");
        let other = AnyClient::at(&url, pair.modern_client, everything()).await;
        let call = async |client: &AnyClient, who: &str| {
            let params = json!({
                "name": "act", "arguments": { "who": who }, "_meta": { "progressToken": 1 },
            });
            messages(client.send(1, "tools/call", params).await).await
        };
        let (left, right) = tokio::join!(call(&meeting.client, "left"), call(&other, "right"));
        for (all, who) in [(left, "left"), (right, "right")] {
            assert_eq!(all.len(), 2, "{pair:?}: {all:?}");
            assert_eq!(all[0]["params"]["message"], who, "{pair:?}");
            assert_eq!(text(&all[1]), who, "{pair:?}");
        }
    }
}

#[tokio::test]
async fn what_a_modern_server_may_not_do_is_not_passed_on() {
    // A request of its own, on the stream of a call.
    for pair in pairs(|pair| pair.modern_server) {
        let script = acting(pair, |call| async move {
            let asks = async {
                call.ask("roots/list", json!({})).await;
                pending::<()>().await;
            };
            let answers = async {
                tokio::task::yield_now().await;
                call.result(said("done"));
            };
            tokio::select! {
                biased;
                () = asks => {}
                () = answers => {}
            }
        });
        let meeting = Meeting::of(pair, script).await;
        let all = messages(meeting.begin(1).await).await;
        assert!(
            all.iter().all(|message| message["method"] != "roots/list"),
            "{pair:?}: {all:?}"
        );
        assert_eq!(all.len(), 1);
    }
}

#[tokio::test]
async fn older_versions_are_kept_to() {
    for version in ["2025-06-18", "2025-03-26"] {
        let pair = Pair {
            modern_client: false,
            modern_server: true,
            over_stdio: false,
        };
        let meeting = Meeting::of(pair, Script::of(true).tools(&["act"])).await;
        let url = meeting.gateway.one("it");
        let session = Session::open_as(&url, version, json!({})).await;
        assert_eq!(session.initialized["result"]["protocolVersion"], version);
        let listed = session.ask("tools/list", json!({})).await;
        assert_eq!(names(&listed, "tools", "name"), ["act"]);
    }
    let meeting = Meeting::of(pairs(|_| true)[0], Script::of(true)).await;
    let unknown = Session::open_as(&meeting.gateway.one("it"), "1999-01-01", json!({})).await;
    assert_eq!(unknown.initialized["result"]["protocolVersion"], LEGACY);
    let client = Modern::at(&meeting.gateway.one("it"));
    let removed = client
        .ask("logging/setLevel", json!({ "level": "info" }))
        .await;
    assert_eq!(removed["error"]["code"], -32601);
}
