//! The page on which a person answers (MCP 2025-11-25 and 2026-07-28, elicitation, "URL Mode").
//!
//! Where there is a login, the link is no secret: whose call it is may answer, or who is in a group of approvers, so that a link
//! that somebody passes on does nothing for them. Without one, on a loopback listener alone, the link holds a sealed ticket that
//! ends with the question. To open the page changes nothing.

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use portcullis_oauth::form::{Form, InvalidForm};
use portcullis_oauth::login::Session;
use portcullis_oauth::page;
use portcullis_pipeline::{Approval, ApprovalRow, ApprovalState, PrincipalKind, Shown, Timestamp};

use crate::access::Access;
use crate::caller::Caller;
use crate::peer::Peer;
use crate::runtime::Runtime;
use crate::seal::Binding;

/// What the path of every page begins with.
pub(super) const PREFIX: &str = "/approvals/";

/// Who has opened a page.
enum Visitor {
    /// A session of an account.
    Account(Session),
    /// Whoever has this ticket.
    Ticket(String),
}

impl Visitor {
    /// What a form's token is bound to beside the question, so that no page serves another visitor.
    fn binding(&self, id: &str) -> Binding {
        match self {
            Self::Account(session) => Binding::new(&[
                b"approval-form",
                id.as_bytes(),
                b"account",
                session.account.as_bytes(),
                session.csrf.as_bytes(),
            ]),
            Self::Ticket(ticket) => Binding::new(&[
                b"approval-form",
                id.as_bytes(),
                b"ticket",
                ticket.as_bytes(),
            ]),
        }
    }

    fn may_answer(&self, row: &ApprovalRow, approver_groups: &[Box<str>]) -> bool {
        match self {
            Self::Account(session) => {
                *row.holder == *session.account
                    || session.groups.iter().any(|it| approver_groups.contains(it))
            }
            Self::Ticket(_) => true,
        }
    }

    fn name<'a>(&'a self, row: &'a ApprovalRow) -> &'a str {
        match self {
            Self::Account(session) => &session.account,
            Self::Ticket(_) => &row.principal,
        }
    }
}

/// The link to the page of a question; `None` where nobody could answer it there.
pub(crate) fn link(caller: &Caller, approval: &Approval) -> Option<String> {
    let runtime = &caller.runtime;
    let access = runtime.authenticator.access()?;
    let principal = &caller.principal;
    // The name of an account has no colon; those of other issuers have.
    let has_account = principal.kind == PrincipalKind::User && !principal.name.contains(':');
    let has_approvers = !runtime.asking.approver_groups.is_empty();
    let path = if access.login.is_some() && (has_account || has_approvers) {
        format!("{PREFIX}{}", approval.id)
    } else if runtime.tickets {
        let sealer = &runtime.shared.sealer;
        let expires = Timestamp(approval.expires_ms);
        let ticket = sealer.seal("", &ticket_binding(&approval.id), expires);
        format!("{PREFIX}{}/{}", approval.id, ticket.ok()?)
    } else {
        return None;
    };
    access.public_url.join(&path).ok().map(Into::into)
}

fn ticket_binding(id: &str) -> Binding {
    Binding::new(&[b"approval-page", id.as_bytes()])
}

/// Answers a request for a page, `rest` of whose path is the question, and perhaps a ticket.
pub(super) async fn respond(
    runtime: &Runtime,
    access: &Access,
    peer: &Peer,
    request: &Request<Bytes>,
    rest: &str,
) -> Response<Bytes> {
    let now = runtime.clock.now();
    let answer = answer(runtime, access, peer, request, rest, now);
    let mut response = match answer.await {
        Ok(response) | Err(response) => response,
    };
    page::transport(response.headers_mut(), &access.public_url);
    response
}

/// `Err` is a page too: that of a visit that ends early.
async fn answer(
    runtime: &Runtime,
    access: &Access,
    peer: &Peer,
    request: &Request<Bytes>,
    rest: &str,
    now: Timestamp,
) -> Result<Response<Bytes>, Response<Bytes>> {
    let is_post = match *request.method() {
        Method::GET | Method::HEAD => false,
        Method::POST => true,
        _ => return Err(wrong_method()),
    };
    let (id, ticket) = match rest.split_once('/') {
        Some((id, ticket)) => (id, Some(ticket)),
        None => (rest, None),
    };
    let visitor = if let Some(ticket) = ticket {
        let sealer = &runtime.shared.sealer;
        let is_local = runtime.tickets && peer.ip().is_loopback();
        if !is_local || sealer.open(ticket, &ticket_binding(id), now).is_none() {
            return Err(gone());
        }
        Visitor::Ticket(ticket.to_owned())
    } else {
        let login = access.login.as_ref().ok_or_else(unknown)?;
        let session = login.session(request.headers(), now.0).await;
        Visitor::Account(session.ok_or_else(|| login.start(request.uri().path()))?)
    };
    let row = find(runtime, id).await?;
    if !visitor.may_answer(&row, &runtime.asking.approver_groups) {
        tracing::warn!(approval = %row.id, "somebody opened the page of another's question");
        return Err(not_yours());
    }
    if is_post {
        decide(runtime, access, request, &visitor, &row, now).await
    } else if is_open(&row, now) {
        Ok(show(runtime, &visitor, &row, now))
    } else {
        Ok(outcome(&row, StatusCode::OK))
    }
}

