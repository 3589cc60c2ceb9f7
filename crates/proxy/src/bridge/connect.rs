//! A server that a person has to connect to first, told so that a client can open the link by itself: as an elicitation of a
//! URL (MCP 2025-11-25 and 2026-07-28, elicitation, "URL Mode").

use bytes::Bytes;
use portcullis_mcp::{Era, Object, RpcError, ServerName, Version, code, member, method, quote};
use url::Url;

use super::park::input_requests;
use super::shape::complete;
use crate::caller::Caller;
use crate::reply::Refusal;
use crate::seal::random_id;

/// What the client's answer is known by; it is for the gateway, and goes no further.
const KEY: &str = "portcullis-connect";

/// The answer that has a client open the link; `None` for a client that has not said that it can.
pub(crate) fn connect_first(
    caller: &Caller,
    method_name: &str,
    params: Option<&[u8]>,
    server: &ServerName,
    url: &Url,
) -> Option<Result<Bytes, Refusal>> {
    let elicitation = member(&caller.profile.capabilities, "elicitation")?;
    member(elicitation, "url")?;
    let mut asked = Object::new();
    asked.set("mode", b"\"url\"".as_slice());
    asked.set("url", quote(url.as_str()));
    let message = format!("Connect the gateway to `{server}`, then repeat the request.");
    asked.set("message", quote(&message));
    match caller.era() {
        Era::Legacy if caller.version >= Version::V2025_11_25 => {
            asked.set("elicitationId", quote(&random_id().ok()?));
            let mut elicitations = b"[".to_vec();
            asked.write(&mut elicitations);
            elicitations.push(b']');
            let mut data = Object::new();
            data.set("elicitations", elicitations);
            let error = RpcError::new(code::URL_ELICITATION_REQUIRED, message);
            let error = error.with_data(data.to_vec());
            Some(Err(Refusal::Server { error, status: 200 }))
        }
        Era::Modern if method::may_require_input(method_name) => {
            let asked = asked.to_vec();
            let mut result = Object::new();
            result.set("resultType", b"\"input_required\"".as_slice());
            let requests = [(KEY, method::ELICITATION_CREATE, Some(&*asked))];
            result.set("inputRequests", input_requests(requests.into_iter()));
            if let Some(state) = params.and_then(|params| member(params, "requestState")) {
                // The server's own round goes on where it was.
                result.set("requestState", state.to_vec());
            }
            let result = result.to_vec().into();
            Some(Ok(complete(caller, method_name, &result)))
        }
        Era::Legacy | Era::Modern => None,
    }
}

/// Takes the client's answers to our own questions out of a request's parameters; whether there was one.
pub(crate) fn take_answer(params: &mut Object<'_>) -> bool {
    let Some(raw) = params.get("inputResponses").map(<[u8]>::to_vec) else {
        return false;
    };
    let Some(mut responses) = Object::parse(&raw) else {
        return false;
    };
    let own: Vec<String> = responses
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| key == KEY || super::approval::is_own(key))
        .collect();
    if own.is_empty() {
        return false;
    }
    for key in &own {
        responses.remove(key);
    }
    if responses.is_empty() {
        params.remove("inputResponses");
    } else {
        params.set("inputResponses", responses.to_vec());
    }
    true
}
