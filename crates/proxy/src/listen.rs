//! Changes that clients want to hear of: `subscriptions/listen` of modern clients here, `resources/subscribe` and the
//! standing stream of legacy ones in `watch`, at servers of either era.

mod filter;
mod listener;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::{Id, Object, ServerName, encode_notification, meta, method};
use tokio::sync::mpsc;

use self::filter::Filter;
use self::listener::{Heard, Listener, Listeners};
use crate::caller::Caller;
use crate::federation;
use crate::link::Note;
use crate::reply::Refusal;
use crate::route::Route;
use crate::running::TASKS_EXTENSION;
use crate::runtime::Server;

pub(crate) use self::listener::uri_params;
pub(crate) use self::watch::{Watch, stand, subscribe};

/// Resources that one client may be subscribed to on one stream.
const URIS_MAX: usize = 1000;
/// How long the acknowledgement waits for slow servers.
const ACK_PATIENCE: Duration = Duration::from_secs(2);

/// Answers `subscriptions/listen`: it lasts until the client closes the stream or the gateway stops.
pub(crate) async fn serve(
    caller: &Caller,
    id: &Id,
    params: Option<&Bytes>,
) -> Result<Bytes, Refusal> {
    let wanted = params
        .and_then(|params| Object::parse(params))
        .and_then(|params| params.get("notifications").and_then(Filter::parse))
        .ok_or_else(|| Refusal::invalid_params("`notifications` is missing or not a filter"))?;
    if wanted.uris.len() > URIS_MAX {
        return Err(Refusal::invalid_params(
            "too many resources are subscribed to",
        ));
    }
    for uri in &wanted.uris {
        if let Some((server, own)) = federation::inward_uri(caller, uri) {
            caller.check_hearing(&server.name, &own)?;
        }
    }
    let tasks = wanted.rest.iter().any(|(key, _)| key == "taskIds");
    if tasks && !caller.declares_extension(TASKS_EXTENSION) {
        return Err(Refusal::missing_capability("extensions"));
    }
    let (heard, mut arriving) = mpsc::channel(64);
    let mut listeners = Listeners::default();
    let by_server = by_server(caller, &wanted);
    let mut waiting = by_server.len();
    for (server, filter) in by_server {
        let listener = Listener {
            caller: caller.for_listening(),
            server,
            filter,
            heard: heard.clone(),
        };
        listeners
            .0
            .push(tokio::spawn(listener.run()).abort_handle());
    }
    drop(heard);

    let mut agreed = Filter::default();
    let mut early = Vec::new();
    let patience = tokio::time::sleep(ACK_PATIENCE);
    tokio::pin!(patience);
    while waiting > 0 {
        tokio::select! {
            heard = arriving.recv() => match heard {
                Some(Heard::Acknowledged(server, filter)) => {
                    waiting -= 1;
                    agreed.join(&outward_filter(&caller.route, &server, filter));
                }
                Some(Heard::Note(server, note)) => early.push((server, note)),
                None => break,
            },
            () = &mut patience => break,
        }
    }
    if waiting > 0 {
        // A server that is down may come back, and is then heard.
        agreed.join(&wanted);
    }
    let mut params = Object::new();
    params.set("notifications", agreed.write());
    let mut tag = Object::new();
    let mut own_id = Vec::new();
    id.write(&mut own_id);
    tag.set(meta::SUBSCRIPTION_ID, own_id.clone());
    params.set("_meta", tag.to_vec());
    caller.stream.push(encode_notification(
        method::NOTIFICATIONS_SUBSCRIPTIONS_ACKNOWLEDGED,
        Some(&params.to_vec()),
    ));
    for (server, note) in early {
        pass_on(caller, &own_id, &server, &note);
    }
    let ending = &caller.runtime.shared.ending;
    loop {
        tokio::select! {
            heard = arriving.recv() => match heard {
                Some(Heard::Note(server, note)) => pass_on(caller, &own_id, &server, &note),
                Some(Heard::Acknowledged(..)) => {}
                None => break,
            },
            () = ending.cancelled() => break,
        }
    }
    let mut result = Object::new();
    result.set("resultType", b"\"complete\"".as_slice());
    result.set("_meta", tag.to_vec());
    Ok(result.to_vec().into())
}

fn pass_on(caller: &Caller, id: &[u8], server: &ServerName, note: &Note) {
    let (name, params) = federation::outward_note(&caller.route, server, note);
    let raw = params.unwrap_or_default();
    let mut params = Object::parse(&raw).unwrap_or_default();
    let held = params.get("_meta").unwrap_or(b"{}").to_vec();
    let mut tag = Object::parse(&held).unwrap_or_default();
    tag.set(meta::SUBSCRIPTION_ID, id);
    let tag = tag.to_vec();
    params.set("_meta", tag);
    caller
        .stream
        .notify(encode_notification(name, Some(&params.to_vec())));
}

/// Splits what a client wants to hear among the servers of its endpoint.
fn by_server(caller: &Caller, wanted: &Filter) -> Vec<(Arc<Server>, Filter)> {
    let servers: Vec<&Arc<Server>> = match &caller.route {
        Route::Server(name) => caller.runtime.servers.get(name).into_iter().collect(),
        Route::All => caller.runtime.servers.values().collect(),
    };
    let mut uris: HashMap<ServerName, BTreeSet<String>> = HashMap::new();
    for uri in &wanted.uris {
        if let Some((server, own)) = federation::inward_uri(caller, uri) {
            uris.entry(server.name.clone()).or_default().insert(own);
        }
    }
    let rest = if caller.route == Route::All {
        Vec::new()
    } else {
        wanted.rest.clone()
    };
    servers
        .into_iter()
        .map(|server| {
            let uris = uris.remove(&server.name).unwrap_or_default();
            (
                Arc::clone(server),
                Filter {
                    uris,
                    rest: rest.clone(),
                    ..wanted.clone()
                },
            )
        })
        .filter(|(_, filter)| !filter.is_empty())
        .collect()
}

fn outward_filter(route: &Route, server: &ServerName, mut filter: Filter) -> Filter {
    if *route == Route::All {
        let outward = |uri: &String| portcullis_mcp::federated_uri(server, uri);
        filter.uris = filter.uris.iter().map(outward).collect();
    }
    filter
}
