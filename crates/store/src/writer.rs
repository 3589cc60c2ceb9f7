//! The one thread that writes, and the queue before it.
//!
//! The writer takes everything that is queued and commits it in one transaction; while it does, the
//! next group gathers. A lone record is committed at once. Completed calls do not wake it: they ride
//! along with the next insert, or are written when it looks for them, which it does now and then
//! while calls are open.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use crate::auth_events::{self, AuthEvent};
use crate::calls::{CallEnd, CallId, CallStart, Open, Outcome};

/// How soon the writer looks for completed calls after an insert; then after twice the time, and so
/// on up to [`LOOK_MAX`], since a call that takes long is not worth a wake-up every moment.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// How long a completed call waits at most; also the pause after a failed commit.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// How long the writer lets a group gather once several calls at a time have been waiting: a commit costs more than the calls in
/// it, and calls that come together can wait together.
const GATHER: Duration = Duration::from_micros(100);

/// A group of this size is reason to let the next one gather.
const GATHER_FROM: usize = 3;

/// How much that nobody waits for is kept while the database refuses it; what is more is dropped and logged.
const LATE_MAX: usize = 65_536;

/// Why a record could not be made. Nothing may go on without it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The store was closed, or its thread has ended.
    #[error("the store is closed; the gateway is shutting down")]
    Closed,
    /// `SQLite` refused the commit.
    #[error("the record could not be committed; check that the disk is neither full nor failing")]
    Write(#[source] Arc<rusqlite::Error>),
    /// It was committed, but other processes could not be told.
    #[error("the change could not be announced; check that the state directory is writable")]
    Epoch(#[source] Arc<io::Error>),
}

type Reply = oneshot::Sender<Result<(), RecordError>>;

/// What somebody waits for.
enum Urgent {
    Insert {
        id: i64,
        start: Box<CallStart>,
        end: Option<CallEnd>,
        reply: Reply,
    },
    Flush {
        reply: Reply,
    },
    Work(Box<dyn Work>),
}

/// Statements that somebody waits for, on tables other than that of calls.
trait Work: Send {
    /// Runs the statements. An error undoes them, and harms nobody else in the group.
    fn run(&mut self, connection: &Connection);

    /// Gives the answer, or says why the group was not committed.
    fn settle(self: Box<Self>, committed: Result<(), RecordError>);
}

/// [`Work`] that a closure does.
struct Task<F, T> {
    statements: Option<F>,
    answer: Option<rusqlite::Result<T>>,
    reply: oneshot::Sender<Result<T, RecordError>>,
}

impl<F, T> Work for Task<F, T>
where
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) {
        let Some(statements) = self.statements.take() else {
            return;
        };
        self.answer = Some(within_savepoint(connection, statements));
    }

    fn settle(self: Box<Self>, committed: Result<(), RecordError>) {
        let answer = match (committed, self.answer) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(answer)) => answer.map_err(|error| RecordError::Write(Arc::new(error))),
            (Ok(()), None) => Err(RecordError::Closed),
        };
        if self.reply.send(answer).is_err() {
            tracing::debug!("nobody waits for a write any more");
        }
    }
}

fn within_savepoint<T>(
    connection: &Connection,
    statements: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("SAVEPOINT task")?.execute([])?;
    let answer = statements(connection);
    if answer.is_err() {
        connection.prepare_cached("ROLLBACK TO task")?.execute([])?;
    }
    connection.prepare_cached("RELEASE task")?.execute([])?;
    answer
}

/// What nobody waits for: it rides along with a later commit.
enum Late {
    End(i64, CallEnd),
    Note(Box<AuthEvent>),
}

