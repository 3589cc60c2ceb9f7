use super::*;

#[track_caller]
fn check(uri: &str, expected: &str) {
    let parsed = uri
        .parse::<Uri>()
        .map_err(|error| error.to_string())
        .and_then(|uri| Destination::parse(&uri).map_err(|error| error.to_string()));
    let text = match parsed {
        Ok(Destination {
            host: Host::Name(name),
            port,
            encrypted,
        }) => format!("name {name} {port} {encrypted}"),
        Ok(Destination {
            host: Host::Address(address),
            port,
            encrypted,
        }) => format!("address {address} {port} {encrypted}"),
        Err(error) => error,
    };
    assert!(text.starts_with(expected), "{uri}: {text}");
}

#[test]
fn hosts_are_names_or_addresses() {
    check("https://example.com/a?b", "name example.com 443 true");
    check("http://EXAMPLE.com:8080/", "name example.com 8080 false");
    check("https://example.com:/", "name example.com 443 true");
    check("http://my_server/", "name my_server 80 false");
    check(
        "https://xn--bcher-kva.example/",
        "name xn--bcher-kva.example 443",
    );
    check("https://a1.b2c/", "name a1.b2c 443");
    check("http://127.0.0.1:1/", "address 127.0.0.1 1 false");
    check("http://[::1]:2/", "address ::1 2 false");
    check(
        "http://[::ffff:a9fe:a9fe]/",
        "address ::ffff:169.254.169.254 80",
    );
}

#[test]
fn what_has_two_readings_is_refused() {
    for host in [
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.01",
        "127.0.0.1.",
        "0",
        "1.2.3.4.5",
        "example.0x1",
        "example.com.",
        ".example.com",
        "a..b",
        "-a.example",
        "a-.example",
        "a%00.example",
        "a%2eexample",
        "ex!ample",
        "[fe80::1%25eth0]",
        "[::1",
        "",
    ] {
        let uri = format!("https://{host}/");
        let text = uri
            .parse::<Uri>()
            .ok()
            .and_then(|uri| Destination::parse(&uri).ok());
        assert_eq!(text, None, "{host}");
    }
    let long = format!("https://{}/", "a.".repeat(127) + "aa");
    check(&long, "`a.a.");
}

#[test]
fn what_is_not_absolute_is_refused() {
    let refused = "the address is not an absolute http or https URL";
    check("/path", refused);
    check("example.com:443", refused);
    check("ftp://example.com/", refused);
    check("https://user@127.0.0.1/", refused);
    check("https://example.com:443@127.0.0.1/", refused);
    check("https://example.com:0/", refused);
}

proptest::proptest! {
    #[test]
    fn a_canonical_host_is_the_same_when_it_is_read_again(text in "[a-zA-Z0-9.:\\[\\]%_-]{1,40}|\\PC{1,20}|xn--[a-z0-9-]{1,12}") {
        if let Some(host) = Host::canonical(&text) {
            proptest::prop_assert_eq!(Host::canonical(&host.in_authority()), Some(host.clone()));
            if let Host::Name(name) = &host {
                // Nothing was read into it or out of it.
                proptest::prop_assert_eq!(name, &text.to_lowercase());
            }
        }
    }

    #[test]
    fn a_number_in_any_notation_is_no_name(number: u32, zeros in 0_usize..4) {
        let zeros = "0".repeat(zeros);
        for text in [format!("{number}"), format!("0x{zeros}{number:x}"), format!("0{zeros}{number:o}")] {
            for text in [text.clone(), format!("{text}."), format!("1.{text}"), format!("a.{text}")] {
                proptest::prop_assert_eq!(Host::parse(&text), None);
            }
        }
    }
}
