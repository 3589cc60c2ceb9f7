//! Many servers behind one endpoint: names, order, pages, and everything that carries a name. And
//! one server behind its own endpoint, whose answers pass byte for byte.

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::gateway::{AnyClient, Gateway, Modern, Session, messages, names, next_of, remote, text};
use crate::scripted::{Call, Script, Scripted};

/// A server whose answers say who gave them, and what it was asked by.
async fn talkative(name: &'static str, is_modern: bool) -> Scripted {
    let link = json!({ "type": "resource_link", "uri": "file:///a b", "name": "a" });
    let embedded = json!({
        "type": "resource",
        "resource": { "uri": "mem://x?y=1#z", "text": format!("in {name}") },
    });
    let blocks = [link, embedded.clone()];
    Script::of(is_modern)
        .tools(&["act", "other.tool-1"])
        .result("prompts/list", json!({ "prompts": [{ "name": "ask" }] }))
        .result(
            "resources/list",
            json!({ "resources": [{ "uri": "file:///a b", "name": "a" }] }),
        )
        .result(
            "resources/templates/list",
            json!({ "resourceTemplates": [{ "uriTemplate": "mem://{id}", "name": "m" }] }),
        )
        .on("tools/call", move |call: Call| {
            let said = json!({ "type": "text", "text": format!("{name}: {}", call.tool()) });
            let content: Vec<Value> = [said].iter().chain(&blocks).cloned().collect();
            call.result(json!({ "content": content }));
            ready(())
        })
        .on("prompts/get", move |call: Call| {
            let own = call.params()["name"].as_str().unwrap();
            let said = json!({ "type": "text", "text": format!("{name}: {own}") });
            let message = |content: &Value| json!({ "role": "user", "content": content });
            call.result(json!({ "messages": [message(&said), message(&embedded)] }));
            ready(())
        })
        .on("resources/read", move |call: Call| {
            let uri = call.params()["uri"].clone();
            let text = format!("{name}: {}", uri.as_str().unwrap());
            call.result(json!({ "contents": [{ "uri": uri, "text": text }] }));
            ready(())
        })
        .on("completion/complete", move |call: Call| {
            let values = [format!("{name}: {}", call.params()["ref"])];
            call.result(json!({ "completion": { "values": values } }));
            ready(())
        })
        .start()
        .await
}

#[tokio::test]
async fn equal_names_stay_apart_everywhere() {
    let left = talkative("left", true).await;
    let right = talkative("right", false).await;
    let config = left.entry("left", false, "") + &right.entry("right", true, "");
    let gateway = Gateway::start(&config).await;
    for is_modern in [true, false] {
        let client = AnyClient::at(&gateway.all(), is_modern, json!({})).await;
        let listed = client.ask("tools/list", json!({})).await;
        let tools = [
            "left__act",
            "left__other.tool-1",
            "right__act",
            "right__other.tool-1",
        ];
        assert_eq!(names(&listed, "tools", "name"), tools);
        assert_eq!(
            listed["result"]
                .get("_meta")
                .and_then(|m| m.get("portcullis/missing")),
            None
        );
        let listed = client.ask("prompts/list", json!({})).await;
        assert_eq!(
            names(&listed, "prompts", "name"),
            ["left__ask", "right__ask"]
        );
        let listed = client.ask("resources/list", json!({})).await;
        let uris = ["left+file:///a b", "right+file:///a b"];
        assert_eq!(names(&listed, "resources", "uri"), uris);
        let listed = client.ask("resources/templates/list", json!({})).await;
        let templates = ["left+mem://{id}", "right+mem://{id}"];
        assert_eq!(
            names(&listed, "resourceTemplates", "uriTemplate"),
            templates
        );

        for server in ["left", "right"] {
            let called = client.call(&format!("{server}__act"), json!({})).await;
            assert_eq!(text(&called), format!("{server}: act"));
            let content = &called["result"]["content"];
            assert_eq!(content[1]["uri"], format!("{server}+file:///a b"));
            assert_eq!(
                content[2]["resource"]["uri"],
                format!("{server}+mem://x?y=1#z")
            );
            assert_eq!(content[2]["resource"]["text"], format!("in {server}"));

            let got = client
                .ask("prompts/get", json!({ "name": format!("{server}__ask") }))
                .await;
            let got = &got["result"]["messages"];
            assert_eq!(got[0]["content"]["text"], format!("{server}: ask"));
            assert_eq!(
                got[1]["content"]["resource"]["uri"],
                format!("{server}+mem://x?y=1#z")
            );

            let uri = format!("{server}+mem://x+y");
            let read = client.ask("resources/read", json!({ "uri": uri })).await;
            let read = &read["result"]["contents"][0];
            assert_eq!(read["uri"], uri);
            assert_eq!(read["text"], format!("{server}: mem://x+y"));

            let argument = json!({ "name": "a", "value": "b" });
            for (reference, own) in [
                (
                    json!({ "type": "ref/prompt", "name": format!("{server}__ask") }),
                    json!({ "type": "ref/prompt", "name": "ask" }),
                ),
                (
                    json!({ "type": "ref/resource", "uri": format!("{server}+mem://{{id}}") }),
                    json!({ "type": "ref/resource", "uri": "mem://{id}" }),
                ),
            ] {
                let params = json!({ "ref": reference, "argument": argument });
                let completed = client.ask("completion/complete", params).await;
                let value = completed["result"]["completion"]["values"][0]
                    .as_str()
                    .unwrap();
                let (by, reference) = value.split_once(": ").unwrap();
                assert_eq!(by, server);
                assert_eq!(serde_json::from_str::<Value>(reference).unwrap(), own);
            }
        }
    }
    // Names of nobody, and names that lack the server.
    let client = Modern::at(&gateway.all());
    for name in ["act", "middle__act", "left__", "__act", "left__none"] {
        let refused = client.call(name, json!({})).await;
        assert_eq!(refused["error"]["code"], -32602, "{name}: {refused}");
    }
    let refused = client
        .ask("resources/read", json!({ "uri": "file:///a b" }))
        .await;
    assert_eq!(refused["error"]["code"], -32602);
    let legacy = Session::open(&gateway.all(), json!({})).await;
    let refused = legacy
        .ask("resources/read", json!({ "uri": "file:///a b" }))
        .await;
    assert_eq!(refused["error"]["code"], -32002);
}

