//! A client's request, from its message to its answer: finds the server, has the pipeline check what goes there and what comes
//! back, and carries everything in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_mcp::{
    Era, Object, Outcome, Request as Message, RpcError, Version, code, encode_notification, meta,
    method, param_agrees, quote,
};
use portcullis_pipeline::{
    Authorized, Completion, Outcome as End, Request, ResultKind, Ticket, ToolDefinition,
};

use crate::bridge::{self, Asked, Asks, Open, Permitted, Question};
use crate::caller::Caller;
use crate::federation::{self, Target};
use crate::hello;
use crate::link::Link;
use crate::listen;
use crate::lists;
use crate::outbound;
use crate::reply::{Refusal, Reply, render};
use crate::route::Route;
use crate::runtime::Server;
use crate::seal::Binding;
use crate::upstream::{Answer, Event, Exchange, UpstreamError};

/// How long a server's requests to a modern client are gathered, so that they go out together.
const GATHER: Duration = Duration::from_millis(50);
/// The extension that makes tasks of tool calls.
pub(crate) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// How long a `requestState` of a server is good for, in milliseconds.
const STATE_LIFE_MS: u64 = 3_600_000;

/// Answers a request.
pub(crate) async fn dispatch(caller: &Caller, message: &Message) -> Reply {
    let stopping = &caller.runtime.shared.stopping;
    let result = tokio::select! {
        biased;
        result = answer(caller, message) => result,
        () = stopping.cancelled() => Err(Refusal::Overloaded("it is shutting down")),
    };
    render(caller, &message.id, &message.method, result)
}

async fn answer(caller: &Caller, message: &Message) -> Result<Bytes, Refusal> {
    let params = message.params_bytes();
    match (&*message.method, caller.era()) {
        (method::PING, Era::Legacy) => Ok(Bytes::from_static(b"{}")),
        (method::SERVER_DISCOVER, Era::Modern) => hello::discover(caller).await,
        (method::SUBSCRIPTIONS_LISTEN, Era::Modern) => {
            listen::serve(caller, &message.id, params.as_ref()).await
        }
        (method::LOGGING_SET_LEVEL, Era::Legacy) => set_level(caller, params).await,
        (method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE, Era::Legacy) => {
            listen::subscribe(caller, &message.method, params).await
        }
        (name, Era::Modern) if method::removed_in_modern(name) => {
            Err(Refusal::method_not_found(name))
        }
        (name, _) if lists::is_list(name) && caller.route == Route::All => {
            lists::merged(caller, name, params.as_deref()).await
        }
        (name, _) => targeted(caller, name, params).await,
    }
}

/// Sets the least level of log messages, for this session and at its servers.
async fn set_level(caller: &Caller, params: Option<Bytes>) -> Result<Bytes, Refusal> {
    const LEVELS: [&str; 8] = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];
    let level = params
        .as_deref()
        .and_then(Object::parse)
        .and_then(|params| {
            params
                .get_str("level")
                .filter(|level| LEVELS.contains(&&**level))
                .map(|l| l.into_owned())
        });
    let level = level.ok_or_else(|| Refusal::invalid_params("`level` is not a log level"))?;
    if let Some(session) = &caller.session {
        session.set_log_level(&level);
        for slot in session.links() {
            if let Some(link) = slot.get()
                && link.era() == Era::Legacy
            {
                link.set_level(&caller.runtime, &caller.profile, &level).await;
            }
        }
    }
    Ok(Bytes::from_static(b"{}"))
}

/// Answers a request that is for one server.
pub(crate) async fn targeted(
    caller: &Caller,
    method_name: &str,
    params: Option<Bytes>,
) -> Result<Bytes, Refusal> {
    let asked = params.clone();
    federation::look_up(caller, method_name, params.as_deref()).await;
    let target = federation::inward(caller, method_name, params)?;
    let server = Arc::clone(&target.server);
    if method_name.starts_with("tasks/")
        && let Some(id) = &target.name
        && !caller
            .runtime
            .shared
            .tasks
            .may_use(caller, &server.name, id)
    {
        return Err(Refusal::invalid_params("unknown task"));
    }
    let link = Link::to(caller, &server)
        .await
        .map_err(|e| Refusal::upstream(&server.name, e))?;
    if method_name.starts_with("tasks/") && caller.era() != link.era() {
        // The tasks of 2025-11-25 and those of the extension are not the same thing.
        return Err(Refusal::method_not_found(method_name));
    }
    let mut running = match Prepared::of(caller, &link, method_name, asked.as_ref(), target)? {
        Prepared::Fresh(target) => Running::begin(caller, &link, method_name, target).await?,
        Prepared::Resumed(mut parked, responses) => {
            parked.resume(caller, responses.as_deref()).await?;
            *parked
        }
    };
    loop {
        match running.drive(caller).await {
            Step::Input(asks) => {
                running.gather(asks);
                let digest = bridge::digest_of(method_name, asked.as_deref());
                return bridge::Parked::park(caller, digest, running);
            }
            Step::Done(answer) => {
                let again = running.conclude(caller, method_name, asked.as_ref(), answer).await?;
                match again {
                    Concluded::Result(result) => return Ok(result),
                    Concluded::Again(next) => running = *next,
                }
            }
        }
    }
}

