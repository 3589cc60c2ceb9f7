//! Servers that are configured as packages: installed apart from running them, and run only as they were accepted.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_testkit::Launch;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::gateway::{BOUND, Gateway, Modern, local, text};
use crate::registry::{Package, Registry, has_npm};
use crate::support::{initialize, legacy};

/// A server that says its version and its arguments, and whether it gets out.
const SERVER: &str = r#"#!/usr/bin/env node
const http = require("http");
const properties = { port: { type: "number" } };
const tool = (name) => ({ name, inputSchema: { type: "object", properties } });
const said = (text) => ({ content: [{ type: "text", text }] });
const reach = (port) => new Promise((done) => {
  const request = http.get({ host: "127.0.0.1", port }, (answer) => done(`reached: ${answer.statusCode}`));
  request.on("error", (error) => done(`not reached: ${error.code}`));
});
const answer = async ({ method, params }) => {
  if (method === "initialize") {
    const serverInfo = { name: "demo", version: "VERSION" };
    return { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo };
  }
  if (method === "tools/list") return { tools: [tool("version"), tool("reach")] };
  if (params?.name === "version") return said(["VERSION", ...process.argv.slice(2)].join(" "));
  if (params?.name === "reach") return said(await reach(params.arguments.port));
};
require("readline").createInterface({ input: process.stdin }).on("line", async (line) => {
  const message = JSON.parse(line);
  if (message.id === undefined) return;
  const result = await answer(message);
  const body = result ? { result } : { error: { code: -32601, message: "unknown" } };
  console.log(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...body }));
});
"#;

const NAME: &str = "@demo/server";

fn package(version: &'static str) -> Package {
    Package {
        name: NAME,
        version,
        program: SERVER.replace("VERSION", version),
        install: None,
    }
}

/// A registry, and a place whose user has npm configured for it.
struct Scene {
    registry: Registry,
    place: TempDir,
}

impl Scene {
    async fn new(packages: &[Package]) -> Self {
        let scene = Self {
            registry: Registry::start().await,
            place: tempfile::tempdir().unwrap(),
        };
        scene.registry.publish(packages);
        let npmrc = format!("registry={}/\nfetch-retries=0\n", scene.registry.url());
        fs::write(scene.place.path().join(".npmrc"), npmrc).unwrap();
        scene
    }

    async fn start(self, more: &str) -> (Gateway, Registry) {
        let gateway = Gateway::start_in(self.place, &config(more)).await;
        (gateway, self.registry)
    }
}

/// A confined server that is a package, and `more` lines of its entry.
fn config(more: &str) -> String {
    let command = ["npx", "-y", NAME, "--loud"];
    let sandbox = "[sandbox]\ntier = \"full\"\n";
    format!("{sandbox}{}", local("demo", &command, more))
}

async fn call(gateway: &Gateway, tool: &str, arguments: Value) -> Value {
    Modern::at(&gateway.one("demo")).call(tool, arguments).await
}

/// What the server says of itself; what is wrong if it does not.
async fn version(gateway: &Gateway) -> Result<String, String> {
    let answer = call(gateway, "version", json!({})).await;
    match answer["error"]["message"].as_str() {
        Some(message) => Err(message.to_owned()),
        None => Ok(text(&answer).to_owned()),
    }
}

/// A command of the binary in `place`; its exit code, and what it says.
async fn command(place: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let config = place.join("portcullis.toml");
    let arguments = [arguments, &["--config", config.to_str().unwrap()]].concat();
    run(place, &arguments).await
}

async fn run(place: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let launch = Launch::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .env("HOME", place)
        .env("PATH", "/usr/bin:/bin");
    let mut command = launch.start_silent().unwrap();
    let status = command.wait(BOUND).await.unwrap();
    // The last lines may still be on their way when the process is gone.
    drop(command.line_with("\u{0}", BOUND).await);
    (status.code(), command.output())
}

/// The program of the only install in `place`.
fn program(place: &Path) -> PathBuf {
    let shelf = fs::read_dir(place.join("state-packages/demo")).unwrap();
    let mut installs = shelf.map(|entry| entry.unwrap().path());
    let install = installs.find(|path| path.is_dir()).unwrap();
    install.join(format!("tree/node_modules/{NAME}/bin/server.js"))
}

