//! Reads a configuration file: all of its mistakes, or the configuration.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use portcullis_proxy::config::auth::Auth;
use portcullis_proxy::config::sandbox::Sandbox;
use serde::Deserialize;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::document::{Document, Path, each_string, locate, remove};
use super::mistakes::{Mistake, Mistakes, Weight};
use super::secrets::{self, Hidden};
use super::shape::Shape;
use super::{rules, schema};
use crate::environment::Environment;

/// Largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How many values that cannot be read are named before the rest is left for the next time.
const UNREADABLE_MAX: usize = 50;

/// A configuration that can be used.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What the file says; relative paths start at its directory.
    pub config: Config,
    /// What somebody should look at.
    pub warnings: Mistakes,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// The file itself cannot be had.
    #[error("the configuration file `{}` cannot be read", path.display())]
    File {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// What stands in it is wrong.
    #[error("the configuration has {} that must be mended", mistakes_in_words(.0.count(Weight::Error)))]
    Mistakes(Mistakes),
}

fn mistakes_in_words(count: usize) -> String {
    if count == 1 {
        "a mistake".to_owned()
    } else {
        format!("{count} mistakes")
    }
}

/// Reads `path`. `listen` stands for the file's `listen.address`, and `also` may note further
/// mistakes in a configuration that could be read.
pub(crate) fn load(
    path: &FilePath,
    environment: &Environment,
    listen: Option<SocketAddr>,
    also: impl FnOnce(&Config, &Document<'_>) -> Vec<Mistake>,
) -> Result<Loaded, Unusable> {
    let bytes = read(path).map_err(|cause| Unusable::File {
        path: path.to_owned(),
        cause,
    })?;
    let name = path.display().to_string();
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(invalid) => {
            let at = invalid.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(invalid.as_bytes()).into_owned();
            let end = text
                .get(at..)
                .and_then(|t| t.chars().next())
                .map_or(at, |c| at + c.len_utf8());
            let mistake = Mistake::error("syntax", at..end, "the file is not UTF-8 text", "here")
                .hint("save the file as UTF-8");
            return Err(Unusable::Mistakes(Mistakes::new(name, text, vec![mistake])));
        }
    };
    let base = path.parent().unwrap_or(FilePath::new("."));
    let Read {
        config,
        shown,
        list,
    } = parse(&text, base, environment, listen, also);
    let mistakes = Mistakes::new(name, shown, list);
    match config {
        Some(config) if !mistakes.refuse() => Ok(Loaded {
            config: Config {
                file: std::path::absolute(path).ok(),
                ..config
            },
            warnings: mistakes,
        }),
        _ => Err(Unusable::Mistakes(mistakes)),
    }
}

fn read(path: &FilePath) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 4 MiB",
        ));
    }
    Ok(bytes)
}

struct Read {
    config: Option<Config>,
    /// The text without the secrets that it spells out.
    shown: String,
    list: Vec<Mistake>,
}

