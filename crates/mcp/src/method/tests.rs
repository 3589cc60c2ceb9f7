use super::*;

#[test]
fn what_is_mirrored_and_cached() {
    for (method, name, is_cached) in [
        (TOOLS_CALL, Some("name"), false),
        (PROMPTS_GET, Some("name"), false),
        (RESOURCES_READ, Some("uri"), true),
        (TASKS_GET, Some("taskId"), false),
        (TASKS_UPDATE, Some("taskId"), false),
        (TASKS_CANCEL, Some("taskId"), false),
        (TOOLS_LIST, None, true),
        (PROMPTS_LIST, None, true),
        (RESOURCES_LIST, None, true),
        (RESOURCES_TEMPLATES_LIST, None, true),
        (SERVER_DISCOVER, None, true),
        (COMPLETION_COMPLETE, None, false),
        ("TOOLS/CALL", None, false),
        ("", None, false),
    ] {
        assert_eq!(
            (name_param(method), is_cacheable(method)),
            (name, is_cached),
            "{method}"
        );
    }
}

#[test]
fn what_the_modern_era_no_longer_has() {
    for method in [
        INITIALIZE,
        PING,
        LOGGING_SET_LEVEL,
        RESOURCES_SUBSCRIBE,
        NOTIFICATIONS_INITIALIZED,
        TASKS_RESULT,
    ] {
        assert!(removed_in_modern(method), "{method}");
    }
    for method in [
        TOOLS_CALL,
        TASKS_GET,
        TASKS_CANCEL,
        SERVER_DISCOVER,
        NOTIFICATIONS_CANCELLED,
    ] {
        assert!(!removed_in_modern(method), "{method}");
    }
    for method in [SAMPLING_CREATE_MESSAGE, ELICITATION_CREATE, ROOTS_LIST] {
        assert!(
            is_input_request(method) && !removed_in_modern(method),
            "{method}"
        );
    }
}
