//! URLs lead where they seem to, and what they lead to is handed out to be resolved.

use portcullis_constraint::Reason;
use serde_json::json;

use crate::support::{check, compile, constraints, nowhere, passes, refused, rule};

#[test]
fn spellings_that_readers_understand_differently_are_refused() {
    let constraints = constraints(json!({"kind": "url", "schemes": ["http", "https"]}));
    let cases = [
        ("", Reason::Empty),
        ("example.com", Reason::Malformed),
        ("//example.com/", Reason::Malformed),
        ("https:example.com", Reason::Malformed),
        ("https:/example.com", Reason::Malformed),
        ("https:///example.com", Reason::Malformed),
        ("https://", Reason::Malformed),
        ("https://?x", Reason::Malformed),
        ("javascript:alert(1)", Reason::Malformed),
        ("data:text/html,x", Reason::Malformed),
        ("file:///etc/passwd", Reason::Malformed),
        ("file://localhost/etc/passwd", Reason::Scheme),
        ("gopher://example.com:70/_x", Reason::Scheme),
        ("dict://example.com:11211/stat", Reason::Scheme),
        ("ldap://example.com", Reason::Scheme),
        ("ftp://example.com/", Reason::Scheme),
        ("jar:http://example.com!/", Reason::Malformed),
        ("ext::sh -c id", Reason::Ambiguous),
        ("https://user:pw@example.com/", Reason::Credentials),
        ("https://example.com@evil.example/", Reason::Credentials),
        ("https://example.com:443@evil.example/", Reason::Credentials),
        ("https://@example.com/", Reason::Credentials),
        ("https://example.com\\@evil.example/", Reason::Ambiguous),
        ("https:\\\\example.com/", Reason::Ambiguous),
        ("https://example.com/\\..\\a", Reason::Ambiguous),
        (" https://example.com/", Reason::Ambiguous),
        ("https://example.com/a b", Reason::Ambiguous),
        ("https://exam\tple.com/", Reason::Invisible),
        ("https://example.com/\r\nHost: evil", Reason::Invisible),
        ("https://example.com\0.evil.example/", Reason::Invisible),
        ("https://exam\u{200b}ple.com/", Reason::Invisible),
        ("https://exam\u{ad}ple.com/", Reason::Invisible),
        ("https://%65xample.com/", Reason::Encoded),
        ("https://127%2e0.0.1/", Reason::Encoded),
        ("https://ex\u{430}mple.com/", Reason::LookAlike),
        ("https://\u{2460}\u{2461}\u{2466}.0.0.1/", Reason::LookAlike),
        ("https://127\u{3002}0\u{3002}0\u{3002}1/", Reason::LookAlike),
        ("https://xn--80ak6aa92e.com/", Reason::LookAlike),
        (
            "https://example.com\u{ff0f}.evil.example/",
            Reason::Ambiguous,
        ),
        ("http://localhost/", Reason::Host),
        ("http://localhost:9001/", Reason::Host),
        ("http://LOCALHOST./", Reason::Host),
        ("http://metadata/computeMetadata/v1/", Reason::Host),
        ("http://metadata.google.internal/", Reason::Host),
        ("http://instance-data", Reason::Host),
        ("http://printer.local/", Reason::Host),
        ("http://router.home.arpa/", Reason::Host),
        ("https://example.com:22/", Reason::Port),
        ("https://example.com:25/", Reason::Port),
        ("https://example.com:0/", Reason::Port),
        ("https://example.com:99999/", Reason::Malformed),
        ("https://exa mple.com/", Reason::Ambiguous),
        ("https://example..com/", Reason::Malformed),
        ("https://[::1/", Reason::Malformed),
        ("https://[fe80::1%25eth0]/", Reason::Encoded),
        ("https://1.2.3.4.5/", Reason::Malformed),
    ];
    for (url, reason) in cases {
        refused(&constraints, url, reason);
    }
    refused(
        &constraints,
        format!("https://example.com/{}", "a".repeat(9000)),
        Reason::TooLarge,
    );
}

