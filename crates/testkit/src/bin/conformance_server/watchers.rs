//! Who is to hear of a change: modern listen streams, and legacy sessions.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{Peer, RoleServer, model::ResourceUpdatedNotificationParam, service::SubscriptionSink};

/// The resource that the suite subscribes to.
pub(crate) const WATCHED: &str = "test://watched-resource";

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// `notifications/tools/list_changed`
    Tools,
    /// `notifications/prompts/list_changed`
    Prompts,
    /// `notifications/resources/list_changed`
    Resources,
    /// `notifications/resources/updated` for [`WATCHED`]
    Watched,
}

/// The URIs that one legacy session subscribed to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subscribed(Arc<Mutex<HashSet<String>>>);

impl Subscribed {
    /// Subscribes to `uri`.
    pub(crate) fn add(&self, uri: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uri);
    }

    /// Ends the subscription to `uri`.
    pub(crate) fn remove(&self, uri: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uri);
    }

    fn has(&self, uri: &str) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(uri)
    }
}

/// A legacy session.
#[derive(Debug, Clone)]
struct Session {
    peer: Peer<RoleServer>,
    subscribed: Subscribed,
}

/// All who listen, over every connection of the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watchers {
    sinks: Arc<Mutex<Vec<SubscriptionSink>>>,
    sessions: Arc<Mutex<Vec<Session>>>,
}

impl Watchers {
    /// Adds a listen stream.
    pub(crate) fn add_sink(&self, sink: SubscriptionSink) {
        self.sinks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sink);
    }

    /// Removes the listen stream with the id of `sink`.
    pub(crate) fn remove_sink(&self, sink: &SubscriptionSink) {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.retain(|other| other.id() != sink.id());
    }

    /// Adds a legacy session.
    pub(crate) fn add_session(&self, peer: Peer<RoleServer>, subscribed: Subscribed) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| !session.peer.is_transport_closed());
        sessions.push(Session { peer, subscribed });
    }

    /// Tells all who asked for it. Who cannot be reached any more is passed over.
    pub(crate) async fn tell(&self, change: Change) {
        let sinks = self
            .sinks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for sink in sinks {
            drop(match change {
                Change::Tools => sink.notify_tool_list_changed().await,
                Change::Prompts => sink.notify_prompt_list_changed().await,
                Change::Resources => sink.notify_resource_list_changed().await,
                Change::Watched => sink.notify_resource_updated(WATCHED).await,
            });
        }
        let sessions = self
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for Session { peer, subscribed } in sessions {
            drop(match change {
                Change::Tools => peer.notify_tool_list_changed().await,
                Change::Prompts => peer.notify_prompt_list_changed().await,
                Change::Resources => peer.notify_resource_list_changed().await,
                Change::Watched if !subscribed.has(WATCHED) => Ok(()),
                Change::Watched => {
                    let update = ResourceUpdatedNotificationParam::new(WATCHED);
                    peer.notify_resource_updated(update).await
                }
            });
        }
    }
}
