//! JSON pointers (RFC 6901) in which `*` stands for any element or member.

use serde_json::Value;

use crate::rule::Mistake;
use crate::violation::Reason;

/// A parsed pointer.
#[derive(Clone, Debug)]
pub(crate) struct Pointer {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Any,
    /// A member, or where it is a number, also an element.
    Name(String),
}

/// Where an argument is, and how a violation may name it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The RFC 6901 pointer of this very value.
    pub(crate) exact: String,
    /// The same without member names that the caller chose.
    pub(crate) shown: String,
}

/// An argument that cannot be what the pointer takes it for.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) shown: String,
    pub(crate) reason: Reason,
}

impl Pointer {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() {
                Ok(Self { steps: Vec::new() })
            } else {
                Err(Mistake::Pointer)
            };
        };
        let steps = rest.split('/').map(|token| match token {
            "*" => Ok(Step::Any),
            _ => unescape(token).map(Step::Name).ok_or(Mistake::Pointer),
        });
        Ok(Self {
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// All values that the pointer addresses. Null is the same as absent: it carries nothing.
    ///
    /// A scalar where an array or object would have to be is a misfit, not an absence: a server
    /// that takes one path where many are described would else be handed an unchecked one.
    pub(crate) fn find(&self, arguments: &Value) -> Result<Vec<Place>, Misfit> {
        let mut found = vec![(
            Place {
                exact: String::new(),
                shown: String::new(),
            },
            arguments,
        )];
        for step in &self.steps {
            let mut next = Vec::new();
            for (place, value) in found {
                step.take(&place, value, &mut next)?;
            }
            found = next;
        }
        Ok(found
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(place, _)| place)
            .collect())
    }
}

impl Step {
    fn take<'a>(
        &self,
        place: &Place,
        value: &'a Value,
        next: &mut Vec<(Place, &'a Value)>,
    ) -> Result<(), Misfit> {
        match (value, self) {
            (Value::Null, _) => {}
            (Value::Array(elements), Self::Any) => {
                for (index, element) in elements.iter().enumerate() {
                    next.push((place.element(&index.to_string()), element));
                }
            }
            (Value::Object(members), Self::Any) => {
                for (name, member) in members {
                    next.push((place.member(name), member));
                }
            }
            (Value::Object(members), Self::Name(name)) => {
                if let Some(member) = members.get(name) {
                    next.push((place.element(&escape(name)), member));
                }
            }
            (Value::Array(elements), Self::Name(name)) => {
                // Leading zeros and signs are no index (RFC 6901 section 4).
                let index = name.parse::<usize>().ok();
                let Some(index) = index.filter(|index| index.to_string() == *name) else {
                    return Err(place.misfit());
                };
                if let Some(element) = elements.get(index) {
                    next.push((place.element(name), element));
                }
            }
            (Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {
                return Err(place.misfit());
            }
        }
        Ok(())
    }
}

impl Place {
    fn element(&self, token: &str) -> Self {
        Self {
            exact: format!("{}/{token}", self.exact),
            shown: format!("{}/{token}", self.shown),
        }
    }

    fn member(&self, name: &str) -> Self {
        Self {
            exact: format!("{}/{}", self.exact, escape(name)),
            shown: format!("{}/*", self.shown),
        }
    }

    fn misfit(&self) -> Misfit {
        Misfit {
            shown: self.shown.clone(),
            reason: Reason::WrongType,
        }
    }
}

/// Writes a member's name as a reference token (RFC 6901 section 3).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Reads a reference token; `None` where a `~` is followed by neither 0 nor 1.
fn unescape(token: &str) -> Option<String> {
    let mut name = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(char) = chars.next() {
        name.push(match char {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            plain => plain,
        });
    }
    Some(name)
}
