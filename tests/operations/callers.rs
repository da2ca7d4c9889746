//! Which caller: `log.client`, and the tags of applications.

use serde_json::Value;

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::{token, within};
use crate::settings::reloads;

/// Returns the lines of the log with this text, once there are so many.
async fn lines(serve: &Serve, text: &str, count: usize) -> Vec<Value> {
    let found = || serve.log_lines().into_iter().filter(|line| line.contains(text)).collect::<Vec<_>>();
    within(&format!("{count} lines with {text}"), async {
        while found().len() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let parse = |line: String| serde_json::from_str(&line).unwrap();
    found().into_iter().map(parse).collect()
}

const ACCESS: &str = "\"target\":\"connector_cache::access\"";

#[tokio::test]
async fn the_log_shows_the_caller_only_while_log_client_says_so() {
    let (origin, dir, authority) =
        (OriginServer::start().await, tempfile::tempdir().unwrap(), Authority::new());
    origin.any(Reply::json("{}"));
    let (certificate, key) = authority.right().write_pem(dir.path());
    let (root, file) = (authority.write_pem(dir.path()), dir.path().join("cache.toml"));
    let write = |setting: &str| {
        let text = format!("[log]\naccess = \"all\"\nclient = \"{setting}\"\n");
        std::fs::write(&file, text).unwrap();
    };
    write("off");
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", origin.url()),
        ("CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE", certificate.to_str().unwrap().to_owned()),
        ("CONNECTOR_CACHE__LISTEN__TLS__KEY", key.to_str().unwrap().to_owned()),
        ("CONNECTOR_CACHE__LISTEN__TLS__CLIENT_CA", root.to_str().unwrap().to_owned()),
    ];
    let serve = Serve::start_with(&file, &env.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let shown = authority.client("checkout.example", "spiffe://cluster.example/checkout");
    let tls = authority.client_config_showing(&shown, &["http/1.1"]);
    let mut client = Client::connect_tls(serve.data, tls, "localhost").await.unwrap();
    let (bearer, agent) = (format!("Bearer {}", token::mint("a")), "x".repeat(300));
    let headers = [("authorization", bearer.as_str()), ("user-agent", agent.as_str())];
    let who = |line: &Value| {
        ["peer", "client", "user_agent"].map(|field| line[field].as_str().map(ToOwned::to_owned))
    };
    let (uri, agent) = ("spiffe://cluster.example/checkout", agent[..128].to_owned());
    let (mut count, mut reloaded) = (0, 0);
    for (setting, expected) in [
        ("off", [None, None, None]),
        ("certificate", [None, Some(uri.to_owned()), Some(agent.clone())]),
        ("address", [Some("127.0.0.1".to_owned()), None, Some(agent)]),
        ("off", [None, None, None]),
    ] {
        if count > 0 {
            write(setting);
            serve.hang_up();
            reloaded += 1;
            reloads(&serve, "success", reloaded).await;
        }
        // A miss, which the asynchronous part logs, and a hit.
        for flow in [format!("B2X_1_{reloaded}"), format!("B2X_1_{reloaded}")] {
            assert_eq!(client.get(&path(&flow), &headers).await.status, 200);
        }
        count += 2;
        let lines = lines(&serve, ACCESS, count).await;
        let last: Vec<_> = lines[count - 2..].iter().map(|line| (line["cache"].clone(), who(line))).collect();
        assert_eq!(last, [("miss".into(), expected.clone()), ("hit".into(), expected)], "{setting}");
    }
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn a_user_agent_with_a_token_and_one_with_control_characters_do_no_harm() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let (url, token) = (origin.url(), token::mint("a"));
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
        ("CONNECTOR_CACHE__LOG__CLIENT", "address"),
        ("CONNECTOR_CACHE__LOG__FORMAT", "text"),
    ];
    let serve = Serve::start(&env).await;
    let bearer = format!("Bearer {token}");
    for agent in [bearer.as_str(), "a\u{202e}b \"c\""] {
        let headers =
            [("authorization", bearer.as_str()), ("user-agent", agent), ("connector-cache", "refresh")];
        let mut client = Client::connect(serve.data).await;
        assert_eq!(client.get(&path("B2X_1_x"), &headers).await.status, 200);
    }
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    let agents: Vec<_> =
        out.iter().filter_map(|line| line.split_once(" user_agent=")).map(|part| part.1).collect();
    assert_eq!(agents, ["\"(hidden: it contains a token)\"", "\"a\\u{202e}b \\\"c\\\"\""], "{out:?}");
    assert!(!out.iter().any(|line| line.contains(&token[..20])), "{out:?}");
}

/// On-call: "which application is throttled?"
#[tokio::test]
async fn a_throttled_application_has_the_same_tag_in_the_overview_and_in_each_line() {
    let origin = OriginServer::start().await;
    origin.any([Reply::json("{}"), Reply::status(429).header("retry-after", "60")]);
    let url = origin.url();
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str())]).await;
    let token = token::mint("a");
    for (flow, status) in [("B2X_1_x", 200), ("B2X_1_y", 429), ("B2X_1_z", 429)] {
        assert_eq!(serve.get(&path(flow), &token).await.status, status, "{flow}");
    }
    assert_eq!(origin.requests(), 2, "the last one was refused by the proxy");
    let overview = serve.look("/cache").await.json();
    assert_eq!(overview["throttled_total"], 1);
    let [scope] = overview["throttled"].as_array().unwrap().as_slice() else { panic!("{overview}") };
    let tag = scope["tag"].as_str().unwrap();
    assert!(tag.len() == 8 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()), "{overview}");
    assert_eq!((&scope["scope"], &scope["cause"]), (&"application".into(), &"throttle-gate".into()));
    assert!((58..=60).contains(&scope["left_seconds"].as_u64().unwrap()), "{overview}");
    let access = lines(&serve, ACCESS, 3).await;
    assert!(access.iter().all(|line| line["application"] == tag), "{access:?}");
    assert_eq!(access[2]["reason"], "throttle-gate");
    let opened = lines(&serve, "requests of an application to Graph are refused", 1).await;
    assert!(opened.len() == 1 && opened[0]["application"] == tag, "{opened:?}");
    assert_eq!((&opened[0]["level"], &opened[0]["cause"]), (&"WARN".into(), &"throttle-gate".into()));
    assert_eq!((&opened[0]["scope"], &opened[0]["seconds"]), (&"application".into(), &60.into()));
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn the_line_of_a_caller_that_hung_up_while_graph_was_slow_has_the_tag_of_its_application() {
    let origin = OriginServer::start().await;
    origin.any(Reply::silence());
    let url = origin.url();
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str())]).await;
    let authorization = format!("Bearer {}", token::mint("a"));
    let mut client = Client::connect(serve.data).await;
    client.send_get(&path("B2X_1_x"), &[("authorization", &authorization)]).await.unwrap();
    origin.wait_for_requests(1).await;
    drop(client);
    let line = lines(&serve, ACCESS, 1).await.remove(0);
    assert_eq!((&line["status"], &line["reason"]), (&499.into(), &"caller-hung-up".into()));
    assert_eq!(line["application"].as_str().map(str::len), Some(8), "{line}");
    assert!(serve.stop().await.0.success());
}
