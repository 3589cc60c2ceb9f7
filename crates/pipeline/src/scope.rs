//! Which scope opens what: the check between what a token was granted and what is asked for.
//!
//! A scope is a name for a set of tools, prompts and resources (RFC 6749 §3.3; MCP authorization, "Scope Challenge
//! Handling"). It is necessary, never sufficient: the other checks follow.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobSet, GlobSetBuilder};
use portcullis_mcp::{Object, ServerName, member, method, string};

use crate::principal::Granted;
use crate::{Denial, Request};

/// What one scope opens.
#[derive(Clone, Debug, Default)]
pub struct ScopeRule {
    /// Servers of which it opens everything.
    pub servers: Vec<ServerName>,
    /// Tools, each `SERVER/NAME`, with `*` for any characters.
    pub tools: Vec<String>,
    /// Prompts, likewise.
    pub prompts: Vec<String>,
    /// Resources, each `SERVER/URI`, likewise.
    pub resources: Vec<String>,
    /// Scopes without which it opens nothing.
    pub needs: Vec<String>,
}

/// A scope that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidScope {
    /// A pattern that is none.
    #[error(
        "scope `{scope}`: `{pattern}` is not a pattern; write `SERVER/NAME`, with `*` for any characters"
    )]
    Pattern {
        /// The scope.
        scope: String,
        /// The pattern.
        pattern: String,
    },
    /// It needs a scope that there is not.
    #[error("scope `{scope}` needs `{needs}`, which is not a scope; define it or remove it")]
    Needs {
        /// The scope.
        scope: String,
        /// What it names.
        needs: String,
    },
    /// A name that promises everything.
    #[error("scope `{0}` has a name that says nothing; name it after what it opens")]
    Wildcard(String),
}

/// Names of scopes that open who knows what (MCP security best practices, "Scope Minimization").
const WILDCARDS: [&str; 5] = ["*", "all", "full-access", "omni", "everything"];

/// All scopes, and what they open.
#[derive(Debug, Default)]
pub struct ScopeMap {
    scopes: BTreeMap<Box<str>, Opens>,
}

#[derive(Debug)]
struct Opens {
    servers: BTreeSet<ServerName>,
    /// The servers of which it opens something.
    within: GlobSet,
    tools: GlobSet,
    prompts: GlobSet,
    resources: GlobSet,
    /// The scope itself and all that it needs, directly or not.
    whole: BTreeSet<Box<str>>,
    /// How much it opens, for the choice of the narrowest.
    width: usize,
}

impl ScopeMap {
    /// Compiles the scopes of a configuration.
    pub fn build(rules: &BTreeMap<String, ScopeRule>) -> Result<Self, InvalidScope> {
        let mut scopes = BTreeMap::new();
        for (name, rule) in rules {
            // A server may be called anything; the scope of its name says what it opens.
            let is_of_server = matches!(rule.servers.as_slice(), [one] if one.as_str() == name);
            if WILDCARDS.contains(&name.to_ascii_lowercase().as_str()) && !is_of_server {
                return Err(InvalidScope::Wildcard(name.clone()));
            }
            let opens = Opens {
                servers: rule.servers.iter().cloned().collect(),
                within: within(name, rule)?,
                tools: patterns(name, &rule.tools)?,
                prompts: patterns(name, &rule.prompts)?,
                resources: patterns(name, &rule.resources)?,
                whole: whole(name, rules)?,
                width: width(rule),
            };
            scopes.insert(name.as_str().into(), opens);
        }
        Ok(Self { scopes })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.scopes.keys().map(|name| &**name)
    }

    /// Those that open something of a server, or of any, in order.
    pub fn on<'s>(&'s self, server: Option<&'s ServerName>) -> impl Iterator<Item = &'s str> {
        self.scopes
            .iter()
            .filter(move |(_, opens)| {
                server.is_none_or(|server| {
                    opens.servers.contains(server) || opens.within.is_match(server.as_str())
                })
            })
            .map(|(name, _)| &**name)
    }

    /// Whether a scope needs others besides itself.
    pub fn builds_on_others(&self, scope: &str) -> bool {
        self.scopes
            .get(scope)
            .is_some_and(|opens| opens.whole.len() > 1)
    }

    /// Checks that what was granted opens what is asked for; else names all scopes that the request needs. Gives the scopes that
    /// opened it, separated by spaces, where any had to.
    pub fn check(
        &self,
        granted: &Granted,
        server: &ServerName,
        method_name: &str,
        target: Option<&str>,
        params: Option<&[u8]>,
    ) -> Result<Option<Box<str>>, Denial> {
        let Granted::Scopes(granted) = granted else {
            return Ok(None);
        };
        let Some(kind) = kind_of(method_name, params) else {
            return Ok(None);
        };
        let path = format!("{server}/{}", target.unwrap_or_default());
        let is_granted = |scope: &str| granted.iter().any(|held| **held == *scope);
        let mut best: Option<(usize, usize, &Opens)> = None;
        for opens in self.scopes.values() {
            if !opens.opens(kind, server, &path) {
                continue;
            }
            let missing = opens.whole.iter().filter(|s| !is_granted(s)).count();
            if missing == 0 {
                return Ok(Some(opens.names()));
            }
            if best.is_none_or(|(least, width, _)| (missing, opens.width) < (least, width)) {
                best = Some((missing, opens.width, opens));
            }
        }
        Err(Denial::InsufficientScope {
            needed: best.map(|(_, _, opens)| opens.names()),
        })
    }
}

