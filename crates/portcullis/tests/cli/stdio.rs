//! `portcullis wrap` and `portcullis stdio`: servers to a client that starts them itself.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::gateway::place;
use crate::place::{Place, Ran};

/// Runs the binary with `messages` on standard input, which ends after them.
fn talk(place: &Place, args: &[&str], messages: &[Value]) -> (Ran, Vec<Value>) {
    let mut command = place.command(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for message in messages {
        // A wrong request ends before it has read anything.
        writeln!(stdin, "{message}").ok();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    let mut answers: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    (ran, answers)
}

fn introduction() -> Vec<Value> {
    vec![
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
    ]
}

/// Everything at once: what the server lists, and a call of `tool`.
fn messages(tool: &str) -> Vec<Value> {
    let mut messages = introduction();
    messages.push(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }));
    messages.push(
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
        "name": tool,
        "arguments": {},
    } }),
    );
    messages
}

const SAMPLE: [&str; 3] = ["--", "/bin/sh", "sample.sh"];

#[test]
fn a_wrapped_server_keeps_its_names() {
    let place = place("", &[]);
    let args: Vec<&str> = ["wrap"].iter().chain(&SAMPLE).copied().collect();
    let (ran, answers) = talk(&place, &args, &messages("look"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let [hello, list, result] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(hello["result"]["serverInfo"]["name"], "sample");
    assert_eq!(list["result"]["tools"][0]["name"], "look");
    let text = result["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("sees nothing"), "{text}");
    assert!(
        place
            .path()
            .join(".local/state/portcullis/wrap/sh/portcullis.db")
            .is_file()
    );
}

#[test]
fn a_wrapped_server_sees_only_the_variables_that_are_named() {
    let place = place("", &[]).var("SAMPLE", "of the client");
    let sees = |options: &[&str]| {
        let args: Vec<&str> = ["wrap"]
            .iter()
            .chain(options)
            .chain(&SAMPLE)
            .copied()
            .collect();
        let (_, answers) = talk(&place, &args, &messages("look"));
        let text = answers[2]["result"]["content"][0]["text"].as_str().unwrap();
        text.split_once("sees ").unwrap().1.to_owned()
    };
    assert_eq!(sees(&[]), "nothing");
    assert_eq!(sees(&["--env", "SAMPLE=given"]), "given");
    assert_eq!(sees(&["--pass-env", "SAMPLE"]), "of the client");
}

#[test]
fn a_wrapped_server_is_checked() {
    let place = place("", &[]);
    let args: Vec<&str> = ["wrap"].iter().chain(&SAMPLE).copied().collect();
    let mut messages = introduction();
    messages.push(
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "look",
        "arguments": { "how": 7 },
    } }),
    );
    let (ran, answers) = talk(&place, &args, &messages);
    assert_eq!(ran.code, Some(0));
    let text = answers[1].to_string();
    assert!(text.contains("how") && !text.contains("pid"), "{text}");
}

#[test]
fn a_program_that_is_not_there_is_said_on_stderr_and_to_the_client() {
    let place = place("", &[]);
    let (ran, answers) = talk(&place, &["wrap", "--", "no-such-program"], &introduction());
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("no-such-program"), "{}", ran.stderr);
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn two_of_one_name_have_a_record_each() {
    let place = place("", &[]);
    let args: Vec<&str> = ["wrap", "--name", "two"]
        .iter()
        .chain(&SAMPLE)
        .copied()
        .collect();
    let mut command = place.command(&args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let lock = place.path().join(".local/state/portcullis/wrap/two/lock");
    let mut first = command.spawn().unwrap();
    while !std::fs::read_to_string(&lock).is_ok_and(|pid| !pid.is_empty()) {
        std::thread::yield_now();
    }
    let (ran, answers) = talk(&place, &args, &messages("look"));
    assert_eq!((ran.code, answers.len()), (Some(0), 3));
    assert!(
        ran.stderr.contains("this one's record goes when it ends"),
        "{}",
        ran.stderr
    );
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    let left = std::fs::read_dir(lock.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with("run-")),
        "{left:?}"
    );
}

#[test]
fn all_servers_of_a_configuration_are_one() {
    let place = place("", &["a", "b"]);
    let (ran, answers) = talk(&place, &["stdio"], &messages("b__look"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let tools = answers[1]["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a__look", "b__look"]);
    assert!(answers[2]["result"]["content"][0]["text"].is_string());
}

#[test]
fn one_server_of_a_configuration_keeps_its_names() {
    let place = place("", &["a", "b"]);
    let (ran, answers) = talk(&place, &["stdio", "--server", "a"], &messages("look"));
    assert_eq!(ran.code, Some(0));
    assert_eq!(answers[1]["result"]["tools"][0]["name"], "look");
    assert!(answers[2]["result"]["content"][0]["text"].is_string());
}

#[test]
fn wrong_requests() {
    let place = place("", &["a", "b"]);
    let check = |args: &[&str], expected: &str| {
        let (ran, _) = talk(&place, args, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
    };
    check(
        &["stdio", "--server", "c"],
        "no server `c` in the configuration; it has a, b",
    );
    check(&["wrap"], "required arguments were not provided");
    check(
        &["wrap", "--name", "No", "--", "x"],
        "`No` cannot be a server's name",
    );
    check(
        &["wrap", "--env", "A", "--", "x"],
        "`--env` takes `NAME=VALUE`",
    );
}
