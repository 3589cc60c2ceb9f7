//! `portcullis run`: from its ready line to its end.

use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use crate::client::{call, try_call};
use crate::gateway::{Gateway, config, place};
use crate::place::Place;

#[test]
fn it_says_where_it_listens_serves_and_ends_with_0() {
    let place = place("", &["first", "second"]);
    let gateway = Gateway::start(&place, &[]);
    let ready = &gateway.ready;
    assert_eq!(ready["event"], "ready");
    assert_eq!(ready["servers"], serde_json::json!(["first", "second"]));
    assert!(ready["pid"].is_u64());
    let answer = call(gateway.address(), "first", "");
    assert_eq!(answer.status, 200);
    assert!(answer.text().ends_with("sees nothing"), "{answer:?}");
    gateway.signal("TERM");
    let ended = gateway.ended();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(
        place
            .path()
            .join(".local/state/portcullis/portcullis.db")
            .is_file()
    );
}

#[test]
fn requests_in_progress_are_answered_before_it_ends() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let address = gateway.address().to_owned();
    let waiting = thread::spawn(move || call(&address, "a", "wait"));
    // Opening the pipe waits for the server, which has the call then.
    assert_eq!(
        std::fs::read_to_string(place.path().join("begun")).unwrap(),
        "begun\n"
    );
    gateway.signal("INT");
    gateway.says("ending after the requests in progress");
    while TcpStream::connect(gateway.address()).is_ok() {
        std::thread::yield_now();
    }
    std::fs::write(place.path().join("go"), "go\n").unwrap();
    let answer = waiting.join().unwrap();
    assert!(answer.text().starts_with("pid "));
    let ended = gateway.ended();
    assert_eq!(ended.code, Some(0));
    let last = ended.log.last().unwrap();
    assert!(
        last.contains("ended") && last.ends_with("cut_off=0"),
        "{last}"
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = place("limits.shutdown_timeout = \"1h\"", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let address = gateway.address().to_owned();
    let waiting = thread::spawn(move || try_call(&address, "a", "wait"));
    assert_eq!(
        std::fs::read_to_string(place.path().join("begun")).unwrap(),
        "begun\n"
    );
    gateway.signal("TERM");
    gateway.says("ending after the requests in progress");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(3));
    // Cut off before its head, or in the middle of the event stream that it had become.
    if let Ok(answer) = waiting.join().unwrap() {
        assert!(answer.body.is_null(), "{answer:?}");
    }
}

#[test]
fn its_servers_end_with_it() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let text = call(gateway.address(), "a", "").text().to_owned();
    let pid: u32 = text.split(' ').nth(1).unwrap().parse().unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists() || !cfg!(target_os = "linux"));
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
    assert!(!process.exists());
}

#[test]
fn arguments_come_before_the_file() {
    let place = place("", &["a"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = config("state.directory = \"of-file\"", &["a"]);
    place.write("portcullis.toml", config.replace("127.0.0.1:0", &address));
    let args = ["--listen", "127.0.0.1:0", "--state-dir", "of-arguments"];
    let gateway = Gateway::start(&place, &args);
    assert_ne!(gateway.address(), address);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
    assert!(place.path().join("of-arguments/portcullis.db").is_file());
    assert!(!place.path().join("of-file").exists());
}

#[test]
fn an_address_that_is_taken_is_said() {
    let place = place("", &["a"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = place.run(&["run", "--listen", &address]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    assert!(
        ran.stderr
            .contains(&format!("cannot listen on `{address}`")),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_open_address_is_refused_as_an_argument_too() {
    let ran = place("", &["a"]).run(&["run", "--listen", "0.0.0.0:0"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr
            .contains("`0.0.0.0:0` can be reached from other machines"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_state_directory_has_one_gateway() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let ran = place.run(&["run"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    let pid = &gateway.ready["pid"];
    let expected = format!("another gateway (process {pid}) uses the state directory");
    assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
}

#[test]
fn a_configuration_with_a_mistake_is_drawn() {
    let ran = Place::with("[servers.a]\ncomand = []\n").run(&["run", "-c", "portcullis.toml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(ran.stderr, @r#"
  × there is no setting `servers.a.comand`
   ╭─[portcullis.toml:2:1]
 2 │ comand = []
   · ───┬──
   ·    ╰── unknown key
   ╰────
  help: did you mean `command`?

portcullis: the configuration has a mistake that must be mended
"#);
}

#[test]
fn logs_can_be_json() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &["--log-format", "json", "--log", "info"]);
    let line: Value = serde_json::from_str(&gateway.says("listening")).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "listening");
}

#[test]
fn a_log_filter_that_is_none_is_a_wrong_request() {
    let ran = place("", &["a"]).run(&["run", "--log", "a=b=c"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("is no log filter"), "{}", ran.stderr);
}