#[tokio::test]
async fn updates_carry_the_endpoint_s_uri() {
    let servers = [
        talkative("left", true).await,
        talkative("right", false).await,
    ];
    let config = servers[0].entry("left", false, "") + &servers[1].entry("right", false, "");
    let gateway = Gateway::start(&config).await;
    let wanted = ["left+file:///a b", "right+file:///a b"];

    let modern = Modern::at(&gateway.all());
    let filter = json!({ "notifications": { "resourceSubscriptions": wanted } });
    let mut listening = modern.send(9, "subscriptions/listen", filter).await;
    let agreed = next_of(&mut listening, "notifications/subscriptions/acknowledged").await;
    assert_eq!(
        agreed["params"]["notifications"]["resourceSubscriptions"],
        json!(wanted)
    );

    let legacy = Session::open(&gateway.all(), json!({})).await;
    let mut standing = legacy.stream().await;
    for uri in wanted {
        let answer = legacy
            .ask("resources/subscribe", json!({ "uri": uri }))
            .await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    }
    // One listener for the modern client, one or two for what the session watches.
    let uris =
        |message: &Value| message["params"]["notifications"]["resourceSubscriptions"].clone();
    let listens = |listens: &Value| uris(listens) == json!(["file:///a b"]);
    let both = |message: &Value| {
        listens(message) && message["params"]["notifications"]["toolsListChanged"] == true
    };
    servers[0].sees(both).await;
    servers[1].sees_of("resources/subscribe", 2).await;
    servers[1].stands(2).await;

    for (server, uri) in servers.iter().zip(wanted) {
        server.notify(
            "notifications/resources/updated",
            &json!({ "uri": "file:///a b" }),
        );
        let told = next_of(&mut listening, "notifications/resources/updated").await;
        assert_eq!(told["params"]["uri"], uri);
        assert_eq!(
            told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
            9
        );
        let told = next_of(&mut standing, "notifications/resources/updated").await;
        assert_eq!(told["params"], json!({ "uri": uri }));
    }
}

