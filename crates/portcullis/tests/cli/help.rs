//! What the binary says of itself.

use crate::place::Place;

#[test]
fn without_a_command_it_shows_the_help_and_exits_with_2() {
    let ran = Place::new().run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: portcullis"), "{}", ran.stderr);
}

#[test]
fn the_version_is_one_line() {
    let ran = Place::new().run(&["--version"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(
        ran.stdout,
        concat!("portcullis ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn short_help() {
    let ran = Place::new().run(&["-h"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ran.stdout, @r#"
The security gateway for the Model Context Protocol

Usage: portcullis [OPTIONS] <COMMAND>

Commands:
  demo         Shows attacks on two sample servers, with the gateway and without it
  run          Runs the gateway from a configuration file
  wrap         Protects one local server, without a configuration
  stdio        Serves one client on standard input and output, from a configuration file
  check        Checks a configuration file and shows everything that is wrong in it
  policy       Checks, explains, tests and replays policies
  sandbox      Shows what local servers are granted
  doctor       Tries whether this machine can confine each local server as its entry asks
  packages     Shows which packages were accepted for servers, and accepts others
  connections  Lists what confined servers reached over the network, and what they were kept from
  approvals    Shows calls that wait for a person's yes, and answers them
  token        Makes, lists and revokes API keys, by which programs enter
  user         Invites people, and changes, lists and removes their accounts
  secret       Sets, lists and removes secrets that servers need, sealed in the state directory
  scopes       Lists scopes that were granted and have never opened anything
  keys         Changes and lists the keys that sign access tokens
  events       Prints the record of authentication events, newest first
  connect      Connects to a server where the gateway's own pages cannot be used
  completions  Prints a script that completes this program's commands in a shell
  help         Print this message or the help of the given subcommand(s)

Options:
  -h, --help     Print help (see more with '--help')
  -V, --version  Print version

Logging:
      --log <LEVEL>          Least severe level logged (off, error, warn, info, debug, trace), or
                             directives such as `warn,portcullis_proxy=debug`
      --log-format <FORMAT>  Form of a log line on standard error [possible values: text, json]
"#);
}

#[test]
fn an_unknown_command_is_a_wrong_request() {
    let ran = Place::new().run(&["chekc"]);
    assert_eq!(ran.code, Some(2));
    insta::assert_snapshot!(ran.stderr, @r#"
error: unrecognized subcommand 'chekc'

  tip: a similar subcommand exists: 'check'

Usage: portcullis [OPTIONS] <COMMAND>

For more information, try '--help'.
"#);
}

#[test]
fn hidden_commands_stay_hidden() {
    let ran = Place::new().run(&["help"]);
    assert!(!ran.stdout.contains("__"), "{}", ran.stdout);
}

/// `portcullis check | head -1` is no failure.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let place = Place::new();
    let mut command = place.command(&["completions", "bash"]);
    let output = command.stdout(Stdio::from(writer)).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
