use super::*;

fn frames(reader: &mut Reader) -> Vec<String> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut seen = Vec::new();
    while let Poll::Ready(Some(frame)) = reader.poll(&mut cx) {
        seen.push(String::from_utf8(frame.to_vec()).unwrap());
    }
    seen
}

#[tokio::test]
async fn a_resumed_stream_goes_on_after_the_last_event() {
    let stream = Stream::resumable(3);
    stream.push("a");
    stream.push("b");
    let mut first = stream.read(None, true);
    assert_eq!(
        frames(&mut first),
        [
            "id: 3-0\nretry: 1000\ndata: \n\n",
            "id: 3-1\ndata: a\n\n",
            "id: 3-2\ndata: b\n\n"
        ]
    );
    stream.push("c");
    stream.finish();
    let (number, after) = parse_event_id("3-1").unwrap();
    assert_eq!((number, after), (3, Some(0)));
    let mut second = stream.read(after, false);
    assert_eq!(
        frames(&mut second),
        ["id: 3-2\ndata: b\n\n", "id: 3-3\ndata: c\n\n"]
    );
    assert!(frames(&mut first).is_empty(), "an earlier reader ends");
}

#[tokio::test]
async fn notifications_to_a_client_that_does_not_read_are_bounded() {
    let stream = Stream::new();
    for _ in 0..WAITING_MAX + 10 {
        stream.notify("n");
    }
    stream.push("answer");
    stream.finish();
    let seen = frames(&mut stream.read(None, false));
    assert_eq!(seen.len() as u64, WAITING_MAX + 1);
    assert_eq!(seen.last().unwrap(), "data: answer\n\n");
}
