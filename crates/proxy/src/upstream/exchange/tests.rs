use portcullis_mcp::Id;

use super::*;

#[test]
fn silence_is_counted_from_the_last_event_and_not_while_we_owe_an_answer() {
    let start = Instant::now();
    let at = |s: u64| start + Duration::from_secs(s);
    let mut timers = Timers::start(at(60) - start, at(600) - start, start);
    assert_eq!(timers.expiry(), at(60));
    timers.note(&Event::Progress(Bytes::new()), at(50));
    assert_eq!(timers.expiry(), at(110));
    let ask = Ask {
        id: Id::Number(1),
        method: "roots/list".into(),
        params: None,
    };
    timers.note(&Event::Ask(ask), at(50));
    assert_eq!(timers.expiry(), at(600));
    timers.answered(at(150));
    assert_eq!(timers.expiry(), at(210));
    timers.note(&Event::Progress(Bytes::new()), at(590));
    assert_eq!(timers.expiry(), at(600));
}
