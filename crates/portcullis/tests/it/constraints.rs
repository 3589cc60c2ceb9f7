//! What policies and constraints come to: who is shown which tools, what is refused though the server would do it, how mistakes in
//! policies are told, and what a server itself may ask.

use std::fs;

use portcullis_testkit::Launch;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::{AnyClient, Call as Row, Gateway, Modern, Session, local, names, text};
use crate::oauth::{ROBOT_SECRET, token_of};
use crate::scripted::{Call, Script, Scripted};
use crate::support::{ALICE, BOB, BOUND, PROGRAM, Setup};

const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

/// A place with a policy file, and the lines of a configuration that name it.
fn place_with(policy: &str) -> (TempDir, String) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("own.cedar");
    fs::write(&file, policy).unwrap();
    let lines = format!("[policy]\nfiles = [\"{}\"]\n", file.display());
    (place, lines)
}

/// A server whose tools answer with their arguments.
async fn repeating(is_modern: bool) -> Scripted {
    let schema = json!({ "type": "object", "additionalProperties": true });
    let tool = |name: &str| json!({ "name": name, "inputSchema": schema });
    let tools = json!({ "tools": [tool("open"), tool("closed"), tool("staff")] });
    let prompts = json!({ "prompts": [{ "name": "plain" }, { "name": "private" }] });
    Script::of(is_modern)
        .result("tools/list", tools)
        .result("prompts/list", prompts)
        .on("tools/call", |call: Call| async move {
            let said = call.params()["arguments"].to_string();
            call.result(json!({ "content": [{ "type": "text", "text": said }] }));
        })
        .start()
        .await
}

/// The code of a denial; empty when it is none.
fn denial(message: &Value) -> &str {
    let of_result = &message["result"]["_meta"]["portcullis/denial"]["code"];
    let of_error = &message["error"]["data"]["code"];
    of_result.as_str().or(of_error.as_str()).unwrap_or_default()
}

#[tokio::test]
async fn lists_have_what_somebody_may_use() {
    let policy = format!(
        r#"{ALL}
forbid (principal, action == Action::"one/closed", resource);
forbid (principal, action == Action::"one/staff", resource) unless {{ principal == User::"alice" }};
forbid (principal, action == Action::"prompt", resource) when {{ resource.name == "private" }};
"#
    );
    for is_modern_server in [true, false] {
        let server = repeating(is_modern_server).await;
        let (place, lines) = place_with(&policy);
        let config = format!(
            "{lines}[clients.alice]\ntoken = \"{ALICE}\"\n[clients.bob]\ntoken = \"{BOB}\"\n{}",
            server.entry("one", false, "")
        );
        let gateway = Gateway::start_in(place, &config).await;
        for (token, expected) in [(ALICE, &["open", "staff"][..]), (BOB, &["open"])] {
            for (url, prefix) in [(gateway.one("one"), ""), (gateway.all(), "one__")] {
                let mut client = Modern::at(&url);
                client.token = Some(token);
                let listed = client.ask("tools/list", json!({})).await;
                let expected: Vec<String> = expected
                    .iter()
                    .map(|name| format!("{prefix}{name}"))
                    .collect();
                assert_eq!(names(&listed, "tools", "name"), expected, "{url}");
                assert_eq!(listed["result"]["cacheScope"], "private", "{listed}");
                let prompts = client.ask("prompts/list", json!({})).await;
                assert_eq!(
                    names(&prompts, "prompts", "name"),
                    [format!("{prefix}plain")]
                );
                // What is not shown cannot be called by its name either.
                for hidden in ["closed", "staff"] {
                    let told = client.call(&format!("{prefix}{hidden}"), json!({})).await;
                    let is_theirs = hidden == "staff" && token == ALICE;
                    assert_eq!(
                        denial(&told),
                        if is_theirs { "" } else { "forbidden" },
                        "{told}"
                    );
                }
            }
        }
        for session in [
            Session::open(&gateway.all(), json!({})).await,
            Session::open(&gateway.one("one"), json!({})).await,
        ] {
            let listed = session.ask("tools/list", json!({})).await;
            assert_eq!(names(&listed, "tools", "name").len(), 1, "{listed}");
        }
        let called = server.seen("tools/call");
        assert!(
            called
                .iter()
                .all(|seen| seen.message["params"]["name"] == "staff")
        );
        assert_eq!(called.len(), 2);
    }
}

