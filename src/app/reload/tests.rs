use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::cache::freshness::FreshnessSource;
use crate::config::LIVE;

/// Counts its reloads by trigger.
#[derive(Default)]
struct CountedReloads {
    polls: AtomicUsize,
    requests: AtomicUsize,
}

impl Reloadable for CountedReloads {
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        let count = if trigger == ReloadTrigger::Requested { &self.requests } else { &self.polls };
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
async fn files_are_checked_at_each_request_and_not_meanwhile() {
    let (counted, requests) = (Arc::new(CountedReloads::default()), Arc::new(Notify::new()));
    let watching = tokio::spawn(watch(vec![Arc::clone(&counted) as _], Arc::clone(&requests)));
    for times in 1..=3 {
        requests.notify_one();
        until(|| counted.requests.load(SeqCst) == times).await;
    }
    assert_eq!(counted.polls.load(SeqCst), 0);
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn files_are_checked_every_few_seconds() {
    let (counted, began) = (Arc::new(CountedReloads::default()), tokio::time::Instant::now());
    let watching = tokio::spawn(watch(vec![Arc::clone(&counted) as _], Arc::default()));
    while counted.polls.load(SeqCst) < 3 {
        sleep(INTERVAL / 50).await;
    }
    assert!((INTERVAL * 3..INTERVAL * 4).contains(&began.elapsed()), "{:?}", began.elapsed());
    watching.abort();
}

fn effective(text: &str) -> EffectiveConfig {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    EffectiveConfig::load(Some(file.path()), std::iter::empty()).unwrap()
}

#[test]
fn changes_are_divided_by_the_need_of_a_restart() {
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

/// Another value than the default for each key, as the file has it; without `log.filter`, which has no part here.
const OTHERS: &[(&str, &str)] = &[
    ("limits.connections", "11"),
    ("limits.connections_per_address", "11"),
    ("limits.header_bytes", "\"11KiB\""),
    ("limits.headers", "22"),
    ("limits.target_bytes", "\"11KiB\""),
    ("limits.h2_streams", "11"),
    ("limits.tls_timeout", "\"11s\""),
    ("limits.header_timeout", "\"11s\""),
    ("limits.idle_timeout", "\"11s\""),
    ("limits.write_timeout", "\"11s\""),
    ("limits.request_timeout", "\"11s\""),
    ("limits.bytes_in_flight", "\"11MiB\""),
    ("limits.followers", "11"),
    ("limits.follower_wait", "\"11s\""),
    ("drain.delay", "\"11s\""),
    ("drain.timeout", "\"11s\""),
    ("graph.first_byte_timeout", "\"11s\""),
    ("graph.timeout", "\"11s\""),
    ("cache.ttl", "\"11s\""),
    ("cache.proof_ttl", "\"11s\""),
    ("cache.stale_while_revalidate", "\"11s\""),
    ("cache.stale_if_error", "\"11s\""),
    ("cache.client_directives", "\"honor\""),
    ("log.access", "\"all\""),
    ("log.client", "\"address\""),
];

fn live_configuration(dir: &tempfile::TempDir) -> LiveConfiguration {
    let file = dir.path().join("cache.toml");
    std::fs::write(&file, PLAIN).unwrap();
    let sources = Sources::new(Some(file), std::iter::empty());
    let started = sources.load().unwrap();
    let runtime = started.config.runtime(&started.config, usize::MAX).into_live();
    let metrics = Arc::new(Metrics::new().unwrap());
    let shown = ShownSettings::default();
    LiveConfiguration::new(LiveSources { sources, started }, (runtime, usize::MAX), None, (metrics, shown))
}

fn snapshot(live: &LiveConfiguration) -> String {
    format!("{:?}", live.runtime.load_full())
}

#[test]
fn every_live_key_changes_the_snapshot() {
    let with_log = OTHERS.iter().map(|(key, _)| *key).chain(["log.filter"]);
    assert_eq!(with_log.collect::<BTreeSet<_>>(), LIVE.iter().copied().collect());
    for (key, value) in OTHERS {
        let dir = tempfile::tempdir().unwrap();
        let live = live_configuration(&dir);
        let before = snapshot(&live);
        std::fs::write(dir.path().join("cache.toml"), format!("{PLAIN}{key} = {value}\n")).unwrap();
        assert_eq!(live.reload(ReloadTrigger::Requested), Some(ReloadResult::Success), "{key}");
        assert_ne!(before, snapshot(&live), "{key}");
    }
}

#[test]
fn a_reload_replaces_the_snapshot_that_a_request_holds_by_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let live = live_configuration(&dir);
    let held = live.runtime.load_full();
    let text = format!("{PLAIN}cache.ttl = \"11s\"\ngraph.timeout = \"12s\"\ncache.freshness = \"origin\"\n");
    std::fs::write(dir.path().join("cache.toml"), text).unwrap();
    assert_eq!(live.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    let new = live.runtime.load_full();
    assert_eq!(
        (held.freshness.ttl, held.timeouts.total),
        (Duration::from_secs(300), Duration::from_secs(10))
    );
    assert_eq!((new.freshness.ttl, new.timeouts.total), (Duration::from_secs(11), Duration::from_secs(12)));
    assert_eq!(new.freshness.freshness, FreshnessSource::Operator, "this key requires a restart");
}

#[test]
fn the_console_shows_the_settings_in_force_after_a_reload_and_those_that_wait_for_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let live = live_configuration(&dir);
    let text = format!("{PLAIN}cache.ttl = \"11s\"\ncache.freshness = \"origin\"\n");
    std::fs::write(dir.path().join("cache.toml"), text).unwrap();
    assert_eq!(live.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    let settings = live.shown.to_json();
    let setting = |name: &str| {
        let one = settings.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        [&one["value"], &one["changed"], &one["pending"]].map(ToString::to_string)
    };
    assert_eq!(setting("cache.ttl"), ["\"\\\"11s\\\"\"", "true", "null"]);
    assert_eq!(
        setting("cache.freshness"),
        ["\"\\\"operator\\\"\"", "false", "\"\\\"origin\\\"\""],
        "this key requires a restart"
    );
    assert_eq!(setting("cache.proof_ttl"), ["\"\\\"5m\\\"\"", "false", "null"]);
    assert_eq!(live.shown.version(), 1);
}

#[test]
fn e6_the_wait_for_permits_and_paced_turns_follows_the_timeout_of_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let live = live_configuration(&dir);
    assert_eq!(live.runtime.load().timeouts.permit(), Duration::from_secs(5));
    std::fs::write(dir.path().join("cache.toml"), format!("{PLAIN}graph.timeout = \"12s\"\n")).unwrap();
    assert_eq!(live.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    assert_eq!(live.runtime.load().timeouts.permit(), Duration::from_secs(6));
}

#[test]
fn f62_a_configuration_that_is_refused_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let live = live_configuration(&dir);
    let before = live.runtime.load_full();
    std::fs::write(dir.path().join("cache.toml"), format!("{PLAIN}cache.ttl = \"1s\"\ncache.ttyl = 1\n"))
        .unwrap();
    assert_eq!(live.reload(ReloadTrigger::Requested), Some(ReloadResult::Failure));
    let failures = live.metrics.reloads(ReloadResult::Failure);
    assert_eq!((failures, live.reload(ReloadTrigger::Requested)), (1, None));
    assert!(Arc::ptr_eq(&before, &live.runtime.load_full()));
}

const PLAIN: &str = "graph.base_url = \"http://127.0.0.1:1\"\n";
