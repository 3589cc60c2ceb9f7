use super::*;

#[test]
fn a_named_file_is_taken_without_a_look() {
    let none = Environment::default();
    let got = find(Some(Path::new("x.toml")), Path::new("/nowhere"), &none);
    assert_eq!(got, Ok(PathBuf::from("x.toml")));
}

#[test]
fn the_working_directory_comes_first() {
    let (here, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let environment: Environment = [("XDG_CONFIG_HOME", home.path().as_os_str())]
        .into_iter()
        .collect();
    let personal = home.path().join("portcullis").join(NAME);
    let local = here.path().join(NAME);

    let none = find(None, here.path(), &environment).unwrap_err();
    assert_eq!(none.looked_for, [local.clone(), personal.clone()]);

    std::fs::create_dir(personal.parent().unwrap()).unwrap();
    std::fs::write(&personal, "").unwrap();
    assert_eq!(find(None, here.path(), &environment), Ok(personal));

    std::fs::write(&local, "").unwrap();
    assert_eq!(find(None, here.path(), &environment), Ok(local));
}

#[test]
fn a_relative_base_directory_is_not_one() {
    let environment: Environment = [("XDG_CONFIG_HOME", "relative"), ("HOME", "/home/a")]
        .into_iter()
        .collect();
    let none = find(None, Path::new("/nowhere"), &environment).unwrap_err();
    let expected = [
        "/nowhere/portcullis.toml",
        "/home/a/.config/portcullis/portcullis.toml",
    ];
    assert_eq!(none.looked_for, expected.map(PathBuf::from));
}
