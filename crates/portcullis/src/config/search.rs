//! Finds the configuration file.

use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// The file's name wherever it is looked for.
const NAME: &str = "portcullis.toml";

/// No configuration file where one may be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no configuration file; looked for {}; write one, name one with `--config FILE`, \
     or see `portcullis demo` and `portcullis wrap`, which need none",
    .looked_for.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(" and ")
)]
pub(crate) struct NoFile {
    looked_for: Vec<PathBuf>,
}

/// The file that `--config` names, else `portcullis.toml` in the working directory, else
/// `$XDG_CONFIG_HOME/portcullis/portcullis.toml`.
pub(crate) fn find(
    named: Option<&Path>,
    working_directory: &Path,
    environment: &Environment,
) -> Result<PathBuf, NoFile> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let mut candidates = vec![working_directory.join(NAME)];
    if let Some(directory) = environment.directory("XDG_CONFIG_HOME", ".config") {
        candidates.push(directory.join("portcullis").join(NAME));
    }
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(NoFile {
            looked_for: candidates,
        }),
    }
}

#[cfg(test)]
mod tests;
