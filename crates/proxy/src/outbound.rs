//! What goes to a server: only what the pipeline has authorized, and the few requests of the gateway's own.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_mcp::{ParamHeader, member, method, param_value};
use portcullis_pipeline::{Authorized, Request};

use crate::upstream::{Call, Profile};

/// A client's request, as the pipeline has authorized it.
pub(crate) fn authorized(
    request: &Authorized<Request>,
    profile: Arc<Profile>,
    progress: bool,
) -> Call {
    let headers = request
        .tool
        .as_ref()
        .and_then(|tool| tool.param_headers().ok())
        .unwrap_or_default();
    let param_headers = if headers.is_empty() {
        Vec::new()
    } else {
        mirrored(request, headers)
    };
    let named = method::name_param(&request.method).is_some();
    Call {
        method: request.method.clone(),
        params: request.params.clone(),
        profile,
        progress,
        name_header: if named { request.target.clone() } else { None },
        param_headers,
        long_lived: false,
    }
}

/// The arguments that travel as `Mcp-Param-*` fields as well.
fn mirrored(request: &Request, headers: &[ParamHeader]) -> Vec<(Box<str>, Box<str>)> {
    let params = request.params.as_deref();
    let arguments = params.and_then(|params| member(params, "arguments"));
    let arguments = arguments.unwrap_or(b"{}");
    let field = |header: &ParamHeader| {
        Some((
            header.name.as_str().into(),
            param_value(header, arguments)?.into_boxed_str(),
        ))
    };
    headers.iter().filter_map(field).collect()
}

/// A request of the gateway's own.
pub(crate) fn internal(method_name: &str, params: Option<Bytes>, profile: Arc<Profile>) -> Call {
    Call {
        method: method_name.into(),
        params,
        profile,
        progress: false,
        name_header: None,
        param_headers: Vec::new(),
        long_lived: false,
    }
}

/// A `subscriptions/listen` of the gateway's own.
pub(crate) fn listen(params: Option<Bytes>, profile: Arc<Profile>) -> Call {
    Call {
        long_lived: true,
        ..internal(method::SUBSCRIPTIONS_LISTEN, params, profile)
    }
}
