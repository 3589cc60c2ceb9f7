//! What the gateway tells a guard to run, and its form on the lifeline.
//!
//! It travels there, and not in the guard's argv or environment, because it holds secrets that
//! every user of the machine could otherwise read.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::confinement::{Limits, Network, Tier};
use crate::layout::{Access, Bind, Layout};

/// A command whose program has been found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The absolute path to execute.
    pub(crate) program: OsString,
    /// `argv[0]`: the program as its user wrote it.
    pub(crate) name: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<OsString>,
    /// What it is confined to, if it is the guard that does it.
    pub(crate) jail: Option<Jail>,
}

/// A confinement as the guard carries it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jail {
    pub(crate) tier: Tier,
    pub(crate) network: Network,
    pub(crate) local_sockets: bool,
    pub(crate) limits: Limits,
    pub(crate) uid: u32,
    pub(crate) layout: Layout,
}

impl Plan {
    /// Strings that each end in NUL: program, name, working directory or nothing, number of
    /// arguments, arguments, number of variables, pairs of a name and a value, and the jail.
    // INVARIANT: no string holds a NUL; `Command::resolve` and `Layout::new` have refused those.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut strings = Strings::default();
        strings.put(&self.program);
        strings.put(&self.name);
        strings.put(self.cwd.as_deref().unwrap_or_default());
        strings.put_number(self.args.len());
        for arg in &self.args {
            strings.put(arg);
        }
        strings.put_number(self.env.len());
        for (name, value) in &self.env {
            strings.put(name);
            strings.put(value);
        }
        match &self.jail {
            None => strings.put("none"),
            Some(jail) => jail.encode(&mut strings),
        }
        strings.0
    }

    /// The reverse of [`Plan::encode`]; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut strings = bytes
            .strip_suffix(&[0])?
            .split(|byte| *byte == 0)
            .map(|text| OsString::from_vec(text.to_vec()));
        let strings = &mut strings;
        let program = strings.next()?;
        let name = strings.next()?;
        let cwd = Some(strings.next()?).filter(|cwd| !cwd.is_empty());
        let args = list(strings, Iterator::next)?;
        let env = list(strings, pair)?;
        let jail = match strings.next()?.to_str()? {
            "none" => None,
            tier => Some(Jail::decode(tier, strings)?),
        };
        strings.next().is_none().then_some(Self {
            program,
            name,
            args,
            env,
            cwd,
            jail,
        })
    }
}

impl Jail {
    /// Its tier, network, local sockets, limits, user id, and the four lists of its layout.
    fn encode(&self, strings: &mut Strings) {
        strings.put(self.tier.name());
        strings.put(match self.network {
            Network::None => "none",
            Network::Guarded => "guarded",
        });
        strings.put(if self.local_sockets { "local" } else { "" });
        let limits = &self.limits;
        for limit in [
            limits.memory_bytes,
            limits.processes,
            limits.open_files,
            limits.file_bytes,
            limits.scratch_bytes,
        ] {
            strings.put_number(limit);
        }
        match limits.cpu_seconds {
            None => strings.put(""),
            Some(seconds) => strings.put_number(seconds),
        }
        strings.put_number(self.uid);
        let layout = &self.layout;
        strings.put_number(layout.binds.len());
        for bind in &layout.binds {
            strings.put(&bind.path);
            strings.put(match bind.access {
                Access::Runtime => "runtime",
                Access::Read => "read",
                Access::Write => "write",
            });
        }
        strings.put_number(layout.links.len());
        for (at, target) in &layout.links {
            strings.put(at);
            strings.put(target);
        }
        for paths in [&layout.covers, &layout.pins] {
            strings.put_number(paths.len());
            for path in paths {
                strings.put(path);
            }
        }
    }

    fn decode(tier: &str, strings: &mut impl Iterator<Item = OsString>) -> Option<Self> {
        let tier = match tier {
            "full" => Tier::Full,
            "confined" => Tier::Confined,
            _ => return None,
        };
        let network = match strings.next()?.to_str()? {
            "none" => Network::None,
            "guarded" => Network::Guarded,
            _ => return None,
        };
        let local_sockets = match strings.next()?.to_str()? {
            "local" => true,
            "" => false,
            _ => return None,
        };
        let limits = Limits {
            memory_bytes: number(strings)?,
            processes: number(strings)?,
            open_files: number(strings)?,
            file_bytes: number(strings)?,
            scratch_bytes: number(strings)?,
            cpu_seconds: match strings.next()?.to_str()? {
                "" => None,
                seconds => Some(seconds.parse().ok()?),
            },
        };
        let uid = number(strings)?;
        let bind = |strings: &mut _| {
            let (path, access) = pair(strings)?;
            let access = match access.to_str()? {
                "runtime" => Access::Runtime,
                "read" => Access::Read,
                "write" => Access::Write,
                _ => return None,
            };
            Some(Bind {
                path: path.into(),
                access,
            })
        };
        let layout = Layout {
            binds: list(strings, bind)?,
            links: list(strings, pair)?,
            covers: list(strings, |strings| strings.next().map(PathBuf::from))?,
            pins: list(strings, |strings| strings.next().map(PathBuf::from))?,
        };
        Some(Self {
            tier,
            network,
            local_sockets,
            limits,
            uid,
            layout,
        })
    }
}

#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    fn put(&mut self, text: impl AsRef<OsStr>) {
        self.0.extend_from_slice(text.as_ref().as_bytes());
        self.0.push(0);
    }

    fn put_number(&mut self, number: impl Display) {
        self.put(format!("{number}"));
    }
}

fn number<N: std::str::FromStr>(strings: &mut impl Iterator<Item = OsString>) -> Option<N> {
    strings.next()?.to_str()?.parse().ok()
}

fn pair(strings: &mut impl Iterator<Item = OsString>) -> Option<(OsString, OsString)> {
    Some((strings.next()?, strings.next()?))
}

/// A number, and as many items.
fn list<I, T>(strings: &mut I, item: impl Fn(&mut I) -> Option<T>) -> Option<Vec<T>>
where
    I: Iterator<Item = OsString>,
{
    let count: usize = number(strings)?;
    (0..count).map(|_| item(strings)).collect()
}

#[cfg(test)]
mod tests;
