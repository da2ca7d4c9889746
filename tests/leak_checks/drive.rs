//! Requests of every kind to a process with the most verbose log.

use connector_cache::fake_graph::{CONTOSO, FakeGraph, SIGN_UP, forgery, user_id};
use http::StatusCode;

use crate::canaries::Canaries;
use crate::common::client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::token;

/// Planted texts and responses of the requests to a process.
pub(crate) struct Drive<'a> {
    pub(crate) serve: &'a Serve,
    pub(crate) canaries: Canaries,
    /// Requests that must have an access line.
    pub(crate) answered: usize,
}

impl<'a> Drive<'a> {
    pub(crate) fn of(serve: &'a Serve) -> Self {
        let mut canaries = Canaries::default();
        canaries.identity(CANARY);
        canaries.identity(SIGN_UP);
        Self { serve, canaries, answered: 0 }
    }

    /// Sends a GET and searches its answer.
    async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> u16 {
        let answer = client::get(self.serve.data, path, headers).await;
        self.canaries.absent_in(path, &answer);
        self.answered += 1;
        answer.status
    }

    async fn read(&mut self, token: &str) -> u16 {
        self.canaries.token(token);
        self.get(&path(SIGN_UP), &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// With the fake Graph: misses, hits, refusals, challenges, throttling, a purge.
    pub(crate) async fn through_graph(&mut self, graph: &FakeGraph) {
        for secret in graph.planted_secrets() {
            self.canaries.secret(&secret);
        }
        let token = graph.token().mint();
        for _ in 0..3 {
            assert_eq!(self.read(&token).await, 200);
        }
        assert_eq!(self.read(&graph.token().mint_opaque()).await, 200);
        for bad in
            [forgery::forged(&token), forgery::stripped(&token), forgery::alg_none(&token), forgery::opaque()]
        {
            assert_eq!(self.read(&bad).await, 401);
        }
        let revoked = graph.token().user("grace").mint();
        graph.revoke(&revoked);
        assert_eq!(self.read(&revoked).await, 401, "a claims challenge");
        let denied = graph.token().user("mallory").mint();
        graph.deny(&denied, SIGN_UP);
        assert_eq!(self.read(&denied).await, 403);
        for status in [429, 500, 503] {
            graph.fail_next(1, StatusCode::from_u16(status).unwrap());
            assert_eq!(self.read(&graph.token().user(&format!("user-{status}")).mint()).await, status);
        }
        let subject = user_id(CONTOSO, "ada");
        self.canaries.identity(&subject);
        for query in [
            format!("?flow={SIGN_UP}&tenant={CONTOSO}&subject={subject}"),
            format!("?flow={CANARY}&tenant={CANARY}"),
            format!("?{CANARY}={CANARY}"),
        ] {
            let admin = self.serve.admin;
            let request = format!("DELETE /cache{query} HTTP/1.1\r\nhost: {admin}\r\n\r\n");
            client::exchange(admin, request).await.unwrap();
        }
    }

    /// With an origin server that sends canaries in all unusable parts.
    pub(crate) async fn through_faults(&mut self, origin: &OriginServer) {
        let gzip = Reply::json(CANARY).gzip();
        let cases: Vec<(Reply, u16)> = vec![
            (Reply::json(format!("{{\"a\":\"{CANARY}\" \"b\":1}}")), 502),
            (Reply::json(format!("[\"{CANARY}\"]")), 502),
            (gzip.header("content-encoding", CANARY), 502),
            (Reply::status(200).header("content-type", "text/html").body(CANARY), 502),
            (Reply::status(302).header("location", &format!("https://{CANARY}.example")), 502),
            (Reply::status(200).header("content-type", CANARY).body("{}"), 502),
            (Reply::raw(format!("HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n")), 502),
            (Reply::raw(format!("HTTP/1.1 200 {CANARY}\r\ncontent-length: {CANARY}\r\n\r\n")), 502),
            (Reply::raw(CANARY), 502),
            (Reply::json(format!("{{\"a\":\"{CANARY}\"}}")).cut_after(100), 502),
            (Reply::reset(), 502),
            (
                Reply::status(401)
                    .header("www-authenticate", &format!("Bearer claims=\"{CANARY}\""))
                    .body(CANARY),
                401,
            ),
            (Reply::status(403).header("content-type", "text/html").body(CANARY), 403),
            (Reply::status(503).header("retry-after", CANARY).body(CANARY), 503),
            (Reply::json("{}").header("x-ms-ags-diagnostic", CANARY).header("request-id", CANARY), 200),
            (Reply::json("{}").header("vary", CANARY).header("cache-control", CANARY), 200),
        ];
        for (number, (reply, status)) in cases.into_iter().enumerate() {
            origin.any(reply);
            let token = token::mint(&format!("subject-of-case-{number}"));
            assert_eq!(self.read(&token).await, status, "case {number}");
        }
    }

    /// Requests that are refused, and fields that no log may repeat.
    pub(crate) async fn with_odd_requests(&mut self) {
        let good = token::mint("subject-who-is-odd");
        self.canaries.token(&good);
        let bearer = format!("Bearer {good}");
        let flow = path(CANARY);
        for (name, value) in [
            ("user-agent", format!("\u{2028}{CANARY}\u{202e}")),
            ("client-request-id", CANARY.to_owned()),
            ("client-request-id", format!("\u{2028}{CANARY}")),
            ("traceparent", format!("00-{CANARY}")),
            ("cookie", format!("a={CANARY}")),
            ("referer", format!("https://{CANARY}.example")),
            ("x-forwarded-for", CANARY.to_owned()),
            ("if-none-match", format!("\"{CANARY}\"")),
            ("accept", format!("application/{CANARY}")),
            ("cache-control", CANARY.to_owned()),
            (CANARY, CANARY.to_owned()),
        ] {
            self.get(&flow, &[("authorization", &bearer), (name, &value)]).await;
        }
        for credentials in [
            format!("Basic {CANARY}"),
            CANARY.to_owned(),
            format!("Bearer {CANARY} {CANARY}"),
            format!("Bearer {CANARY}, Bearer {CANARY}"),
            format!("Bearer {CANARY}!"),
        ] {
            assert!(self.get(&flow, &[("authorization", &credentials)]).await >= 400);
        }
        for target in [
            format!("/{CANARY}"),
            format!("/beta/identity/b2xUserFlows/{CANARY}%0d%0a/apiConnectorConfiguration"),
            format!("/beta/identity/b2xUserFlows/{CANARY}!/apiConnectorConfiguration"),
            format!("/beta/identity/b2xUserFlows/x/apiConnectorConfiguration?$expand={CANARY}"),
            format!("/beta/identity/b2xUserFlows/x/apiConnectorConfiguration?{CANARY}={CANARY}"),
            format!("/beta/identity/b2xUserFlows/x/apiConnectorConfiguration?access_token={good}"),
        ] {
            assert!(self.get(&target, &[("authorization", &bearer)]).await >= 400);
        }
        self.with_bytes_that_are_no_request(&bearer).await;
    }

    /// Connections that end before there is a request to log.
    async fn with_bytes_that_are_no_request(&mut self, bearer: &str) {
        let host = self.serve.data;
        let head = format!("GET /{CANARY} HTTP/1.1\r\nhost: {host}\r\nauthorization: {bearer}\r\n");
        for bytes in [
            format!("{head}x: \x1b[31m{CANARY}\x1b[0m\r\n\r\n"),
            format!("{head}x: a\0{CANARY}\r\n\r\n"),
            format!("{head}{CANARY} : a\r\n\r\n"),
            format!("{head}transfer-encoding: {CANARY}\r\n\r\n"),
            format!("{head}x: {}\r\n\r\n", CANARY.repeat(4000)),
            format!("GET /{} HTTP/1.1\r\nhost: {host}\r\n\r\n", CANARY.repeat(1000)),
            format!("{CANARY}\r\n\r\n"),
            format!("\x16\x03\x01\x02{CANARY}\r\n\r\n"),
        ] {
            if let Ok(answer) = client::exchange(host, bytes).await {
                self.canaries.absent_in("bytes", &answer);
            }
        }
    }
}

/// Canary in all free texts of a caller or an origin server.
pub(crate) const CANARY: &str = "canary-8c1f0d2e7b";
