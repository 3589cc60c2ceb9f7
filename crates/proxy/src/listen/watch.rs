//! What a legacy client's session hears that belongs to no request of its own.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_mcp::{Era, Object, ServerName, meta, method};
use tokio::sync::mpsc;

use super::filter::Filter;
use super::listener::{Heard, Listener, Listeners};
use super::{URIS_MAX, by_server};
use crate::bridge;
use crate::caller::Caller;
use crate::dispatch;
use crate::federation;
use crate::link::Link;
use crate::reply::Refusal;
use crate::runtime::Server;
use crate::session::Session;

/// What a legacy client's session hears of servers whose connection is not its own.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    servers: HashMap<ServerName, Watched>,
}

#[derive(Debug)]
struct Watched {
    filter: Filter,
    listeners: Listeners,
}

/// Makes a session hear what belongs to no request of its own: opens the servers' own streams to it, and listens to the
/// servers that it shares a connection to.
pub(crate) async fn stand(caller: &Caller, session: &Arc<Session>) {
    let filter = Filter {
        tools: true,
        prompts: true,
        resources: true,
        ..Filter::default()
    };
    session.stand();
    for (server, filter) in by_server(caller, &filter) {
        match Link::to(caller, &server).await {
            Ok(link) if link.changes().is_none() && link.era() == Era::Legacy => {
                link.connection.open_stream();
            }
            // A server that is down now is listened to once it is back.
            Ok(_) | Err(_) => watch(caller, session, &server, |watched| watched.join(&filter)),
        }
    }
}

/// Changes what a session watches at a server: the new listener begins before the old one ends.
fn watch(
    caller: &Caller,
    session: &Arc<Session>,
    server: &Arc<Server>,
    change: impl FnOnce(&mut Filter),
) {
    let (heard, mut arriving) = mpsc::channel(64);
    let began = session.with_watch(|watch| {
        let known = watch
            .servers
            .get(&server.name)
            .map(|watched| watched.filter.clone());
        let mut filter = known.clone().unwrap_or_default();
        change(&mut filter);
        if known.as_ref() == Some(&filter) {
            return None;
        }
        let listener = Listener {
            caller: caller.for_listening(),
            server: Arc::clone(server),
            filter: filter.clone(),
            heard,
        };
        let task = tokio::spawn(listener.run()).abort_handle();
        let watched = Watched {
            filter,
            listeners: Listeners(vec![task]),
        };
        Some(watch.servers.insert(server.name.clone(), watched))
    });
    let Some(mut old) = began else { return };
    let listening = Arc::downgrade(session);
    let task = tokio::spawn(async move {
        while let Some(heard) = arriving.recv().await {
            let Some(session) = listening.upgrade() else {
                return;
            };
            match heard {
                Heard::Acknowledged(..) => drop(old.take()),
                Heard::Note(server, note) => {
                    let (name, params) = federation::outward_note(&session.route, &server, &note);
                    let params = params.as_deref().map(untagged);
                    session.notify(name, params.as_deref());
                }
            }
        }
    });
    let task = task.abort_handle();
    session.with_watch(|watch| {
        if let Some(watched) = watch.servers.get_mut(&server.name) {
            watched.listeners.0.push(task);
        }
    });
}

/// Parameters without the tag that only modern clients know.
fn untagged(params: &[u8]) -> Vec<u8> {
    let mut object = Object::parse(params).unwrap_or_default();
    bridge::remove_meta(&mut object, meta::SUBSCRIPTION_ID);
    object.to_vec()
}

/// Answers `resources/subscribe` and `resources/unsubscribe` of a legacy client.
pub(crate) async fn subscribe(
    caller: &Caller,
    method_name: &str,
    params: Option<Bytes>,
) -> Result<Bytes, Refusal> {
    let target = federation::inward(caller, method_name, params.clone())?;
    if let Some(uri) = &target.name {
        caller.check_hearing(&target.server.name, uri)?;
    }
    let unreachable = |error| Refusal::upstream(&target.server.name, error);
    let link = Link::to(caller, &target.server)
        .await
        .map_err(unreachable)?;
    let (Some(session), Some(uri)) = (&caller.session, &target.name) else {
        return Err(Refusal::invalid_params("`uri` is missing or not a string"));
    };
    let wanted = method_name == method::RESOURCES_SUBSCRIBE;
    if link.era() == Era::Legacy && link.changes().is_none() {
        let result = dispatch::targeted(caller, method_name, params).await?;
        session.note_subscription(&target.server.name, uri, wanted, URIS_MAX);
        return Ok(result);
    }
    let mut full = false;
    watch(caller, session, &target.server, |filter| {
        if !wanted {
            filter.uris.remove(&**uri);
        } else if filter.uris.len() < URIS_MAX {
            filter.uris.insert(uri.to_string());
        } else {
            full = true;
        }
    });
    if full {
        return Err(Refusal::invalid_params(
            "too many resources are subscribed to",
        ));
    }
    Ok(Bytes::from_static(b"{}"))
}