/// A request with what the client sends back from an earlier round taken out of it.
enum Prepared {
    Fresh(Target),
    Resumed(Box<Running>, Option<Bytes>),
}

impl Prepared {
    fn of(
        caller: &Caller,
        link: &Link,
        method_name: &str,
        asked: Option<&Bytes>,
        mut target: Target,
    ) -> Result<Self, Refusal> {
        let raw = target.params.clone().unwrap_or_default();
        if !mentions(&raw, &["cursor", "inputResponses", "requestState"]) {
            return Ok(Self::Fresh(target));
        }
        let mut params = Object::parse(&raw).unwrap_or_default();
        let mut changed = false;
        if lists::is_list(method_name) && params.contains("cursor") {
            let cursor = params
                .get_str("cursor")
                .and_then(|c| {
                    lists::open_cursor(caller, link.server.name.as_str(), method_name, &c)
                })
                .ok_or_else(|| {
                    Refusal::invalid_params("unknown cursor; list again from the start")
                })?;
            params.set("cursor", quote(&cursor));
            changed = true;
        }
        match (caller.era(), link.era()) {
            (Era::Modern, Era::Legacy) => {
                let responses = params.remove("inputResponses");
                changed |= responses.is_some();
                if let Some(state) = params.remove("requestState") {
                    let state = portcullis_mcp::string(&state)
                        .ok_or_else(|| Refusal::invalid_params("`requestState` is not a string"))?;
                    let digest = bridge::digest_of(method_name, asked.map(AsRef::as_ref));
                    let running = bridge::take(caller, &link.server.name, digest, &state)?;
                    let responses = responses.map(|r| Bytes::from(r.into_owned()));
                    return Ok(Self::Resumed(Box::new(running), responses));
                }
            }
            (Era::Modern, Era::Modern) => {
                if params.contains("requestState") {
                    let binding = state_binding(caller, &link.server, method_name, asked);
                    let now = caller.runtime.clock.now();
                    let state = params
                        .get_str("requestState")
                        .and_then(|state| caller.runtime.shared.sealer.open(&state, &binding, now))
                        .ok_or_else(|| {
                            Refusal::invalid_params(
                                "unknown `requestState`; start the request again",
                            )
                        })?;
                    params.set("requestState", quote(&state));
                    changed = true;
                }
            }
            (Era::Legacy, _) => {}
        }
        if changed {
            target.params = Some(params.to_vec().into());
        }
        Ok(Self::Fresh(target))
    }
}

/// What the state of a server's multi-round request is bound to: whose, where, and which request of the client's.
fn state_binding(
    caller: &Caller,
    server: &Server,
    method_name: &str,
    asked: Option<&Bytes>,
) -> Binding {
    let digest = bridge::digest_of(method_name, asked.map(AsRef::as_ref));
    let principal = caller.principal.name.as_bytes();
    Binding::new(&[
        b"requestState",
        principal,
        server.name.as_str().as_bytes(),
        &digest,
    ])
}

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

enum Step {
    Done(Result<Answer, UpstreamError>),
    Input(Vec<(Question, Permitted)>),
}

enum Concluded {
    Result(Bytes),
    Again(Box<Running>),
}

/// Whether JSON could have a member with one of the names, escaped or not. Spares most messages a closer look.
fn mentions(json: &[u8], names: &[&str]) -> bool {
    let found = |text: &[u8]| memchr::memmem::find(json, text).is_some();
    names.iter().any(|name| found(name.as_bytes())) || found(b"\\u")
}

