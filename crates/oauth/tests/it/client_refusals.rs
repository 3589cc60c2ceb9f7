//! What is not believed, not asked, not sent.

use http::Method;
use portcullis_egress::{Egress, Resolver};
use portcullis_oauth::client::settings::{ServerAuth, ServerConfig};
use portcullis_oauth::client::{Credentials, Need, RequestTarget};
use portcullis_store::AuthEventKind;
use serde_json::json;
use url::Url;

use crate::client_support::{Behaviour, Iss, NOW, World, chain, oauth, open};

fn auth() -> ServerAuth {
    ServerAuth::OAuth(oauth())
}

/// A call fails with `text` in the causes, and no code was redeemed.
#[track_caller]
fn check_stopped(world: &World, error: &crate::client_support::Called, text: &str) {
    error.err(text);
    for issuer in &world.issuers {
        assert!(issuer.at("/token").is_empty());
    }
}

#[tokio::test]
async fn metadata_for_another_resource_stops_before_any_authorization() {
    for resource in [
        "https://evil.example/mcp",
        "http://127.0.0.1:1/mcp",
        "not a url",
    ] {
        let world = World::start(Behaviour {
            resource: Some(resource.to_owned()),
            ..Behaviour::default()
        })
        .await;
        let credentials = world.credentials(auth());
        let called = world.call(&credentials, "ada").await;
        check_stopped(&world, &called, "another resource");
        assert!(world.issuer().at("/authorize").is_empty());
        assert!(world.issuer().at("/register").is_empty());
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_stops_before_any_endpoint_is_used() {
    let world = World::start(Behaviour {
        metadata_issuer: Some("https://attacker.example".to_owned()),
        ..Behaviour::default()
    })
    .await;
    let credentials = world.credentials(auth());
    let called = world.call(&credentials, "ada").await;
    check_stopped(&world, &called, "another issuer");
    let issuer = world.issuer();
    assert!(issuer.at("/register").is_empty() && issuer.at("/authorize").is_empty());
    assert!(issuer.at("/.well-known/openid-configuration").is_empty());
}

#[tokio::test]
async fn a_response_of_another_issuer_is_not_redeemed() {
    let cases = [
        (true, Iss::Absent),
        (true, Iss::Wrong("https://evil.example".into())),
        (false, Iss::Wrong("https://evil.example".into())),
    ];
    for (announced, iss) in cases {
        let mut behaviour = Behaviour {
            iss,
            ..Behaviour::default()
        };
        behaviour.metadata["authorization_response_iss_parameter_supported"] = json!(announced);
        let world = World::start(behaviour).await;
        let credentials = world.credentials(auth());
        let called = world.call(&credentials, "ada").await;
        check_stopped(&world, &called, "not by the authorization server");
    }
    // Equal only after normalization.
    let world = World::start(Behaviour::default()).await;
    let slash = format!("{}/", world.issuer().origin());
    world.change(|it| it.iss = Iss::Wrong(slash));
    let store = open(world.folder.path());
    let credentials = world.credentials_with(auth(), |_, parts| parts.store = store.clone());
    let called = world.call(&credentials, "ada").await;
    check_stopped(&world, &called, "not by the authorization server");
    // The record says why, and has nothing secret.
    store.calls().flush().await.unwrap();
    let kind = Some(AuthEventKind::Upstream);
    let events = store.auth_events().search(kind, None, 100).await.unwrap();
    assert!(
        events
            .iter()
            .any(|it| it.reason.as_deref() == Some("issuer_mismatch"))
    );
    assert!(!format!("{events:?}").contains("the-code"));
}

#[tokio::test]
async fn an_issuer_without_pkce_is_not_used() {
    let mut behaviour = Behaviour::default();
    behaviour.metadata["code_challenge_methods_supported"] = json!(["plain"]);
    let world = World::start(behaviour).await;
    let credentials = world.credentials(auth());
    let called = world.call(&credentials, "ada").await;
    check_stopped(&world, &called, "PKCE");
    assert!(world.issuer().at("/authorize").is_empty());
}

#[tokio::test]
async fn a_pinned_issuer_is_the_only_one() {
    let world = World::start(Behaviour::default()).await;
    let mut settings = oauth();
    settings.authorization_server = Some(world.issuers[1].origin().into());
    let credentials = world.credentials(ServerAuth::OAuth(settings));
    let called = world.call(&credentials, "ada").await;
    check_stopped(
        &world,
        &called,
        "does not name the configured authorization server",
    );
}

#[tokio::test]
async fn more_scopes_are_asked_for_together_with_the_earlier_ones() {
    let world = World::start(Behaviour {
        challenge_scope: Some("mcp:basic"),
        prm_scopes: Some(vec!["mcp:profile"]),
        needed: Some("mcp:write"),
        ..Behaviour::default()
    })
    .await;
    let credentials = world.credentials(auth());
    world.call(&credentials, "ada").await.ok(2);
    let asked = world.issuer().at("/authorize");
    assert_eq!(asked[0].query["scope"], "mcp:basic");
    assert_eq!(asked[1].query["scope"], "mcp:basic mcp:write");
}

#[tokio::test]
async fn scopes_that_never_suffice_are_not_asked_for_again() {
    let world = World::start(Behaviour {
        challenge_scope: Some("mcp:admin"),
        needed: Some("mcp:admin"),
        insatiable: true,
        ..Behaviour::default()
    })
    .await;
    let credentials = world.credentials(auth());
    for _ in 0..5 {
        world.call(&credentials, "ada").await.err("scopes");
    }
    assert_eq!(world.issuer().at("/authorize").len(), 1);
}

#[tokio::test]
async fn an_issuer_that_grants_less_than_is_asked_is_asked_a_few_times_only() {
    let world = World::start(Behaviour {
        needed: Some("mcp:admin"),
        insatiable: true,
        ..Behaviour::default()
    })
    .await;
    let credentials = world.credentials(auth());
    for n in 0..6 {
        // Each time another scope is wanted.
        let needed = ["a", "b", "c", "d", "e", "f"][n];
        world.change(|it| it.needed = Some(needed));
        world.call(&credentials, "ada").await.err("scopes");
    }
    // The first, and two for more.
    assert_eq!(world.issuer().at("/authorize").len(), 3);
}

#[tokio::test]
async fn a_token_goes_to_its_own_server_alone() {
    let world = World::start(Behaviour::default()).await;
    let credentials = world.credentials(auth());
    world.call(&credentials, "ada").await.ok(1);
    let own = world.url();
    for (text, allowed) in [
        (own.as_str().to_owned(), true),
        (format!("{}/mcp?x=1", world.server.origin()), true),
        (format!("{}/mcp/sub", world.server.origin()), true),
        (format!("{}/other", world.server.origin()), false),
        (format!("{}/mcp", world.issuer().origin()), false),
        ("https://evil.example/mcp".to_owned(), false),
        (own.as_str().replace("http://", "http://u@"), false),
        (own.as_str().replace("http://", "https://"), false),
    ] {
        let url = Url::parse(&text).unwrap();
        let target = RequestTarget {
            method: &Method::POST,
            url: &url,
        };
        let answer = credentials.authorize("files", "ada", target, NOW).await;
        match answer {
            Ok(Some(_)) => assert!(allowed, "{text}"),
            Err(error @ Need::Failed(_)) => {
                assert!(
                    !allowed && chain(&error).contains("own server"),
                    "{text} {error}"
                );
            }
            other => panic!("{text} {other:?}"),
        }
    }
}

/// A server that looks public, by its name, and leads to this machine.
#[tokio::test]
async fn a_public_server_leads_to_no_private_address() {
    let world = World::start(Behaviour::default()).await;
    let port = world.issuer().address.port();
    let names = [("public.example", "127.0.0.1"), ("localhost", "127.0.0.1")];
    for learnt in [
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://0x7f.1:{port}/"),
        "https://169.254.169.254/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://public.example/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let credentials = world.credentials_with(ServerAuth::None, |config, parts| {
            let server = ServerConfig {
                url: Url::parse("https://mcp.example/mcp").unwrap(),
                auth: auth(),
                dpop: false,
            };
            config.servers.insert("public".into(), server);
            let resolve = move |name: &str| {
                let found = names.iter().filter(|(known, _)| *known == name);
                found.map(|(_, address)| address.parse().unwrap()).collect()
            };
            let resolver = Resolver::Function(std::sync::Arc::new(resolve));
            let settings = portcullis_egress::Settings::default();
            parts.egress = Egress::with_resolver(&settings, &resolver).unwrap();
        });
        refused_with(&credentials, &learnt).await;
        let error = credentials.connect_headless("public", "ada", NOW).await;
        let error = chain(&error.unwrap_err());
        let refused = error.contains("may not be reached") || error.contains("is not an https URL");
        assert!(refused, "{learnt}: {error}");
    }
    assert!(world.issuer().seen.lock().unwrap().is_empty());
}