#[derive(Default)]
struct Queue {
    urgent: Vec<Urgent>,
    late: Vec<Late>,
    closing: bool,
    parked: bool,
    // INVARIANT: taken under the queue's lock, so that keys are queued, and committed, in order;
    // the low-water mark relies on it.
    last_id: i64,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    places: Semaphore,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `last` is the largest key in the table.
    pub(crate) fn start(connection: Connection, last: i64, waiting_max: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                last_id: last,
                ..Queue::default()
            }),
            ready: Condvar::new(),
            places: Semaphore::new(waiting_max.clamp(1, Semaphore::MAX_PERMITS)),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || run(&theirs, &connection))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) async fn insert(
        &self,
        start: CallStart,
        end: Option<CallEnd>,
    ) -> Result<CallId, RecordError> {
        // Held until the commit: what waits is bounded, and those beyond it wait here.
        let Ok(_place) = self.shared.places.acquire().await else {
            return Err(RecordError::Closed);
        };
        let start = Box::new(start);
        let mut id = 0;
        self.submit(|queue, reply| {
            queue.last_id = queue.last_id.saturating_add(1);
            id = queue.last_id;
            Urgent::Insert {
                id,
                start,
                end,
                reply,
            }
        })
        .await?;
        Ok(CallId(id))
    }

    pub(crate) fn finish(&self, id: CallId, end: CallEnd) {
        self.shared.queue.lock().late.push(Late::End(id.0, end));
    }

    pub(crate) fn note(&self, event: AuthEvent) {
        let mut queue = self.shared.queue.lock();
        if queue.late.len() >= LATE_MAX {
            drop(queue);
            tracing::warn!(
                kind = event.kind.as_str(),
                reason = event.reason,
                "an authentication event is not recorded: too many wait"
            );
            return;
        }
        queue.late.push(Late::Note(Box::new(event)));
        // Without an open call the writer sleeps until somebody calls.
        if queue.parked {
            self.shared.ready.notify_one();
        }
    }

    /// Runs `statements` in a transaction and resolves once it is committed. Tasks run one after
    /// another, in the order of their calls: what one finds, no other has changed before it is committed.
    /// An error undoes the task's own statements. When the future is dropped, the task runs all the same.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, RecordError> {
        let Ok(_place) = self.shared.places.acquire().await else {
            return Err(RecordError::Closed);
        };
        let (reply, answer) = oneshot::channel();
        self.enqueue(|_| {
            Urgent::Work(Box::new(Task {
                statements: Some(statements),
                answer: None,
                reply,
            }))
        })?;
        answer.await.unwrap_or(Err(RecordError::Closed))
    }

    pub(crate) async fn flush(&self) -> Result<(), RecordError> {
        self.submit(|_, reply| Urgent::Flush { reply }).await
    }

    pub(crate) async fn close(&self) {
        let Some(thread) = self.stop() else { return };
        if tokio::task::spawn_blocking(move || thread.join())
            .await
            .is_err()
        {
            tracing::error!("the store's writer could not be awaited");
        }
    }

    async fn submit(
        &self,
        make: impl FnOnce(&mut Queue, Reply) -> Urgent,
    ) -> Result<(), RecordError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(|queue| make(queue, reply))?;
        // The sender is dropped without a word only when the thread has ended.
        answer.await.unwrap_or(Err(RecordError::Closed))
    }

    fn enqueue(&self, make: impl FnOnce(&mut Queue) -> Urgent) -> Result<(), RecordError> {
        let mut queue = self.shared.queue.lock();
        if queue.closing {
            return Err(RecordError::Closed);
        }
        let urgent = make(&mut queue);
        queue.urgent.push(urgent);
        if queue.parked {
            queue.parked = false;
            self.shared.ready.notify_one();
        }
        Ok(())
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        self.shared.queue.lock().closing = true;
        self.shared.ready.notify_one();
        self.thread.lock().take()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(thread) = self.stop()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer ended by a panic");
        }
    }
}

/// Closes the door when the thread ends, however it ends: whoever waits is told.
struct Door<'a>(&'a Shared);

impl Drop for Door<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.closing = true;
        queue.urgent.clear();
        drop(queue);
        self.0.places.close();
    }
}

