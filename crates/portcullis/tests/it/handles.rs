//! Cursors, states and task ids that the gateway hands out work only for the principal and the
//! request that they were handed out for.

use portcullis_testkit::{Harness, raw::Answer};
use serde_json::{Value, json};

use crate::support::{ALICE, BOB, Gateway, Peer, Scripted, Setup, conformance, declaring};

async fn gateway(server: &Harness, era: &str) -> Gateway {
    let setup = Setup::new().clients().url("one", server.url(), era);
    setup.start().await
}

/// Everything of a refusal but what differs from request to request.
async fn refusal(answer: Answer) -> Value {
    let status = answer.status.as_u16();
    let message = answer.message().await.unwrap();
    let error = &message["error"];
    assert!(error.is_object(), "no refusal: {message}");
    json!([status, error["code"], error["message"]])
}

/// Every handle that differs from `handle` by one character, and a few others.
fn tampered(handle: &str) -> Vec<String> {
    let mut all: Vec<String> = (0..handle.len())
        .step_by(7)
        .chain([handle.len() - 1])
        .map(|at| {
            let mut bytes = handle.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    all.extend([
        String::new(),
        "page-two".to_owned(),
        format!("{handle}A"),
        handle.get(1..).unwrap().to_owned(),
        handle.get(..handle.len() / 2).unwrap().to_owned(),
        "../../etc/passwd".to_owned(),
    ]);
    all
}

async fn listed(peer: &Peer, method: &str, cursor: Option<&str>) -> Answer {
    let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
    peer.request(1, method, params).await
}

#[tokio::test]
async fn a_cursor_is_good_for_its_principal_and_its_list() {
    for era in ["modern", "legacy"] {
        let server = Scripted::start().await;
        let setup = Setup::new().clients().url("one", &server.url(), era);
        let gateway = setup.url("two", &server.url(), era).start().await;
        let alice = gateway.of(ALICE);
        let page = listed(&alice, "tools/list", None)
            .await
            .message()
            .await
            .unwrap();
        assert_eq!(page["result"]["tools"][0]["name"], "echo");
        let cursor = page["result"]["nextCursor"].as_str().unwrap().to_owned();
        assert!(!cursor.contains("page-two"));

        let expected = refusal(listed(&alice, "tools/list", Some("unknown")).await).await;
        assert_eq!(expected[1], -32602);
        for bad in tampered(&cursor) {
            let refused = refusal(listed(&alice, "tools/list", Some(&bad)).await).await;
            assert_eq!(refused, expected, "{bad}");
        }
        let others = [
            listed(&gateway.of(BOB), "tools/list", Some(&cursor)).await,
            listed(&alice, "prompts/list", Some(&cursor)).await,
            listed(
                &gateway.peer("/servers/two/mcp").with(ALICE),
                "tools/list",
                Some(&cursor),
            )
            .await,
            listed(
                &gateway.peer("/mcp").with(ALICE),
                "tools/list",
                Some(&cursor),
            )
            .await,
        ];
        for other in others {
            assert_eq!(refusal(other).await, expected);
        }
        let page = listed(&alice, "tools/list", Some(&cursor)).await;
        let page = page.message().await.unwrap();
        assert_eq!(page["result"]["tools"][0]["name"], "work");
    }
}

/// A request whose `requestState` is `state`.
fn round(tool: &str, arguments: &Value, state: Option<&str>, responses: &Value) -> Value {
    let mut params = json!({
        "name": tool,
        "arguments": arguments,
        "_meta": declaring(&json!({ "elicitation": {} })),
    });
    if let Some(state) = state {
        params["requestState"] = json!(state);
        params["inputResponses"] = responses.clone();
    }
    params
}

/// Begins a call that asks, and shows the state to everybody who must not use it; then goes on.
/// Returns the final message, and what became of the state when it was used once more.
async fn misused(
    gateway: &Gateway,
    tool: &str,
    other: &str,
    content: &Value,
) -> (Value, Result<Value, Value>) {
    let (alice, bob) = (gateway.of(ALICE), gateway.of(BOB));
    let none = json!({});
    let first = alice
        .request(1, "tools/call", round(tool, &none, None, &none))
        .await;
    let first = first.message().await.unwrap();
    let result = &first["result"];
    assert_eq!(result["resultType"], "input_required", "{first}");
    let state = result["requestState"].as_str().unwrap().to_owned();
    let asked = result["inputRequests"].as_object().unwrap();
    let responses: Value = asked
        .keys()
        .map(|key| {
            (
                key.clone(),
                json!({ "action": "accept", "content": content }),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into();

    let unknown = round(tool, &none, Some("unknown"), &responses);
    let expected = refusal(alice.request(2, "tools/call", unknown).await).await;
    assert_eq!(expected[1], -32602);
    for bad in tampered(&state) {
        let params = round(tool, &none, Some(&bad), &responses);
        let refused = refusal(alice.request(3, "tools/call", params).await).await;
        assert_eq!(refused, expected, "{bad}");
    }
    let right = round(tool, &none, Some(&state), &responses);
    let refused = refusal(bob.request(4, "tools/call", right.clone()).await).await;
    assert_eq!(refused, expected);

    let done = alice.request(5, "tools/call", right.clone()).await;
    let done = done.message().await.unwrap();
    // What was handed out for one request is good for no other.
    let state = alice
        .request(6, "tools/call", round(tool, &none, None, &none))
        .await;
    let state = state.message().await.unwrap()["result"]["requestState"].clone();
    let state = state.as_str().unwrap();
    for (tool, arguments) in [(other, json!({})), (tool, json!({ "x": 1 }))] {
        let params = round(tool, &arguments, Some(state), &responses);
        let answer = alice.request(7, "tools/call", params).await;
        assert_eq!(refusal(answer).await, expected);
    }
    let again = alice
        .request(8, "tools/call", right)
        .await
        .message()
        .await
        .unwrap();
    let again = match again.get("error") {
        Some(_) => Err(json!([
            200,
            again["error"]["code"],
            again["error"]["message"]
        ])),
        None => Ok(again),
    };
    assert!(again.as_ref().is_ok() || again.as_ref() == Err(&expected));
    (done, again)
}

#[tokio::test]
async fn a_state_of_a_modern_server_is_sealed() {
    let server = conformance("modern").await;
    let gateway = gateway(&server, "modern").await;
    let tool = "test_input_required_result_request_state";
    let other = "test_input_required_result_tampered_state";
    let (done, _) = misused(&gateway, tool, other, &json!({ "ok": true })).await;
    let text = done["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("state-ok"), "{done}");
}

#[tokio::test]
async fn a_state_of_a_parked_call_works_once() {
    let server = conformance("legacy").await;
    let gateway = gateway(&server, "legacy").await;
    let tool = "test_input_required_result_elicitation";
    let other = "test_streaming_elicitation";
    let (done, again) = misused(&gateway, tool, other, &json!({ "name": "Al" })).await;
    assert!(done.to_string().contains("Al"), "{done}");
    again.expect_err("a state that was used");
}

#[tokio::test]
async fn a_task_is_its_principals_alone() {
    let server = conformance("modern").await;
    let gateway = gateway(&server, "modern").await;
    let extension = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let meta = declaring(&extension);
    let of = |id: &str| json!({ "taskId": id, "_meta": meta });
    let call = json!({ "name": "slow_compute", "arguments": { "seconds": 600 }, "_meta": meta });
    let (alice, bob) = (gateway.of(ALICE), gateway.of(BOB));
    let begun = alice.request(1, "tools/call", call).await;
    let begun = begun.message().await.unwrap();
    assert_eq!(begun["result"]["resultType"], "task", "{begun}");
    let task = begun["result"]["taskId"].as_str().unwrap();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let mut unknown = of("0123456789");
        let mut stolen = of(task);
        if method == "tasks/update" {
            unknown["inputResponses"] = json!({});
            stolen["inputResponses"] = json!({});
        }
        let expected = refusal(bob.request(2, method, unknown).await).await;
        assert_eq!(
            refusal(bob.request(3, method, stolen).await).await,
            expected
        );
    }
    let answer = alice.request(4, "tasks/get", of(task)).await;
    let message = answer.message().await.unwrap();
    assert_eq!(message["result"]["status"], "working", "{message}");
    let answer = alice.request(5, "tasks/cancel", of(task)).await;
    assert!(answer.message().await.unwrap()["result"].is_object());
}

#[tokio::test]
async fn a_client_without_the_tasks_extension_learns_nothing_of_tasks() {
    let server = conformance("modern").await;
    let gateway = gateway(&server, "modern").await;
    let meta = declaring(&json!({}));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let mut params = json!({ "taskId": "0123456789", "_meta": meta });
        if method == "tasks/update" {
            params["inputResponses"] = json!({});
        }
        let answer = gateway.of(ALICE).request(1, method, params).await;
        let message = answer.message().await.unwrap();
        assert_eq!(message["error"]["code"], -32021, "{method}: {message}");
    }
}
