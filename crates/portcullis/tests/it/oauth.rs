//! The gateway as authorization server and resource server: tokens for one endpoint, with scopes, for a while.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use portcullis_testkit::Recorder;
use serde_json::{Value, json};

use crate::authentication::{call, connect};
use crate::support::{Gateway, Peer, Setup, echo, legacy};

/// The secret of the client `robot`, and a word that is to be found nowhere.
pub(crate) const ROBOT_SECRET: &str = "robot-canary-deadbeef-0123456789abcdef";

const ACCESS: &str = r#"
[oauth.server.clients.robot]
secret = "${ROBOT}"
[oauth.server.clients.other]
secret = "${ROBOT}"
[scopes."one:list"]
description = "list what there is"
tools = ["one/list"]
[scopes."one:echo"]
description = "have words repeated"
tools = ["one/echo"]
needs = ["one:list"]
[scopes."two"]
description = "use the other server"
servers = ["two"]
"#;

async fn gateway(recorder: &Recorder) -> Gateway {
    let setup = Setup::new().with(ACCESS).env("ROBOT", ROBOT_SECRET);
    let setup = setup.url("one", &recorder.url(), "modern");
    setup.url("two", &recorder.url(), "modern").start().await
}

/// A JSON document of the gateway, which needs no credential.
async fn document(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.peer(path).send(Method::GET, &[], "").await;
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// What an endpoint for forms answers to these fields.
async fn form(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    let media = [("content-type", "application/x-www-form-urlencoded")];
    let peer = gateway.peer(path);
    let answer = peer.send(Method::POST, &media, body.finish()).await;
    let status = answer.status.as_u16();
    let bytes = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// An access token that a client of the configuration gets by its secret.
pub(crate) async fn token_of(
    gateway: &Gateway,
    client: &str,
    endpoint: &str,
    scope: &str,
) -> String {
    let resource = format!("{}{endpoint}", gateway.harness.url());
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("client_secret", ROBOT_SECRET),
        ("resource", &resource),
        ("scope", scope),
    ];
    let (status, answer) = form(gateway, "/oauth/token", &fields).await;
    assert_eq!(status, 200, "{answer}");
    let lives = answer["expires_in"].as_u64().unwrap();
    assert!((15 * 60..=30 * 60).contains(&lives), "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn token(gateway: &Gateway) -> String {
    token_of(gateway, "robot", "/servers/one/mcp", "one:echo one:list").await
}

/// The rows of the record of authentication events: kind, outcome, reason, scopes.
fn events(gateway: &Gateway) -> Vec<(String, String, Option<String>, Option<String>)> {
    let path = gateway.path().join("state/portcullis.db");
    let database = rusqlite::Connection::open(path).unwrap();
    let mut statement = database
        .prepare("SELECT kind, outcome, reason, scopes FROM auth_events ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_listener_on_this_machine_asks_for_a_credential() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().url("one", &recorder.url(), "modern");
    let gateway = setup.start_closed().await;
    let stranger = gateway.peer("/servers/one/mcp");
    assert_eq!(stranger.echo(&[]).await.status, 401);
    assert_eq!(stranger.send(Method::GET, &[], "").await.status, 401);
    assert_eq!(stranger.send(Method::DELETE, &[], "").await.status, 401);
    assert_eq!(recorder.seen().len(), 0);
    // The same request is answered by the bare server.
    assert_eq!(Peer::bare(&recorder.url()).echo(&[]).await.status, 200);
}

#[tokio::test]
async fn a_challenge_leads_to_a_token() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let endpoint = gateway.peer("/servers/one/mcp");
    let refused = endpoint.echo(&[]).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap();
    let address = challenge
        .split_once("resource_metadata=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .unwrap()
        .0;
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(!challenge.contains("error"), "{challenge}");
    let base = gateway.harness.url();
    let metadata = document(&gateway, address.strip_prefix(base).unwrap()).await;
    assert_eq!(metadata["resource"], format!("{base}/servers/one/mcp"));
    assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
    assert_eq!(
        metadata["scopes_supported"],
        json!(["one:echo", "one:list"])
    );
    let issuer = metadata["authorization_servers"][0].as_str().unwrap();
    assert_eq!(issuer, base);
    for path in ["oauth-authorization-server", "openid-configuration"] {
        let server = document(&gateway, &format!("/.well-known/{path}")).await;
        assert_eq!(server["issuer"], issuer);
        assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(
            server["authorization_response_iss_parameter_supported"],
            true
        );
    }
    let token = token(&gateway).await;
    assert_eq!(endpoint.with(&token).echo(&[]).await.status, 200);
}

#[tokio::test]
async fn a_token_opens_the_endpoint_it_is_for_and_no_other() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let token = token(&gateway).await;
    let at = |path: &str, token: &str| gateway.peer(path).with(token);
    assert_eq!(at("/servers/one/mcp", &token).echo(&[]).await.status, 200);
    for path in ["/servers/two/mcp", "/mcp"] {
        let refused = at(path, &token).echo(&[]).await;
        assert_eq!(refused.status, 401, "{path}");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let calls = recorder.seen_of("tools/call").len();
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let signature = parts.pop().unwrap();
    let claims = parts.pop().unwrap();
    let head = parts.pop().unwrap();
    let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let mut other: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&claims).unwrap()).unwrap();
    other["sub"] = "somebody-else".into();
    let none = encode(json!({ "alg": "none", "typ": "at+jwt" }));
    let hmac = encode(json!({ "alg": "HS256", "typ": "at+jwt" }));
    for forged in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{hmac}.{claims}.{signature}"),
        format!("{head}.{}.{signature}", encode(other)),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        claims.clone(),
    ] {
        let refused = at("/servers/one/mcp", &forged).echo(&[]).await;
        assert_eq!(refused.status, 401, "{forged}");
    }
    assert_eq!(recorder.seen_of("tools/call").len(), calls);
}

