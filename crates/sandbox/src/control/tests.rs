use super::*;

#[test]
fn answers_survive_the_lifeline() {
    let refusal = Refusal {
        feature: crate::Feature::Files,
        errno: 13,
        subject: "a path/with spaces".to_owned(),
    };
    let (guard, gateway) = UnixStream::pair().unwrap();
    for answer in [
        Answer::Doors,
        Answer::Report("1 E text\n2 N\n".to_owned()),
        Answer::Refused(refusal),
        Answer::Started(4_194_304),
        Answer::Failed(2),
        Answer::Ended(Exit::Code(255)),
        Answer::Ended(Exit::Signal(9)),
        Answer::Ended(Exit::Lost),
    ] {
        send_answer(&guard, &answer, &[guard.as_fd(), gateway.as_fd()]).unwrap();
        let (received, fds) = receive_answer(&gateway).unwrap();
        assert_eq!(received, answer);
        assert_eq!(fds.len(), 2);
    }
    assert_eq!(Answer::decode(*b"?\0\0\0\0", ""), None);
    (&guard).write_all(b"R\xff\xff\xff\x7f").unwrap();
    assert!(receive_answer(&gateway).is_err());
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
        jail: None,
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
