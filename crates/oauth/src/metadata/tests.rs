use serde_json::{Value, json};

use super::{Facts, document};
use crate::dpop::Mode;
use crate::resource::ProtectedResource;

fn read(facts: &Facts<'_>) -> Value {
    let base = "https://gateway.example".parse().unwrap();
    let resource = ProtectedResource::new(&base, "/mcp");
    serde_json::from_slice(&document(&resource, facts)).unwrap()
}

#[test]
fn the_document_says_where_tokens_come_from() {
    let scopes = "tools:read offline_access".parse().unwrap();
    let mut facts = Facts {
        authorization_servers: &["https://gateway.example"],
        scopes: &scopes,
        dpop: Mode::Off,
        mutual_tls: false,
    };
    assert_eq!(
        read(&facts),
        json!({
            "resource": "https://gateway.example/mcp",
            "authorization_servers": ["https://gateway.example"],
            "scopes_supported": ["tools:read"],
            "bearer_methods_supported": ["header"],
        })
    );
    facts.dpop = Mode::Required;
    facts.mutual_tls = true;
    let bound = read(&facts);
    assert_eq!(
        bound["dpop_signing_alg_values_supported"],
        json!(["ES256", "ES384", "EdDSA", "RS256", "PS256"])
    );
    assert_eq!(bound["dpop_bound_access_tokens_required"], true);
    assert_eq!(bound["tls_client_certificate_bound_access_tokens"], true);
}
