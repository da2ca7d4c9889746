//! curl, with every version of HTTP that the data port supports.

use std::process::Command;

use connector_cache::fake_graph::SIGN_UP;

use crate::common::proxy::path;
use crate::harness::World;

/// Runs curl with a token. Returns its output.
async fn curl(world: &World, token: &str, arguments: &[&str]) -> String {
    let mut command: Command = world.command("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(world.root());
    command.arg("--header").arg(format!("Authorization: Bearer {token}")).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.expect("curl is installed; tests/sdk_clients/prepare checks the requirements");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn head_has_the_fields_of_get_in_every_version_of_http() {
    let world = World::start().await;
    let token = world.graph.token().mint();
    let plain = format!("http://{}{}", world.plain.data, path(SIGN_UP));
    let tls = format!("https://localhost:{}{}", world.tls.data.port(), path(SIGN_UP));
    for (version, url) in [
        ("--http1.0", &plain),
        ("--http1.1", &plain),
        ("--http2-prior-knowledge", &plain),
        ("--http1.1", &tls),
        ("--http2", &tls),
    ] {
        // The first request of each port fills the cache.
        curl(&world, &token, &[version, url]).await;
        let get = curl(&world, &token, &[version, "--dump-header", "-", "--output", "/dev/null", url]).await;
        let head = curl(&world, &token, &[version, "--head", url]).await;
        assert_eq!(stable(&head), stable(&get), "{version} {url}");
        assert!(head.contains("connector-cache; hit;"), "{version} {url}: {head}");
    }
    world.stop().await;
}

#[tokio::test]
async fn curl_decodes_what_is_compressed() {
    let world = World::start().await;
    let token = world.graph.token().mint();
    let plain = format!("http://{}{}", world.plain.data, path(SIGN_UP));
    let tls = format!("https://localhost:{}{}", world.tls.data.port(), path(SIGN_UP));
    for (version, url) in [("--http1.1", &plain), ("--http2", &tls)] {
        // The first request fills the cache.
        curl(&world, &token, &[version, "--compressed", url]).await;
        let size = ["--output", "/dev/null", "--write-out", "%{size_download} %{header_json}"];
        let mut results = Vec::new();
        for more in [&["--compressed"][..], &[]] {
            let response = curl(&world, &token, &[&[version, url], more].concat()).await;
            let (bytes, head) = {
                let output = curl(&world, &token, &[&[version, url], more, &size].concat()).await;
                let (bytes, head) =
                    output.split_once(' ').map(|(b, h)| (b.to_owned(), h.to_owned())).unwrap();
                (bytes.parse::<usize>().unwrap(), head)
            };
            assert!(head.contains("connector-cache; hit;"), "{head}");
            assert_eq!(head.contains("\"content-encoding\""), !more.is_empty(), "{head}");
            results.push((response, bytes));
        }
        assert_eq!(results[0].0, results[1].0, "{version}");
        assert!(results[0].1 * 3 < results[1].1 * 2, "{} bytes for {}", results[0].1, results[1].1);
    }
    world.stop().await;
}

#[tokio::test]
async fn two_urls_of_one_call_share_a_connection() {
    let world = World::start().await;
    let token = world.graph.token().mint();
    let url = format!("https://localhost:{}{}", world.tls.data.port(), path(SIGN_UP));
    let mut twice = vec!["--http2", "--output", "/dev/null", "--output", "/dev/null"];
    twice.extend(["--write-out", "%{http_version} %{http_code} %{num_connects}\n", &url, &url]);
    assert_eq!(curl(&world, &token, &twice).await, "2 200 1\n2 200 0\n");
    world.stop().await;
}

/// Returns the sorted lines of the head, without those that differ between requests.
fn stable(head: &str) -> Vec<&str> {
    let differs = |line: &&str| {
        ["request-id:", "client-request-id:"].iter().all(|name| !line.to_ascii_lowercase().starts_with(name))
    };
    let mut lines: Vec<&str> = head.lines().filter(differs).collect();
    lines.sort_unstable();
    lines
}
