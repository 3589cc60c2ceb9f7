//! A call at a server: checked and sent, carried until it is done or wants input, checked again on its way back.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_mcp::{
    Era, Object, Outcome, RpcError, code, encode_notification, member, meta, method,
};
use portcullis_pipeline::{Authorized, Completion, Outcome as End, Request, ResultKind, Ticket};

use crate::bridge::{self, Asked, Asks, Open, Permitted, Question};
use crate::caller::Caller;
use crate::federation::{self, Target};
use crate::link::Link;
use crate::lists;
use crate::modern::check_param_headers;
use crate::outbound;
use crate::reply::Refusal;
use crate::runtime::Server;
use crate::tokens::{Names, seal_tokens};
use crate::upstream::{Answer, Event, Exchange, UpstreamError};

/// The extension that makes tasks of tool calls.
pub(crate) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
static PROGRESS_TOKEN: LazyLock<Names<1>> = LazyLock::new(|| Names::new([meta::PROGRESS_TOKEN]));
/// How long a server's requests to a modern client are gathered, so that they go out together.
const GATHER: Duration = Duration::from_millis(50);

/// A call at a server.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) link: Arc<Link>,
    exchange: Exchange,
    request: Authorized<Request>,
    ticket: Ticket,
    began: Instant,
    /// What the server has asked and the client has not answered.
    pub(crate) open: Vec<Open>,
    /// The capability that the server asked for and the client has not declared.
    lacking: Option<&'static str>,
    rounds: usize,
    progress: Option<Vec<u8>>,
}

/// What a call has come to.
pub(crate) enum Step {
    Done(Result<Answer, UpstreamError>),
    Input(Vec<(Question, Permitted)>),
}

/// What a call that is done comes to.
pub(crate) enum Concluded {
    Result(Bytes),
    Again(Box<Running>),
}

/// The progress token that a client put into its request, as JSON.
pub(crate) fn progress_token(params: Option<&[u8]>) -> Option<Vec<u8>> {
    let params = params.filter(|params| PROGRESS_TOKEN.may_be_in(params))?;
    member(member(params, "_meta")?, meta::PROGRESS_TOKEN).map(<[u8]>::to_vec)
}

/// How a call that the server did not answer ended, for its record.
fn end_of(error: &UpstreamError) -> End {
    match error {
        UpstreamError::Timeout => End::Timeout,
        UpstreamError::Busy
        | UpstreamError::ConnectFirst { .. }
        | UpstreamError::ConnectByCommand { .. } => End::Refused,
        _ => End::UpstreamDown,
    }
}

impl Running {
    /// Has a request checked, and sends it.
    pub(crate) async fn begin(
        caller: &Caller,
        link: &Arc<Link>,
        method_name: &str,
        target: Target,
    ) -> Result<Self, Refusal> {
        let began = Instant::now();
        let unreachable = |error| Refusal::upstream(&link.server.name, error);
        let progress = progress_token(target.params.as_deref());
        let tool = match (&target.name, method_name) {
            (Some(name), method::TOOLS_CALL) => {
                lists::tool(caller, link, name).await.map_err(unreachable)?
            }
            _ => None,
        };
        if let Some(tool) = &tool {
            check_param_headers(caller, tool, target.params.as_deref())?;
        }
        let request = Request {
            id: caller.request_id,
            at: caller.runtime.clock.now(),
            principal: caller.principal.clone(),
            client: caller.client_name(),
            server: link.server.name.clone(),
            method: method_name.into(),
            target: target.name,
            params: target.params,
            tool,
            era_client: caller.era(),
            era_server: link.era(),
        };
        let (request, ticket) = caller.runtime.pipeline.check_request(request).await?;
        let call = outbound::authorized(&request, caller.profile_for(link), progress.is_some());
        let exchange = match link.connection.exchange(call).await {
            Ok(exchange) => exchange,
            Err(error) => {
                ticket.finish(completion(caller, began, end_of(&error)));
                return Err(unreachable(error));
            }
        };
        let link = Arc::clone(link);
        let open = Vec::new();
        Ok(Self {
            link,
            exchange,
            request,
            ticket,
            began,
            open,
            lacking: None,
            rounds: 0,
            progress,
        })
    }

