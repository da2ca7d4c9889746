//! Reports of a panic. The hook belongs to the whole process, so this test has its own process.

use std::sync::Arc;

use connector_cache::observability::logging::{Format, set_panic_hook, subscriber};

#[test]
fn a_panic_is_logged_by_place_and_thread_and_not_by_its_message() {
    set_panic_hook();
    let taken = tempfile::NamedTempFile::new().unwrap();
    let log = subscriber("info", Format::Json, Arc::new(taken.reopen().unwrap())).unwrap();
    let thread = std::thread::Builder::new().name("worker-7".to_owned()).spawn(move || {
        tracing::subscriber::with_default(log, || panic!("token {}", "hunter2"));
    });
    assert!(thread.unwrap().join().is_err());
    let line: serde_json::Value = serde_json::from_slice(&std::fs::read(taken.path()).unwrap()).unwrap();
    assert_eq!((&line["message"], &line["level"]), (&"panic".into(), &"ERROR".into()));
    assert_eq!(line["thread"], "worker-7");
    assert!(line["location"].as_str().unwrap().starts_with("tests/panic.rs:"), "{line}");
    assert!(!line.to_string().contains("hunter2"), "{line}");
}
