//! One of some values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Mistake, Passed};
use crate::violation::Reason;

/// One of some values, compared exactly: `1` is neither `1.0` nor `"1"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnumRule {
    /// The argument must be given.
    pub required: bool,
    /// The values, of any JSON type.
    pub values: Vec<Value>,
}

#[derive(Debug)]
pub(crate) struct Enumeration {
    values: Vec<Value>,
}

impl Enumeration {
    pub(crate) fn compile(rule: &EnumRule) -> Result<Self, Mistake> {
        if rule.values.is_empty() {
            return Err(Mistake::NoValues);
        }
        Ok(Self {
            values: rule.values.clone(),
        })
    }

    pub(crate) fn check(&self, value: &Value) -> Result<Passed, Reason> {
        if self.values.contains(value) {
            Ok(Passed::default())
        } else {
            Err(Reason::NotListed)
        }
    }
}
