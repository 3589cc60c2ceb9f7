//! Commands that fetch a package and run a program in it.

use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::requirement::Requirement;

mod npx;
mod python;

/// Names of programs in a package: they become the last part of a path.
static PROGRAM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}$").ok());

/// Where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// Packages for Node.js.
    Npm,
    /// Packages for Python.
    PyPi,
}

/// What a command such as `npx -y @scope/package --verbose` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// Where the packages come from.
    pub ecosystem: Ecosystem,
    /// What to install, never empty. The program is in one of the first [`Launcher::mains`].
    pub packages: Vec<Requirement>,
    /// How many of the packages, from the first on, may hold the program.
    pub mains: usize,
    /// The program's name; absent if it follows from the package's own declaration.
    pub program: Option<String>,
    /// The version of Python that was asked for, such as `3.12`.
    pub python: Option<String>,
    /// What the program is given.
    pub args: Vec<String>,
}

/// A launcher that cannot be taken apart.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LauncherError {
    /// An option whose meaning cannot be kept.
    #[error(
        "`{launcher}` is given `{option}`, which does not fit a package that is installed beforehand; leave it out, and set registries in the configuration of the package manager"
    )]
    Option {
        /// `npx`, `uvx`, …
        launcher: &'static str,
        /// As written.
        option: String,
    },
    /// `-c` and its like.
    #[error(
        "`{launcher}` is given a text for a shell by `{option}`; write the package and its arguments instead: `npx PACKAGE ARGUMENTS`"
    )]
    Shell {
        /// `npx`, `npm exec`.
        launcher: &'static str,
        /// As written.
        option: String,
    },
    /// `npm exec` takes options after the package for its own.
    #[error(
        "`npm exec` takes `{option}` for itself; write `--` before the arguments of the program"
    )]
    Ambiguous {
        /// As written.
        option: String,
    },
    /// The last word is an option that wants a value.
    #[error("`{launcher}` lacks the value of `{option}`; write `{option} VALUE`")]
    NoValue {
        /// `npx`, `uvx`, …
        launcher: &'static str,
        /// As written.
        option: String,
    },
    /// Nothing to run.
    #[error("`{launcher}` names no package; write `{launcher} PACKAGE`")]
    NoPackage {
        /// `npx`, `uvx`, …
        launcher: &'static str,
    },
    /// Not a name in a registry.
    #[error(
        "`{spec}` is not the name of a package in a registry, as `{example}` is; to run what is in a repository, an archive or a directory, install it yourself and write the program's path"
    )]
    Spec {
        /// As written.
        spec: String,
        /// How one is written.
        example: &'static str,
    },
    /// Not the name of a program.
    #[error("`{program}` is not the name of a program in a package; write it without a path")]
    Program {
        /// As written.
        program: String,
    },
    /// Not a version of Python.
    #[error("`{python}` is not a version of Python; write it as `3.12`")]
    Python {
        /// As written.
        python: String,
    },
}

impl Launcher {
    /// Takes a command apart; `None` if it is no launcher, and so is run as it is.
    ///
    /// Known are `npx`, `npm exec`, `npm x`, `uvx`, `uv tool run` and `pipx run`, also by their
    /// paths and with `.cmd` or `.exe`.
    ///
    /// # Errors
    ///
    /// [`LauncherError`] if it is a launcher and some part of it is not understood: nothing is
    /// guessed and nothing left out.
    pub fn parse(command: &[String]) -> Result<Option<Self>, LauncherError> {
        let Some((program, args)) = command.split_first() else {
            return Ok(None);
        };
        let name = Path::new(program)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let name = name
            .strip_suffix(".cmd")
            .or_else(|| name.strip_suffix(".exe"))
            .unwrap_or(name);
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match (name, words.as_slice()) {
            ("npx", args) => npx::parse("npx", args),
            ("npm", ["exec" | "x", args @ ..]) => npx::parse("npm exec", args),
            ("uvx", args) => python::parse("uvx", args),
            ("uv", ["tool", "run", args @ ..]) => python::parse("uv tool run", args),
            ("pipx", ["run", args @ ..]) => python::parse("pipx run", args),
            _other => return Ok(None),
        }
        .map(Some)
    }

    /// Everything about it but the arguments, in one spelling: two launchers with the same text
    /// install the same and run the same program.
    pub fn spec(&self) -> String {
        self.to_string()
    }

    /// The packages that may hold the program.
    pub(crate) fn main_packages(&self) -> &[Requirement] {
        self.packages.get(..self.mains).unwrap_or(&self.packages)
    }
}

/// The spec: `npm:@scope/name@latest`, `pypi:name[extra]==1.0 with other python 3.12 run program`.
impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |packages: &[Requirement]| {
            let names: Vec<String> = packages
                .iter()
                .map(|package| package.text(self.ecosystem))
                .collect();
            names.join(" ")
        };
        let (mains, with) = self
            .packages
            .split_at_checked(self.mains)
            .unwrap_or((&self.packages, &[]));
        match self.ecosystem {
            Ecosystem::Npm => write!(f, "npm:{}", names(mains))?,
            Ecosystem::PyPi => write!(f, "pypi:{}", names(mains))?,
        }
        if !with.is_empty() {
            write!(f, " with {}", names(with))?;
        }
        if let Some(python) = &self.python {
            write!(f, " python {python}")?;
        }
        match &self.program {
            Some(program) => write!(f, " run {program}"),
            None => Ok(()),
        }
    }
}

fn program_name(text: &str) -> Result<String, LauncherError> {
    let known = PROGRAM.as_ref().is_some_and(|regex| regex.is_match(text));
    if known && !text.contains("..") {
        Ok(text.to_owned())
    } else {
        Err(LauncherError::Program {
            program: text.to_owned(),
        })
    }
}

/// The value of an option, from `--name=VALUE` or from the next word.
fn value<'a>(
    launcher: &'static str,
    word: &'a str,
    names: &[&str],
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<Option<&'a str>, LauncherError> {
    let (name, joined) = match word.split_once('=') {
        Some((name, joined)) if name.starts_with("--") => (name, Some(joined)),
        _plain => (word, None),
    };
    if !names.contains(&name) {
        return Ok(None);
    }
    let no_value = || LauncherError::NoValue {
        launcher,
        option: name.to_owned(),
    };
    joined
        .or_else(|| rest.next())
        .map(Some)
        .ok_or_else(no_value)
}

#[cfg(test)]
mod tests;