async fn find(runtime: &Runtime, id: &str) -> Result<ApprovalRow, Response<Bytes>> {
    match runtime.pipeline.approval(id).await {
        Ok(Some(row)) => Ok(row),
        Ok(None) => Err(unknown()),
        Err(error) => {
            tracing::error!(%error, "a question could not be read");
            Err(broken())
        }
    }
}

fn is_open(row: &ApprovalRow, now: Timestamp) -> bool {
    row.state == ApprovalState::Open && row.expires_ms > now.0
}

fn show(
    runtime: &Runtime,
    visitor: &Visitor,
    row: &ApprovalRow,
    now: Timestamp,
) -> Response<Bytes> {
    let sealer = &runtime.shared.sealer;
    let Ok(token) = sealer.seal("", &visitor.binding(&row.id), Timestamp(row.expires_ms)) else {
        return broken();
    };
    let shown = Shown::of(row);
    let page = page::Approval {
        account: match visitor {
            Visitor::Account(session) => Some(&session.account),
            Visitor::Ticket(_) => None,
        },
        principal: &shown.principal,
        client: shown.client.as_deref(),
        server: &shown.server,
        tool: &shown.tool,
        arguments: &shown.arguments,
        left_out: shown.left_out,
        reasons: &shown.reasons,
        unusual: &shown.unusual,
        seconds: row.expires_ms.saturating_sub(now.0) / 1000,
        token: &token,
    };
    page::render(StatusCode::OK, &page, &[])
}

async fn decide(
    runtime: &Runtime,
    access: &Access,
    request: &Request<Bytes>,
    visitor: &Visitor,
    row: &ApprovalRow,
    now: Timestamp,
) -> Result<Response<Bytes>, Response<Bytes>> {
    let form = Form::of_own_page(request, &access.public_url).map_err(|invalid| match invalid {
        InvalidForm::Foreign => forged(),
        InvalidForm::Unreadable => unreadable(),
    })?;
    let binding = visitor.binding(&row.id);
    let sealer = &runtime.shared.sealer;
    if sealer.open(form.get("token"), &binding, now).is_none() {
        return Err(forged());
    }
    let approved = match form.get("decision") {
        "allow" => true,
        "deny" => false,
        _ => return Err(unreadable()),
    };
    let by = format!("{} by the page", visitor.name(row));
    let pipeline = &runtime.pipeline;
    match pipeline.answer_approval(&row.id, approved, &by, now).await {
        Ok(true) => Ok(page::see_other(request.uri().path())),
        Ok(false) => Err(outcome(
            &find(runtime, &row.id).await?,
            StatusCode::CONFLICT,
        )),
        Err(error) => {
            tracing::error!(%error, "an answer could not be kept");
            Err(broken())
        }
    }
}

/// What has become of a question that cannot be answered any more.
fn outcome(row: &ApprovalRow, status: StatusCode) -> Response<Bytes> {
    let (title, text) = match row.state {
        ApprovalState::Open => ("Too late", "Nobody answered in time: the call is refused."),
        ApprovalState::Approved => (
            "Allowed",
            "The call may be made, once. You can close this page.",
        ),
        ApprovalState::Spent => (
            "Allowed",
            "The call was allowed, and made. You can close this page.",
        ),
        ApprovalState::Denied => ("Refused", "The call is refused. You can close this page."),
    };
    page::message(status, title, text)
}

fn wrong_method() -> Response<Bytes> {
    let mut response = page::message(
        StatusCode::METHOD_NOT_ALLOWED,
        "This page does not work that way",
        "Open it in a browser.",
    );
    let allow = HeaderValue::from_static("GET, POST");
    response.headers_mut().insert(ALLOW, allow);
    response
}

fn unknown() -> Response<Bytes> {
    let text = "Nobody is asked about this, or it is too long ago.";
    page::message(StatusCode::NOT_FOUND, "There is no such question", text)
}

fn gone() -> Response<Bytes> {
    let text = "The link does not work any more. Repeat what you were doing to be asked again.";
    page::message(StatusCode::NOT_FOUND, "Too late", text)
}

fn not_yours() -> Response<Bytes> {
    page::message(
        StatusCode::FORBIDDEN,
        "This question is not yours",
        "It is about a call that somebody else makes, and only they may answer. If somebody sent you the link, tell your administrator.",
    )
}

fn forged() -> Response<Bytes> {
    page::message(
        StatusCode::FORBIDDEN,
        "The page was too old",
        "Nothing was changed. Open the link again.",
    )
}

fn unreadable() -> Response<Bytes> {
    page::message(
        StatusCode::BAD_REQUEST,
        "The form cannot be read",
        "Nothing was changed. Go back and try again.",
    )
}

fn broken() -> Response<Bytes> {
    page::message(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "Try again, or ask your administrator.",
    )
}
