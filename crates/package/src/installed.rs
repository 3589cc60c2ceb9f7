//! What was installed, and how its program is run.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::launcher::Ecosystem;

/// The record's file name.
pub(crate) const RECORD: &str = "portcullis-package.json";

/// A finished install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// Where it came from.
    pub ecosystem: Ecosystem,
    /// What was asked for: [`Launcher::spec`](crate::Launcher::spec).
    pub spec: String,
    /// The package that holds the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its archive's digest, as Subresource Integrity: what the registry stated and the installer
    /// verified.
    pub integrity: String,
    /// SHA-256, in hexadecimal, over every file of the tree and what is said here of the package.
    pub tree: String,
    /// All that was installed, the package itself among it, sorted.
    pub components: Vec<Component>,
    /// The program to run. Absolute, as are the other paths here, once it has been read back.
    pub program: PathBuf,
    /// What runs the program, if it is a script: `node`, or the environment's `python`.
    pub interpreter: Option<PathBuf>,
    /// What the interpreter is told before the program, as `--no-warnings` of a `#!` line.
    pub interpreter_args: Vec<String>,
    /// What the process has to be able to read, beside the system's own libraries. It has to write to
    /// none of it.
    pub reads: Vec<PathBuf>,
    /// When it was installed, in milliseconds since the Unix epoch.
    pub installed_ms: u64,
}

/// One package of an install.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its archive's digest, as Subresource Integrity; empty if it came within another's archive.
    pub integrity: String,
}

impl Installed {
    /// The program to start and its arguments, with `args` last.
    pub fn command(&self, args: &[String]) -> (PathBuf, Vec<String>) {
        let Some(interpreter) = &self.interpreter else {
            return (self.program.clone(), args.to_vec());
        };
        let mut all = self.interpreter_args.clone();
        all.push(self.program.to_string_lossy().into_owned());
        all.extend_from_slice(args);
        (interpreter.clone(), all)
    }

    /// What of the record is digested along with the files: not when it was made, and not the
    /// interpreter, which may move.
    pub(crate) fn preface(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&(
            self.ecosystem,
            &self.spec,
            (&self.name, &self.version, &self.integrity),
            &self.components,
            self.program.to_string_lossy(),
            &self.interpreter_args,
        ))
    }

    /// The record in `directory`, its paths still relative to it.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        let text = std::fs::read(directory.join(RECORD))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }

    /// Puts the record in place, whole or not at all.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        replace(&directory.join(RECORD), &text)
    }

    /// Makes the paths absolute.
    pub(crate) fn at(mut self, directory: &Path) -> Self {
        self.program = directory.join(&self.program);
        self.interpreter = self.interpreter.map(|path| directory.join(path));
        for path in &mut self.reads {
            *path = directory.join(&*path);
        }
        self
    }
}

/// Writes a file beside its place, then renames it there.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
