use super::super::attacks::{Bare, Boundary, Gateway, Row};
use super::{Style, summary, wrap, write};

fn row(harmed: bool) -> Row {
    Row {
        attack: "an attack with a long name that has to be broken over several lines",
        boundary: Boundary::Tool,
        bare: Bare {
            harmed: true,
            did: "executed: kept the note".to_owned(),
        },
        gateway: Gateway {
            harmed,
            clean: true,
            status: Some(400),
            code: Some(-32600),
            denial: Some("some-denial".to_owned()),
            did: "refused".to_owned(),
        },
    }
}

fn text(rows: &[Row], style: Style) -> String {
    let mut out = Vec::new();
    write(&mut out, rows, style).unwrap();
    summary(&mut out, rows, style).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [72, 100, 160] {
        let text = text(
            &[row(false)],
            Style {
                width,
                colour: false,
            },
        );
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{line}");
        }
        assert!(text.contains("some-denial"), "{text}");
        assert!(text.contains("1 of 1 attacks stopped"), "{text}");
    }
}

#[test]
fn what_got_through_is_red() {
    let text = text(
        &[row(true)],
        Style {
            width: 100,
            colour: true,
        },
    );
    assert!(text.contains("\u{1b}[1;31mGOT THROUGH\u{1b}[0m"), "{text}");
    assert!(
        text.contains("0 of 1 attacks stopped, 1 got through"),
        "{text}"
    );
}

#[test]
fn words_are_broken_only_when_they_must_be() {
    assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
    assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
    assert_eq!(wrap("", 4), [""]);
    assert_eq!(wrap("a\u{1b}[31mb", 20), ["a [31mb"]);
}
