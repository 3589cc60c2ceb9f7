use super::*;

fn offset(json: &str) -> (FaultKind, usize) {
    let fault = scan(json.as_bytes(), &Limits::default()).unwrap_err();
    (fault.kind, fault.offset)
}

#[test]
fn a_fault_says_where() {
    assert_eq!(
        offset(r#"{"a":1,"b":2,"\u0061":3}"#),
        (FaultKind::DuplicateMember, 13)
    );
    assert_eq!(offset("[1, 2, x]"), (FaultKind::Syntax, 7));
    assert_eq!(offset("[1, 2"), (FaultKind::Syntax, 5));
    assert_eq!(offset("[1, 1e999]"), (FaultKind::Number, 4));
    assert_eq!(offset("[\"ab\u{1}\"]"), (FaultKind::ControlCharacter, 4));
    assert_eq!(offset(r#"["ab\ud800"]"#), (FaultKind::LoneSurrogate, 4));
    assert_eq!(offset("{} {}"), (FaultKind::TrailingBytes, 3));
    assert_eq!(offset("  "), (FaultKind::Empty, 2));
    let utf8 = scan(b"[\"ab\xff\"]", &Limits::default()).unwrap_err();
    assert_eq!(utf8.to_string(), "invalid UTF-8 at byte 4");
}

#[test]
fn specials_are_found_at_every_place_of_a_word() {
    for length in 0..40 {
        for special in ['"', '\\', '\u{0}', '\u{1f}', '\n'] {
            // 0x21, 0x23, 0x5b and 0x5d differ from a special in one bit, as bytes above 0x7f do.
            for filler in ["a", "!", "#", "[", "]", "\u{7f}", "é", "\u{a2}", "Ü"] {
                let text = format!(
                    "{}{special}{special}\"\\\u{1}aaaaaaaaaa",
                    filler.repeat(length)
                );
                assert_eq!(
                    text::plain(text.as_bytes()),
                    filler.len() * length,
                    "{text:?}"
                );
            }
        }
    }
}

#[test]
fn a_visitor_sees_names_and_values_of_the_outermost_object() {
    #[derive(Default)]
    struct Seen(Vec<String>);
    impl Visit for Seen {
        fn name(&mut self, depth: usize, name: &[u8], start: usize) {
            self.0
                .push(format!("{depth} {} {start}", String::from_utf8_lossy(name)));
        }

        fn value_end(&mut self, end: usize) {
            self.0.push(format!("end {end}"));
        }
    }
    let mut seen = Seen::default();
    let json = br#"{"a" : [1] ,"\u0062":{"c":{"d":1}}}"#;
    scan_with(json, &Limits::default(), &mut seen).unwrap();
    assert_eq!(seen.0, ["1 a 6", "end 11", "1 b 21", "2 c 26", "end 34"]);
}

#[test]
fn a_huge_object_does_not_slow_those_after_it() {
    let huge: Vec<String> = (0..100_000).map(|n| format!("\"{n}\":0")).collect();
    let small: Vec<String> = (0..20).map(|n| format!("\"{n}\":0")).collect();
    let small = format!("{{{}}}", small.join(","));
    let many = vec![small; 20_000].join(",");
    let json = format!("[{{{}}},{many}]", huge.join(","));
    let fits = Limits {
        bytes_max: 1 << 30,
        ..Limits::default()
    };
    // Clearing the huge set 20 000 times would take minutes.
    scan(json.as_bytes(), &fits).unwrap();
}
