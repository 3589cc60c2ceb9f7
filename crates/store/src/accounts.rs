//! The tables of accounts: who may log in, by which password, second factor or provider.
//!
//! Each change that takes something away also ends the account's browser sessions and revokes its tokens, in the same
//! transaction as its record. What is a fit name or password is the caller's to say.

use std::fmt;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::api_keys;
use crate::auth_events::{self, AuthEvent};
use crate::browser_sessions;
use crate::calls::ReadError;
use crate::epoch::Epoch;
use crate::reader::Readers;
use crate::revocations::{self, Revocation};
use crate::writer::{RecordError, Writer};

/// The most accounts that are listed.
const LIST_MAX: u32 = 10_000;

/// The tables of accounts.
#[derive(Clone, Copy, Debug)]
pub struct Accounts<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) readers: &'a Readers,
    pub(crate) epoch: &'a Epoch,
}

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, which never changes.
    pub name: String,
    /// What pages call it.
    pub display: String,
    /// The groups it is in.
    pub groups: Vec<Box<str>>,
    /// Whether it administers the gateway.
    pub is_admin: bool,
    /// Whether it may not log in.
    pub disabled: bool,
    /// The hash of its password, as a PHC string.
    pub password: Option<String>,
    /// Its TOTP secret, sealed.
    pub totp: Option<Vec<u8>>,
    /// The last TOTP step that was used.
    pub totp_step: u64,
    /// Changes with its credentials.
    pub version: u64,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// What pages call it.
    pub display: String,
    /// The groups it is in; none has a line break.
    pub groups: Vec<Box<str>>,
    /// Whether it administers the gateway.
    pub is_admin: bool,
}

/// A link that sets a password once.
#[derive(Clone, Copy, Debug)]
pub struct AccountLink {
    /// The digest of its token.
    pub digest: [u8; 32],
    /// When it expires, in Unix milliseconds.
    pub expires_ms: u64,
}

/// Whom a provider calls which subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The subject there.
    pub subject: String,
}

