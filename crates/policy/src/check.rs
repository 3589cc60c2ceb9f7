//! What is wrong with policies, given what exists: names that nothing has, types that do not fit, and
//! warnings of what is likely not meant.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    ActionConstraint, PolicySet, ValidationError, ValidationMode, ValidationResult,
    ValidationWarning, Validator,
};
use miette::Diagnostic;

use crate::arguments::Kind;
use crate::mistake::{Mistake, nearest};
use crate::names::id_of;
use crate::part::parts;
use crate::source::{Source, place};
use crate::spelling::{exists, misnamed};
use crate::world::{Tool, World};

/// Checks policies against the schema.
///
/// # Errors
///
/// Every mistake of every policy.
pub(crate) fn check(
    sources: &[&Source],
    world: &World,
    groups: Option<&[Box<str>]>,
) -> Result<Vec<Mistake>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut misspelt: HashSet<&str> = HashSet::new();
    for source in sources {
        for entity in &source.literals {
            if !exists(entity, world, groups) {
                misspelt.insert(&source.id);
                mistakes.push(misnamed(source, entity, world, groups));
            }
        }
    }
    let rest: Vec<&Source> = sources
        .iter()
        .filter(|source| !misspelt.contains(&*source.id))
        .copied()
        .collect();
    let mut warnings = Vec::new();
    let by_id: HashMap<&str, &Source> = rest.iter().map(|source| (&*source.id, *source)).collect();
    for result in validate(&rest, world)? {
        let errors = result.validation_errors();
        mistakes.extend(errors.filter_map(|error| refused(error, &by_id, world)));
        let all = result.validation_warnings();
        warnings.extend(all.filter_map(|warning| doubtful(warning, &by_id, world)));
    }
    warnings.extend(rest.iter().flat_map(|source| strange_texts(source, world)));
    for list in [&mut mistakes, &mut warnings] {
        list.sort_by(|a, b| {
            (&a.file, a.span.start, &a.message).cmp(&(&b.file, b.span.start, &b.message))
        });
        // Cedar reports the same place once for each action that the policy applies to.
        list.dedup_by(|a, b| {
            a.file == b.file && a.span == b.span && similar(&a.message, &b.message)
        });
    }
    if mistakes.is_empty() {
        Ok(warnings)
    } else {
        Err(mistakes)
    }
}

/// Cedar's results, part by part.
fn validate(sources: &[&Source], world: &World) -> Result<Vec<ValidationResult>, Vec<Mistake>> {
    let fault = |cause: &dyn std::fmt::Display| vec![Mistake::nowhere(cause.to_string())];
    let mut results = Vec::new();
    for (part, sources) in parts(sources, world) {
        let policies = sources.iter().map(|source| source.policy.clone());
        let set = PolicySet::from_policies(policies).map_err(|refused| fault(&refused))?;
        let schema = part.schema(world).map_err(|refused| fault(&refused))?;
        results.push(Validator::new(schema).validate(&set, ValidationMode::Strict));
    }
    Ok(results)
}

/// Whether two messages differ in the action alone, which Cedar writes at the end.
fn similar(one: &str, other: &str) -> bool {
    let head = |text: &str| text.split(" in context for ").next().map(str::to_owned);
    head(one) == head(other)
}

fn refused(
    error: &ValidationError,
    by_id: &HashMap<&str, &Source>,
    world: &World,
) -> Option<Mistake> {
    let source = by_id.get(AsRef::<str>::as_ref(error.policy_id()))?;
    let span = place(error).unwrap_or_else(|| source.span.clone());
    let message = without_policy(&error.to_string(), source);
    let hint = left_out(&message, world)
        .or_else(|| of_some_tools(&message, source))
        .or_else(|| error.help().map(|help| help.to_string()));
    Some(Mistake::new(&source.file, span, message).hint(hint))
}

