//! Compiled policies, and what they decide.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use cedar_policy::Schema;
use portcullis_mcp::ServerName;

use crate::check::check;
use crate::decision::{Decision, DenyReason, Determined};
use crate::evaluation::{Candidates, Evaluation, Outcome, deny};
use crate::index::{Index, Rules};
use crate::mistake::{Mistake, PolicyFile};
use crate::part::Part;
use crate::query::{ActionRef, Query, Who};
use crate::shape::ServerShape;
use crate::source::{Source, parse};
use crate::subject::Subject;
use crate::tailor::tailor;
use crate::world::World;

/// A set of policies, checked against what exists. It does not change; to change policies, compile
/// others and put them in its place.
#[derive(Debug)]
pub struct Policies {
    pub(crate) world: World,
    /// The schema of everything, for partial evaluation; made when it is first needed. `None` is a
    /// fault in Cedar: then nothing is evaluated in part.
    schema: OnceLock<Option<Schema>>,
    index: Index,
    /// What is left of them for each tool, by its number; made when the tool is first asked about.
    of_tools: Vec<OnceLock<Rules>>,
    pub(crate) sources: Vec<Source>,
    /// The place of each policy in `sources`, by id.
    by_id: HashMap<Arc<str>, usize>,
    pub(crate) held: BTreeSet<Arc<str>>,
    digest: String,
    definitions_digest: String,
}

/// Policies that can be used, and what is odd about them.
#[derive(Debug)]
pub struct Compiled {
    /// The policies.
    pub policies: Policies,
    /// What is likely not meant, by file and place.
    pub warnings: Vec<Mistake>,
}

impl Policies {
    /// Compiles policies against the definitions of the `known` servers.
    ///
    /// `awaited` are servers that are configured but whose definitions are not known yet. A policy that
    /// names a tool or prompt of one cannot be checked: it is held back, and whatever its scope may
    /// cover is undecided until policies are compiled with the definitions. `groups` are the names of
    /// all groups, when they are known: then a policy that names another does not load.
    ///
    /// # Errors
    ///
    /// Every mistake of every file, by file and place: what does not parse, names that nothing has,
    /// types that do not fit, ids that are used twice.
    pub fn compile(
        files: &[PolicyFile],
        known: &[ServerShape],
        awaited: &[ServerName],
        groups: Option<&[Box<str>]>,
    ) -> Result<Compiled, Vec<Mistake>> {
        let sources = parse(files)?;
        let world = World::new(known, awaited).ok_or_else(|| fault(&"an entity was refused"))?;
        let is_held = |source: &&Source| source.literals.iter().any(|e| world.is_awaited(e));
        let held: BTreeSet<Arc<str>> = sources
            .iter()
            .filter(is_held)
            .map(|source| Arc::clone(&source.id))
            .collect();
        let checked: Vec<&Source> = sources
            .iter()
            .filter(|source| !held.contains(&source.id))
            .collect();
        let warnings = check(&checked, &world, groups)?;
        let index = Index::new(&sources, &held, &world.types);
        let by_id = sources.iter().enumerate();
        let by_id = by_id.map(|(at, source)| (Arc::clone(&source.id), at));
        let policies = Self {
            by_id: by_id.collect(),
            digest: digest_of_files(files),
            definitions_digest: digest_of_definitions(known),
            of_tools: world.tools().map(|_| OnceLock::new()).collect(),
            world,
            schema: OnceLock::new(),
            index,
            sources,
            held,
        };
        Ok(Compiled { policies, warnings })
    }

    /// Looks only whether files can be read as policies, without any definitions.
    ///
    /// # Errors
    ///
    /// What does not parse, templates, and ids that are used twice.
    pub fn parse_only(files: &[PolicyFile]) -> Result<(), Vec<Mistake>> {
        parse(files).map(|_sources| ())
    }

    /// The version of the policies: SHA-256 of the files by name, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The version of the definitions that they were compiled against, likewise.
    pub fn definitions_digest(&self) -> &str {
        &self.definitions_digest
    }

