//! The gateway as the client of a server's authorization server: it obtains a credential, shows it to that server alone, and
//! renews it.

use std::{path::Path, sync::Arc};

use portcullis_oauth::{secrets::Secrets, vault::Vault};
use portcullis_store::Store;
use portcullis_testkit::Recorder;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::support::{ALICE, BOB, BOUND, CANARY, CLIENT_SECRET, Gateway, Guarded, Setup, text};

/// The settings of a server with this credential.
pub(crate) fn with_auth(url: &str, auth: &str) -> String {
    format!("url = \"{url}\"\nera = \"modern\"\n[servers.one.auth]\n{auth}")
}

/// A gateway whose server `one` wants OAuth by each user.
async fn gateway(guarded: &Guarded) -> Gateway {
    let settings = with_auth(&guarded.url(), "kind = \"oauth\"");
    let setup = Setup::new().clients();
    setup.server("one", &settings).start().await
}

/// Connects a principal, as a person at a browser would.
pub(crate) async fn connect(gateway: &Gateway, holder: &str) {
    let url = gateway.harness.url();
    let arguments = [
        "one",
        "--for",
        holder,
        "--url",
        url,
        "--dangerously-headless",
    ];
    let mut command = gateway
        .command("connect", &arguments)
        .start_silent()
        .unwrap();
    let status = command.wait(BOUND).await.unwrap();
    assert!(status.success(), "{}", command.output());
}

/// The stable code and the sentence of an error.
pub(crate) fn error(message: &Value) -> (&str, &str) {
    let code = message["error"]["data"]["code"].as_str();
    let sentence = message["error"]["message"].as_str();
    let both = code.zip(sentence);
    both.unwrap_or_else(|| panic!("no error of the gateway's own: {message}"))
}

#[tokio::test]
async fn each_user_connects_for_themselves_and_the_server_sees_their_token_alone() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let alice = gateway.of(ALICE);
    for _ in 0..5 {
        let answer = alice.echo(&[]).await.message().await.unwrap();
        let (code, sentence) = error(&answer);
        assert_eq!(code, "connect-required");
        assert!(
            sentence.contains("portcullis connect one --for token:alice"),
            "{sentence}"
        );
    }
    connect(&gateway, "token:bob").await;
    // What alice lacks does not keep bob waiting.
    assert_eq!(text(gateway.of(BOB).echo(&[]).await).await, "hello");
    let answer = alice.echo(&[]).await.message().await.unwrap();
    assert_eq!(error(&answer).0, "connect-required");
    connect(&gateway, "token:alice").await;
    assert_eq!(text(alice.echo(&[]).await).await, "hello");

    let mut tokens = Vec::new();
    for seen in guarded.seen() {
        for (name, value) in &seen.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(
                !value.contains(ALICE) && !value.contains(BOB),
                "{name}: {value}"
            );
        }
        let shown = seen.header("authorization");
        assert!(shown.len() <= 1);
        tokens.extend(shown.into_iter().filter(|_| seen.rpc() == "tools/call"));
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    let begin = format!("Bearer {CANARY}-access-");
    assert!(tokens.iter().all(|shown| shown.starts_with(&begin)));
    // No access token reaches the authorization server.
    assert!(
        guarded
            .seen_there()
            .iter()
            .all(|seen| seen.header("authorization").is_empty())
    );
}

#[tokio::test]
async fn a_token_goes_to_no_other_server() {
    let guarded = Guarded::start().await;
    let other = Recorder::start().await.unwrap();
    let settings = with_auth(&guarded.url(), "kind = \"oauth\"");
    let setup = Setup::new().clients().server("one", &settings);
    let gateway = setup.url("two", &other.url(), "modern").start().await;
    connect(&gateway, "token:alice").await;
    assert_eq!(text(gateway.of(ALICE).echo(&[]).await).await, "hello");
    let two = gateway.peer("/servers/two/mcp").with(ALICE);
    assert_eq!(text(two.echo(&[]).await).await, "hello");
    let all = gateway.peer("/mcp").with(ALICE);
    all.request(1, "tools/list", json!({}))
        .await
        .message()
        .await
        .unwrap();
    for seen in other.seen() {
        assert_eq!(seen.header("authorization").len(), 0);
        assert!(!format!("{:?}", seen.headers).contains(CANARY));
    }
}

#[tokio::test]
async fn an_expired_token_is_refreshed_before_it_is_sent() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    guarded.expire_in(0);
    connect(&gateway, "token:alice").await;
    guarded.expire_in(3600);
    let alice = gateway.of(ALICE);
    assert_eq!(text(alice.echo(&[]).await).await, "hello");
    assert_eq!(text(alice.echo(&[]).await).await, "hello");
    assert_eq!(guarded.grants("refresh_token").len(), 1);
}

#[tokio::test]
async fn a_token_that_the_server_forgot_is_renewed_within_the_request() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    connect(&gateway, "token:alice").await;
    let alice = gateway.of(ALICE);
    assert_eq!(text(alice.echo(&[]).await).await, "hello");
    guarded.forget_tokens();
    assert_eq!(text(alice.echo(&[]).await).await, "hello");
    assert_eq!(guarded.grants("refresh_token").len(), 1);
}

