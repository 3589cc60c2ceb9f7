use super::{ProtectedResource, has_token_in_query};

#[test]
fn a_resource_knows_where_its_metadata_is() {
    let base = "https://Gateway.example:443/".parse().unwrap();
    let resource = ProtectedResource::new(&base, "/servers/files/mcp");
    assert_eq!(resource.uri(), "https://gateway.example/servers/files/mcp");
    assert_eq!(
        resource.metadata_url(),
        "https://gateway.example/.well-known/oauth-protected-resource/servers/files/mcp"
    );
    assert_eq!(
        resource.metadata_path(),
        "/.well-known/oauth-protected-resource/servers/files/mcp"
    );
}

#[test]
fn only_addresses_of_the_same_origin_are_beside_it() {
    let base = "https://gateway.example".parse().unwrap();
    let resource = ProtectedResource::new(&base, "/mcp");
    for (audience, beside) in [
        ("https://gateway.example", true),
        ("https://gateway.example/other", true),
        ("https://gateway.example.evil", false),
        ("https://elsewhere.example/mcp", false),
        ("account", false),
    ] {
        assert_eq!(resource.is_beside(audience), beside, "{audience}");
    }
}

#[test]
fn a_token_in_the_query_is_seen_however_it_is_written() {
    for (uri, has) in [
        ("/mcp?access_token=x", true),
        ("/mcp?a=b&access%5Ftoken=x", true),
        ("/mcp?Access_Token", true),
        ("/mcp?token=x", false),
        ("/mcp", false),
    ] {
        assert_eq!(has_token_in_query(&uri.parse().unwrap()), has, "{uri}");
    }
}
