//! One connection that writes, and the queue before it.
//!
//! Whoever finds the queue without a leader becomes it: the leader lets the tasks that are ready go first, so that a group
//! gathers, and commits all that is queued in one transaction, without another thread having to wake. A thread stands by: it
//! leads where a commit waits for the disk, takes over from a leader that went away or has led long enough, folds the log
//! back, and writes what nobody waits for. Completed calls wake nobody: they ride along with the next commit, or are written when
//! the thread looks for them, which it does now and then while calls are open.

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

/// How many groups a leader commits before the thread takes over.
const GROUPS_MAX: usize = 4;

/// After how many commits the log is folded back into the database: that takes two waits for the disk.
const FOLD_AFTER: u32 = 1000;

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

/// What the thread does.
#[derive(Clone, Copy, Default, PartialEq)]
enum Thread {
    #[default]
    Busy,
    /// It waits to be told, and looks now and then.
    Dozing,
    /// It waits to be told.
    Asleep,
}

#[derive(Default)]
struct Queue {
    urgent: Vec<Urgent>,
    late: Vec<Late>,
    closing: bool,
    thread: Thread,
    /// A leader is about to commit what is queued.
    led: bool,
    /// The log has grown enough to be folded back.
    fold: bool,
    // INVARIANT: taken under the queue's lock, so that keys are queued, and committed, in order;
    // the low-water mark relies on it.
    last_id: i64,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    places: Semaphore,
    /// `None` once it is closed.
    database: Mutex<Option<Database>>,
    /// Whether callers commit by themselves.
    leads: bool,
}

/// The connection, and what only its user needs.
struct Database {
    connection: Connection,
    open: Open,
    urgent: Vec<Urgent>,
    late: Vec<Late>,
    commits: u32,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. `last` is the largest key in the table; `leads` tells whether callers commit by themselves, which must not
    /// be where a commit waits for the disk.
    pub(crate) fn start(
        connection: Connection,
        last: i64,
        waiting_max: usize,
        leads: bool,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                last_id: last,
                ..Queue::default()
            }),
            ready: Condvar::new(),
            places: Semaphore::new(waiting_max.clamp(1, Semaphore::MAX_PERMITS)),
            database: Mutex::new(Some(Database {
                connection,
                open: Open::default(),
                urgent: Vec::new(),
                late: Vec::new(),
                commits: 0,
            })),
            leads,
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || run(&theirs))?;
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
        let is_open = end.is_none();
        let (reply, answer) = oneshot::channel();
        let mut begun = Begun {
            shared: &self.shared,
            id: 0,
            is_open,
            answer,
        };
        self.enqueue(|queue| {
            queue.last_id = queue.last_id.saturating_add(1);
            begun.id = queue.last_id;
            Urgent::Insert {
                id: queue.last_id,
                start,
                end,
                reply,
            }
        })
        .await?;
        // The sender is dropped without a word only when the thread has ended.
        let committed = (&mut begun.answer).await;
        begun.is_open = false;
        committed.unwrap_or(Err(RecordError::Closed))?;
        Ok(CallId(begun.id))
    }

    pub(crate) fn finish(&self, id: CallId, end: CallEnd) {
        let mut queue = self.shared.queue.lock();
        queue.late.push(Late::End(id.0, end));
        self.shared.rouse_thread(&mut queue);
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
        self.shared.rouse_thread(&mut queue);
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
        })
        .await?;
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
        self.enqueue(|queue| make(queue, reply)).await?;
        // The sender is dropped without a word only when the thread has ended.
        answer.await.unwrap_or(Err(RecordError::Closed))
    }

    /// Queues something, and leads its group if nobody else does.
    async fn enqueue(&self, make: impl FnOnce(&mut Queue) -> Urgent) -> Result<(), RecordError> {
        let shared = &*self.shared;
        {
            let mut queue = shared.queue.lock();
            if queue.closing {
                return Err(RecordError::Closed);
            }
            let urgent = make(&mut queue);
            queue.urgent.push(urgent);
            if queue.led {
                return Ok(());
            }
            if !shared.leads {
                shared.call_thread(&mut queue);
                return Ok(());
            }
            queue.led = true;
        }
        let leader = Leader(shared);
        for _ in 0..GROUPS_MAX {
            tokio::task::yield_now().await;
            if !shared.try_commit() {
                // The thread is at it.
                break;
            }
            if shared.queue.lock().urgent.is_empty() {
                break;
            }
        }
        drop(leader);
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

/// A call whose row is on its way. When its caller goes away in the moment after the commit, nobody else knows that it has to end.
struct Begun<'a> {
    shared: &'a Shared,
    id: i64,
    is_open: bool,
    answer: oneshot::Receiver<Result<(), RecordError>>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.answer.close();
        if self.is_open && matches!(self.answer.try_recv(), Ok(Ok(()))) {
            let mut queue = self.shared.queue.lock();
            let end = CallEnd::bare(Outcome::Abandoned);
            queue.late.push(Late::End(self.id, end));
            self.shared.rouse_thread(&mut queue);
        }
    }
}

