//! Graph's policy for each token and resource, and the check of requests to Graph.

use std::collections::HashMap;

use super::graph::GraphRequest;
use super::resource::Resource;
use super::responses::ResponseKind;
use super::tokens::Token;

/// Changes of Graph's policy. Empty: the first policy.
#[derive(Debug, Default)]
pub struct GraphPolicy(HashMap<(Option<usize>, Option<Resource>), ResponseKind>);

impl GraphPolicy {
    /// Graph changes its policy for a token or all tokens, and for a resource or all resources.
    pub fn change(&mut self, who: Option<usize>, what: Option<Resource>, kind: ResponseKind) {
        self.0.insert((who, what), kind);
    }

    /// Graph returns to its first policy.
    pub fn heal(&mut self) {
        self.0.clear();
    }

    /// Kind of Graph's response now to `cast[who]` for a resource. `first`: kind for accepted tokens without a change.
    pub fn of(
        &self,
        (who, token): (usize, &Token),
        what: &Resource,
        now_ms: u64,
        first: ResponseKind,
    ) -> ResponseKind {
        if token.kind == 401 || now_ms >= token.ends {
            return ResponseKind::No(401);
        }
        let (who, what) = (Some(who), Some(what.clone()));
        let changed = [(who, None), (who, what.clone()), (None, what), (None, None)];
        let changed = changed.iter().find_map(|key| self.0.get(key)).copied();
        changed.unwrap_or(if token.kind == 200 { first } else { ResponseKind::No(token.kind) })
    }
}

/// Rule (g): exactly the canonical request with this caller's token, and no other field of the caller.
/// `id`: the caller's `client-request-id`; `tag`: entity tag of the body that Graph sent to this token, if any.
pub fn check(
    request: &GraphRequest,
    token: &Token,
    what: &Resource,
    (id, tag): (&str, &str),
) -> Result<(), String> {
    let authorization = format!("Bearer {}", token.text);
    let wanted = [
        ("client-request-id", id),
        ("authorization", &authorization),
        ("accept", what.accept()),
        // Entity tag of the body that Graph sent to this token, and no other tag.
        ("if-none-match", tag),
    ];
    for (name, value) in wanted {
        if request.field(name) != value {
            return Err(format!("(g) Graph was asked with {name}: {}", request.field(name)));
        }
    }
    if request.target != what.target() {
        return Err(format!("(g) Graph was asked for {}", request.target));
    }
    let stray = request.fields.iter().find(|(name, _)| !FORWARDED.contains(&name.as_str()));
    stray.map_or(Ok(()), |(name, _)| Err(format!("(g) Graph was sent the field {name}")))
}

const FORWARDED: [&str; 8] = [
    "host",
    "authorization",
    "accept",
    "accept-encoding",
    "user-agent",
    "via",
    "client-request-id",
    "if-none-match",
];
