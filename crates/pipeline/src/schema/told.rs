//! What the library reports, as the few places that are told.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::graph::escaped;
use super::{FAULTS_MAX, Fault, Faults, Invalid, UNDECLARED, told};

/// Every keyword that is told.
const KEYWORDS: [&str; 27] = [
    "additionalItems",
    "additionalProperties",
    "anyOf",
    "const",
    "contains",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "propertyNames",
    "required",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];

/// What an evaluation that failed is told as.
pub(super) fn invalid(errors: &[ValidationError<'_>]) -> Invalid {
    if errors.iter().any(is_unfinished) {
        return Invalid::Undecided;
    }
    let whole = Fault {
        pointer: String::new(),
        keyword: "schema",
    };
    let untold = errors.is_empty().then_some(whole);
    Invalid::Faults(Faults::of(errors.iter().flat_map(faults).chain(untold)))
}

/// What is told of errors that only the closed reading has.
pub(super) fn undeclared(errors: &[ValidationError<'_>]) -> Invalid {
    if errors.iter().any(is_unfinished) {
        return Invalid::Undecided;
    }
    let mut found = Vec::new();
    for error in errors {
        gather(error, &mut found);
    }
    // A place that failed for what lies below has evaluated nothing: what is undeclared there follows
    // from that alone, and only the deepest is told.
    let places: Vec<&str> = found.iter().map(|(place, _)| &**place).collect();
    let is_deepest = |place: &str| {
        !places.iter().any(|other| {
            other
                .strip_prefix(place)
                .is_some_and(|below| below.starts_with('/'))
        })
    };
    let mut pointers: Vec<String> = Vec::new();
    for (place, name) in &found {
        let pointer = format!("{place}/{}", escaped(name));
        if is_deepest(place) && !pointers.contains(&pointer) {
            pointers.push(pointer);
        }
    }
    if pointers.is_empty() {
        pointers.push(String::new());
    }
    Invalid::Faults(Faults::of(pointers.into_iter().map(|pointer| Fault {
        pointer,
        keyword: UNDECLARED,
    })))
}

impl Faults {
    /// The first of them, as they are told.
    pub(super) fn of(faults: impl Iterator<Item = Fault>) -> Self {
        let faults = faults.take(FAULTS_MAX).map(|fault| Fault {
            pointer: told(&fault.pointer),
            ..fault
        });
        Self(faults.collect())
    }
}

/// What an error holds of errors of branches.
fn branches<'e>(
    error: &'e ValidationError<'_>,
) -> impl Iterator<Item = &'e ValidationError<'static>> {
    let context: &[Vec<ValidationError<'static>>] = match error.kind() {
        Kind::AnyOf { context }
        | Kind::OneOfNotValid { context }
        | Kind::OneOfMultipleValid { context } => context,
        _ => &[],
    };
    context.iter().flatten()
}

/// Whether a pattern took too many steps: then the answer is not known.
fn is_unfinished(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => true,
        Kind::PropertyNames { error } => is_unfinished(error),
        _ => branches(error).any(is_unfinished),
    }
}

/// The undeclared members in an error: where, and their names.
fn gather(error: &ValidationError<'_>, found: &mut Vec<(String, String)>) {
    if let Kind::UnevaluatedProperties { unexpected } = error.kind() {
        let place = error.instance_path().as_str();
        found.extend(
            unexpected
                .iter()
                .map(|name| (place.to_owned(), name.clone())),
        );
    }
    for inner in branches(error) {
        gather(inner, found);
    }
}

/// The places of one error.
fn faults(error: &ValidationError<'_>) -> Vec<Fault> {
    let place = error.instance_path().as_str();
    let of_member = |name: &str, keyword| Fault {
        pointer: format!("{place}/{}", escaped(name)),
        keyword,
    };
    match error.kind() {
        Kind::Required {
            property: Value::String(name),
        } => vec![of_member(name, "required")],
        Kind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| of_member(name, "additionalProperties"))
            .collect(),
        Kind::UnevaluatedProperties { unexpected } => unexpected
            .iter()
            .map(|name| of_member(name, "unevaluatedProperties"))
            .collect(),
        kind => {
            let keyword = kind.keyword();
            let known = KEYWORDS.into_iter().find(|known| *known == keyword);
            vec![Fault {
                pointer: place.to_owned(),
                // What is left is the schema `false`.
                keyword: known.unwrap_or("false"),
            }]
        }
    }
}
