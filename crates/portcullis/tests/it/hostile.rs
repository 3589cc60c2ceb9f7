//! The example `hostile` of the sandbox as a server of a gateway.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::gateway::{BOUND, Modern, eventually, local, text};

/// How local servers are confined where nothing else is said. It takes the place of what most tests say.
pub(crate) const CONFINED: &str = "[sandbox]\ntier = \"full\"\n";

/// The setting of a server that is not confined.
pub(crate) const BARE: &str = "tier = \"off\", reason = \"to see what it reaches\"";

/// The program.
pub(crate) fn program() -> PathBuf {
    portcullis_testkit::fixture("examples/hostile")
        .expect("build it by `cargo build -p portcullis-sandbox --example hostile`")
}

/// The entry of one, with these settings of its sandbox.
pub(crate) fn entry(name: &str, settings: &str) -> String {
    let program = program().display().to_string();
    let rest = format!("sandbox = {{ {settings} }}");
    local(name, &[&program, "--mcp"], &rest)
}

/// What a program wrote that the server executed for a call of `tool`; how it ended comes first, on a line of its own.
pub(crate) async fn call(client: &Modern, tool: &str, command: &[&str]) -> String {
    let response = client.call(tool, json!({ "command": command })).await;
    text(&response).to_owned()
}

/// What a shell wrote that the server started; how it ended comes first.
pub(crate) async fn sh(client: &Modern, script: &str) -> String {
    call(client, "run", &["/bin/sh", "-c", script]).await
}

/// What Python wrote that the server started for a call of `tool`; how it ended comes first.
pub(crate) async fn python(client: &Modern, tool: &str, code: &str) -> String {
    call(client, tool, &["/usr/bin/python3", "-c", code]).await
}

/// Whether there is a Python for the server to start. It is no part of what the gateway needs, so that tests end where it is not.
pub(crate) fn has_python() -> bool {
    std::path::Path::new("/usr/bin/python3").exists()
}

/// How an attempt ended, and what was said. One that took the server with it has been refused; the next one waits until the
/// server is back.
pub(crate) async fn attempt(client: &Modern, name: &str, values: &[String]) -> (String, String) {
    let began = std::time::Instant::now();
    loop {
        let arguments = json!({ "name": name, "values": values });
        let response = client.call("attempt", arguments).await;
        if let Some((end, said)) = response["result"]["content"][0]["text"]
            .as_str()
            .and_then(|text| text.split_once('\n'))
        {
            return (end.to_owned(), said.to_owned());
        }
        if !is_down(&response) {
            return (format!("signal to the server: {response}"), String::new());
        }
        assert!(began.elapsed() < BOUND, "{name}: {response}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn is_down(response: &Value) -> bool {
    response["error"]
        .to_string()
        .contains("the next try is due")
}

/// Waits until a file has been written, by whom nobody waits for; what is in it.
pub(crate) async fn written(path: &std::path::Path) -> String {
    let mut text = String::new();
    eventually(&path.display().to_string(), || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        text.ends_with('\n')
    })
    .await;
    text
}
