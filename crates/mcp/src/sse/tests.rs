use super::*;

fn read(stream: &str) -> Vec<SseEvent> {
    let mut events = Vec::new();
    SseDecoder::new(1 << 16)
        .push(stream.as_bytes(), &mut |event| events.push(event))
        .unwrap();
    events
}

fn data(data: &'static str) -> SseEvent {
    SseEvent {
        data: Bytes::from_static(data.as_bytes()),
        ..SseEvent::default()
    }
}

#[test]
fn events_are_read_as_the_standard_says() {
    // The examples of the standard, and its corners.
    assert_eq!(
        read("data: YHOO\ndata: +2\ndata: 10\n\n"),
        [data("YHOO\n+2\n10")]
    );
    assert_eq!(read("data\n\ndata\ndata\n\ndata:"), [data(""), data("\n")]);
    assert_eq!(
        read("data:test\n\ndata: test\n\n"),
        [data("test"), data("test")]
    );
    assert_eq!(read("data:  two\n\n"), [data(" two")]);
    assert_eq!(
        read(": a comment\n\n:\n\ndata: x\n: in between\n\n"),
        [data("x")]
    );
    assert_eq!(
        read("data: a\r\ndata: b\r\rdata: c\n\r\n"),
        [data("a\nb"), data("c")]
    );
    assert_eq!(read("\u{feff}data: x\n\n\u{feff}data: y\n\n"), [data("x")]);
    assert_eq!(read("Data: x\ndata : y\nfoo: z\nevent: e\n\n"), []);
    assert_eq!(read("data: not ended\n"), []);
    assert_eq!(
        read("data: {\"a\":\"b: c\"}\n\n"),
        [data("{\"a\":\"b: c\"}")]
    );
}

#[test]
fn ids_names_and_delays() {
    let id = |id: &str| SseEvent {
        id: Some(id.to_owned()),
        ..SseEvent::default()
    };
    assert_eq!(read("id: 7\n\n"), [id("7")]);
    assert_eq!(read("id: 7\ndata:\n\n"), [id("7")]);
    assert_eq!(read("id\n\n"), [id("")]);
    assert_eq!(read("id: a\0b\n\n"), []);
    assert_eq!(read("id: 1\nid: a\0b\nid: 2\n\n"), [id("2")]);
    assert_eq!(
        read("retry: 3000\n\n"),
        [SseEvent {
            retry_ms: Some(3000),
            ..SseEvent::default()
        }]
    );
    for wrong in ["", "x", "-1", "+1", "1.5", "1 ", "99999999999999999999999"] {
        assert_eq!(read(&format!("retry: {wrong}\n\n")), [], "{wrong}");
    }
    let events = read("event: endpoint\ndata: /m\n\nevent:\ndata: x\n\ndata: y\n\n");
    let endpoint = SseEvent {
        event: Some("endpoint".to_owned()),
        ..data("/m")
    };
    assert_eq!(events, [endpoint, data("x"), data("y")]);
}

#[test]
fn a_cr_at_the_end_of_a_chunk_waits_for_its_lf() {
    let mut events = Vec::new();
    let mut decoder = SseDecoder::new(100);
    for chunk in ["data: x\r", "\n", "\r", "\ndata: y\r", "", "\r", "\n"] {
        decoder
            .push(chunk.as_bytes(), &mut |event| events.push(event))
            .unwrap();
    }
    assert_eq!(events, [data("x"), data("y")]);
}

#[test]
fn an_event_that_is_too_long_ends_the_stream() {
    let push = |stream: &str| {
        let mut events = 0;
        let pushed = SseDecoder::new(10).push(stream.as_bytes(), &mut |_| events += 1);
        pushed.is_err().then_some(events)
    };
    assert_eq!(push("data:5678\n\n"), None);
    assert_eq!(push("data:56789\n"), Some(0));
    assert_eq!(push("data:567890"), Some(0));
    assert_eq!(push("data:1\n\ndata:1\n\ndata:567890"), Some(2));
    assert_eq!(push("data\ndata\n\n"), None);
    assert_eq!(push("data\ndata\nd"), Some(0));
    assert_eq!(push(": 3456789012345"), Some(0));
    assert_eq!(push(&": keep\n".repeat(100)), None, "comments are not kept");
    let mut decoder = SseDecoder::new(10);
    let overflow = SseOverflow {
        event_bytes_max: 10,
    };
    assert_eq!(decoder.push(&[b'x'; 11], &mut |_| ()), Err(overflow));
    assert_eq!(decoder.push(b"\n\ndata: x\n\n", &mut |_| ()), Err(overflow));
    assert_eq!(overflow.to_string(), "an event is longer than 10 bytes");
}

#[test]
fn events_are_written_so_that_they_are_read_again() {
    assert_eq!(encode_event(None, None, b"{}"), "data: {}\n\n");
    assert_eq!(
        encode_event(Some("7"), Some(10), b""),
        "id: 7\nretry: 10\ndata: \n\n"
    );
    assert_eq!(
        encode_event(Some("a\nb\r\0"), None, b"x"),
        "id: ab\ndata: x\n\n"
    );
    assert_eq!(
        encode_event(None, None, b"{\n\r\n}\r"),
        "data: {\ndata: \ndata: }\ndata: \n\n"
    );
    let injected = encode_event(None, None, b"x\n\nevent: y\ndata: z");
    assert_eq!(
        read(std::str::from_utf8(&injected).unwrap()),
        [data("x\n\nevent: y\ndata: z")]
    );
}
