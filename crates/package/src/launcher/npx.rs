//! `npx` and `npm exec`.

use super::{Ecosystem, Launcher, LauncherError, program_name, value};
use crate::requirement::Requirement;

/// Options that ask for what happens anyway: nothing is asked, little is said.
const WITHOUT_EFFECT: [&str; 8] = [
    "-y",
    "--yes",
    "-q",
    "--quiet",
    "-s",
    "--silent",
    "--no-install",
    "--no",
];

pub(super) fn parse(launcher: &'static str, words: &[&str]) -> Result<Launcher, LauncherError> {
    let mut rest = words.iter().copied();
    let mut packages = Vec::new();
    let mut first = None;
    let mut ended = false;
    while let Some(word) = rest.next() {
        if word == "--" {
            ended = true;
            first = rest.next();
            break;
        } else if let Some(package) = value(launcher, word, &["-p", "--package"], &mut rest)? {
            packages.push(Requirement::parse(Ecosystem::Npm, package)?);
        } else if WITHOUT_EFFECT.contains(&word) {
        } else if matches!(word, "-c" | "--call") || word.starts_with("--call=") {
            let option = word.to_owned();
            return Err(LauncherError::Shell { launcher, option });
        } else if word.starts_with('-') {
            let option = word.to_owned();
            return Err(LauncherError::Option { launcher, option });
        } else {
            first = Some(word);
            break;
        }
    }
    let first = first.ok_or(LauncherError::NoPackage { launcher })?;
    let program = if packages.is_empty() {
        packages.push(Requirement::parse(Ecosystem::Npm, first)?);
        None
    } else {
        Some(program_name(first)?)
    };
    let args = if launcher == "npm exec" && !ended {
        npm_exec_args(rest)?
    } else {
        rest.map(str::to_owned).collect()
    };
    Ok(Launcher {
        ecosystem: Ecosystem::Npm,
        mains: packages.len(),
        packages,
        program,
        python: None,
        args,
    })
}

/// `npm exec` reads options wherever they stand, up to `--`, which it takes away.
fn npm_exec_args<'a>(rest: impl Iterator<Item = &'a str>) -> Result<Vec<String>, LauncherError> {
    let mut args = Vec::new();
    let mut ended = false;
    for word in rest {
        if !ended && word == "--" {
            ended = true;
        } else if !ended && word.starts_with('-') {
            let option = word.to_owned();
            return Err(LauncherError::Ambiguous { option });
        } else {
            args.push(word.to_owned());
        }
    }
    Ok(args)
}
