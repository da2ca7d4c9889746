//! The stand-in for Graph without a proxy, for a proxy in a process of its own (`demo --stand-in`).

use std::net::{SocketAddr, TcpListener};

use super::introduction::commands;
use super::{DemoError, GRAPH_LATENCY, print, program};
use crate::app::stop_on_signal;
use crate::fake_graph::{FakeGraph, Options};

/// Serves at `address` until SIGINT (Ctrl-C) or SIGTERM. `data` is the address of the proxy in the printed commands.
pub(super) async fn run(address: SocketAddr, data: SocketAddr) -> Result<(), DemoError> {
    let stop = stop_on_signal()?;
    let refused = |error| DemoError::StandIn { address, error };
    let listener = TcpListener::bind(address).map_err(refused)?;
    let graph =
        FakeGraph::start(Options { listener: Some(listener), ..Options::default() }).map_err(refused)?;
    graph.set_latency(GRAPH_LATENCY);
    print(&text(&graph, data))?;
    stop.cancelled().await;
    Ok(())
}

/// Returns the address, how to start a proxy, and commands to try.
fn text(graph: &FakeGraph, data: SocketAddr) -> String {
    format!(
        "connector-cache demo: a stand-in for Microsoft Graph, without a cache in front of it.\n\
         \n\
         stand-in  {url}, responds in {latency} ms\n\
         \n\
         A cache in front of it, on this machine:\n\
         \n\
         CONNECTOR_CACHE__GRAPH__BASE_URL={url} {program} serve\n\
         \n\
         {commands}\
         Ctrl-C ends it.\n\n",
        program = program(),
        url = graph.url(),
        latency = GRAPH_LATENCY.as_millis(),
        commands = commands(graph, data),
    )
}