    /// Goes on after the client has sent input: gives the server the answers that have come.
    pub(crate) async fn resume(
        &mut self,
        caller: &Caller,
        responses: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        if self.rounds >= bridge::ROUNDS_MAX {
            return Err(Refusal::invalid_params(
                "the server asked for input too often; start again",
            ));
        }
        self.rounds += 1;
        for open in std::mem::take(&mut self.open) {
            let Some(outcome) = bridge::answers(responses, &open.key) else {
                self.open.push(open);
                continue;
            };
            let outcome = open.permitted.answer(&caller.runtime, outcome);
            let sent = open.question.answer(&mut self.exchange, outcome).await;
            sent.map_err(|error| Refusal::upstream(&self.link.server.name, error))?;
        }
        Ok(())
    }

    /// Takes down what the server asked, under keys that no other round uses.
    pub(crate) fn gather(&mut self, asks: Vec<(Question, Permitted)>) {
        for (at, (question, permitted)) in asks.into_iter().enumerate() {
            let key = format!("input-{}-{}", self.rounds + 1, at + 1);
            self.open.push(Open {
                key,
                question,
                permitted,
            });
        }
    }

    /// Carries what the server sends until it is done, or until a modern client has to be asked.
    pub(crate) async fn drive(&mut self, caller: &Caller) -> Step {
        if !self.open.is_empty() {
            return Step::Input(Vec::new());
        }
        let asked = Asked {
            runtime: &caller.runtime,
            principal: &caller.principal,
            era: caller.era(),
            capabilities: &caller.profile.capabilities,
            link: &self.link,
        };
        // What the server asks beside its exchanges, on a link that several clients' requests share.
        let mut beside = self.link.take_questions();
        let mut asks = Asks::default();
        let mut gathered = Vec::new();
        let mut gather_until = None;
        loop {
            let question = tokio::select! {
                biased;
                event = self.exchange.next() => match event {
                    Event::Ask(ask) => Question::Within(ask),
                    Event::Done(answer) => return Step::Done(answer),
                    Event::Progress(params) => {
                        if let Some(token) = &self.progress {
                            send_progress(caller, token, &params);
                        }
                        continue;
                    }
                    Event::Notification { method, params } => {
                        send_notification(caller, &self.link, &method, params.as_ref());
                        continue;
                    }
                },
                Some((ask, reply)) = beside.next() => {
                    self.exchange.hold();
                    Question::Beside(ask, reply)
                }
                (question, outcome) = asks.next(), if !asks.is_empty() => {
                    if let Err(error) = question.answer(&mut self.exchange, outcome).await {
                        return Step::Done(Err(error));
                    }
                    continue;
                }
                () = sleep_until(gather_until), if gather_until.is_some() => {
                    return Step::Input(gathered);
                }
            };
            if let Some(session) = &caller.session {
                asks.add(asked, session, &caller.stream, question);
                continue;
            }
            let ask = question.ask();
            if !method::may_require_input(&self.request.method) {
                let unable =
                    RpcError::new(code::METHOD_NOT_FOUND, "the client cannot be asked now");
                if let Err(error) = question
                    .answer(&mut self.exchange, Outcome::Error(unable))
                    .await
                {
                    return Step::Done(Err(error));
                }
                continue;
            }
            match asked.permit(&ask.method, ask.params.as_ref()).await {
                Ok(permitted) => {
                    gathered.push((question, permitted));
                    gather_until = Some(tokio::time::Instant::now() + GATHER);
                }
                Err(error) => {
                    self.lacking = self.lacking.or_else(|| asked.lacking(&ask.method));
                    let refused = Outcome::Error(error);
                    if let Err(error) = question.answer(&mut self.exchange, refused).await {
                        return Step::Done(Err(error));
                    }
                }
            }
        }
    }

