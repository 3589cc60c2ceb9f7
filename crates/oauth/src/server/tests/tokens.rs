//! The token endpoint, revocation and introspection.

use super::*;

#[tokio::test]
async fn only_a_form_in_the_body_is_read() {
    let harness = harness().await;
    let query = format!("{}?client_id=robot", path::TOKEN);
    let json = Request::post(path::TOKEN)
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from("{}"))
        .unwrap();
    let twice = Request::post(path::TOKEN)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from("client_id=robot&client_id=web"))
        .unwrap();
    for request in [form(&query, &[]), json, twice] {
        let response = harness.send(request, None).await;
        assert_eq!(
            error_of(&response),
            (StatusCode::BAD_REQUEST, "invalid_request".into())
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    let get = harness.get(path::TOKEN, None).await;
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_client_authenticates_by_one_method_and_its_own() {
    use http::header::AUTHORIZATION;
    let harness = harness().await;
    let basic = |id: &str, secret: &str| {
        use base64::Engine as _;
        let text = format!("{id}:{secret}");
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    let base = [("grant_type", "client_credentials"), ("resource", MCP)];
    let call = |header: Option<String>, more: &[(&str, &str)]| {
        let mut parameters = base.to_vec();
        parameters.extend_from_slice(more);
        let mut request = form(path::TOKEN, &parameters);
        if let Some(header) = header {
            request
                .headers_mut()
                .insert(AUTHORIZATION, header.parse().unwrap());
        }
        harness.send(request, None)
    };
    let right = Some(basic("robot", SECRET));
    assert_eq!(call(right.clone(), &[]).await.status(), StatusCode::OK);
    assert_eq!(
        call(right.clone(), &[("client_id", "robot")])
            .await
            .status(),
        StatusCode::OK
    );
    let post = [("client_id", "robot"), ("client_secret", SECRET)];
    assert_eq!(call(None, &post).await.status(), StatusCode::OK);

    for (header, more, error) in [
        (right.clone(), &post[..], "invalid_request"),
        (right, &[("client_id", "web")], "invalid_request"),
        (Some(basic("robot", "wrong")), &[], "invalid_client"),
        (Some(basic("nobody", SECRET)), &[], "invalid_client"),
        (Some("Bearer x".to_owned()), &[], "invalid_client"),
        (Some("Basic !".to_owned()), &[], "invalid_client"),
        (None, &[("client_id", "robot")], "invalid_client"),
        (None, &[], "invalid_client"),
        (
            None,
            &[("client_id", "desk"), ("client_secret", "x")],
            "invalid_client",
        ),
    ] {
        let response = call(header.clone(), more).await;
        assert_eq!(error_of(&response).1, error, "{header:?} {more:?}");
        if error == "invalid_client" {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            let challenge = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Basic "), "{challenge}");
        }
    }
}

#[tokio::test]
async fn a_client_by_its_own_right_gets_its_own_scopes_and_no_account_s_name() {
    let harness = harness().await;
    let base = [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", SECRET),
    ];
    let call = |more: &[(&str, &str)]| {
        let mut parameters = base.to_vec();
        parameters.extend_from_slice(more);
        let request = form(path::TOKEN, &parameters);
        harness.send(request, None)
    };
    let tokens = body(&call(&[("resource", FILES)]).await);
    assert_eq!(tokens["scope"], "read");
    assert_eq!(tokens.get("refresh_token"), None);
    let token = tokens["access_token"].as_str().unwrap();
    let claims = harness.server.read_access_token(token, NOW).await.unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.aud.as_str()),
        ("client:robot", FILES)
    );
    assert_eq!(claims.groups, ["robots"]);
    let wider = call(&[("resource", MCP), ("scope", "read write")]).await;
    assert_eq!(error_of(&wider).1, "invalid_scope");
    assert_eq!(error_of(&call(&[]).await).1, "invalid_target");
}

#[tokio::test]
async fn grant_types_are_those_of_the_client() {
    let harness = harness().await;
    for (grant_type, error) in [
        ("client_credentials", "unauthorized_client"),
        (
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "unauthorized_client",
        ),
        ("password", "unsupported_grant_type"),
        ("", "invalid_request"),
    ] {
        let parameters = [("client_id", "desk"), ("grant_type", grant_type)];
        let response = harness.post(path::TOKEN, &parameters).await;
        assert_eq!(error_of(&response).1, error, "{grant_type}");
    }
}

#[tokio::test]
async fn scopes_can_be_narrowed_and_not_widened() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let first = tokens["refresh_token"].as_str().unwrap();
    let narrow = body(&harness.refresh(first, &[("scope", "read")]).await);
    assert_eq!(narrow["scope"], "read");
    let second = narrow["refresh_token"].as_str().unwrap();
    for (more, error) in [
        (("scope", "read admin"), "invalid_scope"),
        (("resource", FILES), "invalid_target"),
        (("resource", "https://other.example"), "invalid_target"),
    ] {
        let response = harness.refresh(second, &[more]).await;
        assert_eq!(error_of(&response).1, error, "{more:?}");
    }
    // What is refused so is not spent, and the grant is as wide as before.
    let wide = body(&harness.refresh(second, &[("resource", MCP)]).await);
    assert_eq!(wide["scope"], "read write");
}

