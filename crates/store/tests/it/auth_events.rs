//! Authentication events are kept, whether somebody waits for them or not, and other processes hear of revocations.

use std::time::Duration;

use portcullis_store::{
    AuthEvent, AuthEventFilter, AuthEventKind, AuthOutcome, Revocation, Settings, Store,
};

use crate::calls::open;

fn event(kind: AuthEventKind, outcome: AuthOutcome) -> AuthEvent {
    AuthEvent {
        principal: Some("ada".into()),
        reason: Some("expired"),
        ..AuthEvent::new(1_790_000_000_000, kind, outcome)
    }
}

#[tokio::test]
async fn an_event_is_there_once_it_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let events = store.auth_events();
    events
        .append(event(AuthEventKind::Token, AuthOutcome::Success))
        .await
        .unwrap();
    let rows = events.search(None, None, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].kind, "token");
    assert_eq!(rows[0].principal.as_deref(), Some("ada"));
    let none = events.search(Some(AuthEventKind::Login), None, 10).await;
    assert!(none.unwrap().is_empty());
}

#[tokio::test]
async fn events_are_found_by_kind_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    for at_ms in [10, 20, 30] {
        let event = AuthEvent::new(at_ms, AuthEventKind::Login, AuthOutcome::Success);
        store.auth_events().append(event).await.unwrap();
    }
    let find = |since_ms, rows_max| {
        store.auth_events().find(AuthEventFilter {
            kind: Some(AuthEventKind::Login),
            before: None,
            since_ms,
            rows_max,
        })
    };
    let times = |rows: Vec<portcullis_store::AuthEventRow>| -> Vec<u64> {
        rows.into_iter().map(|row| row.at_ms).collect()
    };
    assert_eq!(times(find(None, 10).await.unwrap()), [30, 20, 10]);
    assert_eq!(times(find(Some(20), 10).await.unwrap()), [30, 20]);
    assert_eq!(times(find(Some(20), 1).await.unwrap()), [30]);
    for kind in AuthEventKind::ALL {
        assert_eq!(AuthEventKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(AuthEventKind::parse("nonsense"), None);
}

#[tokio::test]
async fn a_note_is_written_though_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = open(&path);
    // The writer is asleep by then.
    store.calls().flush().await.unwrap();
    for _ in 0..3 {
        let failed = event(AuthEventKind::Authentication, AuthOutcome::Failure);
        store.auth_events().note(failed);
    }
    tokio::time::timeout(Duration::from_secs(30), async {
        while store
            .auth_events()
            .search(None, None, 10)
            .await
            .unwrap()
            .len()
            < 3
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    // What is noted last is written at the end.
    store
        .auth_events()
        .note(event(AuthEventKind::Login, AuthOutcome::Failure));
    store.close().await;
    let store = Store::open_beside(&path, Settings::default()).unwrap();
    let rows = store.auth_events().search(None, None, 10).await.unwrap();
    assert_eq!(rows.len(), 4);
}

#[tokio::test]
async fn another_process_sees_the_epoch_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let ours = open(&path);
    let theirs = Store::open_beside(&path, Settings::default()).unwrap();
    let before = ours.epoch();
    assert_eq!(ours.epoch(), before);
    theirs.advance_epoch().unwrap();
    let after = ours.epoch();
    assert_ne!(after, before);
    assert_eq!(after, theirs.epoch());
    ours.advance_epoch().unwrap();
    assert_ne!(theirs.epoch(), after);
}

#[tokio::test]
async fn a_revocation_reaches_what_was_issued_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let epoch = store.epoch();
    store
        .revocations()
        .add(Revocation {
            id: "sub:ada".to_owned(),
            before_ms: 1000,
            until_ms: 5000,
        })
        .await
        .unwrap();
    assert_ne!(store.epoch(), epoch);
    let any = async |ids: &[&str], issued_ms| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        store.revocations().any(ids, issued_ms).await.unwrap()
    };
    assert!(any(&["jti:1", "sub:ada"], 1000).await);
    assert!(!any(&["jti:1", "sub:ada"], 1001).await);
    assert!(!any(&["jti:1", "sub:eve"], 1000).await);
    assert_eq!(store.revocations().forget(5000).await.unwrap(), 0);
    assert_eq!(store.revocations().forget(5001).await.unwrap(), 1);
    assert!(!any(&["sub:ada"], 1000).await);
}
