//! How a client hears that a person has to connect to a server first.

use serde_json::json;

use crate::{
    support::{ALICE, Gateway, Guarded, Setup, declaring, echo, legacy, text},
    upstream_auth::{connect, error, with_auth},
};

/// The address of our page, as far as it is known beforehand.
const PAGE: &str = "/oauth/upstream/one/connect";

/// A gateway whose server `one` has one connection for all.
async fn gateway(guarded: &Guarded) -> Gateway {
    let auth = "kind = \"oauth\"\nconnection = \"shared\"\naccounts = [\"ada\"]";
    let settings = with_auth(&guarded.url(), auth);
    let setup = Setup::new().clients().with("[oauth.server]\n");
    setup.server("one", &settings).start().await
}

fn call_by(capabilities: &serde_json::Value) -> serde_json::Value {
    let mut params = echo("hello");
    params["_meta"] = declaring(capabilities);
    params
}

#[tokio::test]
async fn a_modern_client_that_can_is_asked_to_open_the_link() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let alice = gateway.of(ALICE);
    let params = call_by(&json!({ "elicitation": { "form": {}, "url": {} } }));
    let answer = alice.request(1, "tools/call", params.clone()).await;
    assert_eq!(answer.status, 200);
    let answer = answer.message().await.unwrap();
    let result = &answer["result"];
    assert_eq!(result["resultType"], "input_required", "{answer}");
    let asked = &result["inputRequests"]["portcullis-connect"];
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(asked["params"]["mode"], "url");
    assert!(
        asked["params"]["url"].as_str().unwrap().ends_with(PAGE),
        "{answer}"
    );
    assert!(asked["params"].get("elicitationId").is_none());

    // Whether it says that it did or not: what counts is that it did.
    let mut again = params.clone();
    again["inputResponses"] = json!({ "portcullis-connect": { "action": "accept" } });
    let answer = alice.request(2, "tools/call", again.clone()).await;
    let answer = answer.message().await.unwrap();
    assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    connect(&gateway, "token:alice").await;
    assert_eq!(
        text(alice.request(3, "tools/call", again).await).await,
        "hello"
    );
    assert_eq!(
        text(alice.request(4, "tools/call", params).await).await,
        "hello"
    );
    for seen in guarded.seen() {
        assert!(!String::from_utf8_lossy(&seen.body).contains("portcullis-connect"));
    }
}

#[tokio::test]
async fn a_client_that_cannot_is_told_the_link() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let alice = gateway.of(ALICE);
    let unable = [
        json!({}),
        json!({ "elicitation": {} }),
        json!({ "elicitation": { "form": {} } }),
    ];
    for (id, capabilities) in unable.iter().enumerate() {
        let id = id.try_into().unwrap();
        let answer = alice.request(id, "tools/call", call_by(capabilities)).await;
        let answer = answer.message().await.unwrap();
        let (code, sentence) = error(&answer);
        assert_eq!(code, "connect-required");
        assert!(sentence.ends_with(PAGE), "{sentence}");
    }
    // No method but these can be answered by a question.
    let able = json!({ "_meta": declaring(&json!({ "elicitation": { "url": {} } })) });
    let answer = alice.request(9, "tools/list", able).await;
    let answer = answer.message().await.unwrap();
    assert_eq!(error(&answer).0, "connect-required");
}

#[tokio::test]
async fn a_legacy_client_that_can_is_given_the_link_to_open() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let all = gateway.peer("/mcp").with(ALICE);
    let call = json!({ "name": "one__echo", "arguments": { "text": "hello" } });
    let capabilities = json!({ "elicitation": { "url": {} } });
    let session = all.open_with("2025-11-25", &capabilities).await;
    let answer = session.post(&legacy(1, "tools/call", &call)).await;
    let answer = answer.message().await.unwrap();
    assert_eq!(answer["error"]["code"], -32042, "{answer}");
    let asked = &answer["error"]["data"]["elicitations"][0];
    assert_eq!(asked["mode"], "url");
    assert!(asked["url"].as_str().unwrap().ends_with(PAGE));
    assert!(!asked["elicitationId"].as_str().unwrap().is_empty());
    assert!(asked["message"].as_str().unwrap().contains("`one`"));

    let older = all.open_with("2025-06-18", &capabilities).await;
    let answer = older.post(&legacy(1, "tools/call", &call)).await;
    assert_eq!(
        error(&answer.message().await.unwrap()).0,
        "connect-required"
    );

    connect(&gateway, "token:alice").await;
    let answer = session.post(&legacy(2, "tools/call", &call)).await;
    assert_eq!(text(answer).await, "hello");
}

#[tokio::test]
async fn a_merged_list_goes_out_without_the_server_and_says_so() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let all = gateway.peer("/mcp").with(ALICE);
    let answer = all.request(1, "tools/list", json!({})).await;
    let answer = answer.message().await.unwrap();
    assert_eq!(answer["result"]["tools"], json!([]), "{answer}");
    let missing = &answer["result"]["_meta"]["portcullis/missing"][0];
    assert_eq!(missing["server"], "one");
    assert!(
        missing["reason"].as_str().unwrap().ends_with(PAGE),
        "{answer}"
    );
    connect(&gateway, "token:alice").await;
    let answer = all.request(2, "tools/list", json!({})).await;
    let answer = answer.message().await.unwrap();
    assert_eq!(
        answer["result"]["tools"][0]["name"], "one__echo",
        "{answer}"
    );
}
