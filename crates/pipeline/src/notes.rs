//! What the checks find out about a request on the way, for its record and for what follows.

use std::sync::Arc;

use portcullis_constraint::ResolvedPath;
use portcullis_policy::Decision;
use portcullis_store::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::permissions::{Mode, State};
use crate::{Counts, Denial, Granted, Request};

/// What was found out about one request.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The scopes that opened it, separated by spaces.
    pub(crate) scopes: Option<Box<str>>,
    /// What the permission model said.
    pub(crate) verdict: Option<Verdict>,
    /// Where the paths among its arguments lead.
    pub(crate) paths: Vec<ResolvedPath>,
    /// The approval that was spent on it.
    pub(crate) approval: Option<Box<str>>,
    /// What whoever sends it has done of late.
    pub(crate) counts: Counts,
}

/// A call as it is kept whole, to be decided on once more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// How the principal was known.
    pub kind: String,
    /// The groups that the principal was in.
    pub groups: Vec<Box<str>>,
    /// The scopes that were granted; `None`: no scope restricted it.
    pub scopes: Option<Vec<Box<str>>>,
    /// Requests of the principal that went on within the hour before.
    pub calls: u32,
    /// Those of the same tool.
    pub calls_of_tool: u32,
    /// Requests of the principal that were denied within the hour before.
    pub denials: u32,
    /// The params of the request.
    pub params: Box<RawValue>,
}

impl Notes {
    /// Takes down what the policies say.
    pub(crate) fn decided(&mut self, decision: &Decision, state: &State) {
        self.verdict = Some(Verdict {
            decision: match decision {
                Decision::Allow(_) => "allow",
                Decision::Ask { .. } => "ask",
                Decision::Deny { .. } => "deny",
            },
            reason: None,
            policies: policies_of(decision),
            version: Arc::clone(&state.version),
        });
    }

    /// A request as it is kept whole, as JSON.
    pub(crate) fn kept(&self, request: &Request, params: &[u8]) -> Box<[u8]> {
        let principal = &request.principal;
        let params = std::str::from_utf8(params)
            .ok()
            .and_then(|params| RawValue::from_string(params.to_owned()).ok());
        let kept = Kept {
            kind: principal.kind.as_str().to_owned(),
            groups: principal.groups.to_vec(),
            scopes: match &principal.granted {
                Granted::Everything => None,
                Granted::Scopes(scopes) => Some(scopes.to_vec()),
            },
            calls: self.counts.calls,
            calls_of_tool: self.counts.calls_of_tool,
            denials: self.counts.denials,
            params: params.unwrap_or_default(),
        };
        serde_json::to_vec(&kept).unwrap_or_default().into()
    }

    /// Takes down what they say once a person has said yes.
    pub(crate) fn approved(&mut self, decision: &Decision) {
        if let Some(verdict) = &mut self.verdict {
            verdict.decision = match decision {
                Decision::Allow(_) => "approved",
                Decision::Ask { .. } | Decision::Deny { .. } => "deny",
            };
            verdict.policies = policies_of(decision);
        }
    }

    /// What the permission model's answer comes to: where it only observes, its denial is taken down.
    pub(crate) fn enforce(
        &mut self,
        permitted: Result<(), Denial>,
        mode: Mode,
    ) -> Result<(), Denial> {
        match (permitted, mode) {
            (Err(denial), Mode::Observe) => {
                let verdict = self.verdict.get_or_insert_with(|| Verdict {
                    decision: "deny",
                    reason: None,
                    policies: Arc::from(""),
                    version: Arc::from(""),
                });
                verdict.decision = "observed";
                verdict.reason = Some(denial.code());
                Ok(())
            }
            (permitted, _) => permitted,
        }
    }
}

fn policies_of(decision: &Decision) -> Arc<str> {
    match decision.determined().ids() {
        [only] => Arc::clone(only),
        several => several.join(" ").into(),
    }
}