#[tokio::test]
async fn a_group_is_shown_what_others_are_not() {
    let policy = r#"permit (principal, action == Action::"list", resource);
permit (principal in Group::"staff", action == Action::"one/staff", resource);
permit (principal, action == Action::"one/open", resource);
"#;
    let server = repeating(true).await;
    let setup = Setup::new();
    let file = setup.path().join("own.cedar");
    fs::write(&file, policy).unwrap();
    let tables = format!(
        "[policy]\nfiles = [\"{}\"]\n\
         [oauth.server.clients.robot]\nsecret = \"${{ROBOT}}\"\ngroups = [\"staff\"]\n\
         [oauth.server.clients.other]\nsecret = \"${{ROBOT}}\"\n\
         [scopes.\"one:all\"]\ndescription = \"use it\"\nservers = [\"one\"]\n{}",
        file.display(),
        server.entry("one", false, "")
    );
    let gateway = setup.with(&tables).env("ROBOT", ROBOT_SECRET).start().await;
    for (client, expected) in [("robot", &["open", "staff"][..]), ("other", &["open"])] {
        let token = token_of(&gateway, client, "/servers/one/mcp", "one:all").await;
        let peer = gateway.of(&token);
        let listed = peer
            .request(1, "tools/list", json!({}))
            .await
            .message()
            .await
            .unwrap();
        assert_eq!(names(&listed, "tools", "name"), expected);
        let call = json!({ "name": "staff", "arguments": {} });
        let told = peer
            .request(2, "tools/call", call)
            .await
            .message()
            .await
            .unwrap();
        assert_eq!(
            denial(&told),
            if client == "robot" {
                ""
            } else {
                "not-permitted"
            },
            "{told}"
        );
    }
    assert_eq!(server.seen("tools/call").len(), 1);
}

#[tokio::test]
async fn a_misspelt_tool_stops_the_start_once_the_tools_are_known() {
    let server = repeating(false).await;
    let policy = format!("{ALL}forbid (principal, action == Action::\"one/closd\", resource);\n");
    let (place, lines) = place_with(&policy);
    let config = lines + &server.entry("one", false, "");
    // Nobody has seen the server's tools: it may have such a one.
    let gateway = Gateway::start_in(place, &config).await;
    let client = Modern::at(&gateway.one("one"));
    client.ask("tools/list", json!({})).await;
    let told = client.call("open", json!({})).await;
    assert_eq!(denial(&told), "undecided-policy", "{told}");
    assert_eq!(server.seen("tools/call").len(), 0);
    gateway.signal(rustix::process::Signal::TERM);
    let (code, place) = gateway.ended().await;
    assert_eq!(code, Some(0));

    let mut again = Launch::new(PROGRAM)
        .args(["run", "--config"])
        .args([place.path().join("portcullis.toml")])
        .env("HOME", place.path())
        .start_silent()
        .unwrap();
    let status = again.wait(BOUND).await.unwrap();
    drop(again.line_with("\u{0}", BOUND).await);
    let said = again.output();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("there is no action or tool `one/closd`"),
        "{said}"
    );
    assert!(said.contains("own.cedar:2:"), "{said}");
    assert!(
        said.contains("did you mean `Action::\"one/closed\"`?"),
        "{said}"
    );
    assert!(!said.contains("\"ready\""), "{said}");
}

#[tokio::test]
async fn a_policy_file_with_a_mistake_is_not_taken_over() {
    let server = repeating(false).await;
    let closed = format!("{ALL}forbid (principal, action == Action::\"one/closed\", resource);\n");
    let (place, lines) = place_with(&closed);
    let config = lines + &server.entry("one", false, "");
    let gateway = Gateway::start_in(place, &config).await;
    let client = Modern::at(&gateway.one("one"));
    let state = async || {
        let mut codes = Vec::new();
        for tool in ["open", "closed"] {
            codes.push(denial(&client.call(tool, json!({})).await).to_owned());
        }
        codes
    };
    assert_eq!(state().await, ["", "forbidden"]);
    let file = gateway.place.path().join("own.cedar");
    let refused = |times: usize| {
        let output = gateway.output();
        output
            .lines()
            .filter(|line| line.contains("reload refused"))
            .count()
            >= times
    };
    for (at, broken) in [
        closed.replace("forbid", "forbit"),
        closed.replace("one/closed", "one/closd"),
        format!("{ALL}forbid (principal == Usr::\"a\", action, resource);"),
        format!("{ALL}forbid (principal, action, resource) when {{ context.aproved }};"),
        format!("{ALL}{ALL}"),
    ]
    .iter()
    .enumerate()
    {
        fs::write(&file, broken).unwrap();
        crate::gateway::eventually("the refusal", || refused(at + 1)).await;
        assert_eq!(state().await, ["", "forbidden"], "{broken}");
    }
    // Mended, it counts: an empty file permits nothing.
    fs::write(&file, "").unwrap();
    gateway.says(" reloaded ").await;
    assert_eq!(state().await, ["not-permitted", "not-permitted"]);
}

#[tokio::test]
async fn where_it_is_only_observed_a_call_goes_on_and_is_recorded() {
    let server = repeating(false).await;
    let policy = format!(
        r#"{ALL}
forbid (principal, action == Action::"one/closed", resource);
@ask("really?") forbid (principal, action == Action::"one/staff", resource) unless {{ context.approved }};
"#
    );
    let (place, lines) = place_with(&policy);
    let config = format!(
        "{lines}[policy.servers.one]\nmode = \"observe\"\n\
         [policy.servers.one.tools.open.arguments]\n\
         \"/count\" = {{ kind = \"number\", max = 3, required = true }}\n{}",
        server.entry("one", false, "")
    );
    let gateway = Gateway::start_in(place, &config).await;
    let client = Modern::at(&gateway.one("one"));
    let listed = client.ask("tools/list", json!({})).await;
    assert_eq!(names(&listed, "tools", "name").len(), 3);
    for (tool, count) in [("closed", 1), ("staff", 1), ("open", 9), ("open", 2)] {
        let told = client.call(tool, json!({ "count": count })).await;
        assert_eq!(text(&told), format!("{{\"count\":{count}}}"), "{tool}");
    }
    let verdicts = verdicts(&gateway);
    let expected = [
        ("closed", "observed", Some("forbidden")),
        ("staff", "ask", None),
        ("open", "observed", Some("constraint")),
        ("open", "allow", None),
    ];
    let expected = expected.map(|(tool, decision, reason)| {
        (
            tool.to_owned(),
            decision.to_owned(),
            reason.map(str::to_owned),
        )
    });
    assert_eq!(verdicts, expected);
}

