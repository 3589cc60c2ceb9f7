//! Decides on each message by an ordered list of checks; opens no socket.
//!
//! [`Pipeline::check_request`] is the whole order for a request, [`Pipeline::check_result`] for what
//! comes back, [`Pipeline::check_ask`] for what a server asks of a client. Each takes the message and
//! gives it back as [`Authorized`], which nothing else can make and nothing can alter: what was checked
//! is what is sent. The record of the request is committed before it is given back; without a record
//! there is no `Authorized`.
//!
//! Left to others: who the principal is, how bytes travel, what the caller is told on which protocol.

mod admit;
mod ask;
mod bound;
mod catalog;
mod definition;
mod denial;
mod fault;
mod principal;
mod request;
pub mod schema;
mod scope;
mod ticket;

use portcullis_mcp::RpcError;
use portcullis_store::{CallEnd, CallStart, Store};

pub use ask::Ask;
pub use bound::{ResultBody, ResultKind};
pub use catalog::Catalog;
pub use definition::{DefinitionFault, ToolDefinition};
pub use denial::Denial;
pub use fault::safe_error;
pub use portcullis_store::Outcome;
pub use principal::{Granted, LOCAL_HOLDER, Principal, PrincipalKind};
pub use request::{Authorized, NoRandomness, Request, RequestId, Timestamp};
pub use scope::{InvalidScope, ScopeMap, ScopeRule};
pub use ticket::{Completion, Ticket};

use bytes::Bytes;

/// The bounds that every message is held to. Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest params of a request.
    pub params_bytes_max: usize,
    /// The largest result.
    pub result_bytes_max: usize,
    /// The most blocks in a tool result, messages in a prompt, or contents of a resource.
    pub blocks_max: usize,
    /// The largest params of a request from a server, and of one entry of `inputRequests`.
    pub ask_bytes_max: usize,
    /// The largest params of a notification.
    pub notification_bytes_max: usize,
    /// Beginnings of further method names that are let through, such as `vendor.example/`.
    pub extension_methods: Vec<Box<str>>,
    /// Whether the SHA-256 of the params is recorded.
    pub digest_arguments: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            params_bytes_max: 4 << 20,
            result_bytes_max: 16 << 20,
            blocks_max: 1000,
            ask_bytes_max: 1 << 20,
            notification_bytes_max: 1 << 20,
            extension_methods: Vec::new(),
            digest_arguments: true,
        }
    }
}

/// The checks, their bounds, and where the record goes.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    scopes: ScopeMap,
    store: Store,
}

impl Pipeline {
    /// A pipeline that records in `store` and knows no scopes.
    pub fn new(settings: Settings, store: Store) -> Self {
        Self {
            settings,
            scopes: ScopeMap::default(),
            store,
        }
    }

    /// The same pipeline with these scopes.
    #[must_use]
    pub fn with_scopes(self, scopes: ScopeMap) -> Self {
        Self { scopes, ..self }
    }

    /// The scopes, and what they open.
    pub fn scopes(&self) -> &ScopeMap {
        &self.scopes
    }

    /// The bounds in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Checks a request from a client and records that it goes on. A denial is recorded as well.
    pub async fn check_request(
        &self,
        mut request: Request,
    ) -> Result<(Authorized<Request>, Ticket), Denial> {
        let checked = self.decide(&request).map(|params| {
            if let Some(params) = params {
                request.params = Some(params);
            }
        });
        let start = self.start_of(&request);
        self.record(checked, start, request.at)
            .await
            .map(|ticket| (Authorized::new(request), ticket))
    }

    /// The order of the checks on a request. Gives its params when they are to be sent otherwise than
    /// they came.
    fn decide(&self, request: &Request) -> Result<Option<Bytes>, Denial> {
        let params = admit::check(request, &self.settings)?;
        scope::check(request, &self.scopes)?;
        schema::check(request, &params)
    }

    /// Checks the result of a request before the client sees it.
    pub fn check_result(
        &self,
        request: &Authorized<Request>,
        result: Bytes,
    ) -> Result<Authorized<ResultBody>, Denial> {
        let body = bound::check(request, result, &self.settings)?;
        schema::check_output(request, &body)?;
        Ok(Authorized::new(body))
    }

    /// Checks a request from a server to the client and records that it goes on.
    pub async fn check_ask(&self, ask: Ask) -> Result<(Authorized<Ask>, Ticket), Denial> {
        let checked = ask::check(&ask, &self.settings);
        let start = Self::start_of_ask(&ask);
        self.record(checked, start, ask.at)
            .await
            .map(|ticket| (Authorized::new(ask), ticket))
    }

    /// Checks what the client answers to a server's request.
    pub fn check_answer(
        &self,
        ask: &Authorized<Ask>,
        answer: Bytes,
    ) -> Result<Authorized<ResultBody>, Denial> {
        ask::check_answer(ask, answer, &self.settings).map(Authorized::new)
    }

    /// Makes a server's JSON-RPC error safe for the client; what it took out is logged for the operator.
    pub fn check_error(&self, error: RpcError) -> RpcError {
        fault::check(error)
    }

    /// Checks a notification from a server.
    pub fn check_notification(&self, method: &str, params: Option<&[u8]>) -> Result<(), Denial> {
        admit::check_notification(method, params, &self.settings)
    }

    /// Writes the record of a decision: a begun call, or a denied one.
    async fn record(
        &self,
        checked: Result<(), Denial>,
        start: CallStart,
        at: Timestamp,
    ) -> Result<Ticket, Denial> {
        let calls = self.store.calls();
        match checked {
            Ok(()) => Ok(Ticket::new(self.store.clone(), calls.begin(start).await?)),
            Err(denial) => {
                let end = CallEnd {
                    denial_code: Some(denial.code()),
                    completed_ms: Some(at.0),
                    ..CallEnd::bare(Outcome::Denied)
                };
                if let Err(error) = calls.deny(start, end).await {
                    // Nothing passes either way; the caller is told the first reason.
                    tracing::error!(code = denial.code(), error = %error, "a denial was not recorded");
                }
                Err(denial)
            }
        }
    }

    fn start_of(&self, request: &Request) -> CallStart {
        let params = request.params.as_deref().unwrap_or_default();
        CallStart {
            request_id: request.id.to_string().into(),
            started_ms: request.at.0,
            principal: request.principal.name.clone(),
            client: request.client.clone(),
            session: None,
            server: request.server.as_str().into(),
            method: request::name_of(&request.method),
            target: request.target.clone(),
            era_client: request::era_name(request.era_client),
            era_server: request::era_name(request.era_server),
            arguments_bytes: params.len() as u64,
            arguments_sha256: self
                .settings
                .digest_arguments
                .then(|| request::sha256(params))
                .filter(|_| !params.is_empty()),
        }
    }

    fn start_of_ask(ask: &Ask) -> CallStart {
        CallStart {
            request_id: ask.id.to_string().into(),
            started_ms: ask.at.0,
            principal: ask.principal.name.clone(),
            client: None,
            session: None,
            server: ask.server.as_str().into(),
            method: request::name_of(&ask.method),
            target: None,
            era_client: request::era_name(ask.era_client),
            era_server: request::era_name(ask.era_server),
            arguments_bytes: ask.params.as_ref().map_or(0, |params| params.len() as u64),
            arguments_sha256: None,
        }
    }
}
