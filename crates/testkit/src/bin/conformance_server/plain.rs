//! The tools that need nothing from the client: content, errors, logs, progress.
#![expect(
    deprecated,
    reason = "logging is deprecated since 2026-07-28, and still served"
)]

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolResult, ContentBlock, JsonObject, LoggingLevel, LoggingMessageNotificationParam,
        ProgressNotificationParam, ResourceContents,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::asking;

/// A red pixel, PNG, base64.
pub(crate) const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// No samples of sound, WAV, base64.
const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

const RECONNECTION: &str = "test_reconnection";
/// Long enough that a client sees the steps of a call as several.
const WORK: Duration = Duration::from_millis(50);

/// Whether `message` calls the tool whose stream is to be cut.
pub(crate) fn is_reconnection(message: &Value) -> bool {
    let name = message.pointer("/params/name").and_then(Value::as_str);
    name == Some(RECONNECTION)
}

/// Calls `tool`; none when it is not one of this module's.
pub(crate) async fn call(
    tool: &str,
    arguments: &JsonObject,
    level: LoggingLevel,
    cx: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, ErrorData>> {
    let content = match tool {
        "test_simple_text" => vec![ContentBlock::text("This is a simple text.")],
        "test_image_content" => vec![image()],
        "test_audio_content" => vec![ContentBlock::audio(SOUND, "audio/wav")],
        "test_embedded_resource" => vec![resource("test://embedded-resource", "text/plain", "in")],
        "test_multiple_content_types" => {
            let json = resource(
                "test://mixed-content-resource",
                "application/json",
                "{\"n\":1}",
            );
            vec![ContentBlock::text("Three kinds:"), image(), json]
        }
        "test_error_handling" => {
            let text = ContentBlock::text("This tool always fails.");
            return Some(Ok(CallToolResult::error(vec![text])));
        }
        "test_tool_with_logging" => {
            log(&["begun", "under way", "ended"], level, cx).await;
            vec![ContentBlock::text("Three messages logged.")]
        }
        "test_logging_tool" => {
            log(&["asked for"], level, cx).await;
            vec![ContentBlock::text("Logged, if that was asked for.")]
        }
        "test_tool_with_progress" => {
            progress(cx).await;
            vec![ContentBlock::text("All progress made.")]
        }
        RECONNECTION => {
            tokio::time::sleep(4 * WORK).await;
            vec![ContentBlock::text("Answered after the cut.")]
        }
        "test_custom_header" => return Some(text_of(arguments, "value", str::to_owned)),
        "greet" => return Some(text_of(arguments, "name", |name| format!("Hello, {name}!"))),
        "json_schema_2020_12_tool" => vec![ContentBlock::text("The arguments fit.")],
        "test_structured_content" => return Some(sum(arguments)),
        _ => return None,
    };
    Some(Ok(CallToolResult::success(content)))
}

fn image() -> ContentBlock {
    ContentBlock::image(IMAGE, "image/png")
}

fn resource(uri: &str, mime_type: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(mime_type))
}

fn text_of(
    arguments: &JsonObject,
    name: &str,
    tell: impl Fn(&str) -> String,
) -> Result<CallToolResult, ErrorData> {
    let Some(text) = arguments.get(name).and_then(Value::as_str) else {
        return Err(ErrorData::invalid_params(
            format!("`{name}` has to be a string"),
            None,
        ));
    };
    Ok(CallToolResult::success(vec![ContentBlock::text(tell(
        text,
    ))]))
}

fn sum(arguments: &JsonObject) -> Result<CallToolResult, ErrorData> {
    let number = |name| arguments.get(name).and_then(Value::as_i64);
    match (number("a"), number("b")) {
        (Some(a), Some(b)) => Ok(CallToolResult::structured(
            json!({ "sum": a.wrapping_add(b) }),
        )),
        _ => Err(ErrorData::invalid_params(
            "`a` and `b` have to be integers",
            None,
        )),
    }
}

/// Modern requests say which messages they want, and without a word want none; a legacy session
/// has a level.
async fn log(texts: &[&str], session_level: LoggingLevel, cx: &RequestContext<RoleServer>) {
    let wanted = if asking::is_modern(cx) {
        cx.meta.log_level()
    } else {
        Some(session_level)
    };
    if wanted.is_none_or(|wanted| severity(wanted) > severity(LoggingLevel::Info)) {
        return;
    }
    for text in texts {
        let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
        // A client that went away misses its logs.
        drop(
            cx.peer
                .notify_logging_message(message.with_logger("fixture"))
                .await,
        );
        tokio::time::sleep(WORK).await;
    }
}

/// RFC 5424 §6.2.1, the other way round: higher is worse.
fn severity(level: LoggingLevel) -> usize {
    const WORSENING: [LoggingLevel; 8] = [
        LoggingLevel::Debug,
        LoggingLevel::Info,
        LoggingLevel::Notice,
        LoggingLevel::Warning,
        LoggingLevel::Error,
        LoggingLevel::Critical,
        LoggingLevel::Alert,
        LoggingLevel::Emergency,
    ];
    WORSENING
        .iter()
        .position(|other| *other == level)
        .unwrap_or_default()
}

async fn progress(cx: &RequestContext<RoleServer>) {
    let Some(token) = cx.meta.get_progress_token() else {
        return;
    };
    for progress in [0.0, 50.0, 100.0] {
        let step = ProgressNotificationParam::new(token.clone(), progress).with_total(100.0);
        drop(cx.peer.notify_progress(step.with_message("working")).await);
        tokio::time::sleep(WORK).await;
    }
}
