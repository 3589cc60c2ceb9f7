//! Email addresses and domain names.

use portcullis_constraint::Reason;
use serde_json::json;

use crate::support::{check, constraints, passes, refused};

#[test]
fn what_is_more_or_less_than_one_address_is_refused() {
    let constraints =
        constraints(json!({"kind": "email", "domains": ["example.com", "*.example.org"]}));
    let cases = [
        ("", Reason::Empty),
        ("a", Reason::Malformed),
        ("@example.com", Reason::Malformed),
        ("a@", Reason::Empty),
        ("a@evil.example", Reason::Host),
        ("a@example.com.evil.example", Reason::Host),
        ("a@notexample.com", Reason::Host),
        ("a@example.org", Reason::Host),
        ("a@evil.example@example.com", Reason::Malformed),
        ("a@example.com@evil.example", Reason::Malformed),
        ("a@example.com,b@evil.example", Reason::Malformed),
        ("a@evil.example,b@example.com", Reason::Malformed),
        ("a@example.com;b@evil.example", Reason::Malformed),
        ("a@example.com b@evil.example", Reason::Malformed),
        ("A <a@example.com>", Reason::Malformed),
        ("<a@example.com>", Reason::Malformed),
        ("\"a b\"@example.com", Reason::Malformed),
        ("\"a@evil.example\"@example.com", Reason::Malformed),
        ("a(comment)@example.com", Reason::Malformed),
        ("a@(comment)example.com", Reason::Malformed),
        ("a@example.com\r\nBcc: b@evil.example", Reason::Malformed),
        ("a\r\n@example.com", Reason::Malformed),
        ("a@example.com\n", Reason::Malformed),
        ("a%evil.example@example.com", Reason::Malformed),
        ("evil.example!a@example.com", Reason::Malformed),
        ("a@[127.0.0.1]", Reason::Malformed),
        ("a@127.0.0.1", Reason::Malformed),
        (".a@example.com", Reason::Malformed),
        ("a..b@example.com", Reason::Malformed),
        ("a@example.com.", Reason::Malformed),
        ("a@ex%61mple.com", Reason::Encoded),
        (
            "=?utf-8?q?b=40evil.example=3e?=@example.com",
            Reason::Encoded,
        ),
        ("-oQ/tmp@example.com", Reason::OptionLike),
        ("a@ex\u{430}mple.com", Reason::LookAlike),
        ("\u{430}@example.com", Reason::LookAlike),
        ("mailto:a@example.com", Reason::Malformed),
    ];
    for (address, reason) in cases {
        refused(&constraints, address, reason);
    }
    refused(
        &constraints,
        format!("{}@example.com", "a".repeat(65)),
        Reason::Malformed,
    );
    refused(&constraints, json!(["a@example.com"]), Reason::WrongType);
}

#[test]
fn ordinary_addresses_pass() {
    let constraints = constraints(json!({"kind": "email"}));
    for address in [
        "a@example.com",
        "first.last@example.co.uk",
        "a+tag@example.com",
        "a_b-c@sub.example.org",
        "o'brien@example.com",
        "123@example.com",
        "a@b-c.example",
        "x=y@example.com",
        "#1@example.com",
        "A.B@Example.com",
    ] {
        passes(&constraints, address);
    }
    let sent = check(&constraints, "A.B@Example.COM")
        .unwrap()
        .rewritten
        .unwrap();
    assert_eq!(sent["it"], "A.B@example.com");
    refused(&constraints, "root@localhost", Reason::Host);
}

#[test]
fn what_is_no_listed_domain_is_refused() {
    let constraints = constraints(
        json!({"kind": "domain", "domains": ["registrable:example.com", "*.example.org"]}),
    );
    for name in [
        "example.com",
        "a.b.example.com",
        "EXAMPLE.com.",
        "a.example.org",
    ] {
        passes(&constraints, name);
    }
    let cases = [
        ("", Reason::Empty),
        ("example.org", Reason::Host),
        ("evil.example", Reason::Host),
        ("notexample.com", Reason::Host),
        ("example.com.evil.example", Reason::Host),
        ("localhost", Reason::Host),
        ("https://example.com", Reason::Malformed),
        ("example.com/", Reason::Malformed),
        ("example.com:443", Reason::Malformed),
        ("user@example.com", Reason::Malformed),
        ("example.com evil.example", Reason::Malformed),
        ("example.com\nevil.example", Reason::Malformed),
        ("example.com\0", Reason::Malformed),
        ("example..com", Reason::Malformed),
        (".example.com", Reason::Malformed),
        ("-x.example.com", Reason::Malformed),
        ("*.example.com", Reason::Malformed),
        ("a;id.example.com", Reason::Malformed),
        ("$(id).example.com", Reason::Malformed),
        ("127.0.0.1", Reason::Malformed),
        ("0x7f.1", Reason::Malformed),
        ("2130706433", Reason::Malformed),
        ("[::1]", Reason::Malformed),
        ("ex%61mple.com", Reason::Encoded),
        ("ex\u{430}mple.com", Reason::LookAlike),
        ("xn--exmple-4nf.com", Reason::LookAlike),
        ("example\u{3002}com", Reason::LookAlike),
    ];
    for (name, reason) in cases {
        refused(&constraints, name, reason);
    }
}
