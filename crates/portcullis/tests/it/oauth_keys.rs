//! Tokens that an issuer never signed, and keys that are none of its own.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_testkit::Recorder;
use serde_json::{Value, json};

use crate::oauth_peers::{Names, Web, document, plain, redirect};
use crate::oauth_support::{now_s, resource};
use crate::support::{Gateway, Setup};

/// An issuer elsewhere, and something that nobody was to ask.
struct World {
    issuer: Web,
    elsewhere: Web,
    key: SigningKey,
    recorder: Recorder,
}

impl World {
    async fn start() -> Self {
        let world = Self {
            issuer: Web::start().await,
            elsewhere: Web::start().await,
            key: key(),
            recorder: Recorder::start().await.unwrap(),
        };
        world.publish(&[world.key.public()]);
        world
    }

    fn publish(&self, keys: &[&impl serde::Serialize]) {
        let keys = json!({ "keys": keys });
        self.issuer.answer(move |seen| match &*seen.path {
            "/keys" => document(&keys),
            _ => plain(404, ""),
        });
    }

    async fn gateway(&self) -> Gateway {
        let base = self.issuer.base();
        let settings =
            format!("[oauth.issuers.corp]\nissuer = \"{base}\"\njwks_uri = \"{base}/keys\"\n");
        let setup = Setup::new().with(&settings);
        setup
            .url("one", &self.recorder.url(), "modern")
            .start()
            .await
    }

    /// The claims of a token that is in order.
    fn claims(&self, gateway: &Gateway) -> Value {
        claims(&self.issuer.base(), gateway)
    }
}

fn claims(issuer: &str, gateway: &Gateway) -> Value {
    let now_s = now_s();
    json!({
        "iss": issuer, "sub": "grace", "aud": resource(gateway), "exp": now_s + 600, "iat": now_s,
        "client_id": "desk", "scope": "one", "jti": "1",
    })
}

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::Es256).unwrap()
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pair(key: &SigningKey) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.der()).unwrap()
}

/// A token with this head, which `key` signs by ES256 whatever the head says.
fn signed(key: &SigningKey, head: &str, claims: &str) -> String {
    let input = format!("{}.{}", base64url(head), base64url(claims));
    let signature = pair(key)
        .sign(&SystemRandom::new(), input.as_bytes())
        .unwrap();
    format!("{input}.{}", base64url(signature))
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    let list = gateway.of(token).request(1, "tools/list", json!({})).await;
    let status = list.status.as_u16();
    list.bytes().await.unwrap();
    status
}

#[tokio::test]
async fn oauth_algorithm_confusion() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let claims = world.claims(&gateway).to_string();
    let kid = world.key.kid();
    let good = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid });
    assert_eq!(
        status(&gateway, &signed(&world.key, &good.to_string(), &claims)).await,
        200
    );

    let pair = pair(&world.key);
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let spki = spki.as_ref().to_vec();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&spki)
    );
    let public = serde_json::to_value(world.key.public()).unwrap();
    let mut forged = Vec::new();
    // What everybody knows, taken for a shared secret.
    for secret in [
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        &spki,
        pair.public_key().as_ref(),
        public.to_string().as_bytes(),
        public["x"].as_str().unwrap().as_bytes(),
        kid.as_bytes(),
        b"",
    ] {
        for algorithm in ["HS256", "hs256", "HS512", "ES256"] {
            let head = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }).to_string();
            let input = format!("{}.{}", base64url(head), base64url(&claims));
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
            forged.push(format!("{input}.{}", base64url(mac)));
        }
    }
    // No signature, in every spelling.
    for algorithm in ["none", "None", "NONE", "nOnE", "", " none", "null"] {
        let head = base64url(json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }).to_string());
        let (claims, zeros) = (base64url(&claims), base64url([0; 64]));
        forged.push(format!("{head}.{claims}."));
        forged.push(format!("{head}.{claims}"));
        forged.push(format!("{head}.{claims}.{zeros}"));
        forged.push(format!("{head}..{zeros}"));
    }
    // A good signature under a head that says otherwise.
    let swapped = [
        json!({ "alg": "ES384", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "PS256", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "ES256K", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "es256", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": ["ES256"], "typ": "at+jwt", "kid": kid }),
        json!({ "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "ES256", "kid": kid }),
        json!({ "alg": "ES256", "typ": "JWT", "kid": kid }),
        json!({ "alg": "ES256", "typ": "id+jwt", "kid": kid }),
        json!({ "alg": "ES256", "typ": "dpop+jwt", "kid": kid }),
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "crit": ["x"], "x": 1 }),
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "crit": ["b64"], "b64": false }),
    ];
    forged.extend(
        swapped
            .iter()
            .map(|head| signed(&world.key, &head.to_string(), &claims)),
    );
    let twice =
        format!("{{\"alg\":\"none\",\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"{kid}\"}}");
    let twice = signed(&key(), &twice, &claims);
    forged.push(twice);
    // A signature of zeros, which a careless verifier takes (CVE-2022-21449).
    let head = base64url(good.to_string());
    forged.push(format!(
        "{head}.{}.{}",
        base64url(&claims),
        base64url([0; 64])
    ));
    for forged in &forged {
        assert_eq!(status(&gateway, forged).await, 401, "{forged}");
    }
}

