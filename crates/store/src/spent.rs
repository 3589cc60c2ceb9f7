//! The table `spent`: identifiers of what works once and carries its own proof, such as an assertion or a form.

use rusqlite::{Connection, params};

use crate::writer::{RecordError, Writer};

/// What works once.
#[derive(Clone, Copy, Debug)]
pub struct Spent<'a> {
    pub(crate) writer: &'a Writer,
}

impl Spent<'_> {
    /// Takes `id`. `false` when it was taken before. `until_ms` is when what it names expires by itself: it is forgotten then.
    pub async fn take(self, id: String, until_ms: u64) -> Result<bool, RecordError> {
        self.writer
            .run(move |connection| take(connection, &id, until_ms))
            .await
    }

    /// Forgets what has expired by itself. Tells how many.
    pub async fn forget(self, now_ms: u64) -> Result<usize, RecordError> {
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM spent WHERE until_ms < ?1")?
                    .execute([integer(now_ms)])
            })
            .await
    }
}

/// [`Spent::take`] as part of whatever transaction is open.
fn take(connection: &Connection, id: &str, until_ms: u64) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached("INSERT OR IGNORE INTO spent (id, until_ms) VALUES (?1, ?2)")?
        .execute(params![id, integer(until_ms)])?;
    Ok(rows == 1)
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
