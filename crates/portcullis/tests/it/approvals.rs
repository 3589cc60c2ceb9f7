//! Calls that a person has to approve of first: whoever can show a form is asked by one, an administrator may answer instead, and
//! a yes lets through the very call that it was given to, once.

use std::fs;

use portcullis_testkit::Launch;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::{
    AnyClient, Call as Row, Gateway, Modern, Session, messages, next, next_of, text,
};
use crate::scripted::{Call, Script, Scripted};
use crate::support::{ALICE, BOB, BOUND, PROGRAM};

/// Everything may be called, `echo` and `work` of the server `one` after a person's yes.
pub(crate) const POLICY: &str = r#"@id("all") permit (principal, action, resource);
@id("care") @ask("it is said aloud")
forbid (principal, action in [Action::"one/echo", Action::"one/work"], resource) unless { context.approved };
"#;

/// A gateway with these policies in front of a server of the test's own.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) server: Scripted,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(POLICY, "").await
    }

    /// With these policies and these lines of `[policy.approvals]`.
    pub(crate) async fn of(policy: &str, approvals: &str) -> Self {
        let server = Script::of(false)
            .tools(&["echo", "work", "free"])
            .on("tools/call", |call: Call| async move {
                let said = call.params()["arguments"].to_string();
                call.result(json!({ "content": [{ "type": "text", "text": said }] }));
            })
            .start()
            .await;
        let place = tempfile::tempdir().unwrap();
        let config = configuration(&place, policy, approvals, &server);
        let gateway = Gateway::start_in(place, &config).await;
        Self { gateway, server }
    }

    /// A client of the modern era whose person can be shown a form.
    pub(crate) fn modern(&self) -> Modern {
        let mut client = Modern::at(&self.gateway.one("one"));
        client.token = Some(ALICE);
        client.declaring(json!({ "elicitation": { "form": {} } }))
    }

    /// A session of the legacy era, of whoever runs the gateway, that declares this.
    pub(crate) async fn legacy(&self, capabilities: Value) -> Session {
        Session::open(&self.gateway.one("one"), capabilities).await
    }

    /// The calls that reached the server.
    pub(crate) fn reached(&self) -> usize {
        self.server.seen("tools/call").len()
    }

    /// Runs `portcullis approvals`; the exit code, and what it printed.
    pub(crate) async fn approvals(&self, words: &[&str]) -> (Option<i32>, String) {
        let place = self.gateway.place.path();
        let mut command = Launch::new(PROGRAM)
            .args(["approvals", "--config"])
            .args([place.join("portcullis.toml")])
            .args(["--state-dir"])
            .args([place.join("state")])
            .args(words)
            .env("HOME", place)
            .env("USER", "root")
            .start_silent()
            .unwrap();
        let status = command.wait(BOUND).await.unwrap();
        // The last lines may still be on their way when the process is gone.
        drop(command.line_with("\u{0}", BOUND).await);
        (status.code(), command.output())
    }

    /// What waits for a person, as the command lists it.
    pub(crate) async fn waiting(&self) -> Vec<Value> {
        let (code, text) = self.approvals(&["list", "--json"]).await;
        assert_eq!(code, Some(0), "{text}");
        let listed: Value = serde_json::from_str(text.trim()).unwrap();
        listed["approvals"].as_array().unwrap().clone()
    }

    /// The one question that waits for a person, once there is one.
    pub(crate) async fn question(&self) -> String {
        let is_asked = |row: &Row| row.denial_code.as_deref() == Some("approval-required");
        self.gateway
            .rows_when(|rows| rows.iter().any(is_asked))
            .await;
        let waiting = self.waiting().await;
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        waiting[0]["id"].as_str().unwrap().to_owned()
    }
}

fn configuration(place: &TempDir, policy: &str, approvals: &str, server: &Scripted) -> String {
    let file = place.path().join("own.cedar");
    fs::write(&file, policy).unwrap();
    format!(
        "[policy]\nfiles = [\"{}\"]\n[policy.approvals]\n{approvals}\n\
         [clients.alice]\ntoken = \"{ALICE}\"\n[clients.bob]\ntoken = \"{BOB}\"\n{}",
        file.display(),
        server.entry("one", false, "")
    )
}

/// The code of a denial, in a tool result or an error; empty when it is none.
pub(crate) fn denial(message: &Value) -> &str {
    let of_result = &message["result"]["_meta"]["portcullis/denial"]["code"];
    let of_error = &message["error"]["data"]["code"];
    of_result.as_str().or(of_error.as_str()).unwrap_or_default()
}

