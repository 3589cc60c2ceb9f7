//! Clients that register themselves.

use base64::Engine as _;
use serde_json::json;

use super::*;

async fn register(harness: &Harness, metadata: &Value) -> Response<Bytes> {
    let request = Request::post(path::REGISTER)
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(metadata.to_string()))
        .unwrap();
    harness.send(request, None).await
}

#[tokio::test]
async fn a_public_client_registers_and_is_asked_about() {
    let harness = harness().await;
    let response = register(
        &harness,
        &json!({
            "client_name": "<b>Evil\u{202e}</b>\nclient",
            "redirect_uris": [LOCAL],
            "grant_types": ["authorization_code", "refresh_token", "implicit"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "unknown": {"passed": "over"},
        }),
    )
    .await;
    assert_eq!(
        response.status(),
        StatusCode::CREATED,
        "{}",
        text(&response)
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    let registered = body(&response);
    assert_eq!(registered["client_name"], "<b>Evil</b>client");
    assert_eq!(
        registered["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(registered.get("client_secret"), None);
    let id = registered["client_id"].as_str().unwrap();
    let page = harness
        .get(&authorization(&[("client_id", id)]), Some(session("ada")))
        .await;
    let shown = text(&page);
    assert!(
        shown.contains("&#60;b&#62;Evil&#60;/b&#62;client") && !shown.contains("<b>"),
        "{shown}"
    );
    assert!(shown.contains("nobody has verified it"));
    let code = harness.code(&[("client_id", id)]).await;
    assert_eq!(
        harness.redeem(&code, &[("client_id", id)]).await.status(),
        StatusCode::OK
    );
    // It was used, so it stays.
    harness
        .server
        .housekeep(NOW + 2 * 86_400_000)
        .await
        .unwrap();
    assert!(
        harness
            .store
            .oauth_clients()
            .find(id.to_owned())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_client_with_a_secret_needs_it() {
    let harness = harness().await;
    let registered = body(&register(&harness, &json!({"redirect_uris": [WEB]})).await);
    assert_eq!(
        registered["token_endpoint_auth_method"],
        "client_secret_basic"
    );
    assert_eq!(registered["client_secret_expires_at"], 0);
    let id = registered["client_id"].as_str().unwrap().to_owned();
    let secret = registered["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("pcs_"));
    let code = harness
        .code(&[("client_id", &id), ("redirect_uri", WEB)])
        .await;
    let by_post = [
        ("client_id", &*id),
        ("redirect_uri", WEB),
        ("client_secret", secret),
    ];
    assert_eq!(
        error_of(&harness.redeem(&code, &by_post).await).1,
        "invalid_client"
    );
    let mut request = form(
        path::TOKEN,
        &[
            ("grant_type", "authorization_code"),
            ("redirect_uri", WEB),
            ("code", &code),
            ("code_verifier", VERIFIER),
        ],
    );
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    let basic = format!("Basic {basic}").parse().unwrap();
    request.headers_mut().insert("authorization", basic);
    let tokens = harness.send(request, None).await;
    assert_eq!(tokens.status(), StatusCode::OK, "{}", text(&tokens));
    // It did not register for refresh tokens.
    assert_eq!(body(&tokens).get("refresh_token"), None);
    // Never used by anybody: forgotten after a day.
    let idle = body(&register(&harness, &json!({"redirect_uris": [WEB]})).await);
    let idle = idle["client_id"].as_str().unwrap().to_owned();
    harness.server.housekeep(NOW + 86_400_001).await.unwrap();
    assert!(
        harness
            .store
            .oauth_clients()
            .find(idle)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn what_may_not_be_registered_is_refused_with_the_right_code() {
    let harness = harness().await;
    let many: Vec<String> = (0..17)
        .map(|n| format!("https://app.example/{n}"))
        .collect();
    let key = crate::jwt::SigningKey::generate(crate::jwt::KeyKind::Es256).unwrap();
    let mut private = serde_json::to_value(key.public()).unwrap();
    private["d"] = json!("AAAA");
    for (metadata, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({"redirect_uris": many}), "invalid_redirect_uri"),
        (
            json!({"redirect_uris": ["http://app.example/"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": ["javascript:alert(1)"]}),
            "invalid_redirect_uri",
        ),
        (
            json!({"redirect_uris": [WEB, "data:,x"]}),
            "invalid_redirect_uri",
        ),
        (json!({"redirect_uris": WEB}), "invalid_client_metadata"),
        (json!([]), "invalid_client_metadata"),
        (
            json!({"redirect_uris": [WEB], "grant_types": ["client_credentials"]}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [WEB], "response_types": ["token"]}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [WEB], "token_endpoint_auth_method": "tls_client_auth"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [WEB], "token_endpoint_auth_method": "private_key_jwt"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [WEB], "jwks": {"keys": [private]}}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [WEB], "jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [WEB], "jwks_uri": "http://app.example/jwks"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [WEB], "scope": "a\"b"}),
            "invalid_client_metadata",
        ),
    ] {
        let now_ms = NOW + 60_000;
        let request = Request::post(path::REGISTER)
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(metadata.to_string()))
            .unwrap();
        let response = harness.server.respond_to(request, None, PEER, now_ms).await;
        assert_eq!(
            error_of(&response),
            (StatusCode::BAD_REQUEST, error.into()),
            "{metadata}"
        );
    }
    let untyped = form(path::REGISTER, &[("redirect_uris", WEB)]);
    assert_eq!(
        error_of(&harness.send(untyped, None).await).1,
        "invalid_client_metadata"
    );
    let large = json!({"redirect_uris": [WEB], "client_name": "x".repeat(20_000)});
    assert_eq!(
        error_of(&register(&harness, &large).await).1,
        "invalid_client_metadata"
    );
}

#[tokio::test]
async fn an_address_cannot_register_without_end() {
    let harness = harness().await;
    let metadata = json!({"redirect_uris": [WEB], "token_endpoint_auth_method": "none"});
    for _ in 0..20 {
        assert_eq!(
            register(&harness, &metadata).await.status(),
            StatusCode::CREATED
        );
    }
    let response = register(&harness, &metadata).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn the_number_of_unused_clients_is_bounded() {
    use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, OauthClient};
    let harness = harness().await;
    let clients = harness.store.oauth_clients();
    let event = AuthEvent::new(NOW, AuthEventKind::Registration, AuthOutcome::Success);
    let client = |n: u32| OauthClient {
        id: format!("dcr-{n}"),
        metadata: "{}".to_owned(),
        secret: None,
        created_ms: NOW,
    };
    for n in 0..3 {
        assert!(clients.add(client(n), 3, event.clone()).await.unwrap());
    }
    assert!(!clients.add(client(4), 3, event.clone()).await.unwrap());
    clients.touch("dcr-0".to_owned(), NOW).await.unwrap();
    assert!(clients.add(client(4), 3, event).await.unwrap());
}

#[tokio::test]
async fn registration_can_be_switched_off() {
    let harness = harness_with(Config {
        dynamic_registration: false,
        ..config()
    })
    .await;
    let response = register(&harness, &json!({"redirect_uris": [WEB]})).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let document = body(&harness.get(path::METADATA, None).await);
    assert_eq!(document.get("registration_endpoint"), None);
}
