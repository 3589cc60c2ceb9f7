//! Text, numbers and lists of values.

use portcullis_constraint::Reason;
use serde_json::json;

use crate::support::{check, compile, constraints, nowhere, passes, refused, rule};

#[test]
fn text_that_is_not_what_it_seems_is_refused() {
    let constraints = constraints(json!({"kind": "text", "chars_max": 40, "single_script": true}));
    let cases = [
        ("-rf", Reason::OptionLike),
        ("--help", Reason::OptionLike),
        ("  -x", Reason::OptionLike),
        ("+x", Reason::OptionLike),
        ("\u{2212}rf", Reason::OptionLike),
        ("\u{2013}help", Reason::OptionLike),
        ("\u{ff0d}x", Reason::OptionLike),
        ("a\nb", Reason::Invisible),
        ("a\tb", Reason::Invisible),
        ("a\r\nBcc: b@example.com", Reason::Invisible),
        ("a\0b", Reason::Invisible),
        ("\u{1b}[2J", Reason::Invisible),
        ("\u{9b}2J", Reason::Invisible),
        ("a\u{7f}", Reason::Invisible),
        ("a\u{202e}b", Reason::Invisible),
        ("a\u{2066}b\u{2069}", Reason::Invisible),
        ("a\u{200f}b", Reason::Invisible),
        ("a\u{200b}b", Reason::Invisible),
        ("a\u{200d}b", Reason::Invisible),
        ("a\u{2060}b", Reason::Invisible),
        ("a\u{feff}b", Reason::Invisible),
        ("a\u{ad}b", Reason::Invisible),
        ("a\u{34f}b", Reason::Invisible),
        ("a\u{3164}b", Reason::Invisible),
        ("a\u{fe0f}b", Reason::Invisible),
        ("a\u{e0100}", Reason::Invisible),
        ("hi\u{e0049}\u{e0067}\u{e006e}", Reason::Invisible),
        ("a\u{2028}b", Reason::Invisible),
        ("a\u{e000}b", Reason::Invisible),
        ("a\u{fff9}b", Reason::Invisible),
        ("p\u{430}ypal", Reason::LookAlike),
        ("\u{405}cope", Reason::LookAlike),
        ("g\u{3bf}\u{3bf}gle", Reason::LookAlike),
        ("m\u{456}crosoft", Reason::LookAlike),
        (
            "01234567890123456789012345678901234567890",
            Reason::TooLarge,
        ),
    ];
    for (text, reason) in cases {
        refused(&constraints, text, reason);
    }
}

#[test]
fn ordinary_text_of_all_writings_passes() {
    let constraints = constraints(json!({"kind": "text", "single_script": true}));
    for text in [
        "",
        "Hello, world!",
        "naïve résumé",
        "Привет, мир",
        "日本語のテキスト",
        "한국어 문장",
        "שלום",
        "مرحبا",
        "नमस्ते क्ष",
        "می\u{200c}خواهم",
        "👩\u{200d}👩\u{200d}👧",
        "❤\u{fe0f} 1\u{fe0f}\u{20e3}",
        "a - b + c",
        "5 < 6 & 7",
        "Tokyo 東京",
        "α, β",
        "100 €",
        "x² + y²",
        "Straße 5",
    ] {
        passes(&constraints, text);
    }
}

#[test]
fn text_is_checked_and_sent_composed() {
    let constraints = constraints(json!({"kind": "text", "pattern": "caf\u{e9}"}));
    let sent = check(&constraints, "cafe\u{301}")
        .unwrap()
        .rewritten
        .unwrap();
    assert_eq!(sent["it"], "caf\u{e9}");
    passes(&constraints, "cafe\u{301}");
}

#[test]
fn patterns_match_the_whole_and_alphabets_every_character() {
    let pattern = constraints(json!({"kind": "text", "pattern": "a|bc", "lines": true}));
    passes(&pattern, "a");
    passes(&pattern, "bc");
    for text in ["ab", "xbc", "bcx", "a\nb", "a\n", "", "A"] {
        refused(&pattern, text, Reason::Pattern);
    }
    for (alphabet, good, bad) in [
        ("ascii", "a b!", "é"),
        ("alphanumeric", "aB3", "a-b"),
        ("identifier", "a_b-c.d", "a/b"),
        ("reference", "origin/main~1^", "a b"),
        ("digits", "0123", "١٢٣"),
        ("hexadecimal", "deadBEEF", "0x1"),
    ] {
        let constraints = constraints(json!({"kind": "text", "alphabet": alphabet}));
        passes(&constraints, good);
        refused(&constraints, bad, Reason::Pattern);
    }
}

#[test]
fn what_is_permitted_explicitly_passes() {
    let constraints =
        constraints(json!({"kind": "text", "lines": true, "option_like": true, "invisible": true}));
    passes(&constraints, "- a\n- b\u{200b}\t\u{1b}[0m");
}

#[test]
fn patterns_that_cannot_be_used_are_refused_when_compiled() {
    for pattern in ["(", "a)|(b", "(?=a)", "\\1", "(a{1000}){1000}", "a{2,1}"] {
        let json = json!({"kind": "text", "pattern": pattern});
        assert!(compile(rule(json), &nowhere()).is_err(), "{pattern}");
    }
}

#[test]
fn numbers_are_in_bounds_and_exact() {
    let any = constraints(json!({"kind": "number"}));
    for number in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(9_007_199_254_740_991_i64),
        json!(1e300),
    ] {
        passes(&any, number);
    }
    for number in [
        json!(9_007_199_254_740_992_i64),
        json!(u64::MAX),
        json!(i64::MIN),
    ] {
        refused(&any, number, Reason::OutOfRange);
    }
    for other in [json!("1"), json!(true), json!([1]), json!({})] {
        refused(&any, other, Reason::WrongType);
    }
    let port = constraints(json!({"kind": "number", "min": 1, "max": 10, "integer": true}));
    passes(&port, 1);
    passes(&port, 10);
    for (number, reason) in [
        (json!(0), Reason::OutOfRange),
        (json!(11), Reason::OutOfRange),
        (json!(-5), Reason::OutOfRange),
        (json!(1.5), Reason::Malformed),
        (json!(1.0), Reason::Malformed),
        (json!(1e0), Reason::Malformed),
    ] {
        refused(&port, number, reason);
    }
    assert!(serde_json::from_str::<serde_json::Value>("1e400").is_err());
    let impossible = json!({"kind": "number", "min": 2, "max": 1});
    assert!(compile(rule(impossible), &nowhere()).is_err());
}

#[test]
fn listed_values_are_compared_exactly() {
    let constraints = constraints(json!({"kind": "enum", "values": ["a", 1, true, {"b": [2]}]}));
    for value in [json!("a"), json!(1), json!(true), json!({"b": [2]})] {
        passes(&constraints, value);
    }
    for value in [
        json!("A"),
        json!("a "),
        json!("1"),
        json!(1.0),
        json!(false),
        json!({"b": [2, 3]}),
        json!(""),
    ] {
        refused(&constraints, value, Reason::NotListed);
    }
    assert!(compile(rule(json!({"kind": "enum"})), &nowhere()).is_err());
}