#[tokio::test]
async fn long_names_are_cut_the_same_way_every_time() {
    let long = |end: &str| format!("{}{end}", "a".repeat(100));
    let own: Vec<String> = vec![long("1"), long("2"), "short".into()];
    let listed: Vec<&str> = own.iter().map(String::as_str).collect();
    let server = Script::of(true)
        .tools(&listed)
        .on("tools/call", |call: Call| {
            call.result(json!({ "content": [{ "type": "text", "text": call.tool() }] }));
            ready(())
        })
        .start()
        .await;
    let config = server.entry("files", false, "");
    let gateway = Gateway::start(&config).await;
    let client = Modern::at(&gateway.all());
    let first = names(&client.ask("tools/list", json!({})).await, "tools", "name");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3);
    for (name, own) in first.iter().zip(&own) {
        assert!(name.starts_with("files__") && name.len() <= 64, "{name}");
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        assert!(name.chars().all(allowed), "{name}");
        assert_eq!(text(&client.call(name, json!({})).await), own);
    }
    let session = Session::open(&gateway.all(), json!({})).await;
    let listed = session.ask("tools/list", json!({})).await;
    assert_eq!(names(&listed, "tools", "name"), first);

    // The names are good for the next process as well, even before anybody has listed them there.
    gateway.signal(rustix::process::Signal::TERM);
    let (_, place) = gateway.ended().await;
    let gateway = Gateway::start_in(place, &config).await;
    let client = Modern::at(&gateway.all());
    for (name, own) in first.iter().zip(&own) {
        let called = client.call(name, json!({})).await;
        assert_eq!(called["result"]["content"][0]["text"], *own, "{called}");
    }
}

/// A server of `count` tools, `page` at a time.
async fn many(count: usize, page: usize) -> Scripted {
    Script::of(true)
        .on("tools/list", move |call: Call| {
            let cursor = call.params()["cursor"]
                .as_str()
                .unwrap_or("at 0")
                .to_owned();
            let start: usize = cursor.strip_prefix("at ").unwrap().parse().unwrap();
            let end = (start + page).min(count);
            let tools: Vec<Value> = (start..end)
                .map(|n| json!({ "name": format!("t{n}"), "inputSchema": { "type": "object" } }))
                .collect();
            let mut result = json!({ "tools": tools });
            if end < count {
                result["nextCursor"] = format!("at {end}").into();
            }
            call.result(result);
            ready(())
        })
        .start()
        .await
}

/// Every page of a list, joined.
async fn all_pages(client: &AnyClient) -> (Vec<String>, Vec<String>) {
    let (mut all, mut cursors) = (Vec::new(), Vec::new());
    let mut params = json!({});
    loop {
        let page = client.ask("tools/list", params).await;
        all.extend(names(&page, "tools", "name"));
        match page["result"]["nextCursor"].as_str() {
            Some(cursor) => cursors.push(cursor.to_owned()),
            None => return (all, cursors),
        }
        params = json!({ "cursor": cursors.last() });
    }
}

#[tokio::test]
async fn two_thousand_five_hundred_tools_in_pages() {
    let (big, small) = (many(2500, 700).await, many(3, 2).await);
    let config = big.entry("big", false, "") + &small.entry("small", false, "");
    let gateway = Gateway::start(&config).await;
    let expected: Vec<String> = (0..2500)
        .map(|n| format!("big__t{n}"))
        .chain((0..3).map(|n| format!("small__t{n}")))
        .collect();
    for is_modern in [true, false] {
        let client = AnyClient::at(&gateway.all(), is_modern, json!({})).await;
        let (first, cursors) = all_pages(&client).await;
        assert_eq!(first, expected);
        assert!(!cursors.is_empty());
        assert_eq!(all_pages(&client).await.0, expected);
        // A cursor is good for its own list alone, and none can be made up.
        let cursor = cursors[0].clone();
        for (method, cursor) in [("prompts/list", cursor.as_str()), ("tools/list", "at 700")] {
            let refused = client.ask(method, json!({ "cursor": cursor })).await;
            assert_eq!(refused["error"]["code"], -32602, "{refused}");
        }
        // The one server's own pages, under its own names.
        let client = AnyClient::at(&gateway.one("big"), is_modern, json!({})).await;
        let (own, own_cursors) = all_pages(&client).await;
        assert_eq!(own, (0..2500).map(|n| format!("t{n}")).collect::<Vec<_>>());
        assert_eq!(own_cursors.len(), 3);
        assert!(
            own_cursors.iter().all(|cursor| !cursor.contains("at ")),
            "a server's own cursor"
        );
        for wrong in ["at 700", cursor.as_str()] {
            let refused = client.ask("tools/list", json!({ "cursor": wrong })).await;
            assert_eq!(refused["error"]["code"], -32602, "{refused}");
        }
    }
}

