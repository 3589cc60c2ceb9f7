//! Has steps run, and reads how they went.

use crate::diagnosis::diagnose;
use crate::install::InstallError;
use crate::recipe::Recipe;
use crate::step::{Step, StepOutput};

/// A recipe, and whoever runs its steps.
pub(crate) struct Runner<'a, F> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) run: F,
}

impl<F> Runner<'_, F> {
    /// Its standard output, if it succeeded.
    pub(crate) async fn run<E>(&mut self, step: &Step) -> Result<Vec<u8>, InstallError<E>>
    where
        F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
        E: std::error::Error + 'static,
    {
        let output = self.try_run(step).await?;
        if output.code == Some(0) {
            Ok(output.stdout)
        } else {
            Err(InstallError::Step {
                purpose: step.purpose,
                fault: diagnose(step, &output),
            })
        }
    }

    /// What it left, however it ended.
    pub(crate) async fn try_run<E>(&mut self, step: &Step) -> Result<StepOutput, InstallError<E>>
    where
        F: AsyncFnMut(&Step) -> Result<StepOutput, E>,
        E: std::error::Error + 'static,
    {
        (self.run)(step).await.map_err(|source| InstallError::Run {
            purpose: step.purpose,
            source,
        })
    }
}
