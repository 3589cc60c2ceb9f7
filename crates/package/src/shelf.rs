//! The installs of one server, side by side on disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::accepted::{Accepted, Changed};
use crate::installed::{Installed, replace};
use crate::launcher::Launcher;
use crate::tree::{self, TreeError};

/// The directory of one server's installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    server: String,
    root: PathBuf,
}

/// Whether a server's package can be started.
#[derive(Debug)]
pub enum Check {
    /// It is what was accepted: start it.
    Ready(Box<Installed>),
    /// It is not there: [`install()`](crate::install()) it, then ask [`Accepted::verify`].
    Absent,
    /// Another one is there than was accepted: refuse, until a person accepts it.
    Changed(Box<Changed>),
}

/// Installs that could not be looked at, or should not be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// A name that could be a path.
    #[error(
        "`{0}` cannot be the name of a directory; name the server by letters, digits, `-` and `_`"
    )]
    Name(String),
    /// The file system failed.
    #[error(
        "the installed packages in `{path}` cannot be used; check the permissions and the free space there"
    )]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files could not be digested.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file is not what was installed.
    #[error(
        "the files of `{name}` {version} in `{path}` were changed after it was installed; `portcullis packages update {server}` installs it anew"
    )]
    Altered {
        /// Whose package it is.
        server: String,
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// Where it lies.
        path: PathBuf,
    },
}

