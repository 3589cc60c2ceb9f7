use super::*;

fn text(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

#[test]
fn only_fit_passwords_may_be_chosen() {
    for (password, expected) in [
        ("marble ferry onion", Ok(())),
        ("blåbær og fløte", Ok(())),
        ("elevenchars", Err(Unfit::Short)),
        ("password1234", Err(Unfit::Common)),
        ("PASSWORD-2026!", Err(Unfit::Common)),
        ("passwordpassword", Err(Unfit::Common)),
        ("aaaaaaaaaaaaaaaa", Err(Unfit::Common)),
        ("123456789012", Err(Unfit::Common)),
        ("1qaz2wsx3edc", Err(Unfit::Common)),
        ("lovelace in paris", Err(Unfit::Name)),
        ("lovelace@example.com", Err(Unfit::Name)),
    ] {
        assert_eq!(
            check(password, "lovelace@example.com"),
            expected,
            "{password}"
        );
    }
    assert_eq!(check(&"x".repeat(1025), "ada"), Err(Unfit::Long));
}

#[tokio::test]
async fn a_password_is_recognised_by_its_hash() {
    let passwords = Passwords::new().unwrap();
    let hash = passwords.hash(text("marble ferry onion")).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let verify = |password: &str, kept: Option<String>| passwords.verify(text(password), kept);
    let right = verify("marble ferry onion", Some(hash.clone())).await;
    assert_eq!(right.unwrap(), Verdict::Right { rehashed: None });
    let wrong = verify("marble ferry apple", Some(hash)).await;
    assert_eq!(wrong.unwrap(), Verdict::Wrong);
    assert_eq!(verify("", None).await.unwrap(), Verdict::Wrong);
    assert_eq!(
        verify("x", Some("not a hash".into())).await.unwrap(),
        Verdict::Wrong
    );
}

#[tokio::test]
async fn a_hash_of_other_parameters_is_made_anew() {
    let weak = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(64, 1, 1, None).unwrap(),
    );
    let kept = hash(&weak, b"marble ferry onion").unwrap();
    let passwords = Passwords::new().unwrap();
    let verdict = passwords
        .verify(text("marble ferry onion"), Some(kept))
        .await
        .unwrap();
    let Verdict::Right {
        rehashed: Some(anew),
    } = verdict
    else {
        panic!("{verdict:?}")
    };
    assert!(anew.contains("m=19456,t=2,p=1"));
}

#[tokio::test]
async fn a_flood_of_passwords_is_turned_away() {
    let passwords = Passwords::new().unwrap();
    let all = u32::try_from(AT_ONCE + WAITING_MAX).unwrap();
    let _others = passwords.places.try_acquire_many(all).unwrap();
    let refused = passwords.verify(text("x"), None).await;
    assert!(matches!(refused, Err(HashError::Busy)));
}
