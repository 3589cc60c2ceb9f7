use super::*;

#[test]
fn basic_credentials_are_form_encoded_first() {
    let header = basic("a:b", "p%q r");
    let decoded = STANDARD
        .decode(header.strip_prefix("Basic ").unwrap())
        .unwrap();
    assert_eq!(decoded, b"a%3Ab:p%25q+r");
}

#[test]
fn only_known_codes_are_repeated() {
    assert_eq!(known_code("invalid_grant"), "invalid_grant");
    assert_eq!(known_code("<script>"), "other");
}

#[test]
fn odd_lifetimes_do_no_harm() {
    assert_eq!(milliseconds(Seconds::Number(3600.0)), Some(3_600_000));
    assert_eq!(milliseconds(Seconds::Text("60".into())), Some(60_000));
    assert_eq!(milliseconds(Seconds::Number(-1.0)), None);
    assert_eq!(milliseconds(Seconds::Number(f64::NAN)), None);
    assert_eq!(milliseconds(Seconds::Text("soon".into())), None);
    assert_eq!(milliseconds(Seconds::Number(1e11)), Some(31_622_400_000));
}
