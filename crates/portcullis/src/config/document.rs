//! A parsed TOML file that still knows where each value stands.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and its place in the file, in bytes.
pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

/// Names the way from the root of the file to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Index(usize),
}

impl Path {
    /// The path that enters a table at each of `keys`.
    pub(crate) fn of<const N: usize>(keys: [&str; N]) -> Self {
        Self(keys.into_iter().map(|k| Step::Key(k.to_owned())).collect())
    }

    /// This path and one more step into a table.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// This path and one more step into an array.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The last key on the way.
    pub(crate) fn name(&self) -> &str {
        let last = self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        });
        last.unwrap_or_default()
    }

    /// The keys on the way, without the array steps.
    pub(crate) fn keys(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        for step in &self.0 {
            if let Step::Key(key) = step {
                keys.push(key.as_str());
            }
        }
        keys
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Finds places in a parsed file.
#[derive(Debug)]
pub(crate) struct Document<'i> {
    root: Spanned<DeTable<'i>>,
}

impl<'i> Document<'i> {
    /// Wraps a parsed file.
    pub(crate) fn new(root: Spanned<DeTable<'i>>) -> Self {
        Self { root }
    }

    /// The value at `path`.
    pub(crate) fn value(&self, path: &Path) -> Option<&Value<'i>> {
        self.entry(path).map(|(_, value)| value)
    }

    /// Where the value at `path` stands, or the nearest enclosing thing that the file has.
    pub(crate) fn value_span(&self, path: &Path) -> Range<usize> {
        self.nearest(path, |_, value| value.span())
    }

    /// Where the key at the end of `path` stands, or the nearest enclosing thing that the file has.
    pub(crate) fn key_span(&self, path: &Path) -> Range<usize> {
        self.nearest(path, |key, value| key.unwrap_or_else(|| value.span()))
    }

    /// Whether the file itself has a value at `path`.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.value(path).is_some()
    }

    fn nearest(
        &self,
        path: &Path,
        span: impl Fn(Option<Range<usize>>, &Value<'i>) -> Range<usize>,
    ) -> Range<usize> {
        let mut path = path.clone();
        while !path.0.is_empty() {
            if let Some((key, value)) = self.entry(&path) {
                return span(key, value);
            }
            path.0.pop();
        }
        0..0
    }

    fn entry(&self, path: &Path) -> Option<(Option<Range<usize>>, &Value<'i>)> {
        let mut steps = path.0.iter();
        let Some(Step::Key(first)) = steps.next() else {
            return None;
        };
        let (key, mut value) = self.root.get_ref().get_key_value(first.as_str())?;
        let mut key = Some(key.span());
        for step in steps {
            match (step, value.get_ref()) {
                (Step::Key(name), DeValue::Table(table)) => {
                    let (found, inner) = table.get_key_value(name.as_str())?;
                    (key, value) = (Some(found.span()), inner);
                }
                (Step::Index(index), DeValue::Array(array)) => {
                    (key, value) = (None, array.get(*index)?);
                }
                _ => return None,
            }
        }
        Some((key, value))
    }
}

/// The path of the innermost value of `table` whose span is `span`, or else encloses it.
pub(crate) fn locate(table: &DeTable<'_>, span: &Range<usize>) -> Option<Path> {
    let mut best: Option<(usize, Path)> = None;
    let mut consider = |path: &Path, at: Range<usize>| {
        let encloses = at.start <= span.start && span.end <= at.end;
        let narrower = best.as_ref().is_none_or(|(width, _)| at.len() <= *width);
        if encloses && narrower {
            best = Some((at.len(), path.clone()));
        }
    };
    for (key, value) in table {
        visit(
            &Path::default().key(key.get_ref()),
            key.span(),
            value,
            &mut consider,
        );
    }
    best.map(|(_, path)| path)
}

fn visit(
    path: &Path,
    key: Range<usize>,
    value: &Value<'_>,
    consider: &mut impl FnMut(&Path, Range<usize>),
) {
    consider(path, key);
    consider(path, value.span());
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                visit(&path.key(key.get_ref()), key.span(), value, consider);
            }
        }
        DeValue::Array(array) => {
            for (i, value) in array.iter().enumerate() {
                visit(&path.index(i), value.span(), value, consider);
            }
        }
        _ => {}
    }
}

/// Takes the value at `path` out of `table`, and with it what cannot stand without it: the whole
/// array around an element.
pub(crate) fn remove(table: &mut DeTable<'_>, path: &Path) {
    let mut keys = Vec::new();
    for step in &path.0 {
        match step {
            Step::Key(key) => keys.push(key.as_str()),
            Step::Index(_) => break,
        }
    }
    let Some((last, parents)) = keys.split_last() else {
        return;
    };
    let mut at = table;
    for key in parents {
        match at.get_mut(*key).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => at = inner,
            _ => return,
        }
    }
    at.remove(*last);
}

/// Calls `change` with the path of every string in `value`, and the string.
pub(crate) fn each_string<'i>(
    path: &Path,
    value: &mut Value<'i>,
    change: &mut impl FnMut(&Path, &mut Spanned<DeValue<'i>>),
) {
    match value.get_mut() {
        DeValue::String(_) => change(path, value),
        DeValue::Array(array) => {
            for (i, inner) in array.iter_mut().enumerate() {
                each_string(&path.index(i), inner, change);
            }
        }
        DeValue::Table(table) => {
            for (key, inner) in table.iter_mut() {
                each_string(&path.key(key.get_ref()), inner, change);
            }
        }
        _ => {}
    }
}
