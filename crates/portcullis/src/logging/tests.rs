use super::*;

#[test]
fn every_level_is_a_filter() {
    for level in LogLevel::value_variants() {
        parse(&filter_of(*level)).unwrap();
    }
}

#[test]
fn directives_are_read_and_nonsense_is_refused() {
    parse("warn,portcullis_proxy=debug").unwrap();
    parse("debug").unwrap();
    let error = parse("a=b=c").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a=b=c` is no log filter; write a level such as `debug`, or `warn,portcullis_proxy=debug`"
    );
}