#[tokio::test]
async fn more_scopes_are_asked_for_when_the_server_wants_them() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    guarded.guard_work("write");
    connect(&gateway, "token:alice").await;
    let alice = gateway.of(ALICE);
    assert_eq!(text(alice.echo(&[]).await).await, "hello");
    let work = json!({ "name": "work", "arguments": {} });
    let answer = alice.request(1, "tools/call", work.clone()).await;
    let answer = answer.message().await.unwrap();
    assert_eq!(error(&answer).0, "connect-required");
    // The rest goes on with what was granted.
    assert_eq!(text(alice.echo(&[]).await).await, "hello");
    connect(&gateway, "token:alice").await;
    let answer = alice.request(2, "tools/call", work).await;
    let answer = answer.message().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["sum"], 3, "{answer}");
    let asked: Vec<_> = guarded
        .seen_there()
        .into_iter()
        .filter(|seen| seen.path == "/authorize")
        .map(|seen| seen.query)
        .collect();
    assert!(
        asked[0].contains("scope=read&") || asked[0].ends_with("scope=read"),
        "{asked:?}"
    );
    assert!(asked[1].contains("scope=read+write"), "{asked:?}");
}

#[tokio::test]
async fn client_credentials_need_no_person() {
    let guarded = Guarded::start().await;
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("secret");
    std::fs::write(&file, CLIENT_SECRET).unwrap();
    let auth = format!(
        "kind = \"client-credentials\"\nclient = {{ id = \"gateway\", secret = \"${{file:{}}}\" }}",
        file.display()
    );
    let settings = with_auth(&guarded.url(), &auth);
    let setup = Setup::new().clients().server("one", &settings);
    let gateway = setup.start().await;
    assert_eq!(text(gateway.of(ALICE).echo(&[]).await).await, "hello");
    assert_eq!(text(gateway.of(BOB).echo(&[]).await).await, "hello");
    assert_eq!(guarded.grants("client_credentials").len(), 1);
    check_canaries(&gateway);
}

#[tokio::test]
async fn a_sealed_secret_is_sent_in_the_header_that_the_operator_named() {
    let server = Recorder::start().await.unwrap();
    let auth =
        "kind = \"secret\"\nsecret = \"tracker\"\nheader = \"X-Api-Key\"\nvalue = \"key {secret}\"";
    let settings = with_auth(&server.url(), auth);
    let setup = Setup::new().clients().server("one", &settings);
    let gateway = setup.start().await;
    let answer = gateway.of(ALICE).echo(&[]).await.message().await.unwrap();
    assert_eq!(error(&answer).0, "upstream-credential");
    seal(&gateway.path().join("state"), "tracker", CANARY).await;
    assert_eq!(text(gateway.of(ALICE).echo(&[]).await).await, "hello");
    let call = &server.seen_of("tools/call")[0];
    assert_eq!(call.header("x-api-key"), [format!("key {CANARY}")]);
    assert_eq!(call.header("authorization").len(), 0);
    check_canaries(&gateway);
}

/// Sets a secret, as its command does beside a running gateway.
async fn seal(state: &Path, name: &str, value: &str) {
    let store = Store::open_beside(
        &state.join("portcullis.db"),
        portcullis_store::Settings::default(),
    )
    .unwrap();
    let vault = Arc::new(Vault::open(&state.join("sealing-key")).unwrap());
    let value = Zeroizing::new(value.to_owned());
    let secrets = Secrets::new(store.clone(), vault);
    secrets
        .set(&name.parse().unwrap(), &value, 1)
        .await
        .unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_opens_a_server_is_in_no_answer_no_log_and_no_file() {
    let guarded = Guarded::start().await;
    let gateway = gateway(&guarded).await;
    let alice = gateway.of(ALICE);
    let mut answers = vec![alice.echo(&[]).await];
    connect(&gateway, "token:alice").await;
    answers.push(alice.echo(&[]).await);
    guarded.forget_tokens();
    answers.push(alice.echo(&[]).await);
    guarded.guard_work("admin");
    let work = json!({ "name": "work", "arguments": {} });
    answers.push(alice.request(2, "tools/call", work).await);
    for answer in answers {
        let head = format!("{:?}", answer.headers);
        let body = answer.bytes().await.unwrap();
        assert!(!head.contains("canary"), "{head}");
        assert!(!String::from_utf8_lossy(&body).contains("canary"));
    }
    check_canaries(&gateway);
}

/// No secret is in the gateway's log and files.
fn check_canaries(gateway: &Gateway) {
    let output = gateway.harness.output();
    assert!(!output.contains("canary"), "a secret was logged: {output}");
    let files = gateway.files();
    assert!(files.len() > 4096, "the database is among the files");
    for canary in [CANARY, CLIENT_SECRET, ALICE] {
        let found = memchr(&files, canary.as_bytes());
        assert!(!found, "`{canary}` was stored");
    }
}

fn memchr(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[tokio::test]
async fn a_header_that_the_credential_writes_cannot_be_configured_beside_it() {
    let mut settings = with_auth("http://127.0.0.1:1/mcp", "kind = \"oauth\"");
    settings.insert_str(0, "headers = { Authorization = \"Bearer ${ALICE}\" }\n");
    let setup = Setup::new().server("one", &settings);
    let (status, output) = setup.refused(&[]).await;
    assert_eq!(status.code(), Some(2), "{output}");
    assert!(
        output.contains("writes the header field `Authorization`"),
        "{output}"
    );
}
