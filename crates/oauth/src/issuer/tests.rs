use std::collections::BTreeMap;

use portcullis_egress::{Egress, Settings};
use serde_json::{Value, json};

use super::{Issuer, Issuers, LocalIssuer, Vouched};
use crate::resource::ProtectedResource;
use crate::verifier::{BuildError, Reason, config};

const NOW_S: u64 = 1_790_000_000;
const ISSUER: &str = "https://login.example/realms/main";

fn egress() -> Egress {
    Egress::new(&Settings::default()).unwrap()
}

fn resource() -> ProtectedResource {
    ProtectedResource::new(&"https://gateway.example".parse().unwrap(), "/mcp")
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "https://gateway.example/mcp",
        "sub": "ada",
        "exp": NOW_S + 60,
        "iat": NOW_S,
    })
}

fn issuer(change: impl FnOnce(&mut config::Issuer)) -> std::sync::Arc<Issuer> {
    let mut config = config::Issuer::new(ISSUER);
    change(&mut config);
    Issuer::build("main", &config, &egress()).unwrap()
}

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "rows of tables are made for it"
)]
fn check(issuer: &Issuer, changes: Value, expected: Result<(), Reason>) {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    let found = issuer.check(
        &claims,
        Vouched::Signature,
        &resource(),
        "digest",
        NOW_S * 1000,
    );
    assert_eq!(found.map(drop), expected, "{changes}");
}

#[test]
fn issuer_and_audience_are_exact() {
    let exact = issuer(|_| {});
    let ours = "https://gateway.example/mcp";
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({"iss": format!("{ISSUER}/")}), Err(Reason::Issuer)),
        (
            json!({"iss": "https://login.example/realms/maiN"}),
            Err(Reason::Issuer),
        ),
        (json!({"iss": null}), Err(Reason::Issuer)),
        (json!({"iss": [ISSUER]}), Err(Reason::Issuer)),
        (json!({"aud": [ours]}), Ok(())),
        (json!({"aud": [ours, "account"]}), Ok(())),
        (
            json!({"aud": [ours, "https://gateway.example.evil/x"]}),
            Ok(()),
        ),
        (json!({"aud": null}), Err(Reason::Audience)),
        (json!({"aud": []}), Err(Reason::Audience)),
        (json!({"aud": [ours, 1]}), Err(Reason::Claims)),
        (json!({"aud": format!("{ours}/")}), Err(Reason::Audience)),
        (
            json!({"aud": "https://Gateway.example/mcp"}),
            Err(Reason::Audience),
        ),
        (
            json!({"aud": "https://gateway.example"}),
            Err(Reason::Audience),
        ),
        (
            json!({"aud": "https://gateway.example/servers/a/mcp"}),
            Err(Reason::Audience),
        ),
        (
            json!({"aud": [ours, "https://gateway.example/servers/a/mcp"]}),
            Err(Reason::SeveralAudiences),
        ),
        (
            json!({"aud": [ours, "https://gateway.example"]}),
            Err(Reason::SeveralAudiences),
        ),
        (json!({"aud": "api://gateway"}), Err(Reason::Audience)),
    ] {
        check(&exact, changes, expected);
    }
    let lenient = issuer(|config| {
        config.audiences = vec!["api://gateway".to_owned()];
        config.several_resources = true;
    });
    check(&lenient, json!({"aud": "api://gateway"}), Ok(()));
    let both = json!({"aud": [ours, "https://gateway.example/servers/a/mcp"]});
    check(&lenient, both, Ok(()));
}

#[test]
fn times_have_thirty_seconds_of_leeway() {
    let issuer = issuer(|_| {});
    for (changes, expected) in [
        (json!({"exp": null}), Err(Reason::Claims)),
        (json!({"exp": "soon"}), Err(Reason::Claims)),
        (json!({"exp": -1}), Err(Reason::Claims)),
        (json!({"exp": NOW_S - 29}), Ok(())),
        (json!({"exp": NOW_S - 30}), Err(Reason::Expired)),
        (json!({"exp": 0}), Err(Reason::Expired)),
        (json!({"exp": u64::MAX}), Ok(())),
        (json!({"exp": 1e300}), Err(Reason::Claims)),
        (json!({"exp": 1_790_000_060.5}), Ok(())),
        (json!({"iat": NOW_S + 30}), Ok(())),
        (json!({"iat": NOW_S + 31}), Err(Reason::NotYetValid)),
        (json!({"iat": null}), Ok(())),
        (json!({"nbf": NOW_S + 30}), Ok(())),
        (json!({"nbf": NOW_S + 31}), Err(Reason::NotYetValid)),
        (json!({"nbf": "now"}), Err(Reason::Claims)),
    ] {
        check(&issuer, changes, expected);
    }
}

#[test]
fn a_binding_that_cannot_be_confirmed_is_refused() {
    let issuer = issuer(|_| {});
    for (changes, expected) in [
        (json!({"cnf": {"jkt": "x"}}), Ok(())),
        (json!({"cnf": {"x5t#S256": "x", "jkt": "x"}}), Ok(())),
        (json!({"cnf": {}}), Err(Reason::Binding)),
        (json!({"cnf": {"jwk": {}}}), Err(Reason::Binding)),
        (
            json!({"cnf": {"jkt": "x", "kid": "x"}}),
            Err(Reason::Binding),
        ),
        (json!({"cnf": "x"}), Err(Reason::Binding)),
    ] {
        check(&issuer, changes, expected);
    }
}

#[test]
fn names_are_short_and_plain() {
    let issuer = issuer(|_| {});
    for subject in [
        json!(null),
        json!(""),
        json!(1),
        json!("a\nb"),
        json!("a".repeat(257)),
    ] {
        check(&issuer, json!({"sub": subject}), Err(Reason::Claims));
    }
}

