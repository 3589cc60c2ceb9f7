//! Packages that local servers are configured as, by `npx PACKAGE` and the like: where they are kept, and what is done before
//! such a server is started. It is not let to a registry itself: its package is installed apart from it, once, and compared
//! with what was accepted at each start.

mod installer;
mod refused;
mod step;

use std::path::{Path, PathBuf};

use portcullis_package::{Host, Shelf, ShelfError};

pub(crate) use installer::{Installer, Parts};
pub(crate) use refused::Refused;

/// Where the packages of a gateway are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packages {
    /// Beside the state directory, which no server sees.
    pub directory: PathBuf,
    /// What was accepted, in the state directory.
    pub record: PathBuf,
}

impl Packages {
    /// Those of the gateway with the state directory `state`.
    pub(crate) fn of(state: &Path) -> Self {
        let mut name = state.file_name().unwrap_or_default().to_owned();
        name.push("-packages");
        Self {
            directory: state.with_file_name(name),
            record: state.join("packages.toml"),
        }
    }

    /// The installs of one server.
    pub(crate) fn shelf(&self, server: &str) -> Result<Shelf, ShelfError> {
        Shelf::new(&self.directory, server)
    }

    /// The installs of all servers but this one, which it has no business with.
    pub(crate) fn of_others(&self, server: &str) -> Vec<PathBuf> {
        let own = self.directory.join(server);
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten();
        let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        paths.filter(|path| *path != own).collect()
    }
}

/// A host as the configuration writes it: a name, alone or with a port, or the beginning of an address.
pub(crate) fn host(written: &str) -> Option<Host> {
    if written.contains("://") {
        Host::of(written)
    } else {
        Host::of(&format!("https://{written}"))
    }
}

#[cfg(test)]
mod tests;
