use super::*;

#[track_caller]
fn check(command: &[&str], expected: &str) {
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    let name = name_of(&command);
    assert_eq!(name, expected);
    assert!(name.parse::<ServerName>().is_ok());
}

#[test]
fn a_name_is_made_from_the_command() {
    check(
        &["uvx", "mcp-server-git", "--repository", "."],
        "mcp-server-git",
    );
    check(
        &[
            "npx",
            "-y",
            "@modelcontextprotocol/server-filesystem@1.2.3",
            ".",
        ],
        "server-filesystem",
    );
    check(
        &[
            "docker",
            "run",
            "-i",
            "--rm",
            "ghcr.io/github/github-mcp-server:v1",
        ],
        "github-mcp-server",
    );
    check(&["python3", "tools/My_Server.py"], "my-server");
    check(&["python3", "-m"], "python3");
    check(&["/usr/local/bin/Time"], "time");
    check(&["1234"], "server");
    check(&["./--"], "server");
    check(&["a".repeat(40).as_str()], &"a".repeat(32));
}
