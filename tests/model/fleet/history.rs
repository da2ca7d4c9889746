//! Graph's side: content of each flow, refusals, and the history of its responses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_cache::support::clock::Clock;

use crate::common::gate::Gate;
use crate::common::origin::{OriginServer, Request};
use crate::common::reply::Reply;

/// Time in the order of events: a number that grows with each response of Graph and each look.
pub type Tick = u64;

/// A 200 of Graph.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub version: u64,
    pub asked_ms: u64,
    pub tick: Tick,
}

/// State of Graph. Clones share it.
#[derive(Clone)]
pub struct History {
    graph: Arc<Mutex<Graph>>,
    clock: Clock,
}

#[derive(Default)]
struct Graph {
    tick: Tick,
    last_version: u64,
    versions: [u64; FLOWS],
    /// Responses to a token that Graph refuses, for one flow or all.
    refused: HashMap<String, (u16, Option<usize>)>,
    /// Responses to a token wait for the gate.
    held: HashMap<String, Gate>,
    grants: HashMap<(String, usize), Vec<Grant>>,
}

impl History {
    pub fn new(clock: Clock) -> Self {
        let graph = Graph { versions: [1; FLOWS], last_version: 1, ..Graph::default() };
        Self { graph: Arc::new(Mutex::new(graph)), clock }
    }

    /// Answers the requests at a server.
    pub fn serve(&self, origin: &OriginServer) {
        let history = self.clone();
        origin.handle("", move |request| history.reply(request));
    }

    /// The version is that of the arrival, also if the response waits.
    fn reply(&self, request: &Request) -> Reply {
        let token = request.header("authorization").and_then(|field| field.strip_prefix("Bearer "));
        let token = token.unwrap().to_owned();
        let flow = FLOW_NAMES.iter().position(|name| request.target.contains(name)).unwrap();
        let mut graph = self.graph();
        graph.tick += 1;
        if let Some((status, only)) = graph.refused.get(&token)
            && only.is_none_or(|only| only == flow)
        {
            return Reply::json("{}").with_status(*status);
        }
        let version = graph.versions[flow];
        let grant = Grant { version, asked_ms: self.clock.now().unix_millis(), tick: graph.tick };
        graph.grants.entry((token.clone(), flow)).or_default().push(grant);
        let reply = Reply::json(serde_json::json!({ "id": "x", "version": version }).to_string());
        match graph.held.get(&token) {
            Some(gate) => reply.held_until(gate),
            None => reply,
        }
    }

    /// Changes the content of a flow. No two contents have one version.
    pub fn change(&self, flow: usize) {
        let mut graph = self.graph();
        graph.last_version += 1;
        graph.versions[flow] = graph.last_version;
    }

    pub fn versions(&self) -> [u64; FLOWS] {
        self.graph().versions
    }

    /// Refuses a token from now on, or accepts it again.
    pub fn refuse(&self, token: &str, refusal: Option<(u16, Option<usize>)>) {
        let mut graph = self.graph();
        match refusal {
            Some(refusal) => graph.refused.insert(token.to_owned(), refusal),
            None => graph.refused.remove(token),
        };
    }

    /// Holds the responses to a token until the gate opens.
    pub fn hold(&self, token: &str, gate: &Gate) {
        self.graph().held.insert(token.to_owned(), gate.clone());
    }

    /// The time of now.
    pub fn tick(&self) -> Tick {
        let mut graph = self.graph();
        graph.tick += 1;
        graph.tick
    }

    /// The 200s with this version to a token.
    pub fn grants(&self, token: &str, flow: usize, version: u64) -> Vec<Grant> {
        let graph = self.graph();
        let all = graph.grants.get(&(token.to_owned(), flow)).into_iter().flatten();
        all.filter(|grant| grant.version == version).copied().collect()
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub const FLOWS: usize = 3;
pub const FLOW_NAMES: [&str; FLOWS] = ["B2X_1_a", "B2X_1_b", "B2X_1_c"];
