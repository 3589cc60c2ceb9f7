//! Paths beneath roots.
//!
//! A path is resolved as the kernel would, and what is sent is the path it resolved to, so that the
//! server opens what was checked. Descriptors (`openat2` with `RESOLVE_BENEATH`) would not help:
//! the gateway opens nothing, and cannot hand one to a server that takes names. What remains is the
//! time between check and use, for which there is [`ResolvedPath::still_leads_there`], and the
//! sandbox. A hard link beneath a root to a file outside it cannot be told from the file.

mod resolve;
mod secret;
mod spelling;

use std::path::PathBuf;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{Mistake, Passed};
use crate::constraints::{Files, Surroundings};
use crate::violation::Reason;
use resolve::{Absolute, Resolution};

/// A file or directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own in the configuration"
)]
pub struct PathRule {
    /// The argument must be given.
    pub required: bool,
    /// Directories, absolute or beginning with `~/`. The path has to lead to one of them or
    /// beneath. Without any, it may lead anywhere but to secrets.
    pub roots: Vec<String>,
    /// What the tool does with it.
    pub access: Access,
    /// Globs, relative to the root and matched without regard to case: what matches one, and what
    /// is beneath, is denied. `*` stays within a directory, `**` does not.
    pub deny: Vec<String>,
    /// Names that begin with a dot are permitted.
    pub hidden: bool,
    /// The file or directory has to be there.
    pub must_exist: bool,
    /// A `file:` URL is also permitted.
    pub file_urls: bool,
    /// Files that are known to hold secrets, and what leads into processes and devices, are
    /// permitted.
    pub dangerously_allow_secrets: bool,
}

/// What a tool does with a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It only reads.
    Read,
    /// It also writes, moves or deletes. What is run by itself, such as a shell's start files and
    /// the hooks of a repository, is then denied.
    #[default]
    Write,
}

/// Where a path led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPath {
    /// The argument's JSON pointer, as in [`crate::Violation::pointer`].
    pub pointer: String,
    /// Where it led, without symbolic links as far as it exists.
    pub path: PathBuf,
    /// The absolute path that the server is sent, or will make of what it is sent.
    sent: PathBuf,
    files: Files,
    /// How many components are beneath the root, for a path that is only read; else none.
    beneath: usize,
    /// What stood there.
    marks: Vec<Option<Mark>>,
}

/// What tells a file or directory from another, and from itself before it was renamed: a rename, like a hard link, sets the
/// time of its last change of status, which nobody can set back. The clock of that time ticks every few milliseconds
/// ([`ResolvedPath::changed_since`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