/// What to do when a policy for several tools names an argument that one of them does not have.
fn of_some_tools(message: &str, source: &Source) -> Option<String> {
    let several = !matches!(source.policy.action_constraint(), ActionConstraint::Eq(_));
    (several && message.starts_with("attribute `arguments.")).then(|| {
        "the policy also applies to this tool; name the tools that have the argument, or ask \
         `context.arguments has …` first"
            .to_owned()
    })
}

fn doubtful(
    warning: &ValidationWarning,
    by_id: &HashMap<&str, &Source>,
    world: &World,
) -> Option<Mistake> {
    let source = by_id.get(AsRef::<str>::as_ref(warning.policy_id()))?;
    let is_scope = matches!(
        warning,
        ValidationWarning::InvalidActionApplication(_) | ValidationWarning::ImpossiblePolicy(_)
    );
    // While tools are unknown, a policy that speaks of all tools applies to nothing, rightly.
    if is_scope && (!world.awaited.is_empty() || world.tools().next().is_none()) {
        return None;
    }
    let span = place(warning).unwrap_or_else(|| source.span.clone());
    let message = without_policy(&warning.to_string(), source);
    let hint = warning.help().map(|help| help.to_string());
    Some(Mistake::new(&source.file, span, message).hint(hint))
}

/// Cedar's message without the policy's id, which the place already tells.
fn without_policy(message: &str, source: &Source) -> String {
    let rest = message.strip_prefix(&format!("for policy `{}`", source.id));
    let rest = rest.unwrap_or(message).trim_start_matches([',', ':', ' ']);
    rest.to_owned()
}

/// Why an argument that a message says is not there has no type, when its schema does mention it.
fn left_out(message: &str, world: &World) -> Option<String> {
    world.tools().find_map(|(server, name, tool)| {
        if !message.contains(&format!("Action::{:?}", id_of(server, name))) {
            return None;
        }
        let named = |path: &&String| message.contains(&format!("`arguments.{path}`"));
        let path = tool.arguments.left_out.keys().find(named)?;
        let why = tool.arguments.left_out.get(path)?;
        Some(format!(
            "policies cannot speak of the argument `{path}`: {why}"
        ))
    })
}

/// Strings that an argument is compared with but that are none of those its schema lists.
fn strange_texts(source: &Source, world: &World) -> Vec<Mistake> {
    let actions = match source.policy.action_constraint() {
        ActionConstraint::Any => return Vec::new(),
        ActionConstraint::In(actions) => actions,
        ActionConstraint::Eq(action) => vec![action],
    };
    let tools: Vec<&Tool> = actions
        .iter()
        .filter_map(|action| world.tool_by_id(action.id().unescaped()))
        .collect();
    let mut warnings = Vec::new();
    for compared in &source.compared {
        let listed = |tool: &&Tool| {
            let path = compared.path.iter().map(|name| &**name);
            match tool.arguments.fields.at(path)? {
                Kind::Text(texts) => texts.clone(),
                Kind::Set(element) => match &**element {
                    Kind::Text(texts) => texts.clone(),
                    Kind::Long | Kind::Decimal | Kind::Bool | Kind::Set(_) | Kind::Record(_) => {
                        None
                    }
                },
                Kind::Long | Kind::Decimal | Kind::Bool | Kind::Record(_) => None,
            }
        };
        let all: Option<Vec<_>> = tools.iter().map(listed).collect();
        let texts: Vec<Box<str>> = all.unwrap_or_default().into_iter().flatten().collect();
        if texts.is_empty() || texts.contains(&compared.text) {
            continue;
        }
        let hint = match nearest(&compared.text, texts.iter().map(|text| &**text)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("its schema lists {texts:?}"),
        };
        let written = format!("{:?}", compared.text);
        let message = format!(
            "`{}` is never {written} in arguments that fit the schema",
            compared.path.join(".")
        );
        let span = source.place_of(&written);
        warnings.push(Mistake::new(&source.file, span, message).hint(Some(hint)));
    }
    warnings
}
