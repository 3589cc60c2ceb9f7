//! What must hold for any bytes whatever: one function for each decoder, which panics where it does
//! not. Driven here by generated input, and by the fuzz targets, which include this file.

use std::fmt;

use bytes::Bytes;
use portcullis_mcp::{
    Fault, FaultKind, Id, Limits, Message, Object, Outcome, ServerName, SseDecoder, SseEvent,
    SseOverflow, boolean, decode, decode_value, elements, encode_error, encode_event,
    encode_notification, encode_request, encode_result, encode_value, federated_name,
    federated_uri, integer, number, param_agrees, param_headers, param_value, quote, scan,
    single_line, split_federated, split_federated_uri, string,
};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value as `serde_json` reads it, but with every member in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    fn members(&self) -> Option<&Vec<(String, Node)>> {
        match self {
            Self::Map(members) => Some(members),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&Node> {
        let members = self.members()?;
        members
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    fn has_duplicate(&self) -> bool {
        match self {
            Self::List(items) => items.iter().any(Self::has_duplicate),
            Self::Map(members) => {
                let mut names: Vec<_> = members.iter().map(|(name, _)| name).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| pair[0] == pair[1])
                    || members.iter().any(|(_, value)| value.has_duplicate())
            }
            _ => false,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(members) => {
                1 + members
                    .iter()
                    .map(|(_, value)| value.depth())
                    .max()
                    .unwrap_or(0)
            }
            _ => 0,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Map(members))
    }
}

/// `scan` accepts exactly what `serde_json` accepts, but for the classes in which it is stricter, and
/// there it is right about the reason.
pub fn scan_bytes(json: &[u8]) {
    let limits = Limits {
        bytes_max: 1 << 20,
        depth_max: 20,
        members_max: 200,
        number_chars_max: 40,
    };
    let node = Node::parse(json);
    match scan(json, &limits) {
        Ok(()) => {
            let node = node.unwrap_or_else(|| panic!("accepted what serde_json refuses"));
            assert!(!node.has_duplicate(), "accepted a duplicate member");
            assert!(
                node.depth() <= limits.depth_max,
                "accepted a depth of {}",
                node.depth()
            );
        }
        Err(Fault { kind, offset }) => {
            assert!(offset <= json.len(), "offset {offset} of {}", json.len());
            let Some(node) = node else { return };
            match kind {
                FaultKind::DuplicateMember => assert!(node.has_duplicate()),
                FaultKind::Depth => assert!(node.depth() > limits.depth_max),
                FaultKind::Number => {
                    let rest = &json[offset..];
                    let is_in =
                        |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    let end = rest
                        .iter()
                        .position(|byte| !is_in(byte))
                        .unwrap_or(rest.len());
                    let text = std::str::from_utf8(&rest[..end]).unwrap();
                    let is_finite = text.parse::<f64>().unwrap().is_finite();
                    assert!(
                        end > limits.number_chars_max || !is_finite,
                        "refused {text}"
                    );
                }
                FaultKind::Members => {
                    let parts = json.split(|byte| *byte == b':').count();
                    assert!(parts > limits.members_max + 1);
                }
                other => panic!("refused for {other:?} what serde_json accepts"),
            }
        }
    }
}

/// What `decode` accepts, `serde_json` reads as the same message; written again it is that message.
pub fn decode_bytes(json: &[u8]) {
    let limits = Limits::default();
    let bytes = Bytes::copy_from_slice(json);
    let message = match decode(bytes.clone(), &limits) {
        Ok(message) => message,
        Err(error) => {
            assert!(matches!(error.code, -32700 | -32600), "{error:?}");
            assert!(error.reply_message().len() < 100);
            if let Some(id) = error.id {
                check_id(&id, Node::parse(json).unwrap().get("id").unwrap());
            }
            return;
        }
    };
    let node = Node::parse(json).unwrap_or_else(|| panic!("serde_json refuses it"));
    assert_eq!(node.get("jsonrpc"), Some(&Node::Text("2.0".to_owned())));
    let raw = |raw: &[u8]| Node::parse(raw).unwrap();
    match message {
        Message::Request(request) => {
            check_id(&request.id, node.get("id").unwrap());
            assert_eq!(
                node.get("method"),
                Some(&Node::Text(request.method.to_string()))
            );
            assert_eq!(node.get("params").cloned(), request.params().map(raw));
            assert_eq!(request.bytes(), &bytes);
            let again = encode_request(&request.id, &request.method, request.params());
            match decode(again.into(), &limits).unwrap() {
                Message::Request(again) => {
                    assert_eq!(again.id, request.id);
                    assert_eq!(again.method, request.method);
                    assert_eq!(again.params_bytes(), request.params_bytes());
                }
                other => panic!("{other:?}"),
            }
        }
        Message::Notification(notification) => {
            assert_eq!(node.get("id"), None);
            assert_eq!(
                node.get("method"),
                Some(&Node::Text(notification.method.to_string()))
            );
            assert_eq!(node.get("params").cloned(), notification.params().map(raw));
            let again = encode_notification(&notification.method, notification.params());
            match decode(again.into(), &limits).unwrap() {
                Message::Notification(again) => {
                    assert_eq!(again.method, notification.method);
                    assert_eq!(again.params_bytes(), notification.params_bytes());
                }
                other => panic!("{other:?}"),
            }
        }
        Message::Response(response) => {
            if let Some(id) = &response.id {
                check_id(id, node.get("id").unwrap());
            }
            let again = match &response.outcome {
                Outcome::Result(result) => encode_result(response.id.as_ref().unwrap(), result),
                Outcome::Error(error) => encode_error(response.id.as_ref(), error),
            };
            let Message::Response(again) = decode(again.into(), &limits).unwrap() else {
                panic!("written again it is no response");
            };
            assert_eq!(again.id, response.id);
            match (again.outcome, response.outcome) {
                (Outcome::Result(again), Outcome::Result(result)) => {
                    assert_eq!(again, result);
                    assert_eq!(node.get("result"), Some(&raw(&result)));
                }
                (Outcome::Error(again), Outcome::Error(error)) => {
                    assert_eq!(again, error);
                    let written = node.get("error").unwrap();
                    assert_eq!(written.get("message"), Some(&Node::Text(error.message)));
                    assert_eq!(written.get("data").cloned(), error.data.as_deref().map(raw));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn check_id(id: &Id, node: &Node) {
    match (id, node) {
        (Id::String(text), Node::Text(node)) => assert_eq!(**text, **node),
        (Id::Number(number), Node::Signed(node)) => assert_eq!(number, node),
        (Id::Number(number), Node::Unsigned(node)) => assert_eq!(u64::try_from(*number), Ok(*node)),
        other => panic!("{other:?}"),
    }
    let mut out = Vec::new();
    id.write(&mut out);
    assert_eq!(Id::parse(&out).as_ref(), Some(id));
}

/// Editing changes what is edited and nothing else; unscanned bytes do no harm.
pub fn object_edit(json: &[u8]) {
    let parsed = Object::parse(json);
    // Whatever the bytes are, these return.
    let items = elements(json);
    let text = string(json);
    let _unused = (boolean(json), integer(json), number(json), Id::parse(json));
    if scan(json, &Limits::default()).is_err() {
        return;
    }
    let node = Node::parse(json).unwrap();
    assert_eq!(Node::parse(&single_line(json)).as_ref(), Some(&node));
    assert!(!single_line(json).contains(&b'\n'));
    match (&items, &node) {
        (Some(items), Node::List(nodes)) => {
            let parsed: Vec<_> = items
                .iter()
                .map(|item| Node::parse(item).unwrap())
                .collect();
            assert_eq!(&parsed, nodes);
        }
        (None, Node::List(_)) | (Some(_), _) => panic!("elements"),
        (None, _) => {}
    }
    match (&text, &node) {
        (Some(text), Node::Text(node)) => {
            assert_eq!(text, node);
            assert_eq!(string(&quote(text)).as_ref(), Some(text));
        }
        (None, Node::Text(_)) | (Some(_), _) => panic!("string"),
        (None, _) => {}
    }
    let (Some(object), Some(members)) = (parsed, node.members()) else {
        assert!(node.members().is_none(), "not parsed as an object");
        return;
    };
    assert_eq!(object.len(), members.len());
    for ((key, value), (name, node)) in object.iter().zip(members) {
        assert_eq!(key, name);
        assert_eq!(Node::parse(value).as_ref(), Some(node));
        assert_eq!(object.get(name), Some(value));
    }
    let written = object.to_vec();
    scan(&written, &Limits::default()).unwrap();
    assert_eq!(Node::parse(&written), Some(node.clone()));
    assert_eq!(Object::parse(&written).unwrap().to_vec(), written);
    assert_eq!(object.clone().into_owned().to_vec(), written);

    let mut expected = members.clone();
    let mut edited = object.into_owned();
    let last = members
        .last()
        .map_or("new\n\"name\"", |(name, _)| name)
        .to_owned();
    edited.set(&last, b"[1,true]".to_vec());
    let value = Node::List(vec![Node::Unsigned(1), Node::Bool(true)]);
    match expected.iter_mut().find(|(name, _)| *name == last) {
        Some(member) => member.1 = value,
        None => expected.push((last.clone(), value)),
    }
    if members.len() > 1 {
        let first = expected.remove(0);
        let removed = edited.remove(&first.0).unwrap();
        assert_eq!(Node::parse(&removed), Some(first.1));
        assert!(!edited.contains(&first.0));
    }
    let written = edited.to_vec();
    scan(&written, &Limits::default()).unwrap();
    assert_eq!(Node::parse(&written), Some(Node::Map(expected)));
}

/// Decoding does not depend on the chunks; what is encoded is decoded to the same.
pub fn sse_bytes(input: &[u8]) {
    let (sizes, stream) = input.split_at(input.len().min(4));
    for bytes_max in [12, 1 << 16] {
        let whole = decode_stream(bytes_max, [stream].into_iter());
        let single = decode_stream(bytes_max, stream.chunks(1));
        assert_eq!(whole, single);
        for size in sizes {
            let chunked = decode_stream(bytes_max, stream.chunks(1 + usize::from(*size % 16)));
            assert_eq!(whole, chunked);
        }
        for event in whole.0 {
            assert!(event.data.len() <= bytes_max);
            let written = encode_event(event.id.as_deref(), event.retry_ms, &event.data);
            let (again, fault) = decode_stream(1 << 20, [&*written].into_iter());
            assert_eq!(fault, None);
            let expected = SseEvent {
                event: None,
                ..event
            };
            assert_eq!(again, [expected]);
        }
    }
    let written = encode_event(None, None, stream);
    let (again, _) = decode_stream(usize::MAX, [&*written].into_iter());
    assert_eq!(again.len(), 1);
    let lines = String::from_utf8_lossy(stream)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    assert_eq!(String::from_utf8_lossy(&again[0].data), lines);
}

fn decode_stream<'a>(
    bytes_max: usize,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<SseEvent>, Option<SseOverflow>) {
    let mut decoder = SseDecoder::new(bytes_max);
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(overflow) = decoder.push(chunk, &mut |event| events.push(event)) {
            assert_eq!(
                decoder.push(b"data: x\n\n", &mut |_| panic!("after overflow")),
                Err(overflow)
            );
            return (events, Some(overflow));
        }
    }
    (events, None)
}

/// A header value decodes to text that is encoded to the same text; schemas of any shape do no harm.
pub fn header_value(input: &[u8]) {
    if let Some(text) = decode_value(input) {
        let written = encode_value(&text);
        assert_eq!(decode_value(written.as_bytes()).as_deref(), Some(&*text));
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let written = encode_value(text);
        assert!(
            written.bytes().all(|byte| matches!(byte, 0x20..=0x7e)),
            "{written:?}"
        );
        assert_eq!(decode_value(written.as_bytes()).as_deref(), Some(text));
        assert_eq!(
            decode_value(format!(" \t{written} ").as_bytes()).as_deref(),
            Some(text)
        );
    }
    let Ok(headers) = param_headers(input) else {
        return;
    };
    for header in headers {
        assert!(!header.path.is_empty());
        assert!(!header.name.is_empty() && header.name.is_ascii());
        let (value, expected) = (format!("{header:?}"), quote(&format!("{header:?}")));
        let mut arguments = expected.clone();
        for property in header.path.iter().rev() {
            let mut object = Object::new();
            object.set(property, arguments);
            arguments = object.to_vec();
        }
        assert_eq!(param_value(&header, &arguments), Some(value.clone()));
        let field = encode_value(&value);
        assert!(param_agrees(&header, Some(field.as_bytes()), &arguments));
        assert!(!param_agrees(&header, None, &arguments));
        assert!(param_agrees(&header, None, b"{}"));
        let _unused = param_value(&header, input);
    }
}

/// Names of servers, and federated names, split into what they were made of.
pub fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (head, name) = text.split_once('\n').unwrap_or(("server", text));
    let _unused = (split_federated(text), split_federated_uri(text));
    if let Some((server, rest)) = split_federated(text) {
        assert!(federated_name(&server.parse().unwrap(), rest).len() <= 64);
        assert_eq!(format!("{server}__{rest}"), text);
    }
    let Ok(server) = head.parse::<ServerName>() else {
        return;
    };
    assert!(server.as_str().len() <= 32 && !server.as_str().contains('_'));
    assert_eq!(server.to_string(), head);
    let federated = federated_name(&server, name);
    assert!(federated.len() <= 64);
    assert_eq!(federated, federated_name(&server, name));
    if !name.is_empty() {
        let (first, rest) = split_federated(&federated).unwrap();
        assert_eq!(first, server.as_str());
        if head.len() + 2 + name.len() <= 64 {
            assert_eq!(rest, name);
        } else {
            let (kept, hash) = rest.rsplit_once('_').unwrap();
            assert!(name.starts_with(kept) && hash.len() == 8);
        }
    }
    let uri = federated_uri(&server, name);
    assert_eq!(split_federated_uri(&uri), Some((server.as_str(), name)));
}
