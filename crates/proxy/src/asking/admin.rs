//! The API by which others answer: `GET /admin/approvals`, `GET` and `POST /admin/approvals/ID`.
//!
//! Whoever uses it has a credential that names the scope [`SCOPE`]; one that may do everything does not name it. Who made a call
//! does not approve of it. Errors are problem details (RFC 9457).

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use portcullis_oauth::identity::Identity;
use portcullis_oauth::resource::{ProtectedResource, has_token_in_query};
use portcullis_oauth::scope::Scopes;
use portcullis_oauth::verifier::{Presented, Reason};
use portcullis_pipeline::{ApprovalRow, ApprovalState, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Access;
use crate::peer::Peer;
use crate::runtime::Runtime;

/// The scope of whoever answers questions about the calls of others.
pub const SCOPE: &str = "portcullis:approvals";

/// Where the API is.
pub(crate) const PATH: &str = "/admin/approvals";

/// What a request to answer says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    decision: Decision,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Allow,
    Deny,
}

/// Answers a request, `rest` of whose path is empty or `/` and a question.
pub(super) async fn respond(
    runtime: &Runtime,
    access: &Access,
    peer: &Peer,
    request: &Request<Bytes>,
    rest: &str,
) -> Response<Bytes> {
    let now = runtime.clock.now();
    let answer = async {
        let identity = enter(access, peer, request, now).await?;
        let id = rest.strip_prefix('/');
        match (request.method(), id) {
            (&Method::GET, None) => list(runtime, now).await,
            (&Method::GET, Some(id)) => Ok(document(&object(&find(runtime, id).await?, now))),
            (&Method::POST, Some(id)) => decide(runtime, access, request, &identity, id, now).await,
            (_, None) => Err(wrong_method("GET")),
            (_, Some(_)) => Err(wrong_method("GET, POST")),
        }
    };
    match answer.await {
        Ok(response) | Err(response) => response,
    }
}

/// Who it is that may answer.
async fn enter(
    access: &Access,
    peer: &Peer,
    request: &Request<Bytes>,
    now: Timestamp,
) -> Result<std::sync::Arc<Identity>, Response<Bytes>> {
    if has_token_in_query(request.uri()) {
        let detail = "a token does not belong in an address; send it as `Authorization: Bearer`";
        return Err(problem(StatusCode::BAD_REQUEST, "token-in-query", detail));
    }
    let resource = ProtectedResource::new(&access.public_url, PATH);
    let scopes = scopes();
    let presented = Presented {
        headers: request.headers(),
        method: request.method(),
        certificate: peer.certificate.as_ref(),
        peer: Some(peer.ip()),
    };
    let verified = access.verifier.verify(presented, &resource, now.0).await;
    let identity = verified.map_err(|refused| {
        let head = access.verifier.refusal(refused, &resource, &scopes, now.0);
        let plain = if refused.reason == Reason::Missing {
            "Bearer scope=\"portcullis:approvals\""
        } else {
            "Bearer error=\"invalid_token\", scope=\"portcullis:approvals\""
        };
        let detail = "send an API key or access token with the scope `portcullis:approvals` as `Authorization: Bearer`";
        let body = problem(head.status(), "unauthenticated", detail);
        challenged(access, head, body, plain)
    })?;
    let has_scope = identity
        .scopes
        .as_ref()
        .is_some_and(|scopes| scopes.contains(SCOPE));
    if has_scope {
        return Ok(identity);
    }
    let head = access
        .verifier
        .step_up(&presented, &identity, &resource, &scopes, now.0);
    let detail = "the credential does not name the scope `portcullis:approvals`; `portcullis token create --scope` makes one that does";
    let body = problem(StatusCode::FORBIDDEN, "insufficient-scope", detail);
    let plain = "Bearer error=\"insufficient_scope\", scope=\"portcullis:approvals\"";
    Err(challenged(access, head, body, plain))
}

fn scopes() -> Scopes {
    let mut scopes = Scopes::new();
    if let Err(invalid) = scopes.insert(SCOPE) {
        tracing::error!(%invalid, "the scope of the API is none");
    }
    scopes
}

