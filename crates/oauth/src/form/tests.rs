use super::*;

fn form(content_type: &'static str, body: &'static str) -> Result<Form, InvalidForm> {
    Form::parse(
        &Request::post("/")
            .header(CONTENT_TYPE, content_type)
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap(),
    )
}

const URLENCODED: &str = "application/x-www-form-urlencoded";

#[test]
fn a_form_is_read_when_it_is_plain() {
    let read = form(URLENCODED, "a=1&b=x%20y+z").unwrap();
    assert_eq!(read.get("a"), "1");
    assert_eq!(read.get("b"), "x y z");
    assert_eq!(read.get("c"), "");
    assert!(form("application/x-www-form-urlencoded; charset=utf-8", "a=1").is_ok());
    assert!(form(URLENCODED, "a=1&a=2").is_err());
    assert!(form("text/plain", "a=1").is_err());
    assert!(form("application/json", "{}").is_err());
    assert!(form(URLENCODED, "a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q").is_err());
}

#[test]
fn a_form_from_elsewhere_is_known_by_what_the_browser_says() {
    let base: Url = "https://gw.example".parse().unwrap();
    for (name, value, ours) in [
        ("sec-fetch-site", "same-origin", true),
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "none", false),
        ("origin", "https://gw.example", true),
        ("origin", "https://gw.example:444", false),
        ("origin", "http://gw.example", false),
        ("origin", "https://gw.example.evil.example", false),
        ("origin", "null", true),
        ("x-other", "", true),
    ] {
        let headers = [(
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )];
        let headers: HeaderMap = headers.into_iter().collect();
        assert_eq!(is_same_origin(&headers, &base), ours, "{name}: {value}");
    }
}
