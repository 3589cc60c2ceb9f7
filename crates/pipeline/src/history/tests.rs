use super::*;

const MINUTE: u64 = MINUTE_MS;

fn server() -> ServerName {
    "one".parse().unwrap()
}

fn past() -> Past {
    History::default().of(&"ada".into())
}

#[test]
fn what_is_older_than_an_hour_counts_no_more() {
    let (history, server) = (History::default(), server());
    let past = history.of(&"ada".into());
    let echo = Some((&server, "echo"));
    for minute in 0..90 {
        past.add(echo, false, Timestamp(minute * MINUTE));
    }
    let at = Timestamp(89 * MINUTE);
    let counts = history.of(&"ada".into()).counts(echo, at);
    assert_eq!((counts.calls, counts.calls_of_tool), (60, 60));
    let list = past.counts(Some((&server, "list")), at);
    assert_eq!(list.calls_of_tool, 0);
    let others = history.of(&"bob".into()).counts(echo, at);
    assert_eq!(others, Counts::default());
    let later = past.counts(echo, Timestamp(200 * MINUTE));
    assert_eq!(later, Counts::default());
}

#[test]
fn denials_are_counted_apart() {
    let (past, server) = (past(), server());
    let echo = Some((&server, "echo"));
    past.add(echo, true, Timestamp(0));
    past.add(None, false, Timestamp(1));
    let expected = Counts {
        calls: 1,
        calls_of_tool: 0,
        denials: 1,
    };
    assert_eq!(past.counts(echo, Timestamp(2)), expected);
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let past = past();
    past.add(None, false, Timestamp(10 * MINUTE));
    past.add(None, false, Timestamp(9 * MINUTE));
    assert_eq!(past.counts(None, Timestamp(10 * MINUTE)).calls, 2);
}

#[test]
fn tools_beyond_the_most_that_are_counted_give_way_to_later_ones() {
    let (past, server) = (past(), server());
    for tool in 0..=TOOLS_MAX {
        past.add(Some((&server, &tool.to_string())), false, Timestamp(0));
    }
    let last = TOOLS_MAX.to_string();
    let last = Some((&server, &*last));
    assert_eq!(past.counts(last, Timestamp(0)).calls_of_tool, 0);
    let later = Timestamp(100 * MINUTE);
    past.add(last, false, later);
    assert_eq!(past.counts(last, later).calls_of_tool, 1);
}