#[tokio::test]
async fn names_that_meet_after_the_cut_are_not_both_offered() {
    // `files__` and the first 48 characters are kept, then `_` and 8 digits.
    let long = "b".repeat(90);
    let server = Script::of(true).tools(&[&long]).start().await;
    let gateway = Gateway::start(&server.entry("files", false, "")).await;
    let client = Modern::at(&gateway.all());
    let cut = names(&client.ask("tools/list", json!({})).await, "tools", "name").remove(0);
    drop(gateway);
    let twin = cut.strip_prefix("files__").unwrap().to_owned();
    let answer = |call: Call| {
        call.result(json!({ "content": [{ "type": "text", "text": call.tool() }] }));
        ready(())
    };
    for order in [[&long, &twin], [&twin, &long]] {
        let tools: Vec<&str> = order.iter().map(|name| name.as_str()).collect();
        let server = Script::of(true)
            .tools(&tools)
            .on("tools/call", answer)
            .start()
            .await;
        let gateway = Gateway::start(&server.entry("files", false, "")).await;
        let client = Modern::at(&gateway.all());
        let listed = client.ask("tools/list", json!({})).await;
        assert_eq!(names(&listed, "tools", "name").join(" "), cut);
        // What is listed is what is called.
        assert_eq!(text(&client.call(&cut, json!({})).await), order[0]);
    }
}

#[tokio::test]
async fn progress_and_logs_of_a_merged_call() {
    let server = |is_modern| {
        let script = Script::of(is_modern).tools(&["work"]);
        script.on("tools/call", |call: Call| async move {
            let token = call.params()["_meta"]["progressToken"].clone();
            for step in [1, 2] {
                let params = json!({ "progressToken": token, "progress": step, "message": "on" });
                call.notify("notifications/progress", params);
            }
            let log = json!({ "level": "error", "logger": "l", "data": { "a": [1] } });
            call.notify("notifications/message", log);
            call.result(json!({ "content": [] }));
        })
    };
    let (modern, legacy) = (server(true).start().await, server(false).start().await);
    let config = modern.entry("modern", true, "") + &legacy.entry("legacy", false, "");
    let gateway = Gateway::start(&config).await;
    for is_modern in [true, false] {
        for server in ["modern", "legacy"] {
            let mut client = AnyClient::at(&gateway.all(), is_modern, json!({})).await;
            match &mut client {
                AnyClient::Modern(client) => client.level = Some("info"),
                AnyClient::Legacy(session) => {
                    session
                        .ask("logging/setLevel", json!({ "level": "info" }))
                        .await;
                }
            }
            let params =
                json!({ "name": format!("{server}__work"), "_meta": { "progressToken": "mine" } });
            let all = messages(client.send(5, "tools/call", params).await).await;
            let steps: Vec<&Value> = all
                .iter()
                .filter(|m| m["method"] == "notifications/progress")
                .collect();
            assert_eq!(steps.len(), 2, "{server} {is_modern}: {all:?}");
            for (at, step) in steps.iter().enumerate() {
                assert_eq!(step["params"]["progressToken"], "mine");
                assert_eq!(step["params"]["progress"], at + 1);
                assert_eq!(step["params"]["message"], "on");
            }
            let logs: Vec<&Value> = all
                .iter()
                .filter(|m| m["method"] == "notifications/message")
                .collect();
            assert_eq!(logs.len(), 1, "{server} {is_modern}: {all:?}");
            assert_eq!(logs[0]["params"]["data"], json!({ "a": [1] }));
            assert_eq!(all.last().unwrap()["id"], 5);
        }
    }
}

/// Results as servers may write them: nothing of this may change on the way.
const ODD: &str = "{ \"content\" :\t[ {\"type\":\"text\",\"text\":\"caf\\u00e9 \\uD83D\\uDE00 \\/ \\u0000 ü\"} ] ,\
  \"vendor.example/x\":{\"big\":123456789012345678901234567890,\"e\":1.50E+02,\"z\":-0.0,\"\":[null , true]},\
  \"resultType\":\"complete\",\"_meta\":{\"b.example/k\":{}},\"isError\":false }";

/// The result in a response, as it is written there.
fn raw_result(response: &str) -> &str {
    let result = response.split_once("\"result\":").expect(response).1;
    result.strip_suffix('}').expect(response)
}

