//! From a schema to nodes: keywords parsed, references resolved, patterns compiled.
//!
//! Only what the root reaches is compiled. A node is one subschema; nodes refer to each other by
//! number, so that a recursive schema is a graph and not an endless tree.

use std::collections::{HashMap, VecDeque};

use url::Url;

use super::format::Format;
use super::number::Decimal;
use super::pattern::Pattern;
use super::value::Value;
use super::{Dialect, Options, PATTERNS_MAX, SUBSCHEMAS_MAX, Unusable, told};

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: NodeId,
    pub(crate) closed: bool,
    /// Where `$dynamicAnchor`s are, by resource and name.
    pub(crate) dynamic_anchors: HashMap<(usize, Box<str>), NodeId>,
}

/// The number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) usize);

/// One subschema. Keywords that it lacks cost nothing.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The schema resource it belongs to; matters to `$dynamicRef` alone.
    pub(crate) resource: usize,
    /// The schema `false`.
    pub(crate) never: bool,
    pub(crate) types: Option<Types>,
    pub(crate) values: Option<Values>,
    pub(crate) number: Option<Box<NumberRules>>,
    pub(crate) string: Option<Box<StringRules>>,
    pub(crate) array: Option<Box<ArrayRules>>,
    pub(crate) object: Option<Box<ObjectRules>>,
    pub(crate) in_place: Option<Box<InPlace>>,
    pub(crate) unevaluated_properties: Option<NodeId>,
    pub(crate) unevaluated_items: Option<NodeId>,
    /// Whether it, or what applies to the same place, declares properties.
    pub(crate) declares: bool,
}

/// The value of `type`, a set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    pub(crate) const INTEGER: Self = Self(4);
    pub(crate) const NUMBER: Self = Self(8);
    pub(crate) const STRING: Self = Self(16);
    pub(crate) const ARRAY: Self = Self(32);
    pub(crate) const OBJECT: Self = Self(64);

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => return None,
        })
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// `enum`, or `const`.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) keyword: &'static str,
    // INVARIANT: ordered by `Value::compare`; `evaluate` searches it by halves.
    pub(crate) allowed: Vec<Value<'static>>,
}

#[derive(Debug, Default)]
pub(crate) struct NumberRules {
    pub(crate) minimum: Option<Decimal>,
    pub(crate) maximum: Option<Decimal>,
    pub(crate) exclusive_minimum: Option<Decimal>,
    pub(crate) exclusive_maximum: Option<Decimal>,
    pub(crate) multiple_of: Option<Decimal>,
}

#[derive(Debug, Default)]
pub(crate) struct StringRules {
    pub(crate) chars_min: Option<usize>,
    pub(crate) chars_max: Option<usize>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) format: Option<Format>,
}

#[derive(Debug, Default)]
pub(crate) struct ArrayRules {
    pub(crate) prefix: Vec<NodeId>,
    pub(crate) rest: Option<NodeId>,
    pub(crate) contains: Option<Contains>,
    pub(crate) items_min: Option<usize>,
    pub(crate) items_max: Option<usize>,
    pub(crate) unique: bool,
}

#[derive(Debug)]
pub(crate) struct Contains {
    pub(crate) node: NodeId,
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
    /// Whether what it matches counts as evaluated (2020-12 alone).
    pub(crate) evaluates: bool,
}

#[derive(Debug, Default)]
pub(crate) struct ObjectRules {
    // INVARIANT: ordered by name.
    pub(crate) properties: Vec<(Box<str>, NodeId)>,
    pub(crate) patterns: Vec<(Pattern, NodeId)>,
    pub(crate) additional: Option<NodeId>,
    pub(crate) names: Option<NodeId>,
    pub(crate) required: Vec<Box<str>>,
    pub(crate) dependent_required: Vec<(Box<str>, Vec<Box<str>>)>,
    pub(crate) properties_min: Option<usize>,
    pub(crate) properties_max: Option<usize>,
}

/// Subschemas that apply to the same place.
#[derive(Debug, Default)]
pub(crate) struct InPlace {
    pub(crate) reference: Option<NodeId>,
    pub(crate) dynamic: Option<Dynamic>,
    pub(crate) all_of: Vec<NodeId>,
    pub(crate) any_of: Vec<NodeId>,
    pub(crate) one_of: Vec<NodeId>,
    pub(crate) not: Option<NodeId>,
    pub(crate) condition: Option<(NodeId, Option<NodeId>, Option<NodeId>)>,
    pub(crate) dependent: Vec<(Box<str>, NodeId)>,
}

