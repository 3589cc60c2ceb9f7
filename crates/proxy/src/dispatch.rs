//! A client's request, from its message to its answer: decides who answers it, the gateway itself or a server.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_mcp::{Era, Object, Request as Message, Version, method};

use crate::bridge::{self, Begun};
use crate::caller::Caller;
use crate::federation;
use crate::hello;
use crate::link::Link;
use crate::listen;
use crate::lists;
use crate::reply::{Refusal, Reply, render};
use crate::route::Route;
use crate::running::{Concluded, Step, TASKS_EXTENSION};
use crate::tokens::Prepared;
use crate::upstream::UpstreamError;

/// Answers a request.
pub(crate) async fn dispatch(caller: &Caller, message: &Message) -> Reply {
    let stopping = &caller.runtime.shared.stopping;
    let result = tokio::select! {
        biased;
        result = answer(caller, message) => result,
        () = stopping.cancelled() => Err(Refusal::Overloaded("it is shutting down")),
    };
    let result = result.or_else(|refusal| elicit(caller, message, refusal));
    render(caller, &message.id, &message.method, result)
}

/// Has the client open the link where a server wants a person to connect first, if the client can.
fn elicit(caller: &Caller, message: &Message, refusal: Refusal) -> Result<Bytes, Refusal> {
    let Refusal::Upstream {
        server,
        error: UpstreamError::ConnectFirst { url },
    } = &refusal
    else {
        return Err(refusal);
    };
    let (method_name, params) = (&message.method, message.params());
    bridge::connect_first(caller, method_name, params, server, url).unwrap_or(Err(refusal))
}

async fn answer(caller: &Caller, message: &Message) -> Result<Bytes, Refusal> {
    let params = message.params_bytes();
    match (&*message.method, caller.era()) {
        (method::PING, Era::Legacy) => Ok(Bytes::from_static(b"{}")),
        (method::SERVER_DISCOVER, Era::Modern) => hello::discover(caller).await,
        (method::SUBSCRIPTIONS_LISTEN, Era::Modern) => {
            listen::serve(caller, &message.id, params.as_ref()).await
        }
        (method::LOGGING_SET_LEVEL, Era::Legacy) => set_level(caller, params).await,
        (method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE, Era::Legacy) => {
            listen::subscribe(caller, &message.method, params).await
        }
        (name, Era::Modern) if method::removed_in_modern(name) => {
            Err(Refusal::method_not_found(name))
        }
        (name, _) if lists::is_list(name) && caller.route == Route::All => {
            lists::merged(caller, name, params.as_deref()).await
        }
        (name, _) => targeted(caller, name, params).await,
    }
}

/// Sets the least level of log messages, for this session and at its servers.
async fn set_level(caller: &Caller, params: Option<Bytes>) -> Result<Bytes, Refusal> {
    const LEVELS: [&str; 8] = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];
    let level = params
        .as_deref()
        .and_then(Object::parse)
        .and_then(|params| {
            params
                .get_str("level")
                .filter(|level| LEVELS.contains(&&**level))
                .map(Cow::into_owned)
        });
    let level = level.ok_or_else(|| Refusal::invalid_params("`level` is not a log level"))?;
    if let Some(session) = &caller.session {
        session.set_log_level(&level);
        for slot in session.links() {
            if let Some(link) = slot.get()
                && link.era() == Era::Legacy
            {
                link.set_level(&caller.runtime, &caller.profile, &level)
                    .await;
            }
        }
    }
    Ok(Bytes::from_static(b"{}"))
}

/// Answers a request that is for one server.
pub(crate) async fn targeted(
    caller: &Caller,
    method_name: &str,
    params: Option<Bytes>,
) -> Result<Bytes, Refusal> {
    let asked = params.clone();
    federation::look_up(caller, method_name, params.as_deref()).await;
    // Before anything is said about the task (SEP-2663).
    if method_name.starts_with("tasks/")
        && caller.era() == Era::Modern
        && !caller.declares_extension(TASKS_EXTENSION)
    {
        return Err(Refusal::missing_capability("extensions"));
    }
    let target = federation::inward(caller, method_name, params)?;
    let server = Arc::clone(&target.server);
    if method_name.starts_with("tasks/")
        && let Some(id) = &target.name
        && !caller
            .runtime
            .shared
            .tasks
            .may_use(caller, &server.name, id)
    {
        return Err(Refusal::invalid_params("unknown task"));
    }
    let link = Link::to(caller, &server)
        .await
        .map_err(|e| Refusal::upstream(&server.name, e))?;
    if method_name.starts_with("tasks/") && caller.era() != link.era() {
        // The tasks of 2025-11-25 and those of the extension are not the same thing.
        return Err(Refusal::method_not_found(method_name));
    }
    let mut running = match Prepared::of(caller, &link, method_name, asked.as_ref(), target)? {
        Prepared::Fresh(target) => {
            let begun = bridge::begin(caller, &link, method_name, target, asked.as_ref()).await?;
            match begun {
                Begun::Running(running) => *running,
                Begun::Asks(result) => return Ok(bridge::complete(caller, method_name, &result)),
            }
        }
        Prepared::Resumed(mut parked, responses) => {
            parked.resume(caller, responses.as_deref()).await?;
            *parked
        }
    };
    loop {
        match running.drive(caller).await {
            Step::Input(asks) => {
                running.gather(asks);
                let digest = bridge::digest_of(method_name, asked.as_deref());
                return bridge::Parked::park(caller, digest, running);
            }
            Step::Done(answer) => {
                let again = running
                    .conclude(caller, method_name, asked.as_ref(), answer)
                    .await?;
                match again {
                    Concluded::Result(result) => return Ok(result),
                    Concluded::Again(next) => running = *next,
                }
            }
        }
    }
}

/// The versions that the gateway serves, newest first.
pub(crate) fn served_versions() -> [&'static str; 4] {
    [
        Version::V2026_07_28.as_str(),
        Version::V2025_11_25.as_str(),
        Version::V2025_06_18.as_str(),
        Version::V2025_03_26.as_str(),
    ]
}
