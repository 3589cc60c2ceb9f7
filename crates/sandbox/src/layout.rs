//! What a confined server will see of the file system: decided in the gateway, before anything is
//! started, from what was granted, what is hidden and what the program needs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::confinement::{Confinement, Tier};
use crate::report::Feature;
use crate::runtime_paths::{self, RuntimePaths, is_system};
use crate::sandbox::SpawnError;

/// The home directory of every confined server.
pub(crate) const HOME: &str = "/home/portcullis";

/// What nobody may grant as a whole.
const TOO_BROAD: [&str; 7] = ["/", "/home", "/root", "/tmp", "/var", "/etc", "/var/tmp"];

/// What nobody may grant any part of: the kernel's interfaces, and the sockets of daemons.
const NEVER: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/boot", "/var/run"];

/// How many symbolic links may follow each other, as in the kernel.
const LINKS_MAX: usize = 40;

/// What a confined server sees, beside what all of them do.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Shown at the same place as in the host, parents before what is below them.
    pub(crate) binds: Vec<Bind>,
    /// Symbolic links to make: where, and to what.
    pub(crate) links: Vec<(OsString, OsString)>,
    /// Below a bind, and covered by something empty.
    pub(crate) covers: Vec<PathBuf>,
    /// Directories between a writable bind and a cover, mounted onto themselves: what is a mount
    /// point cannot be renamed, so no other can take its name.
    pub(crate) pins: Vec<PathBuf>,
}

/// A file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Free of symbolic links when it was looked at.
    pub(crate) path: PathBuf,
    pub(crate) access: Access,
}

/// What may be done with a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read it, as the program's own.
    Runtime,
    /// Read it, as granted.
    Read,
    /// Read and write it, as granted.
    Write,
}

impl Layout {
    /// `needs` is what the program was found to need, `cwd` where it is to start.
    pub(crate) fn new(
        confinement: &Confinement,
        needs: RuntimePaths,
        cwd: Option<&Path>,
    ) -> Result<Self, SpawnError> {
        let mut binds: BTreeMap<PathBuf, Access> = needs
            .reads
            .into_iter()
            .map(|path| (path, Access::Runtime))
            .collect();
        let mut links = needs.links;
        let grants = [
            (&confinement.reads, Access::Read),
            (&confinement.writes, Access::Write),
        ];
        let mut granted = Vec::new();
        for (paths, access) in grants {
            for path in paths {
                let real = resolve_grant(path, access)?;
                if *path != real {
                    links.insert((path.clone(), real.clone()));
                }
                granted.push((path, real.clone()));
                // What is seen anyway needs no bind to be read.
                if access == Access::Write || !is_system(&real) {
                    binds.insert(real, access);
                }
            }
        }
        let mut layout = Self {
            binds: binds
                .into_iter()
                .map(|(path, access)| Bind { path, access })
                .collect(),
            links: links
                .into_iter()
                .map(|(at, target)| (at.into_os_string(), target.into_os_string()))
                .collect(),
            ..Self::default()
        };
        for hidden in &confinement.hidden {
            layout.hide(hidden, &granted, confinement.tier)?;
        }
        layout.covers.sort();
        layout.covers.dedup();
        layout.pins.sort();
        layout.pins.dedup();
        if let Some(cwd) = cwd {
            layout.check_cwd(cwd)?;
        }
        Ok(layout)
    }

    fn hide(
        &mut self,
        hidden: &Path,
        granted: &[(&PathBuf, PathBuf)],
        tier: Tier,
    ) -> Result<(), SpawnError> {
        check_absolute(hidden)?;
        let Way {
            real,
            exists,
            links,
        } = Way::to(hidden);
        if let Some((path, _)) = granted.iter().find(|(_, grant)| grant.starts_with(&real)) {
            return Err(refusal(
                format!(
                    "`{}` is, or is inside, `{}`, which no server may see",
                    path.display(),
                    hidden.display()
                ),
                "grant another directory",
            ));
        }
        if let Some(bind) = self.binds.iter().find(|bind| bind.path.starts_with(&real)) {
            return Err(refusal(
                format!(
                    "the server's program needs `{}`, which is, or is inside, `{}`, which no \
                     server may see",
                    bind.path.display(),
                    hidden.display()
                ),
                "install the program elsewhere",
            ));
        }
        let inside = |path: &Path, access| {
            let holds = |bind: &&Bind| {
                path.starts_with(&bind.path) && access == (bind.access == Access::Write)
            };
            self.binds.iter().find(holds).map(|bind| bind.path.clone())
        };
        let writable = inside(&real, true);
        if let Some(link) = links.iter().find(|link| inside(link, true).is_some()) {
            return Err(refusal(
                format!(
                    "the server could put another file in the place of the link `{}`, which leads \
                     to `{}`",
                    link.display(),
                    hidden.display()
                ),
                "grant a narrower directory to be written",
            ));
        }
        let system = || is_system(&real).then(|| real.clone());
        let read_only = || inside(&real, false).or_else(system);
        let Some(outer) = writable.clone().or_else(read_only) else {
            return Ok(());
        };
        if tier == Tier::Confined {
            return Err(refusal(
                format!(
                    "`{}`, which no server may see, is inside `{}`, and the tier `confined` cannot \
                     cover it",
                    hidden.display(),
                    outer.display()
                ),
                "grant narrower directories, or use the tier `full`",
            ));
        }
        if !exists {
            // There is nothing to cover. A server that may only read cannot make it.
            return match writable {
                None => Ok(()),
                Some(outer) => Err(refusal(
                    format!(
                        "the server could create `{}`, which is inside `{}`",
                        hidden.display(),
                        outer.display()
                    ),
                    "create it empty, or grant a narrower directory to be written",
                )),
            };
        }
        if let Some(outer) = writable {
            let between = real.ancestors().skip(1);
            let between = between.take_while(|directory| *directory != outer);
            self.pins.extend(between.map(Path::to_owned));
        }
        self.covers.push(real);
        Ok(())
    }

