//! Names of one server among several: on the endpoint that merges all servers, names carry the server's name in front, and are
//! turned back into the server's own on the way in. On the endpoint of one server nothing changes.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_mcp::{
    Object, ServerName, elements, federated_name, federated_uri, member, method, quote,
    split_federated, split_federated_uri, string,
};

use crate::caller::Caller;
use crate::link::Note;
use crate::lists;
use crate::reply::Refusal;
use crate::route::Route;
use crate::runtime::Server;

/// A request in its server's own terms.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) server: Arc<Server>,
    /// The server's own name of the tool or prompt, the resource's URI, or the task's id.
    pub(crate) name: Option<Box<str>>,
    pub(crate) params: Option<Bytes>,
}

/// What a request's target is called, and where it stands in the parameters.
enum Named<'a> {
    Name(Cow<'a, str>),
    Uri(Cow<'a, str>),
    TaskId(Cow<'a, str>),
    Reference(Object<'a>),
    Nothing,
}

fn named<'a>(method_name: &str, params: &'a [u8]) -> Result<Named<'a>, Refusal> {
    let missing =
        |key: &str| Refusal::invalid_params(format!("`{key}` is missing or not a string"));
    let text = |key| member(params, key).and_then(string);
    Ok(match method_name {
        method::TOOLS_CALL | method::PROMPTS_GET => {
            Named::Name(text("name").ok_or_else(|| missing("name"))?)
        }
        method::RESOURCES_READ
        | method::RESOURCES_SUBSCRIBE
        | method::RESOURCES_UNSUBSCRIBE
        | method::RESOURCES_DIRECTORY_READ => {
            Named::Uri(text("uri").ok_or_else(|| missing("uri"))?)
        }
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL | method::TASKS_RESULT => {
            Named::TaskId(text("taskId").ok_or_else(|| missing("taskId"))?)
        }
        method::COMPLETION_COMPLETE => Named::Reference(
            member(params, "ref")
                .and_then(Object::parse)
                .ok_or_else(|| missing("ref"))?,
        ),
        _ => Named::Nothing,
    })
}

/// Makes known what the name in a request was cut from, if it is on the merged endpoint and was cut.
pub(crate) async fn look_up(caller: &Caller, method_name: &str, params: Option<&[u8]>) {
    if caller.route != Route::All {
        return;
    }
    let name = match named(method_name, params.unwrap_or_default()) {
        Ok(Named::Name(name)) => Some(name.into_owned()),
        Ok(Named::Reference(reference)) => reference.get_str("name").map(Cow::into_owned),
        _ => None,
    };
    let Some(name) = name else { return };
    let server = split_federated(&name).and_then(|(server, _)| server.parse::<ServerName>().ok());
    if let Some(server) = server.and_then(|server| caller.runtime.servers.get(&server)) {
        lists::look_up_cut(caller, method_name, server, &name).await;
    }
}

/// Finds the server that a request is for, and puts the request in its terms.
pub(crate) fn inward(
    caller: &Caller,
    method_name: &str,
    params: Option<Bytes>,
) -> Result<Target, Refusal> {
    let servers = &caller.runtime.servers;
    let raw = params.clone().unwrap_or_default();
    match &caller.route {
        Route::Server(name) => {
            let server = servers
                .get(name)
                .ok_or_else(|| Refusal::method_not_found(method_name))?;
            let own = match named(method_name, &raw)? {
                Named::Name(name) | Named::Uri(name) | Named::TaskId(name) => Some(name),
                Named::Reference(reference) => {
                    let own = reference
                        .get_str("name")
                        .or_else(|| reference.get_str("uri"));
                    own.map(|own| Cow::Owned(own.into_owned()))
                }
                Named::Nothing => None,
            };
            let name = own.map(|own| own.into_owned().into_boxed_str());
            Ok(Target {
                server: Arc::clone(server),
                name,
                params,
            })
        }
        Route::All => {
            let (server, own, key, value) = match named(method_name, &raw)? {
                Named::Name(name) => {
                    let (server, own) = by_name(caller, method_name, &name)?;
                    let value = quote(&own);
                    (server, own, "name", value)
                }
                Named::Uri(uri) => {
                    let (server, own) = by_uri(caller, &uri)?;
                    let value = quote(&own);
                    (server, own, "uri", value)
                }
                Named::TaskId(id) => {
                    let (server, own) = by_uri(caller, &id)
                        .map_err(|_unknown| Refusal::invalid_params("unknown task"))?;
                    let value = quote(&own);
                    (server, own, "taskId", value)
                }
                Named::Reference(mut reference) => {
                    let (server, own, key) =
                        match (reference.get_str("name"), reference.get_str("uri")) {
                            (Some(name), None) => {
                                let (server, own) = by_name(caller, method_name, &name)?;
                                (server, own, "name")
                            }
                            (None, Some(uri)) => {
                                let (server, own) = by_uri(caller, &uri)?;
                                (server, own, "uri")
                            }
                            _ => {
                                return Err(Refusal::invalid_params(
                                    "`ref` names no prompt or resource",
                                ));
                            }
                        };
                    reference.set(key, quote(&own));
                    let value = reference.to_vec();
                    (server, own, "ref", value)
                }
                Named::Nothing => return Err(Refusal::method_not_found(method_name)),
            };
            let mut object = Object::parse(&raw).unwrap_or_default();
            object.set(key, value);
            let params = Some(object.to_vec().into());
            Ok(Target {
                server,
                name: Some(own.into_boxed_str()),
                params,
            })
        }
    }
}

/// The server and its own name of what `name` stands for on the merged endpoint.
fn by_name(
    caller: &Caller,
    method_name: &str,
    name: &str,
) -> Result<(Arc<Server>, String), Refusal> {
    let unknown = || {
        let kind = if method_name == method::TOOLS_CALL {
            "tool"
        } else {
            "prompt"
        };
        Refusal::invalid_params(format!("unknown {kind}"))
    };
    let (server, own) = split_federated(name).ok_or_else(unknown)?;
    let server = server
        .parse::<ServerName>()
        .ok()
        .and_then(|server| caller.runtime.servers.get(&server))
        .ok_or_else(unknown)?;
    // A name that was cut short is found by what it was made from.
    let own = match server.lists.full_name(method_name, name) {
        Some(full) => full.into(),
        None => own.to_owned(),
    };
    Ok((Arc::clone(server), own))
}

fn by_uri(caller: &Caller, uri: &str) -> Result<(Arc<Server>, String), Refusal> {
    let unknown = || Refusal::Protocol {
        error: portcullis_mcp::RpcError::new(
            match caller.era() {
                portcullis_mcp::Era::Legacy => portcullis_mcp::code::RESOURCE_NOT_FOUND,
                portcullis_mcp::Era::Modern => portcullis_mcp::code::INVALID_PARAMS,
            },
            "resource not found",
        ),
        status: http::StatusCode::OK,
    };
    let (server, own) = split_federated_uri(uri).ok_or_else(unknown)?;
    let server = server
        .parse::<ServerName>()
        .ok()
        .and_then(|server| caller.runtime.servers.get(&server))
        .ok_or_else(unknown)?;
    Ok((Arc::clone(server), own.to_owned()))
}

/// An entry of a server's list, under its name on the merged endpoint.
pub(crate) fn outward_entry(server: &ServerName, method_name: &str, entry: &mut Object<'_>) {
    let (member, rename): (_, fn(&ServerName, &str) -> String) = match method_name {
        method::TOOLS_LIST | method::PROMPTS_LIST => ("name", federated_name),
        method::RESOURCES_LIST => ("uri", federated_uri),
        method::RESOURCES_TEMPLATES_LIST => ("uriTemplate", federated_uri),
        _ => return,
    };
    if let Some(own) = entry.get_str(member).map(Cow::into_owned) {
        entry.set(member, quote(&rename(server, &own)));
    }
}

/// A result with the URIs in it as they are called on the caller's endpoint.
pub(crate) fn outward_result(
    route: &Route,
    server: &ServerName,
    method_name: &str,
    result: Bytes,
) -> Bytes {
    if matches!(route, Route::Server(_)) {
        return result;
    }
    let changed = match method_name {
        method::TOOLS_CALL => outward_call(server, &result),
        method::PROMPTS_GET => edit_array(&result, "messages", |message| {
            edit_member(message, "content", |block| outward_block(server, block))
        }),
        method::RESOURCES_READ => edit_array(&result, "contents", |contents| {
            outward_uri(server, contents)
        }),
        method::RESOURCES_DIRECTORY_READ => edit_array(&result, "resources", |resource| {
            outward_uri(server, resource)
        }),
        method::TASKS_GET | method::TASKS_UPDATE | method::TASKS_CANCEL => {
            outward_task(server, &result)
        }
        _ => None,
    };
    changed.map_or(result, Bytes::from)
}

fn outward_call(server: &ServerName, result: &[u8]) -> Option<Vec<u8>> {
    let has_uris = memchr::memmem::find(result, b"resource").is_some();
    let blocks = has_uris
        .then(|| edit_array(result, "content", |block| outward_block(server, block)))
        .flatten();
    let is_task = memchr::memmem::find(result, b"taskId").is_some();
    let task = is_task
        .then(|| outward_task(server, blocks.as_deref().unwrap_or(result)))
        .flatten();
    task.or(blocks)
}

fn outward_task(server: &ServerName, result: &[u8]) -> Option<Vec<u8>> {
    let mut object = Object::parse(result)?;
    let id = federated_uri(server, &object.get_str("taskId")?);
    object.set("taskId", quote(&id));
    Some(object.to_vec())
}

fn outward_uri(server: &ServerName, holder: &[u8]) -> Option<Vec<u8>> {
    let mut object = Object::parse(holder)?;
    let uri = federated_uri(server, &object.get_str("uri")?);
    object.set("uri", quote(&uri));
    Some(object.to_vec())
}

fn outward_block(server: &ServerName, block: &[u8]) -> Option<Vec<u8>> {
    match member(block, "type").and_then(string).as_deref() {
        Some("resource_link") => outward_uri(server, block),
        Some("resource") => edit_member(block, "resource", |inner| outward_uri(server, inner)),
        _ => None,
    }
}

/// Edits the items of an array member; `None` when nothing changed.
pub(crate) fn edit_array(
    json: &[u8],
    key: &str,
    edit: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    edit_member(json, key, |array| {
        let items = elements(array)?;
        let mut changed = false;
        let mut out = b"[".to_vec();
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let edited = edit(item);
            changed |= edited.is_some();
            out.extend_from_slice(edited.as_deref().unwrap_or(item));
        }
        out.push(b']');
        changed.then_some(out)
    })
}

