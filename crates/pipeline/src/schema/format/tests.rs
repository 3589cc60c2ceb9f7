use super::*;

#[track_caller]
fn check(name: &str, holds: &[&str], fails: &[&str]) {
    let format = Format::named(name).expect("a known format");
    for text in holds {
        assert!(format.holds(text), "{name}: {text}");
    }
    for text in fails {
        assert!(!format.holds(text), "{name}: {text}");
    }
}

#[test]
fn formats_hold_as_their_documents_say() {
    check(
        "date-time",
        &[
            "2026-11-22T10:00:00Z",
            "1985-04-12t23:20:50.52z",
            "1990-12-31T15:59:60-08:00",
        ],
        &[
            "2026-11-22",
            "2026-13-01T00:00:00Z",
            "2026-11-22T25:00:00Z",
            "2026-11-22T10:00:00",
            "1990-12-31T15:59:60Z",
        ],
    );
    check(
        "date",
        &["2024-02-29"],
        &["2023-02-29", "2026-1-1", "2026-11-31", "२026-11-22"],
    );
    check(
        "time",
        &["00:00:00Z", "12:34:56.789+01:00"],
        &["12:34Z", "24:00:00Z", "12:34:56"],
    );
    check(
        "email",
        &["a@b.example", "\"a b\"@c.example", "a@[127.0.0.1]"],
        &["a", "@b", "a@", ".a@b", "a..b@c", "a b@c"],
    );
    check(
        "hostname",
        &["a", "a-b.example"],
        &["", "-a", "a-", "a_b", "a..b"],
    );
    check(
        "ipv4",
        &["127.0.0.1"],
        &["0177.0.0.1", "127.1", "256.0.0.1"],
    );
    check(
        "ipv6",
        &["::1", "::ffff:1.2.3.4"],
        &["::1%eth0", ":::", "1.2.3.4"],
    );
    check(
        "uri",
        &["https://a.example/b?c#d", "urn:x:y", "mailto:a@b"],
        &[
            "/a",
            "a",
            "https://a b",
            "http://[::1",
            "http://x/%zz",
            "http://x\\y",
        ],
    );
    check(
        "uuid",
        &["2eb8aa08-AA98-11ea-b4aa-73b441d16380"],
        &["2eb8aa08aa9811eab4aa73b441d16380", "x"],
    );
    assert_eq!(Format::named("color"), None);
}