/// What the policies said of each tool call: the tool, the decision and the reason.
fn verdicts(gateway: &Gateway) -> Vec<(String, String, Option<String>)> {
    let path = gateway.place.path().join("state/portcullis.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(path, flags).unwrap();
    connection.busy_timeout(BOUND).unwrap();
    let mut statement = connection
        .prepare("SELECT target, decision, decision_reason FROM calls WHERE method = 'tools/call' ORDER BY id")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_server_asks_only_for_what_policies_permit() {
    let asks = [
        (
            "sampling/createMessage",
            json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "hi" } }], "maxTokens": 5 }),
            "sample",
        ),
        (
            "elicitation/create",
            json!({ "message": "Which?", "requestedSchema": { "type": "object", "properties": {} } }),
            "elicit",
        ),
    ];
    for is_modern_server in [true, false] {
        for (method, params, action) in &asks {
            let asked = params.clone();
            let method = *method;
            let server =
                Script::of(is_modern_server)
                    .tools(&["act"])
                    .on("tools/call", move |call: Call| {
                        let params = asked.clone();
                        async move {
                            if is_modern_server {
                                return call.result(json!({
                            "resultType": "input_required",
                            "inputRequests": { "own": { "method": method, "params": params } },
                            "requestState": "state",
                        }));
                            }
                            let answer = call.ask(method, params).await;
                            let told = json!([{ "type": "text", "text": answer.to_string() }]);
                            call.result(json!({ "content": told }));
                        }
                    });
            let server = server.start().await;
            let policy =
                format!("{ALL}forbid (principal, action == Action::\"{action}\", resource);\n");
            let (place, lines) = place_with(&policy);
            let gateway =
                Gateway::start_in(place, &(lines + &server.entry("one", false, ""))).await;
            for is_modern in [true, false] {
                let can = json!({ "elicitation": {}, "sampling": {} });
                let client = AnyClient::at(&gateway.one("one"), is_modern, can).await;
                let told = client.call("act", json!({})).await;
                let shown = told.to_string();
                assert_ne!(told["result"]["resultType"], "input_required", "{shown}");
                assert!(
                    !shown.contains("Which?") && !shown.contains("maxTokens"),
                    "{shown}"
                );
                // What a result asks is refused with it.
                let refused = if is_modern_server {
                    "tools/call"
                } else {
                    method
                };
                let is_refused = |row: &Row| {
                    row.method == refused && row.denial_code.as_deref() == Some("forbidden")
                };
                gateway.rows_when(|rows| rows.iter().any(is_refused)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_path_that_is_a_link_is_sent_as_what_it_leads_to() {
    let server = repeating(true).await;
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("sub/a.txt"), "a").unwrap();
    fs::write(place.path().join("secret.txt"), "s").unwrap();
    std::os::unix::fs::symlink("sub", root.join("link")).unwrap();
    std::os::unix::fs::symlink("../secret.txt", root.join("out")).unwrap();
    let root = root.canonicalize().unwrap().display().to_string();
    let config = format!(
        "[policy.servers.one.tools.open.arguments]\n\"/path\" = {{ kind = \"path\", roots = [\"{root}\"] }}\n{}",
        server.entry("one", true, "")
    );
    let gateway = Gateway::start_in(place, &config).await;
    let client = Modern::at(&gateway.one("one"));
    let told = client
        .call("open", json!({ "path": format!("{root}/link/a.txt") }))
        .await;
    assert_eq!(
        text(&told),
        json!({ "path": format!("{root}/sub/a.txt") }).to_string()
    );
    let told = client
        .call("open", json!({ "path": format!("{root}/out") }))
        .await;
    assert_eq!(denial(&told), "constraint", "{told}");
    let said = text(&told);
    assert!(!said.contains(&root), "no path crosses: {said}");
    assert_eq!(server.seen("tools/call").len(), 1);
}

#[tokio::test]
async fn a_constraint_that_cannot_be_used_stops_the_start() {
    let setup = Setup::new().with(&local("one", &["/bin/cat"], "")).with(
        "[policy.servers.one.tools.open.arguments]\n\"/path\" = { kind = \"path\", roots = [\"/no/such/root\"] }\n",
    );
    let (status, said) = setup.refused(&["--without-credential", "same-user"]).await;
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("/path") && said.contains("/no/such/root"),
        "{said}"
    );
}
