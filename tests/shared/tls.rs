//! TLS and authentication to the store.

use crate::common::redis::Store;
use crate::common::tls::Authority;
use crate::fleet::{
    Replica, Setup, X, assert_not_shared, assert_shared, graph, status, token, wait_for_entries,
};

/// A store with TLS, its CA, and the directory of the files.
async fn tls_store(wants_client: bool) -> (Store, Authority, tempfile::TempDir) {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.right().write_pem(directory.path());
    let ca = authority.write_pem(directory.path());
    (Store::start_tls((&certificate, &key), &ca, wants_client).await, authority, directory)
}

async fn share(setup: &Setup, graph: &connector_cache::fake_graph::FakeGraph, store: &Store) {
    let (first, second, token) = (setup.live().await, setup.live().await, token(graph, "ada"));
    first.read(X, &token).await;
    wait_for_entries(store, 1).await;
    assert_shared(&second.read(X, &token).await);
}

#[tokio::test]
async fn a_store_with_a_private_ca_is_used() {
    let (graph, (store, authority, _files)) = (graph(), tls_store(false).await);
    let setup =
        Setup::new(&graph.url(), &store.tls_url()).with_file("SHARED__CA_FILE", "ca.pem", &authority.pem());
    share(&setup, &graph, &store).await;
}

#[tokio::test]
async fn a_private_ca_needs_no_roots_of_the_system() {
    let (graph, (store, authority, _files)) = (graph(), tls_store(false).await);
    let setup =
        Setup::new(&graph.url(), &store.tls_url()).with_file("SHARED__CA_FILE", "ca.pem", &authority.pem());
    // rustls-native-certs reads the file of this variable, without the prefix of the program.
    let env_key = "SSL_CERT_FILE";
    let setup = setup.with_plain(env_key, "/nowhere/roots.pem").with_plain("SSL_CERT_DIR", "/nowhere");
    share(&setup, &graph, &store).await;
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let (graph, (store, authority, _files)) = (graph(), tls_store(true).await);
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.certify(&["replica"]).write_pem(directory.path());
    let setup =
        Setup::new(&graph.url(), &store.tls_url()).with_file("SHARED__CA_FILE", "ca.pem", &authority.pem());
    let without = setup.start().await;
    let setup = setup.with("SHARED__CERTIFICATE", certificate.to_str().unwrap());
    let setup = setup.with("SHARED__KEY", key.to_str().unwrap());
    share(&setup, &graph, &store).await;
    is_refused(&graph, &without, "tls").await;
}

/// Waits for the state, and reads without the store.
async fn is_refused(graph: &connector_cache::fake_graph::FakeGraph, replica: &Replica, state: &str) {
    replica.wait_for_state(state).await;
    let token = token(graph, "bob");
    assert_not_shared(&replica.read(X, &token).await);
    assert!(status(&replica.read(X, &token).await).contains("; hit"), "the local cache works on");
    let overview = replica.0.look("/cache").await.json();
    assert_eq!(overview["shared"]["state"], state, "{overview}");
}

#[tokio::test]
async fn a_ca_that_does_not_match_is_the_state_tls() {
    let (graph, (store, _authority, _files)) = (graph(), tls_store(false).await);
    let other = Authority::new();
    let setup =
        Setup::new(&graph.url(), &store.tls_url()).with_file("SHARED__CA_FILE", "ca.pem", &other.pem());
    is_refused(&graph, &setup.start().await, "tls").await;
}

#[tokio::test]
async fn an_expired_certificate_or_one_of_another_host_is_the_state_tls() {
    let (graph, authority) = (graph(), Authority::new());
    for certified in [authority.expired(), authority.wrong_host()] {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = certified.write_pem(directory.path());
        let ca = authority.write_pem(directory.path());
        let store = Store::start_tls((&certificate, &key), &ca, false).await;
        let setup = Setup::new(&graph.url(), &store.tls_url());
        let setup = setup.with_file("SHARED__CA_FILE", "ca.pem", &authority.pem());
        is_refused(&graph, &setup.start().await, "tls").await;
    }
}

#[tokio::test]
async fn a_missing_and_a_wrong_password_are_the_state_auth() {
    let (graph, mut store) = (graph(), Store::start().await);
    store.require_password("right").await;
    let setup = Setup::new(&graph.url(), &store.url());
    is_refused(&graph, &setup.start().await, "auth").await;
    let wrong = setup.with_file("SHARED__PASSWORD_FILE", "wrong", "wrong");
    is_refused(&graph, &wrong.start().await, "auth").await;
    share(&setup.with_file("SHARED__PASSWORD_FILE", "right", "right\n"), &graph, &store).await;
}

#[tokio::test]
async fn a_password_that_expires_is_the_state_auth_and_a_renewed_one_is_read() {
    let (graph, mut store) = (graph(), Store::start().await);
    store.require_password("first").await;
    let setup =
        Setup::new(&graph.url(), &store.url()).with_file("SHARED__PASSWORD_FILE", "password", "first");
    let replica = setup.live().await;
    store.require_password("second").await;
    is_refused(&graph, &replica, "auth").await;
    setup.write("password", "second");
    replica.wait_for_state("live").await;
}

#[tokio::test]
async fn a_user_that_is_locked_out_or_lacks_a_right_is_the_state_auth() {
    let (graph, store) = (graph(), Store::start().await);
    store.ok(&["ACL", "SETUSER", "cache", "on", ">password", "~cc:*", "+@all"]).await;
    let setup = Setup::new(&graph.url(), &store.url()).with("SHARED__USERNAME", "cache");
    let setup = setup.with_file("SHARED__PASSWORD_FILE", "password", "password");
    let replica = setup.live().await;
    store.ok(&["ACL", "SETUSER", "cache", "off"]).await;
    store.end_connections().await;
    is_refused(&graph, &replica, "auth").await;
    store.ok(&["ACL", "SETUSER", "cache", "on"]).await;
    replica.wait_for_state("live").await;
    store.ok(&["ACL", "SETUSER", "cache", "-xread", "-xadd", "-mget"]).await;
    store.end_connections().await;
    replica.wait_for_state("auth").await;
}

#[tokio::test]
async fn a_plain_url_to_a_tls_port_and_the_reverse_cost_misses() {
    let (graph, (store, authority, _files)) = (graph(), tls_store(false).await);
    let token = token(&graph, "ada");
    let plain = Setup::new(&graph.url(), &store.tls_url().replace("rediss://", "redis://")).start().await;
    assert_not_shared(&plain.read(X, &token).await);
    let tls = store.url().replace("redis://", "rediss://");
    let setup = Setup::new(&graph.url(), &tls).with_file("SHARED__CA_FILE", "ca.pem", &authority.pem());
    let tls = setup.start().await;
    assert_not_shared(&tls.read(X, &token).await);
    for replica in [plain, tls] {
        assert_ne!(replica.state().await, "live");
    }
}
