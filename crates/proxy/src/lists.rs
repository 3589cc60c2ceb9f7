//! Lists of tools, prompts, resources and templates: learnt from as they pass on one server's endpoint, fetched whole and
//! merged on the endpoint of all.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use portcullis_mcp::{
    Era, Object, Outcome, ServerName, elements, federated_name, method, quote, split_federated,
};
use portcullis_pipeline::{Catalog, ToolDefinition};

use crate::bridge;
use crate::caller::Caller;
use crate::federation;
use crate::link::{Link, Tools};
use crate::reply::Refusal;
use crate::runtime::Server;
use crate::tokens::{open_cursor, seal_cursor};
use crate::upstream::{Garbage, UpstreamError};

/// Most entries in one page of a merged list.
const PAGE_ENTRIES_MAX: usize = 1000;
/// Most bytes in one page of a merged list.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most pages that are taken from one server.
const PAGES_MAX: usize = 1000;
/// How long a merged list waits for a server before it goes out without it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server's tool definitions are believed without asking again.
const TOOLS_LIFE: Duration = Duration::from_mins(5);
/// How soon an unknown tool may make the gateway ask again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What one server's lists were rendered to, so that an unchanged list costs a comparison.
#[derive(Debug, Default)]
pub(crate) struct ListCache {
    /// By method and the client's era.
    rendered: Mutex<HashMap<RenderedKey, Arc<Rendered>>>,
    /// When a list was last fetched for the sake of a name that may have been cut.
    looked: Mutex<HashMap<&'static str, Instant>>,
}

/// The list that the target of a request is in.
fn list_of(method_name: &str) -> &'static str {
    if method_name == method::TOOLS_CALL {
        method::TOOLS_LIST
    } else {
        method::PROMPTS_LIST
    }
}

type RenderedKey = (Box<str>, Era);

#[derive(Debug)]
struct Rendered {
    raw: Vec<Bytes>,
    entries: Vec<Entry>,
    /// Names that were cut short, with what they were made from.
    cut: HashMap<String, Box<str>>,
}

/// An entry of a list, as it is called on the merged endpoint.
#[derive(Debug)]
struct Entry {
    /// The server's own name or URI of it.
    own: Box<str>,
    bytes: Bytes,
}

impl ListCache {
    /// The server's own name behind a name that was cut short on the merged endpoint.
    pub(crate) fn full_name(&self, method_name: &str, federated: &str) -> Option<Box<str>> {
        let rendered = self.rendered.lock();
        let list = list_of(method_name);
        let mut lists = rendered.iter().filter(|((method, _), _)| **method == *list);
        lists.find_map(|(_, rendered)| rendered.cut.get(federated).cloned())
    }

    /// Whether the list behind a name should be fetched before the name is given up: not more often than a server is
    /// asked for an unknown tool.
    fn may_look(&self, method_name: &str, now: Instant) -> bool {
        let mut looked = self.looked.lock();
        let is_due = |last: &Instant| now.saturating_duration_since(*last) >= ASK_AGAIN;
        let due = looked.get(list_of(method_name)).is_none_or(is_due);
        if due {
            looked.insert(list_of(method_name), now);
        }
        due
    }

    /// The entries of a server's list as they are called on the merged endpoint, in the shape of a client's era.
    fn render(
        &self,
        server: &ServerName,
        method_name: &str,
        server_era: Era,
        era: Era,
        raw: Vec<Bytes>,
    ) -> Arc<Rendered> {
        let key = (Box::from(method_name), era);
        if let Some(known) = self.rendered.lock().get(&key)
            && known.raw == raw
        {
            return Arc::clone(known);
        }
        let is_named = matches!(method_name, method::TOOLS_LIST | method::PROMPTS_LIST);
        let mut names = HashSet::new();
        let mut cut = HashMap::new();
        let entries = raw
            .iter()
            .filter_map(|entry| {
                let shaped = bridge::shape_entry(method_name, server_era, era, entry);
                let mut object = Object::parse(shaped.as_deref().unwrap_or(entry))?;
                if is_named {
                    let own = object.get_str("name")?;
                    let name = federated_name(server, &own);
                    // Of two entries that would be called the same the first counts, as in the catalog.
                    if names.contains(&name) {
                        tracing::warn!(%server, %name, "a second entry of this name is left out of a list");
                        return None;
                    }
                    if split_federated(&name).is_none_or(|(_, rest)| rest != own) {
                        cut.insert(name.clone(), Box::from(&*own));
                    }
                    names.insert(name);
                }
                let own = key_of(method_name, &object).unwrap_or_default().into();
                federation::outward_entry(server, method_name, &mut object);
                let bytes = object.to_vec().into();
                Some(Entry { own, bytes })
            })
            .collect();
        let rendered = Arc::new(Rendered { raw, entries, cut });
        self.rendered.lock().insert(key, Arc::clone(&rendered));
        rendered
    }
}