/// The progress token that a client put into its request, as JSON.
fn progress_token(params: Option<&[u8]>) -> Option<Vec<u8>> {
    let params = params.filter(|params| mentions(params, &["progressToken"]))?;
    let params = Object::parse(params)?;
    let held = Object::parse(params.get("_meta")?)?;
    held.get(meta::PROGRESS_TOKEN).map(<[u8]>::to_vec)
}

/// How a call that the server did not answer ended, for its record.
fn end_of(error: &UpstreamError) -> End {
    match error {
        UpstreamError::Timeout => End::Timeout,
        UpstreamError::Busy => End::Refused,
        _ => End::UpstreamDown,
    }
}

impl Running {
    async fn begin(
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
    async fn resume(&mut self, caller: &Caller, responses: Option<&[u8]>) -> Result<(), Refusal> {
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
    fn gather(&mut self, asks: Vec<(Question, Permitted)>) {
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
    async fn drive(&mut self, caller: &Caller) -> Step {
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
    async fn conclude(
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
                if let Some(asks_for) = url_elicitation(caller, &link, &error).await {
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
        let checked = match caller.runtime.pipeline.check_result(&request, result) {
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
        if method_name == method::TOOLS_LIST {
            let params = request.params.as_deref().and_then(Object::parse);
            let is_first = !params.is_some_and(|params| params.contains("cursor"));
            result = lists::learn(&link, result, is_first);
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
        let result = seal_handles(caller, &link, method_name, asked, result)?;
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

/// Seals the cursor or the state that a result hands to the client, so that only this client can use it, and only for this.
fn seal_handles(
    caller: &Caller,
    link: &Link,
    method_name: &str,
    asked: Option<&Bytes>,
    result: Bytes,
) -> Result<Bytes, Refusal> {
    if lists::is_list(method_name) {
        if let Some(mut object) = Object::parse(&result)
            && let Some(cursor) = object.get_str("nextCursor")
        {
            let sealed =
                lists::seal_cursor(caller, link.server.name.as_str(), method_name, &cursor)?;
            object.set("nextCursor", quote(&sealed));
            return Ok(object.to_vec().into());
        }
        return Ok(result);
    }
    if caller.era() == Era::Modern
        && link.era() == Era::Modern
        && memchr::memmem::find(&result, b"requestState").is_some()
        && let Some(mut object) = Object::parse(&result)
        && let Some(state) = object.get_str("requestState")
    {
        let expires = portcullis_pipeline::Timestamp(caller.runtime.clock.now().0 + STATE_LIFE_MS);
        let binding = state_binding(caller, &link.server, method_name, asked);
        let sealed = caller.runtime.shared.sealer.seal(&state, &binding, expires);
        let sealed =
            sealed.map_err(|_none| Refusal::internal("no state could be kept; try again"))?;
        object.set("requestState", quote(&sealed));
        return Ok(object.to_vec().into());
    }
    Ok(result)
}

/// What a legacy server's demand to visit a URL first is for a modern client (-32042, 2025-11-25 only).
async fn url_elicitation(caller: &Caller, link: &Link, error: &RpcError) -> Option<Bytes> {
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
    for (at, elicitation) in portcullis_mcp::elements(data.get("elicitations")?)?
        .iter()
        .enumerate()
    {
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
    let requests = bridge::input_requests(
        requests.map(|(key, params)| (&**key, method::ELICITATION_CREATE, Some(&**params))),
    );
    let mut result = Object::new();
    result.set("resultType", b"\"input_required\"".as_slice());
    result.set("inputRequests", requests);
    Some(result.to_vec().into())
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

/// Checks that the `Mcp-Param-*` fields of a modern HTTP request say what its body says (protocol 2026-07-28, transports,
/// "Server Validation").
fn check_param_headers(
    caller: &Caller,
    tool: &ToolDefinition,
    params: Option<&[u8]>,
) -> Result<(), Refusal> {
    let Some(headers) = &caller.headers else {
        return Ok(());
    };
    let params = params.and_then(Object::parse).unwrap_or_default();
    let arguments = params.get("arguments").unwrap_or(b"{}");
    for header in tool.param_headers().unwrap_or_default() {
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

/// The versions that the gateway serves, newest first.
pub(crate) fn served_versions() -> [&'static str; 4] {
    [
        Version::V2026_07_28.as_str(),
        Version::V2025_11_25.as_str(),
        Version::V2025_06_18.as_str(),
        Version::V2025_03_26.as_str(),
    ]
}
