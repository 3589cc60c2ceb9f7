//! What the gateway hands to clients and gets back within requests: cursors of lists, and the states of requests that take several
//! rounds. Sealed on the way out, opened on the way in, so that each works only for whom and for what it was given.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use portcullis_mcp::{Era, Object, quote};
use portcullis_pipeline::Timestamp;

use crate::bridge;
use crate::caller::Caller;
use crate::federation::Target;
use crate::link::Link;
use crate::lists;
use crate::reply::Refusal;
use crate::running::Running;
use crate::runtime::Server;
use crate::seal::Binding;

/// How long a cursor is good for, in milliseconds.
const CURSOR_LIFE_MS: u64 = 3_600_000;
/// How long a `requestState` of a server is good for, in milliseconds.
const STATE_LIFE_MS: u64 = 3_600_000;

/// A request with what the client sends back from an earlier round taken out of it.
pub(crate) enum Prepared {
    Fresh(Target),
    Resumed(Box<Running>, Option<Bytes>),
}

impl Prepared {
    /// Opens what the client hands back, and takes out what an older server has no word for.
    pub(crate) fn of(
        caller: &Caller,
        link: &Link,
        method_name: &str,
        asked: Option<&Bytes>,
        mut target: Target,
    ) -> Result<Self, Refusal> {
        let raw = target.params.clone().unwrap_or_default();
        if !HANDED_BACK.may_be_in(&raw) {
            return Ok(Self::Fresh(target));
        }
        let mut params = Object::parse(&raw).unwrap_or_default();
        let mut changed = false;
        if lists::is_list(method_name) && params.contains("cursor") {
            let cursor = params
                .get_str("cursor")
                .and_then(|c| open_cursor(caller, link.server.name.as_str(), method_name, &c))
                .ok_or_else(|| {
                    Refusal::invalid_params("unknown cursor; list again from the start")
                })?;
            params.set("cursor", quote(&cursor));
            changed = true;
        }
        match (caller.era(), link.era()) {
            (Era::Modern, Era::Legacy) => {
                let responses = params.remove("inputResponses");
                changed |= responses.is_some();
                if let Some(state) = params.remove("requestState") {
                    let state = portcullis_mcp::string(&state)
                        .ok_or_else(|| Refusal::invalid_params("`requestState` is not a string"))?;
                    let digest = bridge::digest_of(method_name, asked.map(AsRef::as_ref));
                    let running = bridge::take(caller, &link.server.name, digest, &state)?;
                    let responses = responses.map(|r| Bytes::from(r.into_owned()));
                    return Ok(Self::Resumed(Box::new(running), responses));
                }
            }
            (Era::Modern, Era::Modern) => {
                changed |= bridge::take_answer(&mut params);
                if params.contains("requestState") {
                    let binding = state_binding(caller, &link.server, method_name, asked);
                    let now = caller.runtime.clock.now();
                    let state = params
                        .get_str("requestState")
                        .and_then(|state| caller.runtime.shared.sealer.open(&state, &binding, now))
                        .ok_or_else(|| {
                            Refusal::invalid_params(
                                "unknown `requestState`; start the request again",
                            )
                        })?;
                    params.set("requestState", quote(&state));
                    changed = true;
                }
            }
            (Era::Legacy, _) => {}
        }
        if changed {
            target.params = Some(params.to_vec().into());
        }
        Ok(Self::Fresh(target))
    }
}

/// What the state of a server's multi-round request is bound to: whose, where, and which request of the client's.
fn state_binding(
    caller: &Caller,
    server: &Server,
    method_name: &str,
    asked: Option<&Bytes>,
) -> Binding {
    let digest = bridge::digest_of(method_name, asked.map(AsRef::as_ref));
    let principal = caller.principal.identity().as_bytes();
    Binding::new(&[
        b"requestState",
        principal,
        server.name.as_str().as_bytes(),
        &digest,
    ])
}

/// Seals the cursor or the state that a result hands to the client, so that only this client can use it, and only for this.
pub(crate) fn seal_tokens(
    caller: &Caller,
    link: &Link,
    method_name: &str,
    asked: Option<&Bytes>,
    result: Bytes,
) -> Result<Bytes, Refusal> {
    if lists::is_list(method_name) {
        if let Some(mut object) = Object::parse(&result)
            && let Some(cursor) = object.get_str("nextCursor")
        {
            let sealed = seal_cursor(caller, link.server.name.as_str(), method_name, &cursor)?;
            object.set("nextCursor", quote(&sealed));
            return Ok(object.to_vec().into());
        }
        return Ok(result);
    }
    if caller.era() == Era::Modern
        && link.era() == Era::Modern
        && memchr::memmem::find(&result, b"requestState").is_some()
        && let Some(mut object) = Object::parse(&result)
        && let Some(state) = object.get_str("requestState")
    {
        let expires = Timestamp(caller.runtime.clock.now().0 + STATE_LIFE_MS);
        let binding = state_binding(caller, &link.server, method_name, asked);
        let sealed = caller.runtime.shared.sealer.seal(&state, &binding, expires);
        let sealed =
            sealed.map_err(|_none| Refusal::internal("no state could be kept; try again"))?;
        object.set("requestState", quote(&sealed));
        return Ok(object.to_vec().into());
    }
    Ok(result)
}

fn cursor_binding(caller: &Caller, server: &str, method_name: &str) -> Binding {
    let principal = caller.principal.identity().as_bytes();
    Binding::new(&[
        b"cursor",
        principal,
        server.as_bytes(),
        method_name.as_bytes(),
    ])
}

/// Seals a cursor for a client.
pub(crate) fn seal_cursor(
    caller: &Caller,
    server: &str,
    method_name: &str,
    cursor: &str,
) -> Result<String, Refusal> {
    let expires = Timestamp(caller.runtime.clock.now().0.saturating_add(CURSOR_LIFE_MS));
    let binding = cursor_binding(caller, server, method_name);
    caller
        .runtime
        .shared
        .sealer
        .seal(cursor, &binding, expires)
        .map_err(|_no_randomness| Refusal::internal("no cursor could be made; try again"))
}

/// Opens a cursor that a client sends back.
pub(crate) fn open_cursor(
    caller: &Caller,
    server: &str,
    method_name: &str,
    cursor: &str,
) -> Option<String> {
    let binding = cursor_binding(caller, server, method_name);
    caller
        .runtime
        .shared
        .sealer
        .open(cursor, &binding, caller.runtime.clock.now())
}

/// Finds out, without a closer look, that JSON has no member of certain names.
pub(crate) struct Names<const N: usize>([Finder<'static>; N], Finder<'static>);

impl<const N: usize> Names<N> {
    pub(crate) fn new(names: [&'static str; N]) -> Self {
        Self(names.map(Finder::new), Finder::new(b"\\u"))
    }

    /// Whether `json` could have a member with one of the names, written out or escaped.
    pub(crate) fn may_be_in(&self, json: &[u8]) -> bool {
        self.0.iter().any(|name| name.find(json).is_some()) || self.1.find(json).is_some()
    }
}

/// Members by which a client hands something back.
static HANDED_BACK: LazyLock<Names<3>> =
    LazyLock::new(|| Names::new(["cursor", "inputResponses", "requestState"]));
