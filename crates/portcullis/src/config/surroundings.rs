//! What a good configuration may still lack on this machine: programs, files and directories.
//!
//! These are warnings: the file may be checked on another machine than the one that runs it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path as FilePath;

use portcullis_proxy::config::Server;

use super::Config;
use super::document::{Document, Path};
use super::mistakes::{Mistake, nearest};
use crate::environment::Environment;
use crate::profile;

/// Everything that this machine lacks.
pub(crate) fn check(
    config: &Config,
    document: &Document<'_>,
    environment: &Environment,
) -> Vec<Mistake> {
    let mut found = Vec::new();
    if let Some(tls) = &config.listen.tls {
        for (key, path) in [("certificate", &tls.certificate), ("key", &tls.key)] {
            if !path.is_file() {
                let span = document.value_span(&Path::of(["listen", "tls", key]));
                let message = format!("there is no file `{}`", path.display());
                let hint = "a relative path starts at the configuration file's directory";
                found.push(Mistake::warning("no-file", span, message, "not found").hint(hint));
            }
        }
    }
    for (name, server) in &config.servers {
        let path = Path::of(["servers", name]);
        if let Some(cwd) = server.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
            let span = document.value_span(&path.key("cwd"));
            let message = format!("there is no directory `{}`", cwd.display());
            let hint = "a relative path starts at the configuration file's directory";
            found.push(Mistake::warning("no-directory", span, message, "not found").hint(hint));
        }
        found.extend(program(&path, server, document, environment));
        found.extend(granted(&path, server, document, environment));
        for (i, variable) in server.pass_env.iter().enumerate() {
            if !variable.is_empty() && environment.get(variable).is_none() {
                let span = document.value_span(&path.key("pass_env").index(i));
                let message = format!("the environment variable `{variable}` is not set");
                let hint = "set it in the gateway's environment";
                found.push(Mistake::warning("no-variable", span, message, "not set").hint(hint));
            }
        }
    }
    found
}

/// What a local server is granted and is not there: it would not start.
fn granted(
    path: &Path,
    server: &Server,
    document: &Document<'_>,
    environment: &Environment,
) -> Vec<Mistake> {
    let home = profile::home(environment);
    let lists = [
        ("read", &server.sandbox.read),
        ("write", &server.sandbox.write),
    ];
    let words = lists.into_iter().flat_map(|(key, words)| {
        let words = words.iter().flatten().enumerate();
        words.map(move |(index, word)| (key, index, word))
    });
    let missing = words.filter_map(|(key, index, word)| {
        let granted = profile::expanded(word, home).unwrap_or_else(|| word.into());
        if granted.exists() {
            return None;
        }
        let span = document.value_span(&path.key("sandbox").key(key).index(index));
        let message = format!("there is no file or directory `{}`", granted.display());
        let hint = "create it: a server does not start that is granted what is not there";
        Some(Mistake::warning("no-file", span, message, "not found").hint(hint))
    });
    missing.collect()
}

fn program(
    path: &Path,
    server: &Server,
    document: &Document<'_>,
    environment: &Environment,
) -> Option<Mistake> {
    let program = server
        .command
        .first()
        .filter(|program| !program.trim().is_empty())?;
    if program.contains(' ') && !program.contains('/') {
        // The rules have said what is odd about it.
        return None;
    }
    let span = document.value_span(&path.key("command").index(0));
    if program.contains('/') {
        let base = server.cwd.as_deref().unwrap_or(FilePath::new("."));
        if is_program(&base.join(program)) {
            return None;
        }
        let message = format!("there is no program `{program}`");
        return Some(Mistake::warning("no-program", span, message, "not found"));
    }
    let own = server.env.get("PATH").map(std::ffi::OsStr::new);
    let search = own.or_else(|| environment.get("PATH")).unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(search).collect();
    if directories
        .iter()
        .any(|directory| is_program(&directory.join(program)))
    {
        return None;
    }
    let message = format!("there is no program `{program}` on `PATH`");
    let mistake = Mistake::warning("no-program", span, message, "not found");
    let known = [
        "npx", "uvx", "uv", "node", "bunx", "python3", "python", "docker", "deno", "podman",
    ];
    Some(
        match nearest(program, known).filter(|name| name != program) {
            Some(name) => mistake.hint(format!("did you mean `{name}`?")),
            None => mistake.hint("install it, or write its whole path"),
        },
    )
}

fn is_program(path: &FilePath) -> bool {
    path.metadata()
        .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