/// What a method is about.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Tool,
    Prompt,
    Resource,
    /// A task, of whichever tool of the server.
    Task,
    /// Something that no pattern names, such as an extension's: only a scope for the whole server opens it.
    Other,
}

/// What scopes have a say in; `None` for lists and the like, which are open to whoever is known.
fn kind_of(method_name: &str, params: Option<&[u8]>) -> Option<Kind> {
    match method_name {
        method::TOOLS_CALL => Some(Kind::Tool),
        method::PROMPTS_GET => Some(Kind::Prompt),
        method::RESOURCES_READ
        | method::RESOURCES_SUBSCRIBE
        | method::RESOURCES_UNSUBSCRIBE
        | method::RESOURCES_DIRECTORY_READ => Some(Kind::Resource),
        method::COMPLETION_COMPLETE => {
            let reference = params
                .and_then(|params| member(params, "ref"))
                .and_then(Object::parse);
            let of_prompt = reference
                .is_some_and(|it| it.get("type").and_then(string).as_deref() == Some("ref/prompt"));
            Some(if of_prompt {
                Kind::Prompt
            } else {
                Kind::Resource
            })
        }
        name if name.starts_with("tasks/") => Some(Kind::Task),
        method::INITIALIZE
        | method::PING
        | method::SERVER_DISCOVER
        | method::TOOLS_LIST
        | method::PROMPTS_LIST
        | method::RESOURCES_LIST
        | method::RESOURCES_TEMPLATES_LIST
        | method::SKILLS_LIST
        | method::SUBSCRIPTIONS_LISTEN
        | method::LOGGING_SET_LEVEL => None,
        _ => Some(Kind::Other),
    }
}

impl Opens {
    /// The scope itself and all that it needs, separated by spaces.
    fn names(&self) -> Box<str> {
        let names: Vec<&str> = self.whole.iter().map(AsRef::as_ref).collect();
        names.join(" ").into()
    }

    fn opens(&self, kind: Kind, server: &ServerName, path: &str) -> bool {
        self.servers.contains(server)
            || match kind {
                Kind::Tool => self.tools.is_match(path),
                Kind::Prompt => self.prompts.is_match(path),
                Kind::Resource => self.resources.is_match(path),
                // A task's own call was opened; whose it is, is checked besides.
                Kind::Task => !self.tools.is_empty(),
                Kind::Other => false,
            }
    }
}

fn patterns(scope: &str, texts: &[String]) -> Result<GlobSet, InvalidScope> {
    for text in texts {
        let parts = text.split_once('/');
        if !parts.is_some_and(|(server, name)| !server.is_empty() && !name.is_empty()) {
            return Err(invalid(scope, text));
        }
    }
    globs(scope, texts.iter().map(String::as_str))
}

/// The servers that a scope's patterns name.
fn within(scope: &str, rule: &ScopeRule) -> Result<GlobSet, InvalidScope> {
    let texts = rule
        .tools
        .iter()
        .chain(&rule.prompts)
        .chain(&rule.resources);
    let servers = texts
        .filter_map(|text| text.split_once('/'))
        .map(|(server, _)| server);
    globs(scope, servers)
}

/// Patterns in which `*` stands for any characters, and nothing else is special.
fn globs<'a>(scope: &str, texts: impl Iterator<Item = &'a str>) -> Result<GlobSet, InvalidScope> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        let plain: Vec<String> = text.split('*').map(globset::escape).collect();
        let glob = Glob::new(&plain.join("*")).map_err(|_invalid| invalid(scope, text))?;
        set.add(glob);
    }
    set.build().map_err(|_too_large| invalid(scope, "*"))
}

fn invalid(scope: &str, pattern: &str) -> InvalidScope {
    InvalidScope::Pattern {
        scope: scope.to_owned(),
        pattern: pattern.to_owned(),
    }
}

/// A scope with all that it needs.
fn whole(
    name: &str,
    rules: &BTreeMap<String, ScopeRule>,
) -> Result<BTreeSet<Box<str>>, InvalidScope> {
    let mut whole = BTreeSet::new();
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let Some(rule) = rules.get(name) else {
            continue;
        };
        if !whole.insert(Box::from(name)) {
            continue;
        }
        for needs in &rule.needs {
            if !rules.contains_key(needs) {
                return Err(InvalidScope::Needs {
                    scope: name.to_owned(),
                    needs: needs.clone(),
                });
            }
            open.push(needs);
        }
    }
    Ok(whole)
}

/// A rough measure of how much a scope opens: all of a server, all of its tools, or some.
fn width(rule: &ScopeRule) -> usize {
    let of = |text: &String| {
        if text.ends_with("/*") {
            500
        } else {
            1 + 16 * text.matches('*').count()
        }
    };
    let patterns = rule
        .tools
        .iter()
        .chain(&rule.prompts)
        .chain(&rule.resources);
    rule.servers.len() * 2000 + patterns.map(of).sum::<usize>()
}

/// Checks a request against what its principal has been granted.
pub(crate) fn check(request: &Request, scopes: &ScopeMap) -> Result<Option<Box<str>>, Denial> {
    scopes.check(
        &request.principal.granted,
        &request.server,
        &request.method,
        request.target.as_deref(),
        request.params.as_deref(),
    )
}

#[cfg(test)]
mod tests;
