//! Policies as they stand in their files: parsed, named, each with its place.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Effect, EntityUid, ParseErrors, Policy, PolicyId, PolicySet};
use miette::Diagnostic;

use crate::condition::{Condition, structure};
use crate::mistake::{Mistake, PolicyFile};
use crate::uses::{Compared, Uses};

/// A policy of a file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: Arc<str>,
    pub(crate) policy: Policy,
    pub(crate) file: PolicyFile,
    /// Its place in the file, in bytes.
    pub(crate) span: Range<usize>,
    /// What a person is asked when this policy makes it necessary.
    pub(crate) ask: Option<String>,
    /// Every entity that it names, sorted.
    pub(crate) literals: BTreeSet<EntityUid>,
    /// Its `when` and `unless`, if there are any.
    pub(crate) condition: Option<Arc<Condition>>,
    pub(crate) compared: Vec<Compared>,
}

impl Source {
    pub(crate) fn is_permit(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }

    pub(crate) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::new(&self.file, self.span.clone(), message)
    }

    /// The place of a text within the policy, or the whole policy.
    pub(crate) fn place_of(&self, text: &str) -> Range<usize> {
        let whole = self.file.text.get(self.span.clone()).unwrap_or_default();
        match whole.find(text) {
            Some(at) => {
                let start = self.span.start.saturating_add(at);
                start..start.saturating_add(text.len())
            }
            None => self.span.clone(),
        }
    }
}

/// The policies of all files, in the files' order.
///
/// # Errors
///
/// What cannot be parsed, templates, and ids that are used twice.
pub(crate) fn parse(files: &[PolicyFile]) -> Result<Vec<Source>, Vec<Mistake>> {
    let mut sources = Vec::new();
    let mut mistakes = Vec::new();
    for file in files {
        match PolicySet::from_str(&file.text) {
            Ok(set) => {
                for template in set.templates() {
                    let at = find(file, &template.to_cedar(), 0);
                    mistakes.push(
                        Mistake::new(file, at, "a template is not a policy")
                            .hint(Some("write the entity in place of the `?slot`".to_owned())),
                    );
                }
                sources.extend(in_order(file, &set));
            }
            Err(errors) => mistakes.extend(parse_mistakes(file, &errors)),
        }
    }
    let mut seen: HashMap<&str, &Source> = HashMap::new();
    for source in &sources {
        if let Some(first) = seen.insert(&source.id, source) {
            let first = first.mistake("");
            let message = format!("the id `{}` is used twice", source.id);
            let place = format!("{}:{}", first.file, first.line);
            let hint = format!("{place} has it already; give this policy another `@id`");
            mistakes.push(source.mistake(message).hint(Some(hint)));
        }
    }
    if mistakes.is_empty() {
        Ok(sources)
    } else {
        Err(mistakes)
    }
}

/// Cedar numbers the policies of a text `policy0`, `policy1` and so on, and forgets the order.
fn in_order(file: &PolicyFile, set: &PolicySet) -> Vec<Source> {
    let number = |policy: &Policy| -> usize {
        let id: &str = policy.id().as_ref();
        let digits = id.trim_start_matches("policy");
        digits.parse().unwrap_or(usize::MAX)
    };
    let mut policies: Vec<&Policy> = set.policies().filter(|p| p.is_static()).collect();
    policies.sort_by_cached_key(|policy| number(policy));
    let mut from = 0;
    let mut sources = Vec::new();
    for policy in policies {
        let span = find(file, &policy.to_cedar().unwrap_or_default(), from);
        from = span.end;
        let own = annotation(policy, "id").filter(|id| !id.is_empty());
        let id: Arc<str> = match own {
            Some(id) => Arc::from(id),
            None => format!("{}#{}", file.name, number(policy).saturating_add(1)).into(),
        };
        let policy = policy.new_id(PolicyId::new(&id));
        let (uses, compared) = read(&policy);
        sources.push(Source {
            ask: annotation(&policy, "ask").map(str::to_owned),
            literals: policy.entity_literals().into_iter().collect(),
            condition: policy
                .has_non_scope_constraint()
                .then(|| Arc::new(Condition::new(policy.clone(), uses))),
            policy,
            id,
            file: file.clone(),
            span,
            compared,
        });
    }
    sources
}

/// What a policy reads; everything, when that cannot be told.
fn read(policy: &Policy) -> (Uses, Vec<Compared>) {
    if !policy.has_non_scope_constraint() {
        return (Uses::default(), Vec::new());
    }
    let unknown = || (Uses::all(), Vec::new());
    structure(policy).map_or_else(unknown, |structure| Uses::of(&structure))
}

/// `Policy::annotation` parses the name that it is given each time.
fn annotation<'p>(policy: &'p Policy, name: &str) -> Option<&'p str> {
    let mut all = policy.annotations();
    all.find_map(|(key, value)| (key == name).then_some(value))
}

fn find(file: &PolicyFile, text: &str, from: usize) -> Range<usize> {
    let rest = file.text.get(from..).unwrap_or_default();
    let start = from.saturating_add(rest.find(text).unwrap_or_default());
    start..start.saturating_add(text.len())
}

fn parse_mistakes(file: &PolicyFile, errors: &ParseErrors) -> Vec<Mistake> {
    errors
        .iter()
        .map(|error| {
            let hint = error.help().map(|help| help.to_string());
            Mistake::new(file, place(error).unwrap_or(0..0), error.to_string()).hint(hint)
        })
        .collect()
}

/// Where a diagnostic of Cedar points to.
pub(crate) fn place(diagnostic: &dyn Diagnostic) -> Option<Range<usize>> {
    let label = diagnostic.labels()?.next()?;
    let end = label.offset().saturating_add(label.len());
    Some(label.offset()..end)
}
