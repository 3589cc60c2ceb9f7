//! `portcullis check`: what it says of good files and of bad ones.

use insta::assert_snapshot;
use serde_json::Value;

use crate::place::Place;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[track_caller]
fn says(config: &str) -> String {
    Place::with(config).var("TOKEN", TOKEN).check()
}

#[test]
fn a_good_file() {
    assert_snapshot!(says(r#"
[clients.a]
token = "${TOKEN}"
[servers.tracker]
url = "https://tracker.example/mcp"
"#), @r#"
ok: 1 server
exit code 0
"#);
}

#[test]
fn no_file() {
    let place = Place::new();
    let ran = place.run(&["check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    let home = place.path().display().to_string();
    assert_snapshot!(ran.stderr.replace(&home, "HOME"), @r#"portcullis: no configuration file; looked for `HOME/portcullis.toml` and `HOME/.config/portcullis/portcullis.toml`; write one, name one with `--config FILE`, or see `portcullis demo` and `portcullis wrap`, which need none"#);
    let ran = place.run(&["check", "-c", "none.toml"]);
    assert_eq!(ran.code, Some(2));
    assert_snapshot!(ran.stderr, @r#"portcullis: the configuration file `none.toml` cannot be read: No such file or directory (os error 2)"#);
}

#[test]
fn the_empty_file() {
    assert_snapshot!(says(""), @r#"
  ⚠ no servers: there is nothing to stand in front of
   ╭─[portcullis.toml:1:1]
   ╰────
  help: add a table such as `[servers.files]` with a `command` or a `url`

ok: 0 servers, 1 warning
exit code 0
"#);
}

#[test]
fn unknown_keys() {
    assert_snapshot!(says(r#"
colour = "blue"
[listen]
adress = "127.0.0.1:1"
[servers.a]
command = ["/bin/sh"]
args = ["-y"]
tiemout = "30s"
type = "stdio"
[mcpServers.b]
command = "x"
"#), @r#"
  × there is no setting `colour`
   ╭─[portcullis.toml:2:1]
 2 │ colour = "blue"
   · ───┬──
   ·    ╰── unknown key
   ╰────
  help: the keys here are `listen`, `clients`, `oauth`, `scopes`, `servers`, `credentials`,
        `policy`, `sandbox`, `packages`, `egress`, `limits`, `state`, `record` and `log`

  × there is no setting `listen.adress`
   ╭─[portcullis.toml:4:1]
 4 │ adress = "127.0.0.1:1"
   · ───┬──
   ·    ╰── unknown key
   ╰────
  help: did you mean `address`?

  × there is no setting `servers.a.args`
   ╭─[portcullis.toml:7:1]
 7 │ args = ["-y"]
   · ──┬─
   ·   ╰── unknown key
   ╰────
  help: `command` holds the program and its arguments: `command = ["npx", "-y", "…"]`

  × there is no setting `servers.a.tiemout`
   ╭─[portcullis.toml:8:1]
 8 │ tiemout = "30s"
   · ───┬───
   ·    ╰── unknown key
   ╰────
  help: did you mean `timeout`?

  × there is no setting `servers.a.type`
   ╭─[portcullis.toml:9:1]
 9 │ type = "stdio"
   · ──┬─
   ·   ╰── unknown key
   ╰────
  help: did you mean `transport`?

  × there is no setting `mcpServers`
    ╭─[portcullis.toml:10:2]
 10 │ [mcpServers.b]
    ·  ─────┬────
    ·       ╰── unknown key
    ╰────
  help: did you mean `servers`?

not ok: 6 mistakes
exit code 2
"#);
}

#[test]
fn wrong_types() {
    assert_snapshot!(says(r#"
limits = { depth_max = "5", connections_max = -1, request_bytes_max = -4, idle_timeout = true }
[servers.a]
command = "/bin/sh -c true"
timeout = 30
pass_env = ["A", 3]
env = { PORT = 80 }
"#), @r#"
  × `limits.depth_max` must be a whole number, not a string
   ╭─[portcullis.toml:2:24]
 2 │ limits = { depth_max = "5", connections_max = -1, request_bytes_max = -4, idle_timeout = true }
   ·                        ─┬─
   ·                         ╰── of the wrong kind
   ╰────
  help: write it without quotes: `5`

  × `limits.connections_max` cannot be less than 0
   ╭─[portcullis.toml:2:47]
 2 │ limits = { depth_max = "5", connections_max = -1, request_bytes_max = -4, idle_timeout = true }
   ·                                               ─┬
   ·                                                ╰── too small
   ╰────
  help: Connections open at a time.

  × `limits.request_bytes_max` cannot be less than 0
   ╭─[portcullis.toml:2:71]
 2 │ limits = { depth_max = "5", connections_max = -1, request_bytes_max = -4, idle_timeout = true }
   ·                                                                       ─┬
   ·                                                                        ╰── too small
   ╰────
  help: Largest message accepted from a client.

  × `limits.idle_timeout` must be a length of time such as `"30s"`, not a boolean
   ╭─[portcullis.toml:2:90]
 2 │ limits = { depth_max = "5", connections_max = -1, request_bytes_max = -4, idle_timeout = true }
   ·                                                                                          ──┬─
   ·                                                                                            ╰── of the wrong kind
   ╰────
  help: Time an idle client connection is kept.

  × `servers.a.command` must be an array, not a string
   ╭─[portcullis.toml:4:11]
 4 │ command = "/bin/sh -c true"
   ·           ────────┬────────
   ·                   ╰── of the wrong kind
   ╰────
  help: write an array: `["/bin/sh", "-c", "true"]`

  × `servers.a.timeout` must be a length of time such as `"30s"`, not a whole number
   ╭─[portcullis.toml:5:11]
 5 │ timeout = 30
   ·           ─┬
   ·            ╰── of the wrong kind
   ╰────
  help: for seconds write `"30s"`, for milliseconds `"30ms"`

  × `servers.a.pass_env[1]` must be a string, not a whole number
   ╭─[portcullis.toml:6:18]
 6 │ pass_env = ["A", 3]
   ·                  ┬
   ·                  ╰── of the wrong kind
   ╰────
  help: put it in quotes

  × `servers.a.env.PORT` must be a string, not a whole number
   ╭─[portcullis.toml:7:16]
 7 │ env = { PORT = 80 }
   ·                ─┬
   ·                 ╰── of the wrong kind
   ╰────
  help: put it in quotes

not ok: 8 mistakes
exit code 2
"#);
}

#[test]
fn bad_values() {
    assert_snapshot!(says(r#"
[listen]
address = "localhost:8420"
hosts = ["https://gateway.example"]
origins = ["https://app.example/", "*"]
[limits]
request_bytes_max = "4 megs"
head_timeout = "10 sec"
requests_max = 0
[servers.a]
url = "ftp://files.example"
era = "modrn"
timeout = "0s"
[log]
level = "verbose"
"#), @r#"
  × `listen.address` cannot be read: invalid socket address syntax
   ╭─[portcullis.toml:3:11]
 3 │ address = "localhost:8420"
   ·           ────────┬───────
   ·                   ╰── not understood
   ╰────
  help: write an IP address and a port, such as `127.0.0.1:8420` or `[::1]:8420`

  × `https://gateway.example` is not a host name, alone or with a port
   ╭─[portcullis.toml:4:10]
 4 │ hosts = ["https://gateway.example"]
   ·          ────────────┬────────────
   ·                      ╰── here
   ╰────
  help: write `gateway.example` or `gateway.example:8443`, without a scheme or a path

  × `https://app.example/` is not an origin
   ╭─[portcullis.toml:5:12]
 5 │ origins = ["https://app.example/", "*"]
   ·            ───────────┬──────────
   ·                       ╰── here
   ╰────
  help: write `https://app.example` or `https://app.example:8443`: no path, and no pattern

  × `*` is not an origin
   ╭─[portcullis.toml:5:36]
 5 │ origins = ["https://app.example/", "*"]
   ·                                    ─┬─
   ·                                     ╰── here
   ╰────
  help: write `https://app.example` or `https://app.example:8443`: no path, and no pattern

  × `4 megs` is not a size
   ╭─[portcullis.toml:7:21]
 7 │ request_bytes_max = "4 megs"
   ·                     ────┬───
   ·                         ╰── not understood
   ╰────
  help: write a whole number of bytes, or one with a unit: `64KiB` or `4MiB`

  × `10 sec` is not a length of time
   ╭─[portcullis.toml:8:16]
 8 │ head_timeout = "10 sec"
   ·                ────┬───
   ·                    ╰── not understood
   ╰────
  help: write a whole number and a unit: `250ms`, `30s`, `5m` or `1h`

  × `limits.requests_max` of 0 would refuse everything
   ╭─[portcullis.toml:9:16]
 9 │ requests_max = 0
   ·                ┬
   ·                ╰── here
   ╰────
  help: write a larger number, or take it out for the default

  × a server cannot be reached by `ftp`
    ╭─[portcullis.toml:11:7]
 11 │ url = "ftp://files.example"
    ·       ──────────┬──────────
    ·                 ╰── here
    ╰────
  help: write `https://HOST/PATH`

  × `servers.a.era` cannot be `modrn`; it is `auto`, `legacy` or `modern`
    ╭─[portcullis.toml:12:7]
 12 │ era = "modrn"
    ·       ───┬───
    ·          ╰── not understood
    ╰────
  help: did you mean `modern`?

  × `servers.a.timeout` of no time at all would refuse everything
    ╭─[portcullis.toml:13:11]
 13 │ timeout = "0s"
    ·           ──┬─
    ·             ╰── here
    ╰────
  help: write a longer time, or take it out for the default

  × `log.level` cannot be `verbose`; it is `off`, `error`, `warn`, `info`, `debug` or `trace`
    ╭─[portcullis.toml:15:9]
 15 │ level = "verbose"
    ·         ────┬────
    ·             ╰── not understood
    ╰────

not ok: 11 mistakes
exit code 2
"#);
}

#[test]
fn servers_that_are_two_things_or_none() {
    assert_snapshot!(says(r#"
[servers.both]
command = ["/bin/sh"]
url = "https://both.example/"
[servers.neither]
timeout = "5s"
[servers.remote]
url = "https://remote.example/"
env = { A = "b" }
[servers.local]
command = ["/bin/sh"]
headers = {}
[servers.empty]
command = []
[servers.blank]
command = [""]
[servers.words]
command = ["npx -y server"]
"#), @r#"
  × `both` has both a `command` and a `url`
   ╭─[portcullis.toml:4:1]
 4 │ url = "https://both.example/"
   · ─┬─
   ·  ╰── here
   ╰────
  help: keep the one by which it is reached

  × `neither` has neither a `command` nor a `url`
   ╭─[portcullis.toml:5:10]
 5 │ [servers.neither]
   ·          ───┬───
   ·             ╰── here
   ╰────
  help: write `command = ["PROGRAM", "ARGUMENT"]` for a local server, or `url = "https://…"`

  × `env` means nothing for a server without `command`
   ╭─[portcullis.toml:9:1]
 9 │ env = { A = "*" }
   · ─┬─
   ·  ╰── here
   ╰────
  help: take it out

  × `headers` means nothing for a server without `url`
    ╭─[portcullis.toml:12:1]
 12 │ headers = {}
    · ───┬───
    ·    ╰── here
    ╰────
  help: take it out

  × the `command` of `empty` is empty
    ╭─[portcullis.toml:14:11]
 14 │ command = []
    ·           ─┬
    ·            ╰── here
    ╰────
  help: write `command = ["PROGRAM", "ARGUMENT"]`

  × the `command` of `blank` has no program
    ╭─[portcullis.toml:16:12]
 16 │ command = [""]
    ·            ─┬
    ·             ╰── here
    ╰────
  help: write `command = ["PROGRAM", "ARGUMENT"]`

  ⚠ the program of `words` has a space in its name
    ╭─[portcullis.toml:18:12]
 18 │ command = ["npx -y server"]
    ·            ───────┬───────
    ·                   ╰── no shell splits it
    ╰────
  help: did you mean `command = ["npx", "-y", "server"]`?

not ok: 6 mistakes, 1 warning
exit code 2
"#);
}

#[test]
fn names() {
    assert_snapshot!(says(r#"
[servers.GitHub]
url = "https://a.example/"
[servers.a]
url = "https://a.example/"
headers = { "X Y" = "1", Host = "b", Mcp-Session-Id = "c", X-A = "1", x-a = "2", X-B = "a\nb" }
[servers.b]
command = ["/bin/sh"]
env = { "A=B" = "c" }
pass_env = [""]
[clients."a b"]
token = "${TOKEN}"
"#), @r#"
  × `GitHub` cannot be a server's name
   ╭─[portcullis.toml:2:10]
 2 │ [servers.GitHub]
   ·          ───┬──
   ·             ╰── here
   ╰────
  help: start with a small letter; then small letters, digits and `-`, at most 32 characters

  × `X Y` cannot be a header field's name
   ╭─[portcullis.toml:6:13]
 6 │ headers = { "X Y" = "*", Host = "*", Mcp-Session-Id = "*", X-A = "*", x-a = "*", X-B = "****" }
   ·             ──┬──
   ·               ╰── here
   ╰────
  help: use letters, digits and `-`, such as `Authorization` or `X-Api-Key`

  × the gateway itself writes the header field `Host`
   ╭─[portcullis.toml:6:26]
 6 │ headers = { "X Y" = "*", Host = "*", Mcp-Session-Id = "*", X-A = "*", x-a = "*", X-B = "****" }
   ·                          ──┬─
   ·                            ╰── here
   ╰────
  help: take it out

  × the gateway itself writes the header field `Mcp-Session-Id`
   ╭─[portcullis.toml:6:38]
 6 │ headers = { "X Y" = "*", Host = "*", Mcp-Session-Id = "*", X-A = "*", x-a = "*", X-B = "****" }
   ·                                      ───────┬──────
   ·                                             ╰── here
   ╰────
  help: take it out

  × `x-a` and `X-A` are one header field
   ╭─[portcullis.toml:6:71]
 6 │ headers = { "X Y" = "*", Host = "*", Mcp-Session-Id = "*", X-A = "*", x-a = "*", X-B = "****" }
   ·                                                                       ─┬─
   ·                                                                        ╰── here
   ╰────
  help: keep one of them

  × the value of `X-B` has a character that a header field cannot have
   ╭─[portcullis.toml:6:88]
 6 │ headers = { "X Y" = "*", Host = "*", Mcp-Session-Id = "*", X-A = "*", x-a = "*", X-B = "****" }
   ·                                                                                        ───┬──
   ·                                                                                           ╰── here
   ╰────
  help: use printable ASCII characters, and no line break

  × `A=B` cannot be an environment variable
   ╭─[portcullis.toml:9:9]
 9 │ env = { "A=B" = "*" }
   ·         ──┬──
   ·           ╰── here
   ╰────
  help: a variable's name is not empty and has neither `=` nor a NUL character

  × `` cannot be an environment variable
    ╭─[portcullis.toml:10:13]
 10 │ pass_env = [""]
    ·             ─┬
    ·              ╰── here
    ╰────
  help: a variable's name is not empty and has neither `=` nor a NUL character

  × `a b` cannot be a client's name
    ╭─[portcullis.toml:11:10]
 11 │ [clients."a b"]
    ·          ──┬──
    ·            ╰── here
    ╰────
  help: use letters, digits, `.`, `_` and `-`, at most 64 of them

not ok: 9 mistakes
exit code 2
"#);
}

#[test]
fn urls() {
    assert_snapshot!(says(r#"
[servers.a]
url = "tracker.example/mcp"
[servers.b]
url = "https://me:secret@b.example/"
[servers.c]
url = "https://c.example/#part"
[servers.d]
url = "http://192.0.2.7/"
[servers.e]
url = "http://e.example/"
[servers.f]
url = "http://127.0.0.1:9/"
[servers.g]
url = "http://localhost:9/"
"#), @r#"
  × `tracker.example/mcp` is not a URL: relative URL without a base
   ╭─[portcullis.toml:3:7]
 3 │ url = "tracker.example/mcp"
   ·       ──────────┬──────────
   ·                 ╰── here
   ╰────
  help: write `https://HOST/PATH`

  × a URL must not hold a user name or a password
   ╭─[portcullis.toml:5:7]
 5 │ url = "****************************"
   ·       ───────────────┬──────────────
   ·                      ╰── here
   ╰────
  help: put the credential into `headers`, as `Authorization = "Bearer ${NAME}"`

  × a URL's part after `#` is never sent
   ╭─[portcullis.toml:7:7]
 7 │ url = "https://c.example/#part"
   ·       ────────────┬────────────
   ·                   ╰── here
   ╰────
  help: take it out

  × anyone on the way can read and change what is sent without TLS
   ╭─[portcullis.toml:9:7]
 9 │ url = "http://192.0.2.7/"
   ·       ─────────┬─────────
   ·                ╰── here
   ╰────
  help: write `https://`; plain `http://` is for this machine alone

  ⚠ anyone on the way can read and change what is sent without TLS
    ╭─[portcullis.toml:11:7]
 11 │ url = "http://e.example/"
    ·       ─────────┬─────────
    ·                ╰── here
    ╰────
  help: write `https://`; plain `http://` is for this machine alone

not ok: 4 mistakes, 1 warning
exit code 2
"#);
}

#[test]
fn clients() {
    assert_snapshot!(says(r#"
[clients.short]
token = "short"
[clients.first]
token = "${TOKEN}"
[clients.second]
token = "${TOKEN}"
[clients.spaces]
token = "0123456789abcdef 0123456789abcdef"
[clients.none]
[servers.a]
url = "https://a.example/"
"#), @r#"
  × the token of `short` is shorter than 32 characters
   ╭─[portcullis.toml:3:9]
 3 │ token = "*****"
   ·         ───┬───
   ·            ╰── here
   ╰────
  help: make one with `openssl rand -base64 32`, and write `${NAME}` or `${file:PATH}`

  ⚠ the token of `short` is written out in this file
   ╭─[portcullis.toml:3:9]
 3 │ token = "*****"
   ·         ───┬───
   ·            ╰── here
   ╰────
  help: keep it elsewhere, and write `${NAME}` or `${file:PATH}`

  × `second` has the same token as `first`
   ╭─[portcullis.toml:7:9]
 7 │ token = "${TOKEN}"
   ·         ─────┬────
   ·              ╰── here
   ╰────
  help: give each client a token of its own

  × the token of `spaces` has a character that a bearer token cannot have
   ╭─[portcullis.toml:9:9]
 9 │ token = "**************** ****************"
   ·         ─────────────────┬─────────────────
   ·                          ╰── here
   ╰────
  help: use letters, digits, `-`, `.`, `_`, `~`, `+`, `/` and a trailing `=`

  ⚠ the token of `spaces` is written out in this file
   ╭─[portcullis.toml:9:9]
 9 │ token = "**************** ****************"
   ·         ─────────────────┬─────────────────
   ·                          ╰── here
   ╰────
  help: keep it elsewhere, and write `${NAME}` or `${file:PATH}`

  × `clients.none.token` is missing
    ╭─[portcullis.toml:10:1]
 10 │ [clients.none]
    · ───────┬──────
    ·        ╰── needed here
    ╰────
  help: The token, at least 32 characters; write `${NAME}` or `${file:PATH}` rather than the token
        itself.

not ok: 4 mistakes, 2 warnings
exit code 2
"#);
}

#[test]
fn an_open_listener() {
    assert_snapshot!(says("[listen]\naddress = \"0.0.0.0:8420\"\n[servers.a]\nurl = \"https://a.example/\"\n"), @r#"
  × `0.0.0.0:8420` can be reached from other machines and needs `listen.tls`, and an `[oauth]`
  │ table or an entry in `clients`
   ╭─[portcullis.toml:2:11]
 2 │ address = "0.0.0.0:8420"
   ·           ───────┬──────
   ·                  ╰── here
   ╰────
  help: add them, or listen on `127.0.0.1`

not ok: 1 mistake
exit code 2
"#);
}

#[test]
fn references() {
    assert_snapshot!(says(r#"
[servers.a]
url = "https://a.example/"
timeout = "${TOKEN}"
headers = { A = "Bearer ${MISSING}", B = "${file:none}", C = "${", D = "${A-B}", E = "$${kept}" }
"#), @r#"
  × what the reference stands for is not a length of time
   ╭─[portcullis.toml:4:11]
 4 │ timeout = "${TOKEN}"
   ·           ─────┬────
   ·                ╰── not understood
   ╰────
  help: write a whole number and a unit: `250ms`, `30s`, `5m` or `1h`

  × the environment variable `MISSING` is not set
   ╭─[portcullis.toml:5:25]
 5 │ headers = { A = "Bearer ${MISSING}", B = "${file:none}", C = "${", D = "${A-B}", E = "********" }
   ·                         ─────┬────
   ·                              ╰── in `servers.a.headers.A`
   ╰────
  help: set `MISSING` in the gateway's environment, or write `${file:PATH}`

  × the file `none` cannot be read: No such file or directory (os error 2)
   ╭─[portcullis.toml:5:43]
 5 │ headers = { A = "Bearer ${MISSING}", B = "${file:none}", C = "${", D = "${A-B}", E = "********" }
   ·                                           ──────┬─────
   ·                                                 ╰── in `servers.a.headers.B`
   ╰────
  help: a relative path starts at the configuration file's directory

  × `${` has no closing `}`
   ╭─[portcullis.toml:5:63]
 5 │ headers = { A = "Bearer ${MISSING}", B = "${file:none}", C = "${", D = "${A-B}", E = "********" }
   ·                                                               ─┬
   ·                                                                ╰── in `servers.a.headers.C`
   ╰────
  help: write `${NAME}` or `${file:PATH}`; for the characters themselves write `$${`

  × `A-B` names neither an environment variable nor a file
   ╭─[portcullis.toml:5:73]
 5 │ headers = { A = "Bearer ${MISSING}", B = "${file:none}", C = "${", D = "${A-B}", E = "********" }
   ·                                                                         ───┬──
   ·                                                                            ╰── in `servers.a.headers.D`
   ╰────
  help: write `${NAME}` or `${file:PATH}`; for the characters themselves write `$${`

not ok: 5 mistakes
exit code 2
"#);
}

#[test]
fn text_that_is_not_toml() {
    assert_snapshot!(says(r#"
[servers.a]
command = ["a" "b"]
[servers.b.env]
KEY = ghp_secret
[clients.c]
token = "ghp_secret
[servers.a]
url = 1
"#), @r#"
  × this is not TOML: missing comma between array elements, expected `,`
   ╭─[portcullis.toml:3:16]
 3 │ command = ["a" "b"]
   ·                ▲
   ·                ╰── here
   ╰────

  × this is not TOML: string values must be quoted, expected literal string
   ╭─[portcullis.toml:5:7]
 5 │ KEY = **********
   ·       ─────┬────
   ·            ╰── here
   ╰────

  × this is not TOML: invalid basic string, expected `"`
   ╭─[portcullis.toml:7:19]
 7 │ token = "**********
   ·                   ┬
   ·                   ╰── here
   ╰────

  × this is not TOML: duplicate key
   ╭─[portcullis.toml:8:10]
 8 │ [servers.a]
   ·          ┬
   ·          ╰── here
   ╰────

not ok: 4 mistakes
exit code 2
"#);
}

#[test]
fn a_file_that_is_not_text() {
    let place = Place::new();
    place.write("portcullis.toml", b"[servers]\n# \xff\n");
    assert_snapshot!(place.check(), @r#"
  × the file is not UTF-8 text
   ╭─[portcullis.toml:2:3]
 2 │ # �
   ·   ┬
   ·   ╰── here
   ╰────
  help: save the file as UTF-8

not ok: 1 mistake
exit code 2
"#);
}

#[test]
fn what_this_machine_lacks() {
    let place = Place::with(
        r#"
[listen]
tls = { certificate = "c.pem", key = "k.pem" }
[servers.a]
command = ["nqx", "-y", "a"]
pass_env = ["NOT_SET"]
[servers.b]
command = ["./bin/b"]
cwd = "work"
"#,
    );
    let here = place.path().canonicalize().unwrap().display().to_string();
    assert_snapshot!(place.check().replace(&here, "HERE"), @r#"
  ⚠ there is no file `c.pem`
   ╭─[portcullis.toml:3:23]
 3 │ tls = { certificate = "c.pem", key = "k.pem" }
   ·                       ───┬───
   ·                          ╰── not found
   ╰────
  help: a relative path starts at the configuration file's directory

  ⚠ there is no file `k.pem`
   ╭─[portcullis.toml:3:38]
 3 │ tls = { certificate = "c.pem", key = "k.pem" }
   ·                                      ───┬───
   ·                                         ╰── not found
   ╰────
  help: a relative path starts at the configuration file's directory

  ⚠ there is no program `nqx` on `PATH`
   ╭─[portcullis.toml:5:12]
 5 │ command = ["nqx", "-y", "a"]
   ·            ──┬──
   ·              ╰── not found
   ╰────
  help: did you mean `npx`?

  ⚠ the environment variable `NOT_SET` is not set
   ╭─[portcullis.toml:6:13]
 6 │ pass_env = ["NOT_SET"]
   ·             ────┬────
   ·                 ╰── not set
   ╰────
  help: set it in the gateway's environment

  ⚠ there is no program `./bin/b`
   ╭─[portcullis.toml:8:12]
 8 │ command = ["./bin/b"]
   ·            ────┬────
   ·                ╰── not found
   ╰────

  ⚠ there is no directory `work`
   ╭─[portcullis.toml:9:7]
 9 │ cwd = "work"
   ·       ───┬──
   ·          ╰── not found
   ╰────
  help: a relative path starts at the configuration file's directory

ok: 2 servers, 6 warnings
exit code 0
"#);
}

#[test]
fn mistakes_for_a_program() {
    let place = Place::with("[listen]\nadress = 1\n[servers.a]\nurl = \"https://a.example/\"\n");
    let ran = place.run(&["check", "--json", "--config", "portcullis.toml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(2), ""));
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_snapshot!(format!("{value:#}"), @r#"
{
  "ok": false,
  "file": "portcullis.toml",
  "servers": null,
  "mistakes": [
    {
      "severity": "error",
      "code": "unknown-key",
      "message": "there is no setting `listen.adress`",
      "hint": "did you mean `address`?",
      "line": 2,
      "column": 1,
      "offset": 9,
      "length": 6
    }
  ]
}
"#);
}

#[test]
fn a_good_file_for_a_program() {
    let ran = Place::with("[servers.a]\nurl = \"https://a.example/\"\n").run(&[
        "check",
        "--json",
        "-c",
        "portcullis.toml",
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_snapshot!(ran.stdout.trim_end(), @r#"{"ok":true,"file":"portcullis.toml","servers":1,"mistakes":[]}"#);
}
