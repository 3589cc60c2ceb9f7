//! The types of a tool's arguments: a subset of JSON Schema read as Cedar's types, and the values that
//! fit them. What has no type in Cedar is left out, with the reason: a policy that names it does not
//! load. That arguments fit their schema is another's check; here a value that does not fit its type
//! makes the decision undecided.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;
use serde_json::{Map, Value, json};

/// How deep objects and arrays are read; what lies deeper is left out.
const DEPTH_MAX: usize = 8;

/// How many subschemas of one tool are read, so that references cannot multiply without bound.
const SUBSCHEMAS_MAX: usize = 4096;

/// What a double holds exactly: integers up to 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string; with the values of `enum` or `const` when there are any.
    Text(Option<Vec<Box<str>>>),
    /// `integer`.
    Long,
    /// `number`: up to four digits after the point.
    Decimal,
    /// `boolean`.
    Bool,
    /// `array`: order and repetition are lost.
    Set(Box<Kind>),
    /// `object`.
    Record(Fields),
}

/// The properties of an object that have a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<Box<str>, Field>);

/// A property.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    kind: Kind,
    required: bool,
}

/// The arguments of a tool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) fields: Fields,
    /// Dotted paths of what has no type, and why.
    pub(crate) left_out: BTreeMap<String, &'static str>,
}

/// Which arguments a decision needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None are named.
    #[default]
    Nothing,
    /// Those with these names.
    Named(std::collections::BTreeSet<Box<str>>),
    /// All that have a type.
    All,
}

/// A value that does not fit its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an argument that a policy names does not fit its type")]
pub(crate) struct Unfit;

impl Arguments {
    /// Reads an `inputSchema`.
    pub(crate) fn read(input_schema: &[u8]) -> Self {
        let Ok(root) = serde_json::from_slice::<Value>(input_schema) else {
            return Self::default();
        };
        let mut reader = Reader {
            root: &root,
            left: SUBSCHEMAS_MAX,
            left_out: BTreeMap::new(),
        };
        let fields = match reader.kind(&root, "", 0) {
            Ok((Kind::Record(fields), _)) => fields,
            Ok(_) | Err(_) => Fields::default(),
        };
        Self {
            fields,
            left_out: reader.left_out,
        }
    }
}

impl Fields {
    /// Cedar's JSON schema of a record with these attributes.
    pub(crate) fn schema(&self) -> Value {
        let attributes: Map<String, Value> = self
            .0
            .iter()
            .map(|(name, field)| {
                let mut schema = field.kind.schema();
                if let Value::Object(members) = &mut schema {
                    members.insert("required".to_owned(), Value::Bool(field.required));
                }
                (name.to_string(), schema)
            })
            .collect();
        json!({"type": "Record", "attributes": attributes})
    }

    /// The type at a path of property names.
    pub(crate) fn at<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<&Kind> {
        let mut path = path.into_iter();
        let kind = &self.0.get(path.next()?)?.kind;
        path.try_fold(kind, |kind, name| match kind {
            Kind::Record(fields) => fields.0.get(name).map(|field| &field.kind),
            Kind::Text(_) | Kind::Long | Kind::Decimal | Kind::Bool | Kind::Set(_) => None,
        })
    }

    /// The record of those of the wanted values that have a type.
    pub(crate) fn convert(
        &self,
        values: &Map<String, Value>,
        wanted: &Wanted,
    ) -> Result<RestrictedExpression, Unfit> {
        let mut record = Vec::new();
        let mut take = |name: &str, field: &Field| -> Result<(), Unfit> {
            match values.get(name) {
                None | Some(Value::Null) if field.required => Err(Unfit),
                None | Some(Value::Null) => Ok(()),
                Some(value) => {
                    record.push((name.to_owned(), field.kind.convert(value)?));
                    Ok(())
                }
            }
        };
        match wanted {
            Wanted::Nothing => {}
            Wanted::Named(names) => {
                for name in names {
                    self.0.get(name).map_or(Ok(()), |field| take(name, field))?;
                }
            }
            Wanted::All => {
                for (name, field) in &self.0 {
                    take(name, field)?;
                }
            }
        }
        RestrictedExpression::new_record(record).map_err(|_repeated| Unfit)
    }
}

