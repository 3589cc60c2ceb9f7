//! Brings the tables up to date: numbered SQL, forward only.
//!
//! `user_version` holds the number of the last step taken, and the table `migrations` what each
//! step's text was, so that a step edited after its release is noticed.

use rusqlite::{Connection, TransactionBehavior, params};

/// The steps, in order; a step's number is its place, from 1.
const STEPS: &[(&str, &str)] = &[
    ("calls", include_str!("migrations/0001_calls.sql")),
    (
        "auth_events",
        include_str!("migrations/0002_auth_events.sql"),
    ),
    (
        "revocations",
        include_str!("migrations/0003_revocations.sql"),
    ),
    ("api_keys", include_str!("migrations/0004_api_keys.sql")),
    ("grants", include_str!("migrations/0005_grants.sql")),
    ("accounts", include_str!("migrations/0006_accounts.sql")),
    (
        "credentials",
        include_str!("migrations/0007_credentials.sql"),
    ),
    ("decisions", include_str!("migrations/0008_decisions.sql")),
    ("asking", include_str!("migrations/0009_asking.sql")),
    (
        "connections",
        include_str!("migrations/0010_connections.sql"),
    ),
];

/// Why a migration stopped. The database is as it was before the step.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A later release made this database.
    #[error(
        "the database is at version {found}, this program knows {known}; run the newer release"
    )]
    Newer {
        /// The version in the file.
        found: i64,
        /// The last version this program knows.
        known: i64,
    },
    /// A step that was taken has another text now.
    #[error(
        "migration {version} was taken with another text; restore the database from before it was altered"
    )]
    Altered {
        /// The step's number.
        version: i64,
    },
    /// `SQLite` refused.
    #[error("migration {version} failed")]
    Sql {
        /// The step's number; 0 before the first.
        version: i64,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
}

/// Takes every step the file has not taken, each in one transaction.
pub(crate) fn run(connection: &mut Connection) -> Result<(), MigrateError> {
    run_steps(connection, STEPS)
}

fn run_steps(connection: &mut Connection, steps: &[(&str, &str)]) -> Result<(), MigrateError> {
    let at = |version: i64| move |source| MigrateError::Sql { version, source };
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(at(0))?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(MigrateError::Newer { found, known });
    }
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS migrations (
                 version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum INTEGER NOT NULL
             ) STRICT",
        )
        .map_err(at(0))?;
    for (version, (name, text)) in (1_i64..).zip(steps.iter().copied()) {
        let checksum = checksum(text);
        if version <= found {
            let taken: i64 = connection
                .query_row(
                    "SELECT checksum FROM migrations WHERE version = ?1",
                    [version],
                    |row| row.get(0),
                )
                .map_err(at(version))?;
            if taken != checksum {
                return Err(MigrateError::Altered { version });
            }
            continue;
        }
        let step = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(at(version))?;
        step.execute_batch(text).map_err(at(version))?;
        step.execute(
            "INSERT INTO migrations (version, name, checksum) VALUES (?1, ?2, ?3)",
            params![version, name, checksum],
        )
        .map_err(at(version))?;
        step.pragma_update(None, "user_version", version)
            .map_err(at(version))?;
        step.commit().map_err(at(version))?;
    }
    Ok(())
}

/// FNV-1a, 64 bits: notices an accident, not an adversary, who could write the table as well.
fn checksum(text: &str) -> i64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

#[cfg(test)]
mod tests;
