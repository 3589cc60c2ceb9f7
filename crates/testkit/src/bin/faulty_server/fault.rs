//! The faults, and what each makes of a call.

use std::{
    io::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use clap::{Args, ValueEnum};
use portcullis_testkit::answers;
use serde_json::{Value, json};

/// How the server goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// In no way.
    Honest,
    /// Calls are never answered.
    Hang,
    /// Calls are answered after `--delay-ms`.
    Slow,
    /// Calls bring text that is no JSON and messages cut in half; on stdio the answer follows.
    Garbage,
    /// The process exits instead of answering, once `--after` calls are answered.
    CrashAfter,
    /// Every call writes `--bytes` to standard error, and is answered.
    FloodStderr,
    /// Results have a text of `--bytes`.
    Oversize,
    /// Results have each key twice, with different values.
    DuplicateKeys,
    /// `work` answers what its output schema forbids.
    BadOutputSchema,
}

/// The fault, with its measures.
#[derive(Debug, Args)]
pub(crate) struct Fault {
    /// The fault.
    #[arg(long, value_enum, default_value_t = Mode::Honest)]
    mode: Mode,
    /// Milliseconds before each answer, for `slow`.
    #[arg(long, default_value_t = 1000)]
    delay_ms: u64,
    /// Calls answered before the crash, for `crash-after`.
    #[arg(long, default_value_t = 1)]
    after: usize,
    /// Size in bytes, for `flood-stderr` and `oversize`.
    #[arg(long, default_value_t = 32 << 20)]
    bytes: usize,
    /// Show the fault in calls of `work` alone.
    #[arg(long)]
    only_work: bool,
    #[arg(skip)]
    calls: AtomicUsize,
}

/// What the transport is to do.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// Nothing: the message was no request.
    Nothing,
    /// Never answer.
    Silence,
    /// Write this message; its HTTP status beside it.
    Message(u16, String),
    /// Write `noise`, which is no message, and then the message if the transport has lines.
    Noise(Vec<&'static str>, String),
    /// Exit.
    Crash,
}

impl Fault {
    /// What happens before the first message.
    pub(crate) fn begin(&self) {
        if self.mode == Mode::FloodStderr {
            self.flood();
        }
    }

    /// Answers one message, or does not.
    pub(crate) async fn react(&self, message: &Value) -> Reaction {
        let Some(answer) = answers::answer(message) else {
            return Reaction::Nothing;
        };
        let called = answers::method(message) == "tools/call";
        if !called || (self.only_work && answers::tool(message) != "work") {
            return plain(message, &answer);
        }
        match self.mode {
            Mode::Hang => Reaction::Silence,
            Mode::Slow => {
                tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
                plain(message, &answer)
            }
            Mode::Garbage => Reaction::Noise(NOISE.to_vec(), answer.to_string()),
            Mode::CrashAfter if self.calls.fetch_add(1, Ordering::Relaxed) < self.after => {
                plain(message, &answer)
            }
            Mode::CrashAfter => Reaction::Crash,
            Mode::FloodStderr => {
                self.flood();
                plain(message, &answer)
            }
            Mode::Oversize => {
                let result = answers::text_result(&"x".repeat(self.bytes));
                with_result(message, result)
            }
            Mode::DuplicateKeys => Reaction::Message(200, duplicated(message)),
            Mode::BadOutputSchema if answers::tool(message) == "work" => {
                with_result(message, answers::sum_result(&Value::from("three")))
            }
            Mode::Honest | Mode::BadOutputSchema => plain(message, &answer),
        }
    }

    fn flood(&self) {
        let line = [b"all is well, and this is said at length\n".as_slice(); 100].concat();
        let mut stderr = std::io::stderr().lock();
        for _ in 0..=self.bytes / line.len() {
            if stderr.write_all(&line).is_err() {
                return;
            }
        }
    }
}

/// No JSON; half a message; JSON that is no message; an answer to a question nobody asked.
const NOISE: [&str; 4] = [
    "warning: this line is for people",
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"te"#,
    "[1, 2, 3]",
    r#"{"jsonrpc":"2.0","id":"nobody-asked","result":{}}"#,
];

fn plain(message: &Value, answer: &Value) -> Reaction {
    let unknown = answer.pointer("/error/code").and_then(Value::as_i64) == Some(-32601);
    let status = if unknown && answers::is_modern(message) {
        404
    } else {
        200
    };
    Reaction::Message(status, answer.to_string())
}

fn with_result(message: &Value, result: Value) -> Reaction {
    let id = message.get("id").unwrap_or(&Value::Null);
    let answer = answers::response(id, result, answers::is_modern(message));
    Reaction::Message(200, answer.to_string())
}

/// A response that reads one way by the first of equal keys, and another by the last.
fn duplicated(message: &Value) -> String {
    let id = message.get("id").unwrap_or(&Value::Null);
    let texts = ["first", "last"].map(|text| json!([{ "type": "text", "text": text }]));
    let [first, last] = texts;
    let complete = if answers::is_modern(message) {
        r#""resultType":"complete","#
    } else {
        ""
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{{complete}"isError":true,"content":{first},"isError":false,"content":{last}}}}}"#
    )
}