/// Edits a member of an object; `None` when nothing changed.
pub(crate) fn edit_member(
    json: &[u8],
    key: &str,
    edit: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let edited = edit(member(json, key)?)?;
    let mut object = Object::parse(json)?;
    object.set(key, edited);
    Some(object.to_vec())
}

/// A notification with the URI in it as it is called on the client's endpoint.
pub(crate) fn outward_note<'a>(
    route: &Route,
    server: &ServerName,
    note: &'a Note,
) -> (&'a str, Option<Cow<'a, [u8]>>) {
    let params = note.params.as_deref().map(Cow::Borrowed);
    if matches!(route, Route::All)
        && &*note.method == method::NOTIFICATIONS_RESOURCES_UPDATED
        && let Some(edited) = note.params.as_deref().and_then(|p| outward_uri(server, p))
    {
        return (&note.method, Some(Cow::Owned(edited)));
    }
    (&note.method, params)
}

/// The server and own URI behind a URI that a client of `route` uses.
pub(crate) fn inward_uri(caller: &Caller, uri: &str) -> Option<(Arc<Server>, String)> {
    match &caller.route {
        Route::Server(name) => Some((
            Arc::clone(caller.runtime.servers.get(name)?),
            uri.to_owned(),
        )),
        Route::All => by_uri(caller, uri).ok(),
    }
}

/// Strings of a JSON array of strings.
pub(crate) fn strings(json: &[u8]) -> Option<Vec<String>> {
    elements(json)?
        .into_iter()
        .map(|item| string(item).map(Cow::into_owned))
        .collect()
}
