//! Tokens of the callers, and the responses that each token may get.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use connector_cache::fake_graph::{CONTOSO, FABRIKAM, FakeGraph, Flow, NORTHWIND, Step, connector, forgery};

use crate::common::client::Response;
use crate::common::proxy::path;

/// All tokens.
pub(super) struct Tokens {
    tokens: Vec<TestToken>,
}

/// One token.
pub(super) struct TestToken {
    pub(super) token: String,
    tenant: &'static str,
    role: Role,
    /// Time at which Graph revoked the token.
    revoked: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// May read every flow of its tenant.
    Good,
    /// Valid, but unreadable for the proxy: each request is forwarded.
    Opaque,
    /// Its user may not read any flow.
    Denied,
    /// Forged, with the claims of a valid token.
    Forged,
}

impl Tokens {
    /// Creates three tenants with the same flow ids and different contents, and their tokens.
    pub(super) fn create(graph: &FakeGraph) -> Self {
        for tenant in TENANTS {
            for flow in 0..FLOWS {
                let secret = graph.plant("password");
                let address = format!("https://{tenant}.example/api?code={}", graph.plant("code"));
                let words = connector::basic(&mark(tenant), &address, "user", &secret);
                graph.put_flow(tenant, Flow::new(&name(flow)).connector(Step::PostFederationSignup, words));
            }
        }
        let mut tokens = Vec::new();
        for tenant in TENANTS {
            for user in 0..USERS {
                let user = format!("soak-{user}");
                let token = graph.token().tenant(tenant).user(&user).mint();
                tokens.push(TestToken::new(forgery::forged(&token), tenant, Role::Forged));
                tokens.push(TestToken::new(token, tenant, Role::Good));
            }
            let opaque = graph.token().tenant(tenant).user("soak-opaque").mint_opaque();
            tokens.push(TestToken::new(opaque, tenant, Role::Opaque));
            let denied = graph.token().tenant(tenant).user("soak-denied").mint();
            for flow in 0..FLOWS {
                graph.deny(&denied, &name(flow));
            }
            tokens.push(TestToken::new(denied, tenant, Role::Denied));
        }
        Self { tokens }
    }

    /// Returns the token of this number, modulo the number of tokens.
    pub(super) fn get(&self, number: usize) -> &TestToken {
        &self.tokens[number % self.tokens.len()]
    }

    /// Returns the valid tokens.
    pub(super) fn good(&self) -> impl Iterator<Item = &TestToken> {
        self.tokens.iter().filter(|token| token.role == Role::Good && token.revoked.lock().unwrap().is_none())
    }

    /// Lets Graph revoke a valid token, but never the last one of a tenant. Returns false if no such token is left.
    pub(super) fn revoke_one(&self, graph: &FakeGraph) -> bool {
        for tenant in TENANTS {
            let of_tenant: Vec<_> = self.good().filter(|token| token.tenant == tenant).collect();
            if let [one, _, ..] = of_tenant[..] {
                graph.revoke(&one.token);
                *one.revoked.lock().unwrap() = Some(Instant::now());
                return true;
            }
        }
        false
    }
}

impl TestToken {
    fn new(token: String, tenant: &'static str, role: Role) -> Self {
        Self { token, tenant, role, revoked: Mutex::default() }
    }

    /// Returns whether Graph may respond 401 to the token, which counts against the address of its caller.
    pub(super) fn may_get_401(&self) -> bool {
        self.role == Role::Forged || self.revoked.lock().unwrap().is_some()
    }

    /// Checks a response to a request that was sent at `sent_at`. Returns the reason if the token may not get it.
    pub(super) fn judge(&self, response: &Response, sent_at: Instant) -> Result<(), String> {
        let text = String::from_utf8_lossy(&response.body);
        let whole = format!("{:?} {text}", response.headers);
        if whole.contains("planted-") || whole.contains(&self.token) {
            return Err(format!("a credential in {whole}"));
        }
        let strange = TENANTS.iter().find(|tenant| **tenant != self.tenant && text.contains(&mark(tenant)));
        if strange.is_some() {
            return Err(format!("text of another tenant in {whole}"));
        }
        let passing = matches!(response.status, 429 | 500 | 502 | 503 | 504);
        let is_ours = text.contains(&mark(self.tenant));
        let revoked = *self.revoked.lock().unwrap();
        let fits = match (self.role, response.status) {
            (Role::Good, 200) => {
                // A request sent shortly after the revocation may get the response to an earlier request.
                let late = revoked.is_some_and(|revoked| sent_at > revoked + MAX_USE_AFTER_REVOCATION);
                is_ours && !late
            }
            (Role::Good, 401) => revoked.is_some(),
            (Role::Opaque, 200) => is_ours,
            (Role::Denied, 403) | (Role::Forged, 401) => !is_ours,
            _ => passing,
        };
        if fits { Ok(()) } else { Err(format!("{} to {:?}: {whole}", response.status, self.role)) }
    }
}

/// Returns the path of a flow, which every tenant has. Four of five paths are those of the first three flows.
pub(super) fn path_of(number: usize) -> String {
    let flow = if number.is_multiple_of(5) { number / 5 % FLOWS } else { number % 3 };
    path(&name(flow))
}

/// Returns text that every response of a tenant contains, and no other response.
fn mark(tenant: &str) -> String {
    format!("text-of-{tenant}")
}

fn name(flow: usize) -> String {
    format!("B2X_1_soak_{flow}")
}

const TENANTS: [&str; 3] = [CONTOSO, FABRIKAM, NORTHWIND];
const USERS: usize = 8;
const FLOWS: usize = 40;
/// The sum of `cache.proof_ttl`, `cache.stale_if_error` and the longest time of a request.
const MAX_USE_AFTER_REVOCATION: Duration = Duration::from_secs(3 + 5 + 2);
