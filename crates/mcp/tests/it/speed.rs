//! Throughput, printed. Run it with
//! `cargo test -p portcullis-mcp --release --test it -- --ignored --nocapture speed`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use portcullis_mcp::{Limits, Message, Object, decode, scan};

fn records(bytes: usize) -> String {
    let record = |number: usize| {
        format!(
            "{{\"id\":{number},\"name\":\"Record number {number}\",\"email\":\"someone{number}@example.com\",\
             \"active\":true,\"balance\":{}.25,\"tags\":[\"alpha\",\"beta\"]}}",
            number * 7
        )
    };
    let records: Vec<_> = (100..100 + bytes / 125).map(record).collect();
    format!("[{}]", records.join(","))
}

fn result_with_text(text: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({
        "jsonrpc": "2.0",
        "id": 1,
        "result": { "content": [{ "type": "text", "text": text }] }
    }))
    .unwrap()
}

/// The best of several rounds, in nanoseconds a call.
fn best_ns(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..25 {
        let start = Instant::now();
        let mut calls = 0_u32;
        while start.elapsed().as_millis() < 8 {
            call();
            calls += 1;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    best
}

#[expect(clippy::cast_precision_loss, reason = "a size that is printed")]
fn report(what: &str, bytes: usize, ns: f64) {
    println!(
        "{what:<44} {bytes:>7} bytes {ns:>9.0} ns {:>7.0} MB/s",
        bytes as f64 * 1e3 / ns
    );
}

#[test]
#[ignore = "prints numbers; needs --release and a quiet machine"]
fn speed() {
    let limits = Limits::for_server();
    let raw = records(64 << 10).into_bytes();
    let messages = [
        (
            "records as escaped text",
            result_with_text(&records(60 << 10)),
        ),
        (
            "plain English text",
            result_with_text(&"The quick brown fox jumps over it. ".repeat(1900)),
        ),
        (
            "text with a line break every 80",
            result_with_text(&format!("{:79}\n", "line").repeat(820)),
        ),
        (
            "text outside ASCII",
            result_with_text(&"Größe Ωmega 日本語のテキスト ".repeat(1500)),
        ),
        ("records as JSON", raw),
    ];
    for (what, message) in &messages {
        let ns = best_ns(|| scan(black_box(message), &limits).unwrap());
        report(&format!("scan: {what}"), message.len(), ns);
    }
    for (what, message) in messages.iter().take(2) {
        let bytes = Bytes::from(message.clone());
        let ns = best_ns(|| {
            black_box(decode(bytes.clone(), &limits).unwrap());
        });
        report(&format!("decode: {what}"), message.len(), ns);
    }
    let call = Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"github__search_issues","arguments":{"query":"is:open label:bug parser","repository":"octo/hello-world","limit":20,"sort":"updated"},"_meta":{"progressToken":"call-17","traceparent":"00-0af7651916cd43dd"}}}"#,
    );
    let ns = best_ns(|| scan(black_box(&call), &limits).unwrap());
    report("scan: tools/call", call.len(), ns);
    let ns = best_ns(|| {
        let Message::Request(request) = decode(call.clone(), &limits).unwrap() else {
            panic!("a request");
        };
        black_box(Object::parse(request.params().unwrap()).unwrap());
    });
    report("decode and parse params: tools/call", call.len(), ns);
}
