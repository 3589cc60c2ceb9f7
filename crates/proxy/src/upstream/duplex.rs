//! Many exchanges on one channel that carries messages both ways: a child's pipes, or HTTP+SSE.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_mcp::{
    Id, Limits, Message, Notification, Outcome, Request, Response, ServerName, method,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::envelope;
use super::error::{Garbage, UpstreamError};
use super::event::{Answer, Ask, Event, Reply, Unsolicited, encode_response, unanswered};
use super::health::Registration;
use super::mailbox::Mailbox;
use super::salvage::claimed_id;
use super::sse_2024::Poster;
use super::wire::{Wire, cancelled, detach};

/// Messages in a row that may be garbage before the connection is given up.
const GARBAGE_MAX: u32 = 20;
/// How long a message may wait for room in the queue of what is to be written.
const QUEUE_WAIT: Duration = Duration::from_secs(10);
/// How long the owner of the inbox is given to take the news that the connection closed.
const CLOSED_WAIT: Duration = Duration::from_secs(10);

/// The way out of a [`Duplex`].
pub(super) enum Link {
    /// To the task that writes to a child's standard input; and where its calls are told, if what it may reach depends on them.
    Pipe(mpsc::Sender<Bytes>, Option<portcullis_egress::InFlight>),
    /// By POST to the address that the event stream named.
    Post(Poster),
}

/// A channel to one server and everything in progress on it.
pub(super) struct Duplex {
    name: ServerName,
    limits: Limits,
    link: Link,
    inbox: mpsc::Sender<Unsolicited>,
    modern: AtomicBool,
    next_id: AtomicI64,
    garbage: AtomicU32,
    inner: Mutex<Inner>,
    /// Somebody wants the channel closed.
    pub(super) stop: CancellationToken,
    /// The channel carries nothing more; everything in progress was told.
    pub(super) over: CancellationToken,
    /// Whatever was at the other end is gone.
    pub(super) ended: CancellationToken,
}

#[derive(Default)]
struct Inner {
    /// By id, so the last one is the most recently started.
    slots: BTreeMap<i64, Slot>,
    over: bool,
    reason: Option<String>,
    registration: Option<Registration>,
}

struct Slot {
    mailbox: Arc<Mailbox>,
    kind: Kind,
}

/// What an exchange is for, which decides what is routed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A client's request.
    Call,
    /// A client's subscription: gets what names it, nothing else.
    Listen,
    /// Our own handshake: gets its answer only, and is never cancelled.
    Handshake,
}

