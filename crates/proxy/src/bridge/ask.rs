//! A server's requests to the client: sampling, elicitation and roots.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use portcullis_mcp::{Era, Object, Outcome, RpcError, code, method};
use portcullis_pipeline::{
    Ask as Checked, Authorized, Completion, Outcome as End, Principal, Ticket,
};

use crate::link::Link;
use crate::reply::refuse_ask;
use crate::runtime::Runtime;
use crate::session::Session;
use crate::stream::Stream;
use crate::upstream::{Ask, Exchange, Reply, UpstreamError};

/// Whom a server asks, and by what.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) principal: &'a Principal,
    pub(crate) era: Era,
    /// What the client has declared, a JSON object.
    pub(crate) capabilities: &'a [u8],
    pub(crate) link: &'a Link,
}

/// A server's request that may reach the client, until it is answered.
#[derive(Debug)]
pub(crate) struct Permitted {
    pub(crate) request: Authorized<Checked>,
    ticket: Ticket,
    began: Instant,
}

/// The client capability that a server's request needs.
fn capability_of(method_name: &str) -> Option<&'static str> {
    Some(match method_name {
        method::SAMPLING_CREATE_MESSAGE => "sampling",
        method::ELICITATION_CREATE => "elicitation",
        method::ROOTS_LIST => "roots",
        _ => return None,
    })
}

/// The capability that an `input_required` result needs and a client has not declared, if there is one.
pub(crate) fn undeclared(capabilities: &[u8], result: &[u8]) -> Option<&'static str> {
    let declared = Object::parse(capabilities).unwrap_or_default();
    let result = Object::parse(result)?;
    let requests = Object::parse(result.get("inputRequests")?)?;
    requests.iter().find_map(|(_, request)| {
        let request = Object::parse(request)?;
        capability_of(&request.get_str("method")?).filter(|needed| !declared.contains(needed))
    })
}

impl Asked<'_> {
    /// Decides whether a server's request may reach the client; the error for the server if not.
    pub(crate) async fn permit(
        &self,
        method_name: &str,
        params: Option<&Bytes>,
    ) -> Result<Permitted, RpcError> {
        self.declared(method_name, params)?;
        let now = self.runtime.clock.now();
        let ask = Checked {
            id: crate::caller::request_id(now),
            at: now,
            principal: self.principal.clone(),
            server: self.link.server.name.clone(),
            method: method_name.into(),
            params: params.cloned(),
            era_client: self.era,
            era_server: self.link.era(),
        };
        let request_id = ask.id;
        match self.runtime.pipeline.check_ask(ask).await {
            Ok((request, ticket)) => Ok(Permitted {
                request,
                ticket,
                began: Instant::now(),
            }),
            Err(denial) => {
                let server = &self.link.server.name;
                tracing::warn!(%request_id, %server, method = method_name, code = denial.code(), "a server's request was denied");
                Err(refuse_ask(&denial, request_id))
            }
        }
    }

    /// The capability that a server's request needs and the client has not declared.
    pub(crate) fn lacking(&self, method_name: &str) -> Option<&'static str> {
        let declared = Object::parse(self.capabilities).unwrap_or_default();
        capability_of(method_name).filter(|needed| !declared.contains(needed))
    }

    fn declared(&self, method_name: &str, params: Option<&Bytes>) -> Result<(), RpcError> {
        let unsupported = || {
            RpcError::new(
                code::METHOD_NOT_FOUND,
                "the client does not support this request",
            )
        };
        let capability = capability_of(method_name).ok_or_else(unsupported)?;
        let declared = Object::parse(self.capabilities).unwrap_or_default();
        if !declared.contains(capability) {
            return Err(unsupported());
        }
        let url_mode = method_name == method::ELICITATION_CREATE
            && params
                .and_then(|params| Object::parse(params))
                .is_some_and(|params| params.get_str("mode").as_deref() == Some("url"));
        let offers_url = declared
            .get(capability)
            .and_then(Object::parse)
            .is_some_and(|elicitation| elicitation.contains("url"));
        if url_mode && !offers_url {
            let message = "the client does not support URL elicitation";
            return Err(RpcError::new(code::INVALID_PARAMS, message));
        }
        Ok(())
    }

    /// Asks a legacy client, and gives its response; an error when it may not be asked or does not answer in time.
    pub(crate) async fn ask(
        &self,
        session: &Arc<Session>,
        stream: &Stream,
        method_name: &str,
        params: Option<&Bytes>,
    ) -> Outcome {
        let permitted = match self.permit(method_name, params).await {
            Ok(permitted) => permitted,
            Err(error) => return Outcome::Error(error),
        };
        let request = &permitted.request;
        let pending = session.ask(stream, &request.method, request.params.as_deref());
        let patience = self.runtime.limits.parked_timeout.get();
        let answer = match tokio::time::timeout(patience, pending.response()).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Outcome::Error(RpcError::new(code::INTERNAL_ERROR, "the client has gone")),
            Err(_elapsed) => {
                let message = "the client did not answer in time";
                Outcome::Error(RpcError::new(code::INTERNAL_ERROR, message))
            }
        };
        permitted.answer(self.runtime, answer)
    }
}