/// Whoever is about to commit. However it ends, what is queued by then is the thread's.
struct Leader<'a>(&'a Shared);

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.led = false;
        if !queue.urgent.is_empty() {
            self.0.call_thread(&mut queue);
        }
    }
}

impl Shared {
    fn call_thread(&self, queue: &mut Queue) {
        if queue.thread != Thread::Busy {
            queue.thread = Thread::Busy;
            self.ready.notify_one();
        }
    }

    /// Has the thread look now and then for what nobody waits for.
    fn rouse_thread(&self, queue: &mut Queue) {
        if queue.thread == Thread::Asleep {
            queue.thread = Thread::Busy;
            self.ready.notify_one();
        }
    }

    /// Commits what is queued, unless somebody else has the database at the moment.
    fn try_commit(&self) -> bool {
        let Some(mut database) = self.database.try_lock() else {
            return false;
        };
        if let Some(database) = &mut *database {
            database.take_and_commit(self, false);
        }
        true
    }
}

impl Database {
    /// Commits what is queued. Tells whether there was anything.
    fn take_and_commit(&mut self, shared: &Shared, closing: bool) -> bool {
        {
            let mut queue = shared.queue.lock();
            std::mem::swap(&mut self.urgent, &mut queue.urgent);
            self.late.append(&mut queue.late);
        }
        let idle = self.urgent.is_empty() && self.late.is_empty();
        if !idle || closing {
            self.commit(shared, closing);
        }
        !idle
    }

    /// Writes one group and tells those who wait. What nobody waits for stays for the next one.
    fn commit(&mut self, shared: &Shared, closing: bool) {
        let outcome = write(
            &self.connection,
            &mut self.open,
            &mut self.urgent,
            &self.late,
            closing,
        );
        match &outcome {
            Ok(()) => self.late.clear(),
            Err(error) => self.failed(error, closing),
        }
        let outcome = outcome.map_err(|error| RecordError::Write(Arc::new(error)));
        let mut abandoned = Vec::new();
        for item in self.urgent.drain(..) {
            match item {
                Urgent::Insert { id, end, reply, .. } => {
                    if outcome.is_err() {
                        self.open.forget(id);
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
        self.commits += 1;
        let folds = self.commits >= FOLD_AFTER;
        if folds {
            self.commits = 0;
        }
        if folds || !abandoned.is_empty() {
            let mut queue = shared.queue.lock();
            queue.late.append(&mut abandoned);
            queue.fold |= folds;
            shared.call_thread(&mut queue);
        }
    }

    fn failed(&mut self, error: &rusqlite::Error, closing: bool) {
        tracing::error!(error = %error, "the record could not be committed");
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %error, "the record's transaction could not be rolled back");
        }
        if closing || self.late.len() > LATE_MAX {
            tracing::error!(count = self.late.len(), "ends of calls and notes are lost");
            self.late.clear();
        }
    }

    /// Folds the log back into the database, as far as nobody reads it.
    fn fold(&mut self) {
        let folded = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = folded {
            tracing::error!(error = %error, "the log could not be folded back into the database");
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

fn run(shared: &Shared) {
    let door = Door(shared);
    loop {
        let closing = wait(shared);
        let mut held = shared.database.lock();
        let Some(database) = &mut *held else { break };
        let wrote = database.take_and_commit(shared, closing);
        if std::mem::take(&mut shared.queue.lock().fold) {
            database.fold();
        }
        if closing && !wrote {
            // The file is closed here.
            *held = None;
            break;
        }
    }
    drop(door);
}

/// Waits for something to do. Tells whether the store is closing.
fn wait(shared: &Shared) -> bool {
    // What cannot be looked at is in use.
    let (open, kept) = match shared.database.try_lock().as_deref() {
        Some(Some(database)) => (database.open.any(), !database.late.is_empty()),
        _ => (true, false),
    };
    let mut queue = shared.queue.lock();
    let mut pause = if kept { LOOK_MAX } else { LOOK_MIN };
    while (queue.urgent.is_empty() || queue.led) && !queue.closing && !queue.fold {
        queue.thread = Thread::Dozing;
        if open || kept || !queue.late.is_empty() {
            if shared.ready.wait_for(&mut queue, pause).timed_out() {
                if kept || !queue.late.is_empty() {
                    break;
                }
                pause = pause.saturating_mul(2).min(LOOK_MAX);
            }
        } else {
            queue.thread = Thread::Asleep;
            shared.ready.wait(&mut queue);
        }
    }
    queue.thread = Thread::Busy;
    queue.closing
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
