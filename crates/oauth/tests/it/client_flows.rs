//! The way to a token: where metadata is, who the gateway is, what it asks for, how it refreshes.

use std::sync::Arc;

use http::Method;
use portcullis_oauth::client::RequestTarget;
use portcullis_oauth::client::settings::{
    ClientIdentity, ClientProof, PreregisteredClient, SecretSource, ServerAuth,
};
use portcullis_store::AuthEventKind;
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use crate::client_support::{Behaviour, Iss, NOW, Seen, World, basic, oauth, open};

fn auth() -> ServerAuth {
    ServerAuth::OAuth(oauth())
}

async fn connected(behaviour: Behaviour) -> World {
    let world = World::start(behaviour).await;
    let credentials = world.credentials(auth());
    world.call(&credentials, "ada").await.ok(1);
    // The token is there from now on.
    world.call(&credentials, "ada").await.ok(0);
    world
}

#[tokio::test]
async fn metadata_is_found_where_the_challenge_says_and_nowhere_else() {
    let world = connected(Behaviour::default()).await;
    let root = world.server.at("/.well-known/oauth-protected-resource");
    assert!(root.is_empty());
    let resource = world.url().to_string();
    let asked = &world.issuer().at("/authorize")[0];
    assert_eq!(asked.query["resource"], resource);
    assert_eq!(asked.query.get("scope"), None);
    assert_eq!(world.issuer().at("/token")[0].form["resource"], resource);
}

#[tokio::test]
async fn metadata_is_found_without_a_pointer_at_the_path_of_the_server() {
    connected(Behaviour {
        announce_prm: false,
        metadata_path: Some("/.well-known/openid-configuration"),
        ..Behaviour::default()
    })
    .await;
}

#[tokio::test]
async fn metadata_is_found_at_the_root_and_the_issuer_has_a_path() {
    let world = World::start(Behaviour::default()).await;
    world.change(|it| {
        it.announce_prm = false;
        it.prm_path = Some("/.well-known/oauth-protected-resource");
        it.resource = Some(world.server.origin());
        it.issuer_path = "/tenant1";
        it.metadata_path = Some("/.well-known/oauth-authorization-server/tenant1");
    });
    let credentials = world.credentials(auth());
    world.call(&credentials, "ada").await.ok(1);
    // Exactly as published: no slash is added.
    let asked = &world.issuer().at("/authorize")[0];
    assert_eq!(asked.query["resource"], world.server.origin());
    let root = world.issuer().at("/.well-known/oauth-authorization-server");
    assert!(root.is_empty());
}

#[tokio::test]
async fn metadata_is_found_at_a_place_of_the_servers_choice_and_the_issuers_own_path() {
    connected(Behaviour {
        prm_path: Some("/custom/metadata.json"),
        issuer_path: "/tenant1",
        metadata_path: Some("/tenant1/.well-known/openid-configuration"),
        ..Behaviour::default()
    })
    .await;
}

#[tokio::test]
async fn an_older_server_is_its_own_issuer() {
    let world = connected(Behaviour {
        prm_path: None,
        ..Behaviour::default()
    })
    .await;
    assert_eq!(world.server.at("/token").len(), 1);
}

#[tokio::test]
async fn an_older_server_without_metadata_has_default_endpoints() {
    let world = connected(Behaviour {
        prm_path: None,
        metadata_path: None,
        iss: Iss::Absent,
        ..Behaviour::default()
    })
    .await;
    assert_eq!(world.server.at("/register").len(), 1);
    assert_eq!(world.server.at("/token").len(), 1);
}

#[tokio::test]
async fn scopes_are_those_of_the_challenge_then_those_supported_then_none() {
    let cases = [
        (Some("mcp:basic"), Some(vec!["a", "b"]), Some("mcp:basic")),
        (None, Some(vec!["a", "b"]), Some("a b")),
        (None, None, None),
    ];
    for (challenge_scope, prm_scopes, expected) in cases {
        let world = connected(Behaviour {
            prm_scopes,
            challenge_scope,
            ..Behaviour::default()
        })
        .await;
        let asked = &world.issuer().at("/authorize")[0];
        assert_eq!(asked.query.get("scope").map(String::as_str), expected);
    }
}

