//! What of a confinement is in force, and what to do about what is not.

use std::fmt;
use std::io;

use crate::confinement::Tier;
use crate::sandbox::SpawnError;

/// What of a confinement is in force for one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The tier that was asked for; there is no other that it could have become.
    pub tier: Tier,
    /// Its parts, each once.
    pub parts: Vec<Part>,
}

/// One part of a confinement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is about.
    pub feature: Feature,
    /// What became of it.
    pub got: Got,
}

/// What became of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// It is in force, by this mechanism.
    Enforced(String),
    /// It was wanted and could not be had.
    Missing(Missing),
    /// It was not wanted.
    NotAsked,
}

/// Why a part could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What the kernel said; 0 if it was not asked.
    pub errno: i32,
    /// The likely cause.
    pub cause: String,
    /// What to do.
    pub remedy: String,
}

/// The parts that a confinement has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Users, mounts, network, processes, IPC, host name and control groups of its own.
    Namespaces,
    /// A user id of its own, not the gateway's.
    Identity,
    /// A file system that holds what is granted and nothing else.
    Files,
    /// A `/proc` that shows its own processes only.
    Processes,
    /// No way to the network, or the gateway's doors alone.
    Network,
    /// No capabilities, and no way to gain any.
    Privileges,
    /// Landlock's second opinion on files, ports, signals and abstract sockets.
    Landlock,
    /// The filter of system calls.
    SystemCalls,
    /// Limits of each process.
    Limits,
    /// A limit on the memory of all processes together.
    Memory,
    /// A limit on the number of processes that no process can leave.
    Tasks,
    /// Everything ends with the gateway.
    Lifetime,
}

/// All features, in the order of their codes.
const FEATURES: [Feature; 12] = [
    Feature::Namespaces,
    Feature::Identity,
    Feature::Files,
    Feature::Processes,
    Feature::Network,
    Feature::Privileges,
    Feature::Landlock,
    Feature::SystemCalls,
    Feature::Limits,
    Feature::Memory,
    Feature::Tasks,
    Feature::Lifetime,
];

/// Why a guard did not start its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) feature: Feature,
    pub(crate) errno: i32,
    /// What it was about: a path, or the name of a step.
    pub(crate) subject: String,
}

impl Report {
    /// That of a server that the gateway does not confine itself.
    pub(crate) fn bare(tier: Tier) -> Self {
        let part = |feature| Part {
            feature,
            got: match feature {
                Feature::Lifetime => Got::Enforced("guard process".to_owned()),
                _ => Got::NotAsked,
            },
        };
        Self {
            tier,
            parts: FEATURES.into_iter().map(part).collect(),
        }
    }

    /// What became of `feature`.
    pub fn part(&self, feature: Feature) -> Option<&Part> {
        self.parts.iter().find(|part| part.feature == feature)
    }

    /// Whether all that was asked for is in force.
    pub fn is_complete(&self) -> bool {
        let missing = |part: &Part| matches!(part.got, Got::Missing(_));
        !self.parts.iter().any(missing)
    }

    pub(crate) fn enforced(&mut self, feature: Feature, mechanism: impl Into<String>) {
        self.set(feature, Got::Enforced(mechanism.into()));
    }

    pub(crate) fn missing(&mut self, refusal: &Refusal) {
        self.set(refusal.feature, Got::Missing(refusal.explain()));
    }

    fn set(&mut self, feature: Feature, got: Got) {
        self.parts.retain(|part| part.feature != feature);
        self.parts.push(Part { feature, got });
        self.parts.sort_by_key(|part| part.feature);
    }

    /// Lines of a feature's code, a letter, and what the letter needs: the form on the lifeline.
    pub(crate) fn encode(&self) -> String {
        let line = |part: &Part| match &part.got {
            Got::Enforced(mechanism) => format!("{} E {mechanism}\n", part.feature.code()),
            Got::Missing(missing) => format!("{} M {}\n", part.feature.code(), missing.errno),
            Got::NotAsked => format!("{} N\n", part.feature.code()),
        };
        self.parts.iter().map(line).collect()
    }

    pub(crate) fn decode(tier: Tier, text: &str) -> Option<Self> {
        let mut report = Self {
            tier,
            parts: Vec::new(),
        };
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let feature = Feature::from_code(words.next()?)?;
            match (words.next()?, words.next()) {
                ("E", Some(mechanism)) => report.enforced(feature, mechanism),
                ("M", Some(errno)) => report.missing(&Refusal {
                    feature,
                    errno: errno.parse().ok()?,
                    subject: String::new(),
                }),
                ("N", None) => report.set(feature, Got::NotAsked),
                _ => return None,
            }
        }
        Some(report)
    }
}

