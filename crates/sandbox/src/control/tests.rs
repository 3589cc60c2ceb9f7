use super::*;

#[test]
fn reports_survive_the_lifeline() {
    for report in [
        Report::Started(4_194_304),
        Report::Failed(2),
        Report::Ended(Exit::Code(255)),
        Report::Ended(Exit::Signal(9)),
        Report::Ended(Exit::Lost),
    ] {
        assert_eq!(Report::decode(report.encode()), Some(report));
    }
    assert_eq!(Report::decode(*b"?\0\0\0\0"), None);
}

#[test]
fn what_is_no_order_kills() {
    for order in [Order::Terminate, Order::Kill] {
        assert_eq!(Order::decode(order.encode()), order);
    }
    assert_eq!(Order::decode(0), Order::Kill);
}

#[test]
fn a_plan_arrives_with_its_streams() {
    let (gateway, guard) = UnixStream::pair().unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let streams = Streams {
        stdin: reader.try_clone().unwrap().into(),
        stdout: writer.try_clone().unwrap().into(),
        stderr: writer.into(),
    };
    let plan = Plan {
        program: "/bin/true".into(),
        name: "true".into(),
        args: vec!["a".into()],
        env: vec![("N".into(), "v".into())],
        cwd: None,
    };
    send_plan(&gateway, &plan, &streams).unwrap();
    drop(streams);
    let (received, streams) = receive_plan(&guard).unwrap();
    assert_eq!(received, plan);
    rustix::io::write(&streams.stdout, b"through").unwrap();
    drop(streams);
    let mut text = String::new();
    (&reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn a_plan_without_streams_is_refused() {
    let (gateway, guard) = UnixStream::pair().unwrap();
    (&gateway).write_all(&[1, 0, 0, 0, 0]).unwrap();
    assert!(receive_plan(&guard).is_err());
}
