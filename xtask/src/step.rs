//! The steps, in the order they run.

use anyhow::Result;

use crate::command::Log;
use crate::workspace::Workspace;
use crate::{conformance, dependencies, oauth, peers, policy, rust, suggest};

/// How a step ended that did not fail.
pub(crate) enum Outcome {
    /// It ran and found nothing wrong; with what is worth saying in the summary.
    Passed(String),
    /// It could not run here, for a reason that is not a defect.
    Skipped(String),
}

/// The work of a step.
pub(crate) type Work = Box<dyn Fn(&Workspace, &mut Log) -> Result<Outcome>>;

/// One thing that is checked.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) work: Work,
}

impl Step {
    /// A step from its name, what it shows and what it does.
    pub(crate) fn new(
        name: impl Into<String>,
        about: impl Into<String>,
        work: impl Fn(&Workspace, &mut Log) -> Result<Outcome> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            work: Box::new(work),
        }
    }

    /// Whether `name` is this step's name or the beginning of it, up to a hyphen.
    pub(crate) fn fits(&self, name: &str) -> bool {
        begins(&self.name, name)
    }

    /// Whether the step measures the peers themselves, and so runs only on request.
    pub(crate) fn is_baseline(&self) -> bool {
        self.fits("baseline")
    }
}

/// Every step.
pub(crate) fn all() -> Vec<Step> {
    let mut steps = rust::steps();
    steps.extend(dependencies::steps());
    steps.extend(conformance::steps());
    steps.extend(peers::steps());
    steps.extend(suggest::steps());
    steps.extend(oauth::steps());
    steps.extend(policy::steps());
    steps
}

/// Whether `name` is `beginning`, or begins with it up to a hyphen.
pub(crate) fn begins(name: &str, beginning: &str) -> bool {
    name.strip_prefix(beginning)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
