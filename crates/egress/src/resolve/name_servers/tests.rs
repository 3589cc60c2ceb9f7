use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;

use super::*;

/// A name server on the loopback, which answers the n-th question for an IPv4 address by the n-th of `answers`, the last one
/// for good, and tells how often it was asked.
async fn name_server(
    answers: &'static [&'static [&'static str]],
    ttl: u32,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..size]).unwrap();
            let query = question.queries[0].clone();
            let turn = match query.query_type() {
                RecordType::A => count.fetch_add(1, Ordering::SeqCst),
                _ => count.load(Ordering::SeqCst).saturating_sub(1),
            };
            let mut answer =
                Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
            answer.metadata.recursion_desired = true;
            answer.metadata.recursion_available = true;
            answer.metadata.response_code = ResponseCode::NoError;
            answer.add_query(query.clone());
            for text in answers[turn.min(answers.len() - 1)] {
                let data = match (text.parse().unwrap(), query.query_type()) {
                    (IpAddr::V4(address), RecordType::A) => RData::A(A(address)),
                    (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(AAAA(address)),
                    _ => continue,
                };
                answer.add_answer(Record::from_rdata(query.name().clone(), ttl, data));
            }
            socket
                .send_to(&answer.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    });
    (address, asked)
}

fn sorted(mut addresses: Vec<IpAddr>) -> Vec<String> {
    addresses.sort_unstable();
    addresses.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn addresses_of_both_families_are_all_told() {
    let (server, _) = name_server(&[&["192.0.2.1", "2001:db8::1", "192.0.2.2"]], 60).await;
    let servers = NameServers::new(&[server]).unwrap();
    let found = servers.resolve("host.test").await.unwrap();
    assert_eq!(sorted(found), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
}

#[tokio::test]
async fn an_answer_is_kept_as_long_as_it_says() {
    let answers: &[&[&str]] = &[&["192.0.2.1"], &["192.0.2.2"]];
    for (ttl, second, times) in [(60, "192.0.2.1", 1), (0, "192.0.2.2", 2)] {
        let (server, asked) = name_server(answers, ttl).await;
        let servers = NameServers::new(&[server]).unwrap();
        assert_eq!(
            sorted(servers.resolve("host.test").await.unwrap()),
            ["192.0.2.1"]
        );
        assert_eq!(
            sorted(servers.resolve("host.test").await.unwrap()),
            [second]
        );
        assert_eq!(asked.load(Ordering::SeqCst), times, "{ttl}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_an_error() {
    let (server, asked) = name_server(&[&[]], 60).await;
    let resolver = super::super::Resolver::by(&[server]).unwrap();
    assert!(resolver.resolve("host.test").await.is_err());
    // Nothing was added to it either.
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn this_machine_is_this_machine_whatever_anybody_says() {
    let (server, asked) = name_server(&[&["192.0.2.1"]], 60).await;
    let servers = NameServers::new(&[server]).unwrap();
    let found = servers.resolve("localhost").await.unwrap();
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_is_silent() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (server, _) = name_server(&[&["192.0.2.1"]], 60).await;
    let addresses = [silent.local_addr().unwrap(), server];
    let servers = NameServers::new(&addresses).unwrap();
    assert_eq!(
        sorted(servers.resolve("host.test").await.unwrap()),
        ["192.0.2.1"]
    );
}
