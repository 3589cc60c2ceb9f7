use super::*;

fn server(text: &str) -> ServerName {
    text.parse().unwrap()
}

#[test]
fn server_names() {
    for text in ["a", "github", "a1-b2-", "a234567890123456789012345678901-"] {
        assert_eq!(server(text).as_str(), text);
    }
    for text in [
        "",
        "1a",
        "-a",
        "A",
        "aB",
        "a_b",
        "a__b",
        "a.b",
        "a b",
        "a+b",
        "a/b",
        "é",
        "a\n",
        "a234567890123456789012345678901-x",
    ] {
        assert_eq!(text.parse::<ServerName>(), Err(InvalidServerName), "{text}");
    }
}

#[test]
fn short_names_split_into_what_they_were_made_of() {
    for name in [
        "search",
        "_private",
        "__init__",
        "a__b",
        "x",
        "ns.tool-1",
        "naïve",
    ] {
        let federated = federated_name(&server("git-hub"), name);
        assert_eq!(federated, format!("git-hub__{name}"));
        assert_eq!(split_federated(&federated), Some(("git-hub", name)));
    }
    for name in ["", "search", "a_b", "__x", "a__", "A__x", "1__x", "a b__x"] {
        assert_eq!(split_federated(name), None, "{name}");
    }
}

#[test]
fn long_names_are_cut_the_same_way_for_ever() {
    let exact = federated_name(&server("a"), &"x".repeat(61));
    assert_eq!(
        (exact.len(), split_federated(&exact)),
        (64, Some(("a", &*"x".repeat(61))))
    );
    let cut = federated_name(&server("a"), &"x".repeat(62));
    assert_eq!(cut, format!("a__{}_7b75e4c5", "x".repeat(52)));
    let other = federated_name(&server("a"), &format!("{}y", "x".repeat(61)));
    assert_ne!(cut, other);
    let longest = "a234567890123456789012345678901-";
    let cut = federated_name(&server(longest), &"é".repeat(100));
    assert!(
        cut.len() <= 64 && cut.starts_with(&format!("{longest}__é")),
        "{cut}"
    );
    assert_eq!(split_federated(&cut).unwrap().0, longest);
}

#[test]
fn the_hash_is_fnv_1a() {
    // Test vectors of the algorithm's authors.
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn uris() {
    for uri in ["file:///a+b", "git+ssh://host/x", "", "+", "urn:x"] {
        let federated = federated_uri(&server("docs"), uri);
        assert_eq!(split_federated_uri(&federated), Some(("docs", uri)));
    }
    assert_eq!(
        federated_uri(&server("docs"), "file:///a"),
        "docs+file:///a"
    );
    for uri in ["file:///a+b", "Docs+file:///a", "+x", "1+x", "docs:x+y", ""] {
        assert_eq!(split_federated_uri(uri), None, "{uri}");
    }
}
