//! The prompts, one of which asks the client first.

use rmcp::{
    ErrorData,
    model::{
        ContentBlock, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage,
        ResourceContents, Role,
    },
};
use serde_json::Value;

use crate::{
    asking::{Answers, Step},
    plain::IMAGE,
    script,
};

/// Every prompt.
pub(crate) fn list() -> Vec<Prompt> {
    let argument = |name: &str| {
        PromptArgument::new(name)
            .with_description("A text.")
            .with_required(true)
    };
    let two = vec![argument("arg1"), argument("arg2")];
    let uri = vec![argument("resourceUri")];
    vec![
        Prompt::new("test_simple_prompt", Some("One text."), None),
        Prompt::new(
            "test_prompt_with_arguments",
            Some("A text of two arguments."),
            Some(two),
        ),
        Prompt::new(
            "test_prompt_with_embedded_resource",
            Some("A resource inside."),
            Some(uri),
        ),
        Prompt::new("test_prompt_with_image", Some("An image."), None),
        Prompt::new(
            "test_input_required_result_prompt",
            Some("Asks for context."),
            None,
        ),
    ]
}

/// The next step of `prompt`.
///
/// # Errors
///
/// There is no such prompt.
pub(crate) fn step(
    prompt: &str,
    arguments: &JsonObject,
    answers: &Answers,
) -> Result<Step<GetPromptResult>, ErrorData> {
    let argument = |name: &str| {
        arguments
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let messages = match prompt {
        "test_simple_prompt" => vec![text("This is a simple prompt.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![text(&format!(
                "Prompt with arguments: arg1='{first}', arg2='{second}'"
            ))]
        }
        "test_prompt_with_embedded_resource" => {
            let contents = ResourceContents::text("The text inside.", argument("resourceUri"));
            let block = ContentBlock::resource(contents.with_mime_type("text/plain"));
            vec![
                PromptMessage::new(Role::User, block),
                text("Say what this is."),
            ]
        }
        "test_prompt_with_image" => {
            let block = ContentBlock::image(IMAGE, "image/png");
            vec![
                PromptMessage::new(Role::User, block),
                text("Say what this shows."),
            ]
        }
        "test_input_required_result_prompt" if !answers.has("user_context") => {
            let ask = script::text_form("Which context should the prompt use?", "context");
            return Ok(Step::Ask(vec![("user_context", ask)]));
        }
        "test_input_required_result_prompt" => {
            vec![text(&format!(
                "In this context: {}",
                answers.field("user_context", "context")
            ))]
        }
        _ => return Err(ErrorData::invalid_params("no such prompt", None)),
    };
    Ok(Step::Done(GetPromptResult::new(messages)))
}

fn text(text: &str) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}
