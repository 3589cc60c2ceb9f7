//! Somebody who has come by the id of another's task reads its result, or cancels it.

use serde_json::{Value, json};

use crate::support::{ALICE, BOB, Peer, Setup, conformance, declaring};

fn meta() -> Value {
    declaring(&json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }))
}

async fn begin(peer: &Peer) -> Value {
    let call = json!({ "name": "slow_compute", "arguments": { "seconds": 600 }, "_meta": meta() });
    let message = peer
        .request(1, "tools/call", call)
        .await
        .message()
        .await
        .unwrap();
    let task = message["result"]["taskId"].clone();
    assert!(task.is_string(), "{message}");
    task
}

async fn ask(peer: &Peer, method: &str, task: &Value) -> Value {
    let params = json!({ "taskId": task, "_meta": meta() });
    peer.request(2, method, params)
        .await
        .message()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_task_obeys_nobody_else() {
    let server = conformance("modern").await;
    let (victim, thief) = (
        Peer::bare(server.url()).with(ALICE),
        Peer::bare(server.url()).with(BOB),
    );
    let task = begin(&victim).await;
    assert_eq!(
        ask(&thief, "tasks/get", &task).await["result"]["status"],
        "working"
    );
    assert!(ask(&thief, "tasks/cancel", &task).await["result"].is_object());
    assert_eq!(
        ask(&victim, "tasks/get", &task).await["result"]["status"],
        "cancelled"
    );

    let setup = Setup::new().clients().url("one", server.url(), "modern");
    let gateway = setup.start().await;
    let (victim, thief) = (gateway.of(ALICE), gateway.of(BOB));
    let task = begin(&victim).await;
    for method in ["tasks/get", "tasks/cancel"] {
        let message = ask(&thief, method, &task).await;
        assert_eq!(message["error"]["code"], -32602, "{message}");
    }
    assert_eq!(
        ask(&victim, "tasks/get", &task).await["result"]["status"],
        "working"
    );
}
