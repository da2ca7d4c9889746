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

fn without_token() -> AdminAuth {
    AdminAuth { token: None }
}

#[test]
fn without_a_token_this_machine_may_purge_and_every_caller_may_have_the_overview() {
    for (host, address) in
        [("localhost:9090", "127.0.0.1"), ("[::1]:9090", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")]
    {
        assert_eq!(
            without_token().authorize_purge(&request(&[("host", host)]), peer(address)),
            Ok(()),
            "{host}"
        );
    }
    assert_eq!(without_token().authorize_overview(&request(&[])), Ok(()));
}

#[test]
fn without_a_token_no_other_caller_may_purge() {
    let denied = |reason| Err(AccessDenied::NotLocal(reason));
    let (host, local) = (("host", "localhost"), peer("127.0.0.1"));
    assert_eq!(
        without_token().authorize_purge(&request(&[host]), peer("10.0.0.1")),
        denied(NotLocalReason::Peer)
    );
    assert_eq!(
        without_token().authorize_purge(&request(&[("host", "rebound.example:9090")]), local),
        denied(NotLocalReason::Host)
    );
    let relayed = request(&[host, ("x-forwarded-for", "10.0.0.1")]);
    assert_eq!(without_token().authorize_purge(&relayed, local), denied(NotLocalReason::Field));
}

fn with_token(token: &str) -> (tempfile::NamedTempFile, AdminAuth) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(token.as_bytes()).unwrap();
    let config = Config { token_file: Some(file.path().to_owned()), ..Config::default() };
    let auth = AdminAuth::new(&config).unwrap();
    (file, auth)
}

#[test]
fn with_a_token_the_overview_and_a_purge_need_it() {
    let (_file, auth) = with_token("s3cret\n");
    for given in ["Bearer s3cret", "bearer s3cret"] {
        let request = request(&[("authorization", given)]);
        assert_eq!(auth.authorize_overview(&request), Ok(()));
        assert_eq!(auth.authorize_purge(&request, peer("10.0.0.1")), Ok(()));
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
        assert_eq!(auth.authorize_overview(&request), Err(AccessDenied::Bearer), "{headers:?}");
        assert_eq!(
            auth.authorize_purge(&request, peer("127.0.0.1")),
            Err(AccessDenied::Bearer),
            "{headers:?}"
        );
    }
}

fn accepts(auth: &AdminAuth, token: &str) -> bool {
    auth.authorize_overview(&request(&[("authorization", &format!("Bearer {token}"))])).is_ok()
}

#[test]
fn f62_a_new_token_is_accepted_once_its_file_is_stable_or_at_once_on_request() {
    let (file, auth) = with_token("old");
    std::fs::write(file.path(), "new").unwrap();
    assert_eq!(auth.reload(ReloadTrigger::Poll), None, "the file may still be written");
    assert!(accepts(&auth, "old") && !accepts(&auth, "new"));
    assert_eq!(auth.reload(ReloadTrigger::Poll), Some(ReloadResult::Success));
    assert!(accepts(&auth, "new") && !accepts(&auth, "old"));
    std::fs::write(file.path(), "newest").unwrap();
    assert_eq!(
        (auth.reload(ReloadTrigger::Requested), auth.reload(ReloadTrigger::Requested)),
        (Some(ReloadResult::Success), None)
    );
    assert!(accepts(&auth, "newest") && !accepts(&auth, "new"));
}

#[test]
fn f62_a_broken_token_file_is_refused_once_and_the_old_token_stays() {
    let (file, auth) = with_token("old");
    std::fs::write(file.path(), " \n").unwrap();
    assert_eq!(
        (auth.reload(ReloadTrigger::Requested), auth.reload(ReloadTrigger::Requested)),
        (Some(ReloadResult::Failure), None)
    );
    assert!(accepts(&auth, "old") && !accepts(&auth, ""));
    std::fs::remove_file(file.path()).unwrap();
    assert_eq!(
        (auth.reload(ReloadTrigger::Requested), auth.reload(ReloadTrigger::Poll)),
        (Some(ReloadResult::Failure), None)
    );
    assert!(accepts(&auth, "old"));
    std::fs::write(file.path(), "new").unwrap();
    assert_eq!(auth.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    assert!(accepts(&auth, "new") && !accepts(&auth, "old"));
}

#[test]
fn a_token_file_that_is_missing_or_empty_is_an_error_at_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = |path: &Path| Config { token_file: Some(path.to_owned()), ..Config::default() };
    assert!(matches!(AdminAuth::new(&config(file.path())), Err(Error::Empty(_))));
    let missing = AdminAuth::new(&config(Path::new("/nonexistent"))).unwrap_err();
    assert!(missing.to_string().contains("<hidden: 12 characters, no such file>"), "{missing}");
}
