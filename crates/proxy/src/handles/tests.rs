use super::*;

#[test]
fn a_handle_works_once_for_its_owner_and_expires() {
    let handles = Handles::new();
    let now = Instant::now();
    let life = Duration::from_secs(10);
    let alice: Arc<str> = "alice".into();
    let id = handles.put(&alice, 7, now, life, 2).unwrap();
    assert_eq!(handles.take("bob", &id, now), None);
    assert_eq!(handles.take("alice", &id, now), Some(7));
    assert_eq!(handles.take("alice", &id, now), None);
    let id = handles.put(&alice, 8, now, life, 2).unwrap();
    assert_eq!(handles.take("alice", &id, now + life), None);
}

#[test]
fn a_principal_holds_no_more_than_its_share() {
    let handles = Handles::new();
    let now = Instant::now();
    let life = Duration::from_secs(10);
    let alice: Arc<str> = "alice".into();
    handles.put(&alice, 1, now, life, 1).unwrap();
    assert!(matches!(
        handles.put(&alice, 2, now, life, 1),
        Err(NotHeld::Full)
    ));
    assert!(handles.put(&"bob".into(), 3, now, life, 1).is_ok());
    handles.expire(now + life);
    assert!(handles.put(&alice, 2, now, life, 1).is_ok());
}
