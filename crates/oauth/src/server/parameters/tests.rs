use super::*;

#[test]
fn a_repeated_parameter_is_refused_and_neither_is_believed() {
    let Err(InvalidParameters::Repeated(rest)) = Parameters::parse(b"a=1&state=s&a=2&a=") else {
        panic!("repeated parameters were read");
    };
    assert_eq!(rest.get("a"), None);
    assert_eq!(rest.get("state"), Some("s"));
}

#[test]
fn a_parameter_without_a_value_is_absent() {
    let parameters = Parameters::parse(b"a=&b&c=x").unwrap();
    assert_eq!(parameters.get("a"), None);
    assert_eq!(parameters.get("b"), None);
    assert_eq!(parameters.get("c"), Some("x"));
}

#[test]
fn values_are_not_shown_in_debug_texts() {
    let parameters = Parameters::parse(b"client_secret=hunter2").unwrap();
    assert!(!format!("{parameters:?}").contains("hunter2"));
}
