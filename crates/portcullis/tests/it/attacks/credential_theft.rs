//! A server reads the credential that a client showed, and uses it elsewhere in the client's name.

use portcullis_testkit::Recorder;

use crate::support::{ALICE, Peer, Setup, text};

#[tokio::test]
async fn a_server_is_shown_no_credential() {
    let recorder = Recorder::start().await.unwrap();
    let cookie = [("cookie", "session=canary")];
    Peer::bare(&recorder.url()).with(ALICE).echo(&cookie).await;
    let taken = recorder.seen_of("tools/call").remove(0);
    assert_eq!(taken.header("authorization"), [format!("Bearer {ALICE}")]);
    assert_eq!(taken.header("cookie"), ["session=canary"]);

    let setup = Setup::new().clients().url("one", &recorder.url(), "modern");
    let gateway = setup.start().await;
    assert_eq!(text(gateway.of(ALICE).echo(&cookie).await).await, "hello");
    for request in recorder.seen().iter().skip(1) {
        assert!(request.header("authorization").is_empty());
        assert!(request.header("cookie").is_empty());
        assert!(!format!("{request:?}").contains("canary"));
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 2);
}
