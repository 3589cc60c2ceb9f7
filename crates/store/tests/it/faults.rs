//! No record, no `Ok`: what happens when the file cannot be written, and after a crash.

use std::path::Path;

use portcullis_store::{CallFilter, OpenError, Outcome, RecordError, Settings, Store};

use crate::calls::{end, open, start};

async fn outcomes(store: &Store) -> Vec<String> {
    let filter = CallFilter {
        rows_max: Some(10_000),
        ..CallFilter::default()
    };
    let rows = store.calls().search(filter).await.unwrap();
    rows.into_iter().map(|row| row.outcome).collect()
}

/// Copies the database as a crash would leave it: the process still holds it open.
fn crash(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(from), name(to)).unwrap();
    }
}

#[tokio::test]
async fn a_closed_store_records_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let id = store.calls().begin(start("r1")).await.unwrap();
    store.calls().finish(id, end(Outcome::Ok));
    store.close().await;
    store.close().await;
    let error = store.calls().begin(start("r2")).await.unwrap_err();
    assert!(matches!(error, RecordError::Closed), "{error:?}");
    assert_eq!(outcomes(&store).await, ["ok"]);
}

#[tokio::test]
async fn a_full_store_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let settings = Settings {
        size_max_bytes: Some(512 * 1024),
        ..Settings::default()
    };
    let store = Store::open(&path, settings).unwrap();
    let mut begun = 0;
    let error = loop {
        match store.calls().begin(start("r")).await {
            Ok(id) => {
                begun += 1;
                store.calls().finish(id, end(Outcome::Ok));
            }
            Err(error) => break error,
        }
        assert!(begun < 10_000, "the bound never held");
    };
    assert!(matches!(error, RecordError::Write(_)), "{error:?}");
    store.close().await;
    // What was begun is there, nothing else is.
    let store = open(&path);
    assert_eq!(outcomes(&store).await.len(), begun);
    store.calls().begin(start("more")).await.unwrap();
}

#[tokio::test]
async fn what_a_crash_left_open_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = open(&path);
    let done = store.calls().begin(start("done")).await.unwrap();
    store.calls().finish(done, end(Outcome::Ok));
    store.calls().begin(start("open")).await.unwrap();
    store.calls().flush().await.unwrap();
    let copy = folder.path().join("copy");
    crash(&path, &copy);

    let reopened = open(&copy);
    assert_eq!(outcomes(&reopened).await, ["interrupted", "ok"]);
    assert_eq!(reopened.calls().unfinished().await.unwrap(), 0);
    let next = reopened.calls().begin(start("next")).await.unwrap();
    assert!(next > done);
    assert_eq!(reopened.calls().unfinished().await.unwrap(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_an_abandoned_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    {
        let mut begin = Box::pin(store.calls().begin(start("gone")));
        // One poll queues the row; then the future is dropped.
        assert!(futures_poll(&mut begin).is_pending());
    }
    store.calls().flush().await.unwrap();
    store.calls().flush().await.unwrap();
    assert_eq!(outcomes(&store).await, ["abandoned"]);
}

fn futures_poll<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> std::task::Poll<F::Output> {
    let waker = std::task::Waker::noop();
    future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker))
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    std::fs::write(
        &path,
        "this is no database, and long enough to be seen as such".repeat(20),
    )
    .unwrap();
    let error = Store::open(&path, Settings::default()).unwrap_err();
    assert!(
        matches!(error, OpenError::Sql { .. } | OpenError::Migrate { .. }),
        "{error:?}"
    );
    let error = Store::open(
        &folder.path().join("no/such/folder/db"),
        Settings::default(),
    )
    .unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}
