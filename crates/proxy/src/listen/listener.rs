//! Listens to one server, of either era, and again when the connection is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::{Era, Object, Outcome, ServerName, method, quote};
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;

use super::filter::Filter;
use crate::caller::Caller;
use crate::link::{Link, Note};
use crate::outbound;
use crate::runtime::{Runtime, Server};
use crate::upstream::{Event, UpstreamError};

/// First and longest wait before a server is listened to again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What comes from the servers that a client listens to.
pub(crate) enum Heard {
    Acknowledged(ServerName, Filter),
    Note(ServerName, Note),
}

/// Ends the tasks that listen when the client goes.
#[derive(Debug, Default)]
pub(crate) struct Listeners(pub(crate) Vec<AbortHandle>);

impl Drop for Listeners {
    fn drop(&mut self) {
        for listener in &self.0 {
            listener.abort();
        }
    }
}

/// Listens to one server, and again when the connection is lost.
pub(crate) struct Listener {
    pub(crate) caller: Caller,
    pub(crate) server: Arc<Server>,
    pub(crate) filter: Filter,
    pub(crate) heard: mpsc::Sender<Heard>,
}

impl Listener {
    /// Listens for as long as somebody hears.
    pub(crate) async fn run(self) {
        let mut wait = RETRY.0;
        loop {
            let begun = tokio::time::Instant::now();
            match self.once().await {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(server = %self.server.name, %error, "listening was interrupted");
                }
            }
            if self.heard.is_closed() {
                return;
            }
            if begun.elapsed() > RETRY.1 {
                wait = RETRY.0;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }

    async fn once(&self) -> Result<(), UpstreamError> {
        let link = Link::to(&self.caller, &self.server).await?;
        match link.era() {
            Era::Modern => self.modern(&link).await,
            Era::Legacy => self.legacy(&link).await,
        }
    }

    async fn modern(&self, link: &Link) -> Result<(), UpstreamError> {
        let mut params = Object::new();
        params.set("notifications", self.filter.write());
        let profile = self.caller.profile_for(link);
        let call = outbound::listen(Some(params.to_vec().into()), profile);
        let mut exchange = link.connection.exchange(call).await?;
        loop {
            match exchange.next().await {
                Event::Notification {
                    method: name,
                    params,
                } => {
                    if &*name == method::NOTIFICATIONS_SUBSCRIPTIONS_ACKNOWLEDGED {
                        let agreed = params
                            .as_deref()
                            .and_then(Object::parse)
                            .and_then(|params| params.get("notifications").and_then(Filter::parse));
                        self.send(Heard::Acknowledged(
                            self.server.name.clone(),
                            agreed.unwrap_or_default(),
                        ))
                        .await;
                        continue;
                    }
                    let note = Note {
                        method: name,
                        params,
                    };
                    if let Err(denial) = self
                        .caller
                        .runtime
                        .pipeline
                        .check_notification(&note.method, note.params.as_deref())
                    {
                        tracing::warn!(server = %self.server.name, code = denial.code(), "a server's notification was dropped");
                        continue;
                    }
                    if &*note.method == method::NOTIFICATIONS_TOOLS_LIST_CHANGED {
                        link.forget_tools();
                    }
                    if self.filter.admits(&note) {
                        self.send(Heard::Note(self.server.name.clone(), note)).await;
                    }
                }
                Event::Done(Ok(answer)) => {
                    if let Outcome::Error(_) = answer.outcome {
                        // A server that does not know the method tells of nothing.
                        self.send(Heard::Acknowledged(
                            self.server.name.clone(),
                            Filter::default(),
                        ))
                        .await;
                    }
                    return Ok(());
                }
                Event::Done(Err(error)) => return Err(error),
                Event::Progress(_) | Event::Ask(_) => {}
            }
        }
    }

    async fn legacy(&self, link: &Arc<Link>) -> Result<(), UpstreamError> {
        let Some(mut changes) = link.changes() else {
            return Ok(());
        };
        link.connection.open_stream();
        let agreed = self.filter.offered_by(link);
        let _subscriptions = Subscriptions::begin(link, &self.caller, &agreed.uris).await?;
        self.send(Heard::Acknowledged(
            self.server.name.clone(),
            agreed.clone(),
        ))
        .await;
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(note) => {
                        if agreed.admits(&note) {
                            let note = Note { method: note.method.clone(), params: note.params.clone() };
                            self.send(Heard::Note(self.server.name.clone(), note)).await;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(server = %self.server.name, missed, "a listener fell behind");
                    }
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                () = link.connection.closed() => return Ok(()),
            }
        }
    }

    async fn send(&self, heard: Heard) {
        // The receiver has gone when the client has: the task is about to be ended.
        if self.heard.send(heard).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Subscriptions to resources at a legacy server, taken back when they are dropped.
struct Subscriptions {
    link: Arc<Link>,
    runtime: Arc<Runtime>,
    profile: Arc<crate::upstream::Profile>,
    uris: Vec<String>,
}

impl Subscriptions {
    async fn begin(
        link: &Arc<Link>,
        caller: &Caller,
        uris: &BTreeSet<String>,
    ) -> Result<Self, UpstreamError> {
        let mut begun = Self {
            link: Arc::clone(link),
            runtime: Arc::clone(&caller.runtime),
            profile: Arc::clone(&caller.profile),
            uris: Vec::new(),
        };
        for uri in uris {
            begun.uris.push(uri.clone());
            if link.subscribe(uri) {
                link.request(
                    &caller.runtime,
                    method::RESOURCES_SUBSCRIBE,
                    Some(uri_params(uri)),
                    &caller.profile,
                )
                .await?;
            }
        }
        Ok(begun)
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let (link, runtime) = (Arc::clone(&self.link), Arc::clone(&self.runtime));
        let profile = Arc::clone(&self.profile);
        let last: Vec<String> = self
            .uris
            .drain(..)
            .filter(|uri| link.unsubscribe(uri))
            .collect();
        if last.is_empty() || link.connection.is_closed() {
            return;
        }
        tokio::spawn(async move {
            for uri in last {
                let params = Some(uri_params(&uri));
                if let Err(error) = link
                    .request(&runtime, method::RESOURCES_UNSUBSCRIBE, params, &profile)
                    .await
                {
                    tracing::debug!(server = %link.server.name, %error, "a subscription could not be taken back");
                }
            }
        });
    }
}

/// The parameters of a request that names a resource and nothing else.
pub(crate) fn uri_params(uri: &str) -> Bytes {
    let mut params = Object::new();
    params.set("uri", quote(uri));
    params.to_vec().into()
}
