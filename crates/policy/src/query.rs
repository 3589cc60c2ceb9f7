//! What is asked: who wants to do what, on which server, and what is known of the circumstances.

use portcullis_mcp::ServerName;
use serde_json::Value;

/// A question to [`Policies::decide`](crate::Policies::decide).
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// Who asks, and what is known of them.
    pub who: Who<'a>,
    /// The server that would do it.
    pub server: &'a ServerName,
    /// What would be done.
    pub action: ActionRef<'a>,
    /// The arguments of a tool call, an object; absent is the same as empty.
    pub arguments: Option<&'a Value>,
    /// The labels of the conversation.
    pub labels: &'a [&'a str],
    /// What the principal did in the last hour.
    pub history: History,
    /// The time of the request, in milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    /// Whether a person has said yes to this very request.
    pub approved: bool,
}

/// The principal, and what comes with their credential.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The principal's name: the id of the Cedar entity `User`.
    pub name: &'a str,
    /// How the principal is known, such as `account`, `key`, `local` or `nobody`.
    pub kind: &'a str,
    /// The client's id, as the credential says, not as the client calls itself; empty when unknown.
    pub client: &'a str,
    /// The groups that the principal is in.
    pub groups: &'a [&'a str],
    /// The scopes that were granted.
    pub scopes: &'a [&'a str],
}

/// Counters over the last hour, of the principal on all servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Tool calls that were allowed.
    pub calls: u32,
    /// Of these, the calls of the tool in question.
    pub calls_of_tool: u32,
    /// Requests that were denied.
    pub denials: u32,
}

/// What would be done, by the words of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionRef<'a> {
    /// `tools/call` of the tool with this name.
    CallTool(&'a str),
    /// `resources/read` of this URI.
    ReadResource(&'a str),
    /// `resources/subscribe` to this URI, or the end of it.
    Subscribe(&'a str),
    /// `prompts/get` of the prompt with this name.
    GetPrompt(&'a str),
    /// A list, named as in the protocol: `tools`, `prompts`, `resources`, `resourceTemplates`.
    List(&'a str),
    /// `completion/complete` for an argument of a prompt.
    CompletePrompt {
        /// The prompt's name.
        prompt: &'a str,
        /// The argument that is completed.
        argument: &'a str,
    },
    /// `completion/complete` for a variable of a resource's URI template.
    CompleteResource {
        /// The template.
        uri: &'a str,
        /// The variable that is completed.
        argument: &'a str,
    },
    /// A method on a task, such as `tasks/get`.
    Task(&'a str),
    /// The server asks the client's model.
    Sample,
    /// The server asks the person at the client.
    Elicit,
    /// Any other method.
    Other(&'a str),
}