    /// Checks what the server answered, and puts it in the client's terms.
    pub(crate) async fn conclude(
        self,
        caller: &Caller,
        method_name: &str,
        asked: Option<&Bytes>,
        answer: Result<Answer, UpstreamError>,
    ) -> Result<Concluded, Refusal> {
        let Self {
            link,
            request,
            ticket,
            began,
            lacking,
            rounds,
            ..
        } = self;
        let server = Arc::clone(&link.server);
        let ended = |outcome| completion(caller, began, outcome);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                ticket.finish(ended(end_of(&error)));
                return Err(Refusal::upstream(&server.name, error));
            }
        };
        let result = match answer.outcome {
            Outcome::Result(result) => result,
            Outcome::Error(error) => {
                ticket.finish(Completion {
                    error_code: Some(error.code),
                    ..ended(End::RpcError)
                });
                if let Some(capability) = lacking {
                    // The call could not go on without it.
                    return Err(Refusal::missing_capability(capability));
                }
                if let Some(asks_for) = bridge::url_elicitation(caller, &link, &error).await {
                    return Ok(Concluded::Result(asks_for));
                }
                let error = caller.runtime.pipeline.check_error(error);
                let error = bridge::shape_error(caller.era(), link.era(), method_name, error);
                return Err(Refusal::Server {
                    error,
                    status: answer.http_status,
                });
            }
        };
        let result_bytes = Some(result.len());
        let pipeline = &caller.runtime.pipeline;
        let checked = match pipeline.check_result(&request, &ticket, result).await {
            Ok(checked) => checked,
            Err(denial) => {
                ticket.deny(
                    &denial,
                    Completion {
                        result_bytes,
                        ..ended(End::Denied)
                    },
                );
                return Err(denial.into());
            }
        };
        let outcome = match checked.kind() {
            ResultKind::ToolError => End::ToolError,
            ResultKind::InputRequired => End::InputRequired,
            _ => End::Ok,
        };
        ticket.finish(Completion {
            result_bytes,
            ..ended(outcome)
        });
        check_declared(caller, &server, checked.kind(), checked.bytes())?;
        let mut result = checked.bytes().clone();
        if lists::is_list(method_name) {
            let cursor = request.params.as_deref().and_then(|p| member(p, "cursor"));
            let is_first = cursor.is_none();
            result = lists::pass_on(caller, &link, method_name, result, is_first).await;
        }
        if method::is_cacheable(method_name) {
            result = lists::for_one(result);
        }
        caller
            .runtime
            .shared
            .tasks
            .note(caller, &server.name, &result);

        if let (Some(session), Era::Modern) = (&caller.session, link.era())
            && let Some(round) = bridge::input_required(&result)
        {
            if rounds >= bridge::ROUNDS_MAX {
                return Err(Refusal::internal(
                    "the server asked for input too often; start again",
                ));
            }
            let params = request.params.as_deref();
            let params = bridge::answer_round(caller, session, &link, params, round).await?;
            let name = request.target.clone();
            let target = Target {
                server: Arc::clone(&server),
                name,
                params: Some(params),
            };
            let mut next = Self::begin(caller, &link, method_name, target).await?;
            next.rounds = rounds + 1;
            return Ok(Concluded::Again(Box::new(next)));
        }
        let result = seal_tokens(caller, &link, method_name, asked, result)?;
        let result = federation::outward_result(&caller.route, &server.name, method_name, result);
        Ok(Concluded::Result(bridge::shape_result(
            caller,
            &link,
            method_name,
            result,
        )))
    }
}

/// Checks that a result asks nothing of a modern client that it has not declared.
fn check_declared(
    caller: &Caller,
    server: &Server,
    kind: ResultKind,
    result: &[u8],
) -> Result<(), Refusal> {
    if caller.era() == Era::Legacy {
        return Ok(());
    }
    let missing = match kind {
        ResultKind::Task if !caller.declares_extension(TASKS_EXTENSION) => Some("extensions"),
        ResultKind::InputRequired => bridge::undeclared(&caller.profile.capabilities, result),
        ResultKind::Complete | ResultKind::ToolError | ResultKind::Task => None,
    };
    match missing {
        None => Ok(()),
        Some(capability) => {
            tracing::warn!(server = %server.name, capability, "a server wants what the client has not declared");
            Err(Refusal::missing_capability(capability))
        }
    }
}

fn completion(caller: &Caller, began: Instant, outcome: End) -> Completion {
    Completion {
        outcome,
        at: caller.runtime.clock.now(),
        duration: began.elapsed(),
        error_code: None,
        result_bytes: None,
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn send_progress(caller: &Caller, token: &[u8], params: &[u8]) {
    let Some(mut object) = Object::parse(params) else {
        return;
    };
    object.set(meta::PROGRESS_TOKEN, token);
    let message = encode_notification(method::NOTIFICATIONS_PROGRESS, Some(&object.to_vec()));
    caller.stream.notify(message);
}

fn send_notification(caller: &Caller, link: &Link, method_name: &str, params: Option<&Bytes>) {
    if let Err(denial) = caller
        .runtime
        .pipeline
        .check_notification(method_name, params.map(AsRef::as_ref))
    {
        tracing::warn!(server = %link.server.name, code = denial.code(), "a server's notification was dropped");
        return;
    }
    let is_log = method_name == method::NOTIFICATIONS_MESSAGE;
    if is_log && caller.era() == Era::Modern && caller.profile.log_level.is_none() {
        return;
    }
    caller
        .stream
        .notify(encode_notification(method_name, params.map(AsRef::as_ref)));
}
