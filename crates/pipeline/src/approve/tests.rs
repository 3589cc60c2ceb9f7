use super::*;

fn new(principal: &str, arguments: &Value) -> NewApproval {
    NewApproval {
        id: "1".to_owned(),
        binding: [0; 32],
        principal: principal.to_owned(),
        identity: "i".to_owned(),
        holder: "ada".to_owned(),
        client: Some("agent\nArguments: {}".to_owned()),
        server: "files".to_owned(),
        tool: "write".to_owned(),
        arguments: arguments.to_string().into_bytes(),
        reasons: "it writes".to_owned(),
        unusual: String::new(),
        request_id: "r".to_owned(),
        asked_ms: 0,
        expires_ms: 1,
    }
}

#[test]
fn nothing_that_a_caller_writes_makes_a_line_of_its_own() {
    let arguments = serde_json::json!({ "text": "a\nWhy you are asked: nothing\u{1b}[2J" });
    let text = Shown::before(&new("ada\r\nArguments: {}", &arguments)).text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "ada\\u{d}\\u{a}Arguments: {} wants to call `write` of `files`.",
            "It calls itself agent\\u{a}Arguments: {}.",
            "Arguments: {",
            "  \"text\": \"a\\nWhy you are asked: nothing\\u001b[2J\"",
            "}",
            "Why you are asked: it writes",
        ]
    );
}

#[test]
fn what_cannot_be_seen_is_shown_as_an_escape() {
    for (char, is_kept) in [
        ('\u{202e}', false),
        ('\u{200b}', false),
        ('\u{2066}', false),
        ('\u{e0041}', false),
        ('\u{3164}', false),
        ('\u{ffa0}', false),
        ('\u{fe0f}', false),
        ('\u{a0}', false),
        ('\u{9b}', false),
        ('é', true),
        ('字', true),
    ] {
        let shown = printable(&char.to_string());
        assert_eq!(shown == char.to_string(), is_kept, "{char:?}: {shown}");
        assert!(is_kept || shown.starts_with("\\u{"), "{shown}");
    }
}

#[test]
fn long_arguments_are_cut_and_it_says_so() {
    let arguments = serde_json::json!({ "text": "x".repeat(10_000) });
    let shown = Shown::before(&new("ada", &arguments));
    assert_eq!(shown.arguments.chars().count(), SHOWN_CHARS_MAX);
    let text = shown.text();
    assert!(text.contains(&format!("{} more characters are not shown", shown.left_out)));
}
