//! What a local server is confined to: plain data, the same on every system.

use std::path::PathBuf;

/// The most that a local server may touch. Nothing is granted but what is listed here and what
/// every program needs: the system's programs and libraries, to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// How the server is confined.
    pub tier: Tier,
    /// Absolute paths of files and directories, with all below them, that it may read and execute.
    pub reads: Vec<PathBuf>,
    /// Absolute paths of files and directories, with all below them, that it may also write.
    pub writes: Vec<PathBuf>,
    /// Absolute paths that stay unseen even below a granted one: the gateway's state, the
    /// configurations of clients. Granting one of them, or something inside one, is refused; so is
    /// a grant to write where one of them could be made or replaced. One that does not exist yet
    /// is seen when it comes to be below a path that was granted to be read.
    pub hidden: Vec<PathBuf>,
    /// What it reaches over the network.
    pub network: Network,
    /// Whether it may make local (`AF_UNIX`) sockets, as browsers and some development tools do.
    /// Without Landlock's version 9 they reach every socket that lies in a granted directory, so
    /// this is for servers whose grants hold none. Pairs of sockets are always to be had.
    pub local_sockets: bool,
    /// What it may use up.
    pub limits: Limits,
    /// The user id that the server gets, in [`Tier::Full`], when the gateway runs as root: one that
    /// no account has, and of its own for each server. Made from the command if absent.
    pub uid: Option<u32>,
}

/// How a local server is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Namespaces, a file system of its own, Landlock and a filter of system calls.
    Full,
    /// Landlock and a filter of system calls, for containers that permit no namespaces. Only with
    /// [`Network::None`]: without a network namespace nothing can be let through safely.
    Confined,
    /// By something around the gateway, as its operator says. Nothing is done here.
    External,
    /// Not at all.
    Off,
}

/// What a confined server reaches over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing: it cannot make a socket of the Internet's kinds.
    None,
    /// The gateway's doors alone; see [`Doors`](crate::Doors).
    Guarded,
}

/// What a confined server may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, of all its processes together where there are control groups, and of
    /// each one's data otherwise.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Open file descriptors of each process.
    pub open_files: u64,
    /// Bytes of the largest file it may write.
    pub file_bytes: u64,
    /// Seconds of processor time of each process, if bounded.
    pub cpu_seconds: Option<u64>,
    /// Bytes of `/tmp`, of its home directory, and of `/dev/shm`, each. They are memory, and gone
    /// when the server ends.
    pub scratch_bytes: u64,
}

impl Confinement {
    /// That of `tier`, with nothing granted, no network, and the usual limits.
    pub fn new(tier: Tier) -> Self {
        Self {
            tier,
            reads: Vec::new(),
            writes: Vec::new(),
            hidden: Vec::new(),
            network: Network::None,
            local_sockets: false,
            limits: Limits::default(),
            uid: None,
        }
    }
}

impl Default for Confinement {
    fn default() -> Self {
        Self::new(Tier::Full)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            processes: 256,
            open_files: 1024,
            file_bytes: 1 << 30,
            cpu_seconds: None,
            scratch_bytes: 256 << 20,
        }
    }
}

impl Tier {
    /// Its name, as configurations spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Confined => "confined",
            Self::External => "external",
            Self::Off => "off",
        }
    }
}
