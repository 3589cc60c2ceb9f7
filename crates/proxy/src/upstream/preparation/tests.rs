use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use portcullis_egress::Allowance;
use portcullis_sandbox::{Command, Confinement};
use tokio::sync::Notify;

use super::{NotReady, Preparation, Start};
use crate::upstream::{Grants, UpstreamError};

const PATIENCE: Duration = Duration::from_secs(30);

fn grants() -> Grants {
    Grants {
        confinement: Confinement::default(),
        allowance: Allowance::default(),
        preparation: None,
    }
}

fn start() -> Start {
    Start {
        program: "/usr/bin/node".to_owned(),
        args: vec!["server.js".to_owned()],
        reads: vec!["/packages/demo".into()],
    }
}

/// A preparation that ends when it is told to, and how often it began.
fn held() -> (Preparation, Arc<Notify>, Arc<AtomicUsize>) {
    let (go, begun) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (waits, counts) = (Arc::clone(&go), Arc::clone(&begun));
    let preparation = Preparation::new("demo", move || {
        counts.fetch_add(1, Ordering::Relaxed);
        let waits = Arc::clone(&waits);
        async move {
            waits.notified().await;
            Ok(start())
        }
        .boxed()
    });
    (preparation, go, begun)
}

#[tokio::test]
async fn what_is_started_takes_the_place_of_the_command_and_keeps_its_environment() {
    let (preparation, go, _) = held();
    go.notify_one();
    let command = Command {
        program: "npx".to_owned(),
        env: vec![("KEY".to_owned(), "value".to_owned())],
        ..Command::default()
    };
    let applied = preparation.apply(&command, &grants(), PATIENCE).await;
    let (command, grants) = applied.unwrap();
    assert_eq!(command.program, "/usr/bin/node");
    assert_eq!(command.args, ["server.js"]);
    assert_eq!(command.env.len(), 1);
    assert_eq!(
        grants.confinement.reads,
        [std::path::Path::new("/packages/demo")]
    );
}

#[tokio::test]
async fn those_that_wait_share_one_preparation_which_outlasts_their_patience() {
    let (preparation, go, begun) = held();
    let (command, grants) = (Command::default(), grants());
    let hurry = || preparation.apply(&command, &grants, Duration::from_millis(1));
    let (one, other) = tokio::join!(hurry(), hurry());
    assert!(matches!(one, Err(UpstreamError::Preparing)));
    assert!(matches!(other, Err(UpstreamError::Preparing)));
    let apply = || preparation.apply(&command, &grants, PATIENCE);
    let (_told, applied) = tokio::join!(async { go.notify_one() }, apply());
    applied.unwrap();
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    // The next start is prepared anew.
    go.notify_one();
    apply().await.unwrap();
    assert_eq!(begun.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_server_that_is_not_ready_says_why() {
    let preparation = Preparation::new("demo", || {
        async { Err(NotReady::new("it was changed", None)) }.boxed()
    });
    let command = Command::default();
    let refused = preparation.apply(&command, &grants(), PATIENCE).await;
    assert_eq!(refused.unwrap_err().to_string(), "it was changed");
}
