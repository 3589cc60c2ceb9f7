use super::*;

fn event(id: Option<&str>, retry_ms: Option<u64>) -> SseEvent {
    SseEvent {
        id: id.map(str::to_owned),
        retry_ms,
        ..SseEvent::default()
    }
}

#[test]
fn a_place_remembers_the_last_id_and_the_pause() {
    let mut place = Place::default();
    assert_eq!(place.pause(), RETRY);
    place.note(&event(Some("a"), Some(20)));
    place.note(&event(None, None));
    assert_eq!(place.last_event_id.as_ref().unwrap(), "a");
    assert_eq!(place.pause(), Duration::from_millis(20));
    assert_eq!(place.pause(), Duration::from_millis(40));
    place.note(&event(Some(""), Some(u64::MAX)));
    assert_eq!(place.last_event_id, None);
    assert_eq!(place.pause(), RETRY_MAX);
    place.note(&event(Some("a\u{1}"), Some(0)));
    assert_eq!(place.last_event_id, None);
    assert_eq!(place.pause(), RETRY_MIN);
}

#[track_caller]
fn check(id: &'static [u8], accepted: bool) {
    let mut headers = HeaderMap::new();
    headers.insert(SESSION_ID, HeaderValue::from_bytes(id).unwrap());
    assert_eq!(session_id(&headers).is_ok_and(|id| id.is_some()), accepted);
}

#[test]
fn session_ids_are_visible_ascii() {
    check(b"s-1_~!", true);
    check(b"", false);
    check(b"a b", false);
    check(b"a\xff", false);
    check(&[b'a'; SESSION_ID_MAX], true);
    check(&[b'a'; SESSION_ID_MAX + 1], false);
    assert!(session_id(&HeaderMap::new()).unwrap().is_none());
}
