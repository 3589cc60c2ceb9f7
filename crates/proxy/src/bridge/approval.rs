//! A call that a person has to approve of first: has the person asked, in the client where it can show a form (MCP 2025-06-18 and
//! later, elicitation, "Form Mode"), and otherwise waits a while for an answer by another way. Silence is no.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::{
    Era, Object, Outcome, encode_notification, member, meta, method, quote, string,
};
use portcullis_pipeline::{Approval, ApprovalState, Denial};

use super::park::{answers, input_requests};
use crate::caller::Caller;
use crate::federation::Target;
use crate::link::Link;
use crate::reply::Refusal;
use crate::running::{Running, progress_token};

/// What a modern client's answer is known by, before the question's identifier.
const KEY: &str = "portcullis-approval-";
/// How often it is looked whether somebody has answered by another way.
const LOOK: Duration = Duration::from_millis(500);
/// How often a waiting client is told that the call is not forgotten.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long a client waits that cannot be told so.
const PATIENCE: Duration = Duration::from_secs(45);
/// Questions that one request may come to: a definition or a policy may change in between.
const QUESTIONS_MAX: usize = 3;
/// The member of the form in which the person answers.
const FIELD: &str = "decision";
const ALLOW: &str = "allow";
/// What the form asks for.
const SCHEMA: &[u8] = br#"{"type":"object","properties":{"decision":{"type":"string","title":"Decision","description":"Whether this very call may be made, once","enum":["allow","deny"]}},"required":["decision"]}"#;

/// What a request that may need an approval comes to.
pub(crate) enum Begun {
    /// It runs.
    Running(Box<Running>),
    /// The client is asked first: the result that does it.
    Asks(Bytes),
}

/// How a person answered.
enum Answer {
    Yes,
    No,
    /// By another way: the store knows.
    Elsewhere,
    /// The client is asked by this result.
    Later(Bytes),
    Silence,
}

/// Has a request checked and sent, once whoever has to approve of it has done so.
pub(crate) async fn begin(
    caller: &Caller,
    link: &Arc<Link>,
    method_name: &str,
    target: Target,
    asked: Option<&Bytes>,
) -> Result<Begun, Refusal> {
    for _ in 0..QUESTIONS_MAX {
        let begun = Running::begin(caller, link, method_name, target.clone()).await;
        let approval = match begun {
            Ok(running) => return Ok(Begun::Running(Box::new(running))),
            Err(Refusal::Denied(Denial::ApprovalRequired(approval))) => approval,
            Err(refusal) => return Err(refusal),
        };
        let answer = ask(caller, method_name, &approval, asked).await;
        let pipeline = &caller.runtime.pipeline;
        let by = format!("{} by a form", caller.principal.name);
        let approved = match answer {
            Answer::Yes => true,
            Answer::No => false,
            Answer::Elsewhere => continue,
            Answer::Later(result) => return Ok(Begun::Asks(result)),
            Answer::Silence => return Err(Denial::ApprovalRequired(approval).into()),
        };
        let now = caller.runtime.clock.now();
        pipeline
            .answer_approval(&approval.id, approved, &by, now)
            .await
            .map_err(Denial::from)?;
        if !approved {
            return Err(Denial::ApprovalDenied.into());
        }
    }
    Err(Denial::UndecidedPolicy.into())
}

/// Asks the person at the client, if it can show a form; waits for an answer by another way besides.
async fn ask(
    caller: &Caller,
    method_name: &str,
    approval: &Approval,
    asked: Option<&Bytes>,
) -> Answer {
    let can_show = shows_forms(&caller.profile.capabilities);
    let key = format!("{KEY}{}", approval.id);
    if caller.era() == Era::Modern && can_show && method::may_require_input(method_name) {
        let responses = asked.and_then(|params| member(params, "inputResponses"));
        return match answers(responses, &key) {
            Some(outcome) => answer_of(&outcome),
            None => Answer::Later(input_required(&key, approval, asked)),
        };
    }
    let elsewhere = elsewhere(caller, &approval.id);
    match &caller.session {
        Some(session) if can_show => {
            let form = form(approval);
            let pending = session.ask(&caller.stream, method::ELICITATION_CREATE, Some(&form));
            let patience = caller.runtime.limits.parked_timeout.get();
            tokio::select! {
                response = pending.response() => response.map_or(Answer::Silence, |it| answer_of(&it)),
                answer = elsewhere => answer,
                () = tell_progress(caller, asked) => Answer::Silence,
                () = tokio::time::sleep(patience) => Answer::Silence,
            }
        }
        _ => {
            let patience = match progress_token(asked.map(AsRef::as_ref)) {
                Some(_) => caller.runtime.limits.parked_timeout.get(),
                None => PATIENCE,
            };
            tokio::select! {
                answer = elsewhere => answer,
                () = tell_progress(caller, asked) => Answer::Silence,
                () = tokio::time::sleep(patience) => Answer::Silence,
            }
        }
    }
}