impl Duplex {
    pub(super) fn new(
        name: ServerName,
        limits: Limits,
        link: Link,
        inbox: mpsc::Sender<Unsolicited>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            limits,
            link,
            inbox,
            modern: AtomicBool::new(false),
            next_id: AtomicI64::new(1),
            garbage: AtomicU32::new(0),
            inner: Mutex::default(),
            stop: CancellationToken::new(),
            over: CancellationToken::new(),
            ended: CancellationToken::new(),
        })
    }

    /// From now on the server is held to the modern era: it may not send requests.
    pub(super) fn set_modern(&self) {
        self.modern.store(true, Ordering::Relaxed);
    }

    /// Counts this channel as a connection until it is over, which the inbox is then told.
    pub(super) fn register(&self, registration: Registration) {
        let mut inner = self.inner.lock();
        if !inner.over {
            inner.registration = Some(registration);
            return;
        }
        let reason = inner.reason.clone();
        drop(inner);
        registration.end(reason.as_deref());
        announce_closed(&self.inbox);
    }

    /// The largest message accepted from the server.
    pub(super) const fn bytes_max(&self) -> usize {
        self.limits.bytes_max
    }

    /// Why the channel is over, if nobody asked for it.
    pub(super) fn reason(&self) -> Option<String> {
        self.inner.lock().reason.clone()
    }

    /// A fresh id, and the place where what belongs to it is collected.
    pub(super) fn start(self: &Arc<Self>, kind: Kind) -> Result<InFlight, UpstreamError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::default());
        let mut inner = self.inner.lock();
        if inner.over {
            return Err(UpstreamError::Closed);
        }
        inner.slots.insert(
            id,
            Slot {
                mailbox: mailbox.clone(),
                kind,
            },
        );
        drop(inner);
        Ok(InFlight {
            duplex: self.clone(),
            id,
            mailbox,
            cancels: kind != Kind::Handshake,
            call: None,
        })
    }

    /// Hands `message` to the server.
    pub(super) async fn send(&self, message: Bytes) -> Result<(), UpstreamError> {
        match &self.link {
            Link::Pipe(queue, _) => {
                match tokio::time::timeout(QUEUE_WAIT, queue.send(one_line(message))).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(mpsc::error::SendError(_))) => Err(UpstreamError::Closed),
                    Err(_elapsed) => Err(UpstreamError::Busy),
                }
            }
            Link::Post(poster) => poster.post(message).await,
        }
    }

    /// Hands `message` to the server without waiting.
    pub(super) fn send_detached(&self, message: Bytes) {
        match &self.link {
            Link::Pipe(queue, _) => {
                if queue.try_send(one_line(message)).is_err() {
                    tracing::warn!(server = %self.name, "a message was dropped: the server does not read");
                }
            }
            Link::Post(poster) => {
                let poster = poster.clone();
                let name = self.name.clone();
                detach(async move {
                    if let Err(error) = poster.post(message).await {
                        tracing::warn!(server = %name, %error, "a message could not be sent");
                    }
                });
            }
        }
    }

    /// Hands the request of `flight` to the server. On HTTP+SSE a failure to do so ends the
    /// exchange later, because some servers answer the POST only after they sent the result.
    pub(super) async fn send_request(
        &self,
        flight: &InFlight,
        message: Bytes,
    ) -> Result<(), UpstreamError> {
        match &self.link {
            Link::Pipe(..) => self.send(message).await,
            Link::Post(poster) => {
                let poster = poster.clone();
                let mailbox = flight.mailbox.clone();
                detach(async move {
                    if let Err(error) = poster.post(message).await {
                        mailbox.done(Err(error));
                    }
                });
                Ok(())
            }
        }
    }

    /// Takes in one message of the server. An error means that the connection is beyond use.
    pub(super) fn receive(self: &Arc<Self>, message: &Bytes) -> Result<(), UpstreamError> {
        match portcullis_mcp::decode(message.clone(), &self.limits) {
            Ok(message) => {
                self.garbage.store(0, Ordering::Relaxed);
                match message {
                    Message::Response(response) => self.response(response),
                    Message::Request(request) => self.request(&request),
                    Message::Notification(notification) => self.notification(&notification),
                }
                Ok(())
            }
            Err(error) => {
                tracing::warn!(server = %self.name, %error, "a message of the server was dropped");
                let mut inner = self.inner.lock();
                let claimed = claimed_id(message, |id| inner.slots.contains_key(&id));
                let slot = claimed.and_then(|id| inner.slots.remove(&id));
                drop(inner);
                if let Some(slot) = slot {
                    slot.mailbox.done(Err(error.into()));
                }
                self.count_garbage()
            }
        }
    }

    /// Takes note of a message larger than the limit. When only one exchange is in progress it is
    /// told; otherwise nobody knows whose answer it was, and the timeout decides.
    pub(super) fn oversize(&self) -> Result<(), UpstreamError> {
        tracing::warn!(
            server = %self.name,
            bytes_max = self.limits.bytes_max,
            "a message of the server was dropped: larger than `limits.response_bytes_max`"
        );
        let mut inner = self.inner.lock();
        let only = if inner.slots.len() == 1 {
            inner.slots.pop_first()
        } else {
            None
        };
        drop(inner);
        if let Some((_, slot)) = only {
            slot.mailbox.done(Err(UpstreamError::TooLarge));
        }
        self.count_garbage()
    }

    fn count_garbage(&self) -> Result<(), UpstreamError> {
        let count = self.garbage.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= GARBAGE_MAX {
            Err(Garbage::Repeated(count).into())
        } else {
            Ok(())
        }
    }

    fn response(&self, response: Response) {
        let slot = match response.id {
            Some(Id::Number(id)) => self.inner.lock().slots.remove(&id),
            Some(Id::String(_)) | None => None,
        };
        if let Some(slot) = slot {
            slot.mailbox.done(Ok(Answer {
                outcome: response.outcome,
                http_status: 200,
            }));
        } else {
            tracing::debug!(server = %self.name, "an answer to no request was dropped");
        }
    }

    fn request(self: &Arc<Self>, request: &Request) {
        if &*request.method == method::PING {
            let pong = Outcome::Result(Bytes::from_static(b"{}"));
            self.send_detached(encode_response(&request.id, &pong));
            return;
        }
        if self.modern.load(Ordering::Relaxed) {
            tracing::warn!(
                server = %self.name,
                "a request of the server was dropped: modern servers may not send any"
            );
            return;
        }
        let ask = Ask::from(request);
        if let Some(mailbox) = self.latest() {
            if let Err(ask) = mailbox.ask(ask) {
                self.send_detached(encode_response(&ask.id, &Outcome::Error(unanswered())));
            }
            return;
        }
        // A refused `Reply` is dropped, and answers with an error by that.
        let reply = Reply::new(Wire::Duplex(self.clone()), ask.id.clone());
        deliver(&self.inbox, &self.name, Unsolicited::Ask(ask, reply));
    }

    fn notification(&self, notification: &Notification) {
        let params = notification.params_bytes();
        let method = &*notification.method;
        if method == method::NOTIFICATIONS_PROGRESS {
            let progress = params.as_deref().and_then(envelope::take_progress);
            if let Some((token, rest)) = progress
                && let Some(mailbox) = self.mailbox(token)
            {
                mailbox.notify(Event::Progress(rest));
            } else {
                tracing::debug!(server = %self.name, "progress of no request was dropped");
            }
            return;
        }
        let is_modern = self.modern.load(Ordering::Relaxed);
        let subscription = params
            .as_deref()
            .filter(|_| is_modern)
            .and_then(envelope::subscription);
        let owner = if let Some(id) = subscription {
            let Some(mailbox) = self.mailbox(id) else {
                tracing::debug!(server = %self.name, "a notification of no subscription was dropped");
                return;
            };
            Some(mailbox)
        } else if matches!(
            method,
            method::NOTIFICATIONS_MESSAGE | method::NOTIFICATIONS_CANCELLED
        ) {
            self.latest()
        } else {
            None
        };
        let method = notification.method.clone();
        match owner {
            Some(mailbox) => mailbox.notify(Event::Notification { method, params }),
            None => {
                deliver(
                    &self.inbox,
                    &self.name,
                    Unsolicited::Notification { method, params },
                );
            }
        }
    }

    fn mailbox(&self, id: i64) -> Option<Arc<Mailbox>> {
        self.inner
            .lock()
            .slots
            .get(&id)
            .map(|slot| slot.mailbox.clone())
    }

    /// The mailbox of the call that was started last.
    fn latest(&self) -> Option<Arc<Mailbox>> {
        let inner = self.inner.lock();
        let slot = inner
            .slots
            .values()
            .rev()
            .find(|slot| slot.kind == Kind::Call)?;
        Some(slot.mailbox.clone())
    }

    /// Ends everything in progress. `failure` says why, in words that are safe for a client, if
    /// nobody asked for it.
    pub(super) fn finish(&self, failure: Option<&str>) {
        let mut inner = self.inner.lock();
        if inner.over {
            return;
        }
        inner.over = true;
        inner.reason = failure.map(str::to_owned);
        let slots = std::mem::take(&mut inner.slots);
        let registration = inner.registration.take();
        drop(inner);
        if let Some(reason) = failure {
            tracing::warn!(server = %self.name, reason, "the connection to the server closed");
        }
        // Before anybody is told, so that whoever then looks sees it.
        let is_connection = registration.is_some();
        if let Some(registration) = registration {
            registration.end(failure);
        }
        self.over.cancel();
        if is_connection {
            announce_closed(&self.inbox);
        }
        for slot in slots.into_values() {
            slot.mailbox.done(Err(UpstreamError::Closed));
        }
    }
}

