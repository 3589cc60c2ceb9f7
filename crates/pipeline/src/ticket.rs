//! The promise to complete a record.

use std::time::Duration;

use portcullis_constraint::ResolvedPath;
use portcullis_store::{CallEnd, CallId, Outcome, RecordError, Store};

use crate::{Denial, Timestamp};

/// How a call ended, for its record.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// In which way.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// How long it took, from the request's arrival to the last byte of the answer.
    pub duration: Duration,
    /// The JSON-RPC error code that the client was answered.
    pub error_code: Option<i64>,
    /// The size of the result in bytes.
    pub result_bytes: Option<usize>,
}

/// Completes the record of one call. Dropped without an end, the call is recorded as abandoned.
#[derive(Debug)]
#[must_use = "a ticket that is dropped records the call as abandoned"]
pub struct Ticket {
    store: Store,
    id: CallId,
    open: bool,
    paths: Vec<ResolvedPath>,
    approval: Option<Box<str>>,
}

impl Ticket {
    pub(crate) fn new(store: Store, id: CallId) -> Self {
        Self {
            store,
            id,
            open: true,
            paths: Vec::new(),
            approval: None,
        }
    }

    /// The same ticket, of a call whose arguments lead to these paths and on which this approval was spent.
    pub(crate) fn with(self, paths: Vec<ResolvedPath>, approval: Option<Box<str>>) -> Self {
        // A ticket cannot be taken apart: it has an end of its own.
        let mut ticket = self;
        ticket.paths = paths;
        ticket.approval = approval;
        ticket
    }

    /// Checks that the paths among the arguments still lead where they led when they were checked.
    pub(crate) fn check_paths(&self) -> Result<(), Denial> {
        if self.paths.iter().all(ResolvedPath::still_leads_there) {
            Ok(())
        } else {
            Err(Denial::PathMoved)
        }
    }

    /// Gives the approval that was spent on the call back: it goes on in another round, which needs the same yes.
    pub(crate) async fn give_approval_back(&self) -> Result<(), RecordError> {
        match &self.approval {
            Some(approval) => self.store.approvals().give_back(approval.to_string()).await,
            None => Ok(()),
        }
    }

    /// Records how the call ended. Never waits.
    pub fn finish(self, completion: Completion) {
        self.end(completion, None);
    }

    /// Records that a check refused the result, or what the server asked during the call.
    pub fn deny(self, denial: &Denial, completion: Completion) {
        let completion = Completion {
            outcome: Outcome::Denied,
            ..completion
        };
        self.end(completion, Some(denial.code()));
    }

    fn end(mut self, completion: Completion, denial_code: Option<&'static str>) {
        self.open = false;
        let end = CallEnd {
            outcome: completion.outcome,
            denial_code,
            error_code: completion.error_code,
            result_bytes: completion.result_bytes.map(|bytes| bytes as u64),
            duration_us: Some(u64::try_from(completion.duration.as_micros()).unwrap_or(u64::MAX)),
            completed_ms: Some(completion.at.0),
        };
        self.store.calls().finish(self.id, end);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.store
                .calls()
                .finish(self.id, CallEnd::bare(Outcome::Abandoned));
        }
    }
}
