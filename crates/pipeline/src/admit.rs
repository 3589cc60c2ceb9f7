//! First check: is the method served, and is every member of the params within its bound?
//!
//! Sizes of JSON as such (depth, members, numbers) were bounded by the scan that read the message.

use portcullis_mcp::{Era, Object, elements, is_object, method};

use crate::{Denial, Request, Settings};

/// The longest URI, in bytes.
pub(crate) const URI_BYTES_MAX: usize = 8 << 10;
/// The longest name of a prompt or tool in params, in bytes.
const NAME_BYTES_MAX: usize = 1 << 10;
/// The longest cursor, in bytes.
const CURSOR_BYTES_MAX: usize = 8 << 10;
/// The longest task identifier, in bytes.
const TASK_ID_BYTES_MAX: usize = 1 << 10;
/// The longest `requestState`, in bytes.
pub(crate) const REQUEST_STATE_BYTES_MAX: usize = 64 << 10;
/// The most entries of `inputRequests` and `inputResponses`.
pub(crate) const INPUTS_MAX: usize = 100;
/// The most URIs of one subscription.
const SUBSCRIPTIONS_MAX: usize = 1000;

/// Admits a request, and gives its params.
pub(crate) fn check<'a>(request: &'a Request, settings: &Settings) -> Result<Object<'a>, Denial> {
    if !is_served(&request.method, request.era_server, settings) {
        return Err(Denial::MethodNotAllowed);
    }
    let params = parse(request.params.as_deref(), settings.params_bytes_max)?;
    check_target(request, &params)?;
    text(&params, "uri", URI_BYTES_MAX)?;
    text(&params, "name", NAME_BYTES_MAX)?;
    text(&params, "cursor", CURSOR_BYTES_MAX)?;
    text(&params, "taskId", TASK_ID_BYTES_MAX)?;
    text(&params, "requestState", REQUEST_STATE_BYTES_MAX)?;
    if let Some(responses) = object(&params, "inputResponses")?
        && responses.len() > INPUTS_MAX
    {
        return Err(Denial::TooLarge {
            member: "inputResponses",
            max: INPUTS_MAX,
        });
    }
    an_object(&params, "_meta")?;
    check_method(request, &params)?;
    Ok(params)
}

/// Admits a notification from a server.
pub(crate) fn check_notification(
    name: &str,
    params: Option<&[u8]>,
    settings: &Settings,
) -> Result<(), Denial> {
    let known = matches!(
        name,
        method::NOTIFICATIONS_CANCELLED
            | method::NOTIFICATIONS_PROGRESS
            | method::NOTIFICATIONS_MESSAGE
            | method::NOTIFICATIONS_TOOLS_LIST_CHANGED
            | method::NOTIFICATIONS_PROMPTS_LIST_CHANGED
            | method::NOTIFICATIONS_RESOURCES_LIST_CHANGED
            | method::NOTIFICATIONS_RESOURCES_UPDATED
            | method::NOTIFICATIONS_ELICITATION_COMPLETE
            | method::NOTIFICATIONS_SUBSCRIPTIONS_ACKNOWLEDGED
            | method::NOTIFICATIONS_TASKS_STATUS
            | method::NOTIFICATIONS_TASKS
    );
    if !known && !is_extension(name, settings) {
        return Err(Denial::MethodNotAllowed);
    }
    let Some(params) = params else { return Ok(()) };
    let max = settings.notification_bytes_max;
    if params.len() > max {
        return Err(Denial::AskTooLarge {
            member: "params",
            max,
        });
    }
    let Some(params) = Object::parse(params) else {
        return Err(Denial::MalformedAsk { member: "params" });
    };
    if params
        .get("uri")
        .is_some_and(|uri| uri.len() > URI_BYTES_MAX)
    {
        return Err(Denial::AskTooLarge {
            member: "uri",
            max: URI_BYTES_MAX,
        });
    }
    Ok(())
}

fn is_served(name: &str, era: Era, settings: &Settings) -> bool {
    if name.len() > 128 {
        return false;
    }
    let known = matches!(
        name,
        method::INITIALIZE
            | method::PING
            | method::SERVER_DISCOVER
            | method::TOOLS_LIST
            | method::TOOLS_CALL
            | method::PROMPTS_LIST
            | method::PROMPTS_GET
            | method::RESOURCES_LIST
            | method::RESOURCES_TEMPLATES_LIST
            | method::RESOURCES_READ
            | method::RESOURCES_SUBSCRIBE
            | method::RESOURCES_UNSUBSCRIBE
            | method::RESOURCES_DIRECTORY_READ
            | method::SUBSCRIPTIONS_LISTEN
            | method::COMPLETION_COMPLETE
            | method::LOGGING_SET_LEVEL
            | method::TASKS_GET
            | method::TASKS_UPDATE
            | method::TASKS_CANCEL
            | method::TASKS_RESULT
            | method::TASKS_LIST
            | method::SKILLS_LIST
            | method::SKILLS_GET
    );
    let in_era = match era {
        Era::Modern => !method::removed_in_modern(name),
        Era::Legacy => !matches!(
            name,
            method::SERVER_DISCOVER | method::SUBSCRIPTIONS_LISTEN | method::TASKS_UPDATE
        ),
    };
    (known && in_era) || is_extension(name, settings)
}

