use super::words;

#[track_caller]
fn check(name: &str, expected: &[&str]) {
    assert_eq!(words(name), expected, "{name}");
}

#[test]
fn a_name_is_cut_into_words_however_it_is_written() {
    check("delete_file", &["delete", "file"]);
    check("deleteFile", &["delete", "file"]);
    check("delete-file.now", &["delete", "file", "now"]);
    check("DELETE_FILE", &["delete", "file"]);
    check("v2Delete", &["v2", "delete"]);
    check("__", &[]);
}