/// `body` with what the verifier says in the head; `plain` in the place of a challenge that would point to metadata of nobody.
fn challenged(
    access: &Access,
    head: Response<()>,
    mut body: Response<Bytes>,
    plain: &'static str,
) -> Response<Bytes> {
    let (parts, ()) = head.into_parts();
    let is_challenge = parts.headers.contains_key(WWW_AUTHENTICATE);
    for (name, value) in &parts.headers {
        body.headers_mut().append(name, value.clone());
    }
    if is_challenge && access.issuers.is_empty() {
        let challenge = HeaderValue::from_static(plain);
        body.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    body
}

async fn list(runtime: &Runtime, now: Timestamp) -> Result<Response<Bytes>, Response<Bytes>> {
    match runtime.pipeline.open_approvals(now).await {
        Ok(rows) => {
            let approvals: Vec<Value> = rows.iter().map(|row| object(row, now)).collect();
            Ok(document(&json!({ "approvals": approvals })))
        }
        Err(error) => Err(broken(&error)),
    }
}

async fn decide(
    runtime: &Runtime,
    access: &Access,
    request: &Request<Bytes>,
    identity: &Identity,
    id: &str,
    now: Timestamp,
) -> Result<Response<Bytes>, Response<Bytes>> {
    let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    });
    if !is_json {
        let detail = "send `application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(problem(status, "media-type", detail));
    }
    let answer: Answer = serde_json::from_slice(request.body()).map_err(|_unreadable| {
        let detail = "send `{\"decision\":\"allow\"}` or `{\"decision\":\"deny\"}`";
        problem(StatusCode::BAD_REQUEST, "unreadable", detail)
    })?;
    let row = find(runtime, id).await?;
    let principal = access.principal(identity);
    if **principal.identity() == *row.identity {
        let detail = "who made the call cannot answer for it; use the credential of another";
        return Err(problem(StatusCode::FORBIDDEN, "own-call", detail));
    }
    let approved = matches!(answer.decision, Decision::Allow);
    let by = format!("{} by the API", principal.name);
    let pipeline = &runtime.pipeline;
    let decided = pipeline.answer_approval(&row.id, approved, &by, now).await;
    let decided = decided.map_err(|error| broken(&error))?;
    let row = find(runtime, id).await?;
    if decided {
        return Ok(document(&object(&row, now)));
    }
    let detail = format!("it can no longer be answered: it is {}", state(&row, now));
    Err(problem(StatusCode::CONFLICT, "answered", &detail))
}

async fn find(runtime: &Runtime, id: &str) -> Result<ApprovalRow, Response<Bytes>> {
    let found = runtime.pipeline.approval(id).await;
    let found = found.map_err(|error| broken(&error))?;
    found.ok_or_else(|| {
        let detail = "nobody is asked about that; list what waits with `GET /admin/approvals`";
        problem(StatusCode::NOT_FOUND, "unknown", detail)
    })
}

fn state(row: &ApprovalRow, now: Timestamp) -> &'static str {
    match row.state {
        ApprovalState::Open | ApprovalState::Approved if row.expires_ms <= now.0 => "expired",
        state => state.as_str(),
    }
}

fn object(row: &ApprovalRow, now: Timestamp) -> Value {
    json!({
        "id": row.id,
        "state": state(row, now),
        "principal": row.principal,
        "client": row.client,
        "server": row.server,
        "tool": row.tool,
        "arguments": serde_json::from_slice::<Value>(&row.arguments).ok(),
        "reasons": row.reasons.lines().collect::<Vec<_>>(),
        "unusual": row.unusual.lines().collect::<Vec<_>>(),
        "request_id": row.request_id,
        "asked_ms": row.asked_ms,
        "expires_ms": row.expires_ms,
        "decided_ms": row.decided_ms,
        "decided_by": row.decided_by,
    })
}

fn document(json: &Value) -> Response<Bytes> {
    body(StatusCode::OK, "application/json", json)
}

fn wrong_method(allow: &'static str) -> Response<Bytes> {
    let detail = "list or read with GET, answer with POST";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = problem(status, "method", detail);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

fn broken(error: &impl std::fmt::Display) -> Response<Bytes> {
    tracing::error!(%error, "the store failed the API of approvals");
    let detail = "something went wrong here; try again, or look into the gateway's log";
    problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

/// Problem details (RFC 9457 §3), with a stable `code`.
fn problem(status: StatusCode, code: &str, detail: &str) -> Response<Bytes> {
    let json = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    body(status, "application/problem+json", &json)
}

fn body(status: StatusCode, media: &'static str, json: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(json.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
