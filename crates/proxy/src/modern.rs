//! Requests of the modern era over HTTP: each carries everything, and its head has to say what its body says
//! (MCP 2026-07-28, transports, "Streamable HTTP").

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Response, StatusCode};
use portcullis_mcp::{
    Era, Message, Object, Request, Version, decode_value, header, is_object, member, meta, method,
    param_agrees, string,
};
use portcullis_pipeline::ToolDefinition;

use crate::body::Body;
use crate::caller::{Caller, request_id, unknown_profile};
use crate::dispatch::{dispatch, served_versions};
use crate::endpoint::{self, Arrival};
use crate::reply::{Door, Refusal, render};
use crate::runtime::Counted;
use crate::stream::Stream;
use crate::upstream::Profile;

/// Answers a POST.
pub(crate) async fn post(arrival: Arrival, message: Message, entered: Counted) -> Response<Body> {
    let request = match message {
        Message::Request(request) => request,
        // No notification from a client is defined; what comes is taken and means nothing.
        Message::Notification(_) => return endpoint::plain(StatusCode::ACCEPTED),
        Message::Response(_) => {
            return endpoint::turned_away(&arrival.runtime, Door::Response);
        }
    };
    let checked = check_head(&arrival.headers, &request);
    let stream = Stream::new();
    let credential = arrival.credential();
    let Arrival {
        runtime,
        entrant,
        route,
        headers,
        ..
    } = arrival;
    let (profile, refusal) = match checked {
        Ok(profile) => (profile, None),
        Err(refusal) => (unknown_profile(), Some(refusal)),
    };
    let request_id = request_id(runtime.clock.now());
    let caller = Caller {
        runtime,
        principal: entrant.principal,
        credential,
        route,
        version: Version::LATEST,
        profile: Arc::new(profile),
        session: None,
        stream: Arc::clone(&stream),
        request_id,
        headers: Some(headers),
    };
    if let Some(refusal) = refusal {
        let reply = render(&caller, &request.id, &request.method, Err(refusal));
        return endpoint::whole(reply);
    }
    let runtime = Arc::clone(&caller.runtime);
    let shared = Arc::clone(&runtime.shared);
    let (name, most) = (
        Arc::clone(caller.principal.identity()),
        caller.runtime.limits.streams_max,
    );
    let answering = Box::pin(async move {
        let reply = dispatch(&caller, &request).await;
        drop(entered);
        reply
    });
    endpoint::answer(
        runtime,
        move || shared.streams.enter(&name, most),
        answering,
        stream,
        None,
    )
    .await
}

/// Reads what a modern request says of its client, and checks it against the head of the HTTP request.
fn check_head(headers: &HeaderMap, request: &Request) -> Result<Profile, Refusal> {
    let in_params = |key| request.params().and_then(|params| member(params, key));
    let held = in_params("_meta").and_then(Object::parse);
    let in_body = held
        .as_ref()
        .and_then(|held| held.get_str(meta::PROTOCOL_VERSION));
    let in_head = single(headers, header::MCP_PROTOCOL_VERSION)?;
    if let Some(in_body) = &in_body
        && in_head.as_deref() != Some(&**in_body)
    {
        return Err(Refusal::header_mismatch(
            "`MCP-Protocol-Version` does not agree with the body",
        ));
    }
    if single(headers, header::MCP_METHOD)?.as_deref() != Some(&*request.method) {
        return Err(Refusal::header_mismatch(
            "`Mcp-Method` does not agree with the body",
        ));
    }
    if let Some(key) = method::name_param(&request.method) {
        let named = in_params(key).and_then(string);
        let field = field(headers, header::MCP_NAME)?;
        let agrees = match (named, field) {
            (Some(named), Some(field)) => decode_value(field).is_some_and(|value| value == named),
            _ => false,
        };
        if !agrees {
            return Err(Refusal::header_mismatch(
                "`Mcp-Name` does not agree with the body",
            ));
        }
    }
    let profile = profile_of(held.as_ref())?;
    let version = in_body.unwrap_or_default();
    match Version::parse(&version) {
        Some(version) if version.era() == Era::Modern => Ok(profile),
        _ => Err(Refusal::unsupported_version(&version, &served_versions())),
    }
}

/// What a modern request says of its client (MCP 2026-07-28, "Request Metadata").
pub(crate) fn profile_of(held: Option<&Object<'_>>) -> Result<Profile, Refusal> {
    let missing = |key: &str| Refusal::malformed(format!("`_meta` lacks a valid `{key}`"));
    let held = held.ok_or_else(|| missing(meta::PROTOCOL_VERSION))?;
    held.get_str(meta::PROTOCOL_VERSION)
        .ok_or_else(|| missing(meta::PROTOCOL_VERSION))?;
    let capabilities = held
        .get(meta::CLIENT_CAPABILITIES)
        .filter(|capabilities| is_object(capabilities))
        .ok_or_else(|| missing(meta::CLIENT_CAPABILITIES))?;
    let client_info = held.get(meta::CLIENT_INFO).filter(|info| is_object(info));
    Ok(Profile {
        version: None,
        capabilities: capabilities.to_vec().into(),
        client_info: client_info.unwrap_or(b"{}").to_vec().into(),
        log_level: held
            .get_str(meta::LOG_LEVEL)
            .map(|level| level.as_ref().into()),
    })
}

/// The only value of a header field; more than one is a mismatch.
fn field<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a [u8]>, Refusal> {
    let mut fields = headers.get_all(HeaderName::from_static(name)).iter();
    match (fields.next(), fields.next()) {
        (_, Some(_)) => Err(Refusal::header_mismatch(format!(
            "`{name}` is there more than once"
        ))),
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
    }
}

fn single(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Refusal> {
    let value = field(headers, name)?;
    Ok(value
        .and_then(|v| std::str::from_utf8(v).ok())
        .map(|v| v.trim_matches([' ', '\t']).to_owned()))
}

/// Checks that the `Mcp-Param-*` fields of a modern HTTP request say what its body says (protocol 2026-07-28, transports,
/// "Server Validation").
pub(crate) fn check_param_headers(
    caller: &Caller,
    tool: &ToolDefinition,
    params: Option<&[u8]>,
) -> Result<(), Refusal> {
    let mirrored = tool.param_headers().unwrap_or_default();
    let (Some(headers), false) = (&caller.headers, mirrored.is_empty()) else {
        return Ok(());
    };
    let arguments = params.and_then(|params| member(params, "arguments"));
    let arguments = arguments.unwrap_or(b"{}");
    for header in mirrored {
        let name = format!("mcp-param-{}", header.name.to_ascii_lowercase());
        let mut fields = headers.get_all(&name).iter();
        let field = fields.next().map(http::HeaderValue::as_bytes);
        if fields.next().is_some() || !param_agrees(header, field, arguments) {
            let message = format!(
                "`Mcp-Param-{}` does not agree with the arguments",
                header.name
            );
            return Err(Refusal::header_mismatch(message));
        }
    }
    Ok(())
}