#[tokio::test]
async fn oauth_key_of_the_attackers_own() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let evil = key();
    let keys = json!({ "keys": [evil.public()] });
    world.elsewhere.answer(move |_| document(&keys));
    let (claims, kid) = (world.claims(&gateway).to_string(), world.key.kid());
    let url = format!("{}/keys", world.elsewhere.base());
    let certificate = rcgen::generate_simple_self_signed(["issuer".to_owned()]).unwrap();
    let certificate = STANDARD.encode(certificate.cert.der());
    let long = "k".repeat(5000);
    let url_kid = format!("{url}#{kid}");
    let mut heads = vec![
        json!({ "jwk": evil.public() }),
        json!({ "jwk": evil.public(), "kid": kid }),
        json!({ "jku": url, "kid": evil.kid() }),
        json!({ "jku": url, "kid": kid }),
        json!({ "x5u": url, "kid": kid }),
        json!({ "x5c": [certificate], "kid": kid }),
        json!({ "x5t": evil.thumbprint() }),
        json!({ "iss": world.elsewhere.base(), "kid": evil.kid() }),
        json!({}),
        json!({ "kid": null }),
        json!({ "kid": [kid] }),
    ];
    for kid in [
        kid,
        "",
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "x' UNION SELECT 'key'--",
        "' OR '1'='1",
        "kid\0",
        "$(id)",
        "../keys",
        &url,
        &url_kid,
        evil.kid(),
        &long,
    ] {
        heads.push(json!({ "kid": kid }));
    }
    for mut head in heads {
        head["alg"] = "ES256".into();
        head["typ"] = "at+jwt".into();
        let forged = signed(&evil, &head.to_string(), &claims);
        assert_eq!(status(&gateway, &forged).await, 401, "{head}");
    }
    assert_eq!(world.elsewhere.knocks().await, 0);
    // With the issuer's own key, what the head names besides is not looked at either.
    let head = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "jku": url });
    let answered = status(&gateway, &signed(&world.key, &head.to_string(), &claims)).await;
    assert!(answered == 200 || answered == 401, "{answered}");
    assert_eq!(world.elsewhere.knocks().await, 0);
}

/// A key under the name of another: those that are known stay, until they are fetched anew.
#[tokio::test]
async fn oauth_key_swapped_under_the_same_name() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let (claims, kid) = (world.claims(&gateway), world.key.kid());
    let head = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }).to_string();
    let own = |n: u64| {
        let mut claims = claims.clone();
        claims["jti"] = n.to_string().into();
        claims.to_string()
    };
    assert_eq!(
        status(&gateway, &signed(&world.key, &head, &own(1))).await,
        200
    );
    let evil = key();
    let mut swapped = serde_json::to_value(evil.public()).unwrap();
    swapped["kid"] = kid.into();
    world.publish(&[&swapped]);
    assert_eq!(status(&gateway, &signed(&evil, &head, &own(2))).await, 401);
    assert_eq!(
        status(&gateway, &signed(&world.key, &head, &own(3))).await,
        200
    );
    assert_eq!(world.issuer.count("/keys"), 1);
}