/// The member of a list result that holds the entries.
fn entries_member(method_name: &str) -> Option<&'static str> {
    Some(match method_name {
        method::TOOLS_LIST => "tools",
        method::PROMPTS_LIST => "prompts",
        method::RESOURCES_LIST => "resources",
        method::RESOURCES_TEMPLATES_LIST => "resourceTemplates",
        _ => return None,
    })
}

/// The server's own name or URI of an entry.
fn key_of<'e>(method_name: &str, entry: &'e Object<'_>) -> Option<Cow<'e, str>> {
    entry.get_str(match method_name {
        method::RESOURCES_LIST => "uri",
        method::RESOURCES_TEMPLATES_LIST => "uriTemplate",
        _ => "name",
    })
}

pub(crate) fn is_list(method_name: &str) -> bool {
    entries_member(method_name).is_some()
}

/// A page of a list as it passes on to a client: without what the client may not use. From a list of tools the definitions are
/// learnt, and those are left out that a server of the modern era must not offer: tools whose `x-mcp-header` annotations are
/// invalid (MCP 2026-07-28, transports).
pub(crate) async fn pass_on(
    caller: &Caller,
    link: &Link,
    method_name: &str,
    page: Bytes,
    is_first: bool,
) -> Bytes {
    let Some(member) = entries_member(method_name) else {
        return page;
    };
    let entries: Vec<Bytes> = {
        let Some(object) = Object::parse(&page) else {
            return page;
        };
        let Some(items) = object.get(member).and_then(elements) else {
            return page;
        };
        items.iter().map(|item| part(&page, item)).collect()
    };
    let mut kept: Vec<&[u8]> = if method_name == method::TOOLS_LIST {
        let is_whole = is_first && portcullis_mcp::member(&page, "nextCursor").is_none();
        let tools = learn(caller, link, &entries, is_whole).await;
        offered(link, &tools.catalog, &entries)
    } else {
        entries.iter().map(|entry| &**entry).collect()
    };
    kept.retain(|entry| {
        let entry = Object::parse(entry).unwrap_or_default();
        key_of(method_name, &entry)
            .is_none_or(|own| caller.may_use(&link.server.name, method_name, &own))
    });
    if kept.len() == entries.len() {
        return page;
    }
    let Some(mut object) = Object::parse(&page) else {
        return page;
    };
    let mut list = b"[".to_vec();
    list.extend_from_slice(&kept.join(&b','));
    list.push(b']');
    object.set(member, list);
    object.to_vec().into()
}

/// A result that no cache may give to anybody else: what one client is shown is not for all. Nothing else of it changes.
pub(crate) fn for_one(page: Bytes) -> Bytes {
    const PRIVATE: &[u8] = b"\"private\"";
    let Some(scope) = portcullis_mcp::member(&page, "cacheScope") else {
        return page;
    };
    let at = scope.as_ptr().addr().wrapping_sub(page.as_ptr().addr());
    let (Some(before), Some(after)) = (page.get(..at), page.get(at.saturating_add(scope.len())..))
    else {
        return page;
    };
    [before, PRIVATE, after].concat().into()
}

/// Learns tool definitions from the entries of a page, which is the whole list or a part of it.
async fn learn(caller: &Caller, link: &Link, entries: &[Bytes], is_whole: bool) -> Arc<Tools> {
    let known = link.tools();
    let previous = known.as_ref().map(|known| &known.catalog);
    let mut all = entries.to_vec();
    if !is_whole && let Some(previous) = previous {
        // Of two definitions with one name the first counts: the page replaces what it lists.
        all.extend(previous.iter().map(|tool| tool.raw.clone()));
    }
    let tools = Arc::new(Tools {
        catalog: Catalog::build(all, previous),
        listed: Instant::now(),
    });
    link.learn(&tools);
    let runtime = &caller.runtime;
    let now = runtime.clock.now();
    let server = &link.server.name;
    runtime.pipeline.learn(server, &tools.catalog, now).await;
    tools
}

