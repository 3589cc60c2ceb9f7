//! The head of a modern request says what its body says, or the request goes nowhere.

use portcullis_testkit::{Recorder, raw};
use serde_json::json;

use crate::support::{ALICE, BOUND, Gateway, Peer, Setup, conformance, echo};

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const METHOD: (&str, &str) = ("mcp-method", "tools/call");
const NAME: (&str, &str) = ("mcp-name", "echo");
const MISMATCH: i64 = -32020;

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn gateway(recorder: &Recorder) -> Gateway {
    let setup = Setup::new().clients();
    setup.url("one", &recorder.url(), "modern").start().await
}

/// Posts a call of `echo` with these headers; its status, and its error code if it has one.
async fn call(peer: &Peer, headers: &[(&str, &str)]) -> (u16, Option<i64>) {
    let answer = peer
        .post(headers, &raw::modern(1, "tools/call", echo("hello")))
        .await;
    let status = answer.status.as_u16();
    let message = answer.message().await.unwrap();
    assert_eq!(message["id"], 1);
    (status, message["error"]["code"].as_i64())
}

#[tokio::test]
async fn what_differs_is_refused() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(ALICE);
    let versions = [
        "2025-11-25",
        "2099-01-01",
        "2026-07-2",
        "",
        "2026-07-28, 2026-07-28",
    ];
    let methods = [
        "tools/list",
        "TOOLS/CALL",
        "Tools/call",
        "tools/call,tools/call",
        "",
        "tools%2Fcall",
    ];
    let names = [
        "work",
        "Echo",
        "echo ech",
        "",
        "\"echo\"",
        "ec\u{200b}ho",
        // `work`, a sentinel that is cut, in another case, not base64, not UTF-8, in the other alphabet.
        "=?base64?d29yaw==?=",
        "=?base64?ZWNobw==",
        "=?BASE64?ZWNobw==?=",
        "=?base64?ZWNobw?=",
        "=?base64?Z W N o b w = =?=",
        "=?base64?/w==?=",
        "=?base64??=",
        "=?base64?PT9iYXNlNjQ/WldOb2J3PT0/PQ==?=",
        "=?utf-8?B?ZWNobw==?=",
        "%65cho",
    ];
    for version in versions {
        let got = call(&peer, &[("mcp-protocol-version", version), METHOD, NAME]).await;
        assert_eq!(got, (400, Some(MISMATCH)), "{version:?}");
    }
    for method in methods {
        let got = call(&peer, &[VERSION, ("mcp-method", method), NAME]).await;
        assert_eq!(got, (400, Some(MISMATCH)), "{method:?}");
    }
    for name in names {
        let got = call(&peer, &[VERSION, METHOD, ("mcp-name", name)]).await;
        assert_eq!(got, (400, Some(MISMATCH)), "{name:?}");
    }
    for missing in [[METHOD, NAME], [VERSION, NAME], [VERSION, METHOD]] {
        let got = call(&peer, &missing).await;
        assert_eq!(got, (400, Some(MISMATCH)), "{missing:?}");
    }
    for doubled in [VERSION, METHOD, NAME] {
        let got = call(&peer, &[VERSION, METHOD, NAME, doubled]).await;
        assert_eq!(got, (400, Some(MISMATCH)), "{doubled:?} twice");
    }
    for second in [("mcp-method", "tools/list"), ("Mcp-Name", "work")] {
        for headers in [
            [VERSION, METHOD, NAME, second],
            [second, VERSION, METHOD, NAME],
        ] {
            assert_eq!(
                call(&peer, &headers).await,
                (400, Some(MISMATCH)),
                "{headers:?}"
            );
        }
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
}

#[tokio::test]
async fn a_field_that_is_no_text_or_is_folded_is_refused() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let body = raw::modern(1, "tools/call", echo("hello")).to_string();
    let names: [&[u8]; 6] = [
        b"Mcp-Name: \xe9cho",
        b"Mcp-Name: ec\xc3\xa9ho",
        b"Mcp-Name: ec\r\n ho",
        b"Mcp-Name: echo\r\n\twork",
        b"Mcp-Name : echo",
        b"Mcp-Name: echo\0",
    ];
    for name in names {
        let head = format!(
            "POST /servers/one/mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ALICE}\r\n\
             Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\
             MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n",
            gateway.address(),
            body.len()
        );
        let request = [head.as_bytes(), name, b"\r\n\r\n", body.as_bytes()].concat();
        let answer = raw::exchange(gateway.address(), &request, BOUND)
            .await
            .unwrap();
        let shown = String::from_utf8_lossy(&answer);
        let name = String::from_utf8_lossy(name);
        assert!(shown.starts_with("HTTP/1.1 400"), "{name:?}: {shown}");
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
}

