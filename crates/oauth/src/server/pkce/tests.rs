use super::*;

#[test]
fn the_example_of_the_rfc_is_right() {
    let challenge = challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
    assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert!(is_challenge(&challenge));
}

#[test]
fn what_is_no_verifier_has_no_challenge() {
    for text in [
        "",
        "short",
        &"a".repeat(42),
        &"a".repeat(129),
        &"é".repeat(43),
        &" ".repeat(50),
    ] {
        assert_eq!(challenge_of(text), None, "{text}");
    }
    assert!(!is_challenge(&"a".repeat(44)));
    assert!(!is_challenge(&"+".repeat(43)));
}
