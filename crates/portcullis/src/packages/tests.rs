use std::path::Path;

use super::{Packages, host};

#[test]
fn packages_lie_beside_the_state_directory_and_what_was_accepted_in_it() {
    let packages = Packages::of(Path::new("/var/lib/portcullis"));
    assert_eq!(
        packages.directory,
        Path::new("/var/lib/portcullis-packages")
    );
    assert_eq!(
        packages.record,
        Path::new("/var/lib/portcullis/packages.toml")
    );
}

#[test]
fn a_host_of_the_configuration_is_a_name_or_an_address() {
    #[track_caller]
    fn check(written: &str, expected: Option<&str>) {
        let found = host(written).map(|host| host.to_string());
        assert_eq!(found.as_deref(), expected, "{written}");
    }
    check("files.example.com", Some("files.example.com:443"));
    check("files.example.com:8443", Some("files.example.com:8443"));
    check("http://files.example.com", Some("files.example.com:80"));
    check("ftp://files.example.com", None);
    check("", None);
}
