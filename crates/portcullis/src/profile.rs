//! What each local server is granted: what the configuration says, and for what it does not say, what the command itself names
//! and what is known of a public server. `portcullis sandbox plan` prints it.

mod hidden;
mod known;
mod settled;

use std::fmt;
use std::path::{Path, PathBuf};

use portcullis_constraint::preset;
use portcullis_egress::{Rule, RuleError};
use portcullis_package::Launcher;
use portcullis_proxy::config::Server;
use portcullis_proxy::config::sandbox::{EgressRule, Tier};

use crate::config::Config;
use crate::environment::Environment;

pub(crate) use hidden::hidden;
pub(crate) use settled::{Settled, grants, settle};

/// Programs that start a server elsewhere, outside of whatever they are in themselves.
const ELSEWHERE: [&str; 4] = ["docker", "podman", "ssh", "kubectl"];

/// Programs whose first argument is a script, less the digits of a version.
const INTERPRETERS: [&str; 9] = [
    "sh", "bash", "node", "python", "deno", "bun", "ruby", "perl", "php",
];

/// What one local server is granted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    /// By what it is confined, and why if not by the gateway.
    pub tier: Tier,
    pub reason: Option<String>,
    /// What it may read.
    pub reads: Vec<Grant<PathBuf>>,
    /// What it may also write.
    pub writes: Vec<Grant<PathBuf>>,
    /// What it may reach over the network.
    pub egress: Vec<Grant<EgressRule>>,
    /// The command, with paths written out.
    pub command: Vec<String>,
    /// Variables that it gets besides those of its entry.
    pub env: Vec<(String, String)>,
    /// Whether its own processes may talk by local sockets.
    pub local_sockets: bool,
    /// A directory that the gateway makes for it.
    pub own: Option<PathBuf>,
}

/// Something granted, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grant<T> {
    pub what: T,
    pub why: Why,
}

/// Why something is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The configuration says so.
    Configured,
    /// The command names it.
    Argument,
    /// It is the directory to work in.
    Directory,
    /// It is known of this public server.
    Known(&'static str),
    /// The server keeps its own files there.
    Own,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("configured"),
            Self::Argument => f.write_str("named by the command"),
            Self::Directory => f.write_str("its working directory"),
            Self::Known(preset) => write!(f, "known of {preset}"),
            Self::Own => f.write_str("its own files"),
        }
    }
}

/// Why a server's profile cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidProfile {
    /// Not confined, and nobody says why.
    #[error("`sandbox.tier = \"{0}\"` needs a `reason`; write why the gateway does not confine it")]
    NoReason(&'static str),
    /// Its program starts something elsewhere.
    #[error(
        "`{0}` starts the server where this gateway cannot confine it; if what it starts is confined there, say so by \
         `sandbox = {{ tier = \"external\", reason = \"…\" }}`"
    )]
    Elsewhere(String),
    /// The whole file system.
    #[error("`/` is too much to grant; name the directories that the server works in")]
    Everything,
    /// The network cannot be guarded without namespaces.
    #[error(
        "`sandbox.tier = \"confined\"` cannot guard a network; write `hosts = []`, or use the tier `full`"
    )]
    ConfinedNetwork,
}

/// Where the words of a configuration lead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The user's home directory.
    pub home: Option<&'a Path>,
    /// The directory that the gateway was started in.
    pub directory: &'a Path,
    /// The gateway's state directory.
    pub state: &'a Path,
}

impl Place<'_> {
    /// Where servers keep files of their own: beside the state directory, which no server sees.
    fn own_files(&self) -> PathBuf {
        let mut name = self.state.file_name().unwrap_or_default().to_owned();
        name.push("-servers");
        self.state.with_file_name(name)
    }
}

