//! Which tools of a server are being called.

use std::collections::BTreeMap;

use std::sync::Arc;
use tokio::sync::watch;

/// The calls of one server that are in flight. A clone is a handle to the same.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    calls: Arc<watch::Sender<Calls>>,
}

/// A call in flight, which ends when this is dropped.
#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub struct Call {
    tool: String,
    of: InFlight,
}

/// How many calls of each tool there are; never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<String, usize>);

impl InFlight {
    /// A call of `tool` begins.
    pub fn begin(&self, tool: &str) -> Call {
        self.calls.send_modify(|calls| {
            *calls.0.entry(tool.to_owned()).or_default() += 1;
        });
        Call {
            tool: tool.to_owned(),
            of: self.clone(),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Calls> {
        self.calls.subscribe()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.of.calls.send_modify(|calls| {
            if let Some(count) = calls.0.get_mut(&self.tool) {
                *count -= 1;
                if *count == 0 {
                    calls.0.remove(&self.tool);
                }
            }
        });
    }
}

impl Calls {
    /// The first of these tools that is being called.
    pub(crate) fn first_of(&self, tools: &[String]) -> Option<String> {
        tools
            .iter()
            .find(|tool| self.0.contains_key(*tool))
            .cloned()
    }

    /// The tool that is being called, if it is just one.
    pub(crate) fn only(&self) -> Option<String> {
        match self.0.len() {
            1 => self.0.keys().next().cloned(),
            _ => None,
        }
    }
}
