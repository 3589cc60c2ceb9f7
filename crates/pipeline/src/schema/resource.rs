//! What the parts of a schema document call themselves, and what references lead to within it.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};
use url::Url;

use super::graph::escaped;
use super::{Dialect, Unusable, told};

/// The base that relative identifiers are resolved against.
const BASE: &str = "json-schema:///";

/// A schema resource: what a `$id` begins (2020-12 core, section 4.3.5).
struct Resource<'v> {
    /// `None` when `BASE` could not be read, which it can.
    uri: Option<Url>,
    root: &'v Value,
    pointer: String,
    anchors: HashMap<&'v str, (&'v Value, String)>,
    dynamic: HashMap<&'v str, &'v Value>,
}

/// The resources of a document.
pub(super) struct Resources<'v> {
    dialect: Dialect,
    // INVARIANT: the first is the document itself.
    all: Vec<Resource<'v>>,
    by_uri: HashMap<Url, usize>,
    /// The resource of each subschema that begins one, by its address.
    begins: HashMap<*const Value, usize>,
}

/// What a reference leads to.
pub(super) struct Target<'v> {
    pub(super) value: &'v Value,
    pub(super) resource: usize,
    pub(super) pointer: String,
}

impl<'v> Resources<'v> {
    pub(super) fn new(dialect: Dialect, document: &'v Value) -> Self {
        let mut resources = Self {
            dialect,
            all: Vec::new(),
            by_uri: HashMap::new(),
            begins: HashMap::new(),
        };
        resources.add(Url::parse(BASE).ok(), document, "");
        resources
    }

    fn add(&mut self, uri: Option<Url>, root: &'v Value, pointer: &str) -> usize {
        let at = self.all.len();
        if let Some(uri) = uri.clone() {
            self.by_uri.entry(uri).or_insert(at);
        }
        self.all.push(Resource {
            uri,
            root,
            pointer: pointer.to_owned(),
            anchors: HashMap::new(),
            dynamic: HashMap::new(),
        });
        self.begins.insert(std::ptr::from_ref(root), at);
        at
    }

    /// Notes what a subschema calls itself; gives the resource it belongs to. `again` when a reference
    /// led there: what no keyword holds has no identifiers.
    pub(super) fn enter(
        &mut self,
        value: &'v Value,
        members: &'v Map<String, Value>,
        resource: usize,
        at: &str,
        again: bool,
    ) -> Result<usize, Unusable> {
        if again {
            return Ok(resource);
        }
        let draft7 = self.dialect == Dialect::Draft7;
        if !at.is_empty()
            && let Some(name) = members.get("$schema")
        {
            let name = name.as_str().and_then(Dialect::named);
            if name != Some(self.dialect) {
                return Err(Unusable::Dialect);
            }
        }
        let mut resource = resource;
        // In draft 7 nothing beside `$ref` counts.
        let id = members
            .get("$id")
            .filter(|_| !(draft7 && members.contains_key("$ref")))
            .and_then(Value::as_str);
        if let Some(id) = id {
            let (uri, fragment) = id.split_once('#').unwrap_or((id, ""));
            if !uri.is_empty() {
                let base = self.all.get(resource).and_then(|it| it.uri.as_ref());
                let joined = base.and_then(|base| base.join(uri).ok());
                let joined =
                    joined.ok_or_else(|| Unusable::Reference(told(&format!("{at}/$id"))))?;
                resource = self.add(Some(joined), value, at);
            }
            if draft7
                && !fragment.is_empty()
                && let Some(resource) = self.all.get_mut(resource)
            {
                resource.anchors.insert(fragment, (value, at.to_owned()));
            }
        }
        if !draft7 && let Some(resource) = self.all.get_mut(resource) {
            if let Some(name) = members.get("$anchor").and_then(Value::as_str) {
                resource.anchors.insert(name, (value, at.to_owned()));
            }
            if let Some(name) = members.get("$dynamicAnchor").and_then(Value::as_str) {
                resource.anchors.insert(name, (value, at.to_owned()));
                resource.dynamic.insert(name, value);
            }
        }
        Ok(resource)
    }

    /// Where the `$dynamicAnchor`s of a name are.
    pub(super) fn dynamic_anchors(&self, name: &str) -> impl Iterator<Item = &'v Value> {
        self.all
            .iter()
            .filter_map(move |resource| resource.dynamic.get(name).copied())
    }

    /// What a reference leads to; `None` when that is not in the document.
    pub(super) fn resolve(&self, reference: &str, resource: usize) -> Option<Target<'v>> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let at = if uri.is_empty() {
            resource
        } else {
            let base = self.all.get(resource)?.uri.as_ref()?;
            *self.by_uri.get(&base.join(uri).ok()?)?
        };
        let resource = self.all.get(at)?;
        let fragment = decoded(fragment)?;
        if fragment.is_empty() {
            return Some(Target {
                value: resource.root,
                resource: at,
                pointer: resource.pointer.clone(),
            });
        }
        let Some(steps) = fragment.strip_prefix('/') else {
            let (value, pointer) = resource.anchors.get(&*fragment)?;
            return Some(Target {
                value,
                resource: self
                    .begins
                    .get(&std::ptr::from_ref(*value))
                    .copied()
                    .unwrap_or(at),
                pointer: pointer.clone(),
            });
        };
        let mut target = Target {
            value: resource.root,
            resource: at,
            pointer: resource.pointer.clone(),
        };
        for step in steps.split('/') {
            let step = step.replace("~1", "/").replace("~0", "~");
            target.value = match target.value {
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                Value::Object(members) => members.get(&step)?,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
            };
            target.pointer.push('/');
            target.pointer.push_str(&escaped(&step));
            if let Some(begun) = self.begins.get(&std::ptr::from_ref(target.value)) {
                target.resource = *begun;
            }
        }
        Some(target)
    }
}

/// A URI's fragment with its percent escapes undone; `None` when that is no text.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let hex = |byte: Option<u8>| byte.and_then(|it| char::from(it).to_digit(16));
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).ok()?);
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok().map(Cow::from)
}
