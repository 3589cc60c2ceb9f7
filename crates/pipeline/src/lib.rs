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
mod approve;
mod ask;
mod authorize;
mod bound;
mod catalog;
mod constrain;
mod definition;
mod denial;
mod fault;
mod history;
mod notes;
pub mod permissions;
mod principal;
mod request;
pub mod schema;
mod scope;
mod ticket;

use std::sync::Arc;
use std::time::Duration;

use portcullis_mcp::{RpcError, ServerName, method};
use portcullis_policy::{Decision, DenyReason};
use portcullis_store::{CallEnd, CallStart, ReadError, RecordError, Store};

pub use approve::{Approval, Shown};
pub use ask::Ask;
pub use bound::{ResultBody, ResultKind};
pub use catalog::Catalog;
pub use definition::{DefinitionFault, ToolDefinition};
pub use denial::Denial;
pub use fault::safe_error;
pub use history::{Counts, History};
pub use notes::Kept;
pub use permissions::Permissions;
pub use portcullis_store::{ApprovalRow, ApprovalState, Outcome};

pub use principal::{Granted, LOCAL_HOLDER, Principal, PrincipalKind};
pub use request::{Authorized, NoRandomness, Request, RequestId, Timestamp};
pub use scope::{InvalidScope, ScopeMap, ScopeRule};
pub use ticket::{Completion, Ticket};

use authorize::Question;
use bytes::Bytes;
use constrain::Constrained;
use history::Past;
use notes::Notes;
use permissions::{Mode, State};

/// How long a question to a person can be looked up at least.
const APPROVALS_KEPT_MIN: Duration = Duration::from_hours(24);

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

/// What would be decided on a request.
#[derive(Debug)]
pub struct Judgement {
    /// What the policies say, or what refuses it before they are asked.
    pub decided: Result<Decision, Denial>,
    /// The policies that determined it, separated by spaces; `None` when they were not asked.
    pub policies: Option<Arc<str>>,
}

/// What constraints and policies say of a request.
struct Examined {
    state: Arc<State>,
    /// The arguments as they are to be sent.
    arguments: Option<serde_json::Value>,
    decision: Decision,
}

/// The checks, their bounds, and where the record goes.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    scopes: ScopeMap,
    permissions: Permissions,
    store: Store,
}

