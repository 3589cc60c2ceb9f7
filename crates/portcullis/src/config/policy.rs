//! The table `policy`: what may be done, by whom, with which arguments, and after whose yes.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_constraint::Rules;
use portcullis_policy::PolicyFile;
use portcullis_proxy::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::permissions::RefusedPolicies;

/// The largest policy file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What may be done.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    /// The policies to begin from, to which those of `files` are added. When absent: none if there are `files`, else
    /// `developer-laptop`, or `team` for a gateway that listens beyond this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Files of Cedar policies, whose names end in `.cedar`, and of constraints, whose names end in `.toml`; or directories of
    /// both. What a file of constraints says under `servers` counts as if it stood here, unless another word stands here.
    pub files: Vec<PathBuf>,
    /// How people are asked about calls.
    pub approvals: Approvals,
    /// What holds for each server, by its name.
    pub servers: BTreeMap<String, Server>,
}

/// Policies to begin from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    /// Nothing is permitted but what `files` permit.
    None,
    /// Tools that say they only read, resources, prompts and lists.
    ReadOnly,
    /// Everything; calls that say they destroy need a person's yes.
    DeveloperLaptop,
    /// As `developer-laptop`, for people who are known; what destroys is for the group `admins`.
    Team,
    /// Lists alone.
    LockedDown,
}

/// How people are asked about calls.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Approvals {
    /// How long a question may be answered, and the answer used.
    pub life: Duration,
    /// How many questions one caller may raise within `window`, and how often each is put before somebody.
    pub asks_max: u32,
    /// The time in which questions are counted.
    pub window: Duration,
    /// How long a no stands for the same call.
    pub no_stands: Duration,
    /// Groups of accounts that may answer the questions about anybody's calls, on the gateway's own page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approver_groups: Vec<Box<str>>,
    /// What is told of every new question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// What is told of every new question, by a POST in the form of Standard Webhooks.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    /// The address, over `https`, or `http` to this machine.
    pub url: String,
    /// The secret that messages are signed with: `whsec_`, and 24 to 64 bytes in base64. Write `${NAME}` or `${file:PATH}` rather
    /// than the secret itself.
    pub secret: String,
    /// Whether messages have the exact arguments of calls in them.
    #[serde(default)]
    pub arguments: bool,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(300),
            asks_max: 10,
            window: Duration::from_secs(600),
            no_stands: Duration::from_secs(600),
            approver_groups: Vec::new(),
            webhook: None,
        }
    }
}

/// What holds for one server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Whether what policies and constraints refuse is refused.
    pub mode: Mode,
    /// Whether the arguments of calls are kept whole in the record, in the clear: always so while `mode` is `observe`.
    pub keep_arguments: bool,
    /// Constraints made for a public server, by its name; `none` for no such. Found by the server's command when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The directories that the server is meant to work in, for constraints that need them; those among its arguments when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<PathBuf>,
    /// Its tools, by name; what stands under `*` is for all of them.
    pub tools: BTreeMap<String, Tool>,
}

/// Whether what policies and constraints refuse is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// It is.
    #[default]
    Enforce,
    /// It is recorded and let through. Authentication, scopes, schemas and bounds hold all the same.
    Observe,
}

/// What holds for one tool.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tool {
    /// Sets that policies may speak of, such as `read-only`.
    pub classes: BTreeSet<String>,
    /// Labels of the data that it returns.
    pub labels: BTreeSet<String>,
    /// What its arguments are held to, by JSON pointer (RFC 6901), where `*` stands for any element: `"/paths/*"`.
    pub arguments: Rules,
}

/// A policy file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the policies in `{}` cannot be read", path.display())]
pub(crate) struct UnreadablePolicies {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl Config {
    /// The policies of the preset and the files, in order. The constraints in the files are put among those that stand in the
    /// configuration.
    ///
    /// # Errors
    ///
    /// `UnreadablePolicies` for a file that cannot be had, `RefusedPolicies` for mistakes in constraints. Mistakes in policies
    /// are found when they are compiled.
    pub(crate) fn read_policies(&mut self, is_local: bool) -> anyhow::Result<Vec<PolicyFile>> {
        let mut files: Vec<PolicyFile> = self.policy.preset_file(is_local).into_iter().collect();
        let mut constraints = Vec::new();
        for path in &self.policy.files {
            let unreadable = |cause| UnreadablePolicies {
                path: path.clone(),
                cause,
            };
            for path in files_of(path).map_err(unreadable)? {
                let file = PolicyFile {
                    text: read(&path).map_err(unreadable)?.into(),
                    name: path.display().to_string().into(),
                };
                if has_extension(&path, "toml") {
                    constraints.push(file);
                } else {
                    files.push(file);
                }
            }
        }
        self.take_rules(&constraints)?;
        Ok(files)
    }

    /// Puts the constraints of files among those that stand in the configuration, whose own word counts.
    ///
    /// # Errors
    ///
    /// The mistakes in the files, such as a server that is not configured.
    pub(crate) fn take_rules(&mut self, files: &[PolicyFile]) -> Result<(), RefusedPolicies> {
        let known = self.servers.keys().cloned().collect();
        for (server, tools) in rules::read(files, &known)? {
            let of_server = self.policy.servers.entry(server).or_default();
            for (name, tool) in tools {
                let own = of_server.tools.entry(name).or_default();
                own.classes.extend(tool.classes);
                own.labels.extend(tool.labels);
                for (pointer, rule) in tool.arguments {
                    own.arguments.entry(pointer).or_insert(rule);
                }
            }
        }
        Ok(())
    }
}

impl Policy {
    fn preset_file(&self, is_local: bool) -> Option<PolicyFile> {
        use portcullis_policy::Preset as Given;
        let preset = match self.preset {
            Some(Preset::None) => return None,
            Some(Preset::ReadOnly) => Given::ReadOnly,
            Some(Preset::DeveloperLaptop) => Given::DeveloperLaptop,
            Some(Preset::LockedDown) => Given::LockedDown,
            None if !self.files.is_empty() => return None,
            None if is_local => Given::DeveloperLaptop,
            Some(Preset::Team) | None => Given::Team,
        };
        Some(preset.file())
    }
}

/// The files that a path names: itself, or those in it. Tables for `policy test` lie beside them.
fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let is_table = path.to_string_lossy().ends_with(".test.toml");
        let is_meant = has_extension(&path, "cedar") || has_extension(&path, "toml");
        if is_meant && !is_table && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension == wanted)
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?
        .take(FILE_BYTES_MAX.saturating_add(1))
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 4 MiB",
        ));
    }
    Ok(text)
}