/// Names of keys that do not exist cannot make the gateway ask its issuer again and again.
#[tokio::test]
async fn oauth_storm_of_unknown_keys() {
    let world = World::start().await;
    let gateway = world.gateway().await;
    let claims = world.claims(&gateway).to_string();
    let good = json!({ "alg": "ES256", "typ": "at+jwt", "kid": world.key.kid() }).to_string();
    assert_eq!(
        status(&gateway, &signed(&world.key, &good, &claims)).await,
        200
    );
    let evil = key();
    for n in 0..200 {
        let head = json!({ "alg": "ES256", "typ": "at+jwt", "kid": format!("unknown-{n}") });
        assert_eq!(
            status(&gateway, &signed(&evil, &head.to_string(), &claims)).await,
            401
        );
    }
    assert!(
        world.issuer.count("/keys") <= 2,
        "{}",
        world.issuer.count("/keys")
    );
    assert_eq!(
        status(&gateway, &signed(&world.key, &good, &claims)).await,
        200
    );
}

/// An issuer's metadata, or a redirect, leads to keys in a place that the issuer could not reach.
#[tokio::test]
async fn oauth_ssrf_by_the_keys_that_an_issuers_metadata_names() {
    let (issuer, inner) = (Web::start().await, Web::start().await);
    let (names, recorder) = (Names::start().await, Recorder::start().await.unwrap());
    names.set("loop.test", &[&["127.0.0.1"]]);
    names.set("both.test", &[&["2d00::1", "127.0.0.1"]]);
    let key = key();
    let keys = json!({ "keys": [key.public()] });
    let known = keys.clone();
    inner.answer(move |_| document(&known));
    let port = inner.address.port();
    let hostile = [
        format!("http://127.0.0.1:{port}/keys"),
        format!("http://localhost:{port}/keys"),
        format!("https://127.0.0.1:{port}/keys"),
        format!("https://localhost:{port}/keys"),
        format!("https://[::ffff:127.0.0.1]:{port}/keys"),
        format!("https://2130706433:{port}/keys"),
        format!("https://loop.test:{port}/keys"),
        format!("https://both.test:{port}/keys"),
        format!("http://loop.test:{port}/keys"),
        "https://169.254.169.254/keys".to_owned(),
        "https://10.0.0.1/keys".to_owned(),
        "file:///etc/passwd".to_owned(),
        "OWN/redirect".to_owned(),
    ];
    let (base, to) = (issuer.base(), format!("{}/keys", inner.base()));
    let mut setup = Setup::new().with(&names.table());
    for n in 0..=hostile.len() {
        setup = setup.with(&format!("[oauth.issuers.i{n}]\nissuer = \"{base}/{n}\"\n"));
    }
    let gateway = setup.url("one", &recorder.url(), "modern").start().await;
    let places = hostile.clone();
    let own = base.clone();
    issuer.answer(move |seen| {
        if seen.path == "/keys" {
            return document(&keys);
        }
        if seen.path == "/redirect" {
            return redirect(302, &to);
        }
        let n = seen
            .path
            .rsplit('/')
            .next()
            .and_then(|n| n.parse::<usize>().ok());
        let Some(n) = n.filter(|_| {
            seen.path
                .starts_with("/.well-known/oauth-authorization-server/")
        }) else {
            return plain(404, "");
        };
        let place = places
            .get(n)
            .map_or("OWN/keys", |place| place)
            .replace("OWN", &own);
        document(&json!({ "issuer": format!("{own}/{n}"), "jwks_uri": place }))
    });
    for n in 0..=hostile.len() {
        let claims = claims(&format!("{base}/{n}"), &gateway);
        let answered = status(&gateway, &key.sign("at+jwt", &claims).unwrap()).await;
        match hostile.get(n) {
            Some(place) => assert!(answered >= 400, "{place}: {answered}"),
            None => assert_eq!(answered, 200),
        }
    }
    assert_eq!(inner.knocks().await, 0);
}