/// `$dynamicRef`: where it leads at first, and the name to look for in the dynamic scope.
pub(crate) type Dynamic = (NodeId, Option<Box<str>>);

/// The base that relative `$id`s are resolved against.
const BASE: &str = "schema:///";

/// Compiles the schema that `document` is.
pub(crate) fn compile(document: &Value<'_>, options: Options) -> Result<Schema, Unusable> {
    let dialect = match document.member("$schema") {
        None => options.dialect,
        Some(name) => dialect_of(name.as_str().ok_or(Unusable::Dialect)?)?,
    };
    let base = Url::parse(BASE).map_err(|_relative| Unusable::Json)?;
    let mut index = Index {
        dialect,
        resources: Vec::new(),
        by_uri: HashMap::new(),
        bases: HashMap::new(),
    };
    let first = index.add(base, document);
    index.walk(document, first, "")?;
    let mut compiler = Compiler {
        index,
        formats: options.formats,
        nodes: Vec::new(),
        ids: HashMap::new(),
        queue: VecDeque::new(),
        dynamic_anchors: HashMap::new(),
        patterns: 0,
    };
    let resource = compiler.index.base_of(document).unwrap_or(first);
    let root = compiler.node(document, resource, String::new())?;
    while let Some(task) = compiler.queue.pop_front() {
        compiler.fill(&task)?;
    }
    let mut schema = Schema {
        nodes: compiler.nodes,
        root,
        closed: options.closed,
        dynamic_anchors: compiler.dynamic_anchors,
    };
    spread_declares(&mut schema);
    Ok(schema)
}

fn dialect_of(name: &str) -> Result<Dialect, Unusable> {
    let name = name.strip_suffix('#').unwrap_or(name);
    let name = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"));
    match name {
        Some("json-schema.org/draft/2020-12/schema") => Ok(Dialect::Draft202012),
        Some("json-schema.org/draft-07/schema") => Ok(Dialect::Draft7),
        Some(_) | None => Err(Unusable::Dialect),
    }
}

/// Marks every node whose place is declared by what applies in place.
fn spread_declares(schema: &mut Schema) {
    let mut users: HashMap<NodeId, Vec<usize>> = HashMap::new();
    for (at, node) in schema.nodes.iter().enumerate() {
        let Some(in_place) = &node.in_place else {
            continue;
        };
        let condition = in_place
            .condition
            .iter()
            .flat_map(|(test, yes, no)| [Some(*test), *yes, *no].into_iter().flatten());
        let applied = in_place
            .reference
            .into_iter()
            .chain(in_place.dynamic.iter().map(|(node, _)| *node))
            .chain(in_place.all_of.iter().copied())
            .chain(in_place.any_of.iter().copied())
            .chain(in_place.one_of.iter().copied())
            .chain(condition)
            .chain(in_place.dependent.iter().map(|(_, node)| *node));
        for used in applied {
            users.entry(used).or_default().push(at);
        }
    }
    let declaring = schema
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.declares);
    let mut spread: Vec<usize> = declaring.map(|(at, _)| at).collect();
    while let Some(at) = spread.pop() {
        for user in users.remove(&NodeId(at)).unwrap_or_default() {
            if let Some(node) = schema.nodes.get_mut(user)
                && !node.declares
            {
                node.declares = true;
                spread.push(user);
            }
        }
    }
}

/// A schema resource: what a `$id` begins (2020-12 core, section 4.3.5).
struct Resource<'v, 'a> {
    uri: Url,
    root: &'v Value<'a>,
    anchors: HashMap<&'v str, &'v Value<'a>>,
    dynamic: HashMap<&'v str, &'v Value<'a>>,
}

/// Where the document's identifiers and anchors are.
struct Index<'v, 'a> {
    dialect: Dialect,
    resources: Vec<Resource<'v, 'a>>,
    by_uri: HashMap<Url, usize>,
    /// The resource of each subschema, by its address.
    bases: HashMap<*const Value<'a>, usize>,
}