#[tokio::test]
async fn codes_and_refresh_tokens_expire() {
    let harness = harness().await;
    let code = harness.code(&[]).await;
    let request = |parameters: &[(&str, &str)]| form(path::TOKEN, parameters);
    let redeem = request(&[
        ("grant_type", "authorization_code"),
        ("client_id", "desk"),
        ("redirect_uri", LOCAL),
        ("code", &code),
        ("code_verifier", VERIFIER),
    ]);
    let response = harness
        .server
        .respond_to(redeem, None, PEER, NOW + 60_000)
        .await;
    assert_eq!(error_of(&response).1, "invalid_grant");

    let day = 86_400_000;
    let mut token = harness.tokens().await["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let at = |token: &str, now_ms: u64| {
        let request = request(&[
            ("grant_type", "refresh_token"),
            ("client_id", "desk"),
            ("refresh_token", token),
        ]);
        harness.server.respond_to(request, None, PEER, now_ms)
    };
    for days in [29, 58, 87] {
        let response = at(&token, NOW + days * day).await;
        assert_eq!(response.status(), StatusCode::OK, "{days}");
        token = body(&response)["refresh_token"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    // The grant itself has ended.
    assert_eq!(
        error_of(&at(&token, NOW + 90 * day).await).1,
        "invalid_grant"
    );
    let idle = harness.tokens().await["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        error_of(&at(&idle, NOW + 30 * day).await).1,
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_refresh_token_that_is_revoked_ends_its_grant() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let access = tokens["access_token"].as_str().unwrap();
    let epoch = harness.store.epoch();
    // Another client's word counts for nothing.
    let other = [
        ("token", refresh),
        ("client_id", "web"),
        ("client_secret", SECRET),
    ];
    assert_eq!(
        harness.post(path::REVOKE, &other).await.status(),
        StatusCode::OK
    );
    assert!(harness.is_active(access).await);
    let own = [("token", refresh), ("client_id", "desk")];
    assert_eq!(
        harness.post(path::REVOKE, &own).await.status(),
        StatusCode::OK
    );
    assert!(!harness.is_active(access).await);
    assert_ne!(harness.store.epoch(), epoch);
    assert_eq!(
        error_of(&harness.refresh(refresh, &[]).await).1,
        "invalid_grant"
    );
    let unknown = [("token", "pcr_unknown"), ("client_id", "desk")];
    assert_eq!(
        harness.post(path::REVOKE, &unknown).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_access_token_that_is_revoked_ends_alone() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let access = tokens["access_token"].as_str().unwrap();
    let own = [
        ("token", access),
        ("client_id", "desk"),
        ("token_type_hint", "refresh_token"),
    ];
    assert_eq!(
        harness.post(path::REVOKE, &own).await.status(),
        StatusCode::OK
    );
    assert!(!harness.is_active(access).await);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(harness.refresh(refresh, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_clients_that_prove_themselves_may_introspect() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let access = tokens["access_token"].as_str().unwrap();
    let public = harness
        .post(
            path::INTROSPECT,
            &[("token", access), ("client_id", "desk")],
        )
        .await;
    assert_eq!(
        error_of(&public),
        (StatusCode::UNAUTHORIZED, "invalid_client".into())
    );
    // `robot` proves who it is, but the token is not its own.
    let robot = [
        ("token", access),
        ("client_id", "robot"),
        ("client_secret", SECRET),
    ];
    let response = harness.post(path::INTROSPECT, &robot).await;
    assert_eq!(body(&response), serde_json::json!({"active": false}));
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert!(harness.is_active(refresh).await);
    assert!(!harness.is_active("nonsense").await);
}

#[tokio::test]
async fn an_administrator_ends_grants_of_accounts_and_clients() {
    let harness = harness().await;
    let server = &harness.server;
    let one = harness.tokens().await;
    let id = &server.grants(Some("ada"), NOW).await.unwrap()[0].id;
    assert!(server.revoke_grant(id, NOW).await.unwrap());
    assert!(!server.revoke_grant(id, NOW).await.unwrap());
    let two = harness.tokens().await;
    assert_eq!(server.revoke_account("ada", NOW).await.unwrap(), 1);
    for tokens in [&one, &two] {
        assert!(
            !harness
                .is_active(tokens["access_token"].as_str().unwrap())
                .await
        );
        let refresh = tokens["refresh_token"].as_str().unwrap();
        assert_eq!(
            error_of(&harness.refresh(refresh, &[]).await).1,
            "invalid_grant"
        );
    }
    assert_eq!(server.revoke_client("desk", NOW).await.unwrap(), 0);
}

#[tokio::test]
async fn what_has_expired_is_forgotten_and_what_has_not_is_kept() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    harness.code(&[]).await;
    assert_eq!(harness.server.grants(None, NOW).await.unwrap().len(), 2);
    harness.server.housekeep(NOW + 61_000).await.unwrap();
    // The code that nobody redeemed is gone with its grant.
    assert_eq!(harness.server.grants(None, NOW).await.unwrap().len(), 1);
    assert_eq!(harness.refresh(refresh, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn grants_end_with_the_account_and_do_not_come_back_with_its_name() {
    use portcullis_store::Revocation;
    let harness = harness().await;
    let revocation = || Revocation {
        id: "sub:ada".to_owned(),
        before_ms: NOW,
        until_ms: NOW + 1000,
    };
    let event = || AuthEvent::new(NOW, AuthEventKind::Account, AuthOutcome::Success);
    let accounts = || harness.store.accounts();

    let tokens = harness.tokens().await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert!(
        accounts()
            .disable("ada", revocation(), event())
            .await
            .unwrap()
    );
    assert!(
        !harness
            .is_active(tokens["access_token"].as_str().unwrap())
            .await
    );
    assert!(accounts().enable("ada", event()).await.unwrap());
    harness
        .store
        .revocations()
        .forget(NOW + 2000)
        .await
        .unwrap();
    assert_eq!(
        error_of(&harness.refresh(refresh, &[]).await).1,
        "invalid_grant"
    );

    let code = harness.code(&[]).await;
    assert!(
        accounts()
            .remove("ada", revocation(), event())
            .await
            .unwrap()
    );
    assert_eq!(
        error_of(&harness.redeem(&code, &[]).await).1,
        "invalid_grant"
    );
    assert!(
        harness
            .server
            .grants(Some("ada"), NOW)
            .await
            .unwrap()
            .is_empty()
    );
}