pub(crate) fn words(text: &str) -> Value {
    json!({ "text": text })
}

pub(crate) fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "name": tool, "arguments": arguments })
}

/// The answer of a person to the form.
pub(crate) fn yes() -> Value {
    json!({ "action": "accept", "content": { "decision": "allow" } })
}

/// The key of the question that an answer puts to a modern client.
#[track_caller]
fn key_of(message: &Value) -> String {
    let result = &message["result"];
    assert_eq!(result["resultType"], "input_required", "{message}");
    let requests = result["inputRequests"].as_object().unwrap();
    assert_eq!(requests.len(), 1, "{message}");
    let (key, request) = requests.iter().next().unwrap();
    assert!(key.starts_with("portcullis-approval-"), "{key}");
    assert_eq!(request["method"], "elicitation/create", "{message}");
    check_form(&request["params"]);
    key.clone()
}

#[track_caller]
fn check_form(form: &Value) {
    assert_eq!(form["mode"], "form", "{form}");
    let decision = &form["requestedSchema"]["properties"]["decision"];
    assert_eq!(decision["enum"], json!(["allow", "deny"]), "{form}");
    assert_eq!(form["requestedSchema"]["required"], json!(["decision"]));
    let message = form["message"].as_str().unwrap();
    assert!(message.contains("it is said aloud"), "{message}");
    assert!(message.contains("of `one`"), "{message}");
}

impl Modern {
    /// The key of the question that a call raises.
    pub(crate) async fn asked(&self, tool: &str, arguments: &Value) -> String {
        key_of(&self.call(tool, arguments.clone()).await)
    }

    /// The call once more, with an answer to the question `key`.
    pub(crate) async fn answered(
        &self,
        tool: &str,
        arguments: &Value,
        key: &str,
        answer: Value,
    ) -> Value {
        let mut params = call(tool, arguments);
        params["inputResponses"] = json!({ key: answer });
        self.ask("tools/call", params).await
    }
}

