//! Warnings of the demo about its store: one for all replicas, at the start and at each change.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::proxy::Proxy;
use crate::shared::{Config, Endpoint, SharedState, Topology, probe};

/// Prints a warning while the store cannot be used, and a line when it can be used again. Returns at once without a store.
pub(super) async fn watch(config: Config, proxies: Arc<[Proxy]>) {
    let Some(endpoint) = &config.endpoint else { return };
    let problem = match probe(&config).await {
        Ok(Some(report)) if !report.is_usable() => Some(report.to_string()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let (mut is_shared, mut faulty_looks) = (problem.is_none(), 0);
    let states = || proxies.iter().map(|proxy| proxy.inner().fetcher.shared.state());
    if let Some(problem) = problem {
        // The replicas meet the same problem, and their state tells its kind.
        sleep(INTERVAL).await;
        let state = states().find(|state| is_fault(*state)).unwrap_or(SharedState::Connecting);
        print(&format!("warning: {problem}\n{}", advice(endpoint, state)));
    }
    loop {
        sleep(INTERVAL).await;
        let fault = states().find(|state| is_fault(*state));
        faulty_looks = fault.map_or(0, |_| faulty_looks + 1);
        match fault {
            Some(state) if is_shared && faulty_looks == MIN_FAULTY_LOOKS => {
                print(&format!(
                    "warning: {endpoint} cannot be used now (state {state})\n{}",
                    advice(endpoint, state)
                ));
                is_shared = false;
            }
            None if !is_shared && states().all(|state| state == SharedState::Live) => {
                print(&format!("{endpoint} can be used: the replicas share from now on"));
                is_shared = true;
            }
            _ => {}
        }
    }
}

/// Returns whether the replica shares nothing until the state changes. A log that was read late is no fault of the store.
fn is_fault(state: SharedState) -> bool {
    !matches!(state, SharedState::Off | SharedState::Live | SharedState::Lagging)
}

/// Returns the effect, and what to do.
fn advice(endpoint: &Endpoint, state: SharedState) -> String {
    let remedy = match (state, &endpoint.topology, &endpoint.addresses[..]) {
        (SharedState::Auth, ..) => {
            "Set CONNECTOR_CACHE__SHARED__USERNAME and CONNECTOR_CACHE__SHARED__PASSWORD_FILE, \
                                    or give the user the rights of docs/fleet.md, and start the demo again."
                .to_owned()
        }
        (SharedState::Tls, ..) => {
            "Set CONNECTOR_CACHE__SHARED__CA_FILE to the CA of the store, and start the demo again."
                .to_owned()
        }
        (SharedState::Clock, ..) => "Synchronize the clocks of the store and of this machine.".to_owned(),
        (_, Topology::Single(_), [address]) if !endpoint.tls => format!(
            "Start a Redis or a Valkey at this address, for example with `redis-server --port {}`; \
             the replicas join by themselves.",
            address.port
        ),
        _ => "Start the store; the replicas join by themselves.".to_owned(),
    };
    format!("Each replica caches for itself as long as the store cannot be used. {remedy}")
}

fn print(text: &str) {
    // The demo continues without standard error.
    let _ = writeln!(io::stderr(), "connector-cache: {text}");
}

/// Time between two looks at the state.
const INTERVAL: Duration = Duration::from_millis(250);
/// Looks with a fault before a warning: a fault that ends at once, as at the start, is none.
const MIN_FAULTY_LOOKS: u32 = 3;
