use super::*;

fn environment() -> Environment {
    [
        ("TOKEN", "s3cret"),
        ("TRAP", "\"]\nurl = \"x"),
        ("_under_1", "u"),
    ]
    .into_iter()
    .collect()
}

#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("plain"), "from file").unwrap();
    std::fs::write(directory.path().join("newline"), "from file\n").unwrap();
    std::fs::write(directory.path().join("crlf"), "from file\r\n").unwrap();
    std::fs::write(directory.path().join("two"), "from file\n\n").unwrap();
    std::fs::write(directory.path().join("binary"), [0xff, 0xfe]).unwrap();
    std::fs::write(directory.path().join("large"), vec![b'a'; 64 * 1024 + 1]).unwrap();
    let got = expand(text, directory.path(), &environment());
    match (got, expected) {
        (Ok(got), Ok(expected)) => assert_eq!(got.text, expected),
        (Err((_, got)), Err(expected)) => assert_eq!(got.to_string(), expected),
        (got, expected) => panic!("{got:?} is not {expected:?}"),
    }
}

#[test]
fn references_are_replaced() {
    check("${TOKEN}", Ok("s3cret"));
    check("Bearer ${TOKEN}", Ok("Bearer s3cret"));
    check("${TOKEN}${_under_1}.", Ok("s3cretu."));
    check("${TRAP}", Ok("\"]\nurl = \"x"));
}

#[test]
fn what_looks_like_one_stays() {
    check("plain $HOME $", Ok("plain $HOME $"));
    check("$${TOKEN}", Ok("${TOKEN}"));
    check("a$${b}${TOKEN}", Ok("a${b}s3cret"));
    check("$$", Ok("$$"));
    check("}{", Ok("}{"));
}

#[test]
fn a_value_is_not_expanded_again() {
    let environment: Environment = [("OUTER", "${TOKEN}"), ("TOKEN", "x")]
        .into_iter()
        .collect();
    let got = expand("${OUTER}", FilePath::new("."), &environment).unwrap();
    assert_eq!(got.text, "${TOKEN}");
}

#[test]
fn files_lose_one_line_end() {
    check("${file:plain}", Ok("from file"));
    check("${file:newline}", Ok("from file"));
    check("${file:crlf}", Ok("from file"));
    check("${file:two}", Ok("from file\n"));
}

#[test]
fn what_cannot_be_followed_is_said() {
    check("${NONE}", Err("the environment variable `NONE` is not set"));
    check("${TOKEN", Err("`${` has no closing `}`"));
    check(
        "${}",
        Err("`` names neither an environment variable nor a file"),
    );
    check(
        "${1A}",
        Err("`1A` names neither an environment variable nor a file"),
    );
    check(
        "${A:-b}",
        Err("`A:-b` names neither an environment variable nor a file"),
    );
    check(
        "${file:}",
        Err("`file:` names neither an environment variable nor a file"),
    );
    check("${file:binary}", Err("the file `binary` is not UTF-8 text"));
    check(
        "${file:large}",
        Err("the file `large` is larger than 64 KiB"),
    );
    check(
        "${file:none}",
        Err("the file `none` cannot be read: No such file or directory (os error 2)"),
    );
}

#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = std::ffi::OsString::from_vec(vec![0xff]);
    let environment: Environment = [("RAW", value)].into_iter().collect();
    let (_, cause) = expand("${RAW}", FilePath::new("."), &environment).unwrap_err();
    assert_eq!(
        cause.to_string(),
        "the environment variable `RAW` is not UTF-8 text"
    );
}
