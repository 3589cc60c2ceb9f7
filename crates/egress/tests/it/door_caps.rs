//! How much a server may move.

use std::sync::atomic::Ordering;

use portcullis_egress::{Caps, Reason, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::door_support::{Echo, Guarded, ask_at, connect_at, echoes, private, read_all};
use crate::support::{Names, Server};

fn guarded(caps: Caps, port: u16) -> Guarded {
    let names = Names::new(&[("api.test", &[&["127.0.0.1"]])]);
    let texts = [
        format!("tcp://api.test:{port}"),
        format!("http://api.test:{port}"),
    ];
    Guarded::with_caps(private(&[&texts[0], &texts[1]]), caps, names.resolver())
}

/// Sends much through a tunnel, which is cut, and not one byte more arrives than may.
async fn check(caps: Caps, expected: Reason, out_max: usize) {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let mut guarded = guarded(caps, port);
    let mut tcp = guarded.connect(&format!("api.test:{port}")).await.unwrap();
    let (mut reader, mut writer) = tcp.split();
    let writing = async {
        for _ in 0..1000 {
            if writer.write_all(&[7; 1000]).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(writing, read_all(&mut reader));
    let record = guarded.record().await;
    assert_eq!(
        (record.verdict, record.reason),
        (Verdict::Cut, Some(expected))
    );
    assert!(record.bytes_out <= caps.bytes_out_per_connection_max);
    assert!(record.bytes_in <= caps.bytes_in_per_connection_max);
    assert!(echo.bytes.load(Ordering::SeqCst) <= out_max);
}

#[tokio::test]
async fn a_connection_that_moves_too_much_is_cut() {
    let all = Caps::default();
    let out = Caps {
        bytes_out_per_connection_max: 10_001,
        ..all
    };
    check(out, Reason::ConnectionBytes, 10_001).await;
    let out = Caps {
        bytes_out_per_minute_max: 20_000,
        ..all
    };
    check(out, Reason::MinuteBytes, 20_000).await;
    let back = Caps {
        bytes_in_per_connection_max: 5_000,
        ..all
    };
    check(back, Reason::ConnectionBytes, 1_000_000).await;
    let back = Caps {
        bytes_in_per_minute_max: 5_000,
        ..all
    };
    check(back, Reason::MinuteBytes, 1_000_000).await;
}

#[tokio::test]
async fn all_connections_of_a_minute_count() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let caps = Caps {
        bytes_out_per_minute_max: 10,
        ..Caps::default()
    };
    let mut guarded = guarded(caps, port);
    let place = format!("api.test:{port}");
    for _ in 0..2 {
        let mut tcp = guarded.connect(&place).await.unwrap();
        assert!(echoes(&mut tcp, "12345").await);
        drop(tcp);
        assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
    }
    let mut tcp = guarded.connect(&place).await.unwrap();
    assert!(!echoes(&mut tcp, "6").await);
    let record = guarded.record().await;
    assert_eq!(record.reason, Some(Reason::MinuteBytes));
    assert_eq!(record.bytes_out, 0);
    assert_eq!(echo.bytes.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn a_plain_request_counts_too() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let caps = Caps {
        bytes_out_per_connection_max: 200,
        ..Caps::default()
    };
    let mut guarded = guarded(caps, port);
    let head = format!("POST http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\n");
    let text = guarded
        .ask(&format!("{head}Content-Length: 2\r\n\r\nhi"))
        .await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
    let body = "x".repeat(1000);
    let text = guarded
        .ask(&format!("{head}Content-Length: 1000\r\n\r\n{body}"))
        .await;
    assert!(!text.starts_with("HTTP/1.1 200 "), "{text}");
    let record = guarded.record().await;
    assert_eq!(
        (record.verdict, record.reason),
        (Verdict::Cut, Some(Reason::ConnectionBytes))
    );
    assert!(record.bytes_out <= 200, "{record:?}");
}

#[tokio::test]
async fn connections_at_once_are_bounded() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let caps = Caps {
        connections_max: 3,
        ..Caps::default()
    };
    let mut guarded = guarded(caps, port);
    let place = format!("api.test:{port}");
    let mut first = guarded.connect(&place).await.unwrap();
    // Those count that say nothing.
    let silent = TcpStream::connect(guarded.proxy).await.unwrap();
    let other = TcpStream::connect(guarded.https).await.unwrap();
    while guarded.connect(&place).await.is_ok() {}
    assert_eq!(guarded.denied().await, Reason::Crowded);
    assert_eq!(ask_at(guarded.http, b"GET / HTTP/1.1\r\n\r\n").await, "");
    assert_eq!(guarded.denied().await, Reason::Crowded);
    assert!(echoes(&mut first, "still there").await);
    drop((silent, other));
    for _ in 0..2 {
        let reason = guarded.denied().await;
        assert!(
            matches!(reason, Reason::Malformed | Reason::Closed),
            "{reason:?}"
        );
    }
    let mut again = connect_at(guarded.proxy, &place).await.unwrap();
    assert!(echoes(&mut again, "there again").await);
}

#[tokio::test]
async fn connections_of_a_minute_are_bounded_and_so_are_their_records() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let caps = Caps {
        connections_per_minute_max: 5,
        ..Caps::default()
    };
    let mut guarded = guarded(caps, port);
    for _ in 0..50 {
        assert!(guarded.connect("evil.test:443").await.is_err());
    }
    for _ in 0..5 {
        assert_eq!(guarded.denied().await, Reason::Host);
    }
    assert_eq!(guarded.denied().await, Reason::Crowded);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    tokio::time::resume();
    // The next record is of the next minute: there was none in between.
    let mut tcp = guarded.connect(&format!("api.test:{port}")).await.unwrap();
    assert!(echoes(&mut tcp, "hello").await);
    drop(tcp);
    assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
}

#[tokio::test]
async fn who_asks_for_nothing_is_not_waited_for() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let mut guarded = guarded(Caps::default(), port);
    let rule = private(&[&format!("api.test:{port}")]);
    guarded
        .door
        .replace(portcullis_egress::Allowance::new(rule, Caps::default()));
    let mut slow = TcpStream::connect(guarded.proxy).await.unwrap();
    slow.write_all(b"CONNECT api.test").await.unwrap();
    let mut captured = TcpStream::connect(guarded.https).await.unwrap();
    captured.write_all(&[22, 3, 1]).await.unwrap();
    let mut tunnel = guarded.connect(&format!("api.test:{port}")).await.unwrap();
    tokio::time::pause();
    for tcp in [&mut slow, &mut captured, &mut tunnel] {
        read_within(tcp, 11).await;
    }
    let mut reasons = [
        guarded.denied().await,
        guarded.denied().await,
        guarded.denied().await,
    ];
    reasons.sort_unstable();
    assert_eq!(reasons, [Reason::Malformed, Reason::Idle, Reason::Idle]);
    assert_eq!(echo.connections(), 0);
}

/// Waits for the other side to close, which it does in so many seconds.
async fn read_within(tcp: &mut TcpStream, seconds: u64) {
    let mut all = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(tcp, &mut all);
    let within = std::time::Duration::from_secs(seconds);
    tokio::time::timeout(within, reading).await.unwrap().ok();
}
