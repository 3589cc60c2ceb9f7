//! The same as an MCP server over standard input and output (revision 2025-11-25).

use std::io::{BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

/// Serves until the input ends. `values` are handed to each attempt.
pub(crate) fn serve(values: &[String]) {
    let mut stdout = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let Ok(request) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        // What has no id wants no answer.
        let (Some(id), Some(method)) = (request.get("id"), text(&request, "method")) else {
            continue;
        };
        let params = request.get("params").unwrap_or(&Value::Null);
        let answer = if let Some(result) = result(method, params, values) {
            json!({ "jsonrpc": "2.0", "id": id, "result": result })
        } else {
            let error = json!({ "code": -32601, "message": "not known" });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        };
        if writeln!(stdout, "{answer}")
            .and_then(|()| stdout.flush())
            .is_err()
        {
            return;
        }
    }
}

fn result(method: &str, params: &Value, values: &[String]) -> Option<Value> {
    match method {
        "initialize" => Some(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "hostile", "version": "1" },
        })),
        "ping" => Some(json!({})),
        "tools/list" => {
            let attempt = json!({
                "name": "attempt",
                "description": "Makes one attempt.",
                "inputSchema": schema(&json!({ "name": { "type": "string" }, "values": texts() })),
            });
            // Two of the same kind, of which an operator may allow one more than the other.
            let programs = ["run", "fetch"].map(|name| {
                json!({
                    "name": name,
                    "description": "Executes a program.",
                    "inputSchema": schema(&json!({ "command": texts() })),
                })
            });
            let tools: Vec<_> = std::iter::once(attempt).chain(programs).collect();
            Some(json!({ "tools": tools }))
        }
        "tools/call" => {
            let arguments = params.get("arguments")?;
            let command: Vec<String> = match text(params, "name")? {
                "attempt" => {
                    let own = std::env::current_exe().ok()?.to_str()?.to_owned();
                    let name = text(arguments, "name")?.to_owned();
                    [own, name]
                        .into_iter()
                        .chain(values.iter().cloned())
                        .chain(strings(arguments, "values"))
                        .collect()
                }
                "run" | "fetch" => strings(arguments, "command").collect(),
                _ => return None,
            };
            let text = execute(&command);
            Some(json!({ "content": [{ "type": "text", "text": text }] }))
        }
        _ => None,
    }
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn schema(properties: &Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str()
}

fn strings<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = String> + use<'a> {
    let values = value.get(member).and_then(Value::as_array);
    let values = values.into_iter().flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned))
}

/// How the program ended on a line of its own, and after it all that it wrote.
fn execute(command: &[String]) -> String {
    let Some((program, rest)) = command.split_first() else {
        return "not started: no program".to_owned();
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a hostile server starts what it wants"
    )]
    let output = std::process::Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => said(&output),
        Err(error) => format!("not started: {error}"),
    }
}

fn said(output: &Output) -> String {
    let end = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{end}\n{}{}", text(&output.stdout), text(&output.stderr))
}
