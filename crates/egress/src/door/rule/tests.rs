use super::*;

#[track_caller]
fn host(text: &str) -> Host {
    Host::canonical(text).unwrap()
}

#[track_caller]
fn check(rule: &str, shown: &str, covered: &[&str], other: &[&str]) {
    let rule: Rule = rule.parse().unwrap();
    assert_eq!(rule.to_string(), shown);
    assert_eq!(shown.parse::<Rule>().unwrap(), rule);
    for text in covered {
        assert!(rule.covers(&host(text)), "{rule} covers {text}");
    }
    for text in other {
        assert!(!rule.covers(&host(text)), "{rule} does not cover {text}");
    }
}

#[test]
fn a_rule_covers_what_it_says() {
    let github = ["API.github.com"];
    check("api.github.com", "api.github.com", &github, &["github.com"]);
    check("https://api.github.com:443", "api.github.com", &github, &[]);
    check("api.github.com:8443", "api.github.com:8443", &github, &[]);
    check("http://intra:80", "http://intra", &["intra"], &["intra.a"]);
    check("http://intra:81", "http://intra:81", &["intra"], &[]);
    check("tcp://db.a:5432", "tcp://db.a:5432", &["db.a"], &["a"]);
}

#[test]
fn a_wildcard_covers_what_is_below_and_not_the_name_itself() {
    let below = ["a.npmjs.example", "a.b.npmjs.example"];
    let other = [
        "npmjs.example",
        "anpmjs.example",
        "a.npmjs.example.evil.test",
        "npmjs.example.evil.test",
    ];
    check("*.npmjs.example:443", "*.npmjs.example", &below, &other);
}

#[test]
fn a_network_covers_what_its_writer_meant() {
    check(
        "10.0.0.0/8:5432",
        "10.0.0.0/8:5432",
        &["10.0.0.1", "10.255.255.255"],
        &["11.0.0.1", "ten.example"],
    );
    check("127.0.0.1", "127.0.0.1", &["127.0.0.1"], &["127.0.0.2"]);
    check("[::1]:8443", "[::1]:8443", &["[::1]"], &["[::2]"]);
    check(
        "[2001:db8::]/32:443",
        "[2001:db8::]/32",
        &["[2001:db8::1]"],
        &["[2001:db9::1]"],
    );
    // A network of everything is one of the internet.
    check(
        "0.0.0.0/0",
        "0.0.0.0/0",
        &["1.1.1.1"],
        &[
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "100.100.100.200",
        ],
    );
    check(
        "[::]/0",
        "[::]/0",
        &["[2600::1]"],
        &["[::1]", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::1]"],
    );
    // A metadata service within a private network is not meant by it.
    check(
        "100.64.0.0/10",
        "100.64.0.0/10",
        &["100.64.0.1"],
        &["100.100.100.200"],
    );
    check(
        "[fd00::]/8",
        "[fd00::]/8",
        &["[fd00::1]"],
        &["[fd00:ec2::254]"],
    );
    check(
        "169.254.0.0/16",
        "169.254.0.0/16",
        &["169.254.169.254"],
        &[],
    );
    check(
        "100.100.100.200",
        "100.100.100.200",
        &["100.100.100.200"],
        &[],
    );
}

#[track_caller]
fn check_error(rule: &str, expected: &str) {
    assert_eq!(rule.parse::<Rule>().unwrap_err().to_string(), expected);
}

#[test]
fn what_is_no_rule_is_told_with_what_was_meant() {
    check_error(
        "htps://a.b",
        "`htps` is not a scheme of rules; write `https`",
    );
    check_error(
        "gopher://a.b",
        "`gopher` is not a scheme of rules; write `https`, `http` or `tcp`",
    );
    check_error(
        "Example.com",
        "`Example.com` is not a host name or address; write `example.com`",
    );
    check_error(
        "example.com.",
        "`example.com.` is not a host name or address; write `example.com`",
    );
    check_error(
        "b\u{fc}cher.example",
        "`b\u{fc}cher.example` is not a host name or address; write `xn--bcher-kva.example`",
    );
    check_error(
        "my_host",
        "`my_host` is not a host name or address; write it in lower case, without a dot at its end",
    );
    check_error(
        "[::ffff:10.0.0.1]",
        "`[::ffff:10.0.0.1]` is not a host name or address; write `10.0.0.1`",
    );
    check_error(
        "2001:db8::1",
        "`2001:db8::1` is not a host name or address; write `[2001:db8::1]`",
    );
    check_error(
        "10.0.0.1/8",
        "`10.0.0.1/8` is not a network; write `10.0.0.0/8`",
    );
    check_error(
        "10.0.0.0/33",
        "`10.0.0.0/33` is not a network; write one like `10.0.0.0/8`",
    );
    check_error(
        "github.com/foo",
        "`github.com/foo` is more than a host and a port; remove the user, path or query",
    );
    check_error(
        "https://u@github.com",
        "`https://u@github.com` is more than a host and a port; remove the user, path or query",
    );
    for text in ["a.*.example", "*a.example", "*.*.example", "*.10.0.0.1"] {
        check_error(
            text,
            &format!(
                "`{text}` has a wildcard in the wrong place; write `*.` before a name, as in \
                 `*.example.com`"
            ),
        );
    }
    for text in ["*.com", "*.co.uk", "*.github.io"] {
        check_error(
            text,
            &format!("anyone can register a name that `{text}` covers; name the hosts"),
        );
    }
    for port in ["0", "65536", "*", "+1", "080", ""] {
        check_error(
            &format!("a.b:{port}"),
            &format!("`{port}` is not a port; write one from 1 to 65535"),
        );
    }
    check_error(
        "tcp://db.a",
        "`tcp://db.a` has no port; write one, as in `tcp://db.a:5432`",
    );
    for text in [
        "",
        " a.b",
        "a b.c",
        "a\0.b",
        "a%2eb",
        "a..b",
        "xn--a.example",
        "xn--.example",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
    ] {
        let error = text.parse::<Rule>().unwrap_err();
        assert!(matches!(error, RuleError::Host { .. }), "{text:?} {error}");
    }
}

#[test]
fn methods_are_for_plain_http_alone() {
    let rule: Rule = "http://intra".parse().unwrap();
    let rule = rule.methods(["GET", "HEAD"]).unwrap();
    assert!(rule.takes(Some(&Method::GET)));
    assert!(!rule.takes(Some(&Method::POST)));
    assert!(!rule.takes(None));
    let rule = |text: &str| text.parse::<Rule>().unwrap();
    assert_eq!(
        rule("a.b").methods(["GET"]).unwrap_err().to_string(),
        "the methods of `a.b` cannot be seen; write `http://`, or remove them"
    );
    assert_eq!(
        rule("http://a.b").methods(["get"]).unwrap_err().to_string(),
        "`get` is not a method; write `GET`"
    );
    assert_eq!(
        rule("http://a.b").methods([]).unwrap_err().to_string(),
        "`http://a.b` names no method, and so allows nothing; name one, or remove the list"
    );
    assert!(rule("a.b").tools([]).is_err());
}
