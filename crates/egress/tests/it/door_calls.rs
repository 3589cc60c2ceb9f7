//! Rules that are for the calls of some tools only.

use portcullis_egress::{InFlight, Reason, Rule, Verdict};

use crate::door_support::{Echo, Guarded, echoes, private, read_all};
use crate::support::{Names, Server};

fn gated(texts: &[&str], tools: &[&str]) -> Vec<Rule> {
    let rules = private(texts).into_iter();
    rules
        .map(|rule| rule.tools(tools.iter().copied()).unwrap())
        .collect()
}

fn names() -> portcullis_egress::Resolver {
    Names::new(&[("api.test", &[&["127.0.0.1"]])]).resolver()
}

#[tokio::test]
async fn a_rule_for_a_tool_opens_while_the_tool_is_called() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let rules = gated(&[&format!("http://api.test:{port}")], &["fetch", "search"]);
    let mut guarded = Guarded::start(rules, names());
    let calls = guarded.door.in_flight();
    let request = format!("GET http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n");
    let mut check = async |tool: Option<&str>| {
        let text = guarded.ask(&request).await;
        let record = guarded.record().await;
        assert_eq!(record.tool.as_deref(), tool);
        match record.verdict {
            Verdict::Allowed => assert!(text.starts_with("HTTP/1.1 200 "), "{text}"),
            _ => assert_eq!(record.reason, Some(Reason::NoCall)),
        }
        record.verdict
    };
    assert_eq!(check(None).await, Verdict::Denied);
    let list = calls.begin("list");
    assert_eq!(check(Some("list")).await, Verdict::Denied);
    let search = calls.begin("search");
    assert_eq!(check(Some("search")).await, Verdict::Allowed);
    let again = calls.clone().begin("search");
    drop(search);
    assert_eq!(check(Some("search")).await, Verdict::Allowed);
    drop(again);
    assert_eq!(check(Some("list")).await, Verdict::Denied);
    drop(list);
    assert_eq!(check(None).await, Verdict::Denied);
    assert_eq!(server.requests(), 2);
}

/// Lets the clock run, which only runs when all else waits.
async fn pass(seconds: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
}

/// A tunnel for a call of `fetch`, which is in flight.
async fn tunnel() -> (
    Guarded,
    Echo,
    InFlight,
    tokio::net::TcpStream,
    portcullis_egress::Call,
) {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let rules = gated(&[&format!("tcp://api.test:{port}")], &["fetch"]);
    let guarded = Guarded::start(rules, names());
    let calls = guarded.door.in_flight();
    let call = calls.begin("fetch");
    let mut tcp = guarded.connect(&format!("api.test:{port}")).await.unwrap();
    assert!(echoes(&mut tcp, "hello").await);
    tokio::time::pause();
    (guarded, echo, calls, tcp, call)
}

#[tokio::test]
async fn a_tunnel_ends_a_little_after_the_last_call() {
    let (mut guarded, _echo, calls, mut tcp, call) = tunnel().await;
    let second = calls.begin("fetch");
    drop(call);
    pass(60).await;
    assert!(echoes(&mut tcp, "another call is in flight").await);
    drop(second);
    pass(4).await;
    assert!(echoes(&mut tcp, "what was under way").await);
    // Calls of other tools do not keep it.
    for _ in 0..3 {
        drop(calls.begin("list"));
        pass(1).await;
    }
    assert_eq!(read_all(&mut tcp).await, b"");
    let record = guarded.record().await;
    assert_eq!(
        (record.verdict, record.reason),
        (Verdict::Cut, Some(Reason::CallEnded))
    );
    assert_eq!(record.tool.as_deref(), Some("fetch"));
}

#[tokio::test]
async fn a_tunnel_goes_on_for_a_call_that_begins_in_time() {
    let (_guarded, _echo, calls, mut tcp, call) = tunnel().await;
    drop(call);
    pass(3).await;
    let _next = calls.begin("fetch");
    pass(60).await;
    assert!(echoes(&mut tcp, "still there").await);
}

#[tokio::test]
async fn a_tunnel_on_which_nothing_moves_is_cut() {
    let (mut guarded, _echo, _calls, mut tcp, _call) = tunnel().await;
    pass(14 * 60).await;
    assert!(echoes(&mut tcp, "something moves").await);
    pass(14 * 60).await;
    assert!(echoes(&mut tcp, "and again").await);
    pass(31 * 60).await;
    assert_eq!(read_all(&mut tcp).await, b"");
    assert_eq!(guarded.record().await.reason, Some(Reason::Idle));
}
