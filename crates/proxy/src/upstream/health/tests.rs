use super::*;

const MS: Duration = Duration::from_millis(1);

#[track_caller]
fn check(failures: u32, chance: u8, expected_ms: u64) {
    assert_eq!(pause(failures, chance), Duration::from_millis(expected_ms));
}

#[test]
fn pauses_double_up_to_the_longest() {
    check(0, 0, 100);
    check(0, 128, 125);
    check(1, 0, 200);
    check(5, 0, 3200);
    check(9, 0, 30_000);
    check(u32::MAX, 255, 30_000);
}

#[test]
fn a_failure_refuses_until_the_pause_is_over() {
    let health = Health::default();
    let start = Instant::now();
    assert_eq!(health.state(start), State::Idle);
    health.failed("no", start);
    assert!(matches!(
        health.admit(start + 99 * MS),
        Err(UpstreamError::Down { .. })
    ));
    health.admit(start + 150 * MS).unwrap();
    let State::Down { retry_after, .. } = health.state(start + 150 * MS) else {
        panic!("still down")
    };
    assert_eq!(retry_after, Duration::ZERO);
    health.connected();
    assert_eq!(health.state(start), State::Up);
}

#[test]
fn failures_side_by_side_count_once() {
    let health = Health::default();
    let start = Instant::now();
    for _ in 0..50 {
        health.failed("no", start);
    }
    health.admit(start + 150 * MS).unwrap();
}

#[test]
fn a_child_that_dies_early_again_and_again_pauses_longer_each_time() {
    let health = Health::default();
    let mut now = Instant::now();
    for pause_ms in [100, 200, 400, 800] {
        health.connected();
        health.disconnected(now, Some("it ended"), now);
        health.admit(now + MS * (pause_ms - 1)).unwrap_err();
        now += MS * (pause_ms + pause_ms / 2);
        health.admit(now).unwrap();
    }
    health.connected();
    let end = now + STABLE;
    health.disconnected(now, Some("it ended"), end);
    health.admit(end + 150 * MS).unwrap();
}
