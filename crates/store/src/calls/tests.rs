use super::*;

#[test]
fn every_outcome_has_its_own_word() {
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
    }
    assert_eq!(Outcome::parse("Ok"), None);
}

#[test]
fn a_text_is_cut_between_characters() {
    assert_eq!(cut("abc", 3), "abc");
    assert_eq!(cut("abcd", 3), "abc");
    assert_eq!(cut("ääää", 3), "äää");
    assert_eq!(cut("ää", 3), "ää");
}