#[test]
fn addresses_in_all_disguises_are_handed_out_as_addresses() {
    let constraints = constraints(json!({"kind": "url", "schemes": ["http"]}));
    let cases = [
        ("http://127.0.0.1/", "127.0.0.1"),
        ("http://127.1/", "127.0.0.1"),
        ("http://2130706433/", "127.0.0.1"),
        ("http://0x7f000001/", "127.0.0.1"),
        ("http://0x7f.1/", "127.0.0.1"),
        ("http://0177.0.0.1/", "127.0.0.1"),
        ("http://017700000001/", "127.0.0.1"),
        ("http://0/", "0.0.0.0"),
        ("http://0.0.0.0:8080/", "0.0.0.0"),
        (
            "http://169.254.169.254/latest/meta-data/",
            "169.254.169.254",
        ),
        ("http://0xa9fea9fe/", "169.254.169.254"),
        ("http://2852039166/", "169.254.169.254"),
        ("http://0xA9.0xFE.0xA9.0xFE/", "169.254.169.254"),
        ("http://127.0.0.1./", "127.0.0.1"),
        ("http://[::1]/", "[::1]"),
        ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"),
        ("http://[::ffff:7f00:1]/", "[::ffff:7f00:1]"),
        ("http://[0:0:0:0:0:0:0:1]/", "[::1]"),
        ("http://[64:ff9b::7f00:1]/", "[64:ff9b::7f00:1]"),
        ("http://192.168.0.1:8080/", "192.168.0.1"),
        ("http://127.0.0.1.nip.io/", "127.0.0.1.nip.io"),
        ("http://localtest.me/", "localtest.me"),
        ("http://EXAMPLE.com./", "example.com"),
    ];
    for (url, host) in cases {
        passes(&constraints, url);
        let checked = check(&constraints, url).unwrap();
        let hosts: Vec<_> = checked
            .hosts
            .iter()
            .map(|host| host.host.to_string())
            .collect();
        assert_eq!(hosts, [host], "{url}");
        let sent = checked
            .rewritten
            .map_or(url.to_owned(), |new| new["it"].as_str().unwrap().to_owned());
        assert!(sent.contains(host), "{url} is sent as {sent}");
    }
}

#[test]
fn ordinary_urls_pass_as_they_are() {
    let constraints = constraints(json!({"kind": "url"}));
    for url in [
        "https://example.com/",
        "https://example.com/a/b?c=d&e=%20f#g",
        "https://sub.example.co.uk/",
        "https://example.com:8443/x",
        "https://docs.rs/url/latest/url/struct.Url.html#method.parse",
        "https://en.wikipedia.org/wiki/Portcullis_(gate)",
        "https://example.com/%E2%9C%93",
        "https://1.1.1.1/dns-query",
        "https://[2606:4700:4700::1111]/",
        "https://a_b.example.com/",
        "https://api.github.com/repos/o/r/contents/a%2Fb?ref=main",
    ] {
        passes(&constraints, url);
        assert_eq!(check(&constraints, url).unwrap().rewritten, None, "{url}");
    }
    let sent = check(&constraints, "HTTPS://Example.COM:443/a/../b")
        .unwrap()
        .rewritten
        .unwrap();
    assert_eq!(sent["it"], "https://example.com/b");
}