#[tokio::test]
async fn what_a_request_lacks_is_asked_for_at_once_and_whole() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let little = token_of(&gateway, "robot", "/servers/one/mcp", "one:list").await;
    let peer = gateway.of(&little);
    // What is open to everybody who is known stays so.
    assert_eq!(peer.request(1, "tools/list", json!({})).await.status, 200);
    let before = recorder.seen_of("tools/call").len();
    let refused = peer.echo(&[]).await;
    assert_eq!(refused.status, 403);
    let challenge = refused.header("www-authenticate").unwrap().to_owned();
    for part in [
        "error=\"insufficient_scope\"",
        "scope=\"one:echo one:list\"",
        "resource_metadata=\"",
    ] {
        assert!(challenge.contains(part), "{challenge}");
    }
    let message = refused.message().await.unwrap();
    assert_eq!(message["error"]["data"]["code"], "insufficient-scope");
    // An older client is told the same.
    let session = peer.open().await;
    let refused = session.post(&legacy(1, "tools/call", &echo("x"))).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("www-authenticate"), Some(&*challenge));
    assert_eq!(recorder.seen_of("tools/call").len(), before);
    let enough = token(&gateway).await;
    assert_eq!(gateway.of(&enough).echo(&[]).await.status, 200);
    // The session goes on with the better token.
    let session = session.stolen_by(&gateway.of(&enough));
    let answered = session.post(&legacy(2, "tools/call", &echo("x"))).await;
    assert_eq!(answered.status, 200);
    let asked: Vec<_> = events(&gateway)
        .into_iter()
        .filter(|(kind, ..)| kind == "step_up")
        .collect();
    let expected = (
        "step_up".to_owned(),
        "failure".to_owned(),
        Some("insufficient_scope".to_owned()),
        Some("one:echo one:list".to_owned()),
    );
    assert_eq!(asked, [expected.clone(), expected]);
}

