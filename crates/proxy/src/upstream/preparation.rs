//! What has to be done before a local server can be started, such as installing the package that its command names.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use portcullis_sandbox::Command;

use super::error::UpstreamError;
use super::spec::Grants;

/// Whoever prepares a server, until it is ready.
type Preparing = BoxFuture<'static, Result<Start, NotReady>>;

/// What is started instead of the program and arguments that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// A path.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// Absolute paths that the server has to be able to read besides what it is granted.
    pub reads: Vec<PathBuf>,
}

/// Why a server is not ready to be started.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{told}")]
pub struct NotReady {
    told: String,
    #[source]
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl NotReady {
    /// `told` is for a client: it names no path and no secret. `cause` is for the operator.
    pub fn new(told: impl Into<String>, cause: Option<Arc<dyn Error + Send + Sync>>) -> Self {
        Self {
            told: told.into(),
            cause,
        }
    }
}

/// What is done before each start of a server, once for all that wait for it. A clone is the same.
#[derive(Clone)]
pub struct Preparation {
    shared: Arc<Prepared>,
}

struct Prepared {
    /// What it is made of: two with the same do the same.
    of: String,
    prepare: Box<dyn Fn() -> Preparing + Send + Sync>,
    current: Mutex<Option<Shared<Preparing>>>,
}

impl Preparation {
    /// `prepare` says what is started, each time anew. `of` tells preparations apart: a server goes on over a reload if it is
    /// the same.
    pub fn new(
        of: impl Into<String>,
        prepare: impl Fn() -> BoxFuture<'static, Result<Start, NotReady>> + Send + Sync + 'static,
    ) -> Self {
        let prepared = Prepared {
            of: of.into(),
            prepare: Box::new(prepare),
            current: Mutex::new(None),
        };
        Self {
            shared: Arc::new(prepared),
        }
    }

    /// The command to start in place of `command`, and what it is then granted. Whoever waits longer than `patience` is told to
    /// come back; the preparation goes on.
    pub(super) async fn apply(
        &self,
        command: &Command,
        grants: &Grants,
        patience: Duration,
    ) -> Result<(Command, Grants), UpstreamError> {
        let waiting = tokio::time::timeout(patience, self.current());
        let Ok(outcome) = waiting.await else {
            return Err(UpstreamError::Preparing);
        };
        let start = outcome.map_err(UpstreamError::NotReady)?;
        let mut command = command.clone();
        command.program = start.program;
        command.args = start.args;
        let mut grants = grants.clone();
        grants.confinement.reads.extend(start.reads);
        Ok((command, grants))
    }

    /// The preparation that is under way, or a new one.
    fn current(&self) -> Shared<Preparing> {
        let mut current = self.shared.current.lock();
        if let Some(preparing) = &*current
            && preparing.peek().is_none()
        {
            return preparing.clone();
        }
        let preparing = (self.shared.prepare)().shared();
        *current = Some(preparing.clone());
        // Goes on when those that wait for it give up.
        tokio::spawn(preparing.clone());
        preparing
    }
}

impl PartialEq for Preparation {
    fn eq(&self, other: &Self) -> bool {
        self.shared.of == other.shared.of
    }
}

impl Eq for Preparation {}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preparation").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