impl Permitted {
    /// Checks what the client answers; what the server gets.
    pub(crate) fn answer(self, runtime: &Runtime, outcome: Outcome) -> Outcome {
        let completion = |outcome, error_code, result_bytes| Completion {
            outcome,
            at: runtime.clock.now(),
            duration: self.began.elapsed(),
            error_code,
            result_bytes,
        };
        match outcome {
            Outcome::Error(error) => {
                self.ticket
                    .finish(completion(End::RpcError, Some(error.code), None));
                Outcome::Error(error)
            }
            Outcome::Result(result) => match runtime.pipeline.check_answer(&self.request, result) {
                Ok(checked) => {
                    let result = checked.bytes().clone();
                    self.ticket
                        .finish(completion(End::Ok, None, Some(result.len())));
                    Outcome::Result(result)
                }
                Err(denial) => {
                    let error = refuse_ask(&denial, self.request.id);
                    self.ticket
                        .deny(&denial, completion(End::Denied, Some(error.code), None));
                    Outcome::Error(error)
                }
            },
        }
    }
}

/// A server's request, and the way back for its answer.
#[derive(Debug)]
pub(crate) enum Question {
    /// Sent within the exchange that it belongs to.
    Within(Ask),
    /// Sent beside it, on a stream of its own.
    Beside(Ask, Reply),
}

impl Question {
    pub(crate) fn ask(&self) -> &Ask {
        match self {
            Self::Within(ask) | Self::Beside(ask, _) => ask,
        }
    }

    /// Gives the server its answer.
    pub(crate) async fn answer(
        self,
        exchange: &mut Exchange,
        outcome: Outcome,
    ) -> Result<(), UpstreamError> {
        match self {
            Self::Within(ask) => exchange.answer(&ask, &outcome).await,
            Self::Beside(_, reply) => {
                exchange.release();
                reply.send(outcome).await
            }
        }
    }
}

type Answered<'a> = Pin<Box<dyn Future<Output = (Question, Outcome)> + Send + 'a>>;

/// A server's requests that a legacy client is answering.
#[derive(Default)]
pub(crate) struct Asks<'a> {
    pending: FuturesUnordered<Answered<'a>>,
}

impl<'a> Asks<'a> {
    pub(crate) fn add(
        &mut self,
        asked: Asked<'a>,
        session: &'a Arc<Session>,
        stream: &'a Stream,
        question: Question,
    ) {
        self.pending.push(Box::pin(async move {
            let ask = question.ask();
            let outcome = asked
                .ask(session, stream, &ask.method, ask.params.as_ref())
                .await;
            (question, outcome)
        }));
    }

    /// The next answer; waits for ever when nothing is asked.
    pub(crate) async fn next(&mut self) -> (Question, Outcome) {
        match self.pending.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}
