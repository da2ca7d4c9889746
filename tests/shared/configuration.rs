//! Keys of `shared.*`: refusals, and what `check` finds.

use std::process::{Command, Output};

use crate::common::redis::Store;
use crate::fleet::{SECRET, Setup};

fn run(arguments: &[&str], setup: &Setup) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connector-cache"));
    command.args(arguments).env_clear().envs(setup.env()).output().unwrap()
}

/// Requires exit code 64, and a message with all these parts.
fn refused(setup: &Setup, parts: &[&str]) {
    let output = run(&["check"], setup);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let serve = run(&["serve"], setup);
    assert_eq!(serve.status.code(), Some(64));
}

fn setup(url: &str) -> Setup {
    Setup::new("https://graph.example", url)
}

#[test]
fn a_url_that_is_not_one_is_refused() {
    for url in [
        "valkey:6379",
        "http://valkey:6379",
        "redis://",
        "redis://valkey:99999",
        "redis+sentinel://valkey:26379",
        "redis+cluster://",
        "redis://valkey/notanumber",
        "redis://a,http://b",
        "redis:// /0",
        "unix:///tmp/socket",
    ] {
        refused(&setup(url), &["shared.url"]);
    }
}

#[test]
fn a_url_with_a_password_is_refused_or_hidden() {
    let output = run(&["check"], &setup("redis://user:hunter2@valkey:6379"));
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn urls_of_every_kind_are_taken() {
    for url in [
        "redis://valkey:6379",
        "redis://valkey",
        "redis://[::1]:6379",
        "rediss://valkey.example:6380",
        "redis+cluster://a:6379,b:6379",
        "redis://a:6379,redis://b:6379",
        "redis+sentinel://a:26379,b:26379/main",
    ] {
        let output = run(&["check"], &setup(url));
        assert_eq!(output.status.code(), Some(0), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_secret_is_required_and_has_32_bytes() {
    let url = "redis://valkey:6379";
    refused(&setup(url).without("SHARED__SECRET_FILE"), &["shared.secret_file"]);
    refused(&setup(url).secret("short", "too short"), &["shared.secret_file", "32"]);
    refused(&setup(url).secret("empty", ""), &["shared.secret_file"]);
    refused(&setup(url).secret("second", &format!("{SECRET}\nshort\n")), &["shared.secret_file", "32"]);
    refused(
        &setup(url).secret("three", &format!("{SECRET}\n{SECRET}1\n{SECRET}2\n")),
        &["shared.secret_file"],
    );
}

#[test]
fn a_refusal_does_not_show_the_secret() {
    let output = run(&["check"], &setup("redis://valkey").secret("short", "hunter2-hunter2"));
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_client_certificate_and_its_key_belong_together() {
    refused(&setup("rediss://valkey").with("SHARED__CERTIFICATE", "/c.pem"), &["shared.key"]);
    refused(&setup("rediss://valkey").with("SHARED__KEY", "/k.pem"), &["shared.certificate"]);
}

#[test]
fn bounds_of_the_other_keys_are_checked() {
    for (key, value, name) in [
        ("SHARED__TIMEOUT", "0s", "shared.timeout"),
        ("SHARED__TIMEOUT", "1h", "shared.timeout"),
        ("SHARED__MAX_VALUE", "0", "shared.max_value"),
        ("SHARED__PREFIX", "with space", "shared.prefix"),
        ("SHARED__PREFIX", "{braces}", "shared.prefix"),
    ] {
        refused(&setup("redis://valkey").with(key, value), &[name]);
    }
}

#[tokio::test]
async fn check_connects_and_says_what_it_found() {
    let store = Store::start().await;
    let setup = Setup::new("http://127.0.0.1:9", &store.url());
    let output = run(&["check", "--connect"], &setup);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let version = match store.info("server", "valkey_version").await {
        version if version.is_empty() => store.info("server", "redis_version").await,
        version => version,
    };
    assert!(text.contains(&version), "{version} is not in: {text}");
}

#[tokio::test]
async fn check_names_the_rights_that_are_missing() {
    let store = Store::start().await;
    store.ok(&["ACL", "SETUSER", "cache", "on", ">password", "~cc:*", "+@all", "-xadd", "-mget"]).await;
    let setup = Setup::new("http://127.0.0.1:9", &store.url()).with("SHARED__USERNAME", "cache");
    let setup = setup.with_file("SHARED__PASSWORD_FILE", "password", "password");
    let output = run(&["check", "--connect"], &setup);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap().to_lowercase();
    assert!(text.contains("xadd") && text.contains("mget"), "{text}");
}

#[tokio::test]
async fn check_says_that_a_password_is_missing_or_wrong() {
    let mut store = Store::start().await;
    store.require_password("right").await;
    let setup = Setup::new("http://127.0.0.1:9", &store.url());
    for setup in [setup.clone(), setup.with_file("SHARED__PASSWORD_FILE", "wrong", "wr0ng")] {
        let output = run(&["check", "--connect"], &setup);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && text.contains("shared.password_file"), "{text}");
        assert!(!text.contains("wr0ng"), "{text}");
    }
}
