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

fn open() -> AdminAuth {
    AdminAuth { token: None }
}

#[test]
fn without_a_token_this_machine_may_purge_and_anyone_may_look() {
    for (host, address) in
        [("localhost:9090", "127.0.0.1"), ("[::1]:9090", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")]
    {
        assert_eq!(open().purge(&request(&[("host", host)]), peer(address)), Ok(()), "{host}");
    }
    assert_eq!(open().authorize(&request(&[])), Ok(()));
}

#[test]
fn without_a_token_nobody_else_may_purge() {
    let refused = |reason| Err(AccessDenied::NotLocal(reason));
    let (host, local) = (("host", "localhost"), peer("127.0.0.1"));
    assert_eq!(open().purge(&request(&[host]), peer("10.0.0.1")), refused(Foreign::Peer));
    assert_eq!(open().purge(&request(&[("host", "rebound.example:9090")]), local), refused(Foreign::Host));
    let relayed = request(&[host, ("x-forwarded-for", "10.0.0.1")]);
    assert_eq!(open().purge(&relayed, local), refused(Foreign::Field));
}

fn guarded(token: &str) -> (tempfile::NamedTempFile, AdminAuth) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(token.as_bytes()).unwrap();
    let config = Config { token_file: Some(file.path().to_owned()), ..Config::default() };
    let access = AdminAuth::new(&config).unwrap();
    (file, access)
}

#[test]
fn with_a_token_every_look_and_purge_needs_it() {
    let (_file, access) = guarded("s3cret\n");
    for given in ["Bearer s3cret", "bearer s3cret"] {
        let request = request(&[("authorization", given)]);
        assert_eq!(access.authorize(&request), Ok(()));
        assert_eq!(access.purge(&request, peer("10.0.0.1")), Ok(()));
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
        assert_eq!(access.authorize(&request), Err(AccessDenied::Bearer), "{headers:?}");
        assert_eq!(access.purge(&request, peer("127.0.0.1")), Err(AccessDenied::Bearer), "{headers:?}");
    }
}

fn holds(access: &AdminAuth, token: &str) -> bool {
    access.authorize(&request(&[("authorization", &format!("Bearer {token}"))])).is_ok()
}

#[test]
fn f62_a_new_token_holds_once_its_file_stands_still_or_at_once_when_told() {
    let (file, access) = guarded("old");
    std::fs::write(file.path(), "new").unwrap();
    assert_eq!(access.reload(ReloadTrigger::Poll), None, "it may still be written");
    assert!(holds(&access, "old") && !holds(&access, "new"));
    assert_eq!(access.reload(ReloadTrigger::Poll), Some(ReloadResult::Success));
    assert!(holds(&access, "new") && !holds(&access, "old"));
    std::fs::write(file.path(), "newest").unwrap();
    assert_eq!(
        (access.reload(ReloadTrigger::Requested), access.reload(ReloadTrigger::Requested)),
        (Some(ReloadResult::Success), None)
    );
    assert!(holds(&access, "newest") && !holds(&access, "new"));
}

#[test]
fn f62_a_broken_token_file_is_refused_once_and_the_old_token_stays() {
    let (file, access) = guarded("old");
    std::fs::write(file.path(), " \n").unwrap();
    assert_eq!(
        (access.reload(ReloadTrigger::Requested), access.reload(ReloadTrigger::Requested)),
        (Some(ReloadResult::Failure), None)
    );
    assert!(holds(&access, "old") && !holds(&access, ""));
    std::fs::remove_file(file.path()).unwrap();
    assert_eq!(
        (access.reload(ReloadTrigger::Requested), access.reload(ReloadTrigger::Poll)),
        (Some(ReloadResult::Failure), None)
    );
    assert!(holds(&access, "old"));
    std::fs::write(file.path(), "new").unwrap();
    assert_eq!(access.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    assert!(holds(&access, "new") && !holds(&access, "old"));
}

#[test]
fn a_token_file_that_is_missing_or_empty_is_told_at_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = |path: &Path| Config { token_file: Some(path.to_owned()), ..Config::default() };
    assert!(matches!(AdminAuth::new(&config(file.path())), Err(Error::Empty(_))));
    let missing = AdminAuth::new(&config(Path::new("/nonexistent"))).unwrap_err();
    assert!(missing.to_string().contains("<hidden: 12 characters, no such file>"), "{missing}");
}
