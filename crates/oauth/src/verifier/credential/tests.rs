use http::{HeaderMap, Method};

use super::{Presented, Reason, Scheme, Shown, fingerprint, read};
use crate::dpop::Mode;

#[track_caller]
fn check(fields: &[&str], dpop: Mode, expected: Result<(&str, Scheme), Reason>) {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append("authorization", field.parse().unwrap());
    }
    let presented = Presented {
        headers: &headers,
        method: &Method::POST,
        certificate: None,
        peer: None,
    };
    let found = match read(&presented, dpop) {
        Ok(Shown::Token { token, scheme }) => Ok((token, scheme)),
        Ok(Shown::Certificate(_)) => panic!("no certificate was shown"),
        Err(refused) => Err(refused.reason),
    };
    assert_eq!(found, expected, "{fields:?}");
}

#[test]
fn one_token_comes_in_one_header() {
    let bearer = |token| Ok((token, Scheme::Bearer));
    check(&["Bearer abc"], Mode::Off, bearer("abc"));
    check(
        &["bEARER  a.b-c_d~e+f/g=="],
        Mode::Off,
        bearer("a.b-c_d~e+f/g=="),
    );
    check(&["DPoP abc"], Mode::Accepted, Ok(("abc", Scheme::Dpop)));
    check(&["dpop abc"], Mode::Required, Ok(("abc", Scheme::Dpop)));
    check(&["DPoP abc"], Mode::Off, Err(Reason::Scheme));
    check(&["Basic YTpi"], Mode::Off, Err(Reason::Scheme));
    check(&[], Mode::Off, Err(Reason::Missing));
    for fields in [
        ["Bearer"].as_slice(),
        &["Bearer "],
        &["Bearer ="],
        &["Bearer a b"],
        &["Bearer a,b"],
        &["Bearer a, Bearer b"],
        &["Bearer abc", "Bearer abc"],
        &["Basic YTpi", "Bearer abc"],
        &["Bearer \"abc\""],
    ] {
        check(fields, Mode::Off, Err(Reason::Header));
    }
    let large = format!("Bearer {}", "a".repeat(16 * 1024 + 1));
    check(&[&large], Mode::Off, Err(Reason::Header));
}

#[test]
fn a_fingerprint_is_read_as_openssl_prints_it() {
    assert_eq!(fingerprint(&"aB".repeat(32)), Some([0xab; 32]));
    assert_eq!(fingerprint(&["0F"; 32].join(":")), Some([0x0f; 32]));
    for wrong in [
        "",
        "ab",
        &"ab".repeat(33),
        &"xy".repeat(32),
        &"a".repeat(63),
    ] {
        assert_eq!(fingerprint(wrong), None, "{wrong}");
    }
}