fn is_extension(name: &str, settings: &Settings) -> bool {
    settings
        .extension_methods
        .iter()
        .any(|prefix| !prefix.is_empty() && name.starts_with(&**prefix))
}

fn parse(params: Option<&[u8]>, max: usize) -> Result<Object<'_>, Denial> {
    let Some(params) = params else {
        return Ok(Object::new());
    };
    if params.len() > max {
        return Err(Denial::TooLarge {
            member: "params",
            max,
        });
    }
    Object::parse(params).ok_or(Denial::MalformedParams { member: "params" })
}

/// What the request was routed and recorded by must be what its params say.
fn check_target(request: &Request, params: &Object<'_>) -> Result<(), Denial> {
    let member = match &*request.method {
        method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => Some("uri"),
        name => method::name_param(name),
    };
    let Some(member) = member else { return Ok(()) };
    let Some(text) = params.get_str(member) else {
        return Err(Denial::MalformedParams { member });
    };
    if text.is_empty()
        || request
            .target
            .as_deref()
            .is_some_and(|target| target != text)
    {
        return Err(Denial::MalformedParams { member });
    }
    if &*request.method == method::TOOLS_CALL {
        match &request.tool {
            Some(tool) if *tool.name == *text => {}
            Some(_) | None => return Err(Denial::UnknownTool),
        }
    }
    Ok(())
}

fn check_method(request: &Request, params: &Object<'_>) -> Result<(), Denial> {
    match &*request.method {
        method::TOOLS_CALL => an_object(params, "arguments"),
        method::PROMPTS_GET => {
            let Some(arguments) = object(params, "arguments")? else {
                return Ok(());
            };
            let texts = arguments
                .iter()
                .all(|(_, value)| value.first() == Some(&b'"'));
            if texts {
                Ok(())
            } else {
                Err(Denial::MalformedParams {
                    member: "arguments",
                })
            }
        }
        method::COMPLETION_COMPLETE => {
            for member in ["ref", "argument"] {
                if object(params, member)?.is_none() {
                    return Err(Denial::MalformedParams { member });
                }
            }
            Ok(())
        }
        method::SUBSCRIPTIONS_LISTEN => {
            let Some(filter) = object(params, "notifications")? else {
                return Ok(());
            };
            let member = "resourceSubscriptions";
            let Some(uris) = filter.get(member) else {
                return Ok(());
            };
            let uris = elements(uris).ok_or(Denial::MalformedParams { member })?;
            if uris.len() > SUBSCRIPTIONS_MAX {
                return Err(Denial::TooLarge {
                    member,
                    max: SUBSCRIPTIONS_MAX,
                });
            }
            for uri in uris {
                if uri.first() != Some(&b'"') {
                    return Err(Denial::MalformedParams { member });
                }
                if uri.len() > URI_BYTES_MAX {
                    return Err(Denial::TooLarge {
                        member,
                        max: URI_BYTES_MAX,
                    });
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A member that is a string of bounded length, when it is there.
fn text(params: &Object<'_>, member: &'static str, max: usize) -> Result<(), Denial> {
    let Some(value) = params.get(member) else {
        return Ok(());
    };
    if value.first() != Some(&b'"') {
        return Err(Denial::MalformedParams { member });
    }
    if value.len() > max.saturating_add(2) {
        return Err(Denial::TooLarge { member, max });
    }
    Ok(())
}

/// Checks that a member is an object, when it is there.
fn an_object(params: &Object<'_>, member: &'static str) -> Result<(), Denial> {
    match params.get(member) {
        Some(value) if !is_object(value) => Err(Denial::MalformedParams { member }),
        Some(_) | None => Ok(()),
    }
}

/// A member that is an object, when it is there.
fn object<'o>(params: &'o Object<'_>, member: &'static str) -> Result<Option<Object<'o>>, Denial> {
    match params.get(member) {
        None => Ok(None),
        Some(value) => Object::parse(value)
            .map(Some)
            .ok_or(Denial::MalformedParams { member }),
    }
}

#[cfg(test)]
mod tests;
