//! What the two sample servers share: the hidden command that runs one of them, its loop over
//! lines, and the journal of all that reached it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::honest::Honest;
use super::hostile::Hostile;
use super::lenient::{self, Case};
use super::naive_http;

/// The file of a sample server's directory that holds every message it was handed.
pub(super) const JOURNAL: &str = "journal.jsonl";

/// A sample server: is handed messages and hands back lines.
pub(super) trait Handler: Send + 'static {
    /// Handles one message; calls `out` with each line that it answers.
    fn handle(&mut self, message: &Value, out: &mut dyn FnMut(Vec<u8>));
}

/// Runs the sample server named by the first argument until its input ends.
///
/// Arguments: `honest` or `hostile`, then `--dir DIRECTORY`, `--reference URL` (of the remote schema
/// that the hostile server refers to) and `--http` (listens on a loopback port, which it prints).
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed as well.
            drop(writeln!(io::stderr(), "sample server: {error}"));
            ExitCode::from(3)
        }
    }
}

fn start(mut args: impl Iterator<Item = OsString>) -> io::Result<()> {
    let name = args.next().unwrap_or_default();
    let (mut directory, mut reference, mut http) = (None, String::new(), false);
    while let Some(argument) = args.next() {
        match argument.to_str() {
            Some("--dir") => directory = args.next().map(PathBuf::from),
            Some("--reference") => {
                reference = args
                    .next()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
            }
            Some("--http") => http = true,
            _ => {
                return Err(wrong(
                    "unknown argument; known are `--dir`, `--reference`, `--http`",
                ));
            }
        }
    }
    let temporary = match directory {
        Some(_) => None,
        None => Some(tempfile::tempdir()?),
    };
    let directory = directory
        .or_else(|| temporary.as_ref().map(|folder| folder.path().to_owned()))
        .ok_or_else(|| wrong("`--dir` lacks its directory"))?;
    match name.to_str() {
        Some("honest") => serve(Honest::new(&directory)?, &directory, http),
        Some("hostile") => serve(Hostile::new(&directory, reference), &directory, http),
        _ => Err(wrong("name a server: `honest` or `hostile`")),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn serve(handler: impl Handler, directory: &Path, http: bool) -> io::Result<()> {
    if http {
        naive_http::serve(handler, directory)
    } else {
        serve_stdio(handler, directory)
    }
}

fn serve_stdio(mut handler: impl Handler, directory: &Path) -> io::Result<()> {
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        take(&mut handler, directory, &line, &mut |answer| {
            // The client has gone; the end of the input follows.
            drop(emit(&answer));
        })?;
    }
    Ok(())
}

/// Writes one line to standard output, whole.
pub(super) fn emit(line: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Notes `bytes` in the journal, then hands every message in them to `handler`.
pub(super) fn take(
    handler: &mut impl Handler,
    directory: &Path,
    bytes: &[u8],
    out: &mut dyn FnMut(Vec<u8>),
) -> io::Result<()> {
    let mut journal = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(JOURNAL))?;
    journal.write_all(&[bytes, b"\n"].concat())?;
    match lenient::read_all(bytes, Case::Ignored) {
        Some(values) => {
            for value in values {
                match value {
                    Value::Array(batch) => batch.iter().for_each(|each| handler.handle(each, out)),
                    one => handler.handle(&one, out),
                }
            }
        }
        None => out(failure(&Value::Null, -32700, "not JSON")),
    }
    Ok(())
}

/// The answers that every server of the legacy era gives alike; `None` for what is its own matter.
pub(super) fn common(name: &str, message: &Value, tools: &Value) -> Option<Vec<Vec<u8>>> {
    let method = message.get("method").and_then(Value::as_str)?;
    let Some(id) = message.get("id") else {
        return Some(Vec::new());
    };
    let answer = match method {
        "initialize" => {
            let asked = message
                .pointer("/params/protocolversion")
                .and_then(Value::as_str);
            let known = ["2025-03-26", "2025-06-18", "2025-11-25"];
            let version = asked
                .filter(|asked| known.contains(asked))
                .unwrap_or("2025-11-25");
            let result = json!({
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": name, "version": "1.0.0"},
            });
            success(id, &result)
        }
        "ping" => success(id, &json!({})),
        "tools/list" => success(id, &json!({"tools": tools})),
        "tools/call" => return None,
        _ => failure(id, -32601, "no such method"),
    };
    Some(vec![answer])
}

/// The line of a result.
pub(super) fn success(id: &Value, result: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
        .to_string()
        .into_bytes()
}

/// The line of an error.
pub(super) fn failure(id: &Value, code: i64, text: &str) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
        .to_string()
        .into_bytes()
}

/// The line of a tool result with one text.
pub(super) fn text(id: &Value, text: &str) -> Vec<u8> {
    success(id, &json!({"content": [{"type": "text", "text": text}]}))
}

/// The line of a tool result that says that the tool failed.
pub(super) fn refusal(id: &Value, text: &str) -> Vec<u8> {
    success(
        id,
        &json!({"content": [{"type": "text", "text": text}], "isError": true}),
    )
}

/// The name and the arguments of a tool call.
pub(super) fn call(message: &Value) -> (&str, Value) {
    let name = message
        .pointer("/params/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    (
        name,
        message
            .pointer("/params/arguments")
            .cloned()
            .unwrap_or_else(|| json!({})),
    )
}