/// The server answers 401 and says that its metadata is at `learnt`.
async fn refused_with(credentials: &Credentials, learnt: &str) {
    let mut headers = http::HeaderMap::new();
    let text = format!("Bearer resource_metadata=\"{learnt}\"");
    headers.insert("www-authenticate", text.parse().unwrap());
    let refusal = portcullis_oauth::client::Refusal {
        status: http::StatusCode::UNAUTHORIZED,
        headers: &headers,
        operation: "x",
        used: None,
        attempt: 0,
    };
    credentials.refused("public", "ada", refusal, NOW).await;
}

#[tokio::test]
async fn endless_and_odd_answers_are_refused() {
    let world = World::start(Behaviour::default()).await;
    let long = "x".repeat(70_000);
    world.change(|it| it.registration = json!({"client_id": long}));
    let credentials = world.credentials(auth());
    world
        .call(&credentials, "ada")
        .await
        .err("larger than 64 KiB");
    world.change(|it| it.registration = json!({"client_id": ""}));
    world.call(&credentials, "ada").await.err("no registration");
    world.change(|it| {
        it.registration = json!({"client_id": "x"});
        it.token_type = Some("mac");
    });
    world.call(&credentials, "ada").await.err("no usable token");
    world.change(|it| {
        it.token_type = None;
        it.token_error = Some((400, "<script>alert(1)</script>"));
    });
    let called = world.call(&credentials, "ada").await;
    called.err("refused: other");
    assert!(!called.error.contains("script"));
}

#[tokio::test]
async fn a_server_that_asks_for_nothing_gets_nothing() {
    let world = World::start(Behaviour::default()).await;
    world
        .kept
        .lock()
        .unwrap()
        .valid
        .insert("x".into(), String::new());
    let credentials = world.credentials(ServerAuth::None);
    let called = world.call(&credentials, "ada").await;
    called.err("does not accept the configured credential");
    assert_eq!(world.server.seen.lock().unwrap().len(), 1);
}