impl<'v, 'a> Index<'v, 'a> {
    fn add(&mut self, uri: Url, root: &'v Value<'a>) -> usize {
        let at = self.resources.len();
        self.by_uri.entry(uri.clone()).or_insert(at);
        self.resources.push(Resource {
            uri,
            root,
            anchors: HashMap::new(),
            dynamic: HashMap::new(),
        });
        at
    }

    fn base_of(&self, value: &Value<'a>) -> Option<usize> {
        self.bases.get(&std::ptr::from_ref(value)).copied()
    }

    /// Visits a subschema and those within, and notes identifiers and anchors.
    fn walk(&mut self, value: &'v Value<'a>, base: usize, at: &str) -> Result<(), Unusable> {
        let Some(members) = value.as_object() else {
            return Ok(());
        };
        if self.bases.len() >= SUBSCHEMAS_MAX {
            return Err(Unusable::TooManySubschemas);
        }
        let base = self.enter(value, base, at)?;
        self.bases.insert(std::ptr::from_ref(value), base);
        for (name, inner) in members {
            match Applicator::of(name, self.dialect) {
                None => {}
                Some(Applicator::One) => self.walk(inner, base, at)?,
                Some(Applicator::List) => {
                    for inner in inner.as_array().unwrap_or_default() {
                        self.walk(inner, base, at)?;
                    }
                }
                Some(Applicator::OneOrList) => match inner.as_array() {
                    None => self.walk(inner, base, at)?,
                    Some(items) => {
                        for inner in items {
                            self.walk(inner, base, at)?;
                        }
                    }
                },
                Some(Applicator::Map) => {
                    for (_, inner) in inner.as_object().unwrap_or_default() {
                        self.walk(inner, base, at)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes what a subschema calls itself; gives the resource it belongs to.
    fn enter(&mut self, value: &'v Value<'a>, base: usize, at: &str) -> Result<usize, Unusable> {
        let draft7 = self.dialect == Dialect::Draft7;
        let mut base = base;
        // In draft 7 nothing beside `$ref` counts.
        let id = value
            .member("$id")
            .filter(|_| !(draft7 && value.member("$ref").is_some()));
        if let Some(id) = id {
            let id = id.as_str().ok_or_else(|| Unusable::Keyword(told(at)))?;
            let (uri, fragment) = id.split_once('#').unwrap_or((id, ""));
            if !uri.is_empty() {
                let joined = self
                    .resources
                    .get(base)
                    .and_then(|it| it.uri.join(uri).ok());
                let uri = joined.ok_or_else(|| Unusable::Reference(told(at)))?;
                base = self.add(uri, value);
            }
            if !fragment.is_empty()
                && let Some(resource) = self.resources.get_mut(base)
            {
                resource.anchors.insert(fragment, value);
            }
        }
        if !draft7 && let Some(resource) = self.resources.get_mut(base) {
            if let Some(name) = value.member("$anchor").and_then(Value::as_str) {
                resource.anchors.insert(name, value);
            }
            if let Some(name) = value.member("$dynamicAnchor").and_then(Value::as_str) {
                resource.anchors.insert(name, value);
                resource.dynamic.insert(name, value);
            }
        }
        Ok(base)
    }

    /// What a reference leads to, and the resource that belongs to.
    fn resolve(&self, reference: &str, base: usize) -> Option<(&'v Value<'a>, usize)> {
        let uri = self.resources.get(base)?.uri.join(reference).ok()?;
        let fragment = uri.fragment().map(percent_decoded).unwrap_or_default();
        let mut uri = uri;
        uri.set_fragment(None);
        let at = *self.by_uri.get(&uri)?;
        let resource = self.resources.get(at)?;
        if fragment.is_empty() {
            return Some((resource.root, at));
        }
        let Some(pointer) = fragment.strip_prefix('/') else {
            let value = *resource.anchors.get(&*fragment)?;
            return Some((value, self.base_of(value).unwrap_or(at)));
        };
        let (mut value, mut base) = (resource.root, at);
        for token in pointer.split('/') {
            let token = token.replace("~1", "/").replace("~0", "~");
            value = match value {
                Value::Array(items) => items.get(token.parse::<usize>().ok()?)?,
                _ => value.member(&token)?,
            };
            base = self.base_of(value).unwrap_or(base);
        }
        Some((value, base))
    }
}

fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let hex = |byte: Option<u8>| byte.and_then(|it| char::from(it).to_digit(16));
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high.wrapping_shl(4) | low).unwrap_or(b'?'));
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How a keyword holds subschemas.
enum Applicator {
    One,
    List,
    OneOrList,
    Map,
}

impl Applicator {
    fn of(keyword: &str, dialect: Dialect) -> Option<Self> {
        let modern = dialect == Dialect::Draft202012;
        Some(match keyword {
            "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames" => Self::One,
            "unevaluatedItems" | "unevaluatedProperties" | "contentSchema" | "items" if modern => {
                Self::One
            }
            "additionalItems" if !modern => Self::One,
            "items" => Self::OneOrList,
            "allOf" | "anyOf" | "oneOf" => Self::List,
            "prefixItems" if modern => Self::List,
            "properties" | "patternProperties" | "$defs" | "definitions" => Self::Map,
            "dependentSchemas" if modern => Self::Map,
            "dependencies" if !modern => Self::Map,
            _ => return None,
        })
    }
}

/// A node that has a number and no content yet.
struct Task<'v, 'a> {
    id: NodeId,
    value: &'v Value<'a>,
    resource: usize,
    at: String,
}

struct Compiler<'v, 'a> {
    index: Index<'v, 'a>,
    formats: bool,
    nodes: Vec<Node>,
    ids: HashMap<*const Value<'a>, NodeId>,
    queue: VecDeque<Task<'v, 'a>>,
    dynamic_anchors: HashMap<(usize, Box<str>), NodeId>,
    patterns: usize,
}

/// A value of the wrong kind at a place of the schema.
fn wrong(at: &str, keyword: &str) -> Unusable {
    Unusable::Keyword(below(at, keyword))
}

/// A pointer one step further. It stays short however long the way: it is for reading only.
fn below(at: &str, part: &str) -> String {
    told(&format!(
        "{at}/{}",
        part.replace('~', "~0").replace('/', "~1")
    ))
}

impl<'v, 'a> Compiler<'v, 'a> {
    /// The number of the node that `value` is, to be filled when its turn comes.
    fn node(
        &mut self,
        value: &'v Value<'a>,
        resource: usize,
        at: String,
    ) -> Result<NodeId, Unusable> {
        let key = std::ptr::from_ref(value);
        if let Some(id) = self.ids.get(&key) {
            return Ok(*id);
        }
        if self.nodes.len() >= SUBSCHEMAS_MAX {
            return Err(Unusable::TooManySubschemas);
        }
        let id = NodeId(self.nodes.len());
        let resource = self.index.base_of(value).unwrap_or(resource);
        self.nodes.push(Node {
            resource,
            ..Node::default()
        });
        self.ids.insert(key, id);
        self.queue.push_back(Task {
            id,
            value,
            resource,
            at,
        });
        Ok(id)
    }

    fn fill(&mut self, task: &Task<'v, 'a>) -> Result<(), Unusable> {
        let node = match task.value {
            Value::Bool(true) => Node::default(),
            Value::Bool(false) => Node {
                never: true,
                ..Node::default()
            },
            Value::Object(_) => self.keywords(task)?,
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(Unusable::Keyword(told(&task.at)));
            }
        };
        if let Some(place) = self.nodes.get_mut(task.id.0) {
            *place = Node {
                resource: task.resource,
                ..node
            };
        }
        Ok(())
    }

    fn keywords(&mut self, task: &Task<'v, 'a>) -> Result<Node, Unusable> {
        let modern = self.index.dialect == Dialect::Draft202012;
        if !modern && task.value.member("$ref").is_some() {
            let in_place = InPlace {
                reference: self.reference(task, "$ref")?,
                ..InPlace::default()
            };
            return Ok(Node {
                in_place: Some(Box::new(in_place)),
                ..Node::default()
            });
        }
        let object = self.object(task, modern)?;
        Ok(Node {
            types: types(task)?,
            values: values(task)?,
            number: number(task)?.map(Box::new),
            string: self.string(task)?.map(Box::new),
            array: self.array(task, modern)?.map(Box::new),
            declares: object.is_some()
                && (task.value.member("properties").is_some()
                    || task.value.member("patternProperties").is_some()),
            object: object.map(Box::new),
            in_place: self.in_place(task, modern)?.map(Box::new),
            unevaluated_properties: self.one(task, "unevaluatedProperties", modern)?,
            unevaluated_items: self.one(task, "unevaluatedItems", modern)?,
            ..Node::default()
        })
    }

    fn one(
        &mut self,
        task: &Task<'v, 'a>,
        keyword: &str,
        known: bool,
    ) -> Result<Option<NodeId>, Unusable> {
        match task.value.member(keyword).filter(|_| known) {
            None => Ok(None),
            Some(value) => self
                .node(value, task.resource, below(&task.at, keyword))
                .map(Some),
        }
    }

    fn list(&mut self, task: &Task<'v, 'a>, keyword: &str) -> Result<Vec<NodeId>, Unusable> {
        let Some(value) = task.value.member(keyword) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| wrong(&task.at, keyword))?;
        let mut nodes = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            nodes.push(self.node(
                item,
                task.resource,
                below(&below(&task.at, keyword), &number.to_string()),
            )?);
        }
        Ok(nodes)
    }

