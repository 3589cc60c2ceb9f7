//! Questions to people: one answer each, spent once, for the call that it is bound to.

use portcullis_store::{ApprovalState, AskBounds, Asked, NewApproval, Settings, Store};

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("db"), Settings::default()).unwrap();
    (folder, store)
}

const BOUNDS: AskBounds = AskBounds {
    asks_max: 3,
    window_ms: 1000,
    no_stands_ms: 500,
};

fn new(id: &str, binding: u8, asked_ms: u64) -> NewApproval {
    NewApproval {
        id: id.to_owned(),
        binding: [binding; 32],
        principal: "ada".to_owned(),
        identity: "user 3:ada ".to_owned(),
        holder: "ada".to_owned(),
        client: None,
        server: "files".to_owned(),
        tool: "write".to_owned(),
        arguments: b"{}".to_vec(),
        reasons: "it writes".to_owned(),
        unusual: String::new(),
        request_id: "r".to_owned(),
        asked_ms,
        expires_ms: asked_ms + 100,
    }
}

async fn ask(store: &Store, id: &str, binding: u8, at: u64) -> Asked {
    let new = new(id, binding, at);
    store.approvals().ask(new, BOUNDS).await.unwrap()
}

fn open_until(id: &str, expires_ms: u64) -> Asked {
    Asked::Open {
        id: id.to_owned(),
        expires_ms,
    }
}

async fn decide(store: &Store, id: &str, approved: bool, at: u64) -> bool {
    let approvals = store.approvals();
    let by = "somebody".to_owned();
    approvals
        .decide(id.to_owned(), approved, by, at)
        .await
        .unwrap()
}

async fn spend(store: &Store, binding: u8, at: u64) -> Option<String> {
    store.approvals().spend([binding; 32], at).await.unwrap()
}

#[tokio::test]
async fn an_approval_is_spent_once_and_for_what_it_is_bound_to() {
    let (_folder, store) = open();
    assert_eq!(ask(&store, "a", 1, 10).await, open_until("a", 110));
    assert_eq!(spend(&store, 1, 11).await, None, "nobody has said yes");
    assert!(decide(&store, "a", true, 12).await);
    assert!(!decide(&store, "a", false, 13).await, "answered already");
    assert_eq!(ask(&store, "b", 1, 13).await, Asked::Approved);
    assert_eq!(spend(&store, 2, 14).await, None, "another call");
    assert_eq!(spend(&store, 1, 15).await, Some("a".to_owned()));
    assert_eq!(spend(&store, 1, 16).await, None, "spent");
    store.approvals().give_back("a".to_owned()).await.unwrap();
    assert_eq!(spend(&store, 1, 17).await, Some("a".to_owned()));
    let row = store
        .approvals()
        .get("a".to_owned())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.state, ApprovalState::Spent);
    assert_eq!(row.decided_by.as_deref(), Some("somebody"));
}

#[tokio::test]
async fn time_ends_questions_and_answers() {
    let (_folder, store) = open();
    ask(&store, "a", 1, 10).await;
    assert!(!decide(&store, "a", true, 110).await, "too late to answer");
    ask(&store, "b", 2, 10).await;
    assert!(decide(&store, "b", true, 20).await);
    assert_eq!(spend(&store, 2, 110).await, None, "too late to use");
    let open = store.approvals().list(Some(50)).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(store.approvals().forget(11, 200).await.unwrap(), 2);
}

#[tokio::test]
async fn nobody_is_worn_down() {
    let (_folder, store) = open();
    ask(&store, "a", 1, 10).await;
    let again = ask(&store, "b", 1, 20).await;
    assert_eq!(again, open_until("a", 110), "the same question");
    assert!(decide(&store, "a", false, 30).await);
    assert_eq!(ask(&store, "c", 1, 40).await, Asked::DeniedBefore);
    ask(&store, "d", 2, 41).await;
    ask(&store, "e", 3, 42).await;
    assert_eq!(ask(&store, "f", 4, 43).await, Asked::TooOften);
    let later = ask(&store, "g", 1, 2000).await;
    assert_eq!(later, open_until("g", 2100));
}

#[tokio::test]
async fn of_two_at_once_one_gets_it() {
    let (_folder, store) = open();
    for round in 0..100_u64 {
        let id = format!("a{round}");
        let bounds = AskBounds {
            asks_max: 1000,
            ..BOUNDS
        };
        store
            .approvals()
            .ask(new(&id, 1, round), bounds)
            .await
            .unwrap();
        assert!(decide(&store, &id, true, round).await);
        let (one, other) = tokio::join!(spend(&store, 1, round), spend(&store, 1, round));
        assert_eq!(one.is_some(), other.is_none(), "round {round}");
    }
}

#[tokio::test]
async fn a_question_is_put_before_somebody_so_often_and_no_more() {
    let (_folder, store) = open();
    ask(&store, "a", 1, 10).await;
    let show = async || store.approvals().show("a".to_owned(), 2).await.unwrap();
    assert!(show().await);
    assert!(show().await);
    assert!(!show().await, "twice already");
    ask(&store, "b", 2, 10).await;
    assert!(decide(&store, "b", true, 11).await);
    assert!(!store.approvals().show("b".to_owned(), 2).await.unwrap());
}
