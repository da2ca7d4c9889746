use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::config::LIVE;

/// Remembers how it was looked at.
#[derive(Default)]
struct Looked {
    ticks: AtomicUsize,
    told: AtomicUsize,
}

impl Source for Looked {
    fn reload(&self, look: Look) -> Option<Reload> {
        let count = if look == Look::Told { &self.told } else { &self.ticks };
        count.fetch_add(1, SeqCst);
        None
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn files_are_looked_at_when_told_and_not_meanwhile() {
    let (looked, told) = (Arc::new(Looked::default()), Arc::new(Notify::new()));
    let watching = tokio::spawn(watch(vec![Arc::clone(&looked) as _], Arc::clone(&told)));
    for times in 1..=3 {
        told.notify_one();
        until(|| looked.told.load(SeqCst) == times).await;
    }
    assert_eq!(looked.ticks.load(SeqCst), 0);
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_every_few_seconds() {
    let (looked, began) = (Arc::new(Looked::default()), tokio::time::Instant::now());
    let watching = tokio::spawn(watch(vec![Arc::clone(&looked) as _], Arc::default()));
    while looked.ticks.load(SeqCst) < 3 {
        sleep(INTERVAL / 50).await;
    }
    assert!((INTERVAL * 3..INTERVAL * 4).contains(&began.elapsed()), "{:?}", began.elapsed());
    watching.abort();
}

fn effective(text: &str) -> Effective {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    Effective::load(Some(file.path()), std::iter::empty()).unwrap()
}

#[test]
fn what_changes_is_told_apart_by_whether_it_needs_a_restart() {
    let started = effective("[cache]\nttl = \"5m\"");
    let running = effective("[cache]\nttl = \"1m\"\n[scrub]\nmask = \"#\"");
    let same = running.changes(&running, &started);
    assert_eq!((same.live, same.restart), (vec![], vec!["scrub.mask"]), "it still waits");
    let back = started.changes(&running, &started);
    assert_eq!((back.live, back.restart), (vec!["cache.ttl"], vec![]));
    let named = effective("[listen.tls]\ncertificate = \"a\"\nkey = \"b\"").changes(&started, &started);
    assert_eq!(named.restart, ["listen.tls.certificate", "listen.tls.key"]);
}

#[test]
fn every_key_that_needs_no_restart_exists() {
    let printed = effective("").to_string();
    for key in LIVE {
        let (section, name) = key.rsplit_once('.').unwrap();
        let table = printed.split(&format!("\n[{section}]\n")).nth(1).unwrap();
        let table = table.split("\n[").next().unwrap();
        assert!(table.lines().any(|line| line.starts_with(&format!("{name} = "))), "{key}");
    }
}