    fn map(
        &mut self,
        task: &Task<'v, 'a>,
        keyword: &str,
    ) -> Result<Vec<(Box<str>, NodeId)>, Unusable> {
        let Some(value) = task.value.member(keyword) else {
            return Ok(Vec::new());
        };
        let members = value.as_object().ok_or_else(|| wrong(&task.at, keyword))?;
        let mut nodes = Vec::with_capacity(members.len());
        for (name, inner) in members {
            let at = below(&below(&task.at, keyword), name);
            nodes.push((Box::from(&**name), self.node(inner, task.resource, at)?));
        }
        Ok(nodes)
    }

    fn reference(
        &mut self,
        task: &Task<'v, 'a>,
        keyword: &str,
    ) -> Result<Option<NodeId>, Unusable> {
        let Some(value) = task.value.member(keyword) else {
            return Ok(None);
        };
        let text = value.as_str().ok_or_else(|| wrong(&task.at, keyword))?;
        let Some((target, resource)) = self.index.resolve(text, task.resource) else {
            return Err(Unusable::Reference(below(&task.at, keyword)));
        };
        // Told as the place of the reference: the way to the target may be long.
        self.node(target, resource, below(&task.at, keyword))
            .map(Some)
    }

    fn pattern(&mut self, text: &str, at: &str) -> Result<Pattern, Unusable> {
        self.patterns = self.patterns.saturating_add(1);
        if self.patterns > PATTERNS_MAX {
            return Err(Unusable::TooManyPatterns);
        }
        Pattern::compile(text).ok_or_else(|| Unusable::Pattern(told(at)))
    }

