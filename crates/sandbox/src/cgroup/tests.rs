use super::*;

#[test]
fn groups_of_live_guards_are_left_alone() {
    let this = rustix::process::getpid().as_raw_nonzero().get();
    let name = name_of(this).unwrap();
    assert!(!is_left_over(&name));
    assert!(is_left_over(&format!("{name}0")), "started at another time");
    assert!(is_left_over("portcullis-2147483647-1"));
    for other in ["portcullis", "portcullis-x-1", "portcullis-1", "user.slice"] {
        assert!(!is_left_over(other), "{other}");
    }
}
