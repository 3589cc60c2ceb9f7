//! Somebody who has come by another's session id uses the session, or ends it.

use serde_json::json;

use crate::support::{ALICE, BOB, Peer, Setup, conformance, legacy};

#[tokio::test]
async fn a_session_id_opens_nothing_for_another() {
    let server = conformance("legacy").await;
    let call = legacy(
        4,
        "tools/call",
        &json!({ "name": "test_simple_text", "arguments": {} }),
    );
    let victim = Peer::bare(server.url()).with(ALICE).open().await;
    let thief = victim.stolen_by(&Peer::bare(server.url()).with(BOB));
    assert_eq!(thief.post(&call).await.status, 200);
    assert!(thief.delete().await.status.is_success());
    assert_eq!(victim.post(&call).await.status, 404, "the thief ended it");

    let setup = Setup::new().clients().url("one", server.url(), "legacy");
    let gateway = setup.start().await;
    let victim = gateway.of(ALICE).open().await;
    let thief = victim.stolen_by(&gateway.of(BOB));
    assert_eq!(thief.post(&call).await.status, 404);
    assert_eq!(thief.get(None).await.status, 404);
    assert_eq!(thief.delete().await.status, 404);
    assert_eq!(victim.post(&call).await.status, 200);
}
