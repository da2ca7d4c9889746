//! Callers, and the responses that each may get.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use connector_cache::fake_graph::{CONTOSO, FABRIKAM, FakeGraph, Flow, NORTHWIND, Step, connector, forgery};

use crate::common::client::Response;
use crate::common::proxy::path;

/// Everybody.
pub(super) struct Cast {
    members: Vec<Member>,
}

/// One token.
pub(super) struct Member {
    pub(super) token: String,
    tenant: &'static str,
    role: Role,
    /// When Graph took the token back.
    revoked: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// May read every flow of its tenant.
    Good,
    /// A token that cannot be read, and is good: forwarded each time.
    Opaque,
    /// Its user may read none.
    Denied,
    /// Forged, with the claims of a valid token.
    Forged,
}

impl Cast {
    /// Three tenants with the same flows, whose words differ.
    pub(super) fn of(graph: &FakeGraph) -> Self {
        for tenant in TENANTS {
            for flow in 0..FLOWS {
                let secret = graph.plant("password");
                let address = format!("https://{tenant}.example/api?code={}", graph.plant("code"));
                let words = connector::basic(&mark(tenant), &address, "user", &secret);
                graph.put_flow(tenant, Flow::new(&name(flow)).connector(Step::PostFederationSignup, words));
            }
        }
        let mut members = Vec::new();
        for tenant in TENANTS {
            for user in 0..USERS {
                let user = format!("soak-{user}");
                let token = graph.token().tenant(tenant).user(&user).mint();
                members.push(Member::new(forgery::forged(&token), tenant, Role::Forged));
                members.push(Member::new(token, tenant, Role::Good));
            }
            let opaque = graph.token().tenant(tenant).user("soak-opaque").mint_opaque();
            members.push(Member::new(opaque, tenant, Role::Opaque));
            let denied = graph.token().tenant(tenant).user("soak-denied").mint();
            for flow in 0..FLOWS {
                graph.deny(&denied, &name(flow));
            }
            members.push(Member::new(denied, tenant, Role::Denied));
        }
        Self { members }
    }

    /// The one of this number, counted round and round.
    pub(super) fn member(&self, number: usize) -> &Member {
        &self.members[number % self.members.len()]
    }

    /// Those who get a response whenever Graph can give one.
    pub(super) fn good(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.role == Role::Good && member.revoked.lock().unwrap().is_none())
    }

    /// Has Graph take back a good token, but never the last of a tenant. False when none is left.
    pub(super) fn revoke_one(&self, graph: &FakeGraph) -> bool {
        for tenant in TENANTS {
            let of_tenant: Vec<_> = self.good().filter(|member| member.tenant == tenant).collect();
            if let [one, _, ..] = of_tenant[..] {
                graph.revoke(&one.token);
                *one.revoked.lock().unwrap() = Some(Instant::now());
                return true;
            }
        }
        false
    }
}

impl Member {
    fn new(token: String, tenant: &'static str, role: Role) -> Self {
        Self { token, tenant, role, revoked: Mutex::default() }
    }

    /// Whether Graph may say 401 to it. That counts against the address that it comes from.
    pub(super) fn is_suspect(&self) -> bool {
        self.role == Role::Forged || self.revoked.lock().unwrap().is_some()
    }

    /// Whether this response to a question that was sent at `asked` may be; if not, why not.
    pub(super) fn judge(&self, response: &Response, asked: Instant) -> Result<(), String> {
        let text = String::from_utf8_lossy(&response.body);
        let whole = format!("{:?} {text}", response.headers);
        if whole.contains("planted-") || whole.contains(&self.token) {
            return Err(format!("a credential in {whole}"));
        }
        let strange = TENANTS.iter().find(|tenant| **tenant != self.tenant && text.contains(&mark(tenant)));
        if strange.is_some() {
            return Err(format!("another tenant's words in {whole}"));
        }
        let passing = matches!(response.status, 429 | 500 | 502 | 503 | 504);
        let is_ours = text.contains(&mark(self.tenant));
        let revoked = *self.revoked.lock().unwrap();
        let fits = match (self.role, response.status) {
            (Role::Good, 200) => {
                // What was sent in the moments before may have been answered by a question that was older.
                let late = revoked.is_some_and(|revoked| asked > revoked + WITHDRAWN_AFTER);
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

/// One of the flows, which every tenant has. Four of five times it is one of the first three, which everybody wants.
pub(super) fn path_of(number: usize) -> String {
    let flow = if number.is_multiple_of(5) { number / 5 % FLOWS } else { number % 3 };
    path(&name(flow))
}

/// Stands in every response of a tenant, and in no other.
fn mark(tenant: &str) -> String {
    format!("words-of-{tenant}")
}

fn name(flow: usize) -> String {
    format!("B2X_1_soak_{flow}")
}

const TENANTS: [&str; 3] = [CONTOSO, FABRIKAM, NORTHWIND];
const USERS: usize = 8;
const FLOWS: usize = 40;
/// The proof's time, what may be given past it in an outage, and the time that a question may take.
const WITHDRAWN_AFTER: Duration = Duration::from_secs(3 + 5 + 2);
