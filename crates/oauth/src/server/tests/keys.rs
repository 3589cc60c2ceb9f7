//! The signing keys change without a token being refused for it.

use super::*;
use crate::server::Rotation;

const DAY: u64 = 86_400_000;
const MINUTE: u64 = 60_000;

async fn kid(harness: &Harness, now_ms: u64) -> String {
    harness
        .server
        .keys
        .signer(now_ms)
        .await
        .unwrap()
        .kid()
        .to_owned()
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs_and_the_last_one_after() {
    let harness = harness().await;
    let mut changes = harness.server.key_changes();
    changes.mark_unchanged();
    let first = kid(&harness, NOW).await;
    harness.server.housekeep(NOW + 29 * DAY).await.unwrap();
    assert_eq!(harness.server.public_keys().len(), 1);
    assert!(!changes.has_changed().unwrap());

    let due = NOW + 30 * DAY - 15 * MINUTE;
    harness.server.housekeep(due).await.unwrap();
    harness.server.housekeep(due + MINUTE).await.unwrap();
    assert_eq!(harness.server.public_keys().len(), 2);
    assert!(changes.has_changed().unwrap());
    assert_eq!(kid(&harness, due + 14 * MINUTE).await, first);
    let second = kid(&harness, due + 15 * MINUTE).await;
    assert_ne!(first, second);

    // A token of the first key is believed for as long as it lives.
    harness.server.housekeep(due + 49 * MINUTE).await.unwrap();
    assert_eq!(harness.server.public_keys().len(), 2);
    harness.server.housekeep(due + 50 * MINUTE).await.unwrap();
    let left = harness.server.public_keys();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].common.key_id.as_deref(), Some(&*second));
    let events = harness.events().await;
    let rotations = events.iter().filter(|it| it.kind == "key_rotation").count();
    assert_eq!(rotations, 3);
}

#[tokio::test]
async fn two_processes_rotate_once() {
    let harness = harness().await;
    let other = build(config(), harness.store.clone(), Arc::clone(&harness.vault)).await;
    assert_eq!(harness.server.public_keys(), other.public_keys());
    let due = NOW + 30 * DAY;
    let (a, b) = tokio::join!(harness.server.housekeep(due), other.housekeep(due));
    a.unwrap();
    b.unwrap();
    let rows = harness.store.signing_keys().all().await.unwrap();
    assert_eq!(rows.len(), 2);
    // Each knows at its next signature what the other did.
    let later = due + 20 * MINUTE;
    let one = kid(&harness, later).await;
    assert_eq!(other.keys.signer(later).await.unwrap().kid(), one);
}

#[tokio::test]
async fn a_planned_change_out_of_turn_is_made_once() {
    let harness = harness().await;
    assert!(
        harness
            .server
            .rotate_keys(Rotation::Planned, NOW + 1)
            .await
            .unwrap()
    );
    assert!(
        !harness
            .server
            .rotate_keys(Rotation::Planned, NOW + 2)
            .await
            .unwrap()
    );
    assert_eq!(harness.server.public_keys().len(), 2);
}

#[tokio::test]
async fn a_compromised_key_is_gone_at_once() {
    let harness = harness().await;
    let tokens = harness.tokens().await;
    let token = tokens["access_token"].as_str().unwrap();
    assert!(harness.is_active(token).await);
    harness
        .server
        .rotate_keys(Rotation::Compromised, NOW)
        .await
        .unwrap();
    assert!(!harness.is_active(token).await);
    // The grant lives on.
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(harness.refresh(refresh, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn keys_are_kept_sealed_and_survive() {
    let harness = harness().await;
    let row = &harness.store.signing_keys().all().await.unwrap()[0];
    let signer = harness.server.keys.signer(NOW).await.unwrap();
    let found = row
        .sealed
        .windows(16)
        .any(|it| signer.der().windows(16).any(|key| key == it));
    assert!(!found);
    let again = build(config(), harness.store.clone(), Arc::clone(&harness.vault)).await;
    assert_eq!(again.keys.signer(NOW).await.unwrap().kid(), signer.kid());
}

#[tokio::test]
async fn an_administrators_command_changes_the_keys_of_a_running_gateway() {
    use crate::server::keys::{self, KeyStage};
    let harness = harness().await;
    let first = kid(&harness, NOW).await;
    let path = harness.store.path().to_owned();
    let theirs =
        || portcullis_store::Store::open_beside(&path, portcullis_store::Settings::default());
    let vault = || Arc::clone(&harness.vault);
    let base: Url = "https://gw.example".parse().unwrap();
    let rotate = |rotation, now_ms| {
        let store = theirs().unwrap();
        keys::rotate(store, vault(), &base, rotation, now_ms)
    };
    assert!(rotate(Rotation::Planned, NOW).await.unwrap());
    assert!(!rotate(Rotation::Planned, NOW + 1).await.unwrap());
    assert_eq!(kid(&harness, NOW + 14 * MINUTE).await, first);
    let second = kid(&harness, NOW + 15 * MINUTE).await;
    assert_ne!(first, second);
    assert_eq!(harness.server.public_keys().len(), 2);
    let listed = keys::list(&theirs().unwrap(), NOW).await.unwrap();
    let stages: Vec<_> = listed.iter().map(|key| (&*key.kid, key.stage)).collect();
    assert_eq!(
        stages,
        [(&*second, KeyStage::Next), (&*first, KeyStage::Signing)]
    );
    assert!(
        rotate(Rotation::Compromised, NOW + 16 * MINUTE)
            .await
            .unwrap()
    );
    let third = kid(&harness, NOW + 16 * MINUTE).await;
    assert!(third != first && third != second);
    assert_eq!(harness.server.public_keys().len(), 1);
}

#[tokio::test]
async fn the_first_command_of_all_leaves_a_key_that_signs() {
    use crate::server::keys::{self, KeyStage};
    let folder = tempfile::tempdir().unwrap();
    let settings = portcullis_store::Settings::default();
    let store = portcullis_store::Store::open_beside(&folder.path().join("db"), settings).unwrap();
    let vault = Arc::new(crate::vault::Vault::open(&folder.path().join("key")).unwrap());
    let base: Url = "https://gw.example".parse().unwrap();
    let planned = Rotation::Planned;
    assert!(
        keys::rotate(store.clone(), vault, &base, planned, NOW)
            .await
            .unwrap()
    );
    // Keys that another sealing key sealed are replaced all the same.
    let listed = keys::list(&store, NOW).await.unwrap();
    let stages: Vec<_> = listed.iter().map(|key| key.stage).collect();
    assert_eq!(stages, [KeyStage::Next, KeyStage::Signing]);
    let other = Arc::new(crate::vault::Vault::new(&[7; 32]).unwrap());
    let rotate = |rotation| keys::rotate(store.clone(), Arc::clone(&other), &base, rotation, NOW);
    assert!(rotate(Rotation::Planned).await.is_err());
    assert!(rotate(Rotation::Compromised).await.unwrap());
    assert_eq!(keys::list(&store, NOW).await.unwrap().len(), 1);
}
