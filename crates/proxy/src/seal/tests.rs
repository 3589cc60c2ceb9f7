use super::*;

#[test]
fn a_token_opens_with_its_binding_in_its_time_only() {
    let sealer = Sealer::new().unwrap();
    let binding = Binding::new(&[b"cursor", b"alice"]);
    let token = sealer.seal("page 2", &binding, Timestamp(100)).unwrap();
    assert_eq!(
        sealer.open(&token, &binding, Timestamp(100)).as_deref(),
        Some("page 2")
    );
    assert_eq!(sealer.open(&token, &binding, Timestamp(101)), None);
    assert_eq!(
        sealer.open(&token, &Binding::new(&[b"cursor", b"bob"]), Timestamp(0)),
        None
    );
    assert_eq!(
        sealer.open(&token, &Binding::new(&[b"cursora", b"lice"]), Timestamp(0)),
        None
    );
    let other = Sealer::new().unwrap();
    assert_eq!(other.open(&token, &binding, Timestamp(0)), None);
}

#[test]
fn no_changed_token_opens() {
    let sealer = Sealer::new().unwrap();
    let binding = Binding::new(&[b"state"]);
    let token = sealer.seal("abc", &binding, Timestamp(100)).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // The last character of a base64url text may carry unused bits, which the decoder refuses.
        assert_eq!(sealer.open(&changed, &binding, Timestamp(0)), None, "{at}");
    }
    assert_eq!(sealer.open("", &binding, Timestamp(0)), None);
}