/// The entries that may be offered to clients.
fn offered<'a>(link: &Link, catalog: &Catalog, entries: &'a [Bytes]) -> Vec<&'a [u8]> {
    let is_offered = |entry: &&Bytes| {
        let name =
            Object::parse(entry).and_then(|entry| entry.get_str("name").map(Cow::into_owned));
        let Some(tool) = name.and_then(|name| catalog.get(&name)) else {
            return true;
        };
        // A reference could lead out of the schema, and a client be made to follow it.
        let refers = memchr::memmem::find(entry, b"$ref").is_some();
        let fault = match (tool.param_headers(), refers.then(|| tool.input())) {
            (Err(invalid), _) if link.era() == Era::Modern => invalid.to_string(),
            (_, Some(Err(unusable))) => unusable.to_string(),
            _ => return true,
        };
        tracing::warn!(server = %link.server.name, tool = %tool.name, %fault, "a tool is not offered");
        false
    };
    entries
        .iter()
        .filter(is_offered)
        .map(|entry| &**entry)
        .collect()
}

/// The definition of a tool by the server's own name for it; asks the server when it is not known.
pub(crate) async fn tool(
    caller: &Caller,
    link: &Arc<Link>,
    name: &str,
) -> Result<Option<Arc<ToolDefinition>>, UpstreamError> {
    let now = Instant::now();
    if let Some(tools) = link.tools() {
        let age = now.saturating_duration_since(tools.listed);
        let found = tools.catalog.get(name).cloned();
        if (found.is_some() && age < TOOLS_LIFE) || (found.is_none() && age < ASK_AGAIN) {
            return Ok(found);
        }
    }
    let entries = fetch_all(caller, link, method::TOOLS_LIST).await?;
    let tools = learn(caller, link, &entries, true).await;
    Ok(tools.catalog.get(name).cloned())
}

/// Makes known what a name on the merged endpoint was cut from, if it looks cut and nobody has listed it yet: names hold
/// longer than this process.
pub(crate) async fn look_up_cut(
    caller: &Caller,
    method_name: &str,
    server: &Arc<Server>,
    name: &str,
) {
    if is_cut(name)
        && server.lists.full_name(method_name, name).is_none()
        && server.lists.may_look(method_name, Instant::now())
    {
        // Without the list the name stays unknown; why has been logged.
        drop(one(caller, server, list_of(method_name)).await);
    }
}

/// Whether a name has the form of a [`federated_name`] that was cut: near the longest, and a hash at its end.
fn is_cut(name: &str) -> bool {
    let hash = name.rsplit_once('_').map_or("", |(_, hash)| hash);
    name.len() > 60 && hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A part of a page, without copying it where it can be helped.
fn part(page: &Bytes, item: &[u8]) -> Bytes {
    if page.as_ptr_range().contains(&item.as_ptr()) {
        page.slice_ref(item)
    } else {
        Bytes::copy_from_slice(item)
    }
}

/// Fetches all pages of a list, within bounds.
async fn fetch_all(
    caller: &Caller,
    link: &Arc<Link>,
    method_name: &str,
) -> Result<Vec<Bytes>, UpstreamError> {
    let Some(member) = entries_member(method_name) else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    let mut cursor: Option<Vec<u8>> = None;
    for _ in 0..PAGES_MAX {
        let params = cursor.take().map(|cursor| {
            let mut params = Object::new();
            params.set("cursor", cursor);
            Bytes::from(params.to_vec())
        });
        let page = match link
            .request(&caller.runtime, method_name, params, &caller.profile)
            .await?
        {
            Outcome::Result(page) => page,
            // A server without this kind of thing has an empty list of them.
            Outcome::Error(error) if error.code == portcullis_mcp::code::METHOD_NOT_FOUND => break,
            Outcome::Error(error) => {
                return Err(UpstreamError::Refused {
                    error,
                    http_status: 200,
                });
            }
        };
        let object = Object::parse(&page).ok_or_else(malformed)?;
        let items = object
            .get(member)
            .and_then(elements)
            .ok_or_else(malformed)?;
        if entries.len() + items.len() > caller.runtime.limits.list_entries_max {
            return Err(UpstreamError::TooLarge);
        }
        entries.extend(items.into_iter().map(|item| part(&page, item)));
        match object.get_str("nextCursor") {
            Some(next) => cursor = Some(quote(&next)),
            None => break,
        }
    }
    Ok(entries)
}

fn malformed() -> UpstreamError {
    UpstreamError::Garbage(Garbage::Unexpected("a result without a list"))
}

/// Why a server's entries are missing from a merged list.
struct Missing<'a> {
    server: &'a ServerName,
    reason: Cow<'static, str>,
}

