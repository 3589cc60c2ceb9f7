//! Where a path leads.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::constraints::Files;
use crate::violation::Reason;

/// An absolute path as it was spelt.
#[derive(Debug)]
pub(super) struct Absolute {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Name(OsString),
    Up,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) struct Resolution {
    /// Without symbolic links and `..`.
    pub(super) path: PathBuf,
    /// Whether something is there. Unknown, and taken for granted, on another machine.
    pub(super) exists: bool,
}

impl Absolute {
    /// `None` when the path is not absolute.
    pub(super) fn of(path: &Path) -> Option<Self> {
        if !path.is_absolute() {
            return None;
        }
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir => parts.push(Part::Up),
                Component::Normal(name) => parts.push(Part::Name(name.to_owned())),
                Component::Prefix(_) => return None,
            }
        }
        Some(Self { parts })
    }

    /// Whether there is no `..` in it.
    pub(super) fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Name(_)))
    }

    /// The path with `..` taken back by its text alone.
    pub(super) fn lexical(&self) -> PathBuf {
        lexical(&self.parts)
    }

    /// Whether a `..` leads, by its text, to where none of `roots` is or contains it. Refused even
    /// if the path comes back, since it would tell whether what it passes through exists.
    pub(super) fn climbs_out(&self, roots: &[&Path]) -> bool {
        let climbs = |(index, part): (usize, &Part)| {
            let so_far = lexical(self.parts.get(..=index).unwrap_or_default());
            matches!(part, Part::Up) && !roots.iter().any(|root| so_far.starts_with(root))
        };
        self.parts.iter().enumerate().any(climbs)
    }

    /// Resolves what exists of the path as the kernel would; the rest is appended, and must be
    /// plain names. A link that leads to nothing is refused, since to write to it would create
    /// what it names.
    pub(super) fn resolve(&self, files: Files) -> Result<Resolution, Reason> {
        if files == Files::Elsewhere {
            return Ok(Resolution {
                path: self.lexical(),
                exists: true,
            });
        }
        for existing in (0..=self.parts.len()).rev() {
            let (head, tail) = self.parts.split_at(existing);
            let mut real = match std::fs::canonicalize(spelt(head)) {
                Ok(real) => real,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                // Not told apart, since what is outside is nobody's to know.
                Err(_other) => return Err(Reason::OutsideRoots),
            };
            if let Some(Part::Name(name)) = tail.first() {
                let is_there = std::fs::symlink_metadata(real.join(name)).is_ok();
                if is_there || !real.is_dir() {
                    return Err(Reason::OutsideRoots);
                }
            }
            for part in tail {
                match part {
                    Part::Name(name) => real.push(name),
                    Part::Up => return Err(Reason::OutsideRoots),
                }
            }
            return Ok(Resolution {
                path: real,
                exists: tail.is_empty(),
            });
        }
        Err(Reason::OutsideRoots)
    }
}

/// The path as the kernel reads it.
fn spelt(parts: &[Part]) -> PathBuf {
    let mut path = PathBuf::from("/");
    for part in parts {
        match part {
            Part::Name(name) => path.push(name),
            Part::Up => path.push(".."),
        }
    }
    path
}

fn lexical(parts: &[Part]) -> PathBuf {
    let mut path = PathBuf::from("/");
    for part in parts {
        match part {
            Part::Name(name) => path.push(name),
            Part::Up => {
                path.pop();
            }
        }
    }
    path
}
