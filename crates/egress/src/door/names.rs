//! Answers to questions for names (RFC 1035), all of which lead back here. No question goes further.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::Shared;
use super::attempt::Attempt;
use crate::host::Host;

/// How many names get an address. Those that have one keep it as long as the door stands.
const NAMES_MAX: u16 = 4096;

/// How long an answer may be kept, in seconds. An address stays a name's, so that it harms nobody.
const TTL_S: u32 = 60;

/// Longest question over UDP that is read: an address is asked for in less (RFC 1035 §2.3.4, RFC 6891).
const QUESTION_MAX: usize = 4096;

/// How long nothing is read after that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection waits for the next question.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The addresses given out: `127.1.x.y`, which is local in every network namespace.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    addresses: HashMap<String, Ipv4Addr>,
    names: HashMap<Ipv4Addr, String>,
}

impl Names {
    /// The address that stands for `name`, which is given one if any is left.
    fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        let mut table = self.0.lock();
        if let Some(address) = table.addresses.get(name) {
            return Some(*address);
        }
        let next = u16::try_from(table.addresses.len()).ok()?.checked_add(1)?;
        if next > NAMES_MAX {
            return None;
        }
        let [high, low] = next.to_be_bytes();
        let address = Ipv4Addr::new(127, 1, high, low);
        table.addresses.insert(name.to_owned(), address);
        table.names.insert(address, name.to_owned());
        Some(address)
    }

    /// The name that `address` was given to.
    pub(crate) fn name_of(&self, address: Ipv4Addr) -> Option<String> {
        self.0.lock().names.get(&address).cloned()
    }
}

/// Answers datagrams for good.
pub(crate) async fn serve_udp(shared: &Arc<Shared>, socket: UdpSocket) {
    let mut buffer = vec![0; QUESTION_MAX];
    loop {
        let (size, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // It may be about an answer that did not arrive.
                tracing::debug!(%error, "a question for a name was not received");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let question = buffer.get(..size).unwrap_or_default();
        if let Some(answer) = answer(shared, question)
            && let Err(error) = socket.send_to(&answer, from).await
        {
            tracing::debug!(%error, "an answer for a name was not sent");
        }
    }
}

/// Answers the questions of one connection (RFC 7766 §8).
pub(crate) async fn serve_tcp(shared: &Arc<Shared>, mut tcp: TcpStream) -> io::Result<()> {
    loop {
        let next = tokio::time::timeout(QUESTION_TIMEOUT, next_question(&mut tcp));
        let Ok(question) = next.await else {
            return Ok(());
        };
        let Some(answer) = answer(shared, &question?) else {
            return Ok(());
        };
        let Ok(size) = u16::try_from(answer.len()) else {
            return Ok(());
        };
        tcp.write_u16(size).await?;
        tcp.write_all(&answer).await?;
    }
}

async fn next_question(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let size = tcp.read_u16().await?;
    let mut question = vec![0; usize::from(size)];
    tcp.read_exact(&mut question).await?;
    Ok(question)
}

/// The answer to one question; `None` to what is none.
fn answer(shared: &Arc<Shared>, bytes: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(bytes).ok()?;
    if question.metadata.message_type != MessageType::Query {
        return None;
    }
    let op_code = question.metadata.op_code;
    let mut reply = Message::new(question.metadata.id, MessageType::Response, op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = match question.queries.as_slice() {
        [query] if op_code == OpCode::Query && query.query_class() == DNSClass::IN => {
            reply.add_query(query.clone());
            let (code, address) = found(shared, query.name(), query.query_type());
            if let Some(address) = address {
                let data = RData::A(A(address));
                reply.add_answer(Record::from_rdata(query.name().clone(), TTL_S, data));
            }
            code
        }
        _ => ResponseCode::NotImp,
    };
    reply.to_vec().ok()
}

/// An allowed name exists, and has an address of one kind. No other does.
fn found(shared: &Arc<Shared>, name: &Name, asked: RecordType) -> (ResponseCode, Option<Ipv4Addr>) {
    let text = name.to_ascii();
    // Names on the wire are complete, and are written with the dot that says so.
    let text = text.strip_suffix('.').unwrap_or(&text);
    let allowed = Host::canonical(text).filter(|host| shared.allowance.borrow().names(host));
    let Some(Host::Name(host)) = allowed else {
        if shared.meter.records_lookup() {
            Attempt::lookup(shared, text);
        }
        return (ResponseCode::NXDomain, None);
    };
    if asked != RecordType::A {
        return (ResponseCode::NoError, None);
    }
    match shared.names.address_of(&host) {
        Some(address) => (ResponseCode::NoError, Some(address)),
        None => (ResponseCode::ServFail, None),
    }
}
