//! Methods and notifications of every supported revision, and what is known about them.

/// Legacy handshake; removed in 2026-07-28.
pub const INITIALIZE: &str = "initialize";
/// Removed in 2026-07-28.
pub const PING: &str = "ping";
/// 2026-07-28: what the server supports.
pub const SERVER_DISCOVER: &str = "server/discover";
/// Lists tools.
pub const TOOLS_LIST: &str = "tools/list";
/// Calls a tool.
pub const TOOLS_CALL: &str = "tools/call";
/// Lists prompts.
pub const PROMPTS_LIST: &str = "prompts/list";
/// Gets a prompt.
pub const PROMPTS_GET: &str = "prompts/get";
/// Lists resources.
pub const RESOURCES_LIST: &str = "resources/list";
/// Lists resource templates.
pub const RESOURCES_TEMPLATES_LIST: &str = "resources/templates/list";
/// Reads a resource.
pub const RESOURCES_READ: &str = "resources/read";
/// Legacy subscription; removed in 2026-07-28.
pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
/// Legacy subscription; removed in 2026-07-28.
pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
/// Skills extension: lists a directory.
pub const RESOURCES_DIRECTORY_READ: &str = "resources/directory/read";
/// 2026-07-28: opens a stream of notifications.
pub const SUBSCRIPTIONS_LISTEN: &str = "subscriptions/listen";
/// Completes an argument.
pub const COMPLETION_COMPLETE: &str = "completion/complete";
/// Legacy log level; removed in 2026-07-28.
pub const LOGGING_SET_LEVEL: &str = "logging/setLevel";
/// To the client: sample from its model.
pub const SAMPLING_CREATE_MESSAGE: &str = "sampling/createMessage";
/// To the client: ask its user.
pub const ELICITATION_CREATE: &str = "elicitation/create";
/// To the client: list its roots.
pub const ROOTS_LIST: &str = "roots/list";
/// Tasks.
pub const TASKS_GET: &str = "tasks/get";
/// Tasks extension of 2026-07-28.
pub const TASKS_UPDATE: &str = "tasks/update";
/// Tasks.
pub const TASKS_CANCEL: &str = "tasks/cancel";
/// Tasks of 2025-11-25 only.
pub const TASKS_RESULT: &str = "tasks/result";
/// Tasks of 2025-11-25 only.
pub const TASKS_LIST: &str = "tasks/list";
/// Skills extension.
pub const SKILLS_LIST: &str = "skills/list";
/// Skills extension.
pub const SKILLS_GET: &str = "skills/get";

/// Ends the legacy handshake.
pub const NOTIFICATIONS_INITIALIZED: &str = "notifications/initialized";
/// A request is no longer wanted.
pub const NOTIFICATIONS_CANCELLED: &str = "notifications/cancelled";
/// How far a request has come.
pub const NOTIFICATIONS_PROGRESS: &str = "notifications/progress";
/// A log message.
pub const NOTIFICATIONS_MESSAGE: &str = "notifications/message";
/// The list of tools changed.
pub const NOTIFICATIONS_TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";
/// The list of prompts changed.
pub const NOTIFICATIONS_PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";
/// The list of resources changed.
pub const NOTIFICATIONS_RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";
/// A resource changed.
pub const NOTIFICATIONS_RESOURCES_UPDATED: &str = "notifications/resources/updated";
/// The client's roots changed; removed in 2026-07-28.
pub const NOTIFICATIONS_ROOTS_LIST_CHANGED: &str = "notifications/roots/list_changed";
/// A URL elicitation is done, 2025-11-25 only.
pub const NOTIFICATIONS_ELICITATION_COMPLETE: &str = "notifications/elicitation/complete";
/// The first message of a listen stream.
pub const NOTIFICATIONS_SUBSCRIPTIONS_ACKNOWLEDGED: &str =
    "notifications/subscriptions/acknowledged";
/// A task changed, 2025-11-25.
pub const NOTIFICATIONS_TASKS_STATUS: &str = "notifications/tasks/status";
/// A task changed, tasks extension of 2026-07-28.
pub const NOTIFICATIONS_TASKS: &str = "notifications/tasks";

/// Whether modern results of `method` carry `ttlMs` and `cacheScope`.
pub fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        SERVER_DISCOVER
            | TOOLS_LIST
            | PROMPTS_LIST
            | RESOURCES_LIST
            | RESOURCES_TEMPLATES_LIST
            | RESOURCES_READ
    )
}

/// The params member that the header `Mcp-Name` mirrors, for the methods that have one.
pub fn name_param(method: &str) -> Option<&'static str> {
    match method {
        TOOLS_CALL | PROMPTS_GET => Some("name"),
        RESOURCES_READ => Some("uri"),
        TASKS_GET | TASKS_UPDATE | TASKS_CANCEL => Some("taskId"),
        _ => None,
    }
}

/// Whether a request of this method can be answered by a question to the client (MCP 2026-07-28, "Multi Round-Trip Requests").
pub fn may_require_input(method: &str) -> bool {
    matches!(method, TOOLS_CALL | PROMPTS_GET | RESOURCES_READ)
}

/// Whether 2026-07-28 has no such method or notification from a client any more. `tasks/get` and
/// `tasks/cancel` are not among them: an extension took them over.
pub fn removed_in_modern(method: &str) -> bool {
    matches!(
        method,
        INITIALIZE
            | PING
            | LOGGING_SET_LEVEL
            | RESOURCES_SUBSCRIBE
            | RESOURCES_UNSUBSCRIBE
            | TASKS_RESULT
            | TASKS_LIST
            | NOTIFICATIONS_INITIALIZED
            | NOTIFICATIONS_ROOTS_LIST_CHANGED
            | NOTIFICATIONS_ELICITATION_COMPLETE
            | NOTIFICATIONS_TASKS_STATUS
    )
}

/// Whether modern servers ask it only inside `inputRequests`, never as a request of their own.
pub fn is_input_request(method: &str) -> bool {
    matches!(
        method,
        SAMPLING_CREATE_MESSAGE | ELICITATION_CREATE | ROOTS_LIST
    )
}

#[cfg(test)]
mod tests;
