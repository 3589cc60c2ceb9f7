//! `uvx`, `uv tool run` and `pipx run`.

use std::sync::LazyLock;

use regex::Regex;

use super::{Ecosystem, Launcher, LauncherError, program_name, value};
use crate::requirement::Requirement;

static VERSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:python)?(?<version>3(?:\.[0-9]{1,3}){0,2})$").ok());

/// Options that ask for what happens anyway: little is said, and the environment is one of its own.
const WITHOUT_EFFECT: [&str; 5] = ["-q", "--quiet", "--isolated", "--no-progress", "--no-cache"];

pub(super) fn parse(launcher: &'static str, words: &[&str]) -> Result<Launcher, LauncherError> {
    let pipx = launcher == "pipx run";
    let from_names: &[&str] = if pipx { &["--spec"] } else { &["--from"] };
    let python_names: &[&str] = if pipx {
        &["--python"]
    } else {
        &["--python", "-p"]
    };
    let with_names: &[&str] = if pipx { &["--with"] } else { &["--with", "-w"] };
    let mut rest = words.iter().copied();
    let (mut from, mut python, mut with) = (None, None, Vec::new());
    let mut first = None;
    while let Some(word) = rest.next() {
        if word == "--" {
            first = rest.next();
            break;
        } else if let Some(package) = value(launcher, word, from_names, &mut rest)? {
            from = Some(Requirement::parse(Ecosystem::PyPi, package)?);
        } else if let Some(packages) = value(launcher, word, with_names, &mut rest)? {
            with.push(Requirement::parse(Ecosystem::PyPi, packages)?);
        } else if let Some(version) = value(launcher, word, python_names, &mut rest)? {
            python = Some(python_version(version)?);
        } else if WITHOUT_EFFECT.contains(&word) {
        } else if word.starts_with('-') {
            let option = word.to_owned();
            return Err(LauncherError::Option { launcher, option });
        } else {
            first = Some(word);
            break;
        }
    }
    let first = first.ok_or(LauncherError::NoPackage { launcher })?;
    let (main, program) = if let Some(main) = from {
        (main, program_name(first)?)
    } else {
        let main = Requirement::parse(Ecosystem::PyPi, first)?;
        // The program has the package's name as it was written, not as it is compared.
        let end = first.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
        let name = end.and_then(|end| first.get(..end)).unwrap_or(first);
        (main, program_name(name)?)
    };
    let mut packages = vec![main];
    packages.append(&mut with);
    Ok(Launcher {
        ecosystem: Ecosystem::PyPi,
        packages,
        mains: 1,
        program: Some(program),
        python,
        args: rest.map(str::to_owned).collect(),
    })
}

fn python_version(text: &str) -> Result<String, LauncherError> {
    VERSION
        .as_ref()
        .and_then(|regex| regex.captures(text))
        .and_then(|captures| captures.name("version"))
        .map(|version| version.as_str().to_owned())
        .ok_or_else(|| LauncherError::Python {
            python: text.to_owned(),
        })
}
