use super::*;
use http::Request;
use std::io::Write;

fn request(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri("/cache");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn peer(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 1)
}

fn open() -> Access {
    Access { token_file: None }
}

#[tokio::test]
async fn without_a_token_this_machine_may_purge_and_anyone_may_look() {
    for (host, address) in
        [("localhost:9090", "127.0.0.1"), ("[::1]:9090", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")]
    {
        assert_eq!(open().purge(&request(&[("host", host)]), peer(address)).await, Ok(()), "{host}");
    }
    assert_eq!(open().look(&request(&[])).await, Ok(()));
}

#[tokio::test]
async fn without_a_token_nobody_else_may_purge() {
    let refused = Err(Refusal::NotLocal);
    assert_eq!(open().purge(&request(&[("host", "localhost")]), peer("10.0.0.1")).await, refused);
    let local = peer("127.0.0.1");
    for headers in [
        &[][..],
        &[("host", "rebound.example:9090")],
        &[("host", "localhost.example")],
        &[("host", "localhost"), ("origin", "http://evil.example")],
        &[("host", "localhost"), ("origin", "null")],
        &[("host", "localhost"), ("x-forwarded-for", "10.0.0.1")],
    ] {
        assert_eq!(open().purge(&request(headers), local).await, refused, "{headers:?}");
    }
}

fn guarded(token: &str) -> (tempfile::NamedTempFile, Access) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(token.as_bytes()).unwrap();
    let config = Config { token_file: Some(file.path().to_owned()), ..Config::default() };
    let access = Access::new(&config).unwrap();
    (file, access)
}

#[tokio::test]
async fn with_a_token_every_look_and_purge_needs_it() {
    let (_file, access) = guarded("s3cret\n");
    for given in ["Bearer s3cret", "bearer s3cret"] {
        let request = request(&[("authorization", given)]);
        assert_eq!(access.look(&request).await, Ok(()));
        assert_eq!(access.purge(&request, peer("10.0.0.1")).await, Ok(()));
    }
    for headers in [
        &[][..],
        &[("authorization", "Bearer s3cre")],
        &[("authorization", "Bearer s3cret2")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic s3cret")],
        &[("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")],
    ] {
        let request = request(headers);
        assert_eq!(access.look(&request).await, Err(Refusal::Bearer), "{headers:?}");
        assert_eq!(access.purge(&request, peer("127.0.0.1")).await, Err(Refusal::Bearer), "{headers:?}");
    }
}

#[tokio::test]
async fn a_new_token_holds_from_the_next_request_on() {
    let (file, access) = guarded("old");
    std::fs::write(file.path(), "new").unwrap();
    assert_eq!(access.look(&request(&[("authorization", "Bearer new")])).await, Ok(()));
    assert_eq!(access.look(&request(&[("authorization", "Bearer old")])).await, Err(Refusal::Bearer));
    std::fs::write(file.path(), "").unwrap();
    assert_eq!(access.look(&request(&[("authorization", "Bearer ")])).await, Err(Refusal::NoToken));
}

#[test]
fn a_token_file_that_is_missing_or_empty_is_told_at_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = |path: &Path| Config { token_file: Some(path.to_owned()), ..Config::default() };
    assert!(matches!(Access::new(&config(file.path())), Err(Error::Empty(_))));
    let missing = Access::new(&config(Path::new("/nonexistent"))).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent"));
}
