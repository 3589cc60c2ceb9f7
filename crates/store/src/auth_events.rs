//! The table `auth_events`: one row for each authentication event.
//!
//! Rows hold names, digests and reasons, never a token, code, secret or password.

use rusqlite::{Connection, Row, named_params, params};

use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// The longest text that is kept in a column, in characters; a longer one is cut.
pub const TEXT_CHARS_MAX: usize = 512;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthEventKind {
    /// A request showed a credential, or none where one is needed.
    Authentication,
    /// A request lacked a scope and was told which.
    StepUp,
    /// Somebody logged in with an account.
    Login,
    /// A session of an account ended.
    Logout,
    /// An account was locked, or slowed down, after failures.
    Lockout,
    /// A resource owner decided on a client.
    Consent,
    /// A client was registered, or its metadata document fetched.
    Registration,
    /// An authorization code was issued.
    Code,
    /// Tokens were issued for a code, an assertion, or a client's own credentials.
    Token,
    /// Tokens were issued for a refresh token.
    Refresh,
    /// A code or refresh token was shown a second time.
    Reuse,
    /// A token, grant, key or account was revoked.
    Revocation,
    /// Somebody asked what a token is.
    Introspection,
    /// A signing or sealing key was made or retired.
    KeyRotation,
    /// An account was invited, changed or removed.
    Account,
    /// An API key or token was minted by an administrator.
    Credential,
    /// The gateway obtained, refreshed or lost a credential for a server.
    Upstream,
}

impl AuthEventKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Authentication,
        Self::StepUp,
        Self::Login,
        Self::Logout,
        Self::Lockout,
        Self::Consent,
        Self::Registration,
        Self::Code,
        Self::Token,
        Self::Refresh,
        Self::Reuse,
        Self::Revocation,
        Self::Introspection,
        Self::KeyRotation,
        Self::Account,
        Self::Credential,
        Self::Upstream,
    ];

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::StepUp => "step_up",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Lockout => "lockout",
            Self::Consent => "consent",
            Self::Registration => "registration",
            Self::Code => "code",
            Self::Token => "token",
            Self::Refresh => "refresh",
            Self::Reuse => "reuse",
            Self::Revocation => "revocation",
            Self::Introspection => "introspection",
            Self::KeyRotation => "key_rotation",
            Self::Account => "account",
            Self::Credential => "credential",
            Self::Upstream => "upstream",
        }
    }
}

/// How an authentication event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthOutcome {
    /// It succeeded.
    Success,
    /// It was refused; `reason` says why.
    Failure,
}

impl AuthOutcome {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// An authentication event.
#[derive(Clone, Debug)]
pub struct AuthEvent {
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// What happened.
    pub kind: AuthEventKind,
    /// How it ended.
    pub outcome: AuthOutcome,
    /// A short stable word, such as `expired` or `wrong_password`.
    pub reason: Option<&'static str>,
    /// Who: the account, key or subject.
    pub principal: Option<Box<str>>,
    /// The client's identifier.
    pub client: Option<Box<str>>,
    /// The issuer of what was shown or given.
    pub issuer: Option<Box<str>>,
    /// The protected resource or server it was for.
    pub resource: Option<Box<str>>,
    /// The scopes asked for or given, separated by spaces.
    pub scopes: Option<Box<str>>,
    /// The peer's address.
    pub address: Option<Box<str>>,
    /// What ties events of one story together: a grant's or token's identifier, never the token.
    pub correlation: Option<Box<str>>,
}

impl AuthEvent {
    /// An event of which nothing else is known.
    pub fn new(at_ms: u64, kind: AuthEventKind, outcome: AuthOutcome) -> Self {
        Self {
            at_ms,
            kind,
            outcome,
            reason: None,
            principal: None,
            client: None,
            issuer: None,
            resource: None,
            scopes: None,
            address: None,
            correlation: None,
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `AuthEvent`")]
pub struct AuthEventRow {
    pub id: i64,
    pub at_ms: u64,
    pub kind: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub principal: Option<String>,
    pub client: Option<String>,
    pub issuer: Option<String>,
    pub resource: Option<String>,
    pub scopes: Option<String>,
    pub address: Option<String>,
    pub correlation: Option<String>,
}

/// Which events to read. Every field that is set must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthEventFilter {
    /// What happened.
    pub kind: Option<AuthEventKind>,
    /// Only rows with a smaller key: the last row of the page before.
    pub before: Option<i64>,
    /// At this Unix millisecond or later.
    pub since_ms: Option<u64>,
    /// How many rows at most.
    pub rows_max: u32,
}

/// The record of authentication events.
#[derive(Clone, Copy, Debug)]
pub struct AuthEvents<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

impl AuthEvents<'_> {
    /// Records an event and resolves once it is committed. Where the event has an effect, such as a token issued, it is recorded
    /// before the effect is given away.
    pub async fn append(self, event: AuthEvent) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| insert(connection, &event))
            .await
    }

