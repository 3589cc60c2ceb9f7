use super::*;

#[test]
fn durations_and_sizes_round_trip() {
    for text in ["250ms", "30s", "0s"] {
        assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
    }
    assert_eq!("5m".parse::<Duration>().unwrap(), Duration::from_secs(300));
    for text in ["64KiB", "4MiB", "17", "0"] {
        assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
    }
}

#[test]
fn what_has_no_unit_or_overflows_is_refused() {
    for text in [
        "",
        "5",
        "-1s",
        "1.5s",
        "5 parsecs",
        "99999999999999999999s",
        "18446744073709551615h",
    ] {
        assert!(text.parse::<Duration>().is_err(), "{text}");
    }
    for text in ["", "MiB", "-1", "5 GB", "18446744073709551615MiB"] {
        assert!(text.parse::<Bytes>().is_err(), "{text}");
    }
}
