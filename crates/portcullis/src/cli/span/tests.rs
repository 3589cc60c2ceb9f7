use super::*;

#[test]
fn spans_have_one_number_and_one_unit() {
    for (text, ms) in [
        ("0s", 0),
        ("90m", 5_400_000),
        ("12h", 43_200_000),
        ("30d", 2_592_000_000),
        ("2w", 1_209_600_000),
    ] {
        assert_eq!(text.parse(), Ok(Span { ms }), "{text}");
    }
    for text in [
        "",
        "d",
        "30",
        "-1d",
        "+1d",
        "1.5h",
        "1 d",
        "1y",
        "30D",
        "99999999999999999999d",
    ] {
        assert_eq!(text.parse::<Span>(), Err(InvalidSpan), "{text}");
    }
}

#[test]
fn moments_are_spans_before_now_or_times() {
    let before = |text: &str| text.parse().map(|moment: Moment| moment.before(10_000_000));
    assert_eq!(before("1s"), Ok(9_999_000));
    assert_eq!(before("30d"), Ok(0));
    assert_eq!(before("1970-01-01T00:00:01.5Z"), Ok(1500));
    assert_eq!(before("1970-01-01T01:00:00+01:00"), Ok(0));
    for text in ["yesterday", "2026-01-31", "1969-12-31T00:00:00Z"] {
        assert_eq!(before(text), Err(InvalidMoment), "{text}");
    }
}
