use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

/// The committed reference is what `--help` says. `UPDATE=1` writes it.
#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/help.md");
    let mut now = String::from(
        "# Commands\n\nWhat `portcullis --help` and `portcullis COMMAND --help` print.\n",
    );
    let mut command = Cli::command().term_width(100);
    command.build();
    write_help(&mut now, &command, "portcullis");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        committed, now,
        "run the tests with UPDATE=1 to write `{path}` anew"
    );
}

fn write_help(out: &mut String, command: &clap::Command, name: &str) {
    let help = command
        .clone()
        .term_width(100)
        .bin_name(name)
        .render_long_help();
    write!(out, "\n## `{name}`\n\n```text\n").unwrap();
    for line in help.to_string().lines() {
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    out.push_str("```\n");
    for inner in command.get_subcommands() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            let name = format!("{name} {}", inner.get_name());
            write_help(out, inner, &name);
        }
    }
}
