//! One command of an install, as data.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// A command that installs, asks or looks up, and what it may touch.
///
/// The environment is the whole one of the process. It may hold the credentials of a registry, and
/// is for this step alone: what is installed is run without it. A caller that lets steps out by a
/// proxy of its own adds the variables that name it.
#[derive(Clone)]
pub struct Step {
    /// What it is for.
    pub purpose: Purpose,
    /// An absolute path.
    pub program: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// Files and directories that it needs to read, beside the system's own and what it writes.
    pub reads: Vec<PathBuf>,
    /// Directories that it may write to.
    pub writes: Vec<PathBuf>,
    /// What it may connect to: nothing if empty.
    pub hosts: Vec<Host>,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Asks an installer or an interpreter about itself.
    Ask,
    /// Settles which version of what will be installed.
    Resolve,
    /// Downloads, checks and unpacks.
    Fetch,
    /// Makes what has been unpacked ready.
    Prepare,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ask => "asking for the configuration",
            Self::Resolve => "finding out the versions",
            Self::Fetch => "installing",
            Self::Prepare => "preparing",
        })
    }
}

/// What a finished step left.
#[derive(Clone, Debug, Default)]
pub struct StepOutput {
    /// The exit code; absent if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its standard output. The caller bounds it; 16 MiB is enough.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

/// A host and a port to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// A name or an address, as in a URL.
    pub name: String,
    /// The TCP port.
    pub port: u16,
}

impl Host {
    /// Of an `http` or `https` address; `None` of any other.
    pub fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(())?;
        Some(Self {
            name: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// The environment's values may be secrets, so they are not shown.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Step")
            .field("purpose", &self.purpose)
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env_names", &names)
            .field("cwd", &self.cwd)
            .field("reads", &self.reads)
            .field("writes", &self.writes)
            .field("hosts", &self.hosts)
            .finish()
    }
}
