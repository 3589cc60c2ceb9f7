//! Allowances that change while connections are open, and doors beside each other.

use portcullis_egress::{Allowance, Caps, Reason, Rule, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::door_support::{Authority, Echo, Guarded, echoes, private, read_all};
use crate::support::Names;

fn names() -> portcullis_egress::Resolver {
    let here: &[&[&str]] = &[&["127.0.0.1"]];
    Names::new(&[("a.test", here), ("b.test", here)]).resolver()
}

fn allowance(rules: Vec<Rule>) -> Allowance {
    Allowance::new(rules, Caps::default())
}

#[tokio::test]
async fn a_new_allowance_is_in_force_at_once() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let (a, b) = (
        format!("tcp://a.test:{port}"),
        format!("tcp://b.test:{port}"),
    );
    let mut guarded = Guarded::start(private(&[&a]), names());
    assert!(guarded.connect(&format!("b.test:{port}")).await.is_err());
    assert_eq!(guarded.denied().await, Reason::Host);
    guarded.door.replace(allowance(private(&[&a, &b])));
    let mut to_a = guarded.connect(&format!("a.test:{port}")).await.unwrap();
    let mut to_b = guarded.connect(&format!("b.test:{port}")).await.unwrap();
    assert!(echoes(&mut to_a, "a").await && echoes(&mut to_b, "b").await);

    // What is gone is cut, and what is not goes on.
    guarded.door.replace(allowance(private(&[&b])));
    assert_eq!(read_all(&mut to_a).await, b"");
    let record = guarded.record().await;
    assert_eq!(
        (record.verdict, record.reason),
        (Verdict::Cut, Some(Reason::Withdrawn))
    );
    assert_eq!(record.host.as_deref(), Some("a.test"));
    assert!(echoes(&mut to_b, "b").await);
    assert!(guarded.connect(&format!("a.test:{port}")).await.is_err());

    guarded.door.replace(Allowance::default());
    assert_eq!(read_all(&mut to_b).await, b"");
    assert_eq!(guarded.door.allowance().rules(), []);
}

#[tokio::test]
async fn a_tunnel_that_was_granted_and_not_yet_used_is_judged_again() {
    let authority = Authority::new(&["a.test"]);
    let echo = Echo::start().await;
    let port = echo.address.port();
    let mut guarded = Guarded::start(private(&[&format!("a.test:{port}")]), names());
    let tcp = guarded.connect(&format!("a.test:{port}")).await.unwrap();
    guarded.door.replace(Allowance::default());
    assert!(authority.hello(tcp, "a.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::Host);
    assert_eq!(echo.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_is_on_its_way_is_cut_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun";
        tcp.write_all(begun).await.unwrap();
        read_all(&mut tcp).await;
    });
    let mut guarded = Guarded::start(private(&[&format!("http://a.test:{port}")]), names());
    let mut tcp = tokio::net::TcpStream::connect(guarded.proxy).await.unwrap();
    let request = format!("GET http://a.test:{port}/ HTTP/1.1\r\nHost: a.test:{port}\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    while !all.ends_with(b"begun") {
        all.push(tcp.read_u8().await.unwrap());
    }
    guarded.door.replace(Allowance::default());
    assert_eq!(read_all(&mut tcp).await, b"");
    let record = guarded.record().await;
    assert_eq!(
        (record.verdict, record.reason),
        (Verdict::Cut, Some(Reason::Withdrawn))
    );
    assert!(record.bytes_in > 5);
}

#[tokio::test]
async fn a_rule_that_reaches_less_far_cuts_what_it_would_not_reach() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let text = format!("tcp://a.test:{port}");
    let mut guarded = Guarded::start(private(&[&text]), names());
    let rule: Rule = text.parse().unwrap();
    for less in [
        rule.clone(),
        rule.clone().private().tools(["fetch"]).unwrap(),
        format!("a.test:{port}").parse::<Rule>().unwrap().private(),
    ] {
        let mut tcp = guarded.connect(&format!("a.test:{port}")).await.unwrap();
        assert!(echoes(&mut tcp, "hello").await);
        guarded.door.replace(allowance(vec![less]));
        // A rule for a tool leaves what there is a little time.
        tokio::time::pause();
        assert_eq!(read_all(&mut tcp).await, b"");
        tokio::time::resume();
        assert_eq!(guarded.record().await.verdict, Verdict::Cut);
        guarded.door.replace(allowance(private(&[&text])));
    }
}

#[tokio::test]
async fn no_moment_of_many_changes_lets_anything_else_out() {
    let allowed = Echo::start().await;
    let other = Echo::start().await;
    let (port, other_port) = (allowed.address.port(), other.address.port());
    let a = format!("tcp://a.test:{port}");
    let b = format!("tcp://b.test:{port}");
    let guarded = Guarded::start(private(&[&a]), names());
    let door = guarded.door.clone();
    let changing = async {
        for turn in 0.. {
            let texts: &[&str] = if turn % 2 == 0 { &[&a, &b] } else { &[&a] };
            door.replace(allowance(private(texts)));
            tokio::task::yield_now().await;
        }
    };
    let trying = async {
        for _ in 0..100 {
            let mut tcp = guarded.connect(&format!("a.test:{port}")).await.unwrap();
            assert!(echoes(&mut tcp, "always").await);
            for host in ["a.test", "b.test", "127.0.0.1"] {
                let denied = guarded.connect(&format!("{host}:{other_port}")).await;
                assert!(denied.is_err());
            }
        }
    };
    tokio::select! {
        () = changing => {}
        () = trying => {}
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn doors_share_nothing() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let (a, b) = (
        format!("tcp://a.test:{port}"),
        format!("tcp://b.test:{port}"),
    );
    let caps = Caps {
        bytes_out_per_minute_max: 5,
        connections_max: 1,
        ..Caps::default()
    };
    let first = Guarded::with_caps(private(&[&a]), caps, names());
    let second = Guarded::with_caps(private(&[&b]), caps, names());
    let mut to_a = first.connect(&format!("a.test:{port}")).await.unwrap();
    let mut to_b = second.connect(&format!("b.test:{port}")).await.unwrap();
    assert!(echoes(&mut to_a, "12345").await && echoes(&mut to_b, "12345").await);
    drop((first, second));
    let first = Guarded::start(private(&[&a]), names());
    let second = Guarded::start(private(&[&b]), names());
    assert!(first.connect(&format!("b.test:{port}")).await.is_err());
    assert!(second.connect(&format!("a.test:{port}")).await.is_err());
    // A call of one is none of the other's.
    let rule: Rule = b.parse().unwrap();
    let rule = rule.private().tools(["fetch"]).unwrap();
    second.door.replace(allowance(vec![rule]));
    let _call = first.door.in_flight().begin("fetch");
    assert!(second.connect(&format!("b.test:{port}")).await.is_err());
    let _call = second.door.in_flight().begin("fetch");
    assert!(second.connect(&format!("b.test:{port}")).await.is_ok());
}

#[tokio::test]
async fn a_door_that_closes_cuts_everything() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let mut guarded = Guarded::start(private(&[&format!("tcp://a.test:{port}")]), names());
    let mut tcp = guarded.connect(&format!("a.test:{port}")).await.unwrap();
    assert!(echoes(&mut tcp, "hello").await);
    guarded.close();
    assert_eq!(read_all(&mut tcp).await, b"");
    let record = guarded.record().await;
    assert_eq!(
        (record.verdict, record.reason),
        (Verdict::Cut, Some(Reason::Closed))
    );
    assert_eq!((record.bytes_out, record.bytes_in), (5, 5));
}