/// Answers a list request on the endpoint that merges all servers.
pub(crate) async fn merged(
    caller: &Caller,
    method_name: &str,
    params: Option<&[u8]>,
) -> Result<Bytes, Refusal> {
    let member =
        entries_member(method_name).ok_or_else(|| Refusal::method_not_found(method_name))?;
    let start = start_of_page(caller, method_name, params)?;
    let servers: Vec<&Arc<Server>> = caller.runtime.servers.values().collect();
    let lists = join_all(
        servers
            .iter()
            .map(|server| one(caller, server, method_name)),
    )
    .await;

    let mut entries = Vec::new();
    let mut missing = Vec::new();
    for (server, list) in servers.iter().zip(&lists) {
        match list {
            Ok(rendered) => entries.extend(
                rendered
                    .entries
                    .iter()
                    .filter(|entry| caller.may_use(&server.name, method_name, &entry.own))
                    .map(|entry| &entry.bytes),
            ),
            Err(reason) => missing.push(Missing {
                server: &server.name,
                reason: reason.clone(),
            }),
        }
    }

    let mut list = b"[".to_vec();
    let mut next = start;
    for entry in entries.iter().skip(start) {
        if next > start {
            if next - start >= PAGE_ENTRIES_MAX || list.len() + entry.len() > PAGE_BYTES_MAX {
                break;
            }
            list.push(b',');
        }
        list.extend_from_slice(entry);
        next += 1;
    }
    list.push(b']');

    let mut result = Object::new();
    result.set(member, list);
    if next < entries.len() {
        let cursor = seal_cursor(caller, "", method_name, &next.to_string())?;
        result.set("nextCursor", quote(&cursor));
    }
    if !missing.is_empty() {
        let mut meta = Object::new();
        meta.set("portcullis/missing", render_missing(&missing));
        result.set("_meta", meta.to_vec());
        tell_missing(caller, &missing);
    }
    Ok(bridge::complete(
        caller,
        method_name,
        &result.to_vec().into(),
    ))
}

async fn one(
    caller: &Caller,
    server: &Arc<Server>,
    method_name: &str,
) -> Result<Arc<Rendered>, Cow<'static, str>> {
    let fetch = async {
        let link = Link::to(caller, server).await?;
        if !bridge::offers(&link, method_name) {
            return Ok((link.era(), Vec::new()));
        }
        let entries = fetch_all(caller, &link, method_name).await?;
        let entries = match method_name {
            method::TOOLS_LIST => {
                let tools = learn(caller, &link, &entries, true).await;
                let offered = offered(&link, &tools.catalog, &entries);
                offered.into_iter().map(Bytes::copy_from_slice).collect()
            }
            _ => entries,
        };
        Ok::<_, UpstreamError>((link.era(), entries))
    };
    match tokio::time::timeout(PATIENCE, fetch).await {
        Ok(Ok((era, entries))) => {
            Ok(server
                .lists
                .render(&server.name, method_name, era, caller.era(), entries))
        }
        Ok(Err(error)) => {
            tracing::warn!(server = %server.name, %error, method = method_name, "a server is missing from a list");
            Err(Cow::Owned(error.to_string()))
        }
        Err(_elapsed) => {
            tracing::warn!(server = %server.name, method = method_name, "a slow server is missing from a list");
            Err(Cow::Borrowed("the server did not answer in time"))
        }
    }
}

fn start_of_page(
    caller: &Caller,
    method_name: &str,
    params: Option<&[u8]>,
) -> Result<usize, Refusal> {
    let Some(params) = params.and_then(Object::parse) else {
        return Ok(0);
    };
    if !params.contains("cursor") {
        return Ok(0);
    }
    params
        .get_str("cursor")
        .and_then(|cursor| open_cursor(caller, "", method_name, &cursor))
        .and_then(|start| start.parse().ok())
        .ok_or_else(|| Refusal::invalid_params("unknown cursor; list again from the start"))
}

fn render_missing(missing: &[Missing<'_>]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for (at, Missing { server, reason }) in missing.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let mut entry = Object::new();
        entry.set("server", quote(server.as_str()));
        entry.set("reason", quote(reason));
        entry.write(&mut out);
    }
    out.push(b']');
    out
}

/// Tells the client in words which servers are missing, where the protocol lets us.
fn tell_missing(caller: &Caller, missing: &[Missing<'_>]) {
    let wants_log = match &caller.session {
        Some(session) => session.log_level().is_some(),
        None => caller.profile.log_level.is_some(),
    };
    if !wants_log {
        return;
    }
    for Missing { server, reason } in missing {
        let mut params = Object::new();
        params.set("level", b"\"warning\"".as_slice());
        params.set("logger", b"\"portcullis\"".as_slice());
        params.set(
            "data",
            quote(&format!(
                "server `{server}` is missing from the list: {reason}"
            )),
        );
        caller.stream.notify(portcullis_mcp::encode_notification(
            method::NOTIFICATIONS_MESSAGE,
            Some(&params.to_vec()),
        ));
    }
}
