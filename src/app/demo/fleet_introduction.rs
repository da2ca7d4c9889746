//! Introduction of the demo with replicas: the same token at each of them, and a purge at one.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::introduction::operator;
use super::{GRAPH_LATENCY, TOKEN_LIFETIME, program, reachable};
use crate::fake_graph::{CONTOSO, FakeGraph, SIGN_UP};
use crate::shared::Config;

/// Returns addresses, commands to try, and what to expect with or without a store.
pub(super) fn text(graph: &FakeGraph, bound: &[(SocketAddr, SocketAddr)], shared: &Config) -> String {
    let count = bound.len();
    let path = format!(
        "/beta/identity/b2xUserFlows/{SIGN_UP}/apiConnectorConfiguration\
         ?$expand=postFederationSignup,postAttributeCollection"
    );
    let (mut addresses, mut requests) = (String::new(), String::new());
    for (number, (data, admin)) in (1..).zip(bound) {
        let (data, admin) = (reachable(*data), reachable(*admin));
        // A String accepts every write.
        let _ = writeln!(addresses, "replica {number:<3} http://{data}   admin http://{admin}");
        let _ = writeln!(requests, "curl -si -H \"Authorization: Bearer $TOKEN\" 'http://{data}{path}'");
    }
    let admin = bound.first().map(|(_, admin)| reachable(*admin));
    let operator = admin.map(operator).unwrap_or_default();
    let admin = admin.map(|admin| admin.to_string()).unwrap_or_default();
    let store = shared.endpoint.as_ref().map_or_else(
        || "none: each replica caches for itself".to_owned(),
        |endpoint| format!("{endpoint}, keys begin with {}", shared.prefix),
    );
    let Expected { requests: expected, purge, hint } = Expected::new(count, shared.endpoint.is_some());
    format!(
        "connector-cache demo: a stand-in for Microsoft Graph, and {replicas} of the cache in front of it.\n\
         \n\
         {addresses}\
         store       {store}\n\
         stand-in    {url}, responds in {latency} ms\n\
         \n\
         The token of Ada, as a variable of the shell:\n\
         \n\
         TOKEN='{token}'\n\
         \n\
         The same request at each replica. {expected}\n\
         \n\
         {requests}\
         \n\
         A purge at replica 1. {purge}\n\
         \n\
         curl -s -X DELETE http://{admin}/cache\n\
         \n\
         {operator}\
         {hint}\
         Each request prints a line below. Ctrl-C ends the demo.\n\n",
        replicas = if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") },
        url = graph.url(),
        latency = GRAPH_LATENCY.as_millis(),
        token = graph.token().tenant(CONTOSO).user("ada").expires_in(TOKEN_LIFETIME).mint(),
    )
}

/// Sentences about the results of the commands.
struct Expected {
    requests: &'static str,
    purge: String,
    hint: String,
}

impl Expected {
    fn new(count: usize, is_shared: bool) -> Self {
        if is_shared {
            return Self {
                requests: "The first response contains fwd=uri-miss. The others find it in the store: hit and \
                           detail=shared. Graph is called once.",
                purge: format!(
                    "All replicas confirm it (\"replicas\":{count},\"confirmed\":{count}). \
                     The next request calls Graph again, at any replica."
                ),
                hint: String::new(),
            };
        }
        Self {
            requests: "Each first response contains fwd=uri-miss: each replica calls Graph for itself.",
            purge: "It does not reach the others: their responses remain hits.".to_owned(),
            hint: format!(
                "With a Redis or a Valkey the replicas share their responses. For example:\n\
                 \n\
                 {program} demo --replicas {count} --shared redis://127.0.0.1:6379\n\
                 \n",
                program = program(),
            ),
        }
    }
}