#[tokio::test]
async fn a_package_is_installed_at_the_first_call_and_its_server_reaches_no_registry() {
    if !has_npm() {
        return;
    }
    let (gateway, registry) = Scene::new(&[package("1.0.0")]).await.start("").await;
    assert_eq!(
        registry.asked(),
        0,
        "the gateway is ready before it installs"
    );
    let said = version(&gateway).await;
    assert_eq!(said.as_deref(), Ok("1.0.0 --loud"), "{}", gateway.output());
    let installing = registry.asked();
    assert!(installing > 0);
    gateway.says("accepted the server's package").await;

    let answer = call(&gateway, "reach", json!({ "port": registry.port })).await;
    assert!(text(&answer).starts_with("not reached"), "{answer}");
    assert_eq!(registry.asked(), installing);

    // A gateway that starts again runs what is there.
    let place = end(gateway).await;
    let (_, said) = command(place.path(), &["connections", "--server", "demo"]).await;
    let host = format!("127.0.0.1:{}", registry.port);
    assert!(said.contains(&host) && said.contains("allowed"), "{said}");
    let again = Gateway::start_in(place, &config("")).await;
    assert_eq!(version(&again).await.as_deref(), Ok("1.0.0 --loud"));
    assert_eq!(registry.asked(), installing);

    let (code, listed) = command(again.place.path(), &["packages", "list", "--json"]).await;
    assert_eq!(code, Some(0), "{listed}");
    let listed: Value = serde_json::from_str(listed.trim()).unwrap();
    let entry = &listed["packages"][0];
    assert_eq!(entry["package"], NAME);
    assert_eq!(entry["version"], "1.0.0");
    let (_, plan) = command(again.place.path(), &["sandbox", "plan", "demo"]).await;
    assert!(
        plan.contains("package: @demo/server 1.0.0, accepted"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_newer_version_runs_once_it_is_accepted() {
    if !has_npm() {
        return;
    }
    let scene = Scene::new(&[package("1.0.0")]).await;
    let (gateway, registry) = scene.start("").await;
    version(&gateway).await.unwrap();
    registry.publish(&[package("1.0.0"), package("1.1.0")]);
    let place = end(gateway).await;
    let (code, said) = command(place.path(), &["packages", "update", "demo"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("@demo/server 1.0.0 -> 1.1.0"), "{said}");
    let gateway = Gateway::start_in(place, &config("")).await;
    assert_eq!(version(&gateway).await.as_deref(), Ok("1.0.0 --loud"));
    let place = end(gateway).await;
    let (code, said) = command(place.path(), &["packages", "accept", "demo"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, _) = command(place.path(), &["packages", "accept", "demo"]).await;
    assert_eq!(code, Some(1));
    let gateway = Gateway::start_in(place, &config("")).await;
    assert_eq!(version(&gateway).await.as_deref(), Ok("1.1.0 --loud"));
}

#[tokio::test]
async fn another_content_of_the_same_version_is_refused_until_it_is_accepted() {
    if !has_npm() {
        return;
    }
    let (gateway, registry) = Scene::new(&[package("1.0.0")]).await.start("").await;
    version(&gateway).await.unwrap();
    let place = end(gateway).await;
    fs::remove_dir_all(place.path().join("state-packages")).unwrap();
    let mut other = package("1.0.0");
    other.program = SERVER.replace("VERSION", "1.0.0 of somebody else");
    registry.publish(&[other]);

    let gateway = Gateway::start_in(place, &config("")).await;
    let refused = version(&gateway).await.unwrap_err();
    assert!(
        refused.contains("published again with other content"),
        "{refused}"
    );
    assert!(
        refused.contains("portcullis packages accept demo"),
        "{refused}"
    );
    let (code, said) = command(gateway.place.path(), &["packages", "accept", "demo"]).await;
    assert_eq!(code, Some(0), "{said}");
    let place = end(gateway).await;
    let gateway = Gateway::start_in(place, &config("")).await;
    let said = version(&gateway).await;
    assert_eq!(said.as_deref(), Ok("1.0.0 of somebody else --loud"));
}

#[tokio::test]
async fn files_that_were_changed_after_the_install_are_not_run() {
    if !has_npm() {
        return;
    }
    let (gateway, _registry) = Scene::new(&[package("1.0.0")]).await.start("").await;
    version(&gateway).await.unwrap();
    let place = end(gateway).await;
    let path = program(place.path());
    let changed = fs::read_to_string(&path).unwrap() + "// changed\n";
    fs::write(&path, changed).unwrap();
    let gateway = Gateway::start_in(place, &config("")).await;
    let refused = version(&gateway).await.unwrap_err();
    assert!(
        refused.contains("were changed after it was installed"),
        "{refused}"
    );
    assert!(!refused.contains("state-packages"), "{refused}");
    let place = end(gateway).await;
    let (code, said) = command(place.path(), &["packages", "update", "demo"]).await;
    assert_eq!(code, Some(0), "{said}");
    let gateway = Gateway::start_in(place, &config("")).await;
    assert_eq!(version(&gateway).await.as_deref(), Ok("1.0.0 --loud"));
}

#[tokio::test]
async fn install_scripts_run_only_where_the_configuration_says_so() {
    if !has_npm() {
        return;
    }
    let mut scripted = package("1.0.0");
    scripted.install = Some("touch made-by-a-script".to_owned());
    let (gateway, _registry) = Scene::new(&[scripted]).await.start("").await;
    let refused = version(&gateway).await.unwrap_err();
    assert!(refused.contains("install_scripts = true"), "{refused}");
    let place = end(gateway).await;
    assert!(!place.path().join("state/packages.toml").exists());
    let gateway = Gateway::start_in(place, &config("sandbox.install_scripts = true")).await;
    let said = version(&gateway).await;
    assert_eq!(said.as_deref(), Ok("1.0.0 --loud"), "{}", gateway.output());
    let made = program(gateway.place.path()).with_file_name("../made-by-a-script");
    assert!(made.exists(), "{}", made.display());
}

#[tokio::test]
async fn a_wrapped_server_is_installed_the_same_way() {
    if !has_npm() {
        return;
    }
    let scene = Scene::new(&[package("1.0.0")]).await;
    let place = scene.place.path();
    let launch = Launch::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["wrap", "--name", "demo", "--", "npx", "-y", NAME, "--loud"])
        .env("HOME", place)
        .env("PATH", "/usr/bin:/bin");
    let mut wrap = launch.start_silent().unwrap();
    let mut stdin = wrap.take_stdin().unwrap();
    let messages = [
        initialize("2025-11-25", &json!({})),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        legacy(
            1,
            "tools/call",
            &json!({ "name": "version", "arguments": {} }),
        ),
    ];
    for message in messages {
        let line = format!("{message}\n");
        stdin.write_all(line.as_bytes()).await.unwrap();
    }
    wrap.line_with("1.0.0 --loud", BOUND).await.unwrap();
    drop(stdin);
    wrap.wait(BOUND).await.unwrap();
    let state = place.join(".local/state/portcullis");
    let state = state.to_str().unwrap();
    let listed = run(place, &["packages", "list", "--state-dir", state]).await;
    assert!(listed.1.contains("@demo/server"), "{}", listed.1);
    let words = ["packages", "forget", "demo", "--state-dir", state];
    assert_eq!(run(place, &words).await.0, Some(0));
    assert_eq!(run(place, &words).await.0, Some(1));
}

#[tokio::test]
async fn a_launcher_that_is_not_understood_is_a_mistake_of_the_configuration() {
    let place = tempfile::tempdir().unwrap();
    let text = "[servers.demo]\ncommand = [\"npx\", \"-y\", \"--registry=http://evil.example\", \"@demo/server\"]\n[packages]\nhosts = [\"a b\"]\n";
    fs::write(place.path().join("portcullis.toml"), text).unwrap();
    let (code, said) = command(place.path(), &["check"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`npx` is given `--registry"), "{said}");
    assert!(said.contains("portcullis.toml:2:25"), "{said}");
    assert!(said.contains("`a b` is not a host"), "{said}");
}

/// Ends the gateway; its place, for another.
async fn end(gateway: Gateway) -> TempDir {
    gateway.signal(rustix::process::Signal::TERM);
    gateway.ended().await.1
}
