//! Questions for names.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use portcullis_egress::{Allowance, Kind, Reason, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::door_support::{Guarded, PATIENCE, rules};
use crate::support::Names;

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn exchange(at: SocketAddr, question: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(question, at).await.unwrap();
    let mut buffer = [0; 2048];
    let receiving = socket.recv_from(&mut buffer);
    let (size, _) = tokio::time::timeout(PATIENCE, receiving)
        .await
        .unwrap()
        .unwrap();
    Message::from_vec(&buffer[..size]).unwrap()
}

fn read(answer: &Message) -> (ResponseCode, Vec<String>) {
    assert_eq!(answer.metadata.id, 7);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    let addresses = answer.answers.iter().map(|it| match &it.data {
        RData::A(address) => address.to_string(),
        other => panic!("{other:?}"),
    });
    (answer.metadata.response_code, addresses.collect())
}

/// The answer to a question for a name.
pub(crate) async fn ask(
    at: SocketAddr,
    name: &str,
    kind: RecordType,
) -> (ResponseCode, Vec<String>) {
    let bytes = question(name, kind).to_vec().unwrap();
    read(&exchange(at, &bytes).await)
}

#[tokio::test]
async fn an_allowed_name_has_an_address_of_its_own_that_stays() {
    let names = Names::new(&[("api.test", &[&["192.0.2.1"]])]);
    let texts = [
        "api.test",
        "http://other.test:8080",
        "*.wild.test",
        "10.0.0.0/8",
    ];
    let guarded = Guarded::start(rules(&texts), names.resolver());
    let at = guarded.names_udp;
    for (name, address) in [
        ("api.test.", "127.1.0.1"),
        ("API.Test.", "127.1.0.1"),
        ("other.test.", "127.1.0.2"),
        ("a.wild.test.", "127.1.0.3"),
        ("b.a.wild.test.", "127.1.0.4"),
        ("api.test.", "127.1.0.1"),
    ] {
        let (code, addresses) = ask(at, name, RecordType::A).await;
        assert_eq!(
            (code, addresses),
            (ResponseCode::NoError, vec![address.to_owned()]),
            "{name}"
        );
    }
    // It exists, and has nothing else: so it is asked for by IPv4, and hides no name from TLS.
    for kind in [
        RecordType::AAAA,
        RecordType::HTTPS,
        RecordType::SVCB,
        RecordType::TXT,
        RecordType::MX,
        RecordType::CNAME,
        RecordType::ANY,
    ] {
        let answer = ask(at, "api.test.", kind).await;
        assert_eq!(answer, (ResponseCode::NoError, Vec::new()), "{kind}");
    }
    assert_eq!(names.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_other_name_exists() {
    let names = Names::new(&[]);
    let mut guarded = Guarded::start(rules(&["api.test", "*.wild.test"]), names.resolver());
    for name in [
        "evil.test.",
        "wild.test.",
        "api.test.evil.test.",
        "localhost.",
        "metadata.google.internal.",
        "1.0.0.127.in-addr.arpa.",
        "test.",
        ".",
        "a_b.wild.test.",
        "xn--a.wild.test.",
    ] {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::TXT] {
            let (code, addresses) = ask(guarded.names_udp, name, kind).await;
            assert_eq!(
                (code, addresses.len()),
                (ResponseCode::NXDomain, 0),
                "{name}"
            );
            let record = guarded.record().await;
            assert_eq!(
                (record.kind, record.verdict),
                (Kind::Lookup, Verdict::Denied)
            );
            assert_eq!(record.reason, Some(Reason::Host));
            assert_eq!(record.host.as_deref(), name.strip_suffix('.'));
        }
    }
    // Labels may hold anything, also what looks like several.
    for labels in [
        [&b"api.test"[..], b""],
        [b"evil\0.api", b"test"],
        [b"evil.test\0", b"api.test"],
        [b"a.wild.test", b""],
        [b"a.wild", b"test"],
        [b"a\xff.wild", b"test"],
    ] {
        let labels = labels.into_iter().filter(|label| !label.is_empty());
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        let name = Name::from_labels(labels).unwrap();
        message.add_query(Query::query(name, RecordType::A));
        let answer = exchange(guarded.names_udp, &message.to_vec().unwrap()).await;
        assert_eq!(read(&answer).0, ResponseCode::NXDomain, "{message:?}");
    }
}

#[tokio::test]
async fn what_is_said_in_names_reaches_nobody() {
    let names = Names::new(&[]);
    let mut guarded = Guarded::start(rules(&["api.test", "*.wild.test"]), names.resolver());
    for count in 0..300 {
        let data = format!("{:0>60}.{:0>60}", count, count * 7);
        for parent in ["evil.test", "api.test"] {
            let (code, _) = ask(
                guarded.names_udp,
                &format!("{data}.{parent}."),
                RecordType::A,
            )
            .await;
            assert_eq!(code, ResponseCode::NXDomain);
        }
        // Allowed names are a lot, and still nobody is asked.
        let (code, _) = ask(
            guarded.names_udp,
            &format!("{data}.wild.test."),
            RecordType::A,
        )
        .await;
        assert_eq!(code, ResponseCode::NoError);
    }
    assert_eq!(names.asked.load(Ordering::SeqCst), 0);
    // Nor is every one of them worth a record.
    for _ in 0..100 {
        assert_eq!(guarded.record().await.kind, Kind::Lookup);
    }
    let denied = guarded.connect("evil.test:443").await;
    assert!(denied.is_err());
    assert_eq!(guarded.record().await.kind, Kind::Connect);
}

#[tokio::test]
async fn addresses_are_given_out_until_there_are_no_more() {
    let guarded = Guarded::start(rules(&["*.wild.test"]), Names::new(&[]).resolver());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(guarded.names_udp).await.unwrap();
    let mut buffer = [0; 2048];
    for count in 1..=4100 {
        let bytes = question(&format!("n{count}.wild.test."), RecordType::A)
            .to_vec()
            .unwrap();
        socket.send(&bytes).await.unwrap();
        let size = socket.recv(&mut buffer).await.unwrap();
        let (code, addresses) = read(&Message::from_vec(&buffer[..size]).unwrap());
        if count <= 4096 {
            let expected = format!("127.1.{}.{}", count / 256, count % 256);
            assert_eq!((code, addresses), (ResponseCode::NoError, vec![expected]));
        } else {
            assert_eq!((code, addresses), (ResponseCode::ServFail, vec![]));
        }
    }
    let (_, addresses) = ask(guarded.names_udp, "n1.wild.test.", RecordType::A).await;
    assert_eq!(addresses, ["127.1.0.1"]);
}

#[tokio::test]
async fn questions_over_tcp_are_answered_one_after_the_other() {
    let guarded = Guarded::start(rules(&["api.test"]), Names::new(&[]).resolver());
    let mut tcp = TcpStream::connect(guarded.names_tcp).await.unwrap();
    for (name, code) in [
        ("api.test.", ResponseCode::NoError),
        ("evil.test.", ResponseCode::NXDomain),
    ] {
        let bytes = question(name, RecordType::A).to_vec().unwrap();
        tcp.write_u16(bytes.len().try_into().unwrap())
            .await
            .unwrap();
        tcp.write_all(&bytes).await.unwrap();
        let size = tokio::time::timeout(PATIENCE, tcp.read_u16())
            .await
            .unwrap()
            .unwrap();
        let mut answer = vec![0; size.into()];
        tcp.read_exact(&mut answer).await.unwrap();
        assert_eq!(read(&Message::from_vec(&answer).unwrap()).0, code);
    }
}

#[tokio::test]
async fn what_is_no_question_harms_nobody() {
    let guarded = Guarded::start(rules(&["api.test"]), Names::new(&[]).resolver());
    let at = guarded.names_udp;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let response = {
        let mut message = question("api.test.", RecordType::A);
        message.metadata.message_type = MessageType::Response;
        message.to_vec().unwrap()
    };
    // A name that points at itself.
    let mut looped = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1];
    for bytes in [&[][..], &[0; 3], &[0xff; 500], &response, &looped] {
        socket.send_to(bytes, at).await.unwrap();
    }
    looped.truncate(12);
    socket.send_to(&looped, at).await.unwrap();
    let mut two = question("api.test.", RecordType::A);
    two.add_query(Query::query(
        Name::from_ascii("api.test.").unwrap(),
        RecordType::A,
    ));
    let answer = exchange(at, &two.to_vec().unwrap()).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
    let mut chaos = Message::new(7, MessageType::Query, OpCode::Query);
    let mut query = Query::query(Name::from_ascii("version.bind.").unwrap(), RecordType::TXT);
    query.set_query_class(DNSClass::CH);
    chaos.add_query(query);
    let answer = exchange(at, &chaos.to_vec().unwrap()).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
    // What is added to a question is nothing to stumble over.
    let mut extended = question("api.test.", RecordType::A);
    extended.set_edns(Edns::new());
    let answer = exchange(at, &extended.to_vec().unwrap()).await;
    assert_eq!(read(&answer).1, ["127.1.0.1"]);
}

#[tokio::test]
async fn a_name_that_is_no_longer_allowed_is_gone() {
    let guarded = Guarded::start(rules(&["a.test", "b.test"]), Names::new(&[]).resolver());
    let at = guarded.names_udp;
    ask(at, "a.test.", RecordType::A).await;
    assert_eq!(ask(at, "b.test.", RecordType::A).await.1, ["127.1.0.2"]);
    guarded.door.replace(Allowance::parse(["b.test"]).unwrap());
    assert_eq!(
        ask(at, "a.test.", RecordType::A).await.0,
        ResponseCode::NXDomain
    );
    assert_eq!(ask(at, "b.test.", RecordType::A).await.1, ["127.1.0.2"]);
}
