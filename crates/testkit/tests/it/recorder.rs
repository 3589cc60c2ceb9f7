use portcullis_testkit::{
    Recorder,
    raw::{Client, exchange},
};
use serde_json::json;

use crate::BOUND;

#[tokio::test]
async fn keeps_every_header_and_answers() {
    let recorder = Recorder::start().await.unwrap();
    let client = Client::new(&recorder.url(), BOUND).unwrap();
    let params = json!({ "name": "echo", "arguments": { "text": "hi" } });
    let headers = [("x-two", "a"), ("x-two", "b")];
    let answer = client
        .request(&headers, 7, "tools/call", params)
        .await
        .unwrap();

    assert_eq!(answer.status, 200);
    let message = answer.message().await.unwrap();
    assert_eq!(message["id"], 7);
    assert_eq!(message["result"]["content"][0]["text"], "hi");
    assert_eq!(message["result"]["resultType"], "complete");

    let seen = recorder.seen_of("tools/call");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target, "/mcp");
    assert_eq!(seen[0].header("x-two"), ["a", "b"]);
    assert_eq!(seen[0].header("mcp-name"), ["echo"]);
    assert_eq!(seen[0].message()["params"]["name"], "echo");
}

#[tokio::test]
async fn takes_bytes_that_are_no_http() {
    let recorder = Recorder::start().await.unwrap();
    let answer = exchange(recorder.address(), b"EHLO there\r\n\r\n", BOUND)
        .await
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!(recorder.seen().is_empty());
}
