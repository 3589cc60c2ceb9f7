//! What installers say, and what it means.

use super::{Fault, diagnose};
use crate::step::{Host, Purpose, Step, StepOutput};

fn diagnosed(stdout: &str, stderr: &str) -> Fault {
    let step = Step {
        purpose: Purpose::Fetch,
        program: "/usr/bin/npm".into(),
        args: Vec::new(),
        env: Vec::new(),
        cwd: "/".into(),
        reads: Vec::new(),
        writes: Vec::new(),
        hosts: Host::of("https://registry.example/npm")
            .into_iter()
            .collect(),
    };
    let output = StepOutput {
        code: Some(1),
        stdout: stdout.as_bytes().to_vec(),
        stderr: stderr.as_bytes().to_vec(),
    };
    diagnose(&step, &output)
}

#[test]
fn the_codes_of_npm_are_known() {
    let npm = |code: &str| {
        let output = format!("{{\"error\": {{\"code\": \"{code}\", \"summary\": \"it failed\"}}}}");
        diagnosed(&output, "")
    };
    let detail = |code: &str| format!("{code} it failed");
    assert_eq!(npm("E404"), Fault::NoPackage(detail("E404")));
    assert_eq!(npm("ETARGET"), Fault::NoVersion(detail("ETARGET")));
    assert_eq!(npm("EINTEGRITY"), Fault::Integrity(detail("EINTEGRITY")));
    assert_eq!(npm("E401"), Fault::Credentials(detail("E401")));
    assert_eq!(
        npm("EAI_AGAIN"),
        Fault::Network {
            hosts: "registry.example:443".to_owned(),
            detail: detail("EAI_AGAIN"),
        }
    );
    assert_eq!(npm("EWHATEVER"), Fault::Other(detail("EWHATEVER")));
}

#[test]
fn credentials_and_control_characters_are_left_out() {
    let fault = diagnosed(
        "",
        "error at https://user:secret@registry.example/x\n\u{1b}[31mred\n",
    );
    let text = fault.to_string();
    assert!(
        !text.contains("secret") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(
        text.contains("https://registry.example/x; [31mred"),
        "{text}"
    );
}

#[test]
fn no_more_than_the_last_words_are_kept() {
    let fault = diagnosed("", &format!("{}the end", "long ".repeat(10_000)));
    let text = fault.to_string();
    assert!(text.ends_with("the end") && text.len() < 1_000);
}
