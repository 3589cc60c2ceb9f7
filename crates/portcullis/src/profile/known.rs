//! What the command of a server says of what it needs.

use std::path::{Path, PathBuf};

use portcullis_constraint::preset::{self, Process};

use super::{Grant, InvalidProfile, Why, Words, value_of};

/// What is known of the process that a command starts.
pub(super) struct Known {
    /// The preset for the public server that it is, if it is one, and what its process needs.
    preset: Option<(&'static str, Process)>,
}

impl Known {
    pub(super) fn of(words: &Words<'_>) -> Self {
        let command = words.server.command.split_first();
        let name = command.and_then(|(program, rest)| preset::recognise(program, rest));
        let load = |name| Some((name, preset::load(name).ok()?.process));
        Self {
            preset: name.and_then(load),
        }
    }

    /// What it may read: of a public server what its options name, else whatever exists among the arguments, and the
    /// directory to work in if one is configured.
    pub(super) fn reads(&self, words: &Words<'_>) -> Result<Vec<Grant<PathBuf>>, InvalidProfile> {
        let mut grants = match &self.preset {
            Some((name, process)) => valued(words, &process.reads, &Why::Known(name))?,
            None => named(words)?,
        };
        let directory = words.server.cwd.as_ref();
        if let Some(path) = directory.and_then(|path| path.canonicalize().ok()) {
            let is_too_much = path.parent().is_none() || Some(&*path) == words.place.home;
            if !is_too_much {
                grants.push(Grant {
                    what: path,
                    why: Why::Directory,
                });
            }
        }
        Ok(grants)
    }

    /// What it may write: only what is known of a public server.
    pub(super) fn writes(&self, words: &Words<'_>) -> Result<Vec<Grant<PathBuf>>, InvalidProfile> {
        let Some((name, process)) = &self.preset else {
            return Ok(Vec::new());
        };
        let mut grants = valued(words, &process.writes, &Why::Known(name))?;
        if process.writes_arguments {
            grants.extend(named(words)?);
        }
        for variable in process.keeps.keys() {
            let Some(value) = words.server.env.get(variable) else {
                continue;
            };
            grants.extend(directory(words, value)?.map(|what| Grant {
                what,
                why: Why::Known(name),
            }));
        }
        Ok(grants)
    }

    /// The variables that name files which the server keeps, where the operator names none, and the directory that
    /// these are in.
    pub(super) fn keeps(
        &self,
        name: &str,
        words: &Words<'_>,
    ) -> (Vec<(String, String)>, Option<PathBuf>) {
        let mut env = Vec::new();
        let own = words.place.own_files().join(name);
        for (variable, file) in self.preset.iter().flat_map(|(_, process)| &process.keeps) {
            if !words.server.env.contains_key(variable) {
                let path = own.join(file).to_string_lossy().into_owned();
                env.push((variable.clone(), path));
            }
        }
        let needed = !env.is_empty();
        (env, needed.then_some(own))
    }

    /// Whether its processes talk by local sockets.
    pub(super) fn local_sockets(&self) -> bool {
        let process = self.preset.as_ref().map(|(_, process)| process);
        process.is_some_and(|process| process.local_sockets)
    }

    /// What it reaches over the network.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&String, Why)> {
        self.preset.iter().flat_map(|(name, process)| {
            let hosts = process.hosts.iter();
            hosts.map(move |host| (host, Why::Known(name)))
        })
    }
}

/// The files and directories among the arguments.
fn named(words: &Words<'_>) -> Result<Vec<Grant<PathBuf>>, InvalidProfile> {
    let mut grants = Vec::new();
    for (word, is_path) in words.arguments() {
        if is_path && let Some(what) = words.existing(value_of(word))? {
            grants.push(Grant {
                what,
                why: Why::Argument,
            });
        }
    }
    Ok(grants)
}

/// The directory that a path names, or that the file which it names is in, be it there or not yet: what keeps a file often
/// writes others beside it.
fn directory(words: &Words<'_>, path: &str) -> Result<Option<PathBuf>, InvalidProfile> {
    let above = |path: &Path| path.parent().map(ToOwned::to_owned);
    let directory = match words.existing(path)? {
        Some(path) if path.is_dir() => Some(path),
        Some(file) => above(&file),
        // It will be made.
        None => above(&words.path(path)).and_then(|it| it.canonicalize().ok()),
    };
    match directory {
        Some(path) if path.parent().is_none() => Err(InvalidProfile::Everything),
        directory => Ok(directory),
    }
}

/// The directories that the values of these options name.
fn valued(
    words: &Words<'_>,
    options: &[String],
    why: &Why,
) -> Result<Vec<Grant<PathBuf>>, InvalidProfile> {
    let mut grants = Vec::new();
    let mut arguments = words.arguments().map(|(word, _)| word);
    while let Some(word) = arguments.next() {
        let value = match word.split_once('=') {
            Some((option, value)) if options.iter().any(|known| known == option) => Some(value),
            _ if options.iter().any(|known| known == word) => arguments.next(),
            _ => None,
        };
        let Some(value) = value else { continue };
        grants.extend(directory(words, value)?.map(|what| Grant {
            what,
            why: why.clone(),
        }));
    }
    Ok(grants)
}
