//! The tools of one server, in its own order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::Bytes;

use crate::{DefinitionFault, ToolDefinition};

/// The most tools of one server; further ones are left out.
pub(crate) const TOOLS_MAX: usize = 10_000;

/// The tools of one server.
#[derive(Debug, Default)]
pub struct Catalog {
    tools: HashMap<Box<str>, Arc<ToolDefinition>>,
    order: Vec<Arc<ToolDefinition>>,
    faults: Vec<(usize, DefinitionFault)>,
}

impl Catalog {
    /// Reads the entries of `tools/list`, whose bytes were scanned. A definition whose bytes equal one
    /// of `previous` is taken over with what was compiled for it. Of two with the same name the first
    /// counts. Compiles nothing.
    pub fn build(entries: Vec<Bytes>, previous: Option<&Self>) -> Self {
        let known: HashMap<&[u8], &Arc<ToolDefinition>> = previous
            .map(|catalog| {
                catalog
                    .order
                    .iter()
                    .map(|tool| (&*tool.raw, tool))
                    .collect()
            })
            .unwrap_or_default();
        let mut catalog = Self::default();
        for (at, raw) in entries.into_iter().enumerate().take(TOOLS_MAX) {
            let tool = match known.get(&*raw) {
                Some(tool) => Ok(Arc::clone(tool)),
                None => ToolDefinition::compile(raw).map(Arc::new),
            };
            let fault = match tool {
                Ok(tool) => match catalog.tools.entry(tool.name.clone()) {
                    Entry::Vacant(place) => {
                        place.insert(Arc::clone(&tool));
                        catalog.order.push(tool);
                        continue;
                    }
                    Entry::Occupied(_) => DefinitionFault::Duplicate,
                },
                Err(fault) => fault,
            };
            catalog.faults.push((at, fault));
        }
        catalog
    }

    /// The tool of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<ToolDefinition>> {
        self.tools.get(name)
    }

    /// The tools in the server's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<ToolDefinition>> {
        self.order.iter()
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The entries that were left out: their place in the list, and why.
    pub fn faults(&self) -> &[(usize, DefinitionFault)] {
        &self.faults
    }
}

#[cfg(test)]
mod tests;
