//! One package as somebody asks for it: a name, and which versions will do.
//!
//! Names become paths and arguments, so that they are held to the registries' own rules and nothing
//! else passes: no path, no address, no option.

use std::sync::LazyLock;

use pep440_rs::{Version, VersionSpecifiers};
use regex::Regex;

use crate::launcher::{Ecosystem, LauncherError};

/// What a package name is at npm: lower case, at most 214 characters, perhaps below a scope. A name
/// may not begin with `.`, `_` or, as here it could be taken for an option, with `-`.
static NPM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?<name>(?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*)(?:@(?<version>.*))?$",
    )
    .ok()
});

/// A distribution tag at npm, which must not read as a range.
static TAG: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z][A-Za-z0-9._-]{0,127}$").ok());

/// What a range at npm is made of. The parser of ranges passes over words that it does not know.
static RANGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const PART: &str = r"(?:\|\||-|[~^<>=]*\s*v?[0-9xX*][0-9A-Za-z.+*-]*)";
    Regex::new(&format!(r"^{PART}(?:\s*{PART})*$")).ok()
});

/// PEP 508's name and extras, then either `@` and one version as `uvx` writes it, or PEP 440's
/// specifiers.
static PYTHON: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^\s*
        (?<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*
        (?:\[\s*(?<extras>[A-Za-z0-9._-]+(?:\s*,\s*[A-Za-z0-9._-]+)*)\s*\])?\s*
        (?:@(?<version>[A-Za-z0-9.!+_-]+)|(?<specifiers>[<>=!~].*))?$",
    )
    .ok()
});

/// Names that npm reserves; the first would also be a path of its own.
const NPM_RESERVED: [&str; 2] = ["node_modules", "favicon.ico"];
const NAME_MAX: usize = 214;

/// A package, and which of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The name: at PyPI in its normalised form (PEP 503).
    pub name: String,
    /// Extras of a Python package (PEP 508), normalised and sorted; none at npm.
    pub extras: Vec<String>,
    /// A range or a tag at npm, never empty; version specifiers (PEP 440) at PyPI, empty for any.
    pub version: String,
}

impl Requirement {
    /// Reads a package as it is written for `ecosystem`.
    ///
    /// # Errors
    ///
    /// [`LauncherError::Spec`] for anything but a name of a registry and versions: addresses, files,
    /// repositories and aliases are refused.
    pub fn parse(ecosystem: Ecosystem, text: &str) -> Result<Self, LauncherError> {
        let parsed = if text.len() > 2 * NAME_MAX {
            None
        } else {
            match ecosystem {
                Ecosystem::Npm => npm(text),
                Ecosystem::PyPi => python(text),
            }
        };
        parsed.ok_or_else(|| LauncherError::Spec {
            spec: text.to_owned(),
            example: match ecosystem {
                Ecosystem::Npm => "@scope/name@1.2.3",
                Ecosystem::PyPi => "name==1.2.3",
            },
        })
    }

    /// As the tools of `ecosystem` write it: `name@range`, or `name[extra]==1.0`.
    pub fn text(&self, ecosystem: Ecosystem) -> String {
        match ecosystem {
            Ecosystem::Npm => format!("{}@{}", self.name, self.version),
            Ecosystem::PyPi if self.extras.is_empty() => format!("{}{}", self.name, self.version),
            Ecosystem::PyPi => format!("{}[{}]{}", self.name, self.extras.join(","), self.version),
        }
    }
}

fn npm(text: &str) -> Option<Requirement> {
    let captures = NPM.as_ref()?.captures(text)?;
    let name = captures.name("name")?.as_str();
    let last = name.rsplit('/').next()?;
    if name.len() > NAME_MAX || NPM_RESERVED.contains(&last) {
        return None;
    }
    let version = captures
        .name("version")
        .map_or("latest", |version| version.as_str());
    let tag = TAG.as_ref()?.is_match(version);
    let range = RANGE.as_ref()?.is_match(version)
        && !version.starts_with('-')
        && !version.contains("--")
        && nodejs_semver::Range::parse(version).is_ok();
    (tag || range).then(|| Requirement {
        name: name.to_owned(),
        extras: Vec::new(),
        version: version.to_owned(),
    })
}

fn python(text: &str) -> Option<Requirement> {
    let captures = PYTHON.as_ref()?.captures(text)?;
    let name = captures.name("name")?.as_str();
    let mut extras: Vec<String> = captures.name("extras").map_or_else(Vec::new, |extras| {
        let names = extras.as_str().split(',');
        names.map(|extra| normalised(extra.trim())).collect()
    });
    extras.sort_unstable();
    extras.dedup();
    let version = match (captures.name("version"), captures.name("specifiers")) {
        (Some(version), _) if version.as_str() == "latest" => String::new(),
        (Some(version), _) => format!("=={}", version.as_str().parse::<Version>().ok()?),
        (None, Some(specifiers)) => specifiers
            .as_str()
            .parse::<VersionSpecifiers>()
            .ok()?
            .to_string()
            .replace(' ', ""),
        (None, None) => String::new(),
    };
    (name.len() <= NAME_MAX).then(|| Requirement {
        name: normalised(name),
        extras,
        version,
    })
}

/// A Python package's name as registries compare it (PEP 503): lower case, and each run of `-`,
/// `_` and `.` one `-`.
pub(crate) fn normalised(name: &str) -> String {
    let parts: Vec<String> = name
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    parts.join("-")
}
