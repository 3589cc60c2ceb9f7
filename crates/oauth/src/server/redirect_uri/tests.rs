use super::*;

#[track_caller]
fn refused(text: &str, why: InvalidRedirectUri) {
    assert_eq!(RedirectUri::parse(text), Err(why), "{text}");
}

#[test]
fn what_may_not_be_registered_is_refused() {
    use InvalidRedirectUri::*;
    for (text, why) in [
        ("", Malformed),
        ("/relative", Malformed),
        ("//host/cb", Malformed),
        ("https://host/cb\r\nSet-Cookie: a", Malformed),
        ("https://host\\@evil.example/", Malformed),
        ("https://höst/cb", Malformed),
        ("https://host/cb#f", Fragment),
        ("https://host/cb#", Fragment),
        ("https://good.example@evil.example/cb", UserInfo),
        ("https://a:b@evil.example/cb", UserInfo),
        ("https://@evil.example/cb", Host),
        ("https://*.example/cb", Wildcard),
        ("https://host/*", Wildcard),
        ("https:host/cb", Host),
        ("https:///host/cb", Host),
        ("http://host/cb", PlainHttp),
        ("http://127.0.0.1.evil.example/cb", PlainHttp),
        ("http://localhost.evil.example/cb", PlainHttp),
        ("http://127.0.0.2/cb", PlainHttp),
        ("javascript:alert(1)", Scheme),
        ("JaVaScRiPt:alert(1)", Scheme),
        ("data:text/html,x", Scheme),
        ("file:///etc/passwd", Scheme),
        ("blob:https://host/1", Scheme),
        ("ftp://host/cb", Scheme),
        ("myapp:/cb", Scheme),
        ("vbscript:x", Scheme),
    ] {
        refused(text, why);
    }
    refused(&format!("https://host/{}", "a".repeat(2048)), TooLong);
}

#[track_caller]
fn check(registered: &str, asked: &str, allowed: bool) {
    let registered = RedirectUri::parse(registered).unwrap();
    let matched = RedirectUri::parse(asked).is_ok_and(|asked| registered.allows(&asked));
    assert_eq!(matched, allowed, "{asked}");
}

#[test]
fn only_what_is_registered_byte_for_byte_is_allowed() {
    let https = "https://app.example/cb";
    check(https, https, true);
    for asked in [
        "https://app.example/cb/",
        "https://app.example/cb?x=1",
        "https://app.example/cb/../evil",
        "https://app.example/CB",
        "https://APP.example/cb",
        "https://app.example:443/cb",
        "https://app.example.evil.example/cb",
        "https://app.example:8443/cb",
        "https://app.example%2ecb/cb",
        "http://app.example/cb",
        "https://app.example./cb",
    ] {
        check(https, asked, false);
    }
}

#[test]
fn only_the_port_of_a_loopback_address_may_differ() {
    let local = "http://127.0.0.1:1234/cb";
    check(local, "http://127.0.0.1:9/cb", true);
    check(local, "http://127.0.0.1/cb", true);
    check("http://127.0.0.1/cb", "http://127.0.0.1:9/cb", true);
    check("http://[::1]/cb", "http://[::1]:9/cb", true);
    check("http://localhost/cb", "http://localhost:9/cb", true);
    for asked in [
        "http://localhost:1234/cb",
        "http://[::1]:1234/cb",
        "http://127.0.0.1:1234/other",
        "http://127.0.0.1:1234/cb?x",
        "https://127.0.0.1:1234/cb",
        "http://127.1:1234/cb",
        "http://2130706433:1234/cb",
    ] {
        check(local, asked, false);
    }
    check("https://localhost:1/cb", "https://localhost:2/cb", false);
}

#[test]
fn parameters_are_added_without_touching_the_rest() {
    let uri = RedirectUri::parse("https://app.example/cb?a=%41").unwrap();
    assert_eq!(
        uri.with(&[("state", "x&y")]),
        "https://app.example/cb?a=%41&state=x%26y"
    );
    let bare = RedirectUri::parse("http://127.0.0.1:9").unwrap();
    assert_eq!(bare.with(&[("code", "c")]), "http://127.0.0.1:9?code=c");
}

#[test]
fn places_show_where_the_code_goes() {
    for (text, place, local) in [
        ("https://app.example/cb", "https://app.example", false),
        (
            "https://app.example:8443/cb",
            "https://app.example:8443",
            false,
        ),
        ("http://127.0.0.1:9/cb", "http://127.0.0.1", true),
        ("http://[::1]:9/cb", "http://[::1]", true),
        ("com.example.app:/cb", "com.example.app:", true),
        (
            "https://xn--pple-43d.example/cb",
            "https://xn--pple-43d.example",
            false,
        ),
    ] {
        let uri = RedirectUri::parse(text).unwrap();
        assert_eq!((uri.place().as_str(), uri.is_local()), (place, local));
    }
}