impl Pipeline {
    /// A pipeline that records in `store` and knows no scopes.
    pub fn new(settings: Settings, permissions: Permissions, store: Store) -> Self {
        Self {
            settings,
            scopes: ScopeMap::default(),
            permissions,
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

    /// The permission model in force.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Checks a request from a client and records that it goes on. A denial is recorded as well.
    pub async fn check_request(
        &self,
        mut request: Request,
    ) -> Result<(Authorized<Request>, Ticket), Denial> {
        let past = self.permissions.past(&request.principal);
        let mut notes = Notes {
            counts: past.counts(request.called(), request.at),
            ..Notes::default()
        };
        let checked = self.decide(&mut request, &mut notes).await;
        count(&past, &request, &checked);
        let start = self.start_of(&request, &mut notes);
        let ticket = self.record(checked, start, request.at).await?;
        let ticket = ticket.with(notes.paths, notes.approval);
        Ok((Authorized::new(request), ticket))
    }

    /// What would be decided on a request by somebody who has done so much of late; nothing is recorded, spent or asked.
    pub async fn judge(&self, mut request: Request, counts: Counts) -> Judgement {
        let mut notes = Notes::default();
        let decided = match self.check_form(&mut request, &mut notes) {
            Ok(()) => self.examine(&mut request, counts, &mut notes).await,
            Err(denial) => Err(denial),
        };
        Judgement {
            decided: decided.map(|examined| examined.decision),
            policies: notes.verdict.map(|verdict| verdict.policies),
        }
    }

    /// The order of the checks on a request. What they found out on the way is noted; params that are to be sent otherwise than
    /// they came are replaced.
    async fn decide(&self, request: &mut Request, notes: &mut Notes) -> Result<(), Denial> {
        self.check_form(request, notes)?;
        let mode = self.permissions.mode(&request.server);
        let permitted = self.permit(request, mode, notes).await;
        if mode == Mode::Observe {
            // Where they lead when the call is over is nobody's concern.
            notes.paths.clear();
        }
        notes.enforce(permitted, mode)
    }

    /// Is it whole, opened by a scope, and as the tool's schema says?
    fn check_form(&self, request: &mut Request, notes: &mut Notes) -> Result<(), Denial> {
        let params = admit::check(request, &self.settings)?;
        notes.scopes = scope::check(request, &self.scopes)?;
        if let Some(sent) = schema::check(request, &params)? {
            request.params = Some(sent);
        }
        Ok(())
    }

    /// The permission model's part of the order: constraints, policies, approvals.
    async fn permit(
        &self,
        request: &mut Request,
        mode: Mode,
        notes: &mut Notes,
    ) -> Result<(), Denial> {
        let counts = notes.counts;
        let Examined {
            state,
            arguments,
            decision,
        } = self.examine(request, counts, notes).await?;
        let reasons = match decision {
            Decision::Allow(_) => return Ok(()),
            Decision::Deny { reason, .. } => return Err(reason.into()),
            Decision::Ask { .. } if mode == Mode::Observe => return Ok(()),
            Decision::Ask { reasons, .. } => reasons,
        };
        let arguments = match arguments {
            Some(arguments) => arguments,
            None => constrain::arguments(request)?,
        };
        let call = approve::Call {
            request,
            arguments: &arguments,
            policy_version: &state.version,
        };
        let settings = self.permissions.approvals();
        let approval = call.check(&reasons, counts, settings, &self.store).await?;
        notes.approval = Some(approval);
        let decision = Question::of(request, Some(&arguments), counts).decide(&state, true);
        notes.approved(&decision);
        match decision {
            Decision::Allow(_) => Ok(()),
            Decision::Deny { reason, .. } => Err(reason.into()),
            Decision::Ask { .. } => Err(Denial::UndecidedPolicy),
        }
    }

    /// What constraints and policies say of a request.
    async fn examine(
        &self,
        request: &mut Request,
        counts: Counts,
        notes: &mut Notes,
    ) -> Result<Examined, Denial> {
        let permissions = &self.permissions;
        let state = permissions.state_for(request);
        let constrained = match state.tool_of(request)? {
            Some(tool) => {
                let are_read = authorize::reads_arguments(&state, request);
                constrain::check(request, tool, are_read, permissions.host_check()).await?
            }
            None => Constrained::default(),
        };
        if let Some(params) = constrained.params {
            request.params = Some(params);
        }
        notes.paths = constrained.paths;
        let arguments = constrained.arguments;
        let decision = Question::of(request, arguments.as_ref(), counts).decide(&state, false);
        notes.decided(&decision, &state);
        Ok(Examined {
            state,
            arguments,
            decision,
        })
    }

    /// Whether an entry of a list, by the list's method and the server's own name or URI of the entry, is of any use to somebody:
    /// whether some request for it could be let through, now or after a person's yes.
    pub fn offers(
        &self,
        principal: &Principal,
        server: &ServerName,
        list: &str,
        own: &str,
        at: Timestamp,
    ) -> bool {
        self.permissions.mode(server) == Mode::Observe
            || authorize::is_offered(&self.permissions.state(), principal, server, list, own, at)
    }

    /// Checks that somebody may hear of a resource's changes: what they hear is no request of theirs, which would be checked.
    pub fn check_hearing(
        &self,
        principal: &Principal,
        server: &ServerName,
        uri: &str,
        at: Timestamp,
    ) -> Result<(), Denial> {
        let subscribe = method::RESOURCES_SUBSCRIBE;
        self.scopes
            .check(&principal.granted, server, subscribe, Some(uri), None)?;
        if self.permissions.mode(server) == Mode::Observe {
            return Ok(());
        }
        let counts = self.permissions.past(principal).counts(None, at);
        let question = Question::of_hearing(principal, server, uri, counts, at);
        match question.decide(&self.permissions.state(), false) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny { reason, .. } => Err(reason.into()),
            // Nobody is asked about something that has no end.
            Decision::Ask { .. } => Err(Denial::Forbidden),
        }
    }

    /// Answers a question to a person. `false` when there is none of that identifier, or it has expired or been answered.
    pub async fn answer_approval(
        &self,
        id: &str,
        approved: bool,
        by: &str,
        at: Timestamp,
    ) -> Result<bool, RecordError> {
        let approvals = self.store.approvals();
        approvals
            .decide(id.to_owned(), approved, by.to_owned(), at.0)
            .await
    }

    /// What has become of a question to a person; `None` when there is none of that identifier.
    pub async fn approval_state(&self, id: &str) -> Result<Option<ApprovalState>, ReadError> {
        let row = self.store.approvals().get(id.to_owned()).await?;
        Ok(row.map(|row| row.state))
    }

    /// The question to a person of that identifier.
    pub async fn approval(&self, id: &str) -> Result<Option<ApprovalRow>, ReadError> {
        self.store.approvals().get(id.to_owned()).await
    }

    /// The questions that can be answered now, the newest first.
    pub async fn open_approvals(&self, at: Timestamp) -> Result<Vec<ApprovalRow>, ReadError> {
        self.store.approvals().list(Some(at.0)).await
    }

    /// Counts that a question is put before a person; `false` when the same was so too often, or is not open any more.
    pub async fn show_approval(&self, id: &str) -> Result<bool, RecordError> {
        let shows_max = self.permissions.approvals().asks_max;
        self.store.approvals().show(id.to_owned(), shows_max).await
    }

    /// Forgets questions to people that nothing depends on any more: a day after they were asked, or when their no stands no longer.
    pub async fn forget_approvals(&self, at: Timestamp) -> Result<usize, RecordError> {
        let approvals = self.permissions.approvals();
        let kept = approvals
            .no_stands
            .max(approvals.window)
            .max(APPROVALS_KEPT_MIN);
        let before_ms =
            at.0.saturating_sub(approve::millis(approvals.life.saturating_add(kept)));
        self.store.approvals().forget(before_ms, at.0).await
    }

    /// Takes note of what a server defines, so that policies are typed by it, now and after a restart.
    pub async fn learn(&self, server: &ServerName, catalog: &Catalog, at: Timestamp) {
        if !self.permissions.learn(server, catalog) {
            return;
        }
        let tools = catalog
            .iter()
            .map(|tool| (tool.name.to_string(), tool.raw.to_vec()))
            .collect();
        let definitions = self.store.definitions();
        let kept = definitions.replace(server.to_string(), tools, at.0).await;
        if let Err(error) = kept {
            tracing::warn!(%server, %error, "what the server defines was not kept for the next start");
        }
    }

    /// Checks the result of a request before the client sees it.
    pub async fn check_result(
        &self,
        request: &Authorized<Request>,
        ticket: &Ticket,
        result: Bytes,
    ) -> Result<Authorized<ResultBody>, Denial> {
        ticket.check_paths()?;
        let body = bound::check(request, result, &self.settings)?;
        schema::check_output(request, &body)?;
        // What is asked within a result is asked all the same (MCP 2026-07-28, multi round-trip requests).
        for asked in body.asked() {
            self.permit_ask(&request.principal, &request.server, &asked, request.at)?;
        }
        if body.kind() == ResultKind::InputRequired {
            ticket.give_approval_back().await?;
        }
        Ok(Authorized::new(body))
    }

    /// Checks a request from a server to the client and records that it goes on.
    pub async fn check_ask(&self, ask: Ask) -> Result<(Authorized<Ask>, Ticket), Denial> {
        let checked = ask::check(&ask, &self.settings)
            .and_then(|()| self.permit_ask(&ask.principal, &ask.server, &ask.method, ask.at));
        let start = Self::start_of_ask(&ask);
        self.record(checked, start, ask.at)
            .await
            .map(|ticket| (Authorized::new(ask), ticket))
    }

    /// Whether the policies let a server ask somebody's client by this method. Who asks a person needs no other person's yes.
    fn permit_ask(
        &self,
        principal: &Principal,
        server: &ServerName,
        asked: &str,
        at: Timestamp,
    ) -> Result<(), Denial> {
        let state = self.permissions.state();
        let counts = self.permissions.past(principal).counts(None, at);
        let question = Question::of_ask(principal, server, asked, counts, at);
        let enforced = match question.decide(&state, false) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny { reason, .. } => Err(reason.into()),
            Decision::Ask { .. } => Err(Denial::Forbidden),
        };
        match self.permissions.mode(server) {
            Mode::Enforce => enforced,
            Mode::Observe => Ok(()),
        }
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

    fn start_of(&self, request: &Request, notes: &mut Notes) -> CallStart {
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
            arguments: self
                .permissions
                .keeps_arguments(&request.server)
                .then(|| notes.kept(request, params)),
            oauth_client: request.principal.client.clone(),
            scopes: notes.scopes.take(),
            verdict: notes.verdict.take(),
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
            arguments: None,
            oauth_client: None,
            scopes: None,
            verdict: None,
        }
    }
}

/// Counts a request for those that policies and people ask about later.
fn count(past: &Past, request: &Request, checked: &Result<(), Denial>) {
    let denied = match checked {
        Ok(()) => false,
        // It is asked about, and comes again.
        Err(Denial::ApprovalRequired(_)) => return,
        Err(_) => true,
    };
    past.add(request.called(), denied, request.at);
}

impl From<DenyReason> for Denial {
    fn from(reason: DenyReason) -> Self {
        match reason {
            DenyReason::NoPermit => Self::NotPermitted,
            DenyReason::Forbidden => Self::Forbidden,
            DenyReason::Undecided => Self::UndecidedPolicy,
        }
    }
}
