//! A call that a person has to approve of first: has the person asked, in the client where it can show a form or open a page (MCP
//! 2025-06-18 and later, elicitation), else at the terminal where there is one, and meanwhile waits for an answer by another way.
//! Silence is no.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::{
    Era, Object, Outcome, Version, encode_notification, member, meta, method, quote, string,
};
use portcullis_pipeline::{Approval, ApprovalState, Denial};

use super::park::{answers, input_requests};
use crate::asking::{AskAt, Terminal, link};
use crate::caller::Caller;
use crate::federation::Target;
use crate::link::Link;
use crate::reply::Refusal;
use crate::running::{Running, progress_token};
use crate::seal::random_id;

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
/// By what an answer in the form was given, after whose it is.
const BY_FORM: &str = "by a form";
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
    /// Here, and by what.
    Said {
        approved: bool,
        by: &'static str,
    },
    /// The store knows of a yes.
    Approved,
    /// The store knows of a no.
    Denied,
    /// The client is asked by this result.
    Later(Bytes),
    /// The same was put before the person too often.
    TooOften,
    Silence,
}

/// Where the person is asked.
enum Way<'a> {
    /// By a form in the client.
    Form,
    /// On this page, which the client opens.
    Page(String),
    /// At the terminal of this machine.
    Terminal(&'a Terminal),
    /// Nowhere that we know of: others may answer.
    Elsewhere,
    /// Nobody is to be asked.
    Nobody,
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
        if approval.is_new
            && let Some(webhook) = &caller.runtime.asking.webhook
        {
            webhook.tell(caller, &approval.id);
        }
        let (approved, by) = match ask(caller, method_name, &approval, asked).await {
            Answer::Said { approved, by } => (approved, by),
            Answer::Approved => continue,
            Answer::Denied => return Err(Denial::ApprovalDenied.into()),
            Answer::Later(result) => return Ok(Begun::Asks(result)),
            Answer::TooOften => return Err(Denial::ApprovalsExhausted.into()),
            Answer::Silence => return Err(Denial::ApprovalRequired(approval).into()),
        };
        let pipeline = &caller.runtime.pipeline;
        let by = format!("{} {by}", caller.principal.name);
        let now = caller.runtime.clock.now();
        let is_first = pipeline
            .answer_approval(&approval.id, approved, &by, now)
            .await
            .map_err(Denial::from)?;
        if is_first && approved {
            continue;
        }
        // The first answer counts, for whoever gave another.
        match state(caller, &approval.id).await {
            Some(Answer::Approved) => {}
            Some(Answer::Denied) => return Err(Denial::ApprovalDenied.into()),
            _ if approved => {}
            _ => return Err(Denial::ApprovalDenied.into()),
        }
    }
    Err(Denial::UndecidedPolicy.into())
}

/// Asks the person, where that is possible; waits for an answer by another way besides.
async fn ask(
    caller: &Caller,
    method_name: &str,
    approval: &Approval,
    asked: Option<&Bytes>,
) -> Answer {
    let way = way(caller, method_name, approval);
    let limits = &caller.runtime.limits;
    let patience = match progress_token(asked.map(AsRef::as_ref)) {
        Some(_) => limits.parked_timeout.get(),
        None => PATIENCE,
    };
    let is_modern = caller.era() == Era::Modern;
    let key = format!("{KEY}{}", approval.id);
    if is_modern && matches!(way, Way::Form | Way::Page(_)) {
        let responses = asked.and_then(|params| member(params, "inputResponses"));
        return match (answers(responses, &key), way) {
            (Some(outcome), Way::Form) => answer_of(&outcome),
            (Some(outcome), _) => match consent_of(&outcome) {
                Consent::Opened => wait(caller, approval, asked, patience, pending()).await,
                Consent::Refused(answer) => answer,
            },
            (None, way) => match put(caller, &approval.id).await {
                Some(answer) => answer,
                None => Answer::Later(input_required(&key, &params(&way, approval, None), asked)),
            },
        };
    }
    let is_put = matches!(way, Way::Form | Way::Page(_) | Way::Terminal(_));
    if is_put && let Some(answer) = put(caller, &approval.id).await {
        return answer;
    }
    match (way, &caller.session) {
        (Way::Nobody, _) => Answer::Silence,
        (Way::Terminal(terminal), _) => {
            let said = async {
                match terminal.ask(&approval.message).await {
                    Some(approved) => Answer::Said {
                        approved,
                        by: "at the terminal",
                    },
                    // Somebody may still answer by another way.
                    None => pending().await,
                }
            };
            wait(caller, approval, asked, patience, said).await
        }
        (way @ (Way::Form | Way::Page(_)), Some(session)) => {
            let Ok(elicitation) = random_id() else {
                return Answer::Silence;
            };
            let is_page = matches!(way, Way::Page(_));
            let params = params(&way, approval, Some(&elicitation));
            let asking = session.ask(&caller.stream, method::ELICITATION_CREATE, Some(&params));
            let said = async {
                match asking.response().await {
                    None => Answer::Silence,
                    Some(outcome) if !is_page => answer_of(&outcome),
                    Some(outcome) => match consent_of(&outcome) {
                        Consent::Opened => pending().await,
                        Consent::Refused(answer) => answer,
                    },
                }
            };
            let patience = limits.parked_timeout.get();
            let answer = wait(caller, approval, asked, patience, said).await;
            if is_page && matches!(answer, Answer::Approved | Answer::Denied) {
                tell_complete(caller, &elicitation);
            }
            answer
        }
        (Way::Form | Way::Page(_) | Way::Elsewhere, _) => {
            wait(caller, approval, asked, patience, pending()).await
        }
    }
}

