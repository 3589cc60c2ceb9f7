//! What the suite must find: how many scenarios, and which failures are known and why.

use crate::conformance::{Revision, Scenarios};

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
pub(crate) const EXCEPTIONS: &[Exception] = &[Exception {
    run: "conformance-bridge-a",
    scenario: "input-required-result-basic-elicitation",
    check: "sep-2322-elicitation-incomplete",
    why: "the scenario asks for the key that a modern fixture gives its input request; a legacy \
          server's request has none, so the gateway makes one",
}];

/// Scenarios that do not apply to a run: what they find is noted, and decides nothing.
pub(crate) struct NotApplicable {
    /// The beginning of the run's name, up to a hyphen, or the whole.
    pub(crate) run: &'static str,
    /// The beginning of the scenarios' names, up to a hyphen, or the whole.
    pub(crate) scenarios: &'static str,
    pub(crate) why: &'static str,
}

/// Every scenario that does not apply.
pub(crate) const NOT_APPLICABLE: &[NotApplicable] = &[
    NotApplicable {
        run: "conformance-bridge-a",
        scenarios: "tasks",
        why: "a server of the older revisions has no tasks that a modern client could see",
    },
    NotApplicable {
        run: "conformance",
        scenarios: "server-sse-polling",
        why: "the gateway itself resumes the server's stream and answers with one JSON body, for \
              which the scenario has no checks",
    },
    NotApplicable {
        run: "conformance",
        scenarios: "tasks-status-notifications",
        why: "a placeholder without checks",
    },
    NotApplicable {
        run: "baseline-conformance",
        scenarios: "tasks-status-notifications",
        why: "a placeholder without checks",
    },
];

/// How many scenarios run against an authorization server.
pub(crate) const AUTHORIZATION_SCENARIOS: usize = 2;

/// How many scenarios run against a server, scored and unscored.
pub(crate) fn scenarios(scenarios: Scenarios) -> usize {
    match scenarios {
        Scenarios::Revision(Revision::V2025_06_18) => 27,
        Scenarios::Revision(Revision::V2025_11_25) => 30 + 3,
        Scenarios::Revision(Revision::V2026_07_28) => 37 + 13,
        Scenarios::Skills => 3,
    }
}