/// The marks of the last `count` components of a path, as far as they exist. Where one is missing, that of the directory which lacks
/// it comes besides: it changes when something is put there.
fn marks(path: &std::path::Path, count: usize) -> Vec<Option<Mark>> {
    use std::os::unix::fs::MetadataExt as _;
    let mark = |place: &std::path::Path| {
        let found = place.symlink_metadata().ok()?;
        Some(Mark {
            device: found.dev(),
            inode: found.ino(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    };
    let mut marks: Vec<Option<Mark>> = path.ancestors().take(count).map(mark).collect();
    if marks.contains(&None) {
        marks.push(path.ancestors().find_map(mark));
    }
    marks
}

impl ResolvedPath {
    /// Whether it still leads where it led. Asked after the call, so that a link that was swapped
    /// in between is noticed, and for a path that is only read also a file or directory that was swapped for a link and back.
    /// Always so for another machine's files.
    pub fn still_leads_there(&self) -> bool {
        match self.files {
            Files::Elsewhere => true,
            Files::Here => Absolute::of(&self.sent)
                .and_then(|sent| sent.resolve(Files::Here).ok())
                .is_some_and(|resolution| {
                    resolution.path == self.path && self.marks == marks(&self.path, self.beneath)
                }),
        }
    }

    /// Whether something on the way changed at this Unix millisecond or later. If so, a swap at the same tick of the clock of
    /// changes could not be told; whoever waits a little, and finds that it still leads there, can tell all later ones.
    pub fn changed_since(&self, unix_ms: u64) -> bool {
        let since = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        self.marks.iter().flatten().any(|mark| {
            let (seconds, nanoseconds) = mark.changed;
            seconds
                .saturating_mul(1000)
                .saturating_add(nanoseconds / 1_000_000)
                >= since
        })
    }

    pub(crate) fn at(self, pointer: String) -> Self {
        Self { pointer, ..self }
    }
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the options of the rule")]
pub(crate) struct Path {
    roots: Vec<Root>,
    deny: GlobSet,
    access: Access,
    hidden: bool,
    must_exist: bool,
    file_urls: bool,
    secrets: bool,
    directory: Option<PathBuf>,
    home: Option<PathBuf>,
    files: Files,
}

#[derive(Debug)]
struct Root {
    /// As it was written.
    written: PathBuf,
    /// Where it led when the rule was compiled.
    real: PathBuf,
}

impl Path {
    pub(crate) fn compile(rule: &PathRule, around: &Surroundings) -> Result<Self, Mistake> {
        let root = |text: &String| {
            let mistake = || Mistake::Root(text.clone());
            let written = match text.strip_prefix('~') {
                Some("") => around.home.clone().ok_or_else(mistake)?,
                Some(rest) => {
                    let rest = rest.strip_prefix('/').ok_or_else(mistake)?;
                    around.home.as_ref().ok_or_else(mistake)?.join(rest)
                }
                None => PathBuf::from(text),
            };
            let absolute = Absolute::of(&written).ok_or_else(mistake)?;
            let real = absolute
                .resolve(around.files)
                .map_err(|_unresolvable| mistake())?;
            if !real.exists {
                return Err(mistake());
            }
            Ok(Root {
                written: absolute.lexical(),
                real: real.path,
            })
        };
        let directory = around.directory.as_deref().map(|directory| {
            let real = Absolute::of(directory)
                .and_then(|directory| directory.resolve(around.files).ok())
                .filter(|real| real.exists);
            real.map(|real| real.path).ok_or(Mistake::Directory)
        });
        Ok(Self {
            roots: rule.roots.iter().map(root).collect::<Result<_, _>>()?,
            deny: globs(rule.deny.iter().map(String::as_str))?,
            access: rule.access,
            hidden: rule.hidden,
            must_exist: rule.must_exist,
            file_urls: rule.file_urls,
            secrets: rule.dangerously_allow_secrets,
            directory: directory.transpose()?,
            home: around.home.clone(),
            files: around.files,
        })
    }

    pub(crate) fn check(&self, text: &str) -> Result<Passed, Reason> {
        let url_path = self.url_path(text)?;
        let plain = url_path.as_deref().unwrap_or(text);
        spelling::check(plain)?;
        let (absolute, is_relative) = self.absolute(plain)?;
        let Some(absolute) = absolute else {
            // Nothing is known of where it begins: only that it does not climb.
            return self.check_unrooted(plain);
        };
        if !self.roots.is_empty() && absolute.climbs_out(&self.root_paths()) {
            return Err(Reason::OutsideRoots);
        }
        let resolution = absolute.resolve(self.files)?;
        self.check_place(&absolute, &resolution)?;
        let (rewritten, sent) = self.spelt(text, &absolute, &resolution, is_relative)?;
        let beneath = self.components_beneath(&resolution);
        let resolved = ResolvedPath {
            pointer: String::new(),
            beneath,
            marks: marks(&resolution.path, beneath),
            path: resolution.path,
            sent,
            files: self.files,
        };
        Ok(Passed {
            rewritten,
            hosts: Vec::new(),
            paths: vec![resolved],
        })
    }

    /// How many components beneath its root must stay as they are while the path is read. What writes changes them itself.
    fn components_beneath(&self, resolution: &Resolution) -> usize {
        if self.access != Access::Read || self.files != Files::Here {
            return 0;
        }
        let roots = self.roots.iter();
        let beneath = roots.filter_map(|root| resolution.path.strip_prefix(&root.real).ok());
        let count = beneath.map(|rest| rest.components().count()).min();
        // Where nothing is, something may come: the directory tells.
        count.map_or(0, |count| {
            count.saturating_add(usize::from(!resolution.exists))
        })
    }

    /// The path of a `file:` URL of this machine, decoded.
    fn url_path(&self, text: &str) -> Result<Option<String>, Reason> {
        let is_file = text
            .get(..5)
            .is_some_and(|head| head.eq_ignore_ascii_case("file:"));
        if !is_file {
            return Ok(None);
        }
        if !self.file_urls {
            return Err(Reason::Scheme);
        }
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("file:///")
            || lower.starts_with("file:////")
            || text.contains(['\\', '?', '#'])
        {
            return Err(Reason::Ambiguous);
        }
        if ["%2f", "%5c", "%2e", "%25", "%00"]
            .iter()
            .any(|code| lower.contains(code))
        {
            return Err(Reason::Encoded);
        }
        let url = Url::parse(text).map_err(|_invalid| Reason::Malformed)?;
        let path = url.to_file_path().map_err(|()| Reason::Malformed)?;
        let path = path.into_os_string().into_string();
        path.map(Some).map_err(|_not_unicode| Reason::Encoded)
    }

    /// The absolute path, if it is known where it begins, and whether it was relative.
    fn absolute(&self, plain: &str) -> Result<(Option<Absolute>, bool), Reason> {
        if plain.starts_with('/') {
            return Ok((Absolute::of(std::path::Path::new(plain)), false));
        }
        if let Some(rest) = plain.strip_prefix('~') {
            let home = self.home.as_ref().ok_or(Reason::Ambiguous)?;
            let rest = match rest.strip_prefix('/') {
                Some(rest) => rest.trim_start_matches('/'),
                // Another account's, or an editor's backup file.
                None if !rest.is_empty() => return Err(Reason::Ambiguous),
                None => "",
            };
            return Ok((Absolute::of(&home.join(rest)), false));
        }
        match &self.directory {
            Some(directory) => Ok((Absolute::of(&directory.join(plain)), true)),
            None if self.roots.is_empty() => Ok((None, true)),
            None => Err(Reason::OutsideRoots),
        }
    }

    fn check_unrooted(&self, plain: &str) -> Result<Passed, Reason> {
        if plain.split('/').any(|segment| segment == "..") {
            return Err(Reason::OutsideRoots);
        }
        let beneath: PathBuf = plain
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        self.check_names(&beneath)?;
        self.check_secret(&std::path::Path::new("/").join(&beneath))?;
        Ok(Passed::default())
    }

    fn root_paths(&self) -> Vec<&std::path::Path> {
        self.roots
            .iter()
            .flat_map(|root| [root.written.as_path(), root.real.as_path()])
            .collect()
    }

    fn check_place(&self, absolute: &Absolute, resolution: &Resolution) -> Result<(), Reason> {
        if self.roots.is_empty() {
            let beneath = resolution
                .path
                .strip_prefix("/")
                .map_err(|_other| Reason::OutsideRoots)?;
            self.check_names(beneath)?;
        } else {
            let beneath: Vec<_> = self
                .roots
                .iter()
                .filter_map(|root| resolution.path.strip_prefix(&root.real).ok())
                .collect();
            if beneath.is_empty() {
                return Err(Reason::OutsideRoots);
            }
            for path in beneath {
                self.check_names(path)?;
            }
        }
        // Also as it was spelt: `/proc/self/root` resolves to a harmless `/`.
        self.check_secret(&absolute.lexical())?;
        self.check_secret(&resolution.path)?;
        if self.must_exist && !resolution.exists && self.files == Files::Here {
            return Err(Reason::Absent);
        }
        Ok(())
    }

    /// Checks the names beneath a root.
    fn check_names(&self, beneath: &std::path::Path) -> Result<(), Reason> {
        let is_hidden = |part: &std::ffi::OsStr| part.as_encoded_bytes().starts_with(b".");
        if !self.hidden && beneath.iter().any(is_hidden) {
            return Err(Reason::Hidden);
        }
        // What is beneath something denied is denied too.
        if beneath.ancestors().any(|path| self.deny.is_match(path)) {
            return Err(Reason::Denied);
        }
        Ok(())
    }

    fn check_secret(&self, path: &std::path::Path) -> Result<(), Reason> {
        if !self.secrets && secret::holds_secrets(path) {
            return Err(Reason::Secret);
        }
        if self.access == Access::Write && secret::is_run_by_itself(path) {
            return Err(Reason::Denied);
        }
        Ok(())
    }

    /// What is sent, and the absolute path that it stands for.
    fn spelt(
        &self,
        text: &str,
        absolute: &Absolute,
        resolution: &Resolution,
        is_relative: bool,
    ) -> Result<(Option<Value>, PathBuf), Reason> {
        let is_url = text
            .get(..5)
            .is_some_and(|head| head.eq_ignore_ascii_case("file:"));
        let is_plain = !text.starts_with('~') && absolute.is_plain() && !is_url;
        if is_plain && absolute.lexical() == resolution.path {
            return Ok((None, absolute.lexical()));
        }
        let real = resolution.path.to_str().ok_or(Reason::Encoded)?;
        let directory = self.directory.as_deref().filter(|_| is_relative);
        let spelling = if is_url {
            Url::from_file_path(real)
                .map_err(|()| Reason::Malformed)?
                .into()
        } else {
            // A relative path stays one where it can: servers compare and show them.
            let relative =
                directory.and_then(|directory| resolution.path.strip_prefix(directory).ok());
            match relative.map(std::path::Path::to_str) {
                Some(Some("")) => ".".to_owned(),
                Some(Some(relative)) => relative.to_owned(),
                Some(None) | None => real.to_owned(),
            }
        };
        if !is_url {
            // The names that a link led to have to be as plain as those that are given.
            spelling::check(&spelling)?;
        }
        let rewritten = (spelling != text).then_some(Value::String(spelling));
        Ok((rewritten, resolution.path.clone()))
    }
}

/// Compiles globs in which `*` stays within a directory and case does not matter.
pub(crate) fn globs<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<GlobSet, Mistake> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .case_insensitive(true)
            .build()
            .map_err(|source| Mistake::Glob {
                pattern: pattern.to_owned(),
                source,
            })?;
        set.add(glob);
    }
    set.build().map_err(|source| Mistake::Glob {
        pattern: "*".to_owned(),
        source,
    })
}