    fn check_cwd(&self, cwd: &Path) -> Result<(), SpawnError> {
        let scratch = [Path::new("/tmp"), Path::new(HOME)];
        let is_seen = is_system(cwd)
            || scratch.contains(&cwd)
            || self.binds.iter().any(|bind| cwd.starts_with(&bind.path));
        let is_covered = self.covers.iter().any(|cover| cwd.starts_with(cover));
        if is_seen && !is_covered {
            return Ok(());
        }
        Err(refusal(
            format!(
                "the server may not see its working directory `{}`",
                cwd.display()
            ),
            "add it to what the server may read, or leave `cwd` out",
        ))
    }
}

/// The place that a granted path means, once and for all.
fn resolve_grant(path: &Path, access: Access) -> Result<PathBuf, SpawnError> {
    check_absolute(path)?;
    let real = path
        .canonicalize()
        .map_err(|source| SpawnError::Confinement {
            part: Feature::Files,
            cause: format!("`{}` cannot be granted", path.display()),
            remedy: "create it, let the gateway's user enter it, or take it from the grants"
                .to_owned(),
            source,
        })?;
    let is_home = Path::new("/home") == real.parent().unwrap_or(&real) && access == Access::Write;
    if TOO_BROAD.iter().any(|broad| Path::new(broad) == real) || is_home {
        return Err(refusal(
            format!("`{}` is too much to grant", path.display()),
            "grant the directories below it that the server is for",
        ));
    }
    let is_system_write = access == Access::Write && is_system(&real);
    if NEVER.iter().any(|never| real.starts_with(never)) || is_system_write {
        return Err(refusal(
            format!("`{}` belongs to the system", path.display()),
            "take it from the grants",
        ));
    }
    Ok(real)
}

/// How a hidden path is reached.
#[derive(Debug, Default)]
struct Way {
    /// Where it leads.
    real: PathBuf,
    /// Whether there is something yet.
    exists: bool,
    /// The symbolic links on the way.
    links: Vec<PathBuf>,
}

impl Way {
    fn to(path: &Path) -> Self {
        let mut way = Self::default();
        way.follow(path, LINKS_MAX);
        way.exists = way.real.symlink_metadata().is_ok();
        way
    }

    /// Goes on from `real` by `path`.
    fn follow(&mut self, path: &Path, links_left: usize) {
        for component in path.components() {
            match component {
                Component::ParentDir => {
                    self.real.pop();
                }
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => self.real = PathBuf::from("/"),
                Component::Normal(name) => {
                    let here = self.real.join(name);
                    match (std::fs::read_link(&here), links_left.checked_sub(1)) {
                        (Ok(target), Some(left)) => {
                            self.links.push(here);
                            self.follow(&target, left);
                        }
                        _ => self.real = here,
                    }
                }
            }
        }
    }
}

fn check_absolute(path: &Path) -> Result<(), SpawnError> {
    let is_plain = path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0);
    if is_plain {
        return Ok(());
    }
    Err(refusal(
        format!("`{}` is not an absolute path", path.display()),
        "write it from `/` on",
    ))
}

pub(crate) fn refusal(cause: String, remedy: &str) -> SpawnError {
    SpawnError::Confinement {
        part: Feature::Files,
        cause,
        remedy: remedy.to_owned(),
        source: io::ErrorKind::InvalidInput.into(),
    }
}

/// What the program of a command needs; see [`runtime_paths::of`].
pub(crate) fn needs(program: &Path, args: &[OsString], cwd: &Path, path: &str) -> RuntimePaths {
    let args: Vec<&Path> = args.iter().map(Path::new).collect();
    runtime_paths::of(program, &args, cwd, path)
}

#[cfg(test)]
mod tests;