#[tokio::test]
async fn one_server_s_answers_pass_byte_for_byte() {
    for is_modern in [true, false] {
        for over_stdio in [true, false] {
            // Over HTTP a message may span lines.
            let odd = if over_stdio {
                ODD.to_owned()
            } else {
                ODD.replace('\t', "\r\n\t")
            };
            let list = r#"{"tools" : [ {"name":"odd","inputSchema":{"type":"object" , "x-v":1e2},"vendor":[ 1 ]} ],
                "resultType":"complete" ,"ttlMs":5,"cacheScope":"public","y":0.10}"#.replace('\n', " ");
            let read = r#"{"contents":[ {"uri":"x:\u0031","text":"a","vendor":1E5} ],"resultType":"complete","ttlMs":1, "cacheScope":"private"}"#;
            // But for the word that lets caches show it to others.
            let shown = list.replace("public", "private");
            let release = Arc::new(Notify::new());
            let (answer, released) = (odd.clone(), Arc::clone(&release));
            let listed = list.clone();
            let server = Script::of(is_modern)
                .on("tools/list", move |call: Call| {
                    call.raw(&listed);
                    ready(())
                })
                .on("resources/read", move |call: Call| {
                    call.raw(read);
                    ready(())
                })
                .on("tools/call", move |call: Call| {
                    let (answer, released) = (answer.clone(), Arc::clone(&released));
                    async move {
                        if call.params()["_meta"]["slow"] == true {
                            released.notified().await;
                        }
                        call.raw(&answer);
                    }
                })
                .start()
                .await;
            let gateway = Gateway::start(&server.entry("odd", over_stdio, "")).await;
            let client = AnyClient::at(&gateway.one("odd"), is_modern, json!({})).await;
            for (method, params, expected) in [
                ("tools/list", json!({}), shown.as_str()),
                ("resources/read", json!({ "uri": "x:1" }), read),
                (
                    "tools/call",
                    json!({ "name": "odd", "arguments": {} }),
                    odd.as_str(),
                ),
            ] {
                let answer = client.send(1, method, params).await;
                let bytes = String::from_utf8(answer.bytes().await.unwrap()).unwrap();
                assert_eq!(
                    raw_result(&bytes),
                    expected,
                    "{method} {is_modern} {over_stdio}"
                );
            }
            // And when the answer comes as an event, because it took a while.
            let params = json!({ "name": "odd", "arguments": {}, "_meta": { "slow": true } });
            let mut answer = client.send(2, "tools/call", params).await;
            assert_eq!(answer.header("content-type"), Some("text/event-stream"));
            release.notify_one();
            let event = loop {
                let event = answer.event().await.unwrap().unwrap();
                if !event.data.is_empty() {
                    break event;
                }
            };
            let expected: Value = serde_json::from_str(&odd).unwrap();
            let told: Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!(told["result"], expected);
            if over_stdio {
                assert_eq!(raw_result(&event.data), odd);
            }
        }
    }
}

#[tokio::test]
async fn one_server_s_requests_pass_as_they_are() {
    let server = Script::of(false)
        .tools(&["odd"])
        .result("tools/call", json!({ "content": [] }))
        .start()
        .await;
    let gateway = Gateway::start(&server.entry("odd", false, "")).await;
    let session = Session::open(&gateway.one("odd"), json!({})).await;
    session
        .send("a", "tools/list", json!({}))
        .await
        .message()
        .await
        .unwrap();
    let arguments = r#"{ "n":18446744073709551615, "s":"\u00e9\/" , "f":1.0 }"#;
    // What serde would write anew has to be sent as it is written here.
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{{"name":"odd","arguments":{arguments},"vendor":1e1}}}}"#
    );
    let answer = session.post_raw(body).await.message().await.unwrap();
    assert_eq!(answer["result"], json!({ "content": [] }));
    let seen = server.sees_of("tools/call", 1).await;
    let raw = String::from_utf8(seen[0].raw.to_vec()).unwrap();
    assert!(raw.contains(&format!("\"arguments\":{arguments}")), "{raw}");
    assert!(raw.contains("\"vendor\":1e1"), "{raw}");
}

#[tokio::test]
async fn an_unknown_server_has_no_endpoint() {
    let server = Script::of(true).start().await;
    let gateway = Gateway::start(
        &(server.entry("a", false, "") + &remote("b", "http://127.0.0.1:9/mcp", "")),
    )
    .await;
    let client = Modern::at(&gateway.one("c"));
    assert_eq!(
        client
            .send(1, "tools/list", json!({}))
            .await
            .status
            .as_u16(),
        404
    );
}