#[tokio::test]
async fn a_legacy_client_shows_the_form_and_the_call_goes_on() {
    let scene = Scene::new().await;
    for capability in [
        json!({}),
        json!({ "form": {} }),
        json!({ "form": {}, "url": {} }),
    ] {
        let session = scene.legacy(json!({ "elicitation": capability })).await;
        let before = scene.reached();
        let mut stream = session
            .send(3, "tools/call", call("echo", &words("a")))
            .await;
        let form = next_of(&mut stream, "elicitation/create").await;
        check_form(&form["params"]);
        assert_eq!(scene.reached(), before);
        session.respond(&form, json!({ "result": yes() })).await;
        assert_eq!(text(&next(&mut stream).await), r#"{"text":"a"}"#);
        assert_eq!(scene.reached(), before + 1);
    }
    let free = scene.legacy(json!({ "elicitation": {} })).await;
    assert_eq!(
        text(&free.call("free", words("b")).await),
        r#"{"text":"b"}"#
    );
}

#[tokio::test]
async fn a_modern_client_is_asked_and_repeats_the_call_with_the_answer() {
    let scene = Scene::new().await;
    let client = scene.modern();
    let key = client.asked("echo", &words("a")).await;
    // The same question stands until it is answered.
    assert_eq!(client.asked("echo", &words("a")).await, key);
    assert_eq!(scene.reached(), 0);
    let said = client.answered("echo", &words("a"), &key, yes()).await;
    assert_eq!(text(&said), r#"{"text":"a"}"#);
    assert_eq!(scene.reached(), 1);
    let sent = scene.server.seen("tools/call").remove(0);
    let sent = String::from_utf8_lossy(&sent.raw).into_owned();
    assert!(!sent.contains("approval"), "the server is not told: {sent}");
    let is_done = |row: &&Row| row.method == "tools/call" && row.outcome == "ok";
    let fits = |rows: &[Row]| rows.iter().filter(is_done).count() == 1;
    scene.gateway.rows_when(fits).await;
}

#[tokio::test]
async fn a_yes_is_for_the_very_call_that_it_was_given_to() {
    let scene = Scene::new().await;
    let alice = scene.modern();
    let mut bob = scene.modern();
    bob.token = Some(BOB);
    let one = words("a");
    let key = alice.asked("echo", &one).await;
    let others = [
        (&alice, "echo", words("b")),
        (&alice, "echo", words("a ")),
        (&alice, "echo", json!({ "text": "a", "more": null })),
        (&alice, "echo", json!({ "text": ["a"] })),
        (&alice, "echo", json!({})),
        (&alice, "work", words("a")),
        (&bob, "echo", words("a")),
        (&bob, "work", words("a")),
    ];
    // Whoever gives a form's answer with another call is asked about that.
    for (client, tool, arguments) in &others {
        let said = client.answered(tool, arguments, &key, yes()).await;
        assert_ne!(key_of(&said), key, "{tool} {arguments}");
    }
    assert_eq!(scene.reached(), 0);
    // And a yes that was given already does nothing for another call.
    let id = key.strip_prefix("portcullis-approval-").unwrap();
    let (code, said) = scene.approvals(&["allow", id]).await;
    assert_eq!(code, Some(0), "{said}");
    for (client, tool, arguments) in &others {
        key_of(&client.call(tool, arguments.clone()).await);
    }
    assert_eq!(scene.reached(), 0);
    let said = alice.call("echo", one).await;
    assert_eq!(text(&said), r#"{"text":"a"}"#);
    assert_eq!(scene.reached(), 1);
}

#[tokio::test]
async fn an_answer_works_once() {
    let scene = Scene::new().await;
    let client = scene.modern();
    let key = client.asked("echo", &words("a")).await;
    text(&client.answered("echo", &words("a"), &key, yes()).await);
    for _ in 0..3 {
        let said = client.answered("echo", &words("a"), &key, yes()).await;
        assert_ne!(key_of(&said), key);
    }
    assert_eq!(scene.reached(), 1);
    let (code, said) = scene
        .approvals(&["allow", key.strip_prefix("portcullis-approval-").unwrap()])
        .await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it is spent"), "{said}");
}

#[tokio::test]
async fn of_uses_that_race_one_reaches_the_server() {
    let scene = Scene::of(POLICY, "asks_max = 100").await;
    let client = scene.modern();
    for round in 0..5 {
        let said = words(&format!("round {round}"));
        let key = client.asked("echo", &said).await;
        if round % 2 == 0 {
            let id = key.strip_prefix("portcullis-approval-").unwrap();
            assert_eq!(scene.approvals(&["allow", id]).await.0, Some(0));
        }
        let mut uses = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (client, said, key) = (client.clone(), said.clone(), key.clone());
            uses.spawn(async move { client.answered("echo", &said, &key, yes()).await });
        }
        let answers = uses.join_all().await;
        let through = answers
            .iter()
            .filter(|answer| answer["result"]["resultType"] == "complete")
            .count();
        assert_eq!(through, 1, "{answers:?}");
        assert_eq!(scene.reached(), round + 1);
    }
}

#[tokio::test]
async fn a_yes_under_other_policies_counts_no_more() {
    let scene = Scene::new().await;
    let client = scene.modern();
    let open = client.asked("echo", &words("open")).await;
    let given = client.asked("echo", &words("given")).await;
    let id = given.strip_prefix("portcullis-approval-").unwrap();
    assert_eq!(scene.approvals(&["allow", id]).await.0, Some(0));
    let more =
        format!("{POLICY}@id(\"more\") forbid (principal == User::\"carol\", action, resource);\n");
    fs::write(scene.gateway.place.path().join("own.cedar"), more).unwrap();
    scene.gateway.says(" reloaded ").await;
    let said = client.answered("echo", &words("open"), &open, yes()).await;
    assert_ne!(key_of(&said), open);
    assert_ne!(client.asked("echo", &words("given")).await, given);
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn a_question_and_a_yes_end_with_their_time() {
    let scene = Scene::of(POLICY, "life = \"6s\"").await;
    let client = scene.modern();
    let open = client.asked("echo", &words("open")).await;
    let given = client.asked("echo", &words("given")).await;
    let id = given.strip_prefix("portcullis-approval-").unwrap();
    assert_eq!(scene.approvals(&["allow", id]).await.0, Some(0));
    loop {
        let (_, shown) = scene.approvals(&["show", id]).await;
        if shown.contains("\"state\": \"expired\"") {
            break;
        }
        assert!(shown.contains("\"state\": \"approved\""), "{shown}");
    }
    let said = client.answered("echo", &words("open"), &open, yes()).await;
    assert_ne!(key_of(&said), open);
    assert_ne!(client.asked("echo", &words("given")).await, given);
    let (code, said) = scene.approvals(&["allow", id]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it is expired"), "{said}");
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn what_is_not_said_in_so_many_words_is_no_yes() {
    let scene = Scene::of(POLICY, "asks_max = 100").await;
    let client = scene.modern();
    let cases = [
        (json!({ "action": "accept" }), "approval-denied"),
        (
            json!({ "action": "accept", "content": {} }),
            "approval-denied",
        ),
        (
            json!({ "action": "accept", "content": { "decision": "deny" } }),
            "approval-denied",
        ),
        (
            json!({ "action": "accept", "content": { "decision": "ALLOW" } }),
            "approval-denied",
        ),
        (
            json!({ "action": "accept", "content": { "decision": "allow " } }),
            "approval-denied",
        ),
        (
            json!({ "action": "accept", "content": { "decision": true } }),
            "approval-denied",
        ),
        (
            json!({ "action": "accept", "content": { "decision": ["allow"] } }),
            "approval-denied",
        ),
        (
            json!({ "action": "accept", "content": { "Decision": "allow" } }),
            "approval-denied",
        ),
        (
            json!({ "action": "accept", "content": "allow" }),
            "approval-denied",
        ),
        (json!({ "action": "decline" }), "approval-denied"),
        (
            json!({ "action": "decline", "content": { "decision": "allow" } }),
            "approval-denied",
        ),
        (json!({ "action": "cancel" }), "approval-required"),
        (
            json!({ "action": "cancel", "content": { "decision": "allow" } }),
            "approval-required",
        ),
        (
            json!({ "action": "Accept", "content": { "decision": "allow" } }),
            "approval-required",
        ),
    ];
    for (at, (answer, code)) in cases.into_iter().enumerate() {
        let said = words(&format!("case {at}"));
        let key = client.asked("echo", &said).await;
        let told = client.answered("echo", &said, &key, answer.clone()).await;
        assert_eq!(denial(&told), code, "{answer}: {told}");
        if code == "approval-denied" {
            // A no stands: nobody is asked again, whatever is answered.
            for again in [
                client.call("echo", said.clone()).await,
                client.answered("echo", &said, &key, yes()).await,
            ] {
                assert_eq!(denial(&again), code, "{answer}: {again}");
            }
        }
    }
    for answer in [Value::Null, json!("accept"), json!([]), json!({}), json!(7)] {
        let key = client.asked("echo", &words("odd")).await;
        let told = client
            .answered("echo", &words("odd"), &key, answer.clone())
            .await;
        assert!(
            told["result"]["content"].is_null() || told["result"]["isError"] == true,
            "{answer}: {told}"
        );
    }
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn a_legacy_client_s_no_stands_too() {
    let scene = Scene::new().await;
    let session = scene.legacy(json!({ "elicitation": {} })).await;
    let params = call("echo", &words("a"));
    let mut stream = session.send(3, "tools/call", params.clone()).await;
    let form = next_of(&mut stream, "elicitation/create").await;
    session
        .respond(&form, json!({ "result": { "action": "decline" } }))
        .await;
    assert_eq!(denial(&next(&mut stream).await), "approval-denied");
    let again = messages(session.send(4, "tools/call", params).await).await;
    assert_eq!(again.len(), 1, "nobody is asked: {again:?}");
    assert_eq!(denial(&again[0]), "approval-denied");

    // An error in place of an answer is none.
    let mut stream = session
        .send(5, "tools/call", call("echo", &words("b")))
        .await;
    let form = next_of(&mut stream, "elicitation/create").await;
    let error = json!({ "code": -1, "message": "allow" });
    session.respond(&form, json!({ "error": error })).await;
    assert_eq!(denial(&next(&mut stream).await), "approval-required");
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn nobody_is_asked_without_end() {
    let scene = Scene::of(POLICY, "asks_max = 3").await;
    let client = scene.modern();
    for n in 0..3 {
        client.asked("echo", &words(&n.to_string())).await;
    }
    for n in 3..6 {
        let told = client.call("echo", words(&n.to_string())).await;
        assert_eq!(denial(&told), "approvals-exhausted", "{told}");
    }
    // Of others it says nothing.
    let mut bob = scene.modern();
    bob.token = Some(BOB);
    bob.asked("echo", &words("3")).await;
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn an_administrator_answers_for_a_client_that_shows_no_form() {
    let scene = Scene::new().await;
    let session = scene.legacy(json!({})).await;
    let mut params = call("echo", &words("a"));
    params["_meta"] = json!({ "progressToken": "token-a" });
    let (teller, mut heard) = tokio::sync::mpsc::channel(1);
    let waiting = tokio::spawn(async move {
        let mut stream = session.send(3, "tools/call", params).await;
        let told = next_of(&mut stream, "notifications/progress").await;
        teller.send(told).await.unwrap();
        messages(stream).await
    });
    let id = scene.question().await;
    let (code, shown) = scene.approvals(&["show", &id]).await;
    assert_eq!(code, Some(0), "{shown}");
    let shown: Value = serde_json::from_str(shown.trim()).unwrap();
    assert_eq!(shown["arguments"], words("a"));
    assert_eq!(
        (&shown["server"], &shown["tool"]),
        (&json!("one"), &json!("echo"))
    );
    assert_eq!(shown["state"], "open");
    let (code, listed) = scene.approvals(&["list"]).await;
    assert_eq!(code, Some(0));
    assert!(listed.contains(&id), "{listed}");

    // The client hears that its call is not forgotten.
    let told = heard.recv().await.unwrap();
    assert_eq!(told["params"]["progressToken"], "token-a");
    assert_eq!(scene.reached(), 0);
    let (code, said) = scene.approvals(&["allow", &id]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        text(waiting.await.unwrap().last().unwrap()),
        r#"{"text":"a"}"#
    );
    assert_eq!(scene.reached(), 1);
    let (code, said) = scene.approvals(&["deny", &id]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(scene.waiting().await.is_empty());
    let (code, said) = scene.approvals(&["allow", "0123456789abcdef"]).await;
    assert_eq!(code, Some(1), "{said}");
}

#[tokio::test]
async fn an_administrator_s_no_ends_the_waiting() {
    let scene = Scene::new().await;
    for is_modern in [true, false] {
        let said = words(if is_modern { "modern" } else { "legacy" });
        let url = scene.gateway.one("one");
        let client = AnyClient::at(&url, is_modern, json!({})).await;
        let calling = tokio::spawn({
            let said = said.clone();
            async move { client.call("echo", said).await }
        });
        let asked = if is_modern { 1 } else { 3 };
        scene
            .gateway
            .rows_when(|rows| rows.iter().filter(|row| row.denial_code.is_some()).count() >= asked)
            .await;
        let waiting = scene.waiting().await;
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        assert_eq!(waiting[0]["arguments"], said);
        let (code, told) = scene
            .approvals(&["deny", waiting[0]["id"].as_str().unwrap()])
            .await;
        assert_eq!(code, Some(0), "{told}");
        assert_eq!(denial(&calling.await.unwrap()), "approval-denied");
        let again = scene.legacy(json!({ "elicitation": {} })).await;
        assert_eq!(denial(&again.call("echo", said).await), "approval-denied");
    }
    assert_eq!(scene.reached(), 0);
}

#[tokio::test]
async fn a_yes_holds_for_all_rounds_of_its_call() {
    let form = json!({
        "mode": "form",
        "message": "Which?",
        "requestedSchema": { "type": "object", "properties": { "which": { "type": "string" } } },
    });
    let server = Script::of(true)
        .tools(&["echo", "work"])
        .on("tools/call", move |call: Call| {
            let form = form.clone();
            async move {
                match call.params().get("inputResponses") {
                Some(responses) => call.result(json!({
                    "content": [{ "type": "text", "text": responses.to_string() }],
                })),
                None => call.result(json!({
                    "resultType": "input_required",
                    "inputRequests": { "own": { "method": "elicitation/create", "params": form } },
                    "requestState": "round one",
                })),
            }
            }
        });
    let server = server.start().await;
    let place = tempfile::tempdir().unwrap();
    let config = configuration(&place, POLICY, "", &server);
    let gateway = Gateway::start_in(place, &config).await;
    let mut client = Modern::at(&gateway.one("one")).declaring(json!({ "elicitation": {} }));
    client.token = Some(ALICE);
    let key = client.asked("echo", &words("a")).await;
    let asked = client.answered("echo", &words("a"), &key, yes()).await;
    let asked = &asked["result"];
    assert_eq!(
        asked["inputRequests"]["own"]["params"]["message"], "Which?",
        "{asked}"
    );
    let mut params = call("echo", &words("a"));
    let answer = json!({ "action": "accept", "content": { "which": "this" } });
    params["inputResponses"] = json!({ "own": answer });
    params["requestState"] = asked["requestState"].clone();
    let last = client.ask("tools/call", params.clone()).await;
    assert_eq!(text(&last), json!({ "own": answer }).to_string());
    assert_eq!(server.seen("tools/call").len(), 2);
    // Now it is spent.
    params.as_object_mut().unwrap().remove("inputResponses");
    params.as_object_mut().unwrap().remove("requestState");
    key_of(&client.ask("tools/call", params).await);
    assert_eq!(server.seen("tools/call").len(), 2);
}
