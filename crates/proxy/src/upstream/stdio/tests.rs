use super::*;

#[test]
fn a_log_line_cannot_steer_a_terminal() {
    assert_eq!(
        printable(b"\x1b[2Ja\tb\x07\xff"),
        "\u{fffd}[2Ja\tb\u{fffd}\u{fffd}"
    );
}

#[test]
fn a_flood_is_cut_each_second_and_counted() {
    let start = Instant::now();
    let mut window = Window {
        began: start,
        bytes: 0,
        dropped: 0,
    };
    for _ in 0..8 {
        assert!(window.admit(LOG_LINE_MAX));
    }
    assert!(!window.admit(1));
    window.dropped += 3;
    assert_eq!(window.turn(start + Duration::from_millis(999)), None);
    assert_eq!(window.turn(start + Duration::from_secs(1)), Some(3));
    assert!(window.admit(1));
    assert_eq!(window.turn(start + Duration::from_secs(2)), None);
}
