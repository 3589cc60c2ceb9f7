//! What a program needs to be seen of the file system in order to start: itself, its interpreter,
//! and the packages beside them.
//!
//! Looks at the file system and at nothing else. Guesses stay small: a package, a virtual
//! environment or an installation of a language, never a home directory. What they miss, the
//! operator grants.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Where systems keep programs and libraries: shown to every server.
pub(crate) const SYSTEM: [&str; 7] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
];

/// Programs whose first argument that is a file is what they run.
const INTERPRETERS: [&str; 12] = [
    "node", "nodejs", "python", "deno", "bun", "ruby", "perl", "java", "sh", "bash", "dash", "tsx",
];

/// How many interpreters may stand behind each other, and links behind a link.
const DEPTH_MAX: usize = 8;

/// How much of a script is read for its first line.
const FIRST_LINE_BYTES: u64 = 512;

/// What a program needs to be seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RuntimePaths {
    /// Files and directories, free of symbolic links.
    pub(crate) reads: BTreeSet<PathBuf>,
    /// Symbolic links on the way to them: where, and to what.
    pub(crate) links: BTreeSet<(PathBuf, PathBuf)>,
}

/// What `program` needs when it is run with `args` in `cwd`, and names are looked up on `path`.
pub(crate) fn of(program: &Path, args: &[&Path], cwd: &Path, path: &str) -> RuntimePaths {
    let mut paths = RuntimePaths::default();
    paths.add_program(program, path, DEPTH_MAX);
    if let Some(script) = script_of(program, args, cwd) {
        paths.add_program(&script, path, DEPTH_MAX);
    }
    paths
}

/// `path` with the directory it is in free of symbolic links, and itself kept: a virtual
/// environment is known by the link that is its interpreter.
pub(crate) fn settle(path: &Path) -> PathBuf {
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Whether every server sees `path` anyway.
pub(crate) fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

/// Whether a directory holds so much else that seeing it whole would give too much away: a root, a
/// home, a place that everybody writes to.
pub(crate) fn is_broad(directory: &Path) -> bool {
    let depth = directory.components().count();
    let name = directory.file_name().unwrap_or_default().as_bytes();
    let in_homes = |homes: &str| directory.parent() == Some(Path::new(homes));
    depth <= 2
        || in_homes("/home")
        || in_homes("/Users")
        || in_homes("/var")
        || [&b".local"[..], b".config", b".cache"].contains(&name)
        || [".ssh", ".bashrc", ".profile", ".zshrc"]
            .iter()
            .any(|sign| directory.join(sign).exists())
}

impl RuntimePaths {
    /// Adds a program, the links it is reached by, and its interpreter.
    fn add_program(&mut self, program: &Path, path: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        let here = settle(program);
        if here.symlink_metadata().is_err() {
            return;
        }
        self.add_place(&here);
        if let Ok(target) = std::fs::read_link(&here) {
            let next = here.parent().unwrap_or(Path::new("/")).join(&target);
            if !is_system(&here) {
                self.links.insert((here.clone(), target));
            }
            self.add_program(&next, path, depth);
        } else if let Some(interpreter) = interpreter_of(&here, path) {
            self.add_program(&interpreter, path, depth);
        }
    }

    /// Adds what belongs to the file or link at `here`.
    fn add_place(&mut self, here: &Path) {
        if is_system(here) {
            return;
        }
        if here.starts_with("/nix/store") {
            self.reads.insert("/nix/store".into());
            return;
        }
        if let Some(environment) = virtual_environment(here) {
            if let Some(base) = base_of(environment) {
                self.add_installation(&base);
            }
            self.reads.insert(environment.to_owned());
            return;
        }
        let is_link = here.is_symlink();
        if let Some(installation) = installation(here) {
            self.reads.insert(installation.to_owned());
        } else if let Some(package) = package(here) {
            self.reads.insert(package);
        } else if is_link {
            // The link alone is made anew.
        } else {
            match here.parent() {
                Some(directory) if !is_broad(directory) => self.reads.insert(directory.to_owned()),
                _ => self.reads.insert(here.to_owned()),
            };
        }
    }

    fn add_installation(&mut self, base: &Path) {
        if let Ok(base) = base.canonicalize()
            && !is_system(&base)
            && !is_broad(&base)
        {
            self.reads.insert(base);
        }
    }
}

/// The script that an interpreter is to run. Never another file that is among the arguments:
/// those are for the operator to grant.
fn script_of(program: &Path, args: &[&Path], cwd: &Path) -> Option<PathBuf> {
    let name = program.file_name()?.to_str()?;
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !INTERPRETERS.contains(&name) {
        return None;
    }
    for arg in args {
        let text = arg.as_os_str().as_bytes();
        // Code, a module, or the standard input, and what follows are arguments to that.
        if [&b"-c"[..], b"-e", b"-m", b"-p", b"-"].contains(&text) {
            return None;
        }
        if !text.starts_with(b"-") {
            let script = cwd.join(arg);
            return script.is_file().then_some(script);
        }
    }
    None
}

/// The directory of `pyvenv.cfg`, if `program` is in its `bin`.
fn virtual_environment(program: &Path) -> Option<&Path> {
    let root = program.parent()?.parent()?;
    root.join("pyvenv.cfg").is_file().then_some(root)
}

/// The installation that a virtual environment was made from: the parent of its `home`.
fn base_of(environment: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(environment.join("pyvenv.cfg")).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let home = Path::new(value.trim());
        (key.trim() == "home").then(|| home.parent().map(Path::to_owned))?
    })
}

/// The root of an installation of a language, if `program` is in its `bin`.
fn installation(program: &Path) -> Option<&Path> {
    let bin = program.parent()?;
    let root = bin.parent()?;
    let library = root.join("lib");
    let is_language = bin.file_name()? == "bin"
        && !is_broad(root)
        && (library.join("node_modules").is_dir() || has_python(&library));
    is_language.then_some(root)
}

fn has_python(library: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(library) else {
        return false;
    };
    entries
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().as_bytes().starts_with(b"python"))
}

/// The Node packages that `file` is among: the outermost `node_modules` above it, since packages
/// are looked up in all of them, or else the nearest directory with a `node_modules` or a
/// `package.json`.
fn package(file: &Path) -> Option<PathBuf> {
    let mut above = PathBuf::new();
    for component in file.components() {
        above.push(component);
        if component == Component::Normal("node_modules".as_ref()) {
            return Some(above);
        }
    }
    file.ancestors()
        .skip(1)
        .take_while(|directory| !is_broad(directory))
        .find(|directory| {
            directory.join("node_modules").is_dir() || directory.join("package.json").is_file()
        })
        .map(Path::to_owned)
}

/// The program on a script's first line, looked up as `env` would.
fn interpreter_of(script: &Path, path: &str) -> Option<PathBuf> {
    let mut start = Vec::new();
    let file = std::fs::File::open(script).ok()?;
    file.take(FIRST_LINE_BYTES).read_to_end(&mut start).ok()?;
    let line = start
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let interpreter = Path::new(words.next()?);
    if interpreter.file_name()? != "env" {
        return Some(interpreter.to_owned());
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    path.split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests;
