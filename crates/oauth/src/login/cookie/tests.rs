use super::*;

fn headers(values: &[&'static str]) -> HeaderMap {
    values
        .iter()
        .map(|value| (COOKIE, HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn a_cookie_on_https_is_bound_to_the_host() {
    let cookies = Cookies::new(&"https://gw.example".parse().unwrap());
    let mut response = Response::default();
    cookies.set(&mut response, SESSION, "v", 60);
    assert_eq!(
        response.headers()[SET_COOKIE],
        "__Host-portcullis-session=v; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
    );
    assert_eq!(
        cookies.read(&headers(&["portcullis-session=planted"]), SESSION),
        None
    );
}

#[test]
fn a_cookie_is_read_once_only() {
    let cookies = Cookies::new(&"http://127.0.0.1:8420".parse().unwrap());
    for (values, expected) in [
        (vec!["a=b; portcullis-session=v; c=d"], Some("v")),
        (vec!["a=b", "portcullis-session=v"], Some("v")),
        (vec!["portcullis-session=v; portcullis-session=w"], None),
        (vec!["xportcullis-session=v"], None),
        (vec![], None),
    ] {
        assert_eq!(cookies.read(&headers(&values), SESSION), expected);
    }
}
