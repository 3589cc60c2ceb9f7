use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[track_caller]
fn check(server: &str, learnt: &str, expected: Option<Reach>) {
    let trust = Trust::new(&url(server), [url("https://idp.corp.example")].iter());
    assert_eq!(trust.reach(&url(learnt)), expected, "{server} {learnt}");
}

#[test]
fn a_public_server_leads_to_public_addresses_over_https_only() {
    let server = "https://mcp.example/mcp";
    check(server, "https://as.example/token", Some(Reach::Public));
    check(server, "https://mcp.example/token", Some(Reach::Configured));
    check(
        server,
        "https://idp.corp.example/t",
        Some(Reach::Configured),
    );
    // Egress refuses what these resolve to.
    check(server, "https://127.0.0.1/token", Some(Reach::Public));
    check(server, "https://localhost/token", Some(Reach::Public));
    check(server, "https://mcp.example:8443/x", Some(Reach::Public));
    for refused in [
        "http://as.example/token",
        "http://127.0.0.1:1/token",
        "http://localhost:1/token",
        "http://mcp.example/token",
        "http://169.254.169.254/latest",
        "https://user@as.example/",
        "https://as.example/#x",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://as.example/",
    ] {
        check(server, refused, None);
    }
}

#[test]
fn a_server_on_this_machine_may_lead_to_this_machine_and_no_private_network() {
    let server = "http://localhost:3000/mcp";
    check(
        server,
        "http://127.0.0.1:4000/token",
        Some(Reach::Configured),
    );
    check(server, "http://[::1]:4000/token", Some(Reach::Configured));
    check(server, "http://localhost:4000/x", Some(Reach::Configured));
    check(server, "https://10.0.0.1/token", Some(Reach::Public));
    check(server, "http://10.0.0.1/token", None);
    check(server, "http://localhost.evil.example/x", None);
}

#[test]
fn a_private_server_leads_to_itself_and_the_public_internet() {
    let server = "https://10.1.2.3/mcp";
    check(server, "https://10.1.2.3/token", Some(Reach::Configured));
    check(server, "https://10.1.2.4/token", Some(Reach::Public));
    check(server, "http://127.0.0.1/token", None);
}