impl Profile {
    /// That of the local server `name`.
    pub(crate) fn of(
        name: &str,
        server: &Server,
        config: &Config,
        place: Place<'_>,
    ) -> Result<Self, InvalidProfile> {
        let settings = &server.sandbox;
        let (tier, reason) = match settings.tier {
            Some(tier) => (tier, &settings.reason),
            None => (config.sandbox.tier, &config.sandbox.reason),
        };
        let words = Words {
            server,
            place,
            directory: server.cwd.as_deref().unwrap_or(place.directory),
        };
        let is_confined = matches!(tier, Tier::Full | Tier::Confined);
        let mut profile = Self {
            command: words.command(is_confined && server.cwd.is_none()),
            tier,
            reason: reason.clone(),
            reads: Vec::new(),
            writes: Vec::new(),
            egress: Vec::new(),
            env: Vec::new(),
            local_sockets: false,
            own: None,
        };
        if !is_confined {
            let named = if tier == Tier::Off { "off" } else { "external" };
            return match reason.as_deref().map(str::trim) {
                None | Some("") => Err(InvalidProfile::NoReason(named)),
                Some(_) => Ok(profile),
            };
        }
        if let Some(program) = elsewhere(server) {
            return Err(InvalidProfile::Elsewhere(program.to_owned()));
        }
        let known = known::Known::of(&words);
        profile.reads = match &settings.read {
            Some(paths) => words.configured(paths),
            None => known.reads(&words)?,
        };
        profile.writes = match &settings.write {
            Some(paths) => words.configured(paths),
            None => known.writes(&words)?,
        };
        // What is only inferred takes nothing away.
        let writes = &profile.writes;
        let is_written = |path: &Path| writes.iter().any(|grant| path.starts_with(&grant.what));
        profile
            .reads
            .retain(|grant| grant.why == Why::Configured || !is_written(&grant.what));
        let (env, own) = known.keeps(name, &words);
        if let Some(own) = own {
            profile.writes.push(Grant {
                what: own.clone(),
                why: Why::Own,
            });
            profile.own = Some(own);
        }
        profile.env = env;
        profile.local_sockets = settings.local_sockets || known.local_sockets();
        profile.egress = words.egress(&known);
        if tier == Tier::Confined && !profile.egress.is_empty() {
            return Err(InvalidProfile::ConfinedNetwork);
        }
        Ok(profile)
    }
}

/// A server's command, and where its words lead.
#[derive(Clone, Copy, Debug)]
struct Words<'a> {
    server: &'a Server,
    place: Place<'a>,
    /// What relative paths are relative to.
    directory: &'a Path,
}

