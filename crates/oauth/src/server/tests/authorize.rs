//! What the authorization endpoint refuses, and where it says so.

use super::*;

#[tokio::test]
async fn nothing_is_redirected_before_client_and_redirect_uri_are_known() {
    let harness = harness().await;
    for changed in [
        [("client_id", "")],
        [("client_id", "unknown")],
        [("client_id", "dcr-unknown")],
        [("redirect_uri", "")],
        [("redirect_uri", "https://evil.example/callback")],
        [("redirect_uri", "http://127.0.0.1:7777/callback/../evil")],
        [("redirect_uri", "http://127.0.0.1:7777/callback#x")],
        [("redirect_uri", "http://localhost:7777/callback")],
        [("redirect_uri", "http://127.0.0.1@evil.example/callback")],
        [("redirect_uri", "http://127.0.0.1.evil.example/callback")],
        [("redirect_uri", "//127.0.0.1:7777/callback")],
        [("redirect_uri", "javascript:alert(1)")],
        [("redirect_uri", "data:text/html,x")],
    ] {
        for session in [None, Some(session("ada"))] {
            let response = harness.get(&authorization(&changed), session).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{changed:?}");
            assert!(!response.headers().contains_key(LOCATION), "{changed:?}");
            assert!(!text(&response).contains("evil.example"), "{changed:?}");
        }
    }
    let repeated = format!("{}&redirect_uri=https://evil.example", authorization(&[]));
    let response = harness.get(&repeated, None).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_port_of_a_loopback_redirect_uri_may_differ() {
    let harness = harness().await;
    let other = "http://127.0.0.1:40123/callback";
    let response = harness
        .allow(&authorization(&[("redirect_uri", other)]), &[])
        .await;
    assert!(location(&response).as_str().starts_with(other));
    let code = answer(&response, "code").unwrap();
    // But it is the same one when the code is redeemed.
    let refused = harness.redeem(&code, &[]).await;
    assert_eq!(error_of(&refused).1, "invalid_grant");
}

#[track_caller]
fn check(response: &Response<Bytes>, error: &str, case: &str) {
    assert_eq!(answer(response, "error").as_deref(), Some(error), "{case}");
    assert_eq!(answer(response, "iss").as_deref(), Some(BASE), "{case}");
    assert_eq!(
        answer(response, "state").as_deref(),
        Some("s&t=1"),
        "{case}"
    );
    assert_eq!(answer(response, "code"), None, "{case}");
}

#[tokio::test]
async fn errors_are_sent_back_with_issuer_and_state() {
    let harness = harness().await;
    for (name, value, error) in [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        (
            "response_type",
            "code id_token",
            "unsupported_response_type",
        ),
        ("response_mode", "fragment", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("resource", "", "invalid_target"),
        ("resource", "https://other.example/mcp", "invalid_target"),
        ("resource", "https://gw.example/mcp/", "invalid_target"),
        ("resource", "https://gw.example/mcp#x", "invalid_target"),
        ("scope", "", "invalid_scope"),
        ("scope", "read admin", "invalid_scope"),
        ("scope", "read\"", "invalid_scope"),
        ("request", "eyJ", "request_not_supported"),
        (
            "request_uri",
            "https://evil.example/r",
            "request_uri_not_supported",
        ),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "odd", "invalid_request"),
        ("prompt", "none", "login_required"),
    ] {
        let response = harness.get(&authorization(&[(name, value)]), None).await;
        check(&response, error, &format!("{name}={value}"));
    }
    let repeated = format!("{}&scope=read", authorization(&[]));
    check(
        &harness.get(&repeated, None).await,
        "invalid_request",
        "repeated",
    );
    let target = authorization(&[("prompt", "none")]);
    let response = harness.get(&target, Some(session("ada"))).await;
    check(&response, "consent_required", "prompt=none");
}

#[tokio::test]
async fn a_resource_is_the_same_however_its_host_is_written() {
    let harness = harness().await;
    let target = authorization(&[("resource", "HTTPS://GW.example/mcp")]);
    let response = harness.get(&target, Some(session("ada"))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_is_not_logged_in_goes_to_the_login() {
    let harness = harness().await;
    let response = harness.get(&authorization(&[]), None).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let target = response.headers()[LOCATION].to_str().unwrap();
    assert!(target.starts_with("/oauth/login"), "{target}");
    // A login that is asked for is not the one there is already.
    let target = authorization(&[("prompt", "login")]);
    let response = harness.get(&target, Some(session("ada"))).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_login_that_was_asked_for_counts_once_it_was_made() {
    let harness = harness().await;
    let sealed = harness
        .vault
        .seal("login-since", &NOW.to_be_bytes())
        .unwrap();
    let since = secret::base64url(&sealed);
    let target = authorization(&[("prompt", "login"), ("login_since", &since)]);
    let earlier = Session {
        authenticated_ms: NOW - 1,
        ..session("ada")
    };
    let response = harness.get(&target, Some(earlier)).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let response = harness.get(&target, Some(session("ada"))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_by_post_is_answered_as_one_by_get() {
    let harness = harness().await;
    let target = authorization(&[]);
    let (_, query) = target.split_once('?').unwrap();
    let request = Request::post(path::AUTHORIZE)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(query.to_owned()))
        .unwrap();
    let response = harness.send(request, Some(session("ada"))).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(&response).contains("Allow"));
}