/// Whether a client can show a person a form; one that says no more of elicitation can show that.
fn shows_forms(capabilities: &[u8]) -> bool {
    member(capabilities, "elicitation")
        .and_then(Object::parse)
        .is_some_and(|elicitation| elicitation.contains("form") || elicitation.is_empty())
}

/// Resolves once somebody has answered the question by another way.
async fn elsewhere(caller: &Caller, id: &str) -> Answer {
    loop {
        tokio::time::sleep(LOOK).await;
        match caller.runtime.pipeline.approval_state(id).await {
            Ok(Some(ApprovalState::Open)) => {}
            Ok(Some(ApprovalState::Approved | ApprovalState::Spent)) => return Answer::Elsewhere,
            Ok(Some(ApprovalState::Denied)) => return Answer::No,
            Ok(None) | Err(_) => return Answer::Silence,
        }
    }
}

/// Tells the client now and then that its call waits for a person; never resolves.
async fn tell_progress(caller: &Caller, asked: Option<&Bytes>) {
    let token = progress_token(asked.map(AsRef::as_ref));
    let mut told = 0_u32;
    loop {
        tokio::time::sleep(PROGRESS).await;
        let Some(token) = &token else { continue };
        told = told.saturating_add(1);
        let mut params = Object::new();
        params.set(meta::PROGRESS_TOKEN, &**token);
        // Progress must grow; the server's own, which follows, begins higher.
        params.set("progress", format!("{told}e-9").into_bytes());
        params.set(
            "message",
            quote("waiting for a person to approve of the call"),
        );
        let message = encode_notification(method::NOTIFICATIONS_PROGRESS, Some(&params.to_vec()));
        caller.stream.notify(message);
    }
}

/// What the person's answer says: yes is said in so many words.
fn answer_of(outcome: &Outcome) -> Answer {
    let Outcome::Result(result) = outcome else {
        return Answer::Silence;
    };
    let text = |json: Option<&[u8]>| json.and_then(string).map(std::borrow::Cow::into_owned);
    let action = text(member(result, "action"));
    let decision = text(member(result, "content").and_then(|content| member(content, FIELD)));
    match (action.as_deref(), decision.as_deref()) {
        (Some("accept"), Some(ALLOW)) => Answer::Yes,
        (Some("accept" | "decline"), _) => Answer::No,
        _ => Answer::Silence,
    }
}

/// The params of the form.
fn form(approval: &Approval) -> Vec<u8> {
    let mut form = Object::new();
    form.set("mode", b"\"form\"".as_slice());
    form.set("message", quote(&approval.message));
    form.set("requestedSchema", SCHEMA);
    form.to_vec()
}

/// The result that has a modern client ask. What the server's own round left goes on where it was.
fn input_required(key: &str, approval: &Approval, asked: Option<&Bytes>) -> Bytes {
    let form = form(approval);
    let requests = [(key, method::ELICITATION_CREATE, Some(&*form))];
    let mut result = Object::new();
    result.set("resultType", b"\"input_required\"".as_slice());
    result.set("inputRequests", input_requests(requests.into_iter()));
    if let Some(state) = asked.and_then(|params| member(params, "requestState")) {
        result.set("requestState", state.to_vec());
    }
    result.to_vec().into()
}

/// Whether a key of `inputResponses` is for a question of the gateway's own about a call.
pub(super) fn is_own(key: &str) -> bool {
    key.starts_with(KEY)
}