impl Kind {
    fn schema(&self) -> Value {
        match self {
            Self::Text(_) => json!({"type": "String"}),
            Self::Long => json!({"type": "Long"}),
            Self::Decimal => json!({"type": "Extension", "name": "decimal"}),
            Self::Bool => json!({"type": "Boolean"}),
            Self::Set(element) => json!({"type": "Set", "element": element.schema()}),
            Self::Record(fields) => fields.schema(),
        }
    }

    fn convert(&self, value: &Value) -> Result<RestrictedExpression, Unfit> {
        match (self, value) {
            (Self::Text(_), Value::String(text)) => {
                Ok(RestrictedExpression::new_string(text.clone()))
            }
            (Self::Bool, Value::Bool(value)) => Ok(RestrictedExpression::new_bool(*value)),
            (Self::Long, Value::Number(number)) => long(number).map(RestrictedExpression::new_long),
            (Self::Decimal, Value::Number(number)) => {
                decimal(number).map(RestrictedExpression::new_decimal)
            }
            (Self::Set(element), Value::Array(values)) => {
                let values: Result<Vec<_>, _> =
                    values.iter().map(|value| element.convert(value)).collect();
                Ok(RestrictedExpression::new_set(values?))
            }
            (Self::Record(fields), Value::Object(values)) => fields.convert(values, &Wanted::All),
            (
                Self::Text(_)
                | Self::Bool
                | Self::Long
                | Self::Decimal
                | Self::Set(_)
                | Self::Record(_),
                _,
            ) => Err(Unfit),
        }
    }
}

/// A JSON number without a fraction, such as `3` or `3.0`.
fn long(number: &serde_json::Number) -> Result<i64, Unfit> {
    if let Some(whole) = number.as_i64() {
        return Ok(whole);
    }
    let value = number.as_f64().ok_or(Unfit)?;
    if value.fract() != 0.0 || value.abs() > EXACT_MAX {
        return Err(Unfit);
    }
    format!("{value:.0}")
        .parse()
        .map_err(|_beyond: std::num::ParseIntError| Unfit)
}

/// Cedar's text of a JSON number: it has one to four digits after the point and no exponent.
fn decimal(number: &serde_json::Number) -> Result<String, Unfit> {
    let text = match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => format!("{whole}.0"),
        (None, Some(value)) if value.fract() == 0.0 && value.abs() <= EXACT_MAX => {
            format!("{value:.1}")
        }
        (None, Some(value)) => value.to_string(),
        (None, None) => return Err(Unfit),
    };
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    // More digits would have to be rounded, and what is compared must be what is sent.
    (1..=4).contains(&digits).then_some(text).ok_or(Unfit)
}

/// Why a schema has no type.
type NoType = &'static str;

struct Reader<'s> {
    root: &'s Value,
    left: usize,
    left_out: BTreeMap<String, NoType>,
}