#[tokio::test]
async fn nobody_hears_of_a_resource_that_no_scope_opens() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(&token(&gateway).await);
    let wanted = json!({ "notifications": { "resourceSubscriptions": ["test://x"] } });
    let refused = peer.request(1, "subscriptions/listen", wanted).await;
    assert_eq!(refused.status, 403);
    let session = peer.open().await;
    let params = json!({ "uri": "test://x" });
    let refused = session
        .post(&legacy(1, "resources/subscribe", &params))
        .await;
    let message = refused.message().await.unwrap();
    assert_eq!(message["error"]["data"]["code"], "insufficient-scope");
    assert_eq!(recorder.seen_of("resources/subscribe").len(), 0);
}

async fn over(
    gateway: &Gateway,
    sender: &mut SendRequest<Full<Bytes>>,
    token: Option<&str>,
) -> u16 {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let fields: Vec<&str> = authorization.iter().map(String::as_str).collect();
    call(gateway, sender, &fields).await.0.as_u16()
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_at_the_next_request() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let (one, two) = (token(&gateway).await, token(&gateway).await);
    let mut sender = connect(&gateway).await;
    assert_eq!(over(&gateway, &mut sender, Some(&one)).await, 200);
    assert_eq!(over(&gateway, &mut sender, Some(&two)).await, 200);
    // The connection vouches for nobody.
    assert_eq!(over(&gateway, &mut sender, None).await, 401);
    let fields = [
        ("token", one.as_str()),
        ("client_id", "robot"),
        ("client_secret", ROBOT_SECRET),
    ];
    assert_eq!(form(&gateway, "/oauth/revoke", &fields).await.0, 200);
    assert_eq!(over(&gateway, &mut sender, Some(&one)).await, 401);
    assert_eq!(over(&gateway, &mut sender, Some(&two)).await, 200);
}

#[tokio::test]
async fn a_session_belongs_to_one_client() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let mine = token(&gateway).await;
    let others = token_of(&gateway, "other", "/servers/one/mcp", "one:list one:echo").await;
    let session = gateway.of(&mine).open().await;
    let stolen = session.stolen_by(&gateway.of(&others));
    let ping = legacy(1, "ping", &json!({}));
    assert_eq!(stolen.post(&ping).await.status, 404);
    assert_eq!(stolen.get(None).await.status, 404);
    assert_eq!(stolen.delete().await.status, 404);
    assert_eq!(session.post(&ping).await.status, 200);
}

#[tokio::test]
async fn no_secret_is_written_down() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let token = token(&gateway).await;
    assert_eq!(gateway.of(&token).echo(&[]).await.status, 200);
    let path = format!("/servers/one/mcp?access_token={token}");
    assert_eq!(gateway.peer(&path).echo(&[]).await.status, 400);
    let wrong = [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", "wrong-canary-0123456789"),
    ];
    assert_eq!(form(&gateway, "/oauth/token", &wrong).await.0, 401);
    // What is noted is written within a second.
    while !events(&gateway)
        .iter()
        .any(|(_, outcome, ..)| outcome == "failure")
    {
        tokio::task::yield_now().await;
    }
    let files = gateway.files();
    let output = gateway.harness.output();
    for secret in [&*token, ROBOT_SECRET, "wrong-canary-0123456789"] {
        let found = memchr::memmem::find(&files, secret.as_bytes());
        assert_eq!(found, None, "{secret}");
        assert!(!output.contains(secret), "{secret}");
    }
    // Nor does it go to the server.
    let seen = format!("{:?}", recorder.seen());
    assert!(!seen.contains(&token));
}

#[tokio::test]
async fn a_scope_that_promises_everything_is_refused() {
    let setup = Setup::new().with("[oauth]\n[scopes.all]\ntools = [\"one/*\"]\n");
    let (status, output) = setup.refused(&[]).await;
    assert_ne!(status.code(), Some(0));
    assert!(output.contains("name it after what it opens"), "{output}");
}
