//! The database: one module a table, and all the SQL there is.
//!
//! One `SQLite` file in WAL mode, one connection that writes and commits in groups, and a few read-only
//! ones. Nothing here reads a clock or decides anything: times, names and outcomes come from
//! the caller. What may be recorded, and when, belongs to `pipeline`.

pub mod accounts;
pub mod api_keys;
pub mod approvals;
pub mod auth_events;
pub mod browser_sessions;
pub mod calls;
pub mod client_registrations;
pub mod connections;
pub mod consents;
pub mod definitions;
mod epoch;
pub mod grants;
mod migrate;
pub mod oauth_clients;
mod reader;
pub mod revocations;
pub mod secrets;
pub mod server_tokens;
pub mod signing_keys;
pub mod spent;
mod writer;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use accounts::{Account, AccountLink, Accounts, Identity, NewAccount};
pub use api_keys::{ApiKeyRow, ApiKeys};
pub use approvals::{ApprovalRow, ApprovalState, Approvals, AskBounds, Asked, NewApproval};
pub use auth_events::{
    AuthEvent, AuthEventFilter, AuthEventKind, AuthEventRow, AuthEvents, AuthOutcome,
};
pub use browser_sessions::{BrowserSession, BrowserSessions, NewBrowserSession, SessionSpan};
pub use calls::{
    CallEnd, CallFilter, CallId, CallRow, CallStart, Calls, Outcome, ReadError, ScopesUsed, Verdict,
};
pub use client_registrations::{ClientRegistrationRow, ClientRegistrations};
pub use connections::{ConnectionFilter, ConnectionRecord, Connections};
pub use consents::{Consent, Consents};
pub use definitions::{DefinitionRow, Definitions};
pub use grants::{Grant, Grants};
pub use migrate::MigrateError;
pub use oauth_clients::{OauthClient, OauthClients};
pub use revocations::{Revocation, Revocations};
pub use secrets::{SecretRow, Secrets};
pub use server_tokens::{ServerConnectRow, ServerTokenKey, ServerTokenRow, ServerTokens};
pub use signing_keys::{SealedKey, SigningKeys};
pub use spent::Spent;
pub use writer::RecordError;

use epoch::Epoch;
use reader::Readers;
use writer::Writer;

/// How long a statement waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a committed record survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, also by `SIGKILL` (`synchronous=NORMAL`): a power failure may lose
    /// the last records, never the file.
    #[default]
    Process,
    /// A power failure as well (`synchronous=FULL`): every commit waits for the disk.
    Power,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What a committed record survives.
    pub durability: Durability,
    /// The file's largest size in bytes; a record that would exceed it fails. `None`: no bound.
    pub size_max_bytes: Option<u64>,
    /// How many records may wait for their commit; further callers wait for a place.
    pub waiting_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Process,
            size_max_bytes: None,
            waiting_max: 1024,
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made, or made private.
    #[error(
        "cannot create or protect the database `{path}`; check that its folder exists and is writable"
    )]
    File {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `SQLite` refused the file.
    #[error(
        "cannot open the database `{path}`; check that it is a Portcullis database and that no other program locks it"
    )]
    Sql {
        /// The database file.
        path: PathBuf,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// The tables could not be brought up to date.
    #[error("cannot bring the database `{path}` up to date")]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// Which step failed, and why.
        #[source]
        source: MigrateError,
    },
    /// The writer's thread did not start.
    #[error(
        "cannot start the thread that writes the database; the system is short of threads or memory"
    )]
    Thread(#[source] io::Error),
}

/// The database. Clones share it; the last one dropped flushes what is queued and closes the file.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
    epoch: Epoch,
}

impl Store {
    /// Opens the database at `path`, making it (mode 0600) when absent, and migrates it.
    ///
    /// Calls that an earlier process began and did not finish are marked [`Outcome::Interrupted`].
    pub fn open(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        Self::start(path, settings, calls::recover)
    }

    /// Opens the database beside a gateway that may be running on it, for an administrator's command. Calls in progress are
    /// left alone; none may be recorded.
    pub fn open_beside(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        Self::start(path, settings, |_| Ok(0))
    }

