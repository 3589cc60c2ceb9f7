//! What servers ask of clients, and what comes back.

use std::future::ready;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Meeting, Pair, act, acting, everything, pairs, said};
use crate::gateway::{AnyClient, messages, next, next_of, text};
use crate::scripted::Script;

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
