//! Which changes a client wants to hear of, or a server has agreed to tell (MCP 2026-07-28, "Subscriptions").

use std::collections::BTreeSet;

use bytes::Bytes;
use portcullis_mcp::{Object, boolean, method, quote};

use crate::federation;
use crate::link::{Link, Note};

/// What a client wants to hear of, or a server has agreed to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) uris: BTreeSet<String>,
    /// Members that we have no name for, as they are.
    pub(crate) rest: Vec<(String, Bytes)>,
}

const TOOLS: &str = "toolsListChanged";
const PROMPTS: &str = "promptsListChanged";
const RESOURCES: &str = "resourcesListChanged";
const URIS: &str = "resourceSubscriptions";

impl Filter {
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let object = Object::parse(json)?;
        let mut filter = Self::default();
        for (key, value) in object.iter() {
            match key {
                TOOLS => filter.tools = boolean(value)?,
                PROMPTS => filter.prompts = boolean(value)?,
                RESOURCES => filter.resources = boolean(value)?,
                URIS => filter.uris = federation::strings(value)?.into_iter().collect(),
                _ => filter
                    .rest
                    .push((key.to_owned(), Bytes::copy_from_slice(value))),
            }
        }
        Some(filter)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut object = Object::new();
        for (key, wanted) in [
            (TOOLS, self.tools),
            (PROMPTS, self.prompts),
            (RESOURCES, self.resources),
        ] {
            if wanted {
                object.set(key, b"true".as_slice());
            }
        }
        if !self.uris.is_empty() {
            let uris: Vec<Vec<u8>> = self.uris.iter().map(|uri| quote(uri)).collect();
            let mut list = b"[".to_vec();
            list.extend_from_slice(&uris.join(&b','));
            list.push(b']');
            object.set(URIS, list);
        }
        for (key, value) in &self.rest {
            object.set(key, value.to_vec());
        }
        object.to_vec()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn admits(&self, note: &Note) -> bool {
        match &*note.method {
            method::NOTIFICATIONS_TOOLS_LIST_CHANGED => self.tools,
            method::NOTIFICATIONS_PROMPTS_LIST_CHANGED => self.prompts,
            method::NOTIFICATIONS_RESOURCES_LIST_CHANGED => self.resources,
            method::NOTIFICATIONS_RESOURCES_UPDATED => note
                .params
                .as_deref()
                .and_then(Object::parse)
                .is_some_and(|params| {
                    params
                        .get_str("uri")
                        .is_some_and(|uri| self.uris.contains(&*uri))
                }),
            // Other kinds come only from a server that was asked for them.
            _ => !self.rest.is_empty(),
        }
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.tools |= other.tools;
        self.prompts |= other.prompts;
        self.resources |= other.resources;
        self.uris.extend(other.uris.iter().cloned());
        for entry in &other.rest {
            if !self.rest.contains(entry) {
                self.rest.push(entry.clone());
            }
        }
    }

    /// What of this a legacy server can tell.
    pub(crate) fn offered_by(&self, link: &Link) -> Self {
        let declared = Object::parse(&link.connection.hello().capabilities).unwrap_or_default();
        let has = |capability: &str, member: &str| {
            declared
                .get(capability)
                .and_then(Object::parse)
                .is_some_and(|own| own.get(member).and_then(boolean) == Some(true))
        };
        Self {
            tools: self.tools && has("tools", "listChanged"),
            prompts: self.prompts && has("prompts", "listChanged"),
            resources: self.resources && has("resources", "listChanged"),
            uris: if has("resources", "subscribe") {
                self.uris.clone()
            } else {
                BTreeSet::new()
            },
            rest: Vec::new(),
        }
    }
}