    fn string(&mut self, task: &Task<'v, 'a>) -> Result<Option<StringRules>, Unusable> {
        let pattern = match task.value.member("pattern") {
            None => None,
            Some(value) => {
                let text = value.as_str().ok_or_else(|| wrong(&task.at, "pattern"))?;
                Some(self.pattern(text, &below(&task.at, "pattern"))?)
            }
        };
        let format = match task.value.member("format") {
            None => None,
            Some(value) => {
                let name = value.as_str().ok_or_else(|| wrong(&task.at, "format"))?;
                Format::named(name).filter(|_| self.formats)
            }
        };
        let rules = StringRules {
            chars_min: count(task, "minLength")?,
            chars_max: count(task, "maxLength")?,
            pattern,
            format,
        };
        let any = rules.chars_min.is_some()
            || rules.chars_max.is_some()
            || rules.pattern.is_some()
            || rules.format.is_some();
        Ok(any.then_some(rules))
    }

    fn array(&mut self, task: &Task<'v, 'a>, modern: bool) -> Result<Option<ArrayRules>, Unusable> {
        let (prefix, rest) = if modern {
            (
                self.list(task, "prefixItems")?,
                self.one(task, "items", true)?,
            )
        } else if task
            .value
            .member("items")
            .is_some_and(|items| items.as_array().is_some())
        {
            (
                self.list(task, "items")?,
                self.one(task, "additionalItems", true)?,
            )
        } else {
            (Vec::new(), self.one(task, "items", true)?)
        };
        let contains = match self.one(task, "contains", true)? {
            None => None,
            Some(node) => Some(Contains {
                node,
                min: count(task, "minContains")?.filter(|_| modern).unwrap_or(1),
                max: count(task, "maxContains")?.filter(|_| modern),
                evaluates: modern,
            }),
        };
        let rules = ArrayRules {
            prefix,
            rest,
            contains,
            items_min: count(task, "minItems")?,
            items_max: count(task, "maxItems")?,
            unique: flag(task, "uniqueItems")?,
        };
        let any = !rules.prefix.is_empty()
            || rules.rest.is_some()
            || rules.contains.is_some()
            || rules.items_min.is_some()
            || rules.items_max.is_some()
            || rules.unique;
        Ok(any.then_some(rules))
    }