impl Accounts<'_> {
    /// The account of that name.
    pub async fn find(self, name: &str) -> Result<Option<Account>, ReadError> {
        let name = name.to_owned();
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT * FROM accounts WHERE name = ?1")?
                    .query_row([name], account)
                    .optional()
            })
            .await
    }

    /// The accounts, by name.
    pub async fn list(self) -> Result<Vec<Account>, ReadError> {
        self.readers
            .run(|connection| {
                connection
                    .prepare("SELECT * FROM accounts ORDER BY name LIMIT ?1")?
                    .query_map([LIST_MAX], account)?
                    .collect()
            })
            .await
    }

    /// Makes an account without a password and a link to set it. `false`: the name is taken.
    pub async fn invite(
        self,
        new: NewAccount,
        link: AccountLink,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        self.writer
            .run(move |connection| {
                if !insert(connection, &new, event.at_ms)? {
                    return Ok(false);
                }
                insert_link(connection, &new.name, link)?;
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await
    }

    /// Takes an account's password and second factor away, ends what it has, and makes a link to begin anew. `false`: there is
    /// no such account.
    pub async fn reset(
        self,
        name: &str,
        link: AccountLink,
        revocation: Revocation,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let name = name.to_owned();
        let found = self
            .writer
            .run(move |connection| {
                let changed = connection.execute(
                    "UPDATE accounts SET password = NULL, totp = NULL, totp_step = 0, \
                     version = version + 1 WHERE name = ?1",
                    [&name],
                )?;
                if changed == 0 {
                    return Ok(false);
                }
                forget_links(connection, &name)?;
                forget_recovery_codes(connection, &name)?;
                insert_link(connection, &name, link)?;
                browser_sessions::end_all(connection, &name)?;
                revocations::insert(connection, &revocation)?;
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await?;
        self.epoch.announce()?;
        Ok(found)
    }

    /// Forbids an account to log in, and ends what it has, its API keys included. `false`: there is no such account.
    pub async fn disable(
        self,
        name: &str,
        revocation: Revocation,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let name = name.to_owned();
        let found = self
            .writer
            .run(move |connection| {
                let changed = connection.execute(
                    "UPDATE accounts SET disabled = 1, version = version + 1 WHERE name = ?1",
                    [&name],
                )?;
                if changed == 0 {
                    return Ok(false);
                }
                browser_sessions::end_all(connection, &name)?;
                api_keys::end_all(connection, &name, event.at_ms)?;
                revocations::insert(connection, &revocation)?;
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await?;
        self.epoch.announce()?;
        Ok(found)
    }

    /// Lets a disabled account log in again. `false`: there is no such account.
    pub async fn enable(self, name: &str, event: AuthEvent) -> Result<bool, RecordError> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                let changed = connection
                    .execute("UPDATE accounts SET disabled = 0 WHERE name = ?1", [&name])?;
                if changed == 0 {
                    return Ok(false);
                }
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await
    }

    /// Removes an account with all that belongs to it, so that another of the same name inherits nothing. `false`: there is no such account.
    pub async fn remove(
        self,
        name: &str,
        revocation: Revocation,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let name = name.to_owned();
        let found = self
            .writer
            .run(move |connection| {
                if connection.execute("DELETE FROM accounts WHERE name = ?1", [&name])? == 0 {
                    return Ok(false);
                }
                forget_links(connection, &name)?;
                forget_recovery_codes(connection, &name)?;
                for forget in [
                    "DELETE FROM account_identities WHERE account = ?1",
                    "DELETE FROM consents WHERE account = ?1",
                    "DELETE FROM server_connects WHERE account = ?1",
                    "DELETE FROM server_tokens WHERE principal = ?1",
                    "DELETE FROM identity_tokens WHERE principal = ?1",
                ] {
                    connection.execute(forget, [&name])?;
                }
                browser_sessions::end_all(connection, &name)?;
                api_keys::end_all(connection, &name, event.at_ms)?;
                revocations::insert(connection, &revocation)?;
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await?;
        self.epoch.announce()?;
        Ok(found)
    }

    /// Whose password the link of this digest sets, while it may be used.
    pub async fn link_account(
        self,
        digest: [u8; 32],
        now_ms: u64,
    ) -> Result<Option<String>, ReadError> {
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT account FROM account_links JOIN accounts ON name = account \
                         WHERE digest = ?1 AND expires_ms > ?2 AND disabled = 0",
                    )?
                    .query_row(params![digest, integer(now_ms)], |row| row.get(0))
                    .optional()
            })
            .await
    }

    /// Uses the link of this digest up and sets the password of its account. `None`: it may not be used, or no longer.
    pub async fn redeem_link(
        self,
        digest: [u8; 32],
        password: String,
        event: AuthEvent,
    ) -> Result<Option<Account>, RecordError> {
        self.writer
            .run(move |connection| {
                let name: Option<String> = connection
                    .prepare_cached(
                        "DELETE FROM account_links WHERE digest = ?1 AND expires_ms > ?2 \
                         RETURNING account",
                    )?
                    .query_row(params![digest, integer(event.at_ms)], |row| row.get(0))
                    .optional()?;
                let Some(name) = name else { return Ok(None) };
                let found = connection
                    .prepare_cached(
                        "UPDATE accounts SET password = ?2, version = version + 1 \
                         WHERE name = ?1 AND disabled = 0 RETURNING *",
                    )?
                    .query_row(params![name, password], account)
                    .optional()?;
                if found.is_some() {
                    forget_links(connection, &name)?;
                    browser_sessions::end_all(connection, &name)?;
                    auth_events::insert(connection, &event_of(&event, &name))?;
                }
                Ok(found)
            })
            .await
    }

    /// Puts a better hash of the same password in the place of `old`.
    pub async fn rehash(self, name: &str, old: String, new: String) -> Result<(), RecordError> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                connection
                    .execute(
                        "UPDATE accounts SET password = ?3 WHERE name = ?1 AND password = ?2",
                        params![name, old, new],
                    )
                    .map(drop)
            })
            .await
    }

    /// Sets an account's second factor, of which `step` was used, and its recovery codes. `false`: it has one already.
    pub async fn set_totp(
        self,
        name: &str,
        sealed: Vec<u8>,
        step: u64,
        recovery_codes: Vec<[u8; 32]>,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                let changed = connection.execute(
                    "UPDATE accounts SET totp = ?2, totp_step = ?3 \
                     WHERE name = ?1 AND totp IS NULL AND disabled = 0",
                    params![name, sealed, integer(step)],
                )?;
                if changed == 0 {
                    return Ok(false);
                }
                forget_recovery_codes(connection, &name)?;
                let mut statement = connection
                    .prepare_cached("INSERT INTO account_recovery_codes VALUES (?1, ?2)")?;
                for code in &recovery_codes {
                    statement.execute(params![name, code])?;
                }
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await
    }

    /// Takes an account's second factor away.
    pub async fn remove_totp(self, name: &str, event: AuthEvent) -> Result<(), RecordError> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                connection.execute("UPDATE accounts SET totp = NULL WHERE name = ?1", [&name])?;
                forget_recovery_codes(connection, &name)?;
                auth_events::insert(connection, &event)
            })
            .await
    }

    /// Uses a TOTP step up. `false`: it or a later one was used.
    pub async fn spend_totp_step(self, name: &str, step: u64) -> Result<bool, RecordError> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE accounts SET totp_step = ?2 WHERE name = ?1 AND totp_step < ?2",
                    )?
                    .execute(params![name, integer(step)])
                    .map(|changed| changed == 1)
            })
            .await
    }

    /// Uses a recovery code up. `false`: there is none such, or no longer.
    pub async fn spend_recovery_code(
        self,
        name: &str,
        digest: [u8; 32],
    ) -> Result<bool, RecordError> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM account_recovery_codes WHERE account = ?1 AND digest = ?2",
                    )?
                    .execute(params![name, digest])
                    .map(|changed| changed == 1)
            })
            .await
    }

    /// The account of somebody whom a provider knows.
    pub async fn of_identity(self, identity: &Identity) -> Result<Option<Account>, ReadError> {
        let identity = identity.clone();
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT accounts.* FROM account_identities JOIN accounts ON name = account \
                         WHERE provider = ?1 AND subject = ?2",
                    )?
                    .query_row([identity.provider, identity.subject], account)
                    .optional()
            })
            .await
    }

    /// Makes an account for somebody whom a provider knows. `false`: the name is taken, or the identity is another's.
    pub async fn create_with_identity(
        self,
        new: NewAccount,
        identity: Identity,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        self.writer
            .run(move |connection| {
                let taken = connection
                    .query_row(
                        "SELECT 1 FROM account_identities WHERE provider = ?1 AND subject = ?2",
                        [&identity.provider, &identity.subject],
                        |_| Ok(()),
                    )
                    .optional()?;
                if taken.is_some() || !insert(connection, &new, event.at_ms)? {
                    return Ok(false);
                }
                insert_identity(connection, &identity, &new.name)?;
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await
    }

    /// Lets somebody whom a provider knows log in to an account. `false`: there is no such account, or the identity is another's.
    pub async fn link_identity(
        self,
        name: &str,
        identity: Identity,
        event: AuthEvent,
    ) -> Result<bool, RecordError> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                let found = connection
                    .query_row(
                        "SELECT 1 FROM accounts WHERE name = ?1",
                        [&name],
                        |_| Ok(()),
                    )
                    .optional()?;
                if found.is_none() || insert_identity(connection, &identity, &name)? == 0 {
                    return Ok(false);
                }
                auth_events::insert(connection, &event)?;
                Ok(true)
            })
            .await
    }

    /// Sets the groups of an account, as its provider tells them.
    pub async fn set_groups(self, name: &str, groups: &[Box<str>]) -> Result<(), RecordError> {
        let (name, groups) = (name.to_owned(), groups.join("\n"));
        self.writer
            .run(move |connection| {
                connection
                    .execute(
                        "UPDATE accounts SET groups = ?2 WHERE name = ?1",
                        [name, groups],
                    )
                    .map(drop)
            })
            .await
    }
}

