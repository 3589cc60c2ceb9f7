use super::*;

fn number(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

#[test]
fn the_grammar_is_that_of_json() {
    for text in [
        "", "-", "01", "1.", ".1", "+1", "1e", "1e+", "0x1", "1_0", "Infinity", "NaN", "1.2.3",
    ] {
        assert_eq!(Decimal::parse(text), None, "{text}");
    }
}

#[test]
fn equal_values_are_equal() {
    for (a, b) in [
        ("0", "-0.0e5"),
        ("1", "1.000"),
        ("120", "1.2e2"),
        ("0.001", "1E-3"),
        ("-5", "-50e-1"),
    ] {
        assert_eq!(number(a), number(b), "{a} {b}");
    }
    assert_ne!(number("9007199254740993"), number("9007199254740992"));
    assert_ne!(number("1"), number("1.00000000000000000000000000000001"));
}

#[test]
fn order_is_exact() {
    let ordered = [
        "-1e308",
        "-10",
        "-9.9",
        "-1e-300",
        "0",
        "1e-300",
        "0.1",
        "0.10000000000000000001",
        "9.9",
        "10",
        "9007199254740992",
        "9007199254740993",
        "1e308",
    ];
    for pair in ordered.windows(2) {
        assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        assert!(number(pair[1]) > number(pair[0]), "{pair:?}");
    }
}

#[test]
fn an_integer_has_64_bits() {
    for text in [
        "0",
        "1.0",
        "1e3",
        "-9223372036854775808",
        "18446744073709551615",
        "0.5e1",
    ] {
        assert!(number(text).is_integer_64(), "{text}");
    }
    for text in [
        "1.5",
        "1e-1",
        "18446744073709551616",
        "-9223372036854775809",
        "1e20",
        "1e308",
    ] {
        assert!(!number(text).is_integer_64(), "{text}");
    }
}

#[test]
fn multiples_are_exact() {
    for (value, factor) in [
        ("0", "3"),
        ("9", "3"),
        ("4.5", "1.5"),
        ("0.0075", "0.0001"),
        ("1e308", "0.5"),
        ("12391239123", "1e-8"),
        ("-6", "2"),
        ("1e308", "1e-300"),
    ] {
        assert!(
            number(value).is_multiple_of(&number(factor)),
            "{value} {factor}"
        );
    }
    for (value, factor) in [
        ("10", "3"),
        ("0.00751", "0.0001"),
        ("35", "1.5"),
        ("9007199254740993", "2"),
        ("1", "1e300"),
        ("1e308", "0.123456789"),
    ] {
        assert!(
            !number(value).is_multiple_of(&number(factor)),
            "{value} {factor}"
        );
    }
}

#[test]
fn a_count_is_a_whole_number() {
    assert_eq!(number("2.0").as_count(), Some(2));
    assert_eq!(number("2.5").as_count(), None);
    assert_eq!(number("-1").as_count(), None);
    assert_eq!(number("1e300").as_count(), Some(usize::MAX));
}
