//! The demo, whole: it drives every control through the gateway, and each attack against a bare server first.

use std::time::Duration;

use portcullis_testkit::Launch;

#[tokio::test]
async fn every_attack_works_against_the_bare_server_and_is_stopped() {
    let home = tempfile::tempdir().unwrap();
    let mut demo = Launch::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["demo", "--once", "--json"])
        .env("HOME", home.path())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .start_silent()
        .unwrap();
    let status = demo.wait(Duration::from_mins(3)).await.unwrap();
    let output = demo.output();
    // The exit code is 0 only if each attack did its harm at the bare server, and none through the gateway.
    assert!(status.success(), "{output:?}");
}