#[test]
fn claims_are_translated() {
    let read = |issuer: &Issuer, changes: Value| {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let verified = issuer.check(
            &claims,
            Vouched::Signature,
            &resource(),
            "digest",
            NOW_S * 1000,
        );
        std::sync::Arc::unwrap_or_clone(verified.unwrap().identity)
    };
    let plain = issuer(|_| {});
    let identity = read(
        &plain,
        json!({"azp": "app", "scope": "a b", "groups": ["x", 1, "y"], "jti": "7"}),
    );
    assert_eq!(identity.client.as_deref(), Some("app"));
    assert_eq!(identity.scopes.as_ref().unwrap().to_string(), "a b");
    assert_eq!(*identity.groups, ["x".into(), "y".into()]);
    assert_eq!(&*identity.token_id, "7");
    assert_eq!(identity.expires_ms, Some((NOW_S + 60) * 1000));
    let identity = read(
        &plain,
        json!({"azp": "app", "client_id": "other", "scp": ["c", "d"], "groups": "x"}),
    );
    assert_eq!(identity.client.as_deref(), Some("other"));
    assert_eq!(identity.scopes.as_ref().unwrap().to_string(), "c d");
    assert_eq!(*identity.groups, ["x".into()]);
    assert_eq!(&*identity.token_id, "digest");

    let mapped = issuer(|config| {
        config.claims = config::ClaimNames {
            subject: "preferred_username".to_owned(),
            client: Some("appid".to_owned()),
            groups: "/realm_access/roles".to_owned(),
            scope: Some("roles".to_owned()),
        };
        config.scopes = BTreeMap::from([(
            "Gateway.Write".to_owned(),
            vec!["tools:read".to_owned(), "tools:write".to_owned()],
        )]);
    });
    let identity = read(
        &mapped,
        json!({
            "preferred_username": "lovelace",
            "appid": "app",
            "realm_access": {"roles": ["admin"]},
            "roles": ["Gateway.Write", "tools:admin"],
        }),
    );
    assert_eq!(&*identity.subject, "lovelace");
    assert_eq!(identity.client.as_deref(), Some("app"));
    assert_eq!(*identity.groups, ["admin".into()]);
    assert_eq!(
        identity.scopes.as_ref().unwrap().to_string(),
        "tools:read tools:write"
    );
}

#[test]
fn the_built_in_server_is_held_to_its_own_rules() {
    let local = LocalIssuer::new(ISSUER);
    let local = Issuer::local(std::sync::Arc::new(local));
    let full = json!({"client_id": "c", "jti": "1", "exp": NOW_S + 900});
    let with = |changes: Value| {
        let mut claims = full.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    check(&local, full.clone(), Ok(()));
    for changes in [
        json!({"client_id": null}),
        json!({"jti": null}),
        json!({"iat": null}),
        json!({"exp": NOW_S + 1801}),
    ] {
        check(&local, with(changes), Err(Reason::Claims));
    }
    let two = json!({"aud": ["https://gateway.example/mcp", "account"]});
    check(&local, with(two), Err(Reason::SeveralAudiences));
}

#[test]
fn mistakes_in_the_configuration_are_told() {
    let build = |issuers: Vec<config::Issuer>| {
        let issuers = issuers.into_iter().zip(["a", "b"]);
        let config = issuers.map(|(issuer, name)| (name.to_owned(), issuer));
        let local = Some(std::sync::Arc::new(LocalIssuer::new(
            "https://gateway.example",
        )));
        Issuers::build(&config.collect(), local, &egress()).map(drop)
    };
    let new = config::Issuer::new;
    let with = |change: &dyn Fn(&mut config::Issuer)| {
        let mut issuer = new(ISSUER);
        change(&mut issuer);
        issuer
    };
    let asked = |url: &str, believed_seconds| config::Introspection {
        url: url.to_owned(),
        client_id: "gateway".to_owned(),
        client_secret: "s3cret".to_owned(),
        believed_seconds,
    };
    assert!(build(vec![new(ISSUER)]).is_ok());
    for wrong in [
        "",
        "login",
        "ftp://a.example",
        "https://a.example?x",
        "https://u@a.example",
    ] {
        assert!(
            matches!(build(vec![new(wrong)]), Err(BuildError::Issuer(_))),
            "{wrong}"
        );
    }
    let same = build(vec![new(ISSUER), new(ISSUER)]);
    assert!(matches!(same, Err(BuildError::SameIssuer(_))));
    let own = build(vec![new("https://gateway.example")]);
    assert!(matches!(own, Err(BuildError::SameIssuer(_))));
    let nothing = build(vec![with(&|issuer| issuer.types.clear())]);
    assert!(matches!(nothing, Err(BuildError::NothingAccepted(_))));
    let insecure = build(vec![with(&|issuer| {
        issuer.jwks_uri = Some("http://login.example/keys".to_owned());
    })]);
    assert!(matches!(insecure, Err(BuildError::Keys(_))));
    let long = build(vec![with(&|issuer| {
        issuer.introspection = Some(asked("https://login.example/ask", 301));
    })]);
    assert!(matches!(long, Err(BuildError::Introspection(_))));
    let ask = || Some(asked("https://login.example/ask", 0));
    let several = build(vec![
        with(&|issuer| issuer.introspection = ask()),
        with(&|issuer| {
            issuer.issuer = "https://b.example".to_owned();
            issuer.introspection = ask();
        }),
    ]);
    assert!(matches!(several, Err(BuildError::SeveralIntrospections)));
    assert!(!format!("{:?}", ask()).contains("s3cret"));
}