    fn object(
        &mut self,
        task: &Task<'v, 'a>,
        modern: bool,
    ) -> Result<Option<ObjectRules>, Unusable> {
        let mut patterns = Vec::new();
        for (text, node) in self.map(task, "patternProperties")? {
            let at = below(&below(&task.at, "patternProperties"), &text);
            patterns.push((self.pattern(&text, &at)?, node));
        }
        let mut dependent_required = Vec::new();
        let keyword = if modern {
            "dependentRequired"
        } else {
            "dependencies"
        };
        if let Some(value) = task.value.member(keyword) {
            let members = value.as_object().ok_or_else(|| wrong(&task.at, keyword))?;
            for (name, needed) in members {
                if modern || needed.as_array().is_some() {
                    dependent_required.push((Box::from(&**name), names(needed, task, keyword)?));
                }
            }
        }
        let required = match task.value.member("required") {
            None => Vec::new(),
            Some(value) => names(value, task, "required")?,
        };
        let rules = ObjectRules {
            properties: self.map(task, "properties")?,
            patterns,
            additional: self.one(task, "additionalProperties", true)?,
            names: self.one(task, "propertyNames", true)?,
            required,
            dependent_required,
            properties_min: count(task, "minProperties")?,
            properties_max: count(task, "maxProperties")?,
        };
        let any = task.value.member("properties").is_some()
            || !rules.patterns.is_empty()
            || rules.additional.is_some()
            || rules.names.is_some()
            || !rules.required.is_empty()
            || !rules.dependent_required.is_empty()
            || rules.properties_min.is_some()
            || rules.properties_max.is_some();
        Ok(any.then_some(rules))
    }

    fn in_place(&mut self, task: &Task<'v, 'a>, modern: bool) -> Result<Option<InPlace>, Unusable> {
        let condition = match self.one(task, "if", true)? {
            None => None,
            Some(test) => Some((
                test,
                self.one(task, "then", true)?,
                self.one(task, "else", true)?,
            )),
        };
        let dependent = if modern {
            self.map(task, "dependentSchemas")?
        } else {
            let mut nodes = Vec::new();
            for (name, inner) in task
                .value
                .member("dependencies")
                .and_then(Value::as_object)
                .unwrap_or_default()
            {
                if inner.as_array().is_none() {
                    let at = below(&below(&task.at, "dependencies"), name);
                    nodes.push((Box::from(&**name), self.node(inner, task.resource, at)?));
                }
            }
            nodes
        };
        let place = InPlace {
            reference: if modern {
                self.reference(task, "$ref")?
            } else {
                None
            },
            dynamic: if modern { self.dynamic(task)? } else { None },
            all_of: self.list(task, "allOf")?,
            any_of: self.list(task, "anyOf")?,
            one_of: self.list(task, "oneOf")?,
            not: self.one(task, "not", true)?,
            condition,
            dependent,
        };
        let any = place.reference.is_some()
            || place.dynamic.is_some()
            || !place.all_of.is_empty()
            || task.value.member("anyOf").is_some()
            || task.value.member("oneOf").is_some()
            || place.not.is_some()
            || place.condition.is_some()
            || !place.dependent.is_empty();
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let empty = task
                .value
                .member(keyword)
                .and_then(Value::as_array)
                .is_some_and(<[_]>::is_empty);
            if empty {
                return Err(wrong(&task.at, keyword));
            }
        }
        Ok(any.then_some(place))
    }

    /// `$dynamicRef`: where it leads at first, and the name to look for in the dynamic scope when
    /// that is a `$dynamicAnchor` (2020-12 core, section 8.2.3.2).
    fn dynamic(&mut self, task: &Task<'v, 'a>) -> Result<Option<Dynamic>, Unusable> {
        let keyword = "$dynamicRef";
        let Some(first) = self.reference(task, keyword)? else {
            return Ok(None);
        };
        let text = task
            .value
            .member(keyword)
            .and_then(Value::as_str)
            .unwrap_or_default();
        let name = text.split_once('#').map_or("", |(_, name)| name);
        let target = self
            .index
            .resolve(text, task.resource)
            .map(|(value, _)| value);
        let is_dynamic = target
            .and_then(|value| value.member("$dynamicAnchor"))
            .and_then(Value::as_str)
            .is_some_and(|anchor| anchor == name);
        if !is_dynamic {
            return Ok(Some((first, None)));
        }
        let anchors: Vec<_> = self
            .index
            .resources
            .iter()
            .enumerate()
            .filter_map(|(at, resource)| Some((at, *resource.dynamic.get(name)?)))
            .collect();
        for (resource, value) in anchors {
            let node = self.node(value, resource, below(&task.at, keyword))?;
            self.dynamic_anchors.insert((resource, name.into()), node);
        }
        Ok(Some((first, Some(name.into()))))
    }
}

