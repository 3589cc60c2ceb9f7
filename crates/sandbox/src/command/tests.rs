use super::*;

fn command(program: &str, path: Option<&str>) -> Command {
    Command {
        program: program.to_owned(),
        env: path
            .map(|path| ("PATH".to_owned(), path.to_owned()))
            .into_iter()
            .collect(),
        ..Command::default()
    }
}

#[track_caller]
fn check(command: &Command, expected: Result<&str, &str>) {
    let found = command
        .resolve()
        .map(|plan| plan.program.into_string().unwrap())
        .map_err(|error| error.to_string());
    assert_eq!(
        found.as_deref().map_err(String::as_str),
        expected,
        "{command:?}"
    );
}

#[test]
fn programs_are_found_where_the_child_would_find_them() {
    check(&command("/bin/sh", None), Ok("/bin/sh"));
    check(&command("sh", Some("/nowhere:/bin")), Ok("/bin/sh"));
    check(
        &command("sh", Some("")),
        Err(
            "no program `sh` on PATH ``; install it, give its full path as `command`, or set PATH in \
         the server's `env`",
        ),
    );
    assert!(command("sh", None).resolve().is_ok());

    let mut twice = command("sh", Some("/nowhere"));
    twice.env.push(("PATH".to_owned(), "/bin".to_owned()));
    check(&twice, Ok("/bin/sh"));

    let mut relative = command("./sh", None);
    relative.cwd = Some("/bin".into());
    check(&relative, Ok("/bin/sh"));
}

#[test]
fn what_is_missing_is_named() {
    check(
        &command("/nowhere/server", None),
        Err("no program at `/nowhere/server`; correct `command`"),
    );
    check(
        &command("/etc/passwd", None),
        Err("`/etc/passwd` is not executable; run `chmod +x` on it, or correct `command`"),
    );
    check(
        &command("passwd", Some("/etc")),
        Err("`/etc/passwd` is not executable; run `chmod +x` on it, or correct `command`"),
    );
    let mut lost = command("sh", Some("/bin"));
    lost.cwd = Some("/nowhere".into());
    check(&lost, Err("no directory `/nowhere`; correct `cwd`"));
}

#[test]
fn what_the_kernel_would_misread_is_refused() {
    let refused = |change: fn(&mut Command)| {
        let mut command = command("sh", Some("/bin"));
        change(&mut command);
        assert!(
            matches!(command.resolve(), Err(SpawnError::Invalid(_))),
            "{command:?}"
        );
    };
    refused(|command| command.program.clear());
    refused(|command| command.program.push('\0'));
    refused(|command| command.args.push("a\0b".to_owned()));
    refused(|command| command.env.push((String::new(), "v".to_owned())));
    refused(|command| command.env.push(("A=B".to_owned(), "v".to_owned())));
    refused(|command| command.env.push(("A".to_owned(), "v\0B=w".to_owned())));
    refused(|command| command.cwd = Some("/tmp\0/x".into()));
}

#[test]
fn secrets_are_not_shown() {
    let mut command = command("sh", Some("/bin"));
    command.args.push("--key=hunter2".to_owned());
    command.env.push(("KEY".to_owned(), "hunter2".to_owned()));
    let shown = format!("{command:?}");
    assert!(
        !shown.contains("hunter2") && shown.contains("KEY"),
        "{shown}"
    );
}
