//! Local servers.

use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::{Era, Outcome};
use portcullis_proxy::upstream::{Event, State, Unsolicited, UpstreamError};

use crate::support::{
    ask, at, call, connect, error_code, local, notified, result, run, soon, start, try_connect,
};

#[tokio::test]
async fn concurrent_calls_get_their_own_answers() {
    let (connection, _inbox) = connect(&local("legacy", |_| {})).await;
    let calls = (0..200).map(|n| {
        let mut call = call("test/echo");
        call.params = Some(Bytes::from(format!(r#"{{"n":{n}}}"#)));
        let connection = &connection;
        async move {
            assert_eq!(
                result(ask(connection, call).await),
                format!(r#"{{"n":{n}}}"#)
            );
        }
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn params_with_line_breaks_stay_one_message() {
    let (connection, _inbox) = connect(&local("legacy", |_| {})).await;
    let mut call = call("test/echo");
    call.params = Some(Bytes::from_static(b"{\r\n  \"a\":\n 1\n}"));
    assert_eq!(
        at(result(ask(&connection, call).await).as_bytes(), &["a"]),
        "1"
    );
}

#[tokio::test]
async fn dropping_an_exchange_tells_the_server_its_id() {
    let (connection, mut inbox) = connect(&local("legacy", |_| {})).await;
    let exchange = start(&connection, call("test/never")).await;
    drop(exchange);
    let params = notified(&mut inbox, "test/cancelled").await.unwrap();
    // Two requests of the handshake came before.
    assert_eq!(at(&params, &["requestId"]), "3");
    assert_eq!(result(ask(&connection, call("test/echo")).await), "{}");
}

#[tokio::test]
async fn progress_and_logs_reach_their_exchange_and_the_rest_the_inbox() {
    let (connection, mut inbox) = connect(&local("legacy", |_| {})).await;
    let other = start(&connection, call("test/never")).await;
    let mut call = call("test/progress");
    call.progress = true;
    let (events, answer) = run(start(&connection, call).await).await;
    result(answer);
    let [
        Event::Progress(first),
        Event::Progress(second),
        Event::Notification { method, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(&first[..], br#"{"progress":1}"#);
    assert_eq!(&second[..], br#"{"progress":2}"#);
    assert_eq!(&**method, "notifications/message");
    notified(&mut inbox, "notifications/tools/list_changed").await;
    drop(other);
}

#[tokio::test]
async fn a_server_asks_the_latest_exchange_and_pings_us() {
    let (connection, _inbox) = connect(&local("legacy", |_| {})).await;
    let _older = start(&connection, call("test/never")).await;
    assert_eq!(result(ask(&connection, call("test/ping")).await), "{}");
    let mut exchange = start(&connection, call("test/ask")).await;
    let Event::Ask(question) = soon(exchange.next()).await else {
        panic!("a question")
    };
    assert_eq!(&*question.method, "roots/list");
    let roots = Outcome::Result(Bytes::from_static(br#"{"roots":[]}"#));
    soon(exchange.answer(&question, &roots)).await.unwrap();
    assert_eq!(result(run(exchange).await.1), r#"{"roots":[]}"#);
}

#[tokio::test]
async fn garbage_lines_are_dropped_until_there_are_too_many() {
    let upstream = local("legacy", |_| {});
    let (connection, mut inbox) = connect(&upstream).await;
    for _ in 0..10 {
        assert_eq!(result(ask(&connection, call("test/garbage")).await), "{}");
    }
    let answer = ask(&connection, call("test/duplicate")).await;
    assert!(
        matches!(answer, Err(UpstreamError::Garbage(_))),
        "{answer:?}"
    );
    let answer = ask(&connection, call("test/flood")).await;
    assert!(matches!(answer, Err(UpstreamError::Closed)), "{answer:?}");
    assert!(connection.is_closed());
    assert!(matches!(
        soon(inbox.recv()).await,
        Some(Unsolicited::Closed)
    ));
    assert!(matches!(upstream.state(), State::Down { .. }));
}

#[tokio::test]
async fn a_server_that_only_prints_is_down() {
    let upstream = local("babble", |_| {});
    let error = try_connect(&upstream).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Exited(_)), "{error:?}");
}

#[tokio::test]
async fn an_oversize_answer_fails_and_the_next_one_does_not() {
    let (connection, _inbox) = connect(&local("legacy", |_| {})).await;
    let answer = ask(&connection, call("test/oversize")).await;
    assert!(matches!(answer, Err(UpstreamError::TooLarge)), "{answer:?}");
    assert_eq!(result(ask(&connection, call("test/echo")).await), "{}");
}

#[tokio::test]
async fn a_flood_of_stderr_holds_nothing_up() {
    let (connection, _inbox) = connect(&local("legacy", |_| {})).await;
    assert_eq!(result(ask(&connection, call("test/stderr")).await), "{}");
}

#[tokio::test]
async fn a_server_sees_only_the_environment_it_is_given() {
    let upstream = local("legacy", |server| {
        server.env.insert("GIVEN".into(), "1".into());
    });
    let (connection, _inbox) = connect(&upstream).await;
    assert_eq!(
        result(ask(&connection, call("test/environment")).await),
        r#"["GIVEN"]"#
    );
}

#[tokio::test]
async fn a_dead_child_is_down_for_a_pause_and_then_comes_back() {
    let upstream = local("legacy", |_| {});
    assert_eq!(upstream.state(), State::Idle);
    let (connection, mut inbox) = connect(&upstream).await;
    assert_eq!(upstream.state(), State::Up);
    let other = start(&connection, call("test/never")).await;
    let answer = ask(&connection, call("test/die")).await;
    assert!(matches!(answer, Err(UpstreamError::Closed)), "{answer:?}");
    assert!(matches!(run(other).await.1, Err(UpstreamError::Closed)));
    assert!(matches!(
        soon(inbox.recv()).await,
        Some(Unsolicited::Closed)
    ));
    soon(connection.closed()).await;
    let State::Down { reason, .. } = upstream.state() else {
        panic!("down")
    };
    assert!(reason.contains("exit code 3"), "{reason}");
    let Err(UpstreamError::Down { retry_after, .. }) = try_connect(&upstream).await else {
        panic!("at once")
    };
    assert!(retry_after <= Duration::from_millis(150));
    let (connection, _inbox) = soon(async {
        loop {
            match try_connect(&upstream).await {
                Ok(connected) => return connected,
                Err(UpstreamError::Down { retry_after, .. }) => {
                    tokio::time::sleep(retry_after).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    assert_eq!(result(ask(&connection, call("test/echo")).await), "{}");
    assert_eq!(upstream.state(), State::Up);
    soon(connection.close()).await;
    assert_eq!(upstream.state(), State::Idle);
}

#[tokio::test]
async fn a_child_that_ends_or_refuses_at_the_start_is_down() {
    for (mode, words) in [
        ("ends", "exit code 7"),
        ("refuses", "refused the handshake"),
    ] {
        let upstream = local(mode, |_| {});
        let error = try_connect(&upstream).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        let error = try_connect(&upstream).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Down { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_missing_program_is_down() {
    let upstream = crate::support::upstream(|server| {
        server.command = vec!["/nowhere/at-all".into()];
    });
    let error = try_connect(&upstream).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Spawn(_)), "{error}");
}

#[tokio::test]
async fn silence_is_a_timeout_and_cancels() {
    let upstream = local("legacy", |server| server.timeout = "300ms".parse().unwrap());
    let (connection, mut inbox) = connect(&upstream).await;
    let answer = ask(&connection, call("test/never")).await;
    assert!(matches!(answer, Err(UpstreamError::Timeout)), "{answer:?}");
    notified(&mut inbox, "test/cancelled").await;
}

#[tokio::test]
async fn a_server_that_never_reads_is_given_up() {
    let upstream = local("deaf", |server| {
        server.timeout = "300ms".parse().unwrap();
        server.probe_timeout = "100ms".parse().unwrap();
    });
    let error = try_connect(&upstream).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Timeout), "{error}");
    assert!(matches!(upstream.state(), State::Down { .. }));
}

#[tokio::test]
async fn more_calls_than_allowed_wait_and_are_then_refused() {
    let upstream = local("legacy", |server| {
        server.concurrency_max = 1;
        server.timeout = "300ms".parse().unwrap();
        server.timeout_max = "20s".parse().unwrap();
    });
    let (connection, _inbox) = connect(&upstream).await;
    let first = start(&connection, call("test/never")).await;
    let refused = soon(connection.exchange(call("test/echo"))).await;
    assert!(matches!(refused, Err(UpstreamError::Busy)));
    drop(first);
    assert_eq!(result(ask(&connection, call("test/echo")).await), "{}");
}

#[tokio::test]
async fn after_its_last_event_an_exchange_says_that_it_is_closed() {
    let (connection, _inbox) = connect(&local("legacy", |_| {})).await;
    let mut exchange = start(&connection, call("test/unknown")).await;
    let Event::Done(answer) = soon(exchange.next()).await else {
        panic!("an answer")
    };
    assert_eq!(error_code(answer), -32601);
    for _ in 0..2 {
        let event = soon(exchange.next()).await;
        assert!(matches!(event, Event::Done(Err(UpstreamError::Closed))));
    }
}

#[tokio::test]
async fn a_modern_server_is_told_who_asks_and_may_not_ask_back() {
    let (connection, mut inbox) = connect(&local("modern", |_| {})).await;
    let hello = connection.hello();
    assert_eq!(hello.era, Era::Modern);
    assert_eq!(hello.instructions.as_deref(), Some("be kind"));
    assert_eq!(
        hello.server_info.as_deref(),
        Some(&br#"{"name":"peer"}"#[..])
    );
    let echoed = result(ask(&connection, call("test/echo")).await);
    let version = at(
        echoed.as_bytes(),
        &["_meta", "io.modelcontextprotocol/protocolVersion"],
    );
    assert_eq!(version, r#""2026-07-28""#);

    let mut listen = call("subscriptions/listen");
    listen.long_lived = true;
    let mut listening = start(&connection, listen).await;
    for expected in [
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
    ] {
        let Event::Notification { method, .. } = soon(listening.next()).await else {
            panic!("a notification")
        };
        assert_eq!(&*method, expected);
    }
    assert_eq!(
        at(
            result(ask(&connection, call("test/echo")).await).as_bytes(),
            &["x"]
        ),
        ""
    );
    assert!(
        inbox.try_recv().is_err(),
        "the request of the server was dropped"
    );
    drop(listening);
    notified(&mut inbox, "test/cancelled").await;
}
