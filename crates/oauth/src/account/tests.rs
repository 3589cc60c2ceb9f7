use super::*;

#[test]
fn a_name_has_only_the_characters_that_are_allowed() {
    for name in [
        "a",
        "0",
        "ada",
        "ada.lovelace@example.com",
        "a_b-c",
        &"a".repeat(64),
    ] {
        assert!(name.parse::<AccountName>().is_ok(), "{name}");
    }
    for name in [
        "",
        "Ada",
        ".ada",
        "-a",
        "_a",
        "@a",
        "a b",
        "a/b",
        "a:b",
        "é",
        "a\n",
        &"a".repeat(65),
    ] {
        assert!(name.parse::<AccountName>().is_err(), "{name}");
    }
}

#[test]
fn a_group_cannot_hold_another() {
    assert!(check_groups(&["ops".into()]).is_ok());
    assert!(check_groups(&["ops\nadmins".into()]).is_err());
    assert!(check_groups(&["".into()]).is_err());
}