#[test]
fn hosts_are_held_to_their_patterns() {
    let constraints = constraints(json!({"kind": "url",
        "hosts": ["api.example.com", "*.cdn.example.net", "registrable:example.co.uk", "10.0.0.7"]}));
    for url in [
        "https://api.example.com/",
        "https://API.example.com./x",
        "https://a.cdn.example.net/",
        "https://a.b.cdn.example.net/",
        "https://example.co.uk/",
        "https://x.example.co.uk/",
        "https://10.0.0.7/",
    ] {
        passes(&constraints, url);
    }
    for url in [
        "https://example.com/",
        "https://api.example.com.evil.example/",
        "https://evilapi.example.com/",
        "https://cdn.example.net/",
        "https://evilcdn.example.net/",
        "https://evil.co.uk/",
        "https://notexample.co.uk/",
        "https://10.0.0.8/",
        "https://evil.example/?api.example.com",
        "https://evil.example/#@api.example.com",
        "https://co.uk/",
    ] {
        refused(&constraints, url, Reason::Host);
    }
}

#[test]
fn paths_and_ports_are_held_to_their_lists() {
    let constraints =
        constraints(json!({"kind": "url", "paths": ["/api/v1", "/docs/"], "ports": [443]}));
    for path in [
        "api/v1",
        "api/v1/x",
        "docs",
        "docs/a",
        "api/v1/a%20b",
        "api/v1/../v1/x",
    ] {
        passes(&constraints, format!("https://example.com/{path}"));
    }
    for (path, reason) in [
        ("api/v2", Reason::UrlPath),
        ("api/v10", Reason::UrlPath),
        ("", Reason::UrlPath),
        ("api/v1/../admin", Reason::UrlPath),
        ("api/v1/%2e%2e/admin", Reason::UrlPath),
        ("api/v1/..%2fadmin", Reason::Encoded),
        ("api/v1/..;/admin", Reason::Encoded),
        ("api/v1/%252e%252e/admin", Reason::Encoded),
        ("api/v1//admin", Reason::Encoded),
        ("API/v1", Reason::UrlPath),
    ] {
        refused(&constraints, format!("https://example.com/{path}"), reason);
    }
    refused(&constraints, "https://example.com:8443/docs", Reason::Port);
}

#[test]
fn international_names_pass_only_where_permitted_and_unmixed() {
    let constraints = constraints(json!({"kind": "url", "international": true}));
    passes(&constraints, "https://bücher.example.com/");
    passes(&constraints, "https://xn--bcher-kva.example.com/");
    passes(&constraints, "https://例え.jp/");
    refused(
        &constraints,
        "https://ex\u{430}mple.com/",
        Reason::LookAlike,
    );
    refused(
        &constraints,
        "https://xn--exmple-4nf.com/",
        Reason::LookAlike,
    );
}

#[test]
fn networks_go_with_the_host_and_open_local_names() {
    let constraints = constraints(json!({"kind": "url", "networks": ["10.1.0.0/16"]}));
    let checked = check(&constraints, "https://wiki.internal:8443/").unwrap();
    assert_eq!(checked.hosts[0].networks[0].to_string(), "10.1.0.0/16");
    assert_eq!(checked.hosts[0].port, Some(8443));
    assert_eq!(checked.hosts[0].pointer, "/it");
}

#[test]
fn rules_that_mean_nothing_definite_are_refused_when_compiled() {
    for json in [
        json!({"kind": "url", "hosts": ["*.co.uk"]}),
        json!({"kind": "url", "hosts": ["*.com"]}),
        json!({"kind": "url", "hosts": ["*.github.io"]}),
        json!({"kind": "url", "hosts": ["registrable:co.uk"]}),
        json!({"kind": "url", "hosts": ["registrable:a.example.com"]}),
        json!({"kind": "url", "hosts": ["*"]}),
        json!({"kind": "url", "hosts": ["a*.example.com"]}),
        json!({"kind": "url", "hosts": ["https://example.com"]}),
        json!({"kind": "url", "hosts": [""]}),
        json!({"kind": "url", "schemes": ["file"]}),
        json!({"kind": "url", "schemes": ["ssh"]}),
        json!({"kind": "url", "paths": ["api"]}),
        json!({"kind": "url", "paths": ["/a/../b"]}),
    ] {
        assert!(compile(rule(json.clone()), &nowhere()).is_err(), "{json}");
    }
}
