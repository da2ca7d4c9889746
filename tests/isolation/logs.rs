//! Attacks on the log, the start line and the scrape.

use std::process::Command;

use crate::common::client::Client;
use crate::common::origin::{OriginServer, closed_port};
use crate::common::proxy::path;
use crate::common::serve::Serve;

#[tokio::test]
async fn a_flood_of_refused_requests_writes_a_bounded_number_of_lines_and_counts_the_rest() {
    let origin = OriginServer::start().await;
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &origin.url())]).await;
    let mut client = Client::connect(serve.data).await;
    let begun = std::time::Instant::now();
    for _ in 0..FLOOD {
        assert_eq!(client.get(&path("B2X_1_a"), &[]).await.status, 401);
    }
    let suppressed = serve.series("connector_cache_log_lines_suppressed_total").await;
    let allowed = 100 + 10 * (usize::try_from(begun.elapsed().as_secs()).unwrap() + 1);
    assert_eq!(client.get("/elsewhere", &[]).await.status, 404, "lines of another reason go on");
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    let of = |text: &str| out.iter().filter(|line| line.contains(text)).count();
    let written = of("\"reason\":\"no-token\"");
    assert!(written <= allowed, "{written} lines of {FLOOD}");
    let least = f64::from(u32::try_from(FLOOD - allowed).unwrap());
    assert!(suppressed >= least, "{suppressed} of {FLOOD}");
    assert_eq!(of("\"status\":404"), 1);
    let reported: usize = out
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["of_reason"] == "no-token")
        .map(|line| usize::try_from(line["lines"].as_u64().unwrap()).unwrap())
        .sum();
    assert_eq!(written + reported, FLOOD, "suppressed lines are reported");
}

/// Returns both output streams of the binary for a configuration in its environment.
fn output(command: &str, env: &[(&str, &str)]) -> String {
    let admin = closed_port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_connector-cache"))
        .arg(command)
        .env_clear()
        .env("CONNECTOR_CACHE__LISTEN__ADDRESS", "127.0.0.1:0")
        .env("CONNECTOR_CACHE__ADMIN__ADDRESS", admin)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
}

#[test]
fn a_secret_in_place_of_a_path_or_in_the_query_of_a_url_is_not_printed() {
    let tls = |key| {
        [("CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE", key), ("CONNECTOR_CACHE__LISTEN__TLS__KEY", key)]
    };
    for env in [
        &[("CONNECTOR_CACHE__ADMIN__TOKEN_FILE", SECRET)][..],
        &[("CONNECTOR_CACHE__GRAPH__CA_FILE", SECRET)],
        &tls(SECRET),
        &tls(SECRET)[1..],
        &[("CONNECTOR_CACHE__GRAPH__BASE_URL", &format!("https://graph.example/?code={SECRET}"))],
        &[("CONNECTOR_CACHE__GRAPH__BASE_URL", &format!("https://graph.example#{SECRET}"))],
    ] {
        for command in ["check", "serve"] {
            let output = output(command, env);
            assert!(!output.contains(SECRET), "{command} {env:?}: {output}");
            assert!(output.contains("hidden: "), "{command} {env:?}: {output}");
        }
    }
}

const FLOOD: usize = 2_000;
/// Secret in the form of `openssl rand -base64 24`.
const SECRET: &str = "/q8mT2+dJw0vXyKc3R5aZ1hN4uEoL7sB";
