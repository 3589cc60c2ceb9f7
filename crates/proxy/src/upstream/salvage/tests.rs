use super::*;

#[track_caller]
fn check(message: &str, expected: Option<i64>) {
    let is_in_progress = |id| matches!(id, 5 | 6);
    assert_eq!(claimed_id(message.as_bytes(), is_in_progress), expected);
}

#[test]
fn an_id_is_claimed_if_it_is_the_only_one() {
    check(
        r#"{"jsonrpc":"2.0","id":5,"result":{"a":1,"a":2}}"#,
        Some(5),
    );
    check("{ \"result\" : {}, \"id\" : 6", Some(6));
    check(r#"{"id":5,"result":{"id":5,"x":{"id":7}}}"#, Some(5));
    check(r#"{"id":5,"result":{"id":6}}"#, None);
    check(r#"{"id":"5"}"#, None);
    check(r#"{"id":99999999999999999999999}"#, None);
    check("id: 5", None);
    check(r#""id""#, None);
    check("", None);
}