#[tokio::test]
async fn what_agrees_is_served_in_every_form() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(ALICE);
    let forms = [
        [VERSION, METHOD, NAME],
        [VERSION, METHOD, ("MCP-NAME", "echo")],
        [VERSION, METHOD, ("mcp-name", "  echo\t")],
        [VERSION, METHOD, ("mcp-name", "=?base64?ZWNobw==?=")],
        [VERSION, ("Mcp-Method", "\ttools/call "), NAME],
    ];
    for headers in &forms {
        assert_eq!(call(&peer, headers).await, (200, None), "{headers:?}");
    }
    let seen = recorder.seen_of("tools/call");
    assert_eq!(seen.len(), forms.len());
    for request in seen {
        // What goes on to the server is written anew, not passed along.
        assert_eq!(request.header("mcp-name"), ["echo"]);
        assert_eq!(request.header("mcp-method"), ["tools/call"]);
        assert_eq!(request.header("mcp-protocol-version"), ["2026-07-28"]);
    }
}

#[tokio::test]
async fn a_version_that_both_name_but_nobody_speaks_is_told() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let mut message = raw::modern(1, "tools/call", echo("hello"));
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let headers = [("mcp-protocol-version", "2099-01-01"), METHOD, NAME];
    let answer = gateway.of(ALICE).post(&headers, &message).await;
    assert_eq!(answer.status, 400);
    let error = answer.message().await.unwrap()["error"].clone();
    assert_eq!(error["code"], -32022);
    assert_eq!(error["data"]["requested"], "2099-01-01");
    assert_eq!(error["data"]["supported"][0], "2026-07-28");
}

#[tokio::test]
async fn a_request_without_its_metadata_is_told_what_lacks() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(ALICE);
    for key in ["protocolVersion", "clientCapabilities", "clientInfo"] {
        let mut message = raw::modern(1, "tools/call", echo("hello"));
        let meta = message["params"]["_meta"].as_object_mut().unwrap();
        meta.remove(&format!("io.modelcontextprotocol/{key}"))
            .unwrap();
        let answer = peer.post(&[VERSION, METHOD, NAME], &message).await;
        let status = answer.status.as_u16();
        let message = answer.message().await.unwrap();
        let got = (status, message["error"]["code"].as_i64());
        let expected = if key == "clientInfo" {
            (200, None)
        } else {
            (400, Some(-32602))
        };
        assert_eq!(got, expected, "{key}: {message}");
    }
}

#[tokio::test]
async fn a_mirrored_argument_is_compared() {
    let server = conformance("modern").await;
    let setup = Setup::new().clients().url("one", server.url(), "modern");
    let gateway = setup.start().await;
    let peer = gateway.of(ALICE);
    let params = |value: Option<&str>| {
        let arguments = value.map_or_else(|| json!({}), |value| json!({ "value": value }));
        json!({ "name": "test_custom_header", "arguments": arguments })
    };
    let bad: [(Headers<'_>, Option<&str>); 8] = [
        (&[], Some("a")),
        (&[("mcp-param-value", "b")], Some("a")),
        (&[("mcp-param-value", "A")], Some("a")),
        (
            &[("mcp-param-value", "a"), ("mcp-param-value", "a")],
            Some("a"),
        ),
        (
            &[("mcp-param-value", "a"), ("Mcp-Param-Value", "b")],
            Some("a"),
        ),
        (&[("mcp-param-value", "=?base64?Yg==?=")], Some("a")),
        (&[("mcp-param-value", "=?base64?YQ?=")], Some("a")),
        (&[("mcp-param-value", "")], None),
    ];
    for (headers, value) in bad {
        let answer = peer
            .request_with(headers, 1, "tools/call", params(value))
            .await;
        let status = answer.status.as_u16();
        let code = answer.message().await.unwrap()["error"]["code"].as_i64();
        assert_eq!((status, code), (400, Some(MISMATCH)), "{headers:?}");
    }
    let good: [(Headers<'_>, &str); 4] = [
        (&[("mcp-param-value", "a")], "a"),
        (&[("mcp-param-value", "=?base64?YQ==?=")], "a"),
        (&[("mcp-param-value", "=?base64?w6k=?=")], "\u{e9}"),
        (
            &[("mcp-param-value", "a"), ("mcp-param-other", "anything")],
            "a",
        ),
    ];
    for (headers, value) in good {
        let answer = peer
            .request_with(headers, 1, "tools/call", params(Some(value)))
            .await;
        let message = answer.message().await.unwrap();
        assert!(message["result"].is_object(), "{headers:?}: {message}");
    }
}
