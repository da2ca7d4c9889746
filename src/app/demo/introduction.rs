//! Introduction of the demo with one proxy.

use std::net::SocketAddr;

use super::{GRAPH_LATENCY, TOKEN_LIFETIME, program, reachable};
use crate::fake_graph::{B2C_SIGN_UP, CONTOSO, FakeGraph, SIGN_UP};

/// Returns addresses, commands to try, and what to expect.
pub(super) fn text(
    graph: &FakeGraph,
    bound: (SocketAddr, SocketAddr),
    preferred: (SocketAddr, SocketAddr),
) -> String {
    let (data, admin) = (reachable(bound.0), reachable(bound.1));
    let note = |bound: SocketAddr, preferred: SocketAddr| {
        if bound.port() == preferred.port() {
            String::new()
        } else {
            format!(" (port {} is in use)", preferred.port())
        }
    };
    let (data_note, admin_note) = (note(bound.0, preferred.0), note(bound.1, preferred.1));
    format!(
        "connector-cache demo: a stand-in for Microsoft Graph, and the cache in front of it.\n\
         \n\
         cache     http://{data}{data_note}\n\
         admin     http://{admin}{admin_note}\n\
         stand-in  {url}, responds in {latency} ms\n\
         \n\
         {commands}\
         {operator}\
         Ctrl-C ends it.\n\n",
        url = graph.url(),
        latency = GRAPH_LATENCY.as_millis(),
        commands = commands(graph, bound.0),
        operator = operator(admin),
    )
}

/// Returns what an operator may try with the admin port of a running proxy.
pub(super) fn operator(admin: SocketAddr) -> String {
    let program = program();
    format!(
        "console: open http://{admin} in a browser. State, purge and metrics in a terminal:\n\
         \n\
         {program} status --admin http://{admin}\n\
         {program} purge --admin http://{admin} --flow {SIGN_UP}\n\
         curl -s http://{admin}/metrics\n\
         \n"
    )
}

/// Returns commands with valid tokens for a proxy that listens on `data`, and what to expect.
pub(super) fn commands(graph: &FakeGraph, data: SocketAddr) -> String {
    let data = reachable(data);
    let curl = |user: &str, flow: &str, expand: &str| {
        let token = graph.token().tenant(CONTOSO).user(user).expires_in(TOKEN_LIFETIME).mint();
        let path = format!("/beta/identity/{flow}/apiConnectorConfiguration");
        format!("curl -si -H 'Authorization: Bearer {token}' 'http://{data}{path}?$expand={expand}'")
    };
    let (flow, steps) = (format!("b2xUserFlows/{SIGN_UP}"), "postFederationSignup,postAttributeCollection");
    format!(
        "As Ada. The first request: Cache-Status contains fwd=uri-miss. The second request: hit.\n\
         \n\
         {ada}\n\
         \n\
         As Grace, another user. Grace never receives the entry of Ada: the first request is a miss, too.\n\
         \n\
         {grace}\n\
         \n\
         As Ada, a flow of a B2C tenant:\n\
         \n\
         {b2c}\n\
         \n",
        ada = curl("ada", &flow, steps),
        grace = curl("grace", &flow, steps),
        b2c = curl("ada", &format!("b2cUserFlows/{B2C_SIGN_UP}"), "preTokenIssuance"),
    )
}
