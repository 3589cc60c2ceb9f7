//! Fifth check: do the policies allow it?

use std::borrow::Cow;

use portcullis_mcp::{Object, ServerName, method};
use portcullis_policy::{ActionRef, Decision, Query, Who};
use serde_json::Value;
use smallvec::SmallVec;

use crate::history::Counts;
use crate::permissions::State;
use crate::{Granted, Principal, Request, Timestamp};

/// What is asked of the policies.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) server: &'a ServerName,
    pub(crate) action: Action<'a>,
    pub(crate) arguments: Option<&'a Value>,
    pub(crate) counts: Counts,
    pub(crate) at: Timestamp,
}

/// What would be done.
#[derive(Clone, Debug)]
pub(crate) enum Action<'a> {
    /// Anything but a completion.
    Plain(ActionRef<'a>),
    /// A completion: of a prompt's argument, or of a variable of a URI template.
    Complete {
        of_prompt: bool,
        name: &'a str,
        argument: Cow<'a, str>,
    },
}

impl<'a> Question<'a> {
    pub(crate) fn of(request: &'a Request, arguments: Option<&'a Value>, counts: Counts) -> Self {
        Self {
            principal: &request.principal,
            server: &request.server,
            action: Action::of(request),
            arguments,
            counts,
            at: request.at,
        }
    }

    /// Whether a server may ask the client of somebody by this method.
    pub(crate) fn of_ask(
        principal: &'a Principal,
        server: &'a ServerName,
        asked: &'a str,
        counts: Counts,
        at: Timestamp,
    ) -> Self {
        let action = match asked {
            method::SAMPLING_CREATE_MESSAGE => ActionRef::Sample,
            method::ELICITATION_CREATE => ActionRef::Elicit,
            other => ActionRef::Other(other),
        };
        Self {
            principal,
            server,
            action: Action::Plain(action),
            arguments: None,
            counts,
            at,
        }
    }

    /// What somebody would hear of a resource.
    pub(crate) fn of_hearing(
        principal: &'a Principal,
        server: &'a ServerName,
        uri: &'a str,
        counts: Counts,
        at: Timestamp,
    ) -> Self {
        Self {
            principal,
            server,
            action: Action::Plain(ActionRef::Subscribe(uri)),
            arguments: None,
            counts,
            at,
        }
    }

    /// Decides; `approved` says whether a person has said yes to this very call.
    pub(crate) fn decide(&self, state: &State, approved: bool) -> Decision {
        with_who(self.principal, |who| {
            state.policies.decide(&Query {
                who: *who,
                server: self.server,
                action: self.action.as_ref(),
                arguments: self.arguments,
                labels: &[],
                history: portcullis_policy::History {
                    calls: self.counts.calls,
                    calls_of_tool: self.counts.calls_of_tool,
                    denials: self.counts.denials,
                },
                now_ms: self.at.0,
                approved,
            })
        })
    }
}

/// Does `work` with what policies know of a principal.
fn with_who<T>(principal: &Principal, work: impl FnOnce(&Who<'_>) -> T) -> T {
    let groups: SmallVec<[&str; 8]> = principal.groups.iter().map(AsRef::as_ref).collect();
    let scopes: SmallVec<[&str; 8]> = match &principal.granted {
        Granted::Everything => SmallVec::new(),
        Granted::Scopes(scopes) => scopes.iter().map(AsRef::as_ref).collect(),
    };
    work(&Who {
        name: &principal.name,
        kind: principal.kind.as_str(),
        client: principal.client.as_deref().unwrap_or_default(),
        groups: &groups,
        scopes: &scopes,
    })
}

/// Whether a decision on this call of a tool may depend on its arguments.
pub(crate) fn reads_arguments(state: &State, request: &Request) -> bool {
    let tool = request.target.as_deref().unwrap_or_default();
    with_who(&request.principal, |who| {
        state.policies.reads_arguments(who, &request.server, tool)
    })
}

/// Whether some request for an entry of a list could be let through, now or after a person's yes.
pub(crate) fn is_offered(
    state: &State,
    principal: &Principal,
    server: &ServerName,
    list: &str,
    own: &str,
    at: Timestamp,
) -> bool {
    let action = match list {
        method::TOOLS_LIST => {
            return with_who(principal, |who| state.policies.is_offered(who, server, own));
        }
        method::PROMPTS_LIST => ActionRef::GetPrompt(own),
        method::RESOURCES_LIST => ActionRef::ReadResource(own),
        // What a template stands for is known when it is read.
        _ => return true,
    };
    let question = Question {
        principal,
        server,
        action: Action::Plain(action),
        arguments: None,
        counts: Counts::default(),
        at,
    };
    question.decide(state, false).is_allow() || question.decide(state, true).is_allow()
}

impl<'a> Action<'a> {
    fn of(request: &'a Request) -> Self {
        let target = request.target.as_deref().unwrap_or_default();
        Self::Plain(match &*request.method {
            method::TOOLS_CALL => ActionRef::CallTool(target),
            method::PROMPTS_GET => ActionRef::GetPrompt(target),
            method::RESOURCES_READ | method::RESOURCES_DIRECTORY_READ => {
                ActionRef::ReadResource(target)
            }
            method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                ActionRef::Subscribe(target)
            }
            method::TOOLS_LIST => ActionRef::List("tools"),
            method::PROMPTS_LIST => ActionRef::List("prompts"),
            method::RESOURCES_LIST => ActionRef::List("resources"),
            method::RESOURCES_TEMPLATES_LIST => ActionRef::List("resourceTemplates"),
            method::COMPLETION_COMPLETE => return Self::of_completion(request, target),
            name if name.starts_with("tasks/") => ActionRef::Task(name),
            name => ActionRef::Other(name),
        })
    }

    fn of_completion(request: &'a Request, name: &'a str) -> Self {
        let params = request.params.as_deref().and_then(Object::parse);
        let object = |key| params.as_ref()?.get(key).and_then(Object::parse);
        let text = |key, member| {
            object(key).and_then(|object| object.get_str(member).map(Cow::into_owned))
        };
        Self::Complete {
            of_prompt: text("ref", "type").as_deref() == Some("ref/prompt"),
            name,
            argument: Cow::Owned(text("argument", "name").unwrap_or_default()),
        }
    }

    fn as_ref(&self) -> ActionRef<'_> {
        match self {
            Self::Plain(action) => *action,
            Self::Complete {
                of_prompt: true,
                name,
                argument,
            } => ActionRef::CompletePrompt {
                prompt: name,
                argument,
            },
            Self::Complete {
                of_prompt: false,
                name,
                argument,
            } => ActionRef::CompleteResource {
                uri: name,
                argument,
            },
        }
    }
}
