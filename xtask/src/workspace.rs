//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository's root and what lies beneath it.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the repository from where this program was built, and the target directory from where it runs.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .parent()
            .context("the xtask package has no parent directory")?;
        let program = std::env::current_exe().context("this program's own path is unknown")?;
        // target/PROFILE/xtask
        let target = program
            .ancestors()
            .nth(2)
            .context("this program is not in a target directory")?;
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
        })
    }

    /// A path beneath the repository's root.
    pub(crate) fn root(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A path beneath the target directory.
    pub(crate) fn target(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    /// A binary of this workspace, as `cargo build` leaves it.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// The scripts and lock files of the SDK peers.
    pub(crate) fn peers(&self) -> PathBuf {
        self.root("crates/portcullis/tests/peers")
    }
}
