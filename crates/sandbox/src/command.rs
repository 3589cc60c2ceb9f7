//! What to run, and where on the `PATH` it is.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::plan::Plan;
use crate::sandbox::SpawnError;

/// Where programs are looked for when the environment of the child has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program and its arguments: an argv, never text for a shell.
#[derive(Clone, Default)]
pub struct Command {
    /// A path if it holds a `/`, otherwise a name that is looked up on the `PATH` of `env`, or on
    /// `/usr/local/bin:/usr/bin:/bin` if `env` has none.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment of the child: nothing is inherited. Of two entries with one name the
    /// later one counts.
    pub env: Vec<(String, String)>,
    /// The directory the child starts in; the gateway's own if absent.
    pub cwd: Option<PathBuf>,
}

impl Command {
    /// Checks the command and finds its program.
    pub(crate) fn resolve(&self) -> Result<Plan, SpawnError> {
        self.check_strings()?;
        let cwd = match &self.cwd {
            None => None,
            Some(cwd) if cwd.is_dir() => Some(absolute(cwd)?),
            Some(cwd) => return Err(SpawnError::Directory(cwd.clone())),
        };
        let base = cwd.clone().unwrap_or_default();
        Ok(Plan {
            program: self.find(&base)?.into(),
            name: OsString::from(&self.program),
            args: self.args.iter().map(OsString::from).collect(),
            env: self
                .env
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value)))
                .collect(),
            cwd: cwd.map(PathBuf::into_os_string),
            jail: None,
        })
    }

    /// The `PATH` of the environment.
    pub(crate) fn path(&self) -> &str {
        self.env
            .iter()
            .rev()
            .find_map(|(name, value)| (name == "PATH").then_some(value.as_str()))
            .unwrap_or(DEFAULT_PATH)
    }

    /// What the kernel's interface can't express would be cut or misread there: refused here.
    fn check_strings(&self) -> Result<(), SpawnError> {
        let nul = |text: &str| text.contains('\0');
        if self.program.is_empty() || nul(&self.program) {
            return Err(SpawnError::Invalid("program"));
        }
        if self.args.iter().any(|arg| nul(arg)) {
            return Err(SpawnError::Invalid("argument"));
        }
        let bad_name = |name: &str| name.is_empty() || name.contains('=') || nul(name);
        if self
            .env
            .iter()
            .any(|(name, value)| bad_name(name) || nul(value))
        {
            return Err(SpawnError::Invalid("environment variable"));
        }
        match &self.cwd {
            Some(cwd) if cwd.as_os_str().as_bytes().contains(&0) => {
                Err(SpawnError::Invalid("working directory"))
            }
            _ => Ok(()),
        }
    }

    fn find(&self, base: &Path) -> Result<PathBuf, SpawnError> {
        if self.program.contains('/') {
            let path = absolute(&base.join(&self.program))?;
            return match runnable(&path) {
                Runnable::Yes => Ok(path),
                Runnable::NotExecutable => Err(SpawnError::NotExecutable(path)),
                Runnable::Absent => Err(SpawnError::NoFile(path)),
            };
        }
        let path = self.path();
        let mut not_executable = None;
        // An empty entry would mean the working directory: nobody means that.
        for directory in path.split(':').filter(|entry| !entry.is_empty()) {
            let candidate = absolute(&base.join(directory).join(&self.program))?;
            match runnable(&candidate) {
                Runnable::Yes => return Ok(candidate),
                Runnable::NotExecutable => {
                    not_executable.get_or_insert(candidate);
                }
                Runnable::Absent => {}
            }
        }
        Err(match not_executable {
            Some(candidate) => SpawnError::NotExecutable(candidate),
            None => SpawnError::NotFound {
                program: self.program.clone(),
                path: path.to_owned(),
            },
        })
    }
}

/// The values of the environment and the arguments may be secrets, so neither is shown.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args_count", &self.args.len())
            .field("env_names", &names)
            .field("cwd", &self.cwd)
            .finish()
    }
}

enum Runnable {
    Yes,
    NotExecutable,
    Absent,
}

fn runnable(path: &Path) -> Runnable {
    if !path.is_file() {
        Runnable::Absent
    } else if access(path, Access::EXEC_OK).is_ok() {
        Runnable::Yes
    } else {
        Runnable::NotExecutable
    }
}

fn absolute(path: &Path) -> Result<PathBuf, SpawnError> {
    std::path::absolute(path).map_err(SpawnError::Resources)
}

#[cfg(test)]
mod tests;
