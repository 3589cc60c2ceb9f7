//! All rules for one tool, compiled, and what they say of a call.

use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::Value;
use thiserror::Error;
use url::Host;

use crate::pointer::Pointer;
use crate::rule::path::ResolvedPath;
use crate::rule::{Compiled, Mistake, Rules};
use crate::violation::{Reason, Violation};

/// Where the server runs, as far as paths depend on it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where a relative path begins: the server's working directory. Without one, relative paths
    /// are refused wherever a rule has roots.
    pub directory: Option<PathBuf>,
    /// What `~` stands for. Without one, `~` is refused.
    pub home: Option<PathBuf>,
    /// Whose files the paths name.
    pub files: Files,
}

/// Whose files paths name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// This machine's: symbolic links are resolved.
    Here,
    /// Another machine's: only the text of a path can be judged.
    Elsewhere,
}

/// The rules for one tool.
#[derive(Debug)]
pub struct Constraints {
    rules: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    text: String,
    pointer: Pointer,
    kind: &'static str,
    required: bool,
    rule: Compiled,
}

/// A rule that cannot be compiled.
#[derive(Debug, Error)]
#[error("the rule for the argument `{pointer}` cannot be used")]
pub struct InvalidRule {
    /// The pointer as written.
    pub pointer: String,
    /// What is wrong with the rule.
    #[source]
    pub mistake: Mistake,
}

/// What has to happen with arguments that pass.
#[derive(Debug, Default)]
pub struct Checked {
    /// The whole arguments to send in place of those that came, if any was spelt otherwise than it
    /// was understood.
    pub rewritten: Option<Value>,
    /// Hosts the caller has to resolve, and every address of which it has to check.
    pub hosts: Vec<HostToResolve>,
    /// Where the paths led. Ask again after the call ([`ResolvedPath::still_leads_there`]).
    pub paths: Vec<ResolvedPath>,
}

/// A host that an argument names. Addresses that are not public are for the caller to refuse,
/// unless they are in `networks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostToResolve {
    /// The argument's JSON pointer, as in [`Violation::pointer`].
    pub pointer: String,
    /// A name in ASCII and lower case, or an address, however it was disguised.
    pub host: Host<String>,
    /// The port; `None` for a bare domain name.
    pub port: Option<u16>,
    /// The networks that are permitted although they are not public.
    pub networks: Vec<IpNet>,
}

impl Constraints {
    /// Compiles rules. Roots are resolved here, once: a root that is swapped for a link later
    /// leads nowhere that is permitted.
    ///
    /// # Errors
    ///
    /// When a rule could not be evaluated as written.
    pub fn compile(rules: &Rules, surroundings: &Surroundings) -> Result<Self, InvalidRule> {
        let compile = |text: &String, rule: &crate::Rule| {
            Ok(Entry {
                text: text.clone(),
                pointer: Pointer::parse(text)?,
                kind: rule.kind(),
                required: rule.required(),
                rule: rule.compile(surroundings)?,
            })
        };
        let entries = rules.iter().map(|(text, rule)| {
            compile(text, rule).map_err(|mistake| InvalidRule {
                pointer: text.clone(),
                mistake,
            })
        });
        Ok(Self {
            rules: entries.collect::<Result<_, _>>()?,
        })
    }

    /// Checks the arguments of a call, in the order of the pointers. A rule sees what an earlier
    /// one has rewritten. An argument that no pointer addresses passes.
    ///
    /// Reads the file system for paths that are here; nothing else is asked.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn check(&self, arguments: &Value) -> Result<Checked, Violation> {
        let mut checked = Checked::default();
        for entry in &self.rules {
            entry.check(arguments, &mut checked)?;
        }
        Ok(checked)
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Entry {
    fn check(&self, arguments: &Value, checked: &mut Checked) -> Result<(), Violation> {
        let current = checked.rewritten.as_ref().unwrap_or(arguments);
        let places = self.pointer.find(current);
        let places = places.map_err(|misfit| self.violation(misfit.shown, misfit.reason))?;
        if places.is_empty() && self.required {
            return Err(self.violation(self.text.clone(), Reason::Missing));
        }
        for place in places {
            let current = checked.rewritten.as_ref().unwrap_or(arguments);
            let Some(value) = current.pointer(&place.exact) else {
                return Err(self.violation(place.shown, Reason::Malformed));
            };
            let passed = self.rule.check(value);
            let passed = passed.map_err(|reason| self.violation(place.shown.clone(), reason))?;
            checked
                .hosts
                .extend(passed.hosts.into_iter().map(|host| HostToResolve {
                    pointer: place.shown.clone(),
                    ..host
                }));
            checked.paths.extend(
                passed
                    .paths
                    .into_iter()
                    .map(|path| path.at(place.shown.clone())),
            );
            if let Some(new) = passed.rewritten {
                let whole = checked.rewritten.get_or_insert_with(|| arguments.clone());
                if let Some(old) = whole.pointer_mut(&place.exact) {
                    *old = new;
                }
            }
        }
        Ok(())
    }

    fn violation(&self, pointer: String, reason: Reason) -> Violation {
        Violation {
            pointer,
            kind: self.kind,
            reason,
        }
    }
}