fn types(task: &Task<'_, '_>) -> Result<Option<Types>, Unusable> {
    let Some(value) = task.value.member("type") else {
        return Ok(None);
    };
    let single = std::slice::from_ref(value);
    let mut types = Types::default();
    for name in value.as_array().unwrap_or(single) {
        let named = name
            .as_str()
            .and_then(Types::named)
            .ok_or_else(|| wrong(&task.at, "type"))?;
        types.0 |= named.0;
    }
    Ok(Some(types))
}

/// `enum` and `const`; where both stand, what is in both.
fn values(task: &Task<'_, '_>) -> Result<Option<Values>, Unusable> {
    let constant = task.value.member("const");
    let Some(list) = task.value.member("enum") else {
        return Ok(constant.map(|value| Values {
            keyword: "const",
            allowed: vec![value.clone().into_owned()],
        }));
    };
    let list = list.as_array().ok_or_else(|| wrong(&task.at, "enum"))?;
    let mut allowed: Vec<_> = list
        .iter()
        .filter(|value| constant.is_none_or(|constant| constant.compare(value).is_eq()))
        .map(|value| value.clone().into_owned())
        .collect();
    allowed.sort_unstable_by(Value::compare);
    Ok(Some(Values {
        keyword: "enum",
        allowed,
    }))
}

fn number(task: &Task<'_, '_>) -> Result<Option<NumberRules>, Unusable> {
    let rules = NumberRules {
        minimum: decimal(task, "minimum")?,
        maximum: decimal(task, "maximum")?,
        exclusive_minimum: decimal(task, "exclusiveMinimum")?,
        exclusive_maximum: decimal(task, "exclusiveMaximum")?,
        multiple_of: decimal(task, "multipleOf")?,
    };
    if rules
        .multiple_of
        .as_ref()
        .is_some_and(|factor| !factor.is_positive())
    {
        return Err(wrong(&task.at, "multipleOf"));
    }
    let any = rules.minimum.is_some()
        || rules.maximum.is_some()
        || rules.exclusive_minimum.is_some()
        || rules.exclusive_maximum.is_some()
        || rules.multiple_of.is_some();
    Ok(any.then_some(rules))
}

fn decimal(task: &Task<'_, '_>, keyword: &str) -> Result<Option<Decimal>, Unusable> {
    match task.value.member(keyword) {
        None => Ok(None),
        Some(Value::Number(text)) => Ok(Decimal::parse(text)),
        Some(_) => Err(wrong(&task.at, keyword)),
    }
}

fn count(task: &Task<'_, '_>, keyword: &str) -> Result<Option<usize>, Unusable> {
    match decimal(task, keyword)? {
        None => Ok(None),
        Some(number) => number
            .as_count()
            .map(Some)
            .ok_or_else(|| wrong(&task.at, keyword)),
    }
}

fn flag(task: &Task<'_, '_>, keyword: &str) -> Result<bool, Unusable> {
    match task.value.member(keyword) {
        None => Ok(false),
        Some(Value::Bool(it)) => Ok(*it),
        Some(_) => Err(wrong(&task.at, keyword)),
    }
}

fn names(value: &Value<'_>, task: &Task<'_, '_>, keyword: &str) -> Result<Vec<Box<str>>, Unusable> {
    let list = value.as_array().ok_or_else(|| wrong(&task.at, keyword))?;
    list.iter()
        .map(|name| {
            name.as_str()
                .map(Box::from)
                .ok_or_else(|| wrong(&task.at, keyword))
        })
        .collect()
}
