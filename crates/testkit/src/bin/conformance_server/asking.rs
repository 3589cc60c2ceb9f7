//! Asking the client for input in the middle of a request, in the way of either era.
//!
//! A script says what it still needs; this module gets it. In the modern era the call ends with
//! `input_required` and comes again with the answers (SEP-2322); what was answered before travels
//! in a sealed `requestState`. In the legacy era the server's own requests go out on the call's
//! stream, all of one round at once, and the call waits.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::try_join_all;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientCapabilities, InputRequest, InputRequests, InputRequiredResult, InputResponses,
        JsonObject, ProtocolVersion, RequestStateCodec, SealOptions, ServerRequest,
    },
    service::{PeerRequestOptions, RequestContext, ServiceError},
};
use serde_json::{Map, Value, json};

const ROUNDS_MAX: usize = 10;
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// Sealing is shown here, not secrecy: this key is public.
const STATE_KEY: &[u8] = b"the key of a fixture, known to all who read this";

/// One thing asked of the client.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// `elicitation/create` in form mode: the message, and the schema of the answer.
    Form(String, Value),
    /// `sampling/createMessage`: the user's text.
    Sample(String),
    /// `roots/list`.
    Roots,
}

/// What a script wants next.
#[derive(Debug)]
pub(crate) enum Step<T> {
    /// These answers, each under its key.
    Ask(Vec<(&'static str, Ask)>),
    /// Nothing: this is the result.
    Done(T),
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Turn<T> {
    /// It ends here, and waits for a retry with answers.
    InputRequired(InputRequiredResult),
    /// It is complete.
    Done(T),
}

/// The answers so far, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(BTreeMap<String, JsonObject>);

impl Answers {
    /// Whether there is an answer under `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The whole answer under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&JsonObject> {
        self.0.get(key)
    }

    /// A text in a form's answer; empty when the form was declined.
    pub(crate) fn field(&self, key: &str, field: &str) -> &str {
        self.text(key, "content", field)
    }

    /// The text of a sampled message.
    pub(crate) fn sampled(&self, key: &str) -> &str {
        self.text(key, "content", "text")
    }

    fn text(&self, key: &str, outer: &str, inner: &str) -> &str {
        let found = self
            .0
            .get(key)
            .and_then(|answer| answer.get(outer)?.get(inner)?.as_str());
        found.unwrap_or_default()
    }
}

/// What one call brings to its script.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The tool's or prompt's name; a sealed state is good for this name alone.
    pub(crate) name: &'a str,
    /// The answers sent along.
    pub(crate) responses: Option<InputResponses>,
    /// The state sent along.
    pub(crate) state: Option<String>,
    /// Answers count only beside a state of this server.
    pub(crate) needs_state: bool,
    /// Ask a legacy client even for what it did not declare.
    pub(crate) asks_undeclared: bool,
}

/// Runs `script` until it is done, or until the client has to be asked in the modern way.
///
/// # Errors
///
/// The state was not sealed here, the client lacks a capability, or it answered with an error.
pub(crate) async fn run<T>(
    call: Call<'_>,
    cx: &RequestContext<RoleServer>,
    script: impl Fn(&Answers) -> Step<T>,
) -> Result<Turn<T>, ErrorData> {
    let capabilities = cx.client_capabilities().unwrap_or_default();
    if is_modern(cx) {
        return turn(call, &capabilities, script);
    }
    let mut answers = Answers::default();
    for _ in 0..ROUNDS_MAX {
        let asks = match script(&answers) {
            Step::Done(result) => return Ok(Turn::Done(result)),
            Step::Ask(asks) => asks,
        };
        if !call.asks_undeclared {
            require(&asks, &capabilities)?;
        }
        let round = asks.into_iter().map(|(key, ask)| send(cx, key, ask));
        answers.0.extend(try_join_all(round).await?);
    }
    Err(ErrorData::internal_error("the script asks for ever", None))
}

/// Whether the request is of revision 2026-07-28 or a later one.
pub(crate) fn is_modern(cx: &RequestContext<RoleServer>) -> bool {
    let version = cx.protocol_version();
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// One turn of the modern kind.
fn turn<T>(
    call: Call<'_>,
    capabilities: &ClientCapabilities,
    script: impl Fn(&Answers) -> Step<T>,
) -> Result<Turn<T>, ErrorData> {
    let codec = RequestStateCodec::try_new(STATE_KEY)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let has_state = call.state.is_some();
    let mut answers = open(&codec, &call)?;
    if has_state || !call.needs_state {
        let given = call.responses.unwrap_or_default().into_iter();
        answers
            .0
            .extend(given.filter_map(|(key, answer)| match answer {
                Value::Object(answer) => Some((key, answer)),
                _ => None,
            }));
    }
    let asks = match script(&answers) {
        Step::Done(result) => return Ok(Turn::Done(result)),
        Step::Ask(asks) => asks,
    };
    require(&asks, capabilities)?;
    let state = (call.needs_state || !answers.0.is_empty())
        .then(|| {
            let options = SealOptions::new().associated_data(call.name.as_bytes());
            codec.seal_json_with(&answers.0, &options)
        })
        .transpose()
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let requests: Result<InputRequests, ErrorData> = asks
        .into_iter()
        .map(|(key, ask)| Ok((key.to_owned(), ask.request()?)))
        .collect();
    Ok(Turn::InputRequired(InputRequiredResult::new(
        Some(requests?),
        state,
    )))
}

fn open(codec: &RequestStateCodec, call: &Call<'_>) -> Result<Answers, ErrorData> {
    let Some(state) = &call.state else {
        return Ok(Answers::default());
    };
    let opened = codec.open_json_with(state, call.name.as_bytes());
    let refused = |_| ErrorData::invalid_params("requestState was not made by this server", None);
    opened.map(Answers).map_err(refused)
}

fn require(
    asks: &[(&'static str, Ask)],
    capabilities: &ClientCapabilities,
) -> Result<(), ErrorData> {
    let mut missing = Map::new();
    for (_, ask) in asks {
        let (name, declared) = match ask {
            Ask::Form(..) => ("elicitation", capabilities.elicitation.is_some()),
            Ask::Sample(_) => ("sampling", capabilities.sampling.is_some()),
            Ask::Roots => ("roots", capabilities.roots.is_some()),
        };
        if !declared {
            missing.insert(name.to_owned(), json!({}));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = serde_json::from_value(Value::Object(missing)).unwrap_or_default();
    Err(ErrorData::missing_required_client_capability(missing))
}

impl Ask {
    fn request(self) -> Result<InputRequest, ErrorData> {
        let wire = match self {
            Ask::Form(message, schema) => json!({
                "method": "elicitation/create",
                "params": { "mode": "form", "message": message, "requestedSchema": schema },
            }),
            Ask::Sample(text) => json!({
                "method": "sampling/createMessage",
                "params": {
                    "messages": [{ "role": "user", "content": { "type": "text", "text": text } }],
                    "maxTokens": 100,
                },
            }),
            Ask::Roots => json!({ "method": "roots/list" }),
        };
        serde_json::from_value(wire)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}

/// One server-initiated request of the legacy era.
async fn send(
    cx: &RequestContext<RoleServer>,
    key: &'static str,
    ask: Ask,
) -> Result<(String, JsonObject), ErrorData> {
    let request = match ask.request()? {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        _ => return Err(ErrorData::internal_error("no such request", None)),
    };
    let options = PeerRequestOptions::with_timeout(ANSWER_TIMEOUT);
    let sent = cx
        .peer
        .send_request_with_option(request, options)
        .await
        .map_err(refused)?;
    let answer = sent.await_response().await.map_err(refused)?;
    match serde_json::to_value(answer) {
        Ok(Value::Object(answer)) => Ok((key.to_owned(), answer)),
        _ => Err(ErrorData::internal_error(
            "the client's answer is no object",
            None,
        )),
    }
}

/// The client's own error stays what it was.
fn refused(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        error => ErrorData::internal_error(error.to_string(), None),
    }
}
