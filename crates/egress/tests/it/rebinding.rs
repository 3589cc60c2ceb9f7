//! Names that change, mix or hide what they lead to.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use portcullis_egress::{Egress, EgressError, Reach, Reason, Refusal, Resolver, Settings, Verdict};
use tokio::net::UdpSocket;

use crate::door_support::{Echo, Guarded, echoes, private, rules};
use crate::support::{Server, get};

/// A name server whose answers for any name are these, one after the other, the last for good; a text
/// that is no address is an alias, of which the rest are the addresses.
async fn name_server(
    answers: &'static [&'static [&'static str]],
) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked: Arc<AtomicUsize> = Arc::default();
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..size]).unwrap();
            let query = question.queries[0].clone();
            let mut answer =
                Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
            answer.metadata.recursion_available = true;
            answer.add_query(query.clone());
            if query.query_type() == RecordType::A {
                let turn = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                let mut name = query.name().clone();
                for text in answers[turn] {
                    let data = match Ipv4Addr::from_str(text) {
                        Ok(address) => RData::A(A(address)),
                        Err(_alias) => RData::CNAME(CNAME(Name::from_ascii(text).unwrap())),
                    };
                    let alias = match &data {
                        RData::CNAME(CNAME(alias)) => Some(alias.clone()),
                        _ => None,
                    };
                    // Kept by nobody.
                    answer.add_answer(Record::from_rdata(name.clone(), 0, data));
                    name = alias.unwrap_or(name);
                }
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.ok();
        }
    });
    (address, asked)
}

/// One door, asked twice for a tunnel: what came of each.
async fn twice(resolver: Resolver, port: u16) -> [Option<Reason>; 2] {
    let text = format!("tcp://rebind.test:{port}");
    let mut guarded = Guarded::start(rules(&[&text]), resolver);
    let mut reasons = [None; 2];
    for reason in &mut reasons {
        let granted = guarded.connect(&format!("rebind.test:{port}")).await;
        assert!(granted.is_err());
        let record = guarded.record().await;
        assert_eq!(record.verdict, Verdict::Denied);
        *reason = record.reason;
    }
    reasons
}

#[tokio::test]
async fn every_answer_of_a_name_has_to_be_public() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let not_public = [Some(Reason::Address(Refusal::NotPublic)); 2];
    let all: [&'static [&'static [&'static str]]; 6] = [
        &[&["127.0.0.1"]],
        &[&["1.1.1.1", "127.0.0.1"]],
        &[&["127.0.0.1", "1.1.1.1"]],
        &[&["inner.rebind.test.", "127.0.0.1"]],
        &[&["a.rebind.test.", "b.rebind.test.", "10.0.0.1"]],
        &[&["10.0.0.1"], &["127.0.0.1"]],
    ];
    for answers in all {
        let (server, _) = name_server(answers).await;
        let resolver = Resolver::by(&[server]).unwrap();
        assert_eq!(twice(resolver, port).await, not_public, "{answers:?}");
    }
    assert_eq!(echo.connections(), 0);
}

#[tokio::test]
async fn a_name_is_resolved_once_for_what_is_checked_and_what_is_dialled() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    // Allowed the first time; a metadata service the second, which is then asked for anew.
    let (server, asked) = name_server(&[&["127.0.0.1"], &["169.254.169.254"]]).await;
    let resolver = Resolver::by(&[server]).unwrap();
    let text = format!("tcp://rebind.test:{port}");
    let mut guarded = Guarded::start(private(&[&text]), resolver);
    let place = format!("rebind.test:{port}");
    let mut tcp = guarded.connect(&place).await.unwrap();
    assert!(echoes(&mut tcp, "hello").await);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(guarded.connect(&place).await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(guarded.denied().await, Reason::Address(Refusal::LinkLocal));
    assert_eq!(echo.connections(), 1);
}

#[tokio::test]
async fn an_alias_of_the_gateways_own_client_leads_nowhere_private() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let (at, _) = name_server(&[&["inner.rebind.test.", "127.0.0.1"]]).await;
    let settings = Settings {
        allow_plain_http: true,
        ..Settings::default()
    };
    let egress = Egress::with_resolver(&settings, &Resolver::by(&[at]).unwrap()).unwrap();
    let url = format!("http://rebind.test:{port}/");
    let error = get(egress.client(Reach::Public), &url).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused { .. }), "{error:?}");
    // It was the same name all along: where private is meant, it is reached.
    assert!(get(egress.client(Reach::Configured), &url).await.is_ok());
}