impl Words<'_> {
    /// The words after the program, each with whether it may be meant as a path. Which package, module or script is run is not
    /// what it works on; after that a bare name may be a path of a public server, whose arguments are known. Elsewhere only what
    /// has a slash may be one, or is `.` or the like.
    fn arguments(&self) -> impl Iterator<Item = (&str, bool)> {
        let words = &self.server.command;
        let is_package = |word: &String| preset::recognise(word, &[]).is_some();
        // What stands behind the package is the server's, whatever the package is called.
        let own = self.launched().map(|args| words.len() - args);
        let package = words.iter().position(is_package);
        let script = self.script();
        words.iter().enumerate().skip(1).map(move |(index, word)| {
            let value = value_of(word);
            let has_form = value.contains('/') || matches!(value, "." | ".." | "~");
            let is_excluded =
                value.starts_with('-') || value.contains("://") || value.contains('\0');
            let may_be_path = match package {
                Some(package) => index > package,
                None => own.is_none_or(|own| index >= own) && (has_form || script == Some(index)),
            };
            (&**word, may_be_path && !is_excluded)
        })
    }

    /// How many words are the server's own arguments, where the command runs a package.
    fn launched(&self) -> Option<usize> {
        let launcher = Launcher::parse(&self.server.command).ok().flatten()?;
        let is_end = self.server.command.ends_with(&launcher.args);
        is_end.then_some(launcher.args.len())
    }

    /// The place of the script among the words, where the program is an interpreter.
    fn script(&self) -> Option<usize> {
        let program = Path::new(self.server.command.first()?).file_name()?;
        let name = program
            .to_str()?
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let mut words = self.server.command.iter().enumerate().skip(1);
        let (index, _) = words.find(|(_, word)| !word.starts_with('-'))?;
        INTERPRETERS.contains(&name).then_some(index)
    }

    /// The command as it is executed: no shell reads it, so that `~` is written out here; and, if asked, relative paths, since a
    /// confined server without a directory to work in starts in an empty one.
    fn command(&self, even_relative: bool) -> Vec<String> {
        let program = self
            .server
            .command
            .first()
            .map(|it| self.written_out(it, false));
        let rest = self
            .arguments()
            .map(|(word, is_path)| self.written_out(word, even_relative && is_path));
        program.into_iter().chain(rest).collect()
    }

    fn written_out(&self, word: &str, even_relative: bool) -> String {
        let value = value_of(word);
        let from_home = expanded(value, self.place.home);
        let path = from_home.or_else(|| {
            let may_be = even_relative && !value.is_empty() && !value.starts_with('/');
            let path = self.directory.join(value);
            may_be.then(|| path.canonicalize().ok()).flatten()
        });
        let option = word.strip_suffix(value).unwrap_or_default();
        match path.as_deref().and_then(Path::to_str) {
            None => word.to_owned(),
            Some(path) => format!("{option}{path}"),
        }
    }

    /// The path that a word means, wherever that is.
    fn path(&self, word: &str) -> PathBuf {
        expanded(word, self.place.home).unwrap_or_else(|| self.directory.join(word))
    }

    /// The file or directory that a word means; `None` when there is none.
    fn existing(&self, word: &str) -> Result<Option<PathBuf>, InvalidProfile> {
        if word.is_empty() || word.contains('\0') {
            return Ok(None);
        }
        match self.path(word).canonicalize() {
            Ok(path) if path == Path::new("/") => Err(InvalidProfile::Everything),
            Ok(path) => Ok(Some(path)),
            Err(_absent) => Ok(None),
        }
    }

    /// What the configuration names. What does not exist stays as it is: a server that is granted it does not start.
    fn configured(&self, paths: &[String]) -> Vec<Grant<PathBuf>> {
        let grant = |word: &String| Grant {
            what: self.path(word),
            why: Why::Configured,
        };
        paths.iter().map(grant).collect()
    }

    /// What it may reach: what the configuration says, or what is known.
    fn egress(&self, known: &known::Known) -> Vec<Grant<EgressRule>> {
        let settings = &self.server.sandbox;
        let plain = |host: &String, why: Why| Grant {
            what: EgressRule {
                host: host.clone(),
                private: false,
                methods: None,
                tools: None,
            },
            why,
        };
        let mut rules: Vec<_> = match &settings.hosts {
            Some(hosts) => hosts
                .iter()
                .map(|host| plain(host, Why::Configured))
                .collect(),
            // Who says more about some hosts has said what there is.
            None if settings.egress.is_empty() => {
                known.hosts().map(|(host, why)| plain(host, why)).collect()
            }
            None => Vec::new(),
        };
        rules.extend(settings.egress.iter().map(|rule| Grant {
            what: rule.clone(),
            why: Why::Configured,
        }));
        rules
    }
}

/// The program of a server's command, if it is one that starts the server elsewhere.
pub(crate) fn elsewhere(server: &Server) -> Option<&'static str> {
    let program = Path::new(server.command.first()?).file_name()?.to_str()?;
    ELSEWHERE.into_iter().find(|known| *known == program)
}

/// A rule of egress as the configuration writes it.
pub(crate) fn egress_rule(written: &EgressRule) -> Result<Rule, RuleError> {
    let mut rule: Rule = written.host.parse()?;
    if written.private {
        rule = rule.private();
    }
    if let Some(methods) = &written.methods {
        rule = rule.methods(methods.iter().map(String::as_str))?;
    }
    match &written.tools {
        Some(tools) => rule.tools(tools.iter().map(String::as_str)),
        None => Ok(rule),
    }
}

/// What stands behind an option's `=`, or the word itself.
fn value_of(word: &str) -> &str {
    match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => value,
        _ => word,
    }
}

/// A path that begins with the home directory, as shells write it.
pub(crate) fn expanded(word: &str, home: Option<&Path>) -> Option<PathBuf> {
    let rest = word.strip_prefix('~')?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(home?.join(rest)),
        None if rest.is_empty() => home.map(Path::to_owned),
        None => None,
    }
}

/// The home directory that the environment names.
pub(crate) fn home(environment: &Environment) -> Option<&Path> {
    let home = environment.get("HOME").map(Path::new);
    home.filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests;
