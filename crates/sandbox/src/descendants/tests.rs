use super::*;

#[test]
fn the_parent_of_a_process_is_read_from_its_status() {
    let this = rustix::process::getpid().as_raw_nonzero().get();
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
    assert_eq!(parent_of(this), Some(parent));
    assert_eq!(parent_of(i32::MAX), None);
}
