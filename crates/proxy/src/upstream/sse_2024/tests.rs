use super::*;

#[track_caller]
fn check(address: &str, expected: Option<&str>) {
    let base = Url::parse("https://host.example/a/sse").unwrap();
    let found = resolve(&base, address.as_bytes()).ok();
    assert_eq!(found.as_ref().map(Url::as_str), expected);
}

#[test]
fn an_endpoint_is_of_the_same_origin() {
    check("/messages?id=1", Some("https://host.example/messages?id=1"));
    check("messages", Some("https://host.example/a/messages"));
    check("?id=1", Some("https://host.example/a/sse?id=1"));
    check("https://host.example:443/m", Some("https://host.example/m"));
    check("//other.example/m", None);
    check("\\\\other.example/m", None);
    check("http://host.example/m", None);
    check("https://host.example:444/m", None);
    check("https://host.example.other.example/m", None);
    check("https://user@host.example/m", None);
    check("data:text/plain,x", None);
    check("file:///etc/passwd", None);
}
