use super::*;

#[test]
fn only_a_path_of_ours_is_returned_to() {
    let base: Url = "https://gw.example".parse().unwrap();
    for (text, expected) in [
        ("/", Some("/")),
        ("/a/b?c=d&e=%2F", Some("/a/b?c=d&e=%2F")),
        ("/a#b", Some("/a")),
        ("/a/../b", Some("/b")),
        (
            "/x?u=https://evil.example",
            Some("/x?u=https://evil.example"),
        ),
        ("", None),
        ("a", None),
        ("//evil.example", None),
        ("///evil.example", None),
        ("/\\evil.example", None),
        ("/a\\b", None),
        ("/.//evil.example", None),
        ("/a/..//evil.example", None),
        ("/%2e//evil.example", None),
        ("/\tevil.example", None),
        ("/\n/evil.example", None),
        (" /a", None),
        ("/é", None),
        ("https://gw.example/a", None),
        ("https://evil.example/", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("?a=b", None),
    ] {
        assert_eq!(local(&base, text).as_deref(), expected, "{text:?}");
    }
    assert_eq!(local(&base, &format!("/{}", "a".repeat(BYTES_MAX))), None);
}