impl Feature {
    fn code(self) -> usize {
        FEATURES
            .iter()
            .position(|feature| *feature == self)
            .unwrap_or_default()
    }

    fn from_code(code: &str) -> Option<Self> {
        FEATURES.get(code.parse::<usize>().ok()?).copied()
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Identity => "user id of its own",
            Self::Files => "file system of its own",
            Self::Processes => "process list of its own",
            Self::Network => "network of its own",
            Self::Privileges => "dropped privileges",
            Self::Landlock => "Landlock",
            Self::SystemCalls => "filter of system calls",
            Self::Limits => "limits of each process",
            Self::Memory => "memory limit of all processes",
            Self::Tasks => "limit on the number of processes",
            Self::Lifetime => "end with the gateway",
        })
    }
}

impl Refusal {
    pub(crate) fn new(feature: Feature, error: &io::Error, subject: impl Into<String>) -> Self {
        Self {
            feature,
            errno: error.raw_os_error().unwrap_or_default(),
            subject: subject.into(),
        }
    }

    pub(crate) fn encode(&self) -> String {
        format!("{} {} {}", self.feature.code(), self.errno, self.subject)
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        Some(Self {
            feature: Feature::from_code(words.next()?)?,
            errno: words.next()?.parse().ok()?,
            subject: words.next()?.to_owned(),
        })
    }

    pub(crate) fn into_error(self) -> SpawnError {
        let Missing {
            errno,
            cause,
            remedy,
        } = self.explain();
        SpawnError::Confinement {
            part: self.feature,
            cause,
            remedy,
            source: io::Error::from_raw_os_error(errno),
        }
    }

    /// What is likely behind it, by where it was seen.
    pub(crate) fn explain(&self) -> Missing {
        let about = if self.subject.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.subject)
        };
        let (cause, remedy) = match (self.feature, self.errno) {
            (Feature::Namespaces, libc::ENOSPC | libc::EUSERS) => (
                "the limit on user namespaces is reached or is 0",
                "raise `user.max_user_namespaces` and the other limits of `/proc/sys/user`",
            ),
            (Feature::Namespaces, libc::ENOSYS | libc::EINVAL) => (
                "this kernel is built without a kind of namespace",
                "use a kernel with user, mount, network, PID, IPC, UTS and cgroup namespaces",
            ),
            (Feature::Namespaces | Feature::Network, libc::EPERM | libc::EACCES) => (
                "unprivileged user namespaces are refused, by AppArmor, a container's filter of \
                 system calls, or `kernel.unprivileged_userns_clone`",
                "install the AppArmor profile of Portcullis, or run it outside the container, or \
                 choose the tier `confined` for servers without network",
            ),
            (Feature::Processes, libc::EPERM) => (
                "parts of `/proc` are masked by an outer container",
                "run the gateway outside the container, or with an unmasked `/proc`",
            ),
            // About a step of becoming another user, or about a path that is to be shown to it.
            (Feature::Identity, _) if !self.subject.starts_with('/') => (
                "this user id does not exist in the gateway's container",
                "run the gateway as an ordinary user, or give the server a user id that the \
                 container has",
            ),
            (Feature::Identity, _) => (
                "the file system cannot show its files as another user's (no idmapped mounts)",
                "move it to ext4, xfs, btrfs or tmpfs, or run the gateway as the user who owns it",
            ),
            (Feature::Files, libc::ENOENT) => (
                "a granted path does not exist",
                "create it, or take it from the grants",
            ),
            (Feature::Files, libc::ELOOP) => (
                "a granted path has become a symbolic link",
                "grant the place it points to",
            ),
            (Feature::Files, libc::EACCES) => (
                "a granted path may not be entered by the gateway's user",
                "change its permissions, or take it from the grants",
            ),
            (Feature::Landlock, libc::ENOSYS | libc::EOPNOTSUPP) => (
                "this kernel has no Landlock, or none that is new enough",
                "use Linux 6.7 or newer, with `landlock` in its `lsm=` list",
            ),
            (Feature::Memory | Feature::Tasks, _) => (
                "no control group is delegated to the gateway",
                "with systemd, set `Delegate=memory pids` and `DelegateSubgroup=gateway` in the gateway's \
                 unit",
            ),
            (Feature::SystemCalls, _) => (
                "the kernel took no filter of system calls",
                "use a kernel with seccomp filters, outside a container that refuses them",
            ),
            _ => (
                "the kernel refused a step of the confinement",
                "read what it said, and run `portcullis doctor`",
            ),
        };
        Missing {
            errno: self.errno,
            cause: format!("{cause}{about}"),
            remedy: remedy.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
