use super::*;

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).unwrap().to_str().unwrap()
}

#[test]
fn a_page_has_every_header_that_bounds_it() {
    let response = message(StatusCode::OK, "Title", "Text");
    let policy = header(&response, "content-security-policy");
    for part in [
        "default-src 'none'",
        "img-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{part}");
    }
    assert_eq!(header(&response, "x-frame-options"), "DENY");
    assert_eq!(header(&response, "referrer-policy"), "no-referrer");
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert_eq!(
        header(&response, "cross-origin-opener-policy"),
        "same-origin"
    );
}

#[test]
fn the_style_is_the_one_that_the_policy_names() {
    let response = message(StatusCode::OK, "Title", "Text");
    let html = std::str::from_utf8(response.body()).unwrap();
    let style = html.split("<style>").nth(1).unwrap();
    let style = style.split("</style>").next().unwrap();
    let hash = STANDARD.encode(secret::sha256(style.as_bytes()));
    assert!(header(&response, "content-security-policy").contains(&hash));
}

#[test]
fn what_a_page_shows_is_escaped() {
    let response = message(StatusCode::OK, "<script>", "\"><img src=x>");
    let html = std::str::from_utf8(response.body()).unwrap();
    assert!(!html.contains("<script>") && !html.contains("<img"));
}

#[test]
fn a_form_target_is_an_origin_or_a_scheme() {
    for (address, target) in [
        ("https://a.example/cb?x=1", "https://a.example"),
        ("http://127.0.0.1:9000/cb", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/cb", "http:"),
        ("com.example.app:/cb", "com.example.app:"),
    ] {
        assert_eq!(form_target(&address.parse().unwrap()), target);
    }
}

#[test]
fn a_form_target_cannot_begin_another_directive() {
    let response = respond(
        StatusCode::OK,
        String::new(),
        &["https://ok.example", "x; script-src *"],
    );
    let policy = header(&response, "content-security-policy");
    assert!(policy.contains("https://ok.example") && !policy.contains("script-src"));
}

#[test]
fn hsts_is_for_https_alone() {
    for (base, present) in [("https://gw.example", true), ("http://127.0.0.1", false)] {
        let mut headers = HeaderMap::new();
        transport(&mut headers, &base.parse().unwrap());
        assert_eq!(headers.contains_key(STRICT_TRANSPORT_SECURITY), present);
    }
}
