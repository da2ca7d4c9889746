//! F62: the configuration and the admin token of a process that runs.

use std::path::PathBuf;

use serde_json::json;

use crate::common::client::{self, Client};
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::{token, within};

/// Returns when this number of reloads has this result.
pub(crate) async fn reloads(serve: &Serve, result: &str, count: u32) {
    let name = format!("connector_cache_config_reloads_total{{result=\"{result}\"}}");
    within(&format!("{count} reloads with {result}"), async {
        while serve.series(&name).await < f64::from(count) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let now = serve.series(&name).await;
    assert!((now - f64::from(count)).abs() < 0.5, "{now} with {result}, {count} were expected");
}

/// A process with a configuration file.
struct Stage {
    origin: OriginServer,
    dir: tempfile::TempDir,
    serve: Serve,
    reloaded: [u32; 2],
}

impl Stage {
    async fn set(text: &str) -> Self {
        let (origin, dir) = (OriginServer::start().await, tempfile::tempdir().unwrap());
        origin.any(Reply::json("{}"));
        let file = dir.path().join("cache.toml");
        std::fs::write(&file, text).unwrap();
        let url = origin.url();
        let env = [("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str())];
        Self { origin, serve: Serve::start_with(&file, &env).await, dir, reloaded: [0; 2] }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("cache.toml")
    }

    /// Writes the file, sends SIGHUP, and returns when the process has read the file, with this success.
    async fn write(&mut self, text: &str, sound: bool) {
        std::fs::write(self.file(), text).unwrap();
        self.serve.hang_up();
        self.reloaded[usize::from(sound)] += 1;
        let count = self.reloaded[usize::from(sound)];
        reloads(&self.serve, if sound { "success" } else { "failure" }, count).await;
    }

    async fn cache_status(&self, subject: &str) -> String {
        let response = self.serve.get(&path("B2X_1_x"), &token::mint(subject)).await;
        response.header("cache-status").unwrap().to_owned()
    }

    /// Returns the lines of the log that contain this text.
    async fn logged(&self, what: &str) -> Vec<String> {
        let found =
            || self.serve.log_lines().into_iter().filter(|line| line.contains(what)).collect::<Vec<_>>();
        within(what, async {
            while found().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        found()
    }
}

const STORED: &str = "connector-cache; fwd=uri-miss; fwd-status=200; stored";

#[tokio::test]
async fn a_lower_ttl_applies_to_stored_entries_at_the_next_request() {
    let mut stage = Stage::set("[cache]\nstale_while_revalidate = \"0s\"\n").await;
    assert_eq!(stage.cache_status("a").await, STORED);
    assert!(stage.cache_status("a").await.starts_with("connector-cache; hit; ttl="));
    stage.write("[cache]\nstale_while_revalidate = \"0s\"\nttl = \"1ms\"\n", true).await;
    assert_eq!(stage.cache_status("a").await, "connector-cache; fwd=stale; fwd-status=200; stored");
    assert_eq!(stage.origin.requests(), 2);
    let seen = stage.serve.look("/cache").await.json();
    assert_eq!(seen["configuration"]["cache.ttl"], "1ms", "the overview has the value in effect");
    let logged = stage.logged("the configuration was reloaded").await;
    assert!(logged[0].contains("\"changed\":\"cache.ttl\""), "{logged:?}");
    stage.write("[cache]\nstale_while_revalidate = \"0s\"\nttl = \"3h\"\n", true).await;
    let logged = stage.logged("a longer cache.keep requires a restart").await;
    assert!(logged.len() == 1 && logged[0].contains("\"retention\":\"2h\""), "{logged:?}");
    stage.cache_status("b").await;
    assert!(stage.cache_status("b").await.starts_with("connector-cache; hit; ttl="));
    assert!(stage.serve.stop().await.0.success());
}

#[tokio::test]
async fn the_console_has_a_sentence_for_a_refused_configuration_and_the_settings_in_force() {
    let mut stage = Stage::set("cache.ttl = \"5m\"\n").await;
    let first = stage.serve.look("/console/data").await.json();
    assert_eq!((&first["state"]["banner"], &first["state"]["settings_version"]), (&json!([]), &json!(0)));
    stage.write("cache.ttl = 7\n", false).await;
    let refused = stage.serve.look("/console/data").await.json();
    assert_eq!(
        refused["state"]["banner"],
        json!([{
            "severity": "warning",
            "text": "A reload failed, and the old configuration stays in use: the log has the reason.",
            "section": "ConnectorCacheReloadFailed",
        }])
    );
    assert_eq!(refused["settings"], first["settings"]);
    stage.write("cache.ttl = \"7m\"\nscrub.mask = \"#\"\n", true).await;
    let loaded = stage.serve.look("/console/data").await.json();
    assert_eq!((&loaded["state"]["banner"], &loaded["state"]["settings_version"]), (&json!([]), &json!(1)));
    let setting = |name: &str| {
        let one = loaded["settings"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        (one["value"].to_string(), one["changed"].clone(), one["pending"].to_string())
    };
    let text = |text: &str| json!(format!("\"{text}\"")).to_string();
    assert_eq!(setting("cache.ttl"), (text("7m"), json!(true), "null".to_owned()));
    assert_eq!(setting("scrub.mask"), (text("******"), json!(false), text("#")), "it waits for a restart");
    assert!(stage.serve.stop().await.0.success());
}

/// The runbook's remedy in an outage: a longer `stale_if_error`. In 0.1.0 it replaced the pods and emptied the cache.
#[tokio::test]
async fn a_longer_stale_if_error_during_an_outage_applies_to_stored_responses() {
    let short = "[cache]\nttl = \"1ms\"\nproof_ttl = \"1ms\"\nstale_while_revalidate = \"0s\"\nstale_if_error = \"0s\"\n";
    let mut stage = Stage::set(short).await;
    assert_eq!(stage.cache_status("a").await, STORED);
    stage.origin.any(Reply::status(503));
    assert_eq!(stage.serve.get(&path("B2X_1_x"), &token::mint("a")).await.status, 503);
    stage.write(&short.replace("stale_if_error = \"0s\"", "stale_if_error = \"1h\""), true).await;
    assert!(stage.cache_status("a").await.contains("stale-if-error"));
    assert!(stage.serve.stop().await.0.success());
}

#[tokio::test]
async fn f62_a_broken_configuration_is_refused_and_the_old_one_stays() {
    let sound = "[cache]\nttl = \"5m\"\n[limits]\ntarget_bytes = \"1KiB\"\n";
    let mut stage = Stage::set(sound).await;
    assert_eq!(stage.cache_status("a").await, STORED);
    for broken in ["[cache]\nttl = \"1m", "[cache]\nttl = \"0s\"\n", "[cache]\nttyl = \"1m\"\n", "\u{0}"] {
        stage.write(broken, false).await;
        assert!(stage.cache_status("a").await.starts_with("connector-cache; hit"), "{broken:?}");
    }
    std::fs::remove_file(stage.file()).unwrap();
    stage.serve.hang_up();
    reloads(&stage.serve, "failure", 5).await;
    let logged = stage.logged("the old one stays in use").await;
    assert!(logged.iter().any(|line| line.contains("did you mean cache.ttl?")), "{logged:?}");
    stage.write(&sound.replace("5m", "1ms"), true).await;
    assert!(!stage.cache_status("a").await.starts_with("connector-cache; hit; ttl=2"));
    assert!(stage.serve.stop().await.0.success());
}

#[tokio::test]
async fn keys_that_need_a_restart_are_named_and_change_nothing() {
    let mut stage = Stage::set("").await;
    let text =
        "[scrub]\nmask = \"#\"\n[cache]\nmax_bytes = \"1MiB\"\n[limits]\nconnections_per_address = 3\n";
    stage.write(text, true).await;
    let logged = stage.logged("these keys require a restart").await;
    let named = |line: &String| line.contains("\"keys\":\"cache.max_bytes, scrub.mask\"");
    assert!(logged.iter().any(named), "{logged:?}");
    assert!((stage.serve.series("connector_cache_capacity_bytes").await - f64::from(64 << 20)).abs() < 1.0);
    assert!(stage.serve.stop().await.0.success());
}

#[tokio::test]
async fn limits_and_log_follow_the_file_and_the_environment_overrides_it() {
    let mut stage = Stage::set("").await;
    let text = "[limits]\nconnections_per_address = 1\ntarget_bytes = \"1KiB\"\n[log]\naccess = \"all\"\n\
                [graph]\nbase_url = \"http://127.0.0.1:1\"\ntimeout = \"9s\"\n";
    stage.write(text, true).await;
    assert_eq!(stage.cache_status("a").await, STORED, "requests still go to the origin of the environment");
    let authorization = format!("Bearer {}", token::mint("a"));
    let headers = [("authorization", authorization.as_str())];
    // The slot of the previous connection is released shortly after its end.
    let mut first = within("the one place", async {
        loop {
            let mut client = Client::connect(stage.serve.data).await;
            let sent = client.send_get(&path("B2X_1_x"), &headers).await;
            if sent.is_ok() && client.response().await.is_ok_and(|response| response.status == 200) {
                break client;
            }
        }
    })
    .await;
    let mut second = Client::connect(stage.serve.data).await;
    second.ended().await;
    let long = format!("/beta?{}", "x".repeat(2000));
    assert_eq!(first.get(&long, &headers).await.status, 414);
    let logged = stage.logged("\"cache\":\"hit\"").await;
    assert_eq!(logged.len(), 1, "hits are logged now");
    stage.write(&text.replace("\"all\"", "\"off\""), true).await;
    assert!(stage.logged("\"changed\":\"log.access\"").await.len() == 1);
    stage.write("log.filter = \"warn\"", true).await;
    stage.write("log.filter = \"info\"", true).await;
    let logged = stage.logged("\"changed\":\"log.filter\"").await;
    assert_eq!(logged.len(), 1, "the first hit was not logged: {logged:?}");
    assert!(stage.serve.stop().await.0.success());
}

#[tokio::test]
async fn f62_the_admin_token_follows_its_file() {
    let (origin, dir) = (OriginServer::start().await, tempfile::tempdir().unwrap());
    let (file, url) = (dir.path().join("token"), origin.url());
    std::fs::write(&file, "old").unwrap();
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
        ("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", file.to_str().unwrap()),
    ];
    let serve = Serve::start(&env).await;
    let status = async |token: &str| {
        let authorization = format!("Bearer {token}");
        client::get(serve.admin, "/cache", &[("authorization", &authorization)]).await.status
    };
    assert_eq!((status("old").await, status("new").await), (200, 401));
    std::fs::write(&file, "new\n").unwrap();
    serve.hang_up();
    reloads(&serve, "success", 1).await;
    assert_eq!((status("old").await, status("new").await), (401, 200));
    std::fs::write(&file, "\n").unwrap();
    serve.hang_up();
    reloads(&serve, "failure", 1).await;
    assert_eq!((status("").await, status("new").await), (401, 200), "the old token stays");
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    assert!(out.iter().all(|line| !line.contains("\"new\"")), "{out:?}");
}