fn run(shared: &Shared, connection: &Connection) {
    let door = Door(shared);
    let mut open = Open::default();
    let mut urgent = Vec::new();
    let mut late = Vec::new();
    let mut gathers = false;
    loop {
        if gathers {
            std::thread::sleep(GATHER);
        }
        let closing = take(shared, open.any(), &mut urgent, &mut late);
        gathers = urgent.len() >= GATHER_FROM && !closing;
        let idle = urgent.is_empty() && late.is_empty();
        if !idle || closing {
            commit(
                shared,
                connection,
                &mut open,
                &mut urgent,
                &mut late,
                closing,
            );
        }
        if closing && idle {
            break;
        }
    }
    drop(door);
}

/// Waits for something to do and takes all of it. Tells whether the store is closing.
///
/// `open` tells that calls are open, so that ends may come; `late` holds what an earlier commit
/// failed to write.
fn take(shared: &Shared, open: bool, urgent: &mut Vec<Urgent>, late: &mut Vec<Late>) -> bool {
    let mut queue = shared.queue.lock();
    let mut pause = if late.is_empty() { LOOK_MIN } else { LOOK_MAX };
    while queue.urgent.is_empty() && !queue.closing {
        queue.parked = true;
        if open || !late.is_empty() || !queue.late.is_empty() {
            if shared.ready.wait_for(&mut queue, pause).timed_out() {
                if !late.is_empty() || !queue.late.is_empty() {
                    break;
                }
                pause = pause.saturating_mul(2).min(LOOK_MAX);
            }
        } else {
            shared.ready.wait(&mut queue);
        }
    }
    queue.parked = false;
    std::mem::swap(urgent, &mut queue.urgent);
    late.append(&mut queue.late);
    queue.closing
}

/// Writes one group and tells those who wait. What nobody waits for stays for the next one.
fn commit(
    shared: &Shared,
    connection: &Connection,
    open: &mut Open,
    urgent: &mut Vec<Urgent>,
    late: &mut Vec<Late>,
    closing: bool,
) {
    let outcome = write(connection, open, urgent, late, closing);
    match &outcome {
        Ok(()) => late.clear(),
        Err(error) => {
            tracing::error!(error = %error, "the record could not be committed");
            if !connection.is_autocommit()
                && let Err(error) = connection.execute_batch("ROLLBACK")
            {
                tracing::error!(error = %error, "the record's transaction could not be rolled back");
            }
            if closing || late.len() > LATE_MAX {
                tracing::error!(count = late.len(), "ends of calls and notes are lost");
                late.clear();
            }
        }
    }
    let outcome = outcome.map_err(|error| RecordError::Write(Arc::new(error)));
    let mut abandoned = Vec::new();
    for item in urgent.drain(..) {
        match item {
            Urgent::Insert { id, end, reply, .. } => {
                if outcome.is_err() {
                    open.forget(id);
                }
                // The caller went away while the row was written: nobody else will end it.
                if reply.send(outcome.clone()).is_err() && outcome.is_ok() && end.is_none() {
                    abandoned.push(Late::End(id, CallEnd::bare(Outcome::Abandoned)));
                }
            }
            Urgent::Flush { reply } => {
                if reply.send(outcome.clone()).is_err() {
                    tracing::debug!("nobody waits for the flush any more");
                }
            }
            Urgent::Work(work) => work.settle(outcome.clone()),
        }
    }
    if !abandoned.is_empty() {
        shared.queue.lock().late.append(&mut abandoned);
    }
}

fn write(
    connection: &Connection,
    open: &mut Open,
    urgent: &mut [Urgent],
    late: &[Late],
    closing: bool,
) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for item in urgent.iter_mut() {
        match item {
            Urgent::Insert { id, start, end, .. } => {
                open.insert(connection, *id, start, end.as_ref())?;
            }
            Urgent::Flush { .. } => {}
            Urgent::Work(work) => work.run(connection),
        }
    }
    for late in late {
        match late {
            Late::End(id, end) => open.finish(connection, *id, end)?,
            Late::Note(event) => auth_events::insert(connection, event)?,
        }
    }
    open.mark(connection, closing)?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