impl<'s> Reader<'s> {
    /// The type of a schema, and whether it also admits null.
    fn kind(
        &mut self,
        schema: &'s Value,
        path: &str,
        depth: usize,
    ) -> Result<(Kind, bool), NoType> {
        if depth > DEPTH_MAX {
            return Err("it lies deeper than eight levels");
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or("the schema has too many parts")?;
        let Value::Object(members) = schema else {
            return Err("its schema does not give a type");
        };
        if let Some(Value::String(to)) = members.get("$ref") {
            let place = to.strip_prefix('#').and_then(|at| self.root.pointer(at));
            let target = place.ok_or("its schema refers to a place outside of itself")?;
            return self.kind(target, path, depth.saturating_add(1));
        }
        match type_name(members)? {
            (Some(name), nullable) => {
                let kind = self.named(name, members, path, depth)?;
                Ok((kind, nullable))
            }
            (None, _) => self.nullable(members, path, depth),
        }
    }

    fn named(
        &mut self,
        name: &str,
        members: &'s Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Kind, NoType> {
        match name {
            "string" => Ok(Kind::Text(texts(members))),
            "integer" => Ok(Kind::Long),
            "number" => Ok(Kind::Decimal),
            "boolean" => Ok(Kind::Bool),
            "array" => {
                let items = members.get("items").ok_or("its items have no type")?;
                let (element, nullable) =
                    self.kind(items, &format!("{path}[]"), depth.saturating_add(1))?;
                if nullable {
                    return Err("its items may be null");
                }
                Ok(Kind::Set(Box::new(element)))
            }
            "object" => Ok(Kind::Record(self.fields(members, path, depth))),
            _ => Err("its type is none of JSON Schema's"),
        }
    }

    fn fields(&mut self, members: &'s Map<String, Value>, path: &str, depth: usize) -> Fields {
        let required = members.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|n| n == name));
        let mut fields = BTreeMap::new();
        let properties = members.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let at = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            match self.kind(schema, &at, depth.saturating_add(1)) {
                Ok((kind, nullable)) => {
                    // A null is no value of any type in Cedar: it is the same as no member.
                    let required = is_required(name) && !nullable;
                    fields.insert(name.as_str().into(), Field { kind, required });
                }
                Err(why) => {
                    self.left_out.insert(at, why);
                }
            }
        }
        Fields(fields)
    }

    /// `anyOf` or `oneOf` of one schema and null, which is how generators write an optional value.
    fn nullable(
        &mut self,
        members: &'s Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<(Kind, bool), NoType> {
        let branches = members.get("anyOf").or_else(|| members.get("oneOf"));
        let Some(Value::Array(branches)) = branches else {
            return Err("its schema does not give a type");
        };
        let is_null = |branch: &&Value| branch.get("type").is_some_and(|name| name == "null");
        let nullable = branches.iter().any(|branch| is_null(&branch));
        let mut others = branches.iter().filter(|branch| !is_null(branch));
        match (others.next(), others.next()) {
            (Some(only), None) => {
                let (kind, inner) = self.kind(only, path, depth.saturating_add(1))?;
                Ok((kind, nullable || inner))
            }
            (None | Some(_), _) => Err("it may have one of several types"),
        }
    }
}

/// The one type that is not null, and whether null is allowed beside it.
fn type_name(members: &Map<String, Value>) -> Result<(Option<&str>, bool), NoType> {
    match members.get("type") {
        Some(Value::String(name)) => Ok((Some(name), false)),
        Some(Value::Array(names)) => {
            let mut others = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|n| *n != "null");
            let nullable = names.iter().any(|name| name == "null");
            match (others.next(), others.next()) {
                (Some(name), None) => Ok((Some(name), nullable)),
                (None | Some(_), _) => Err("it may have one of several types"),
            }
        }
        Some(_) => Err("its schema does not give a type"),
        None if members.contains_key("properties") => Ok((Some("object"), false)),
        None if texts(members).is_some() => Ok((Some("string"), false)),
        None => Ok((None, false)),
    }
}

/// The strings of `enum` or `const`, when there is nothing else among them.
fn texts(members: &Map<String, Value>) -> Option<Vec<Box<str>>> {
    let text = |value: &Value| value.as_str().map(Box::from);
    match (members.get("enum"), members.get("const")) {
        (Some(Value::Array(values)), _) => values
            .iter()
            .filter(|value| !value.is_null())
            .map(text)
            .collect(),
        (None, Some(value)) => text(value).map(|text| vec![text]),
        (Some(_), _) | (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
