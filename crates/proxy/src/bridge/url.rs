//! A legacy server's demand that a URL be visited first (-32042, 2025-11-25 only), for clients of the modern era.

use bytes::Bytes;
use portcullis_mcp::{Era, Object, RpcError, code, elements, method};

use super::ask::Asked;
use super::park::input_requests;
use crate::caller::Caller;
use crate::link::Link;

/// What a legacy server's demand to visit a URL first is for a modern client (-32042, 2025-11-25 only).
pub(crate) async fn url_elicitation(
    caller: &Caller,
    link: &Link,
    error: &RpcError,
) -> Option<Bytes> {
    if error.code != code::URL_ELICITATION_REQUIRED || caller.era() != Era::Modern {
        return None;
    }
    let data = error.data.as_deref().and_then(Object::parse)?;
    let asked = Asked {
        runtime: &caller.runtime,
        principal: &caller.principal,
        era: caller.era(),
        capabilities: &caller.profile.capabilities,
        link,
    };
    let mut requests = Vec::new();
    for (at, elicitation) in elements(data.get("elicitations")?)?.iter().enumerate() {
        let mut params = Object::parse(elicitation)?;
        params.set("mode", b"\"url\"".as_slice());
        let params = Bytes::from(params.to_vec());
        let permitted = asked
            .permit(method::ELICITATION_CREATE, Some(&params))
            .await
            .ok()?;
        // The answer comes with another request, if at all: as far as this one goes, the client has been asked.
        drop(permitted);
        requests.push((format!("url-{}", at + 1), params));
    }
    let requests = requests.iter();
    let requests = input_requests(
        requests.map(|(key, params)| (&**key, method::ELICITATION_CREATE, Some(&**params))),
    );
    let mut result = Object::new();
    result.set("resultType", b"\"input_required\"".as_slice());
    result.set("inputRequests", requests);
    Some(result.to_vec().into())
}
