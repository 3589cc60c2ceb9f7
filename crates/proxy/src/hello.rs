//! What the gateway says of itself and of the servers behind an endpoint: the results of `initialize` and `server/discover`.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_mcp::{Era, Object, Version, quote};

use crate::bridge;
use crate::caller::Caller;
use crate::dispatch::served_versions;
use crate::link::Link;
use crate::reply::Refusal;
use crate::route::Route;
use crate::upstream::Hello;

/// What the endpoint of all servers offers: always the same, whichever servers are up.
const MERGED_CAPABILITIES: &[u8] =
    b"{\"completions\":{},\"logging\":{},\"prompts\":{\"listChanged\":true},\
\"resources\":{\"listChanged\":true,\"subscribe\":true},\"tools\":{\"listChanged\":true}}";
const MERGED_INSTRUCTIONS: &str = "This endpoint merges several servers. The name of each tool and prompt begins with its \
server's name and two underscores; the URI of each resource begins with its server's name and a plus sign.";

/// Answers `server/discover`.
pub(crate) async fn discover(caller: &Caller) -> Result<Bytes, Refusal> {
    let mut result = match &caller.route {
        Route::All => merged(),
        Route::Server(_) => {
            let hello = server_hello(caller).await?;
            let mut result = Object::parse(&hello.raw).unwrap_or_default().into_owned();
            for member in ["protocolVersion", "serverInfo"] {
                result.remove(member);
            }
            let info = hello.server_info.as_deref().unwrap_or(b"{}").to_vec();
            set_meta(&mut result, portcullis_mcp::meta::SERVER_INFO, info);
            if hello.era == Era::Legacy {
                result.set(
                    "capabilities",
                    without(&hello.capabilities, &["tasks", "experimental"]),
                );
            }
            result
        }
    };
    let versions: Vec<Vec<u8>> = served_versions()
        .iter()
        .map(|version| quote(version))
        .collect();
    let mut listed = b"[".to_vec();
    listed.extend_from_slice(&versions.join(&b','));
    listed.push(b']');
    result.set("supportedVersions", listed);
    let result = Bytes::from(result.to_vec());
    Ok(bridge::complete(
        caller,
        portcullis_mcp::method::SERVER_DISCOVER,
        &result,
    ))
}

/// Answers `initialize` for a session in `version`.
pub(crate) async fn initialize(caller: &Caller, version: Version) -> Result<Bytes, Refusal> {
    let mut result = match &caller.route {
        Route::All => {
            let mut result = merged();
            result.set("serverInfo", bridge::gateway_info());
            result
        }
        Route::Server(_) => {
            let hello = server_hello(caller).await?;
            let mut result = Object::parse(&hello.raw).unwrap_or_default().into_owned();
            match hello.era {
                Era::Legacy => {
                    if version < Version::V2025_11_25 {
                        result.set("capabilities", without(&hello.capabilities, &["tasks"]));
                    }
                }
                Era::Modern => {
                    for member in ["supportedVersions", "resultType", "ttlMs", "cacheScope"] {
                        result.remove(member);
                    }
                    result.set(
                        "capabilities",
                        without(&hello.capabilities, &["extensions"]),
                    );
                    let unnamed = || b"{\"name\":\"unnamed\",\"version\":\"0\"}".to_vec();
                    let info = hello
                        .server_info
                        .as_deref()
                        .map_or_else(unnamed, <[u8]>::to_vec);
                    result.set("serverInfo", info);
                }
            }
            result
        }
    };
    result.set("protocolVersion", quote(version.as_str()));
    Ok(result.to_vec().into())
}

fn merged() -> Object<'static> {
    let mut result = Object::new();
    result.set("capabilities", MERGED_CAPABILITIES);
    result.set("instructions", quote(MERGED_INSTRUCTIONS));
    result
}

/// What the caller's one server has said of itself; asks it when it never has.
async fn server_hello(caller: &Caller) -> Result<Arc<Hello>, Refusal> {
    let Route::Server(name) = &caller.route else {
        return Err(Refusal::internal(
            "this endpoint stands for several servers",
        ));
    };
    let server = caller
        .runtime
        .servers
        .get(name)
        .ok_or_else(|| Refusal::invalid_params("no such server"))?;
    if let Some(hello) = server.hello() {
        return Ok(hello);
    }
    let link = Link::to(caller, server)
        .await
        .map_err(|e| Refusal::upstream(name, e))?;
    Ok(server
        .hello()
        .unwrap_or_else(|| Arc::new(link.connection.hello().clone())))
}

fn without(json: &[u8], members: &[&str]) -> Vec<u8> {
    let mut object = Object::parse(json).unwrap_or_default();
    for member in members {
        object.remove(member);
    }
    object.to_vec()
}

fn set_meta(result: &mut Object<'static>, key: &str, value: Vec<u8>) {
    let held = result.get("_meta").unwrap_or(b"{}").to_vec();
    let mut meta = Object::parse(&held).unwrap_or_default();
    meta.set(key, value);
    let meta = meta.to_vec();
    result.set("_meta", meta);
}
