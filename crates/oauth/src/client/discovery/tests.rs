use super::*;

#[track_caller]
fn check(resource: &str, server: &str, expected: bool) {
    let server = Url::parse(server).unwrap();
    assert_eq!(covers(resource, &server), expected, "{resource} {server}");
}

#[test]
fn a_resource_is_the_server_or_what_it_is_in() {
    check("https://s.example/mcp", "https://s.example/mcp", true);
    check("https://s.example", "https://s.example/mcp", true);
    check("https://s.example/", "https://s.example/mcp", true);
    check("https://S.example:443/mcp", "https://s.example/mcp", true);
    check("https://s.example/a", "https://s.example/a/mcp", true);
    check("https://s.example/mc", "https://s.example/mcp", false);
    check("https://s.example/mcp/x", "https://s.example/mcp", false);
    check("https://s.example/other", "https://s.example/mcp", false);
    check("https://evil.example/mcp", "https://s.example/mcp", false);
    check("http://s.example/mcp", "https://s.example/mcp", false);
    check("https://s.example:8443/mcp", "https://s.example/mcp", false);
    check("https://u@s.example/mcp", "https://s.example/mcp", false);
    check("https://s.example/mcp#x", "https://s.example/mcp", false);
    check("https://s.example/mcp?a=b", "https://s.example/mcp", false);
    check("urn:x:y", "https://s.example/mcp", false);
    check("", "https://s.example/mcp", false);
}

#[test]
fn an_issuer_is_compared_byte_for_byte() {
    let server = Url::parse("https://s.example/mcp").unwrap();
    let trust = Trust::new(&server, [].iter());
    let document = |issuer: &str| {
        format!(r#"{{"issuer":"{issuer}","token_endpoint":"https://as.example/token"}}"#)
    };
    let read = |issuer: &str| read(document(issuer).as_bytes(), "https://as.example", &trust);
    assert!(read("https://as.example").is_ok());
    for other in [
        "https://as.example/",
        "https://AS.example",
        "https://as.example:443",
        "HTTPS://as.example",
        "https://evil.example",
        "",
    ] {
        assert!(
            matches!(read(other), Err(DiscoveryError::Issuer)),
            "{other}"
        );
    }
}

#[test]
fn endpoints_are_https() {
    let server = Url::parse("https://s.example/mcp").unwrap();
    let trust = Trust::new(&server, [].iter());
    for endpoint in [
        "http://as.example/t",
        "javascript:alert(1)",
        "file:///etc/passwd",
    ] {
        let bytes = format!(
            r#"{{"issuer":"https://as.example","token_endpoint":"https://as.example/token",
                "authorization_endpoint":"{endpoint}"}}"#
        );
        let answer = read(bytes.as_bytes(), "https://as.example", &trust);
        assert!(
            matches!(
                answer,
                Err(DiscoveryError::Endpoint(_) | DiscoveryError::Unprintable)
            ),
            "{endpoint}"
        );
    }
}

#[test]
fn an_endpoint_of_another_site_has_to_name_itself() {
    let is_believed = |endpoint: &str, names_itself: bool| {
        let server = Url::parse("https://s.example/mcp").unwrap();
        let trust = Trust::new(&server, [].iter());
        let bytes = format!(
            r#"{{"issuer":"https://as.example.com/t","token_endpoint":"https://as.example.com/token",
                "authorization_endpoint":"{endpoint}",
                "authorization_response_iss_parameter_supported":{names_itself}}}"#
        );
        let answer = read(bytes.as_bytes(), "https://as.example.com/t", &trust);
        match answer {
            Ok(_) => true,
            Err(DiscoveryError::MixUp) => false,
            Err(other) => panic!("{endpoint}: {other}"),
        }
    };
    assert!(is_believed("https://as.example.com/a", false));
    assert!(is_believed("https://login.example.com/a", false));
    assert!(!is_believed("https://example.org/a", false));
    assert!(!is_believed("https://as.example.com.attacker.net/a", false));
    assert!(is_believed("https://example.org/a", true));
    // A public suffix is nobody's.
    assert!(!is_believed("https://com/a", false));
}
