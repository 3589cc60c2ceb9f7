//! What works once works once, also when two come at the same moment.

use super::*;

/// How many rounds; each is two requests at once.
const ROUNDS: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_redemptions_of_a_code_exactly_one_succeeds() {
    let harness = harness().await;
    let remembered = harness
        .allow(&authorization(&[]), &[("remember", "30")])
        .await;
    assert_eq!(remembered.status(), StatusCode::SEE_OTHER);
    let target = authorization(&[]);
    for round in 0..ROUNDS {
        let response = harness.get(&target, Some(session("ada"))).await;
        let code = answer(&response, "code").unwrap();
        let (a, b) = tokio::join!(harness.redeem(&code, &[]), harness.redeem(&code, &[]));
        assert_one(&a, &b, round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_uses_of_a_refresh_token_exactly_one_succeeds() {
    let harness = harness().await;
    harness
        .allow(&authorization(&[]), &[("remember", "30")])
        .await;
    let target = authorization(&[]);
    for round in 0..ROUNDS {
        let response = harness.get(&target, Some(session("ada"))).await;
        let code = answer(&response, "code").unwrap();
        let tokens = body(&harness.redeem(&code, &[]).await);
        let token = tokens["refresh_token"].as_str().unwrap();
        let (a, b) = tokio::join!(harness.refresh(token, &[]), harness.refresh(token, &[]));
        assert_one(&a, &b, round);
    }
}

#[track_caller]
fn assert_one(a: &Response<Bytes>, b: &Response<Bytes>, round: usize) {
    let statuses = [a.status(), b.status()];
    let given = statuses.iter().filter(|it| **it == StatusCode::OK).count();
    assert_eq!(given, 1, "round {round}: {statuses:?}");
    let refused = if a.status() == StatusCode::OK { b } else { a };
    assert_eq!(error_of(refused).1, "invalid_grant", "round {round}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_answers_to_a_consent_page_exactly_one_counts() {
    let harness = harness().await;
    for round in 0..100 {
        let page = harness.get(&authorization(&[]), Some(session("ada"))).await;
        let request = field(&page, "request");
        let parameters = [
            ("csrf", "csrf-of-ada"),
            ("request", &*request),
            ("decision", "allow"),
        ];
        let send = || harness.send(form(path::CONSENT, &parameters), Some(session("ada")));
        let (a, b) = tokio::join!(send(), send());
        let statuses = [a.status(), b.status()];
        let given = statuses.iter().filter(|it| **it == StatusCode::SEE_OTHER);
        assert_eq!(given.count(), 1, "round {round}: {statuses:?}");
    }
}
