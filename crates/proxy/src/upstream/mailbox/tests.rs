use bytes::Bytes;
use portcullis_mcp::Id;

use super::*;

fn ask() -> Ask {
    Ask {
        id: Id::Number(1),
        method: "roots/list".into(),
        params: None,
    }
}

#[tokio::test]
async fn a_full_mailbox_drops_notifications_refuses_asks_and_keeps_the_answer() {
    let mailbox = Mailbox::default();
    for _ in 0..NOTIFICATIONS_MAX * 2 {
        mailbox.notify(Event::Progress(Bytes::new()));
    }
    for _ in 0..ASKS_MAX {
        mailbox.ask(ask()).unwrap();
    }
    mailbox.ask(ask()).unwrap_err();
    mailbox.done(Err(UpstreamError::Closed));
    assert!(mailbox.try_done().is_none());
    for _ in 0..NOTIFICATIONS_MAX {
        assert!(matches!(mailbox.next().await, Event::Progress(_)));
    }
    for _ in 0..ASKS_MAX {
        assert!(matches!(mailbox.next().await, Event::Ask(_)));
    }
    assert!(matches!(
        mailbox.try_done(),
        Some(Err(UpstreamError::Closed))
    ));
}

#[tokio::test]
async fn a_reader_that_waits_is_woken() {
    let mailbox = std::sync::Arc::new(Mailbox::default());
    let reader = tokio::spawn({
        let mailbox = mailbox.clone();
        async move { mailbox.next().await }
    });
    tokio::task::yield_now().await;
    mailbox.done(Err(UpstreamError::Timeout));
    assert!(matches!(
        reader.await.unwrap(),
        Event::Done(Err(UpstreamError::Timeout))
    ));
}
