//! What the suite must find: how many scenarios, and which failures are known and why.

use crate::conformance::{Revision, Upstream};

/// A failure that is known, with the reason why it is not ours to mend.
pub(crate) struct Exception {
    /// The beginning of the run's name, up to a hyphen, or the whole.
    pub(crate) run: &'static str,
    pub(crate) scenario: &'static str,
    /// The check within the scenario.
    pub(crate) check: &'static str,
    pub(crate) why: &'static str,
}

/// Every known failure. One that no longer occurs fails the run, so that the table stays true.
pub(crate) const EXCEPTIONS: &[Exception] = &[];

/// Scenarios that the suite lists but that check nothing yet.
pub(crate) const WITHOUT_CHECKS: &[&str] = &["tasks-status-notifications"];

/// How many scenarios of a revision run against a server, scored and unscored.
pub(crate) fn scenarios(_: Upstream, revision: Revision) -> usize {
    match revision {
        Revision::V2025_06_18 => 27,
        Revision::V2025_11_25 => 30 + 3,
        Revision::V2026_07_28 => 37 + 13,
    }
}