/// Tells the owner of `inbox` that nothing follows, unless it never listens.
pub(super) fn announce_closed(inbox: &mpsc::Sender<Unsolicited>) {
    let inbox = inbox.clone();
    detach(async move {
        if inbox
            .send_timeout(Unsolicited::Closed, CLOSED_WAIT)
            .await
            .is_err()
        {
            tracing::debug!("nobody was told that a connection closed");
        }
    });
}

/// Puts `news` into the inbox, or drops it when its owner is too slow.
pub(super) fn deliver(inbox: &mpsc::Sender<Unsolicited>, name: &ServerName, news: Unsolicited) {
    if inbox.try_send(news).is_err() {
        tracing::warn!(server = %name, "a message of the server was dropped: the inbox is full or closed");
    }
}

/// `message` as one line, which is how a child's pipes frame it.
fn one_line(message: Bytes) -> Bytes {
    match portcullis_mcp::single_line(&message) {
        Cow::Borrowed(_) => message,
        Cow::Owned(line) => line.into(),
    }
}

/// One request in progress. Dropped before its answer, it cancels.
pub(super) struct InFlight {
    duplex: Arc<Duplex>,
    pub(super) id: i64,
    mailbox: Arc<Mailbox>,
    cancels: bool,
    /// While it lives the server may reach what the tool that is called may.
    call: Option<portcullis_egress::Call>,
}

impl InFlight {
    /// The request calls `tool`, until it is over.
    pub(super) fn calls(&mut self, tool: &str) {
        if let Link::Pipe(_, Some(calls)) = &self.duplex.link {
            self.call = Some(calls.begin(tool));
        }
    }

    /// The next event. Cancel-safe; waits forever after the last one.
    pub(super) async fn next(&mut self) -> Event {
        let event = self.mailbox.next().await;
        if matches!(event, Event::Done(_)) {
            self.cancels = false;
        }
        event
    }

    pub(super) fn try_done(&mut self) -> Option<Result<Answer, UpstreamError>> {
        let result = self.mailbox.try_done()?;
        self.cancels = false;
        Some(result)
    }

    pub(super) fn wire(&self) -> Wire {
        Wire::Duplex(self.duplex.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.duplex.inner.lock().slots.remove(&self.id);
        if self.cancels {
            self.duplex.send_detached(cancelled(self.id));
        }
    }
}