fn insert(connection: &Connection, new: &NewAccount, now_ms: u64) -> rusqlite::Result<bool> {
    connection
        .execute(
            "INSERT INTO accounts (name, display, groups, is_admin, created_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            params![
                new.name,
                new.display,
                new.groups.join("\n"),
                new.is_admin,
                integer(now_ms)
            ],
        )
        .map(|inserted| inserted == 1)
}

fn insert_link(connection: &Connection, name: &str, link: AccountLink) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO account_links (digest, account, expires_ms) VALUES (?1, ?2, ?3)",
            params![link.digest, name, integer(link.expires_ms)],
        )
        .map(drop)
}

fn insert_identity(
    connection: &Connection,
    identity: &Identity,
    name: &str,
) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO account_identities (provider, subject, account) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO NOTHING",
        params![identity.provider, identity.subject, name],
    )
}

fn forget_links(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection
        .execute("DELETE FROM account_links WHERE account = ?1", [name])
        .map(drop)
}

fn forget_recovery_codes(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection
        .execute(
            "DELETE FROM account_recovery_codes WHERE account = ?1",
            [name],
        )
        .map(drop)
}

fn event_of(event: &AuthEvent, name: &str) -> AuthEvent {
    AuthEvent {
        principal: Some(name.into()),
        ..event.clone()
    }
}

pub(crate) fn groups(text: &str) -> Vec<Box<str>> {
    text.lines().map(Into::into).collect()
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    Ok(Account {
        name: row.get("name")?,
        display: row.get("display")?,
        groups: groups(&row.get::<_, String>("groups")?),
        is_admin: row.get("is_admin")?,
        disabled: row.get("disabled")?,
        password: row.get("password")?,
        totp: row.get("totp")?,
        totp_step: count("totp_step")?,
        version: count("version")?,
        created_ms: count("created_ms")?,
    })
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
