//! A modern server's `input_required` for a client of the legacy era: the client is asked by requests on its own stream, and
//! the server gets the answers with the request made again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use portcullis_mcp::{Object, Outcome, code, method, quote};

use super::ask::Asked;
use crate::caller::Caller;
use crate::link::Link;
use crate::reply::Refusal;
use crate::seal::random_id;
use crate::session::Session;

/// Most rounds of input for one request.
pub(crate) const ROUNDS_MAX: usize = 10;

/// How long a server that asks nothing waits for the next round.
const AGAIN: Duration = Duration::from_millis(250);

/// What a server wants to know before it goes on.
#[derive(Debug)]
pub(crate) struct Round {
    requests: Vec<(String, String, Option<Bytes>)>,
    state: Option<Vec<u8>>,
}

/// What a result asks for, if it is an `input_required`.
pub(crate) fn input_required(result: &Bytes) -> Option<Round> {
    // The usual result is no such thing, and is told apart without being read.
    memchr::memmem::find(result, b"input_required")?;
    let object = Object::parse(result)?;
    if object.get_str("resultType").as_deref() != Some("input_required") {
        return None;
    }
    let mut requests = Vec::new();
    if let Some(asked) = object.get("inputRequests").and_then(Object::parse) {
        for (key, request) in asked.iter() {
            let request = Object::parse(request)?;
            let params = request.get("params").map(Bytes::copy_from_slice);
            requests.push((
                key.to_owned(),
                request.get_str("method")?.into_owned(),
                params,
            ));
        }
    }
    let state = object.get_str("requestState").map(|state| quote(&state));
    Some(Round { requests, state })
}

/// Asks the client everything that a round wants to know; the parameters for the next round.
pub(crate) async fn answer_round(
    caller: &Caller,
    session: &Arc<Session>,
    link: &Link,
    params: Option<&[u8]>,
    round: Round,
) -> Result<Bytes, Refusal> {
    if round.requests.is_empty() {
        // The server only wants the request once more, which it should not get at once.
        tokio::time::sleep(AGAIN).await;
    }
    let asked = Asked {
        runtime: &caller.runtime,
        principal: &caller.principal,
        era: caller.era(),
        capabilities: &caller.profile.capabilities,
        link,
    };
    let answers = round
        .requests
        .into_iter()
        .map(|(key, method_name, params)| async move {
            let params = with_elicitation_id(&method_name, params);
            let outcome = asked
                .ask(session, &caller.stream, &method_name, params.as_ref())
                .await;
            (key, method_name, outcome)
        });
    let mut responses = Object::new();
    for (key, method_name, outcome) in join_all(answers).await {
        match outcome {
            Outcome::Result(result) => responses.set(&key, result.to_vec()),
            // An elicitation can be declined; there is no such answer to the others.
            Outcome::Error(_) if method_name == method::ELICITATION_CREATE => {
                responses.set(&key, b"{\"action\":\"cancel\"}".as_slice());
            }
            Outcome::Error(error) => {
                return Err(Refusal::Server {
                    error: shorten(error),
                    status: 200,
                });
            }
        }
    }
    let mut next = params.and_then(Object::parse).unwrap_or_default();
    next.remove("inputResponses");
    next.remove("requestState");
    if !responses.is_empty() {
        next.set("inputResponses", responses.to_vec());
    }
    if let Some(state) = round.state {
        next.set("requestState", state);
    }
    Ok(next.to_vec().into())
}

/// The error for a client that could not be asked.
fn shorten(error: portcullis_mcp::RpcError) -> portcullis_mcp::RpcError {
    if error.code == code::METHOD_NOT_FOUND {
        return portcullis_mcp::RpcError::new(
            code::INVALID_PARAMS,
            "the server needs an input that this client cannot give",
        );
    }
    error
}

/// A URL elicitation before 2026-07-28 has an id of its own.
fn with_elicitation_id(method_name: &str, params: Option<Bytes>) -> Option<Bytes> {
    let raw = params?;
    if method_name == method::ELICITATION_CREATE
        && let Some(mut object) = Object::parse(&raw)
        && object.get_str("mode").as_deref() == Some("url")
        && !object.contains("elicitationId")
        && let Ok(id) = random_id()
    {
        object.set("elicitationId", quote(&id));
        return Some(object.to_vec().into());
    }
    Some(raw)
}
