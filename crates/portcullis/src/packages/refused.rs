//! Why a server that is a package is not started.

use std::sync::Arc;

use portcullis_package::{AcceptedError, Changed, InstallError, RecipeError, ShelfError};
use portcullis_proxy::upstream::NotReady;

use super::step::StepError;

/// A package that cannot be installed, or should not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Its installs cannot be used.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// It is not known what was accepted.
    #[error(transparent)]
    Accepted(#[from] AcceptedError),
    /// The installer is missing.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// It could not be installed.
    #[error("the package was not installed")]
    Install(#[source] Box<InstallError<StepError>>),
    /// It takes too long.
    #[error("the package was not installed within {0} seconds; check the way to its registry")]
    TooLong(u64),
    /// It is another than was accepted.
    #[error(transparent)]
    Changed(#[from] Box<Changed>),
    /// The gateway ends.
    #[error("the installed package could not be looked at")]
    Cut(#[from] tokio::task::JoinError),
}

impl From<Refused> for NotReady {
    fn from(refused: Refused) -> Self {
        const ELSE: &str = "the server's package cannot be used; the gateway's log says why";
        let told = match &refused {
            // The whole of it, and so no cause.
            Refused::Changed(changed) => return Self::new(changed.to_string(), None),
            Refused::Recipe(_) | Refused::TooLong(_) => refused.to_string(),
            Refused::Shelf(ShelfError::Altered { server, .. }) => format!(
                "the files of the server's package were changed after it was installed; `portcullis packages update {server}` installs it anew"
            ),
            Refused::Install(error) => match &**error {
                // These name paths.
                InstallError::Io { .. } | InstallError::Tree(_) | InstallError::Shelf(_) => {
                    ELSE.to_owned()
                }
                error => format!("the server's package was not installed: {error}"),
            },
            Refused::Shelf(_) | Refused::Accepted(_) | Refused::Cut(_) => ELSE.to_owned(),
        };
        Self::new(told, Some(Arc::new(refused)))
    }
}