    /// Records an event without waiting: it is written with the next commit, within a second. For what is refused, so that
    /// a flood of failures waits for nothing; beyond a bound, events are counted instead of kept.
    pub fn note(self, event: AuthEvent) {
        self.writer.note(event);
    }

    /// The events of `kind`, or all, before the row `before`, newest first, at most `rows_max`.
    pub async fn search(
        self,
        kind: Option<AuthEventKind>,
        before: Option<i64>,
        rows_max: u32,
    ) -> Result<Vec<AuthEventRow>, ReadError> {
        self.find(AuthEventFilter {
            kind,
            before,
            since_ms: None,
            rows_max,
        })
        .await
    }

    /// The events that `filter` names, newest first.
    pub async fn find(self, filter: AuthEventFilter) -> Result<Vec<AuthEventRow>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT * FROM auth_events WHERE (:kind IS NULL OR kind = :kind) \
                     AND (:before IS NULL OR id < :before) \
                     AND (:since IS NULL OR at_ms >= :since) ORDER BY id DESC LIMIT :rows",
                )?;
                let rows = statement.query_map(
                    named_params! {
                        ":kind": filter.kind.map(AuthEventKind::as_str),
                        ":before": filter.before,
                        ":since": filter.since_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
                        ":rows": filter.rows_max,
                    },
                    row,
                )?;
                rows.collect()
            })
            .await
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuthEventRow> {
    Ok(AuthEventRow {
        id: row.get("id")?,
        at_ms: row.get::<_, i64>("at_ms")?.unsigned_abs(),
        kind: row.get("kind")?,
        outcome: row.get("outcome")?,
        reason: row.get("reason")?,
        principal: row.get("principal")?,
        client: row.get("client")?,
        issuer: row.get("issuer")?,
        resource: row.get("resource")?,
        scopes: row.get("scopes")?,
        address: row.get("address")?,
        correlation: row.get("correlation")?,
    })
}

/// Inserts one row; part of whatever transaction is open, so that an effect and its record are one.
pub(crate) fn insert(connection: &Connection, event: &AuthEvent) -> rusqlite::Result<()> {
    let cut = |text: &Option<Box<str>>| -> Option<String> {
        text.as_deref()
            .map(|text| text.chars().take(TEXT_CHARS_MAX).collect())
    };
    connection
        .prepare_cached(
            "INSERT INTO auth_events (at_ms, kind, outcome, reason, principal, client, issuer, \
             resource, scopes, address, correlation) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            i64::try_from(event.at_ms).unwrap_or(i64::MAX),
            event.kind.as_str(),
            event.outcome.as_str(),
            event.reason,
            cut(&event.principal),
            cut(&event.client),
            cut(&event.issuer),
            cut(&event.resource),
            cut(&event.scopes),
            cut(&event.address),
            cut(&event.correlation),
        ])
        .map(drop)
}
