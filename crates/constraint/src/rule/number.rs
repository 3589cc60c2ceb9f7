//! Numbers within bounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Mistake, Passed};
use crate::violation::Reason;

/// The largest integer up to which all readers of JSON agree (RFC 8259 section 6): 2^53 - 1.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// A number. What readers could round differently is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NumberRule {
    /// The argument must be given.
    pub required: bool,
    /// The least.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// Only an integer, and spelt as one: `1`, not `1.0` or `1e0`.
    pub integer: bool,
}

#[derive(Debug)]
pub(crate) struct Number {
    min: f64,
    max: f64,
    integer: bool,
}

impl Number {
    pub(crate) fn compile(rule: &NumberRule) -> Result<Self, Mistake> {
        let min = rule.min.unwrap_or(f64::MIN);
        let max = rule.max.unwrap_or(f64::MAX);
        if !min.is_finite() || !max.is_finite() || min > max {
            return Err(Mistake::Bounds);
        }
        Ok(Self {
            min,
            max,
            integer: rule.integer,
        })
    }

    pub(crate) fn check(&self, value: &Value) -> Result<Passed, Reason> {
        let Value::Number(number) = value else {
            return Err(Reason::WrongType);
        };
        let magnitude = number
            .as_u64()
            .or_else(|| number.as_i64().map(i64::unsigned_abs));
        match magnitude {
            Some(magnitude) if magnitude > EXACT_MAX => return Err(Reason::OutOfRange),
            None if self.integer => return Err(Reason::Malformed),
            Some(_) | None => {}
        }
        let Some(float) = number.as_f64().filter(|float| float.is_finite()) else {
            return Err(Reason::OutOfRange);
        };
        if float < self.min || float > self.max {
            return Err(Reason::OutOfRange);
        }
        Ok(Passed::default())
    }
}
