use super::{base64url, equal, generate, sha256};

#[test]
fn a_secret_is_new_each_time() {
    let one = generate("pcx_").unwrap();
    assert_eq!(one.len(), 4 + 43);
    assert!(one.starts_with("pcx_"));
    assert_ne!(*one, *generate("pcx_").unwrap());
}

#[test]
fn the_challenge_of_rfc_7636_appendix_b() {
    let verifier = b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = base64url(&sha256(verifier));
    assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert!(equal(b"abc", b"abc"));
    assert!(!equal(b"abc", b"abd"));
    assert!(!equal(b"abc", b"ab"));
}
