//! A configuration that changes while the gateway runs: all of it is taken over, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::client::call;
use crate::gateway::{Gateway, config, place};

#[test]
fn a_good_change_is_taken_over_under_traffic() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let address = gateway.address().to_owned();
    let before = call(&address, "a", "").text().to_owned();
    assert_eq!(call(&address, "b", "").status, 404);

    let enough = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let traffic: Vec<_> = (0..4)
        .map(|_| {
            let (address, before) = (address.clone(), before.clone());
            let (enough, answered) = (Arc::clone(&enough), Arc::clone(&answered));
            thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    // The server's entry did not change: it is the same process all the time.
                    assert_eq!(call(&address, "a", "").text(), before);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for names in [&["a", "b"][..], &["a"], &["a", "b"]] {
        let so_far = answered.load(Ordering::Relaxed);
        place.write("portcullis.toml", config("", names));
        gateway.says("reloaded");
        while answered.load(Ordering::Relaxed) == so_far {
            thread::yield_now();
        }
        let expected = if names.contains(&"b") { 200 } else { 404 };
        assert_eq!(call(&address, "b", "").status, expected);
    }
    enough.store(true, Ordering::Relaxed);
    for thread in traffic {
        thread.join().unwrap();
    }
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
}

#[test]
fn a_bad_change_changes_nothing() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let before = call(gateway.address(), "a", "").text().to_owned();
    place.write(
        "portcullis.toml",
        config("", &["b"]).replace("command", "comand"),
    );
    let drawn = gateway.says("there is no setting `servers.b.comand`");
    assert!(drawn.contains("portcullis.toml:8:1: "), "{drawn}");
    assert!(drawn.ends_with("; did you mean `command`?"), "{drawn}");
    gateway.says("reload refused");
    assert_eq!(call(gateway.address(), "a", "").text(), before);
    assert_eq!(call(gateway.address(), "b", "").status, 404);

    place.write("portcullis.toml", config("", &["a", "b"]));
    gateway.says("reloaded");
    assert_eq!(call(gateway.address(), "a", "").text(), before);
    assert_eq!(call(gateway.address(), "b", "").status, 200);
}

#[test]
fn what_a_request_began_with_it_ends_with() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let address = gateway.address().to_owned();
    let waiting = thread::spawn(move || call(&address, "a", "wait"));
    assert_eq!(
        std::fs::read_to_string(place.path().join("begun")).unwrap(),
        "begun\n"
    );
    place.write("portcullis.toml", config("", &["b"]));
    gateway.says("reloaded");
    assert_eq!(call(gateway.address(), "a", "").status, 404);
    std::fs::write(place.path().join("go"), "go\n").unwrap();
    assert!(waiting.join().unwrap().text().starts_with("pid "));
}

#[test]
fn a_changed_entry_is_a_new_server() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    assert!(
        call(gateway.address(), "a", "")
            .text()
            .ends_with("sees nothing")
    );
    place.write(
        "portcullis.toml",
        config("", &["a"]) + "env = { SAMPLE = \"the new one\" }\n",
    );
    gateway.says("reloaded");
    assert!(
        call(gateway.address(), "a", "")
            .text()
            .ends_with("sees the new one")
    );
}

#[test]
fn a_hangup_reads_secrets_again() {
    let place = place("", &["a"]);
    place.write("secret", "old\n");
    place.write(
        "portcullis.toml",
        config("", &["a"]) + "env = { SAMPLE = \"${file:secret}\" }\n",
    );
    let gateway = Gateway::start(&place, &[]);
    assert!(
        call(gateway.address(), "a", "")
            .text()
            .ends_with("sees old")
    );
    place.write("secret", "new\n");
    gateway.signal("HUP");
    gateway.says("reloaded");
    assert!(
        call(gateway.address(), "a", "")
            .text()
            .ends_with("sees new")
    );
}

#[test]
fn what_cannot_change_is_said() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    place.write(
        "portcullis.toml",
        config("log.level = \"debug\"", &["a", "b"]),
    );
    let line = gateway.says("reload refused");
    assert!(
        line.ends_with("`log` changes only when the gateway is started anew"),
        "{line}"
    );
    assert_eq!(call(gateway.address(), "b", "").status, 404);
}