impl Shelf {
    /// The installs of `server` below `packages`, a directory in the state directory. Nothing is
    /// made yet.
    ///
    /// # Errors
    ///
    /// [`ShelfError::Name`] for a name with anything but letters, digits, `-` and `_`, or beyond 128.
    pub fn new(packages: &Path, server: &str) -> Result<Self, ShelfError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if server.is_empty() || server.len() > 128 || !server.chars().all(plain) {
            return Err(ShelfError::Name(server.to_owned()));
        }
        Ok(Self {
            server: server.to_owned(),
            root: packages.join(server),
        })
    }

    /// Whose installs these are.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Whether what is installed is what was accepted for this server and `launcher`. Reads what the
    /// file system says of every file, and every file's content if that changed.
    ///
    /// # Errors
    ///
    /// [`ShelfError`]: the server must not be started.
    pub fn check(&self, launcher: &Launcher, accepted: &Accepted) -> Result<Check, ShelfError> {
        let spec = launcher.spec();
        let Some(entry) = accepted.get(&self.server) else {
            return Ok(Check::Absent);
        };
        if entry.spec == spec {
            return match self.find(&entry.tree)? {
                Some(installed) => {
                    self.verify(&installed)?;
                    let usable = installed
                        .interpreter
                        .as_ref()
                        .is_none_or(|path| path.exists());
                    // An interpreter that went away is found anew by an install.
                    Ok(if usable {
                        Check::Ready(Box::new(installed))
                    } else {
                        Check::Absent
                    })
                }
                None => Ok(Check::Absent),
            };
        }
        let newest = self
            .installs()?
            .into_iter()
            .filter(|installed| installed.spec == spec)
            .max_by_key(|installed| installed.installed_ms);
        Ok(match newest {
            Some(installed) => match accepted.verify(&self.server, &installed) {
                Err(changed) => Check::Changed(changed),
                Ok(_same) => Check::Absent,
            },
            None => Check::Absent,
        })
    }

    /// All finished installs, in no order. Their files are not looked at.
    ///
    /// # Errors
    ///
    /// [`ShelfError::Io`].
    pub fn installs(&self) -> Result<Vec<Installed>, ShelfError> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.io(error)),
        };
        let mut installs = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| self.io(error))?.file_name();
            if let Some(tree) = name.to_str().filter(|name| is_digest(name)) {
                installs.extend(self.find(tree)?);
            }
        }
        Ok(installs)
    }

    /// The install with this digest. Its files are not looked at.
    ///
    /// # Errors
    ///
    /// [`ShelfError::Io`], also if its record cannot be read.
    pub fn find(&self, tree: &str) -> Result<Option<Installed>, ShelfError> {
        if !is_digest(tree) {
            return Ok(None);
        }
        let directory = self.root.join(tree);
        match Installed::read(&directory) {
            // The name of the directory is what was accepted; a record cannot say otherwise.
            Ok(mut installed) => {
                tree.clone_into(&mut installed.tree);
                Ok(Some(installed.at(&directory)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.io(error)),
        }
    }

    /// Whether the files are those that were installed.
    ///
    /// # Errors
    ///
    /// [`ShelfError::Altered`] if not.
    pub fn verify(&self, installed: &Installed) -> Result<(), ShelfError> {
        let directory = self.root.join(&installed.tree);
        let altered = || ShelfError::Altered {
            server: self.server.clone(),
            name: installed.name.clone(),
            version: installed.version.clone(),
            path: directory.clone(),
        };
        let record = Installed::read(&directory).map_err(|error| self.io(error))?;
        let preface = record.preface().map_err(|error| self.io(error.into()))?;
        let stamp_path = self.stamp_path(&installed.tree);
        let stamp = Self::stamp(&directory, &preface)?;
        let same = std::fs::read(&stamp_path).is_ok_and(|kept| kept == stamp.as_bytes());
        if same {
            return Ok(());
        }
        let digest = tree::digest(&directory.join("tree"), &preface)?;
        if digest != installed.tree {
            return Err(altered());
        }
        // The stamp was taken before the files were read: what changes in between is seen next time.
        replace(&stamp_path, stamp.as_bytes()).map_err(|error| self.io(error))
    }

    /// Removes all installs but those with the digests `keep`. What a server runs from must be kept.
    ///
    /// # Errors
    ///
    /// [`ShelfError::Io`].
    pub fn prune(&self, keep: &[&str]) -> Result<(), ShelfError> {
        for installed in self.installs()? {
            if !keep.contains(&installed.tree.as_str()) {
                self.remove(&installed.tree)
                    .map_err(|error| self.io(error))?;
            }
        }
        Ok(())
    }

    pub(crate) fn partial(&self) -> PathBuf {
        self.root.join("partial")
    }

    /// Waits until nobody else installs for this server; ends with the file.
    pub(crate) async fn lock(&self) -> io::Result<File> {
        std::fs::create_dir_all(&self.root)?;
        let file = File::create(self.root.join("lock"))?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A thread of its own: it may wait for long, and must not hold up the runtime's end.
        std::thread::Builder::new().spawn(move || {
            let locked = file.lock().map(|()| file);
            // Nobody waits any more: the lock ends with the file.
            drop(sender.send(locked));
        })?;
        receiver.await.map_err(io::Error::other)?
    }

    /// Makes the finished install `partial/` known under its digest. The lock is held.
    pub(crate) fn publish(&self, installed: &Installed) -> Result<Installed, ShelfError> {
        let directory = self.root.join(&installed.tree);
        let fail = |error| self.io(error);
        if directory.exists() {
            let preface = installed.preface().map_err(|error| fail(error.into()))?;
            let same = tree::digest(&directory.join("tree"), &preface)
                .is_ok_and(|digest| digest == installed.tree);
            if same {
                // Somebody may run from it: it stays, and learns where the interpreter is now.
                installed.write(&directory).map_err(fail)?;
                return Ok(installed.clone().at(&directory));
            }
            self.remove(&installed.tree).map_err(fail)?;
        }
        installed.write(&self.partial()).map_err(fail)?;
        std::fs::rename(self.partial(), &directory).map_err(fail)?;
        let preface = installed.preface().map_err(|error| fail(error.into()))?;
        let stamp = Self::stamp(&directory, &preface)?;
        replace(&self.stamp_path(&installed.tree), stamp.as_bytes()).map_err(fail)?;
        Ok(installed.clone().at(&directory))
    }

    fn remove(&self, tree: &str) -> io::Result<()> {
        // The record goes first: what is half removed is no install.
        let directory = self.root.join(tree);
        for file in [
            directory.join(crate::installed::RECORD),
            self.stamp_path(tree),
        ] {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _gone => {}
            }
        }
        std::fs::remove_dir_all(directory)
    }

    /// What the files look like, and what the record says of them.
    fn stamp(directory: &Path, preface: &[u8]) -> Result<String, ShelfError> {
        let files = tree::stamp(&directory.join("tree"))?;
        let record = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, preface);
        Ok(format!("{files} {}", tree::hexadecimal(record.as_ref())))
    }

    fn stamp_path(&self, tree: &str) -> PathBuf {
        self.root.join(format!("{tree}.stamp"))
    }

    fn io(&self, source: io::Error) -> ShelfError {
        ShelfError::Io {
            path: self.root.clone(),
            source,
        }
    }
}

fn is_digest(name: &str) -> bool {
    name.len() == 64
        && name
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
