//! The table `approvals`: calls that a person is asked about, and what they answered.
//!
//! What an approval is bound to is the caller's to say, as a digest; here it is only compared. An approval is spent by one
//! statement, so that of two calls at once one gets it.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::calls::ReadError;
use crate::reader::Readers;
use crate::writer::{RecordError, Writer};

/// A call that a person is to be asked about.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// The identifier a person knows it by.
    pub id: String,
    /// The digest of all that the approval is good for.
    pub binding: [u8; 32],
    /// The name of who calls.
    pub principal: String,
    /// What nobody else has in common with who calls.
    pub identity: String,
    /// The account that calls, by its name, or a word that is no account's.
    pub holder: String,
    /// What the client calls itself.
    pub client: Option<String>,
    /// The configured name of the server.
    pub server: String,
    /// The server's own name of the tool.
    pub tool: String,
    /// The arguments of the call, as JSON.
    pub arguments: Vec<u8>,
    /// Why it is asked, a line each.
    pub reasons: String,
    /// What is unusual about the call, a line each.
    pub unusual: String,
    /// The gateway's own identifier of the request.
    pub request_id: String,
    /// When it is asked, in Unix milliseconds.
    pub asked_ms: u64,
    /// Until when it may be answered, and the answer used.
    pub expires_ms: u64,
}

/// How often somebody may be asked.
#[derive(Clone, Copy, Debug)]
pub struct AskBounds {
    /// How many questions one caller may raise within the window.
    pub asks_max: u32,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// How long a no stands for the same call, in milliseconds.
    pub no_stands_ms: u64,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is open.
    Open {
        /// Its identifier: the new one, or that of the same question asked before.
        id: String,
        /// Until when it may be answered, in Unix milliseconds.
        expires_ms: u64,
    },
    /// A person has just said yes to the same call: it can be spent.
    Approved,
    /// A person has said no to the same call a short while ago.
    DeniedBefore,
    /// The caller raises too many questions.
    TooOften,
}

/// The states of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalState {
    /// Nobody has answered.
    Open,
    /// A person said yes, and the call has not been made.
    Approved,
    /// A person said no.
    Denied,
    /// The call was made.
    Spent,
}

impl ApprovalState {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Spent => "spent",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Approved, Self::Denied, Self::Spent]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `NewApproval`")]
pub struct ApprovalRow {
    pub id: String,
    pub state: ApprovalState,
    pub principal: String,
    pub identity: String,
    pub holder: String,
    pub client: Option<String>,
    pub server: String,
    pub tool: String,
    pub arguments: Vec<u8>,
    pub reasons: String,
    pub unusual: String,
    pub request_id: String,
    pub asked_ms: u64,
    pub expires_ms: u64,
    /// When it was answered, in Unix milliseconds.
    pub decided_ms: Option<u64>,
    /// Who answered, and by what means.
    pub decided_by: Option<String>,
}

/// Questions to people, and their answers.
#[derive(Clone, Copy, Debug)]
pub struct Approvals<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
}

impl Approvals<'_> {
    /// Opens a question, unless the same one is open, was answered with no, or too many were raised.
    pub async fn ask(self, new: NewApproval, bounds: AskBounds) -> Result<Asked, RecordError> {
        self.writer
            .run(move |connection| ask(connection, &new, bounds))
            .await
    }

    /// Answers an open question. `false` when there is none of that identifier, or it has expired or been answered.
    pub async fn decide(
        self,
        id: String,
        approved: bool,
        by: String,
        now_ms: u64,
    ) -> Result<bool, RecordError> {
        let state = if approved {
            ApprovalState::Approved
        } else {
            ApprovalState::Denied
        };
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE approvals SET state = ?2, decided_by = ?3, decided_ms = ?4 \
                         WHERE id = ?1 AND state = 'open' AND expires_ms > ?4",
                    )?
                    .execute(params![id, state.as_str(), by, integer(now_ms)])
                    .map(|rows| rows == 1)
            })
            .await
    }

    /// Counts that an open question is put before somebody; `false` when it was so `shows_max` times already, or is not open.
    pub async fn show(self, id: String, shows_max: u32) -> Result<bool, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE approvals SET shown = shown + 1 \
                         WHERE id = ?1 AND state = 'open' AND shown < ?2",
                    )?
                    .execute(params![id, shows_max])
                    .map(|rows| rows == 1)
            })
            .await
    }

    /// Takes the approval that is bound to this call, if there is one: it is spent. Gives its identifier.
    pub async fn spend(
        self,
        binding: [u8; 32],
        now_ms: u64,
    ) -> Result<Option<String>, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE approvals SET state = 'spent' WHERE id = (SELECT id FROM approvals \
                         WHERE binding = ?1 AND state = 'approved' AND expires_ms > ?2 LIMIT 1) \
                         RETURNING id",
                    )?
                    .query_row(params![binding, integer(now_ms)], |row| row.get(0))
                    .optional()
            })
            .await
    }

    /// Makes a spent approval good once more: the call that it was spent on goes on in another round.
    pub async fn give_back(self, id: String) -> Result<(), RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE approvals SET state = 'approved' WHERE id = ?1 AND state = 'spent'",
                    )?
                    .execute([&id])
                    .map(drop)
            })
            .await
    }

    /// Forgets questions that were asked before this Unix millisecond and have expired. Tells how many.
    pub async fn forget(self, before_ms: u64, now_ms: u64) -> Result<usize, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM approvals WHERE asked_ms < ?1 AND expires_ms <= ?2",
                    )?
                    .execute([integer(before_ms), integer(now_ms)])
            })
            .await
    }

    /// The question of that identifier.
    pub async fn get(self, id: String) -> Result<Option<ApprovalRow>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT * FROM approvals WHERE id = ?1")?
                    .query_row([&id], read_row)
                    .optional()
            })
            .await
    }

    /// The newest questions, at most 1,000; with `open_at_ms` only those that can be answered at that Unix millisecond.
    pub async fn list(self, open_at_ms: Option<u64>) -> Result<Vec<ApprovalRow>, ReadError> {
        self.readers
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT * FROM approvals WHERE ?1 IS NULL OR (state = 'open' AND expires_ms > ?1) \
                     ORDER BY asked_ms DESC LIMIT 1000",
                )?;
                let rows = statement.query_map([open_at_ms.map(integer)], read_row)?;
                rows.collect()
            })
            .await
    }
}

