//! What a person accepted for each server, in `packages.toml`.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::installed::{Component, Installed, replace};

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Entry>,
}

/// One server's package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The server's name.
    pub server: String,
    /// What was asked for: [`Launcher::spec`](crate::Launcher::spec).
    pub spec: String,
    /// The package that holds the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its archive's digest, as Subresource Integrity.
    pub integrity: String,
    /// The digest of everything: [`Installed::tree`].
    pub tree: String,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
}

/// How an install stands to what was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same.
    Same,
    /// Nothing was accepted for the server so far: the caller decides whether the first is trusted.
    First,
}

/// An install that is not what was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Changed {
    /// What was accepted.
    pub was: Entry,
    /// What is installed; `accepted_ms` is when it was installed.
    pub is: Entry,
}

/// A package that came, went, or is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Before; absent if it came.
    pub was: Option<Component>,
    /// Now; absent if it went.
    pub is: Option<Component>,
}

/// A `packages.toml` that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AcceptedError {
    /// The file system failed.
    #[error("`{path}` cannot be read or written; check its permissions")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what was written there.
    #[error("`{path}` is damaged; restore it, or remove it and accept the packages again")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Accepted {
    /// Reads the file; what does not exist accepts nothing.
    ///
    /// # Errors
    ///
    /// [`AcceptedError`]. No server with a package may be started then.
    pub fn load(path: &Path) -> Result<Self, AcceptedError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(io_at(path)(source)),
        };
        let damaged = |source| AcceptedError::Damaged {
            path: path.to_owned(),
            source,
        };
        let accepted: Self = toml::from_str(&text).map_err(|error| damaged(Box::new(error)))?;
        let mut servers: Vec<&str> = accepted.entries.iter().map(|e| e.server.as_str()).collect();
        servers.sort_unstable();
        match servers.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(_twice) => Err(damaged("a server has two packages".into())),
            None => Ok(accepted),
        }
    }

    /// Reads the file, changes it and puts it in place as a whole; others who change it wait.
    ///
    /// # Errors
    ///
    /// [`AcceptedError`]; nothing is changed then.
    pub fn change<T>(path: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T, AcceptedError> {
        let fail = io_at(path);
        let lock = File::create(path.with_extension("toml.lock")).map_err(&fail)?;
        lock.lock().map_err(&fail)?;
        let mut accepted = Self::load(path)?;
        let result = change(&mut accepted);
        let text = toml::to_string(&accepted).map_err(|error| AcceptedError::Damaged {
            path: path.to_owned(),
            source: Box::new(error),
        })?;
        replace(path, text.as_bytes()).map_err(&fail)?;
        Ok(result)
    }

    /// What was accepted for `server`.
    pub fn get(&self, server: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.server == server)
    }

    /// All that was accepted, sorted by server.
    pub fn list(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether `installed` is what was accepted for `server`: what was asked for, version, integrity
    /// and digest are equal.
    ///
    /// # Errors
    ///
    /// [`Changed`], if another one was accepted.
    pub fn verify(&self, server: &str, installed: &Installed) -> Result<Verdict, Box<Changed>> {
        let Some(was) = self.get(server) else {
            return Ok(Verdict::First);
        };
        let is = entry(server, installed, installed.installed_ms);
        let facts = |entry: &Entry| {
            [
                entry.spec.clone(),
                entry.name.clone(),
                entry.version.clone(),
                entry.integrity.clone(),
                entry.tree.clone(),
            ]
        };
        if facts(was) == facts(&is) {
            Ok(Verdict::Same)
        } else {
            let was = was.clone();
            Err(Box::new(Changed { was, is }))
        }
    }

    /// Accepts `installed` for `server`, in place of what was.
    pub fn accept(&mut self, server: &str, installed: &Installed, now_ms: u64) {
        self.forget(server);
        self.entries.push(entry(server, installed, now_ms));
        self.entries.sort_by(|a, b| a.server.cmp(&b.server));
    }

    /// Forgets what was accepted for `server`; whether there was anything.
    pub fn forget(&mut self, server: &str) -> bool {
        let count = self.entries.len();
        self.entries.retain(|entry| entry.server != server);
        self.entries.len() < count
    }
}

fn entry(server: &str, installed: &Installed, accepted_ms: u64) -> Entry {
    Entry {
        server: server.to_owned(),
        spec: installed.spec.clone(),
        name: installed.name.clone(),
        version: installed.version.clone(),
        integrity: installed.integrity.clone(),
        tree: installed.tree.clone(),
        accepted_ms,
    }
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> AcceptedError + '_ {
    |source| AcceptedError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Which packages differ between two installs, sorted by name.
pub fn difference(was: &[Component], is: &[Component]) -> Vec<Change> {
    let mut gone: Vec<&Component> = was.iter().filter(|one| !is.contains(one)).collect();
    let mut changes = Vec::new();
    for one in is.iter().filter(|one| !was.contains(one)) {
        let before = gone.iter().position(|other| other.name == one.name);
        changes.push(Change {
            was: before.map(|at| gone.remove(at).clone()),
            is: Some(one.clone()),
        });
    }
    changes.extend(gone.into_iter().map(|one| Change {
        was: Some(one.clone()),
        is: None,
    }));
    let name = |change: &Change| {
        let one = change.is.as_ref().or(change.was.as_ref());
        one.map(|one| one.name.clone())
    };
    changes.sort_by_key(name);
    changes
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { was, is } = self;
        let server = &was.server;
        if was.name != is.name {
            write!(
                f,
                "the server `{server}` is now the package `{}` {}, and was `{}` {}",
                is.name, is.version, was.name, was.version
            )?;
        } else if was.version != is.version {
            write!(
                f,
                "the package `{}` of the server `{server}` is now version {}, and was {}",
                is.name, is.version, was.version
            )?;
        } else if was.integrity != is.integrity {
            write!(
                f,
                "version {} of the package `{}` of the server `{server}` was published again with other content: {} instead of {}",
                is.version, is.name, is.integrity, was.integrity
            )?;
        } else if was.spec != is.spec {
            write!(
                f,
                "the server `{server}` is now configured as `{}`, and was as `{}`",
                is.spec, was.spec
            )?;
        } else {
            write!(
                f,
                "the package `{}` {} of the server `{server}` is the same, but not what was installed with it",
                is.name, is.version
            )?;
        }
        write!(
            f,
            "; if that is intended, run `portcullis packages accept {server}`"
        )
    }
}

/// As a person reads a difference: `left-pad 1.0.0 -> 1.1.0`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.was, &self.is) {
            (Some(was), Some(is)) if was.version == is.version => {
                write!(f, "{} {}: other content", is.name, is.version)
            }
            (Some(was), Some(is)) => write!(f, "{} {} -> {}", is.name, was.version, is.version),
            (None, Some(is)) => write!(f, "{} {}: new", is.name, is.version),
            (Some(was), None) => write!(f, "{} {}: gone", was.name, was.version),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
