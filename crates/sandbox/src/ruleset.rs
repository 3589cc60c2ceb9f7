//! Landlock: what the file system and the network namespace already deny, denied once more by
//! another part of the kernel; and signals and abstract sockets, kept inside.

use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Errno, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};

use crate::confinement::{Network, Tier};
use crate::doors::PORTS;
use crate::kernel;

/// The first version with ports: what the tier `full` needs.
const FULL_VERSION: i32 = 4;
/// The first version with signals and abstract sockets.
const SCOPE_VERSION: i32 = 6;

/// What may be done below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    Read,
    Write,
    /// As `Write`, in a place that no other server has: its sockets are the server's own.
    Scratch,
    /// Read, write and control what is there, and make nothing.
    Device,
}

/// A ruleset, ready to be taken on.
pub(crate) struct Rules {
    ruleset: RulesetCreated,
    /// What it is, for the report.
    pub(crate) mechanism: String,
}

impl Rules {
    /// Allows what `paths` say, and nothing else. Paths that do not exist are left out.
    pub(crate) fn new<'a>(
        tier: Tier,
        network: Network,
        paths: impl Iterator<Item = (&'a Path, Rights)>,
    ) -> io::Result<Self> {
        let version = kernel::landlock_version()?;
        if tier == Tier::Full && version < FULL_VERSION {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        let abi = ABI::from(version);
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi))
            .map_err(errno)?;
        let mut mechanism = format!("Landlock {version}: files");
        if version >= FULL_VERSION {
            ruleset = ruleset
                .handle_access(AccessNet::from_all(abi))
                .map_err(errno)?;
            mechanism.push_str(", TCP ports");
        }
        if version >= SCOPE_VERSION {
            ruleset = ruleset.scope(Scope::from_all(abi)).map_err(errno)?;
            mechanism.push_str(", signals, abstract sockets");
        }
        let mut created = ruleset.create().map_err(errno)?;
        for (path, rights) in paths {
            let file = match rustix::fs::stat(path) {
                Ok(file) => file,
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut access = rights.access(abi);
            if !rustix::fs::FileType::from_raw_mode(file.st_mode).is_dir() {
                access &= AccessFs::from_file(abi);
            }
            let fd = PathFd::new(path).map_err(io::Error::other)?;
            created = created
                .add_rule(PathBeneath::new(fd, access))
                .map_err(errno)?;
        }
        if network == Network::Guarded && version >= FULL_VERSION {
            for port in PORTS {
                created = created
                    .add_rule(NetPort::new(port, AccessNet::ConnectTcp))
                    .map_err(errno)?;
            }
        }
        Ok(Self {
            ruleset: created,
            mechanism,
        })
    }

    /// Puts the calling thread, and what it starts, under these rules, for good.
    pub(crate) fn restrict(self) -> io::Result<()> {
        let status = self.ruleset.restrict_self().map_err(errno)?;
        if status.ruleset == RulesetStatus::FullyEnforced {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
        }
    }
}

impl Rights {
    fn access(self, abi: ABI) -> BitFlags<AccessFs> {
        let all = AccessFs::from_all(abi);
        match self {
            Self::Read => AccessFs::from_read(abi),
            Self::Write => {
                let sockets = AccessFs::MakeSock | AccessFs::ResolveUnix;
                Self::Scratch.access(abi) & !sockets
            }
            // A device is nobody's to make.
            Self::Scratch => all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev),
            Self::Device => {
                let used = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir;
                all & (used | AccessFs::IoctlDev)
            }
        }
    }
}

fn errno(error: RulesetError) -> io::Error {
    io::Error::from_raw_os_error(*Errno::from(error))
}
