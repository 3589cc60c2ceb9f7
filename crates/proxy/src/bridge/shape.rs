//! Results, list entries and errors in the shape that a client's era expects.

use std::borrow::Cow;

use bytes::Bytes;
use portcullis_mcp::{Era, Object, RpcError, code, is_object, member, meta, method, quote};

use crate::caller::Caller;
use crate::federation::edit_array;
use crate::link::Link;

/// How the gateway calls itself where no single server speaks.
pub(crate) fn gateway_info() -> Vec<u8> {
    let mut info = Object::new();
    info.set("name", b"\"portcullis\"".as_slice());
    info.set("title", b"\"Portcullis\"".as_slice());
    info.set("version", quote(env!("CARGO_PKG_VERSION")));
    info.to_vec()
}

/// Whether a server says that it has what a method asks for.
pub(crate) fn offers(link: &Link, method_name: &str) -> bool {
    let capability = match method_name {
        method::TOOLS_LIST => "tools",
        method::PROMPTS_LIST => "prompts",
        method::RESOURCES_LIST | method::RESOURCES_TEMPLATES_LIST => "resources",
        _ => return true,
    };
    link.declares(capability)
}

/// Completes a result of the gateway's own.
pub(crate) fn complete(caller: &Caller, method_name: &str, result: &Bytes) -> Bytes {
    match caller.era() {
        Era::Legacy => result.clone(),
        Era::Modern => {
            let info = gateway_info();
            to_modern(method_name, result, Some(&info)).map_or_else(|| result.clone(), Bytes::from)
        }
    }
}

/// A server's result in the shape of the client's era.
pub(crate) fn shape_result(
    caller: &Caller,
    link: &Link,
    method_name: &str,
    result: Bytes,
) -> Bytes {
    let hello = link.connection.hello();
    let changed = match (caller.era(), hello.era) {
        (Era::Legacy, Era::Legacy) => None,
        (Era::Modern, Era::Modern) => to_modern(method_name, &result, None),
        (Era::Modern, Era::Legacy) => {
            let listed = shape_list(method_name, Era::Legacy, Era::Modern, &result);
            let result = listed.as_deref().unwrap_or(&result);
            to_modern(method_name, result, hello.server_info.as_deref()).or(listed)
        }
        (Era::Legacy, Era::Modern) => {
            let listed = shape_list(method_name, Era::Modern, Era::Legacy, &result);
            to_legacy(listed.as_deref().unwrap_or(&result)).or(listed)
        }
    };
    changed.map_or(result, Bytes::from)
}

/// Adds what 2026-07-28 requires in each result and is not there yet.
fn to_modern(method_name: &str, result: &[u8], server_info: Option<&[u8]>) -> Option<Vec<u8>> {
    let needs_more = server_info.is_some() || method::is_cacheable(method_name);
    if !needs_more && member(result, "resultType").is_some() {
        return None;
    }
    let mut object = Object::parse(result)?;
    let mut changed = false;
    if !object.contains("resultType") {
        object.set("resultType", b"\"complete\"".as_slice());
        changed = true;
    }
    let is_complete = object.get_str("resultType").as_deref() == Some("complete");
    if method::is_cacheable(method_name) && is_complete {
        for (member, value) in [("ttlMs", b"0".as_slice()), ("cacheScope", b"\"private\"")] {
            if !object.contains(member) {
                object.set(member, value);
                changed = true;
            }
        }
    }
    if let Some(info) = server_info {
        let own = object.get("_meta").unwrap_or(b"{}").to_vec();
        let mut held = Object::parse(&own).unwrap_or_default();
        if !held.contains(meta::SERVER_INFO) {
            held.set(meta::SERVER_INFO, info);
            object.set("_meta", held.to_vec());
            changed = true;
        }
    }
    changed.then(|| object.to_vec())
}

/// Takes away what a client of the legacy era has no word for.
fn to_legacy(result: &[u8]) -> Option<Vec<u8>> {
    let mut object = Object::parse(result)?;
    let mut changed = false;
    for member in ["resultType", "ttlMs", "cacheScope"] {
        changed |= object.remove(member).is_some();
    }
    changed |= remove_meta(&mut object, meta::SERVER_INFO);
    if object
        .get("structuredContent")
        .is_some_and(|content| !is_object(content))
    {
        changed |= object.remove("structuredContent").is_some();
    }
    changed.then(|| object.to_vec())
}

/// Takes a key out of an object's `_meta`, and `_meta` with it if nothing is left; whether it was there.
pub(crate) fn remove_meta(object: &mut Object<'_>, key: &str) -> bool {
    let Some(raw) = object.get("_meta").map(<[u8]>::to_vec) else {
        return false;
    };
    let Some(mut held) = Object::parse(&raw) else {
        return false;
    };
    if held.remove(key).is_none() {
        return false;
    }
    if held.is_empty() {
        object.remove("_meta");
    } else {
        object.set("_meta", held.to_vec());
    }
    true
}

fn shape_list(method_name: &str, from: Era, to: Era, result: &[u8]) -> Option<Vec<u8>> {
    if method_name != method::TOOLS_LIST {
        return None;
    }
    edit_array(result, "tools", |entry| {
        shape_entry(method_name, from, to, entry)
    })
}

/// A list entry of a server in the shape of a client's era; `None` when it is the same.
pub(crate) fn shape_entry(method_name: &str, from: Era, to: Era, entry: &[u8]) -> Option<Vec<u8>> {
    if method_name != method::TOOLS_LIST || from == to {
        return None;
    }
    let mut object = Object::parse(entry)?;
    let changed = match to {
        // The tasks of 2025-11-25 are not those of the extension.
        Era::Modern => object.remove("execution").is_some(),
        Era::Legacy => {
            let is_unfit = object.get("outputSchema").is_some_and(|schema| {
                let kind = Object::parse(schema);
                kind.is_none_or(|kind| kind.get_str("type").as_deref() != Some("object"))
            });
            is_unfit && object.remove("outputSchema").is_some()
        }
    };
    changed.then(|| object.to_vec())
}

/// A server's error with the code that the client's era has for it.
pub(crate) fn shape_error(
    era: Era,
    server_era: Era,
    method_name: &str,
    mut error: RpcError,
) -> RpcError {
    let reads = matches!(
        method_name,
        method::RESOURCES_READ | method::RESOURCES_SUBSCRIBE
    );
    match (era, server_era) {
        (Era::Modern, Era::Legacy) if error.code == code::RESOURCE_NOT_FOUND && reads => {
            error.code = code::INVALID_PARAMS;
        }
        (Era::Legacy, Era::Modern) => match error.code {
            code::INVALID_PARAMS if reads && says_not_found(&error) => {
                error.code = code::RESOURCE_NOT_FOUND;
            }
            code::HEADER_MISMATCH | code::UNSUPPORTED_PROTOCOL_VERSION => {
                error.code = code::INTERNAL_ERROR;
            }
            code::MISSING_CLIENT_CAPABILITY => error.code = code::INVALID_PARAMS,
            _ => {}
        },
        _ => {}
    }
    error
}

/// A modern server names the resource that it does not have in `data.uri` (MCP 2026-07-28, resources, "Error Handling").
fn says_not_found(error: &RpcError) -> bool {
    let data: Option<Cow<'_, [u8]>> = error.data.as_deref().map(Cow::Borrowed);
    data.as_deref()
        .and_then(Object::parse)
        .is_some_and(|data| data.contains("uri"))
}