fn ask(connection: &Connection, new: &NewApproval, bounds: AskBounds) -> rusqlite::Result<Asked> {
    let now = integer(new.asked_ms);
    let asked: Option<(String, bool, i64)> = connection
        .prepare_cached(
            "SELECT id, state = 'open', expires_ms FROM approvals \
             WHERE binding = ?1 AND state IN ('open', 'approved') AND expires_ms > ?2 \
             ORDER BY state",
        )?
        .query_row(params![new.binding, now], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    match asked {
        Some((id, true, expires_ms)) => {
            return Ok(Asked::Open {
                id,
                expires_ms: expires_ms.unsigned_abs(),
            });
        }
        // It was given since the caller looked.
        Some((_, false, _)) => return Ok(Asked::Approved),
        None => {}
    }
    let no_since = now.saturating_sub(integer(bounds.no_stands_ms));
    let denied: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM approvals WHERE binding = ?1 AND state = 'denied' \
             AND decided_ms > ?2)",
        )?
        .query_row(params![new.binding, no_since], |row| row.get(0))?;
    if denied {
        return Ok(Asked::DeniedBefore);
    }
    let window = now.saturating_sub(integer(bounds.window_ms));
    let asked: i64 = connection
        .prepare_cached("SELECT count(*) FROM approvals WHERE identity = ?1 AND asked_ms > ?2")?
        .query_row(params![new.identity, window], |row| row.get(0))?;
    if asked >= i64::from(bounds.asks_max) {
        return Ok(Asked::TooOften);
    }
    connection
        .prepare_cached(
            "INSERT INTO approvals VALUES (?1, ?2, 'open', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
             NULL, NULL, ?13, ?14, 0)",
        )?
        .execute(params![
            new.id,
            new.binding,
            new.principal,
            new.identity,
            new.client,
            new.server,
            new.tool,
            new.arguments,
            new.reasons,
            new.request_id,
            now,
            integer(new.expires_ms),
            new.holder,
            new.unusual,
        ])?;
    Ok(Asked::Open {
        id: new.id.clone(),
        expires_ms: new.expires_ms,
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    let word: String = row.get("state")?;
    let state = ApprovalState::parse(&word)
        .ok_or_else(|| rusqlite::Error::InvalidColumnName(format!("state `{word}`")))?;
    Ok(ApprovalRow {
        id: row.get("id")?,
        state,
        principal: row.get("principal")?,
        identity: row.get("identity")?,
        holder: row.get("holder")?,
        client: row.get("client")?,
        server: row.get("server")?,
        tool: row.get("tool")?,
        arguments: row.get("arguments")?,
        reasons: row.get("reasons")?,
        unusual: row.get("unusual")?,
        request_id: row.get("request_id")?,
        asked_ms: count("asked_ms")?,
        expires_ms: count("expires_ms")?,
        decided_ms: row
            .get::<_, Option<i64>>("decided_ms")?
            .map(i64::unsigned_abs),
        decided_by: row.get("decided_by")?,
    })
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
