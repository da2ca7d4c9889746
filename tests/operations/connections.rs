//! The log of the connections to Graph: each change of their fault, with the cause.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::common::origin::{OriginServer, closed_port};
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::tls::{Authority, Certified};
use crate::common::{token, within};

/// Certificate of an origin server, which a test replaces.
#[derive(Debug)]
struct Shown(Mutex<Arc<CertifiedKey>>);

impl Shown {
    fn new(certified: &Certified) -> Arc<Self> {
        Arc::new(Self(Mutex::new(certified.certified_key())))
    }

    fn replace(&self, certified: &Certified) {
        *self.0.lock().unwrap() = certified.certified_key();
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }
}

async fn start_origin(shown: &Arc<Shown>) -> OriginServer {
    let config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::clone(shown) as _);
    let origin = OriginServer::start_tls(Arc::new(config)).await;
    origin.any(Reply::json("{}"));
    origin
}

/// Returns the lines with this text, once there are so many.
async fn lines(serve: &Serve, text: &str, count: usize) -> Vec<String> {
    let found = || serve.log_lines().into_iter().filter(|line| line.contains(text)).collect::<Vec<_>>();
    within(&format!("{count} lines with {text}"), async {
        while found().len() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
    found()
}

#[tokio::test]
async fn each_change_of_the_fault_of_connections_is_logged_once_with_its_cause() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let shown = Shown::new(&Authority::new().right());
    let (origin, roots) = (start_origin(&shown).await, authority.write_pem(dir.path()));
    let url = origin.url_by_name();
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
        ("CONNECTOR_CACHE__GRAPH__CA_FILE", roots.to_str().unwrap()),
    ];
    let serve = Serve::start(&env).await;
    let token = token::mint("a");
    let fail = "connections to Graph fail";
    for (certified, count, reason, cause) in [
        (None, 1, "tls-untrusted", "UnknownIssuer"),
        (Some(authority.wrong_host()), 2, "tls-name", "elsewhere.example"),
        (Some(authority.expired()), 3, "tls-expired", "certificate expired"),
    ] {
        if let Some(certified) = certified {
            shown.replace(&certified);
        }
        for _ in 0..3 {
            let response = serve.get(&path("B2X_1_x"), &token).await;
            assert_eq!(response.status, 502);
            let status = response.header("cache-status").unwrap();
            assert!(status.ends_with(reason) || status.ends_with("detail=breaker"), "{status}");
        }
        let logged = lines(&serve, fail, count).await;
        assert_eq!(logged.len(), count, "{logged:?}");
        let last = logged.last().unwrap();
        assert!(last.contains(&format!("\"reason\":\"{reason}\"")) && last.contains(cause), "{last}");
        assert!(last.contains("\"level\":\"WARN\"") && !last.contains("B2X_1_x"), "{last}");
    }
    shown.replace(&authority.right());
    within("Graph to be reached again", async {
        while serve.get(&path("B2X_1_x"), &token).await.status != 200 {}
    })
    .await;
    let logged = lines(&serve, "connections to Graph work again", 1).await;
    assert!(logged.len() == 1 && logged[0].contains("\"ended\":\"tls-expired\""), "{logged:?}");
    assert!(serve.stop().await.0.success());
}

#[tokio::test]
async fn the_error_of_a_forward_proxy_has_no_credentials() {
    let proxy = format!("http://user:hunter2@{}", closed_port());
    let env = [
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", "https://graph.example"),
        ("CONNECTOR_CACHE__LOG__FILTER", "trace"),
        ("HTTPS_PROXY", proxy.as_str()),
    ];
    let serve = Serve::start(&env).await;
    let token = token::mint("a");
    assert_eq!(serve.get(&path("B2X_1_x"), &token).await.status, 502);
    let logged = lines(&serve, "connections to Graph fail", 1).await;
    assert!(logged[0].contains("\"reason\":\"connect\"") && logged[0].contains("refused"), "{logged:?}");
    let (status, out, _) = serve.stop().await;
    assert!(status.success());
    let is_secret = |line: &String| line.contains("hunter2") || line.contains(&token[..20]);
    assert!(!out.iter().any(is_secret), "{out:?}");
}
