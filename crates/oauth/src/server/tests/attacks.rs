//! The attacks of RFC 9700, one by one.

use super::*;

const WEB_REQUEST: &[(&str, &str)] = &[("client_id", "web"), ("redirect_uri", WEB)];

async fn consent_form(harness: &Harness) -> String {
    let page = harness.get(&authorization(&[]), Some(session("ada"))).await;
    field(&page, "request")
}

#[tokio::test]
async fn consent_cannot_be_forged_from_another_site() {
    let harness = harness().await;
    let request = consent_form(&harness).await;
    let good = [
        ("csrf", "csrf-of-ada"),
        ("request", &*request),
        ("decision", "allow"),
    ];
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "http://gw.example"),
        ("origin", "https://gw.example:444"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let mut sent = form(path::CONSENT, &good);
        sent.headers_mut().insert(name, value.parse().unwrap());
        let response = harness.send(sent, Some(session("ada"))).await;
        assert_eq!(
            response.status(),
            StatusCode::BAD_REQUEST,
            "{name}: {value}"
        );
    }
    for wrong in [
        &[("request", &*request), ("decision", "allow")][..],
        &[
            ("csrf", "wrong"),
            ("request", &*request),
            ("decision", "allow"),
        ],
        &[("csrf", "csrf-of-ada"), ("decision", "allow")],
        &[
            ("csrf", "csrf-of-ada"),
            ("request", "AAAA"),
            ("decision", "allow"),
        ],
    ] {
        let response = harness
            .send(form(path::CONSENT, wrong), Some(session("ada")))
            .await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{wrong:?}");
    }
    // None of these has spent the form.
    let mut sent = form(path::CONSENT, &good);
    sent.headers_mut().insert("origin", "null".parse().unwrap());
    sent.headers_mut()
        .insert("sec-fetch-site", "same-origin".parse().unwrap());
    let response = harness.send(sent, Some(session("ada"))).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_request_that_one_account_saw_cannot_be_allowed_by_another() {
    let harness = harness().await;
    let request = consent_form(&harness).await;
    let parameters = [
        ("csrf", "csrf-of-bob"),
        ("request", &*request),
        ("decision", "allow"),
    ];
    let response = harness
        .send(form(path::CONSENT, &parameters), Some(session("bob")))
        .await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let response = harness.send(form(path::CONSENT, &parameters), None).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_stolen_code_is_of_no_use_without_the_verifier() {
    let harness = harness().await;
    for changed in [
        &[("code_verifier", "")][..],
        &[(
            "code_verifier",
            "a-verifier-that-the-attacker-made-up-himself",
        )],
        &[("code_verifier", CHALLENGE)],
        &[("redirect_uri", "http://127.0.0.1:1/callback")],
        &[("redirect_uri", "")],
        &[("resource", FILES)],
        &[("client_id", "web"), ("client_secret", SECRET)],
    ] {
        let code = harness.code(&[]).await;
        let response = harness.redeem(&code, changed).await;
        assert!(response.status().is_client_error(), "{changed:?}");
        assert!(!text(&response).contains("access_token"), "{changed:?}");
    }
}

#[tokio::test]
async fn a_code_that_is_shown_wrongly_is_spent() {
    let harness = harness().await;
    let code = harness.code(&[]).await;
    let guess = [(
        "code_verifier",
        "a-verifier-that-the-attacker-made-up-himself",
    )];
    assert_eq!(
        error_of(&harness.redeem(&code, &guess).await).1,
        "invalid_grant"
    );
    assert_eq!(
        error_of(&harness.redeem(&code, &[]).await).1,
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_code_that_is_shown_twice_revokes_what_was_given_for_it() {
    let harness = harness().await;
    let code = harness.code(&[]).await;
    let tokens = body(&harness.redeem(&code, &[]).await);
    let access = tokens["access_token"].as_str().unwrap();
    assert!(harness.is_active(access).await);
    let response = harness.redeem(&code, &[]).await;
    assert_eq!(
        error_of(&response),
        (StatusCode::BAD_REQUEST, "invalid_grant".into())
    );
    assert!(!harness.is_active(access).await);
    let refreshed = harness
        .refresh(tokens["refresh_token"].as_str().unwrap(), &[])
        .await;
    assert_eq!(error_of(&refreshed).1, "invalid_grant");
    let events = harness.events().await;
    assert!(events.iter().any(|it| it.kind == "reuse"));
    assert!(events.iter().any(|it| it.kind == "revocation"));
}

#[tokio::test]
async fn a_refresh_token_that_is_shown_twice_revokes_the_family() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let first = tokens["refresh_token"].as_str().unwrap();
    let next = body(&harness.refresh(first, &[]).await);
    let second = next["refresh_token"].as_str().unwrap();
    assert_ne!(first, second);
    assert_eq!(
        error_of(&harness.refresh(first, &[]).await).1,
        "invalid_grant"
    );
    assert_eq!(
        error_of(&harness.refresh(second, &[]).await).1,
        "invalid_grant"
    );
    for tokens in [&tokens, &next] {
        assert!(
            !harness
                .is_active(tokens["access_token"].as_str().unwrap())
                .await
        );
    }
}

#[tokio::test]
async fn a_refresh_token_is_of_no_use_to_another_client() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let parameters = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", "web"),
        ("client_secret", SECRET),
    ];
    let response = harness.post(path::TOKEN, &parameters).await;
    assert_eq!(error_of(&response).1, "invalid_grant");
    assert_eq!(harness.refresh(token, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_confidential_client_cannot_be_impersonated() {
    let harness = harness().await;
    let code = harness.code(WEB_REQUEST).await;
    for changed in [
        &[][..],
        &[("client_secret", "wrong")],
        &[
            ("client_assertion", "eyJ"),
            ("client_assertion_type", "urn:x"),
        ],
    ] {
        let mut parameters = vec![("client_id", "web"), ("redirect_uri", WEB)];
        parameters.extend_from_slice(changed);
        let response = harness.redeem(&code, &parameters).await;
        assert!(response.status().is_client_error(), "{changed:?}");
    }
    let right = [
        ("client_id", "web"),
        ("redirect_uri", WEB),
        ("client_secret", SECRET),
    ];
    assert_eq!(harness.redeem(&code, &right).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_answer_to_a_form_repeats_the_form_elsewhere() {
    let harness = harness().await;
    let target = authorization(&[]);
    let (_, query) = target.split_once('?').unwrap();
    let by_post = Request::post(path::AUTHORIZE)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(query.to_owned()))
        .unwrap();
    assert_eq!(
        harness.send(by_post, None).await.status(),
        StatusCode::SEE_OTHER
    );
    let allowed = harness.allow(&target, &[("remember", "7")]).await;
    assert_eq!(allowed.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_server_does_not_lead_people_to_an_address_that_somebody_registered() {
    let harness = harness().await;
    let metadata = serde_json::json!({
        "redirect_uris": ["https://evil.example/landing"],
        "token_endpoint_auth_method": "none",
    });
    let request = Request::post(path::REGISTER)
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(metadata.to_string()))
        .unwrap();
    let registered = body(&harness.send(request, None).await);
    let id = registered["client_id"].as_str().unwrap();
    let evil = [
        ("client_id", id),
        ("redirect_uri", "https://evil.example/landing"),
    ];
    for wrong in [
        ("scope", "unknown"),
        ("prompt", "none"),
        ("response_type", "token"),
    ] {
        let mut changed = evil.to_vec();
        changed.push(wrong);
        for session in [None, Some(session("ada"))] {
            let response = harness.get(&authorization(&changed), session).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{wrong:?}");
            // It is named, and left to the reader.
            assert!(
                text(&response).contains("Go to https://evil.example"),
                "{wrong:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_mixed_up_client_can_tell_who_answered() {
    let harness = harness().await;
    let given = harness.allow(&authorization(&[]), &[]).await;
    assert_eq!(answer(&given, "iss").as_deref(), Some(BASE));
    let refused = harness.get(&authorization(&[("scope", "x")]), None).await;
    assert_eq!(answer(&refused, "iss").as_deref(), Some(BASE));
}

#[tokio::test]
async fn a_token_signed_otherwise_is_none_of_ours() {
    use crate::jwt::{KeyKind, SigningKey};
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let token = tokens["access_token"].as_str().unwrap();
    let claims = harness.server.read_access_token(token, NOW).await.unwrap();
    let signer = harness.server.keys.signer(NOW).await.unwrap();
    let foreign = SigningKey::generate(KeyKind::Es256).unwrap();
    let (head, rest) = token.split_once('.').unwrap();
    let unsigned = secret::base64url(br#"{"alg":"none","typ":"at+jwt"}"#);
    let symmetric = secret::base64url(
        format!(
            r#"{{"alg":"HS256","typ":"at+jwt","kid":"{}"}}"#,
            signer.kid()
        )
        .as_bytes(),
    );
    for forged in [
        foreign.sign("at+jwt", &claims).unwrap(),
        foreign.sign_with_key("at+jwt", &claims).unwrap(),
        signer.sign("jwt", &claims).unwrap(),
        signer.sign("oauth-id-jag+jwt", &claims).unwrap(),
        format!("{unsigned}.{rest}"),
        format!("{symmetric}.{rest}"),
        format!("{head}.{}.x", rest.split('.').next().unwrap()),
    ] {
        assert!(!harness.is_active(&forged).await, "{forged}");
    }
}

#[tokio::test]
async fn the_secret_of_a_client_cannot_be_guessed_for_long() {
    let harness = harness().await;
    let guess = [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", "x"),
    ];
    let mut last = StatusCode::OK;
    for _ in 0..30 {
        last = harness.post(path::TOKEN, &guess).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    // From elsewhere the client itself still gets in.
    let right = [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", SECRET),
        ("resource", MCP),
    ];
    let request = form(path::TOKEN, &right);
    let peer = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)));
    let response = harness.server.respond_to(request, None, peer, NOW).await;
    assert_eq!(response.status(), StatusCode::OK);
}
