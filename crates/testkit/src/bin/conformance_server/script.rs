//! The tools that need something from the client, each as a script over the answers so far.

use rmcp::model::{CallToolResult, ClientCapabilities, ContentBlock, JsonObject};
use serde_json::{Value, json};

use crate::asking::{Answers, Ask, Step};

/// Tools whose answers count only beside the `requestState` they sent.
const STATEFUL: [&str; 4] = [
    "test_input_required_result_request_state",
    "test_input_required_result_tampered_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
];

/// Whether the tool insists on its state.
pub(crate) fn needs_state(tool: &str) -> bool {
    STATEFUL.contains(&tool)
}

/// Whether `tool` is one of this module's.
pub(crate) fn knows(tool: &str) -> bool {
    let no_one = ClientCapabilities::default();
    step(tool, &JsonObject::new(), &no_one, &Answers::default()).is_some()
}

/// The next step of `tool`; none when it is not one of this module's.
pub(crate) fn step(
    tool: &str,
    arguments: &JsonObject,
    capabilities: &ClientCapabilities,
    answers: &Answers,
) -> Option<Step<CallToolResult>> {
    let argument = |name| {
        arguments
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    Some(match tool {
        "test_sampling" => one(
            answers,
            "prompt",
            Ask::Sample(argument("prompt").to_owned()),
            |a| format!("LLM response: {}", a.sampled("prompt")),
        ),
        "test_elicitation" => {
            let schema = object(
                json!({
                    "username": { "type": "string", "description": "the name to go by" },
                    "email": { "type": "string", "description": "where mail arrives" },
                }),
                &["username", "email"],
            );
            let ask = Ask::Form(argument("message").to_owned(), schema);
            one(answers, "user", ask, |a| {
                format!("User response: {}", outcome(a, "user"))
            })
        }
        "test_elicitation_sep1034_defaults" => {
            let ask = Ask::Form("Each field has a default.".to_owned(), defaults());
            one(answers, "form", ask, |a| {
                format!("Elicitation completed: {}", outcome(a, "form"))
            })
        }
        "test_elicitation_sep1330_enums" => {
            let ask = Ask::Form("Each field is a choice.".to_owned(), choices());
            one(answers, "form", ask, |a| {
                format!("Elicitation completed: {}", outcome(a, "form"))
            })
        }
        "test_missing_capability" => {
            one(answers, "sample", Ask::Sample("Say yes.".to_owned()), |a| {
                format!("The model said: {}", a.sampled("sample"))
            })
        }
        "test_streaming_elicitation" => {
            one(answers, "value", text_form("Which value?", "value"), |a| {
                format!("The value is {}.", a.field("value", "value"))
            })
        }
        "test_input_required_result_elicitation" => one(answers, "user_name", name_form(), |a| {
            format!("Hello, {}!", a.field("user_name", "name"))
        }),
        "test_input_required_result_sampling" => {
            let ask = Ask::Sample("What is the capital of France?".to_owned());
            one(answers, "capital_question", ask, |a| {
                a.sampled("capital_question").to_owned()
            })
        }
        "test_input_required_result_list_roots" => one(answers, "client_roots", Ask::Roots, |a| {
            format!("Roots: {}", roots(a))
        }),
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => {
            let schema = object(json!({ "ok": { "type": "boolean" } }), &["ok"]);
            one(
                answers,
                "confirm",
                Ask::Form("Please confirm.".to_owned(), schema),
                |a| format!("state-ok, {}", outcome(a, "confirm")),
            )
        }
        "test_input_required_result_multiple_inputs" => several(answers),
        "test_input_required_result_multi_round" => rounds(answers),
        "test_input_required_result_capabilities" => declared(capabilities, answers),
        _ => return None,
    })
}

/// A tool that asks one thing and tells of it.
fn one(
    answers: &Answers,
    key: &'static str,
    ask: Ask,
    tell: impl Fn(&Answers) -> String,
) -> Step<CallToolResult> {
    if answers.has(key) {
        done(tell(answers))
    } else {
        Step::Ask(vec![(key, ask)])
    }
}

/// A tool that asks three things at once, and again for those that are missing.
fn several(answers: &Answers) -> Step<CallToolResult> {
    let greeting = Ask::Sample("Write a greeting.".to_owned());
    let all = [
        ("user_name", name_form()),
        ("greeting", greeting),
        ("client_roots", Ask::Roots),
    ];
    let missing: Vec<_> = all
        .into_iter()
        .filter(|(key, _)| !answers.has(key))
        .collect();
    if !missing.is_empty() {
        return Step::Ask(missing);
    }
    let (name, greeting) = (
        answers.field("user_name", "name"),
        answers.sampled("greeting"),
    );
    done(format!("{greeting} ({name}, {})", roots(answers)))
}

/// A tool whose second question comes after its first.
fn rounds(answers: &Answers) -> Step<CallToolResult> {
    if !answers.has("step1") {
        return Step::Ask(vec![(
            "step1",
            text_form("Step 1: what is your name?", "name"),
        )]);
    }
    if !answers.has("step2") {
        return Step::Ask(vec![(
            "step2",
            text_form("Step 2: which colour do you like?", "color"),
        )]);
    }
    let (name, color) = (
        answers.field("step1", "name"),
        answers.field("step2", "color"),
    );
    done(format!("{name} likes {color}."))
}

/// A tool that asks for no more than the client can give.
fn declared(capabilities: &ClientCapabilities, answers: &Answers) -> Step<CallToolResult> {
    let mut asks = Vec::new();
    if capabilities.elicitation.is_some() {
        asks.push(("user_name", name_form()));
    }
    if capabilities.sampling.is_some() {
        asks.push(("greeting", Ask::Sample("Write a greeting.".to_owned())));
    }
    if capabilities.roots.is_some() {
        asks.push(("client_roots", Ask::Roots));
    }
    asks.retain(|(key, _)| !answers.has(key));
    if asks.is_empty() {
        done("Asked for what was declared.".to_owned())
    } else {
        Step::Ask(asks)
    }
}

/// The form with one text field.
pub(crate) fn text_form(message: &str, field: &str) -> Ask {
    Ask::Form(
        message.to_owned(),
        object(json!({ field: { "type": "string" } }), &[field]),
    )
}

/// The form that asks for a name.
pub(crate) fn name_form() -> Ask {
    text_form("What is your name?", "name")
}

fn done(text: String) -> Step<CallToolResult> {
    Step::Done(CallToolResult::success(vec![ContentBlock::text(text)]))
}

fn outcome(answers: &Answers, key: &str) -> String {
    let answer = answers.get(key);
    let action = answer
        .and_then(|answer| answer.get("action")?.as_str())
        .unwrap_or("none");
    let content = answer
        .and_then(|answer| answer.get("content"))
        .unwrap_or(&Value::Null);
    format!("action={action}, content={content}")
}

fn roots(answers: &Answers) -> String {
    let answer = answers.get("client_roots");
    let list = answer.and_then(|answer| answer.get("roots")?.as_array());
    let uris = list
        .into_iter()
        .flatten()
        .filter_map(|root| root.get("uri")?.as_str());
    uris.collect::<Vec<_>>().join(", ")
}

fn object(properties: Value, required: &[&str]) -> Value {
    let kind = Value::from("object");
    let parts = [
        ("type", kind),
        ("properties", properties),
        ("required", json!(required)),
    ];
    parts.into_iter().collect()
}

/// SEP-1034: a default for each primitive type.
fn defaults() -> Value {
    let fields = json!({
        "name": { "type": "string", "description": "a name", "default": "John Doe" },
        "age": { "type": "integer", "description": "years", "default": 30 },
        "score": { "type": "number", "description": "points", "default": 95.5 },
        "status": {
            "type": "string",
            "description": "how it stands",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        "verified": { "type": "boolean", "description": "seen to be true", "default": true },
    });
    object(fields, &[])
}

/// SEP-1330: the five ways to write a choice.
fn choices() -> Value {
    let fields = json!({
        "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
        "titledSingle": {
            "type": "string",
            "oneOf": titled(["First Option", "Second Option", "Third Option"]),
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "items": { "type": "string", "enum": ["option1", "option2", "option3"] },
        },
        "titledMulti": {
            "type": "array",
            "items": { "anyOf": titled(["First Choice", "Second Choice", "Third Choice"]) },
        },
    });
    object(fields, &[])
}

fn titled(titles: [&str; 3]) -> Value {
    let values = ["value1", "value2", "value3"].into_iter().zip(titles);
    values
        .map(|(value, title)| json!({ "const": value, "title": title }))
        .collect()
}
