//! API keys: made, shown, listed, ended.

use portcullis_oauth::api_key::{self, MintError, NewKey};
use portcullis_oauth::dpop::Mode;
use portcullis_oauth::identity::CredentialKind;
use portcullis_oauth::verifier::{Config, Reason};
use portcullis_store::{Settings, Store};

use crate::verifier_support::{Fixture, GATEWAY, NOW, resource};

fn new_key() -> NewKey<'static> {
    NewKey {
        name: "build server",
        subject: "ada",
        scopes: Some("tools:read".parse().unwrap()),
        resources: None,
        ttl_ms: api_key::TTL_MS,
    }
}

#[tokio::test]
async fn a_key_opens_until_it_is_revoked_by_whichever_process() {
    let fixture = Fixture::new(&Config::default());
    let path = fixture.folder.path().join("db");
    let theirs = Store::open_beside(&path, Settings::default()).unwrap();
    let minted = api_key::mint(&theirs, new_key(), NOW).await.unwrap();
    assert!(minted.key.starts_with(&format!("pck_{}_", minted.id)));
    assert_eq!(minted.key.len(), 4 + 12 + 1 + 43);
    for _ in 0..2 {
        let identity = fixture.bearer(&minted.key).await.unwrap();
        assert_eq!(&*identity.subject, "ada");
        assert_eq!(&*identity.issuer, GATEWAY);
        assert_eq!(identity.kind, CredentialKind::ApiKey);
        assert_eq!(*identity.token_id, *minted.id);
        assert_eq!(identity.scopes.as_ref().unwrap().to_string(), "tools:read");
    }
    let other = api_key::mint(&theirs, new_key(), NOW).await.unwrap();
    assert!(fixture.bearer(&other.key).await.is_ok());
    assert!(api_key::revoke(&theirs, &minted.id, NOW + 1).await.unwrap());
    let found = fixture.bearer(&minted.key).await;
    assert_eq!(found.map(drop), Err(Reason::Revoked));
    assert!(fixture.bearer(&other.key).await.is_ok());
    assert!(!api_key::revoke(&theirs, &minted.id, NOW + 1).await.unwrap());
    assert_eq!(api_key::revoke_all(&theirs, "ada", NOW).await.unwrap(), 1);
    let found = fixture.bearer(&other.key).await;
    assert_eq!(found.map(drop), Err(Reason::Revoked));
}

#[tokio::test]
async fn a_key_ends_by_itself() {
    let fixture = Fixture::new(&Config::default());
    let minted = api_key::mint(&fixture.store, new_key(), NOW).await.unwrap();
    assert_eq!(minted.expires_ms, NOW + api_key::TTL_MS);
    let before = fixture.bearer_at(&minted.key, minted.expires_ms - 1).await;
    assert!(before.is_ok());
    let after = fixture.bearer_at(&minted.key, minted.expires_ms).await;
    assert_eq!(after.map(drop), Err(Reason::Expired));
    for ttl_ms in [0, api_key::TTL_MAX_MS + 1] {
        let new = NewKey {
            ttl_ms,
            ..new_key()
        };
        let refused = api_key::mint(&fixture.store, new, NOW).await;
        assert!(matches!(refused, Err(MintError::Lifetime)), "{ttl_ms}");
    }
}

#[tokio::test]
async fn a_key_opens_only_the_resources_it_is_for() {
    let mut fixture = Fixture::new(&Config::default());
    let files = resource("/servers/files/mcp");
    let new = NewKey {
        resources: Some(std::slice::from_ref(&files)),
        ..new_key()
    };
    let minted = api_key::mint(&fixture.store, new, NOW).await.unwrap();
    let found = fixture.bearer(&minted.key).await;
    assert_eq!(found.map(drop), Err(Reason::Audience));
    fixture.resource = files;
    assert!(fixture.bearer(&minted.key).await.is_ok());
}

#[tokio::test]
async fn a_key_without_scopes_is_told_apart_from_a_key_of_no_scope() {
    let fixture = Fixture::new(&Config::default());
    for scopes in [None, Some("".parse().unwrap())] {
        let new = NewKey {
            scopes: scopes.clone(),
            ..new_key()
        };
        let minted = api_key::mint(&fixture.store, new, NOW).await.unwrap();
        let identity = fixture.bearer(&minted.key).await.unwrap();
        assert_eq!(identity.scopes, scopes);
    }
}

#[tokio::test]
async fn a_key_is_not_guessed_from_its_public_part() {
    let fixture = Fixture::new(&Config::default());
    let minted = api_key::mint(&fixture.store, new_key(), NOW).await.unwrap();
    let guess = format!("pck_{}_{}", minted.id, "A".repeat(43));
    for (key, reason) in [
        (guess.as_str(), Reason::UnknownKey),
        (
            &format!("pck_000000000000_{}", "A".repeat(43)),
            Reason::UnknownKey,
        ),
        (&format!("pck_{}", minted.id), Reason::Malformed),
        ("pck_", Reason::Malformed),
    ] {
        let found = fixture.bearer(key).await;
        assert_eq!(found.map(drop), Err(reason), "{key}");
    }
}

#[tokio::test]
async fn nothing_that_is_kept_of_a_key_opens_anything() {
    let fixture = Fixture::new(&Config::default());
    let minted = api_key::mint(&fixture.store, new_key(), NOW).await.unwrap();
    assert!(fixture.bearer(&minted.key).await.is_ok());
    let rows = api_key::list(&fixture.store, Some("ada")).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].name, "build server");
    assert_eq!(rows[0].last_used_ms, Some(NOW));
    assert!(
        api_key::list(&fixture.store, Some("eve"))
            .await
            .unwrap()
            .is_empty()
    );
    let secret = minted.key.rsplit('_').next().unwrap();
    let kept = format!("{rows:?} {:?} {minted:?}", fixture.events().await);
    assert!(!kept.contains(secret), "{kept}");
}

#[tokio::test]
async fn a_key_is_bound_to_nothing_so_it_opens_nothing_where_binding_is_required() {
    let config = Config {
        dpop: Mode::Required,
        ..Config::default()
    };
    let fixture = Fixture::new(&config);
    let minted = api_key::mint(&fixture.store, new_key(), NOW).await.unwrap();
    let found = fixture.bearer(&minted.key).await;
    assert_eq!(found.map(drop), Err(Reason::Unbound));
}
