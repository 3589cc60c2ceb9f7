use super::*;

fn webhook(url: &str, secret: &str) -> Result<Webhook, InvalidWebhook> {
    let egress = Egress::new(&portcullis_egress::Settings::default()).unwrap();
    Webhook::new(url, secret, false, &egress)
}

const URL: &str = "https://hooks.example/portcullis";

#[test]
fn a_signature_is_that_of_the_specification() {
    // The example of the Standard Webhooks specification.
    let webhook = webhook(URL, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let body = br#"{"test": 2432232314}"#;
    assert_eq!(
        webhook.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}

#[test]
fn a_secret_or_address_that_is_none_is_refused() {
    let long = format!("whsec_{}", STANDARD.encode([7; 65]));
    for secret in [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_!",
        &long,
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ] {
        assert_eq!(
            webhook(URL, secret).unwrap_err(),
            InvalidWebhook::Secret,
            "{secret}"
        );
    }
    let good = format!("whsec_{}", STANDARD.encode([7; 32]));
    for url in [
        "",
        "/path",
        "hooks.example",
        "ftp://hooks.example/",
        "https://me:it@hooks.example/",
    ] {
        assert_eq!(
            webhook(url, &good).unwrap_err(),
            InvalidWebhook::Address,
            "{url}"
        );
    }
    assert!(webhook(URL, &good).is_ok());
    assert!(!format!("{:?}", webhook(URL, &good)).contains("BwcH"));
}
