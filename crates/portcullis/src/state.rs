//! The state directory: where a gateway keeps its database. One gateway uses it at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// The database's name in the directory.
pub(crate) const DATABASE: &str = "portcullis.db";

/// The name of the key that seals what the database keeps secret.
pub(crate) const SEALING_KEY: &str = "sealing-key";

/// Largest lock file that is read for the holder's process id.
const LOCK_BYTES_MAX: u64 = 32;

/// A state directory that this process alone uses while the value lives.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    /// Held, never read: the lock goes with the handle.
    _lock: File,
    /// Whether the directory goes as well.
    temporary: bool,
}

/// What to do with a directory that another gateway uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfTaken {
    /// Fail, and name the other.
    Refuse,
    /// Use a directory beneath it that goes when this gateway ends.
    Beneath,
}

/// A state directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Another process has it.
    #[error(
        "another gateway (process {holder}) uses the state directory `{}`; \
         end it, or give this one another by `--state-dir DIR`", path.display()
    )]
    Taken {
        /// The directory.
        path: PathBuf,
        /// The other's process id as it wrote it down, or `unknown`.
        holder: String,
    },
    /// The environment does not say where it is.
    #[error(
        "no place for the state directory: neither `XDG_STATE_HOME` nor `HOME` is set; give one by `--state-dir DIR`"
    )]
    Nowhere,
    /// It cannot be made or written.
    #[error("the state directory `{}` cannot be used; give another by `--state-dir DIR`", path.display())]
    Failed {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// The directory of a gateway for which none is named.
pub(crate) fn default_directory(environment: &Environment) -> Result<PathBuf, Unusable> {
    let base = environment.directory("XDG_STATE_HOME", ".local/state");
    Ok(base.ok_or(Unusable::Nowhere)?.join("portcullis"))
}

/// Makes the directory if need be, readable by its owner alone. Whoever does no more than this may share it with a gateway.
pub(crate) fn make(path: &Path) -> Result<(), Unusable> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(|cause| Unusable::Failed {
        path: path.to_owned(),
        cause,
    })
}

impl StateDirectory {
    /// Makes `path` if need be, readable by its owner alone, and takes it.
    pub(crate) fn open(path: &Path, if_taken: IfTaken) -> Result<Self, Unusable> {
        match Self::take(path) {
            Err(Unusable::Taken { .. }) if if_taken == IfTaken::Beneath => {
                let beneath = path.join(format!("run-{}", std::process::id()));
                let mut taken = Self::take(&beneath)?;
                taken.temporary = true;
                Ok(taken)
            }
            taken => taken,
        }
    }

    fn take(path: &Path) -> Result<Self, Unusable> {
        let failed = |cause| Unusable::Failed {
            path: path.to_owned(),
            cause,
        };
        make(path)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Unusable::Taken {
                    path: path.to_owned(),
                    holder: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        // INVARIANT: only the lock's holder writes the file.
        let write = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        write(&mut lock).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
            temporary: false,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes when the value does.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary
    }
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        if self.temporary {
            // What is left behind is a directory in the state directory, found and seen there.
            fs::remove_dir_all(&self.path).ok();
        }
    }
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(LOCK_BYTES_MAX).read_to_string(&mut text);
    let number = read.ok().and_then(|_| text.trim().parse::<u32>().ok());
    number.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string())
}

#[cfg(test)]
mod tests;
