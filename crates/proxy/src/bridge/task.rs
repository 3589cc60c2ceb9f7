//! Whose a task is: a task's id works only for the principal whose call began it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use portcullis_mcp::{Object, ServerName};

use crate::caller::Caller;

/// Tasks remembered at a time; the oldest is forgotten first.
const TASKS_MAX: usize = 16_384;

/// The principals that own tasks.
#[derive(Debug, Default)]
pub(crate) struct TaskOwners {
    known: Mutex<Known>,
}

type Task = (ServerName, Box<str>);

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<Task, Arc<str>>,
    order: VecDeque<Task>,
}

impl TaskOwners {
    /// Takes note of the task that a result has begun, if it has.
    pub(crate) fn note(&self, caller: &Caller, server: &ServerName, result: &[u8]) {
        if has_one_principal(caller) || memchr::memmem::find(result, b"taskId").is_none() {
            return;
        }
        let Some(object) = Object::parse(result) else {
            return;
        };
        let nested = object.get("task").and_then(Object::parse);
        let id = object
            .get_str("taskId")
            .or_else(|| nested.as_ref().and_then(|task| task.get_str("taskId")));
        let Some(id) = id else { return };
        let task = (server.clone(), Box::from(&*id));
        let mut known = self.known.lock();
        if known.owners.contains_key(&task) {
            return;
        }
        if known.order.len() >= TASKS_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.owners.remove(&oldest);
        }
        known.order.push_back(task.clone());
        known
            .owners
            .insert(task, Arc::clone(caller.principal.identity()));
    }

    /// Whether a caller may use a task.
    pub(crate) fn may_use(&self, caller: &Caller, server: &ServerName, id: &str) -> bool {
        if has_one_principal(caller) {
            return true;
        }
        let known = self.known.lock();
        known
            .owners
            .get(&(server.clone(), id.into()))
            .is_some_and(|o| o == caller.principal.identity())
    }
}

/// Whether nobody but the caller can come: over a pipe there is one client, while at a listener others may have a credential.
fn has_one_principal(caller: &Caller) -> bool {
    caller.runtime.authenticator.access().is_none()
}
