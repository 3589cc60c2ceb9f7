//! What is begun is on the disk before the caller goes on; what ends is completed.

use std::path::Path;
use std::sync::Arc;

use portcullis_store::{CallEnd, CallFilter, CallStart, Outcome, Settings, Store};

pub(crate) fn open(path: &Path) -> Store {
    Store::open(path, Settings::default()).unwrap()
}

pub(crate) fn start(request_id: &str) -> CallStart {
    CallStart {
        request_id: request_id.into(),
        started_ms: 1_790_000_000_000,
        principal: Arc::from("ada"),
        client: Some("claude-code".into()),
        session: None,
        server: "files".into(),
        method: "tools/call".into(),
        target: Some("read_file".into()),
        era_client: "modern",
        era_server: "legacy",
        arguments_bytes: 250,
        arguments_sha256: Some([7; 32]),
        arguments: None,
        oauth_client: None,
        scopes: None,
        verdict: None,
    }
}

pub(crate) fn end(outcome: Outcome) -> CallEnd {
    CallEnd {
        result_bytes: Some(1234),
        duration_us: Some(950),
        completed_ms: Some(1_790_000_000_001),
        ..CallEnd::bare(outcome)
    }
}

#[tokio::test]
async fn a_call_is_begun_and_finished() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let id = store.calls().begin(start("r1")).await.unwrap();
    let rows = store.calls().search(CallFilter::default()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].id, id);
    assert_eq!(rows[0].outcome, "started");
    assert_eq!(rows[0].arguments_sha256.as_deref(), Some(&[7_u8; 32][..]));
    assert_eq!(store.calls().unfinished().await.unwrap(), 1);

    store.calls().finish(id, end(Outcome::ToolError));
    store.calls().flush().await.unwrap();
    let rows = store.calls().search(CallFilter::default()).await.unwrap();
    assert_eq!(rows[0].outcome, "tool_error");
    assert_eq!(rows[0].result_bytes, Some(1234));
    assert_eq!(rows[0].duration_us, Some(950));
    assert_eq!(store.calls().unfinished().await.unwrap(), 0);
}

#[tokio::test]
async fn a_denial_is_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    let denied = CallEnd {
        denial_code: Some("unknown-tool"),
        ..end(Outcome::Denied)
    };
    store.calls().deny(start("r1"), denied).await.unwrap();
    let rows = store.calls().search(CallFilter::default()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].outcome, "denied");
    assert_eq!(rows[0].denial_code.as_deref(), Some("unknown-tool"));
}

#[tokio::test]
async fn rows_are_selected_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("db"));
    for number in 0..5 {
        let id = store
            .calls()
            .begin(start(&format!("r{number}")))
            .await
            .unwrap();
        store.calls().finish(
            id,
            end(if number == 3 {
                Outcome::Timeout
            } else {
                Outcome::Ok
            }),
        );
    }
    store.calls().flush().await.unwrap();
    let names = async |filter| {
        let rows = store.calls().search(filter).await.unwrap();
        rows.into_iter()
            .map(|row| row.request_id)
            .collect::<Vec<_>>()
    };
    let all = names(CallFilter::default()).await;
    assert_eq!(all, ["r4", "r3", "r2", "r1", "r0"]);
    let timeouts = CallFilter {
        outcome: Some(Outcome::Timeout),
        ..CallFilter::default()
    };
    assert_eq!(names(timeouts).await, ["r3"]);
    let two = CallFilter {
        rows_max: Some(2),
        ..CallFilter::default()
    };
    assert_eq!(names(two).await, ["r4", "r3"]);
    let others = CallFilter {
        principal: Some("eve".into()),
        ..CallFilter::default()
    };
    assert!(names(others).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let settings = Settings {
        waiting_max: 4,
        ..Settings::default()
    };
    let store = Store::open(&path, settings).unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    let id = store
                        .calls()
                        .begin(start(&format!("{task}-{number}")))
                        .await
                        .unwrap();
                    store.calls().finish(id, end(Outcome::Ok));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    store.close().await;
    let filter = CallFilter {
        rows_max: Some(10_000),
        ..CallFilter::default()
    };
    let rows = store.calls().search(filter).await.unwrap();
    assert_eq!(rows.len(), 64 * 20);
    assert!(rows.iter().all(|row| row.outcome == "ok"));
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let store = open(&path);
    store.calls().begin(start("r1")).await.unwrap();
    for name in ["db", "db-wal", "db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
