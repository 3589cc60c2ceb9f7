//! A legacy server's call that waits for input from a client of the modern era, which cannot be asked but answers in a
//! further request (MCP 2026-07-28, "Multi Round-Trip Requests"). The `requestState` that the client gets is a
//! handle: it works once, for the principal and the request that it was made for, and for a while.

use std::time::Instant;

use bytes::Bytes;
use portcullis_mcp::{Object, Outcome, RpcError, ServerName, code, is_object, meta, quote};

use super::ask::{Permitted, Question};
use super::shape::remove_meta;
use crate::authenticate::sha256;
use crate::caller::Caller;
use crate::reply::Refusal;
use crate::running::Running;

/// A call that waits for input.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) running: Running,
    digest: [u8; 32],
}

/// A server's request that the client has not answered yet.
#[derive(Debug)]
pub(crate) struct Open {
    /// What the client knows it by.
    pub(crate) key: String,
    pub(crate) question: Question,
    pub(crate) permitted: Permitted,
}

/// What identifies a request across its rounds: method and parameters, less what changes from round to round.
pub(crate) fn digest_of(method_name: &str, params: Option<&[u8]>) -> [u8; 32] {
    let mut object = params.and_then(Object::parse).unwrap_or_default();
    for member in ["inputResponses", "requestState", "_meta"] {
        object.remove(member);
    }
    let mut text = method_name.as_bytes().to_vec();
    text.push(0);
    object.write(&mut text);
    sha256(&text)
}

/// The `inputRequests` member of a result, for requests by key, method and params.
pub(crate) fn input_requests<'a>(
    asked: impl Iterator<Item = (&'a str, &'a str, Option<&'a [u8]>)>,
) -> Vec<u8> {
    let mut requests = Object::new();
    for (key, method_name, params) in asked {
        let mut params = params.and_then(Object::parse).unwrap_or_default();
        // 2026-07-28 has no such member any more.
        params.remove("elicitationId");
        // Progress is told on streams, which such a request has none of.
        remove_meta(&mut params, meta::PROGRESS_TOKEN);
        let mut entry = Object::new();
        entry.set("method", quote(method_name));
        entry.set("params", params.to_vec());
        requests.set(key, entry.to_vec());
    }
    requests.to_vec()
}

impl Parked {
    /// Parks a call, and gives the result that asks the client for input.
    pub(crate) fn park(
        caller: &Caller,
        digest: [u8; 32],
        running: Running,
    ) -> Result<Bytes, Refusal> {
        let open = running.open.iter();
        let requests = input_requests(open.map(|open| {
            let ask = open.question.ask();
            (&*open.key, &*ask.method, ask.params.as_deref())
        }));
        let limits = &caller.runtime.limits;
        let (life, most) = (limits.parked_timeout.get(), limits.parked_max);
        let parked = Self { running, digest };
        let held = &caller.runtime.shared.parked;
        let state = held
            .put(
                caller.principal.identity(),
                parked,
                Instant::now(),
                life,
                most,
            )
            .map_err(|_not_held| Refusal::Overloaded("too many calls wait for input"))?;
        let mut result = Object::new();
        result.set("resultType", b"\"input_required\"".as_slice());
        result.set("inputRequests", requests);
        result.set("requestState", quote(&state));
        Ok(result.to_vec().into())
    }
}

/// Takes the call that a `requestState` stands for, if it is this principal's and this request's.
pub(crate) fn take(
    caller: &Caller,
    server: &ServerName,
    digest: [u8; 32],
    state: &str,
) -> Result<Running, Refusal> {
    caller
        .runtime
        .shared
        .parked
        .take(caller.principal.identity(), state, Instant::now())
        .filter(|parked| parked.digest == digest && parked.running.link.server.name == *server)
        .map(|parked| parked.running)
        .ok_or_else(|| Refusal::invalid_params("unknown `requestState`; start the request again"))
}

/// The client's answer to one of the server's requests, if it is there.
pub(crate) fn answers(responses: Option<&[u8]>, key: &str) -> Option<Outcome> {
    let responses = responses.and_then(Object::parse)?;
    let answer = responses.get(key)?;
    Some(if is_object(answer) {
        Outcome::Result(Bytes::copy_from_slice(answer))
    } else {
        Outcome::Error(RpcError::new(
            code::INVALID_PARAMS,
            "the client's answer is not an object",
        ))
    })
}
