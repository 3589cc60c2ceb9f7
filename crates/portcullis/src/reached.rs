//! Records what confined servers reached over the network.

use std::sync::Arc;
use std::time::Duration;

use portcullis_egress::{Connection, Kind, Recorder, Verdict};
use portcullis_store::{ConnectionRecord, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Connections that wait to be recorded; one more is counted in the log.
const WAITING_MAX: usize = 4096;
/// Connections that are recorded at a time.
const BATCH: usize = 256;
/// How long what came last is waited for at the end.
const LAST: Duration = Duration::from_secs(5);

/// Writes to the record, away from the path of messages.
#[derive(Debug)]
pub(crate) struct Reached {
    sender: mpsc::Sender<Connection>,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

impl Reached {
    /// Begins to record in `store`; to be called on a Tokio runtime.
    pub(crate) fn begin(store: Store) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let ending = CancellationToken::new();
        let task = tokio::spawn(write(store, receiver, ending.clone()));
        Self {
            sender,
            ending,
            task,
        }
    }

    /// Where connections are told.
    pub(crate) fn recorder(&self) -> Recorder {
        let sender = self.sender.clone();
        Arc::new(move |connection| {
            if let Err(error) = sender.try_send(connection) {
                let (mpsc::error::TrySendError::Full(lost)
                | mpsc::error::TrySendError::Closed(lost)) = error;
                tracing::error!(
                    server = lost.server,
                    host = lost.host,
                    "a connection of a confined server was not recorded"
                );
            }
        })
    }

    /// Records what is left.
    pub(crate) async fn end(self) {
        self.ending.cancel();
        if tokio::time::timeout(LAST, self.task).await.is_err() {
            tracing::error!("the last connections of confined servers were not recorded");
        }
    }
}

async fn write(store: Store, mut receiver: mpsc::Receiver<Connection>, ending: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let count = tokio::select! {
            biased;
            count = receiver.recv_many(&mut batch, BATCH) => count,
            () = ending.cancelled() => 0,
        };
        if count == 0 {
            return;
        }
        let records = batch.drain(..).map(record).collect();
        if let Err(error) = store.connections().append(records).await {
            tracing::error!(%error, count, "connections of confined servers were not recorded");
        }
    }
}

fn record(connection: Connection) -> ConnectionRecord {
    let kind = match connection.kind {
        Kind::Connect => "connect",
        Kind::Request => "request",
        Kind::CapturedTls => "captured-tls",
        Kind::CapturedRequest => "captured-request",
        Kind::Lookup => "lookup",
        _ => "other",
    };
    ConnectionRecord {
        started_ms: connection.started_ms,
        duration_ms: u64::try_from(connection.duration.as_millis()).unwrap_or(u64::MAX),
        server: connection.server,
        tool: connection.tool,
        host: connection.host,
        port: connection.port,
        kind: kind.to_owned(),
        method: connection.method,
        bytes_out: connection.bytes_out,
        bytes_in: connection.bytes_in,
        verdict: match connection.verdict {
            Verdict::Allowed => "allowed",
            Verdict::Denied => "denied",
            Verdict::Failed => "failed",
            Verdict::Cut => "cut",
        }
        .to_owned(),
        reason: connection.reason.map(|reason| reason.to_string()),
    }
}
