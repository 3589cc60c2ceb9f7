//! Somebody takes up another's broken stream by the id of its last event, and reads the answer.

use portcullis_testkit::raw::Answer;
use serde_json::json;

use crate::support::{ALICE, BOB, Peer, Session, Setup, conformance, legacy};

/// Begins a call that takes a while, breaks its stream, and returns the last event's id.
async fn broken(session: &Session) -> String {
    let call = json!({ "name": "slow_compute", "arguments": { "seconds": 2, "label": "secret" } });
    let mut stream = session.post(&legacy(5, "tools/call", &call)).await;
    let event = stream.event().await.unwrap().unwrap();
    event.id.expect("an event that can be resumed from")
}

async fn read(answer: Answer) -> String {
    let bytes = answer.bytes().await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_stream_is_taken_up_by_nobody_else() {
    let server = conformance("legacy").await;
    let victim = Peer::bare(server.url()).with(ALICE).open().await;
    let last = broken(&victim).await;
    let thief = victim.stolen_by(&Peer::bare(server.url()).with(BOB));
    let message = thief.get(Some(&last)).await.message().await.unwrap();
    assert!(message.to_string().contains("secret"), "{message}");

    let setup = Setup::new().clients().url("one", server.url(), "legacy");
    let gateway = setup.start().await;
    let victim = gateway.of(ALICE).open().await;
    let last = broken(&victim).await;
    let thief = victim.stolen_by(&gateway.of(BOB));
    let answer = thief.get(Some(&last)).await;
    assert_eq!(answer.status, 404);
    assert!(!read(answer).await.contains("secret"));
    // Nor from a session of his own.
    let own = gateway.of(BOB).open().await;
    let answer = own.get(Some(&last)).await;
    assert_eq!(answer.status, 404);
    let message = victim.get(Some(&last)).await.message().await.unwrap();
    assert!(message.to_string().contains("secret"), "{message}");
}
