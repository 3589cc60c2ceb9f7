//! The fields of requests, results and errors, each in the terms of who reads them.

use std::future::{pending, ready};
use std::sync::Arc;

use serde_json::json;

use super::{Meeting, Pair, act, acting, everything, pairs, said};
use crate::gateway::{AnyClient, LEGACY, MODERN, Modern, Session, messages, names, text};
use crate::scripted::{Call, Script};

#[tokio::test]
async fn results_have_the_fields_of_the_client_s_era() {
    for pair in pairs(|_| true) {
        let script = acting(pair, |call| {
            call.result(said("done"));
            ready(())
        })
        .result(
            "resources/read",
            json!({ "contents": [{ "uri": "a:b", "text": "t" }] }),
        )
        .result("prompts/get", json!({ "messages": [] }))
        .result(
            "completion/complete",
            json!({ "completion": { "values": [] } }),
        );
        let meeting = Meeting::of(pair, script).await;
        let reference = json!({ "type": "ref/prompt", "name": "p" });
        let argument = json!({ "name": "a", "value": "" });
        for (method, params, is_cacheable) in [
            ("tools/list", json!({}), true),
            ("prompts/list", json!({}), true),
            ("resources/list", json!({}), true),
            ("resources/templates/list", json!({}), true),
            ("resources/read", json!({ "uri": "a:b" }), true),
            ("tools/call", act(), false),
            ("prompts/get", json!({ "name": "p" }), false),
            (
                "completion/complete",
                json!({ "ref": reference, "argument": argument }),
                false,
            ),
        ] {
            let answer = meeting.client.ask(method, params).await;
            let result = answer["result"]
                .as_object()
                .unwrap_or_else(|| panic!("{answer}"));
            let has = |member: &str| result.contains_key(member);
            assert_eq!(
                has("resultType"),
                pair.modern_client,
                "{pair:?} {method}: {answer}"
            );
            for member in ["ttlMs", "cacheScope"] {
                let due = pair.modern_client && is_cacheable;
                assert_eq!(has(member), due, "{pair:?} {method}: {answer}");
            }
            if pair.modern_client && is_cacheable {
                let kept = pair.modern_server;
                let fields = (&result["ttlMs"], &result["cacheScope"]);
                // What one client is shown is not for all.
                let expected = (if kept { 1000 } else { 0 }, "private");
                assert_eq!(
                    fields,
                    (&json!(expected.0), &json!(expected.1)),
                    "{pair:?} {method}"
                );
            }
        }
        if let AnyClient::Modern(client) = &meeting.client {
            let hello = client.ask("server/discover", json!({})).await["result"].clone();
            assert_eq!(hello["resultType"], "complete");
            assert!(hello["capabilities"]["tools"].is_object());
            assert_eq!(
                hello["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
                "scripted"
            );
            assert!(
                hello["supportedVersions"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(MODERN))
            );
            assert!(
                hello["ttlMs"].is_u64() && hello["cacheScope"].is_string(),
                "{hello}"
            );
        } else if let AnyClient::Legacy(session) = &meeting.client {
            let hello = &session.initialized["result"];
            assert_eq!(hello["protocolVersion"], LEGACY);
            assert_eq!(hello["serverInfo"]["name"], "scripted");
            assert!(hello["capabilities"]["tools"].is_object());
            for member in ["resultType", "ttlMs", "cacheScope", "supportedVersions"] {
                assert!(hello.get(member).is_none(), "{pair:?}: {hello}");
            }
        }
    }
}

#[tokio::test]
async fn requests_have_the_fields_of_the_server_s_era() {
    for pair in pairs(|_| true) {
        let script = acting(pair, |call| {
            call.result(said("done"));
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let mut params = act();
        params["_meta"] = json!({ "traceparent": "00-1", "vendor.example/k": [1] });
        meeting.client.ask("tools/call", params).await;
        let call = meeting.server.sees_of("tools/call", 1).await.remove(0);
        let meta = &call.message["params"]["_meta"];
        assert_eq!(meta["vendor.example/k"], json!([1]), "{pair:?}");
        assert_eq!(meta["traceparent"], "00-1", "{pair:?}");
        let key = |name: &str| meta.get(format!("io.modelcontextprotocol/{name}")).cloned();
        if pair.modern_server {
            assert_eq!(key("protocolVersion"), Some(json!(MODERN)), "{pair:?}");
            assert_eq!(key("clientCapabilities"), Some(everything()), "{pair:?}");
            let name = if pair.modern_client {
                "modern-client"
            } else {
                "legacy-client"
            };
            assert_eq!(key("clientInfo").unwrap()["name"], name);
        } else {
            for name in [
                "protocolVersion",
                "clientCapabilities",
                "clientInfo",
                "logLevel",
            ] {
                assert_eq!(key(name), None, "{pair:?}: {meta}");
            }
            let hello = meeting
                .server
                .sees_of("initialize", 1)
                .await
                .remove(0)
                .message;
            assert_eq!(hello["params"]["capabilities"], everything(), "{pair:?}");
        }
        if !pair.over_stdio {
            let header = |name: &str| {
                call.headers
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let version = if pair.modern_server { MODERN } else { LEGACY };
            assert_eq!(
                header("mcp-protocol-version").as_deref(),
                Some(version),
                "{pair:?}"
            );
            let mirrored = pair.modern_server.then_some("tools/call");
            assert_eq!(header("mcp-method").as_deref(), mirrored, "{pair:?}");
            assert_eq!(
                header("mcp-name").as_deref(),
                pair.modern_server.then_some("act")
            );
            assert_eq!(
                header("mcp-session-id").is_some(),
                !pair.modern_server,
                "{pair:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_missing_resource_has_the_code_of_the_client_s_era() {
    for pair in pairs(|_| true) {
        let script = Script::of(pair.modern_server).on("resources/read", move |call| {
            let code = if pair.modern_server { -32602 } else { -32002 };
            call.error(
                code,
                "Resource not found",
                json!({ "uri": call.params()["uri"] }),
            );
            ready(())
        });
        let meeting = Meeting::of(pair, script).await;
        let answer = meeting
            .client
            .ask("resources/read", json!({ "uri": "no:where" }))
            .await;
        let code = if pair.modern_client { -32602 } else { -32002 };
        assert_eq!(answer["error"]["code"], code, "{pair:?}: {answer}");
        assert_eq!(answer["error"]["data"]["uri"], "no:where", "{pair:?}");
    }
}

#[tokio::test]
async fn structured_content_that_is_no_object() {
    let array = json!({ "type": "array", "items": { "type": "integer" } });
    for pair in pairs(|pair| pair.modern_server) {
        let tool = json!({
            "name": "act", "inputSchema": { "type": "object" }, "outputSchema": array,
        });
        let script = Script::of(true)
            .result("tools/list", json!({ "tools": [tool] }))
            .on("tools/call", |call: Call| {
                let mut result = said("[1,2]");
                result["structuredContent"] = json!([1, 2]);
                call.result(result);
                ready(())
            });
        let meeting = Meeting::of(pair, script).await;
        let listed = meeting.client.ask("tools/list", json!({})).await;
        assert_eq!(names(&listed, "tools", "name"), ["act"]);
        let schema = listed["result"]["tools"][0].get("outputSchema");
        assert_eq!(schema, pair.modern_client.then_some(&array), "{pair:?}");
        let called = meeting.client.call("act", json!({})).await;
        assert_eq!(text(&called), "[1,2]");
        let content = called["result"].get("structuredContent");
        assert_eq!(
            content,
            pair.modern_client.then_some(&json!([1, 2])),
            "{pair:?}"
        );
    }
}

#[tokio::test]
async fn a_server_s_ping_is_answered_by_the_gateway() {
    for pair in pairs(|pair| !pair.modern_server) {
        let script = acting(pair, |call| async move {
            let answer = call.ask("ping", json!({})).await;
            call.result(said(answer["result"].to_string()));
        });
        let meeting = Meeting::by(pair, script, json!({}), "").await;
        let all = messages(meeting.begin(1).await).await;
        assert_eq!((all.len(), text(&all[0])), (1, "{}"), "{pair:?}");
    }
    let script = Script::of(true);
    let meeting = Meeting::of(pairs(|pair| !pair.modern_client)[0], script).await;
    assert_eq!(
        meeting.client.ask("ping", json!({})).await["result"],
        json!({})
    );
    assert!(meeting.server.seen("ping").is_empty());
}

#[tokio::test]
async fn errors_of_one_era_are_not_shown_to_the_other() {
    for pair in pairs(|pair| pair.modern_server && !pair.modern_client) {
        for (code, expected) in [
            (-32020, -32603),
            (-32021, -32602),
            (-32022, -32603),
            (-5, -5),
        ] {
            let script = acting(pair, move |call| {
                let data = json!({ "requiredCapabilities": { "sampling": {} } });
                call.error(code, "no", data);
                ready(())
            });
            let meeting = Meeting::of(pair, script).await;
            let answer = meeting.begin(1).await;
            assert_eq!(answer.status.as_u16(), 200);
            let answer = answer.message().await.unwrap();
            assert_eq!(answer["error"]["code"], expected, "{pair:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn two_clients_with_equal_ids_and_tokens_stay_apart() {
    for pair in pairs(|pair| pair.over_stdio) {
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let script = acting(pair, move |call| {
            let both = Arc::clone(&both);
            async move {
                both.wait().await;
                let token = call.params()["_meta"]["progressToken"].clone();
                let who = call.params()["arguments"]["who"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                let params = json!({ "progressToken": token, "progress": 1, "message": who });
                call.notify("notifications/progress", params);
                both.wait().await;
                call.result(said(who));
            }
        });
        let meeting = Meeting::of(pair, script).await;
        let url = meeting.gateway.one("it");
        let other = AnyClient::at(&url, pair.modern_client, everything()).await;
        let call = async |client: &AnyClient, who: &str| {
            let params = json!({
                "name": "act", "arguments": { "who": who }, "_meta": { "progressToken": 1 },
            });
            messages(client.send(1, "tools/call", params).await).await
        };
        let (left, right) = tokio::join!(call(&meeting.client, "left"), call(&other, "right"));
        for (all, who) in [(left, "left"), (right, "right")] {
            assert_eq!(all.len(), 2, "{pair:?}: {all:?}");
            assert_eq!(all[0]["params"]["message"], who, "{pair:?}");
            assert_eq!(text(&all[1]), who, "{pair:?}");
        }
    }
}

#[tokio::test]
async fn what_a_modern_server_may_not_do_is_not_passed_on() {
    // A request of its own, on the stream of a call.
    for pair in pairs(|pair| pair.modern_server) {
        let script = acting(pair, |call| async move {
            let asks = async {
                call.ask("roots/list", json!({})).await;
                pending::<()>().await;
            };
            let answers = async {
                tokio::task::yield_now().await;
                call.result(said("done"));
            };
            tokio::select! {
                biased;
                () = asks => {}
                () = answers => {}
            }
        });
        let meeting = Meeting::of(pair, script).await;
        let all = messages(meeting.begin(1).await).await;
        assert!(
            all.iter().all(|message| message["method"] != "roots/list"),
            "{pair:?}: {all:?}"
        );
        assert_eq!(all.len(), 1);
    }
}

#[tokio::test]
async fn older_versions_are_kept_to() {
    for version in ["2025-06-18", "2025-03-26"] {
        let pair = Pair {
            modern_client: false,
            modern_server: true,
            over_stdio: false,
        };
        let meeting = Meeting::of(pair, Script::of(true).tools(&["act"])).await;
        let url = meeting.gateway.one("it");
        let session = Session::open_as(&url, version, json!({})).await;
        assert_eq!(session.initialized["result"]["protocolVersion"], version);
        let listed = session.ask("tools/list", json!({})).await;
        assert_eq!(names(&listed, "tools", "name"), ["act"]);
    }
    let meeting = Meeting::of(pairs(|_| true)[0], Script::of(true)).await;
    let unknown = Session::open_as(&meeting.gateway.one("it"), "1999-01-01", json!({})).await;
    assert_eq!(unknown.initialized["result"]["protocolVersion"], LEGACY);
    let client = Modern::at(&meeting.gateway.one("it"));
    let removed = client
        .ask("logging/setLevel", json!({ "level": "info" }))
        .await;
    assert_eq!(removed["error"]["code"], -32601);
}