#[tokio::test]
async fn offline_access_is_asked_for_where_it_is_known_and_nowhere_else() {
    let mut behaviour = Behaviour {
        challenge_scope: Some("mcp:basic"),
        ..Behaviour::default()
    };
    behaviour.metadata["scopes_supported"] = json!(["mcp:basic", "offline_access"]);
    let world = connected(behaviour.clone()).await;
    let asked = &world.issuer().at("/authorize")[0];
    assert_eq!(asked.query["scope"], "mcp:basic offline_access");
    let registered = &world.issuer().at("/register")[0].json;
    assert_eq!(
        registered["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(registered["application_type"], "native");

    behaviour.metadata["scopes_supported"] = json!(["mcp:basic"]);
    let world = connected(behaviour).await;
    let asked = &world.issuer().at("/authorize")[0];
    assert_eq!(asked.query["scope"], "mcp:basic");
}

#[tokio::test]
async fn the_client_proves_itself_as_the_token_endpoint_wants() {
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        let mut behaviour = Behaviour::default();
        behaviour.metadata["token_endpoint_auth_methods_supported"] = json!([method]);
        let world = connected(behaviour).await;
        let registered = &world.issuer().at("/register")[0].json;
        assert_eq!(registered["token_endpoint_auth_method"], method);
        let asked = &world.issuer().at("/token")[0];
        let header = asked.header("authorization");
        let posted = asked.form.get("client_secret").map(String::as_str);
        match method {
            "client_secret_basic" => {
                let expected = ("registered".to_owned(), "registered-secret".to_owned());
                assert_eq!(basic(header.unwrap()), expected);
                assert_eq!(posted, None);
            }
            "client_secret_post" => {
                assert_eq!((header, posted), (None, Some("registered-secret")));
            }
            _ => assert_eq!((header, posted), (None, None)),
        }
    }
}

#[tokio::test]
async fn a_client_registered_by_hand_registers_nothing() {
    let mut behaviour = Behaviour::default();
    behaviour.metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]);
    let world = World::start(behaviour).await;
    let mut settings = oauth();
    settings.client = ClientIdentity::Preregistered(PreregisteredClient {
        id: "by-hand".into(),
        proof: ClientProof::Secret(SecretSource::Value(Zeroizing::new("s3cret".into()))),
    });
    let credentials = world.credentials(ServerAuth::OAuth(settings));
    world.call(&credentials, "ada").await.ok(1);
    assert!(world.issuer().at("/register").is_empty());
    let asked = &world.issuer().at("/token")[0];
    let expected = ("by-hand".to_owned(), "s3cret".to_owned());
    assert_eq!(basic(asked.header("authorization").unwrap()), expected);
}

#[tokio::test]
async fn a_metadata_document_is_used_where_it_is_supported() {
    let mut behaviour = Behaviour::default();
    behaviour.metadata["client_id_metadata_document_supported"] = json!(true);
    let world = World::start(behaviour).await;
    let id = "https://gateway.example/client-metadata.json";
    let credentials = world.credentials_with(auth(), |config, _| {
        config.client_metadata_url = Some(Url::parse(id).unwrap());
    });
    world.call(&credentials, "ada").await.ok(1);
    assert!(world.issuer().at("/register").is_empty());
    assert_eq!(world.issuer().at("/authorize")[0].query["client_id"], id);
    let document: serde_json::Value =
        serde_json::from_slice(&credentials.client_metadata()).unwrap();
    assert_eq!(document["client_id"], id);
    assert_eq!(
        document["redirect_uris"],
        json!(["http://127.0.0.1:8420/oauth/upstream/callback"])
    );
}

#[tokio::test]
async fn a_server_that_moves_to_another_issuer_gets_nothing_of_the_first() {
    let world = World::start(Behaviour::default()).await;
    let credentials = world.credentials(auth());
    world.call(&credentials, "ada").await.ok(1);
    *world.named.lock().unwrap() = 1;
    world.kept.lock().unwrap().valid.clear();
    world.change(|it| it.registration = json!({"client_id": "second"}));
    world.call(&credentials, "ada").await.ok(1);
    let second = &world.issuers[1];
    assert_eq!(second.at("/register").len(), 1);
    assert_eq!(second.at("/authorize")[0].query["client_id"], "second");
    let tokens = second.at("/token");
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].form["grant_type"], "authorization_code");
}

#[tokio::test]
async fn a_registration_is_used_again_and_survives_a_restart() {
    let world = connected(Behaviour::default()).await;
    let credentials = world.credentials(auth());
    world.call(&credentials, "ada").await.ok(0);
    world.call(&credentials, "bob").await.ok(1);
    assert_eq!(world.issuer().at("/register").len(), 1);
}

#[tokio::test]
async fn each_user_has_a_token_of_their_own() {
    let world = World::start(Behaviour::default()).await;
    let credentials = world.credentials(auth());
    world.call(&credentials, "ada").await.ok(1);
    world.call(&credentials, "bob").await.ok(1);
    let url = world.url();
    let target = RequestTarget {
        method: &Method::POST,
        url: &url,
    };
    let mut shown = Vec::new();
    for who in ["ada", "bob", "ada"] {
        let authorization = credentials.authorize("files", who, target, NOW).await;
        let headers = authorization.unwrap().unwrap().headers;
        assert!(headers["authorization"].is_sensitive());
        shown.push(headers["authorization"].to_str().unwrap().to_owned());
    }
    assert_ne!(shown[0], shown[1]);
    assert_eq!(shown[0], shown[2]);
}

