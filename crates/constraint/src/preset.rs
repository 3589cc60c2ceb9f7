//! Rules for public servers, as files that anybody can read.
//!
//! A preset says what a server's tools do and what their arguments should be. It is a proposal: it
//! takes effect when a person has put it into the configuration.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::rule::{Rule, Rules};

/// What a preset writes in the place of the directories that the server is meant to work in.
const ROOTS: &str = "{roots}";

/// Each preset by name.
const FILES: &[(&str, &str)] = &[
    ("context7", include_str!("../presets/context7.toml")),
    (
        "desktop-commander",
        include_str!("../presets/desktop-commander.toml"),
    ),
    (
        "mcp-server-docker",
        include_str!("../presets/mcp-server-docker.toml"),
    ),
    (
        "mcp-server-fetch",
        include_str!("../presets/mcp-server-fetch.toml"),
    ),
    (
        "mcp-server-git",
        include_str!("../presets/mcp-server-git.toml"),
    ),
    (
        "mcp-server-kubernetes",
        include_str!("../presets/mcp-server-kubernetes.toml"),
    ),
    (
        "mcp-server-sqlite",
        include_str!("../presets/mcp-server-sqlite.toml"),
    ),
    (
        "mcp-server-time",
        include_str!("../presets/mcp-server-time.toml"),
    ),
    ("notion-mcp", include_str!("../presets/notion-mcp.toml")),
    (
        "playwright-mcp",
        include_str!("../presets/playwright-mcp.toml"),
    ),
    (
        "server-brave-search",
        include_str!("../presets/server-brave-search.toml"),
    ),
    (
        "server-everything",
        include_str!("../presets/server-everything.toml"),
    ),
    (
        "server-filesystem",
        include_str!("../presets/server-filesystem.toml"),
    ),
    (
        "server-github",
        include_str!("../presets/server-github.toml"),
    ),
    (
        "server-gitlab",
        include_str!("../presets/server-gitlab.toml"),
    ),
    (
        "server-google-maps",
        include_str!("../presets/server-google-maps.toml"),
    ),
    (
        "server-memory",
        include_str!("../presets/server-memory.toml"),
    ),
    (
        "server-postgres",
        include_str!("../presets/server-postgres.toml"),
    ),
    (
        "server-puppeteer",
        include_str!("../presets/server-puppeteer.toml"),
    ),
    (
        "server-sequential-thinking",
        include_str!("../presets/server-sequential-thinking.toml"),
    ),
    ("server-slack", include_str!("../presets/server-slack.toml")),
];

/// The rules for one public server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Packages, modules and images that the server is started from.
    pub packages: Vec<String>,
    /// What its process needs.
    #[serde(default)]
    pub process: Process,
    /// Its tools by name. What is not here is not known.
    pub tools: BTreeMap<String, Tool>,
}

/// What the process of a public server needs, besides its own program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// What it reaches over the network; `*` is the public internet.
    pub hosts: Vec<String>,
    /// The options whose value is a file or directory that it reads.
    pub reads: Vec<String>,
    /// The options whose value is a file or directory that it writes.
    pub writes: Vec<String>,
    /// Whether it also writes what stands among its arguments without an option.
    pub writes_arguments: bool,
    /// Whether its processes talk to each other by local sockets, as browsers do.
    pub local_sockets: bool,
    /// The variables that name a file of its own, which it keeps, and what the file is called when the operator names none.
    pub keeps: BTreeMap<String, String>,
}

/// A tool of a public server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// What it does.
    pub class: Vec<Class>,
    /// The rules for its arguments; `{roots}` stands for the server's directories.
    #[serde(default)]
    pub arguments: Rules,
}

/// What a tool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It changes nothing.
    ReadOnly,
    /// It adds or changes something.
    Write,
    /// It may take away what cannot be had back.
    Destructive,
    /// It reaches what is outside the server and its own service.
    Network,
    /// It runs code or programs that it is given.
    Executes,
}

/// As a configuration writes it.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::Write => "write",
            Self::Destructive => "destructive",
            Self::Network => "network",
            Self::Executes => "executes",
        })
    }
}

/// Whether a rule speaks of directories that nobody has named.
pub fn lacks_roots(rule: &Rule) -> bool {
    matches!(rule, Rule::Path(path) if path.roots.iter().any(|root| root == ROOTS))
}

/// Why a preset cannot be had.
#[derive(Debug, Error)]
pub enum PresetUnusable {
    /// There is none of that name.
    #[error("no preset is called `{0}`; choose one of those that exist")]
    Unknown(String),
    /// It cannot be read.
    #[error("the preset `{name}` cannot be read; mend its file")]
    Unreadable {
        /// Its name.
        name: String,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
}

/// The names of all presets.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// Reads the preset of that name.
///
/// # Errors
///
/// When there is none, or its file is not well formed.
pub fn load(name: &str) -> Result<Preset, PresetUnusable> {
    let file = FILES.iter().find(|(known, _)| *known == name);
    let (_, text) = file.ok_or_else(|| PresetUnusable::Unknown(name.to_owned()))?;
    toml::from_str(text).map_err(|source| PresetUnusable::Unreadable {
        name: name.to_owned(),
        source: Box::new(source),
    })
}

/// The name of the preset for a server that is started by this command: by the package, module or
/// image among its words, whatever starts it and whichever version is asked for.
pub fn recognise(command: &str, args: &[String]) -> Option<&'static str> {
    let words = || std::iter::once(command).chain(args.iter().map(String::as_str));
    names().find(|name| {
        let preset = load(name).ok();
        preset.is_some_and(|preset| words().any(|word| preset.is_started_by(word)))
    })
}

impl Preset {
    /// The rules for a tool of a server that is meant to work in `roots`; `None` for a tool that
    /// the preset does not know. Where a rule needs roots and there are none, `{roots}` is left in
    /// place, so that [`crate::Constraints::compile`] refuses it.
    pub fn rules(&self, tool: &str, roots: &[String]) -> Option<Rules> {
        let mut rules = self.tools.get(tool)?.arguments.clone();
        for rule in rules.values_mut() {
            if let Rule::Path(path) = rule
                && !roots.is_empty()
                && path.roots.iter().any(|root| root == ROOTS)
            {
                path.roots.retain(|root| root != ROOTS);
                path.roots.extend(roots.iter().cloned());
            }
        }
        Some(rules)
    }

    fn is_started_by(&self, word: &str) -> bool {
        self.packages
            .iter()
            .any(|package| is_package(word, package))
    }
}

/// Whether `word` names `package`: bare, with a version (`@1.2`, `==1.2`, `:tag`), with extras
/// (`[dev]`), or as a file or folder of its.
fn is_package(word: &str, package: &str) -> bool {
    let names = |text: &str| {
        let rest = text.strip_prefix(package);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(['@', ':', '[', '=', '>', '<', '~'])
        })
    };
    let inside = word.rsplit_once("node_modules/").map(|(_, inside)| inside);
    let is_inside = inside
        .and_then(|inside| inside.strip_prefix(package))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let file = word.rsplit_once(['/', '\\']).map(|(_, file)| file);
    let is_program = !package.contains('/') && file.is_some_and(|file| file == package);
    names(word) || is_inside || is_program
}