fn parse(
    text: &str,
    base: &FilePath,
    environment: &Environment,
    listen: Option<SocketAddr>,
    also: impl FnOnce(&Config, &Document<'_>) -> Vec<Mistake>,
) -> Read {
    let mut list = Vec::new();
    let (mut root, errors) = DeTable::parse_recoverable(text);
    let hidden = secrets::resolve(&mut root, text, base, environment, &mut list);
    let shown = masked(text, &root, &hidden);
    if !errors.is_empty() {
        // What the parser guessed beyond the first mistakes is not worth checking.
        list.clear();
        list.extend(syntax(text, &errors));
        return Read {
            config: None,
            shown: masked_lines(&shown),
            list,
        };
    }
    let document = Document::new(root.clone());
    let schema = schema();
    let unresolved: Vec<_> = list.iter().map(|m| m.span.clone()).collect();
    Shape::new(&schema, &hidden).check(&mut root, &mut list);
    let config = deserialize(root, &hidden, &mut list);
    let config = config.map(|mut config| {
        if let Some(address) = listen {
            config.listen.address = address;
        }
        list.extend(rules::check(&config, &document, &hidden));
        anchor(&mut config, base);
        list.extend(also(&config, &document));
        config
    });
    // A value that is not known has no other mistakes.
    let around = |at: &Range<usize>, m: &Mistake| m.span.start <= at.start && at.end <= m.span.end;
    list.retain(|m| m.code == secrets::UNRESOLVED || !unresolved.iter().any(|at| around(at, m)));
    Read {
        config,
        shown,
        list,
    }
}

/// The first mistake of each table. After one the parser guesses, and most of what it says further
/// on follows from the first.
fn syntax(text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let mut errors: Vec<_> = errors.iter().collect();
    errors.sort_by_key(|error| error.span().unwrap_or(0..0).start);
    let mut list: Vec<Mistake> = Vec::new();
    for error in errors {
        let mut span = error.span().unwrap_or(0..0);
        let follows = list.last().is_some_and(|last| {
            let between = text.get(last.span.start..span.start).unwrap_or_default();
            !between.contains("\n[")
        });
        if follows {
            continue;
        }
        // At the end of a line the last character is what a person looks at.
        let before = text.get(..span.start).unwrap_or_default();
        let at_end = text
            .get(span.start..)
            .is_none_or(|rest| rest.is_empty() || rest.starts_with(['\r', '\n']));
        if let Some(last) = before.chars().next_back().filter(|c| at_end && *c != '\n') {
            span = span.start - last.len_utf8()..span.start;
        }
        let message = format!("this is not TOML: {}", error.message());
        list.push(Mistake::error("syntax", span, message, "here"));
    }
    list
}

/// Reads the values, taking out each that cannot be read, so that all of them are noted.
fn deserialize(
    mut root: Spanned<DeTable<'_>>,
    hidden: &Hidden,
    mistakes: &mut Vec<Mistake>,
) -> Option<Config> {
    for _ in 0..UNREADABLE_MAX {
        let error = match Config::deserialize(toml::de::Deserializer::from(root.clone())) {
            Ok(config) => return Some(config),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let path = locate(root.get_ref(), &span);
        let name = path.as_ref().map(ToString::to_string).unwrap_or_default();
        let message = if hidden.contains(&span) {
            format!("`{name}` cannot be what the reference stands for")
        } else {
            format!("`{name}` cannot be read: {}", error.message())
        };
        let mistake = Mistake::error("bad-value", span, message, "not understood");
        let hint = path.as_ref().and_then(|path| hint(path.name()));
        mistakes.push(Mistake {
            hint: hint.map(str::to_owned),
            ..mistake
        });
        remove(root.get_mut(), &path?);
    }
    None
}

fn hint(name: &str) -> Option<&'static str> {
    match name {
        "address" => {
            Some("write an IP address and a port, such as `127.0.0.1:8420` or `[::1]:8420`")
        }
        _ => None,
    }
}

/// Makes relative paths start at the configuration file's directory.
fn anchor(config: &mut Config, base: &FilePath) {
    let anchor = |path: &mut PathBuf| *path = base.join(&*path);
    if let Some(tls) = &mut config.listen.tls {
        anchor(&mut tls.certificate);
        anchor(&mut tls.key);
    }
    config.state.directory.as_mut().map(anchor);
    config.policy.files.iter_mut().for_each(anchor);
    for server in config.policy.servers.values_mut() {
        server.roots.iter_mut().for_each(anchor);
    }
    for server in config.servers.values_mut() {
        server.cwd.as_mut().map(anchor);
        let Sandbox { read, write, .. } = &mut server.sandbox;
        for word in read.iter_mut().chain(write).flatten() {
            // What begins with `~` starts at the home directory.
            if !word.starts_with('~') {
                *word = base.join(&*word).to_string_lossy().into_owned();
            }
        }
        let auth = server.auth.as_mut();
        auth.and_then(Auth::paths_mut).map(anchor);
    }
}

/// Whether a string is a credential by its place, its name or its form.
fn may_be_secret(path: &Path, text: &str) -> bool {
    let name = path.name().to_ascii_lowercase();
    let named = [
        "token",
        "secret",
        "password",
        "credential",
        "auth",
        "api_key",
        "apikey",
    ];
    match path.keys().as_slice() {
        ["clients", ..]
        | ["servers", _, "env" | "headers", ..]
        | ["servers", _, "auth", .., "key"] => true,
        // A user name and a password may stand before the host.
        ["servers", _, "url"] => text.contains('@'),
        // The kind of a credential, and names of what is kept elsewhere.
        ["servers", _, "auth", "kind" | "secret"] | ["servers", _, "auth", .., "sealed_secret"] => {
            false
        }
        _ => named.iter().any(|part| name.contains(part)),
    }
}

/// `text` with an asterisk for each byte of a secret that it spells out.
fn masked(text: &str, root: &Spanned<DeTable<'_>>, hidden: &Hidden) -> String {
    let mut spans = Vec::new();
    let mut root = root.clone();
    for (key, value) in root.get_mut().iter_mut() {
        each_string(
            &Path::default().key(key.get_ref()),
            value,
            &mut |path, value| {
                let DeValue::String(text) = value.get_ref() else {
                    return;
                };
                if may_be_secret(path, text) && !hidden.contains(&value.span()) {
                    spans.push(value.span());
                }
            },
        );
    }
    mask(text, &spans)
}

/// `text` with an asterisk for each byte of a value that may be a secret. Which values are cannot be
/// told from a file that is not TOML, so only those of settings that never are one stay.
fn masked_lines(text: &str) -> String {
    let schema = schema();
    let mut harmless = BTreeSet::new();
    collect_properties(&schema, &mut harmless);
    let secrets = [
        "token", "env", "headers", "auth", "client", "secret", "key", "provider",
    ];
    for secret in secrets {
        harmless.remove(secret);
    }
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let value = match line.split_once('=') {
            Some((key, _)) if harmless.contains(key.trim()) => end,
            Some((key, _)) => start + key.len() + 1,
            None if line.trim_start().starts_with('[') => end,
            None => start,
        };
        spans.push(value..end);
        start = end;
    }
    mask(text, &spans)
}

fn collect_properties<'s>(schema: &'s Json, names: &mut BTreeSet<&'s str>) {
    match schema {
        Json::Object(members) => {
            if let Some(Json::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().map(String::as_str));
            }
            members
                .values()
                .for_each(|inner| collect_properties(inner, names));
        }
        Json::Array(items) => items
            .iter()
            .for_each(|inner| collect_properties(inner, names)),
        _ => {}
    }
}

fn mask(text: &str, spans: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let inside = spans.iter().any(|span| span.contains(&at));
        if inside && !matches!(c, '"' | '\'' | ' ' | '\t' | '\n' | '\r') {
            out.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
