use super::*;

#[test]
fn an_identifier_is_a_uuid_of_version_7() {
    let id = RequestId::new(Timestamp(0x0199_0000_0001), u128::MAX);
    assert_eq!(id.to_string(), "0199000000017fffbfffffffffffffff");
    let id = RequestId::new(Timestamp(1), 0);
    assert_eq!(id.to_string(), "00000000000170008000000000000000");
}

#[test]
fn identifiers_grow_with_time_and_differ() {
    let early = RequestId::generate(Timestamp(1)).unwrap();
    let late = RequestId::generate(Timestamp(2)).unwrap();
    assert!(early < late);
    assert_ne!(late, RequestId::generate(Timestamp(2)).unwrap());
}

#[test]
fn a_digest_is_sha_256() {
    // FIPS 180-2, appendix B.1.
    assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
}
