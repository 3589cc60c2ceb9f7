use super::*;

const MINUTE: u64 = MINUTE_MS;

#[test]
fn what_is_older_than_an_hour_counts_no_more() {
    let history = History::default();
    let ada: Arc<str> = "ada".into();
    for minute in 0..90 {
        history.add(&ada, Some("one/echo"), false, Timestamp(minute * MINUTE));
    }
    let at = Timestamp(89 * MINUTE);
    let counts = history.of("ada", Some("one/echo"), at);
    assert_eq!((counts.calls, counts.calls_of_tool), (60, 60));
    assert_eq!(history.of("ada", Some("one/list"), at).calls_of_tool, 0);
    assert_eq!(history.of("bob", Some("one/echo"), at), Counts::default());
    let later = Timestamp(200 * MINUTE);
    assert_eq!(
        history.of("ada", Some("one/echo"), later),
        Counts::default()
    );
}

#[test]
fn denials_are_counted_apart() {
    let history = History::default();
    let ada: Arc<str> = "ada".into();
    history.add(&ada, Some("one/echo"), true, Timestamp(0));
    history.add(&ada, None, false, Timestamp(1));
    let expected = Counts {
        calls: 1,
        calls_of_tool: 0,
        denials: 1,
    };
    assert_eq!(history.of("ada", Some("one/echo"), Timestamp(2)), expected);
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let history = History::default();
    let ada: Arc<str> = "ada".into();
    history.add(&ada, None, false, Timestamp(10 * MINUTE));
    history.add(&ada, None, false, Timestamp(9 * MINUTE));
    assert_eq!(history.of("ada", None, Timestamp(10 * MINUTE)).calls, 2);
}
