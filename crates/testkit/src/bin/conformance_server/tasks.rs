//! The tools that run as tasks (SEP-2663).

use std::{pin::Pin, time::Duration};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
        CreateTaskResult, InputRequest, JsonObject, Tool,
    },
    service::RequestContext,
    task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions},
};
use serde_json::{Value, json};

use crate::{
    asking::{self, Answers, Call, Step, Turn},
    catalogue, script,
};

type Work = Pin<Box<dyn Future<Output = Result<CallToolResult, TaskExit>> + Send>>;

/// The definitions; without tasks, only of those tools that can also answer at once.
pub(crate) fn tools(with_tasks: bool) -> Vec<Tool> {
    let bare = json!({ "type": "object" });
    let compute = json!({
        "type": "object",
        "properties": { "seconds": { "type": "number" }, "label": { "type": "string" } },
    });
    let file = json!({ "type": "object", "properties": { "filename": { "type": "string" } } });
    let all = [
        (
            "slow_compute",
            "Takes as many seconds as it is told.",
            compute,
        ),
        (
            "protocol_error_job",
            "Ends with an error of the protocol.",
            bare.clone(),
        ),
        (
            "failing_job",
            "Ends with an error of the tool.",
            bare.clone(),
        ),
        ("confirm_delete", "Asks one question as a task.", file),
        ("multi_input", "Asks two questions as a task.", bare.clone()),
        ("test_tool_with_task", "Asks first, then is a task.", bare),
    ];
    let kept = all
        .into_iter()
        .filter(|(name, ..)| with_tasks || !is_only_a_task(name));
    kept.map(|(name, text, schema)| catalogue::tool(name, text, schema))
        .collect()
}

/// Whether `tool` is one of this module's.
pub(crate) fn knows(tool: &str) -> bool {
    is_only_a_task(tool) || matches!(tool, "slow_compute" | "protocol_error_job")
}

/// Calls one of this module's tools: as a task if the client knows tasks.
///
/// # Errors
///
/// The tool is nothing but a task, and the client does not know them; or the work failed.
pub(crate) async fn call(
    tasks: &TaskManager,
    request: CallToolRequestParams,
    cx: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = name_of(&request.name);
    let arguments = request.arguments.clone().unwrap_or_default();
    let knows_tasks = cx
        .client_capabilities()
        .is_some_and(|declared| declared.supports_tasks());
    if !knows_tasks {
        if is_only_a_task(name) {
            let tasks = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(tasks));
        }
        return match at_once(name, &arguments).await {
            Ok(result) => Ok(result.into()),
            Err(TaskExit::Error(error)) => Err(error),
            Err(_) => Err(ErrorData::internal_error("cancelled", None)),
        };
    }
    let who = match name {
        "test_tool_with_task" => match who(request, cx).await? {
            Turn::InputRequired(result) => return Ok(result.into()),
            Turn::Done(who) => who,
        },
        _ => String::new(),
    };
    let options = TaskOptions::default().with_poll_interval_ms(100);
    let task = tasks.spawn(options, move |task| as_task(name, arguments, who, task));
    Ok(CreateTaskResult::new(task).into())
}

fn is_only_a_task(tool: &str) -> bool {
    let only = [
        "failing_job",
        "confirm_delete",
        "multi_input",
        "test_tool_with_task",
    ];
    only.contains(&tool)
}

fn name_of(tool: &str) -> &'static str {
    match tool {
        "slow_compute" => "slow_compute",
        "failing_job" => "failing_job",
        "confirm_delete" => "confirm_delete",
        "multi_input" => "multi_input",
        "test_tool_with_task" => "test_tool_with_task",
        _ => "protocol_error_job",
    }
}

async fn who(
    request: CallToolRequestParams,
    cx: &RequestContext<RoleServer>,
) -> Result<Turn<String>, ErrorData> {
    let call = Call {
        name: "test_tool_with_task",
        responses: request.input_responses,
        state: request.request_state,
        needs_state: false,
        asks_undeclared: false,
    };
    asking::run(call, cx, |answers: &Answers| {
        if answers.has("user_name") {
            Step::Done(answers.field("user_name", "name").to_owned())
        } else {
            Step::Ask(vec![("user_name", script::name_form())])
        }
    })
    .await
}

async fn at_once(tool: &str, arguments: &JsonObject) -> Result<CallToolResult, TaskExit> {
    match tool {
        "slow_compute" => {
            tokio::time::sleep(seconds(arguments)).await;
            Ok(computed(arguments))
        }
        "failing_job" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(CallToolResult::error(vec![ContentBlock::text(
                "This job always fails.",
            )]))
        }
        _ => Err(TaskExit::Error(ErrorData::internal_error(
            "this job ends like this",
            None,
        ))),
    }
}

fn as_task(tool: &'static str, arguments: JsonObject, who: String, task: TaskContext) -> Work {
    Box::pin(async move {
        match tool {
            "confirm_delete" => {
                let answer = task.request_input("confirm", confirm(&arguments)?).await?;
                Ok(said(&format!("Answered: {answer}")))
            }
            "multi_input" => {
                let (a, b) = (task.clone(), task);
                let (a, b) = tokio::join!(
                    a.request_input("input-a", form("Which a?", "string")?),
                    b.request_input("input-b", form("Which b?", "string")?),
                );
                Ok(said(&format!("Answered: {} and {}", a?, b?)))
            }
            "test_tool_with_task" => Ok(said(&format!("Hello, {who}!"))),
            _ => tokio::select! {
                () = task.cancelled() => Err(TaskExit::Cancelled),
                result = at_once(tool, &arguments) => result,
            },
        }
    })
}

fn said(text: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn seconds(arguments: &JsonObject) -> Duration {
    let seconds = arguments
        .get("seconds")
        .and_then(Value::as_f64)
        .unwrap_or(1.0);
    Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .min(Duration::from_mins(10))
}

fn computed(arguments: &JsonObject) -> CallToolResult {
    let label = arguments
        .get("label")
        .and_then(Value::as_str)
        .unwrap_or("nothing");
    said(&format!("Computed {label}."))
}

fn confirm(arguments: &JsonObject) -> Result<InputRequest, TaskExit> {
    let file = arguments
        .get("filename")
        .and_then(Value::as_str)
        .unwrap_or("the file");
    form(&format!("Delete {file}?"), "boolean")
}

fn form(message: &str, kind: &str) -> Result<InputRequest, TaskExit> {
    let field = if kind == "boolean" {
        "confirm"
    } else {
        "value"
    };
    let wire = json!({
        "method": "elicitation/create",
        "params": {
            "mode": "form",
            "message": message,
            "requestedSchema": {
                "type": "object",
                "properties": { field: { "type": kind } },
                "required": [field],
            },
        },
    });
    let wrong = |error: serde_json::Error| ErrorData::internal_error(error.to_string(), None);
    serde_json::from_value(wire).map_err(|error| TaskExit::Error(wrong(error)))
}