#[tokio::test]
async fn a_hundred_requests_refresh_once() {
    let world = connected(Behaviour::default()).await;
    let credentials = Arc::new(world.credentials(auth()));
    let later = NOW + 3_590_000;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let credentials = Arc::clone(&credentials);
        let url = world.url();
        waiting.spawn(async move {
            let target = RequestTarget {
                method: &Method::POST,
                url: &url,
            };
            let answer = credentials.authorize("files", "ada", target, later).await;
            let headers = answer.unwrap().unwrap().headers;
            headers["authorization"].to_str().unwrap().to_owned()
        });
    }
    let shown = waiting.join_all().await;
    assert!(shown.iter().all(|it| *it == shown[0]), "{shown:?}");
    assert_eq!(shown[0], "Bearer canary-access-2");
    // One code, one refresh.
    assert_eq!(world.issuer().at("/token").len(), 2);
}

#[tokio::test]
async fn a_rotated_refresh_token_is_kept_across_a_restart() {
    let world = connected(Behaviour::default()).await;
    let hour = 3_600_000;
    for n in 1..4 {
        // Each round is a process of its own.
        let credentials = world.credentials(auth());
        let called = world
            .call_at(&credentials, "ada", "x", NOW + n * hour)
            .await;
        called.ok(0);
    }
    let asked: Vec<Seen> = world.issuer().at("/token");
    let shown: Vec<&str> = asked[1..]
        .iter()
        .map(|it| it.form["refresh_token"].as_str())
        .collect();
    assert_eq!(
        shown,
        ["canary-refresh-1", "canary-refresh-2", "canary-refresh-3"]
    );
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_used() {
    let world = connected(Behaviour::default()).await;
    let store = open(world.folder.path());
    let credentials = world.credentials_with(auth(), |_, parts| parts.store = store.clone());
    world.call(&credentials, "ada").await.ok(0);
    store.close().await;
    let called = world
        .call_at(&credentials, "ada", "x", NOW + 3_600_000)
        .await;
    called.err("could not be");
}

#[tokio::test]
async fn a_dead_refresh_token_is_dropped_and_the_user_connects_again() {
    let world = connected(Behaviour::default()).await;
    let credentials = world.credentials(auth());
    world.kept.lock().unwrap().refresh = None;
    world.kept.lock().unwrap().valid.clear();
    let called = world
        .call_at(&credentials, "ada", "x", NOW + 3_600_000)
        .await;
    called.ok(1);
    let store = open(world.folder.path());
    let kind = Some(AuthEventKind::Upstream);
    let events = store.auth_events().search(kind, None, 100).await.unwrap();
    let lost = events
        .iter()
        .find(|it| it.reason.as_deref() == Some("invalid_grant"));
    assert_eq!(lost.unwrap().principal.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_token_that_the_server_refuses_is_refreshed_once() {
    let world = connected(Behaviour::default()).await;
    let credentials = world.credentials(auth());
    world.kept.lock().unwrap().valid.clear();
    world.call(&credentials, "ada").await.ok(0);
    assert_eq!(world.issuer().at("/token").len(), 2);
}

#[tokio::test]
async fn a_server_that_refuses_every_token_does_not_cost_the_connection() {
    let world = connected(Behaviour::default()).await;
    let credentials = world.credentials(auth());
    world.change(|it| it.challenge_dpop = true);
    world
        .call(&credentials, "ada")
        .await
        .err("every new credential");
    let tokens = world.issuer().at("/token").len();
    assert_eq!(tokens, 2);
    world.change(|it| it.challenge_dpop = false);
    world.call(&credentials, "ada").await.ok(0);
    assert_eq!(world.issuer().at("/token").len(), tokens);
}

#[tokio::test]
async fn a_disconnected_token_is_not_used_by_any_process() {
    let world = connected(Behaviour::default()).await;
    let one = world.credentials(auth());
    world.call(&one, "ada").await.ok(0);
    let other = world.credentials(auth());
    assert_eq!(one.connections("ada").await.unwrap().len(), 1);
    other.disconnect("ada", Some("files"), NOW).await.unwrap();
    world.call(&one, "ada").await.ok(1);
}

#[tokio::test]
async fn nothing_secret_is_in_the_database_in_the_clear() {
    let world = World::start(Behaviour {
        registration: json!({"client_id": "id", "client_secret": "canary-client-secret"}),
        ..Behaviour::default()
    })
    .await;
    let store = open(world.folder.path());
    let credentials = world.credentials_with(auth(), |_, parts| parts.store = store.clone());
    world.call(&credentials, "ada").await.ok(1);
    store.close().await;
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let found = bytes.windows(7).any(|it| it == b"canary-");
        assert!(!found);
    }
}