    fn start(
        path: &Path,
        settings: Settings,
        recover: impl FnOnce(&mut Connection) -> rusqlite::Result<i64>,
    ) -> Result<Self, OpenError> {
        let file = |source| OpenError::File {
            path: path.into(),
            source,
        };
        make_private(path).map_err(file)?;
        let epoch = Epoch::open(path).map_err(file)?;
        let sql = |source| OpenError::Sql {
            path: path.into(),
            source,
        };
        let mut connection = connect(path, &settings).map_err(sql)?;
        migrate::run(&mut connection).map_err(|source| OpenError::Migrate {
            path: path.into(),
            source,
        })?;
        // A commit that waits for the disk is not for those who have other things to do.
        let leads = settings.durability == Durability::Process;
        let last = recover(&mut connection).map_err(sql)?;
        let writer = Writer::start(connection, last, settings.waiting_max, leads)
            .map_err(OpenError::Thread)?;
        let readers = Readers::new(path.into());
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.into(),
                writer,
                readers,
                epoch,
            }),
        })
    }

    /// The record of calls.
    pub fn calls(&self) -> Calls<'_> {
        Calls {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// Calls that a person is asked about.
    pub fn approvals(&self) -> Approvals<'_> {
        Approvals {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// What servers last defined.
    pub fn definitions(&self) -> Definitions<'_> {
        Definitions {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// The record of what local servers reached over the network.
    pub fn connections(&self) -> Connections<'_> {
        Connections {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// The record of authentication events.
    pub fn auth_events(&self) -> AuthEvents<'_> {
        AuthEvents {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// The keys that programs show instead of a token.
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
            epoch: &self.inner.epoch,
        }
    }

    /// What has been revoked.
    pub fn revocations(&self) -> Revocations<'_> {
        Revocations {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
            epoch: &self.inner.epoch,
        }
    }

    /// Who may log in.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
            epoch: &self.inner.epoch,
        }
    }

    /// Browsers that are logged in.
    pub fn browser_sessions(&self) -> BrowserSessions<'_> {
        BrowserSessions {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// Sealed secrets.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
            epoch: &self.inner.epoch,
        }
    }

    /// Grants, with their authorization codes and refresh tokens.
    pub fn grants(&self) -> Grants<'_> {
        Grants {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
            epoch: &self.inner.epoch,
        }
    }

    /// Registrations of the gateway as a client of authorization servers.
    pub fn client_registrations(&self) -> ClientRegistrations<'_> {
        ClientRegistrations {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// Consents that are remembered.
    pub fn consents(&self) -> Consents<'_> {
        Consents {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// Tokens that the gateway holds for servers.
    pub fn server_tokens(&self) -> ServerTokens<'_> {
        ServerTokens {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
            epoch: &self.inner.epoch,
        }
    }

    /// What works once.
    pub fn spent(&self) -> Spent<'_> {
        Spent {
            writer: &self.inner.writer,
        }
    }

    /// Clients that registered themselves.
    pub fn oauth_clients(&self) -> OauthClients<'_> {
        OauthClients {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
        }
    }

    /// Keys that sign tokens.
    pub fn signing_keys(&self) -> SigningKeys<'_> {
        SigningKeys {
            writer: &self.inner.writer,
            readers: &self.inner.readers,
            epoch: &self.inner.epoch,
        }
    }

    /// A number that differs from every earlier one once a verdict on a credential may have changed, in whichever process.
    /// Costs a read of eight bytes.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch.now()
    }

    /// Announces that verdicts on credentials may have changed. To be called after the change is committed.
    pub fn advance_epoch(&self) -> Result<(), RecordError> {
        self.inner.epoch.announce()
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Writes everything that is queued and closes the file for writing. Whatever is recorded
    /// afterwards, through any clone, fails with [`RecordError::Closed`].
    pub async fn close(&self) {
        self.inner.writer.close().await;
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

/// Makes the file readable by its owner alone. The WAL and its index take the same mode from it.
fn make_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        options.mode(0o600);
        let file = options.open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }
    #[cfg(not(unix))]
    {
        options.open(path)
    }
}

fn connect(path: &Path, settings: &Settings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match settings.durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The writer's thread folds the log back.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    if let Some(bytes) = settings.size_max_bytes {
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| {
            row.get::<_, i64>(0).map(i64::unsigned_abs)
        })?;
        let pages = bytes.checked_div(page).unwrap_or(0).max(1);
        connection.pragma_update(
            None,
            "max_page_count",
            i64::try_from(pages).unwrap_or(i64::MAX),
        )?;
    }
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}