/// Waits for `said`, or for an answer by another way, but not for ever.
async fn wait(
    caller: &Caller,
    approval: &Approval,
    asked: Option<&Bytes>,
    patience: Duration,
    said: impl Future<Output = Answer>,
) -> Answer {
    tokio::select! {
        answer = said => answer,
        answer = elsewhere(caller, &approval.id) => answer,
        () = tell_progress(caller, asked) => Answer::Silence,
        () = tokio::time::sleep(patience) => Answer::Silence,
    }
}

/// Where the person is asked.
fn way<'a>(caller: &'a Caller, method_name: &str, approval: &Approval) -> Way<'a> {
    let asking = &caller.runtime.asking;
    let may_ask = match caller.era() {
        Era::Modern => method::may_require_input(method_name),
        Era::Legacy => caller.session.is_some(),
    };
    let capabilities = &caller.profile.capabilities;
    match asking.at {
        AskAt::Never => return Way::Nobody,
        AskAt::Client if may_ask && shows_forms(capabilities) => return Way::Form,
        AskAt::Client if may_ask && caller.version >= Version::V2025_11_25 => {
            if opens_pages(capabilities)
                && let Some(url) = link(caller, approval)
            {
                return Way::Page(url);
            }
        }
        AskAt::Client | AskAt::Terminal => {}
    }
    match &asking.terminal {
        Some(terminal) => Way::Terminal(terminal),
        None => Way::Elsewhere,
    }
}

/// Counts that the question is put before the person; the answer, when it cannot be any more.
async fn put(caller: &Caller, id: &str) -> Option<Answer> {
    match caller.runtime.pipeline.show_approval(id).await {
        Ok(true) => None,
        Ok(false) => Some(state(caller, id).await.unwrap_or(Answer::TooOften)),
        Err(error) => {
            tracing::error!(%error, "a question could not be counted");
            Some(Answer::Silence)
        }
    }
}

/// Whether a client can show a person a form; one that says no more of elicitation can show that.
fn shows_forms(capabilities: &[u8]) -> bool {
    member(capabilities, "elicitation")
        .and_then(Object::parse)
        .is_some_and(|elicitation| elicitation.contains("form") || elicitation.is_empty())
}

/// Whether a client can have a person open a page.
fn opens_pages(capabilities: &[u8]) -> bool {
    member(capabilities, "elicitation")
        .and_then(Object::parse)
        .is_some_and(|elicitation| elicitation.contains("url"))
}

/// Resolves once somebody has answered the question by another way.
async fn elsewhere(caller: &Caller, id: &str) -> Answer {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(answer) = state(caller, id).await {
            return answer;
        }
    }
}

/// What the store knows of a question; `None` while nobody has answered.
async fn state(caller: &Caller, id: &str) -> Option<Answer> {
    match caller.runtime.pipeline.approval_state(id).await {
        Ok(Some(ApprovalState::Open)) => None,
        Ok(Some(ApprovalState::Approved | ApprovalState::Spent)) => Some(Answer::Approved),
        Ok(Some(ApprovalState::Denied)) => Some(Answer::Denied),
        Ok(None) | Err(_) => Some(Answer::Silence),
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
        (Some("accept"), Some(ALLOW)) => Answer::Said {
            approved: true,
            by: BY_FORM,
        },
        (Some("accept" | "decline"), _) => Answer::Said {
            approved: false,
            by: BY_FORM,
        },
        _ => Answer::Silence,
    }
}

/// What a client says of a page that it was to open.
enum Consent {
    /// The person goes there. It says nothing about the call.
    Opened,
    Refused(Answer),
}

fn consent_of(outcome: &Outcome) -> Consent {
    let Outcome::Result(result) = outcome else {
        return Consent::Refused(Answer::Silence);
    };
    match member(result, "action").and_then(string).as_deref() {
        Some("accept") => Consent::Opened,
        Some("decline") => Consent::Refused(Answer::Said {
            approved: false,
            by: "in the client",
        }),
        _ => Consent::Refused(Answer::Silence),
    }
}

/// Tells a client that what it opened a page for is done (MCP 2025-11-25, elicitation, "Completion Notifications").
fn tell_complete(caller: &Caller, elicitation: &str) {
    if caller.version < Version::V2025_11_25 {
        return;
    }
    let mut params = Object::new();
    params.set("elicitationId", quote(elicitation));
    let method = method::NOTIFICATIONS_ELICITATION_COMPLETE;
    let message = encode_notification(method, Some(&params.to_vec()));
    caller.stream.notify(message);
}

/// The params of the elicitation, which has an identifier of its own in the legacy era where it is of a page.
fn params(way: &Way<'_>, approval: &Approval, elicitation: Option<&str>) -> Vec<u8> {
    let mut params = Object::new();
    if let Way::Page(url) = way {
        params.set("mode", b"\"url\"".as_slice());
        params.set("url", quote(url));
        if let Some(id) = elicitation {
            params.set("elicitationId", quote(id));
        }
    } else {
        params.set("mode", b"\"form\"".as_slice());
        params.set("requestedSchema", SCHEMA);
    }
    params.set("message", quote(&approval.message));
    params.to_vec()
}

/// The result that has a modern client ask. What the server's own round left goes on where it was.
fn input_required(key: &str, params: &[u8], asked: Option<&Bytes>) -> Bytes {
    let requests = [(key, method::ELICITATION_CREATE, Some(params))];
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