    /// The ids of all policies, in the order of the files.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| &*source.id)
    }

    /// The ids of the policies that wait for the definitions of a server.
    pub fn held_back(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(|id| &**id)
    }

    /// Decides on a request.
    ///
    /// What nothing permits is denied; what something forbids is denied; when a policy that applies, or
    /// a value it reads, cannot be evaluated, it is undecided, which is denied. What is denied but would
    /// be allowed if a person had said yes is to be asked.
    pub fn decide(&self, query: &Query<'_>) -> Decision {
        let Some(subject) = Subject::new(&self.world, query.server, query.action) else {
            return deny(Vec::new(), DenyReason::Undecided);
        };
        let candidates = Candidates::new(&self.rules(&subject), &query.who);
        if !candidates.held.is_empty() {
            return deny(candidates.held, DenyReason::Undecided);
        }
        if candidates.conditional.is_empty() {
            return candidates.sure().into_decision();
        }
        let Some(evaluation) = Evaluation::new(&candidates, query, &subject) else {
            return deny(candidates.conditional_ids(), DenyReason::Undecided);
        };
        let first = evaluation.run(query.approved);
        let is_final = first.is_allowed() || first.is_undecided() || query.approved;
        if is_final || !evaluation.reads_approval() {
            return first.into_decision();
        }
        let second = evaluation.run(true);
        if !second.is_allowed() {
            return first.into_decision();
        }
        self.ask(&first, second)
    }

    /// Whether a decision on somebody's call of a tool may depend on its arguments.
    pub fn reads_arguments(&self, who: &Who<'_>, server: &ServerName, tool: &str) -> bool {
        let action = ActionRef::CallTool(tool);
        Subject::new(&self.world, server, action).is_some_and(|subject| {
            let candidates = Candidates::new(&self.rules(&subject), who);
            let mut conditions = candidates.conditional.iter();
            conditions.any(|(_, condition)| condition.uses.reads_arguments())
        })
    }

    pub(crate) fn schema(&self) -> Option<&Schema> {
        let made = self
            .schema
            .get_or_init(|| Part::All.schema(&self.world).ok());
        made.as_ref()
    }

    /// The policies whose action and resource fit.
    pub(crate) fn rules<'r>(&'r self, subject: &Subject<'r>) -> Vec<&'r Rules> {
        let of_tool = subject.tool.and_then(|tool| self.of_tools.get(tool.number));
        match of_tool {
            Some(rules) => {
                vec![rules.get_or_init(|| tailor(&self.index, &self.world, self.schema(), subject))]
            }
            None => subject.find(&self.index),
        }
    }

    /// The policies that a yes turned, and what they say of it.
    fn ask(&self, first: &Outcome, second: Outcome) -> Decision {
        let before = &first.permits;
        let mut turned = second.permits;
        turned.retain(|id| !before.contains(id));
        turned.extend(first.forbids.iter().cloned());
        let determined = Determined::new(turned);
        let mut reasons = Vec::new();
        for id in determined.ids() {
            let ask = self.source(id).and_then(|source| source.ask.clone());
            reasons.extend(ask.filter(|ask| !reasons.contains(ask)));
        }
        Decision::Ask {
            determined,
            reasons,
        }
    }

    /// The place of a policy, as a mistake without words.
    pub fn place(&self, id: &str) -> Mistake {
        self.source(id)
            .map_or_else(|| Mistake::nowhere(""), |source| source.mistake(""))
    }

    pub(crate) fn source(&self, id: &str) -> Option<&Source> {
        self.sources.get(*self.by_id.get(id)?)
    }
}

/// What has no cause but a fault in Cedar or here.
fn fault(cause: &dyn std::fmt::Display) -> Vec<Mistake> {
    let message = format!("the schema of the servers' tools cannot be made: {cause}");
    vec![Mistake::nowhere(message)]
}

fn digest_of_files(files: &[PolicyFile]) -> String {
    let mut files: Vec<&PolicyFile> = files.iter().collect();
    files.sort_by(|a, b| (&a.name, &a.text).cmp(&(&b.name, &b.text)));
    let mut digest = Digest::new(&SHA256);
    for file in files {
        feed(&mut digest, file.name.as_bytes());
        feed(&mut digest, file.text.as_bytes());
    }
    hexadecimal(digest)
}

fn digest_of_definitions(known: &[ServerShape]) -> String {
    let mut servers: Vec<&ServerShape> = known.iter().collect();
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut digest = Digest::new(&SHA256);
    for server in servers {
        feed(&mut digest, server.name.as_str().as_bytes());
        let mut tools: Vec<_> = server.tools.iter().collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        for tool in tools {
            feed(&mut digest, tool.name.as_bytes());
            feed(&mut digest, &tool.input_schema);
            let rest = format!(
                "{:?} {:?} {:?}",
                tool.annotations, tool.classes, tool.labels
            );
            feed(&mut digest, rest.as_bytes());
        }
        feed(&mut digest, format!("{:?}", server.prompts).as_bytes());
    }
    hexadecimal(digest)
}

/// Length and content, so that no two lists of parts read the same.
fn feed(digest: &mut Digest, part: &[u8]) {
    digest.update(&part.len().to_be_bytes());
    digest.update(part);
}

fn hexadecimal(digest: Digest) -> String {
    let digest = digest.finish();
    let mut text = String::new();
    for byte in digest.as_ref() {
        for half in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
    }
    text
}
