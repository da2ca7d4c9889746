//! Calls of a fleet to Graph in a minute, by replicas, tokens, flows, settings and cache: the tables of
//! `docs/performance.md`.
//!
//! Principals share nothing but the memory of a replica. So of many users 250 are simulated, and of 20 applications one, with
//! the same part of `cache.max_bytes`, and the counts are multiplied. `FULL=1` simulates all; the tables with 1,000 users below
//! the large ones always do.

use std::sync::Mutex;
use std::time::Duration;

use connector_cache::cache::freshness;
use connector_cache_benches::simulation::stream::requests;
use connector_cache_benches::simulation::{Cache, Counts, Routing, Scenario, run};

/// One simulation, and the factor of its sample.
struct Cell {
    scenario: Scenario,
    factor: usize,
}

/// Who the callers are.
#[derive(Clone, Copy, PartialEq)]
enum Callers {
    /// Each token has a principal of its own.
    Users,
    /// The tokens belong to some applications.
    Applications,
}

fn main() {
    println!("Seed {SEED}, {RATE} requests a minute for each token.\n");
    for callers in [Callers::Users, Callers::Applications] {
        for (name, minutes) in SETTINGS {
            table(callers, name, minutes);
        }
    }
    several_addresses();
    rare_tokens();
    rollouts();
}

/// Calls by flows, tokens and replicas.
fn table(callers: Callers, name: &str, minutes: [u64; 2]) {
    let title = match callers {
        Callers::Users => "Users: a principal for each token",
        Callers::Applications => "Applications: 20 principals",
    };
    println!("**{title}; `ttl`/`proof_ttl` {name}**\n");
    println!("| flows | tokens | requests | replicas | no tier | affinity | tier | `Authorization` key |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for flows in [10, 200] {
        for tokens in [100, 1_000, 10_000] {
            for replicas in [1, 3, 10, 50] {
                rows.push((flows, tokens, replicas));
            }
        }
    }
    let cells = rows.iter().flat_map(|&(flows, tokens, replicas)| {
        CACHES.map(|(cache, routing)| {
            let factor = sample(callers, tokens);
            let principals = if callers == Callers::Users { tokens } else { APPLICATIONS };
            let scenario = Scenario {
                replicas,
                callers: tokens / factor,
                principals: principals / factor,
                flows,
                rate: RATE,
                routing,
                cache,
                rules: rules(minutes),
                max_bytes: MAX_BYTES / factor as u64,
                ..Scenario::default()
            };
            Cell { scenario, factor }
        })
    });
    let results = run_all(cells.collect());
    for ((flows, tokens, replicas), results) in rows.into_iter().zip(results.chunks(CACHES.len())) {
        let requests = per_minute(results[0].0.requests[1], results[0].1);
        let cells: Vec<_> = results.iter().map(both_hours).collect();
        println!("| {flows} | {tokens} | {requests} | {replicas} | {} |", cells.join(" | "));
    }
    println!();
}

/// Returns the divisor of the sample.
fn sample(callers: Callers, tokens: usize) -> usize {
    match callers {
        _ if std::env::var_os("FULL").is_some() => 1,
        Callers::Users => (tokens / 250).max(1),
        Callers::Applications if tokens > 100 => APPLICATIONS,
        Callers::Applications => 1,
    }
}

/// The same with tokens that are used from several addresses.
fn several_addresses() {
    println!("**Ten replicas, 1,000 users, 10 flows, 5m/5m; addresses of each token**\n");
    println!("| addresses | no tier | affinity | tier |\n|---|---|---|---|");
    for addresses in [1, 2, 5, 20] {
        let scenario = |(cache, routing)| Scenario { addresses, cache, routing, ..ten_replicas() };
        print_row(&addresses.to_string(), [LOCAL, AFFINITY, SHARED].map(scenario));
    }
    println!();
}

/// Tokens that are used rarely.
fn rare_tokens() {
    println!("**Ten replicas, 1,000 users, 10 flows, 5m/5m; requests of each token in an hour**\n");
    println!("| requests of a token | requests | no tier | affinity | tier |\n|---|---|---|---|---|");
    for hourly in [1, 6, 60, 360] {
        let rate = f64::from(hourly) / 60.0;
        let scenario = |(cache, routing)| Scenario { rate, cache, routing, ..ten_replicas() };
        let head = format!("{hourly} | {}", (rate * 1000.0).round());
        print_row(&head, [LOCAL, AFFINITY, SHARED].map(scenario));
    }
    println!();
}

/// Calls in the five minutes after all replicas were replaced.
fn rollouts() {
    println!("**Ten replicas, 1,000 users, 10 flows; calls in the five minutes after a rollout**\n");
    println!("| `ttl`/`proof_ttl` | no tier | affinity | tier |\n|---|---|---|---|");
    for (name, minutes) in SETTINGS {
        let rollout_at = Some(Duration::from_secs(90 * 60));
        let scenario = |(cache, routing)| Cell {
            scenario: Scenario { rules: rules(minutes), rollout_at, cache, routing, ..ten_replicas() },
            factor: 1,
        };
        let results = run_all([LOCAL, AFFINITY, SHARED].map(scenario).into());
        let cells: Vec<_> = results.iter().map(|(counts, _)| counts.after_rollout.to_string()).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn ten_replicas() -> Scenario {
    Scenario { replicas: 10, callers: 1_000, principals: 1_000, flows: 10, rate: RATE, ..Scenario::default() }
}

fn print_row(head: &str, scenarios: [Scenario; 3]) {
    let results = run_all(scenarios.map(|scenario| Cell { scenario, factor: 1 }).into());
    let cells: Vec<_> = results.iter().map(both_hours).collect();
    println!("| {head} | {} |", cells.join(" | "));
}

/// Returns the calls a minute in the second hour, and in the first one.
fn both_hours((counts, factor): &(Counts, usize)) -> String {
    let [cold, steady] = counts.calls.map(|calls| per_minute(calls, *factor));
    format!("{steady} ({cold})")
}

fn per_minute(count: u64, factor: usize) -> String {
    let count = count as f64 * factor as f64 / 60.0;
    if count < 10.0 { format!("{count:.1}") } else { format!("{count:.0}") }
}

fn rules([ttl, proof_ttl]: [u64; 2]) -> freshness::Config {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    freshness::Config { ttl: minutes(ttl), proof_ttl: minutes(proof_ttl), ..freshness::Config::default() }
}

/// Runs all cells, two at a time.
fn run_all(cells: Vec<Cell>) -> Vec<(Counts, usize)> {
    let count = cells.len();
    let (queue, results) = (Mutex::new(cells.into_iter().enumerate()), Mutex::new(vec![None; count]));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((at, Cell { scenario, factor })) =
                        queue.lock().ok().and_then(|mut it| it.next())
                    else {
                        return;
                    };
                    let counts = run(&scenario, requests(&scenario, SEED));
                    if let Ok(mut results) = results.lock() {
                        results[at] = Some((counts, factor));
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default().into_iter().flatten().collect()
}

const SEED: u64 = 18;
/// Requests of a token in a minute.
const RATE: f64 = 6.0;
const APPLICATIONS: usize = 20;
/// The default of `cache.max_bytes`.
const MAX_BYTES: u64 = 64 << 20;
const SETTINGS: [(&str, [u64; 2]); 3] = [("5m/5m", [5, 5]), ("5m/1h", [5, 60]), ("1h/1h", [60, 60])];
const LOCAL: (Cache, Routing) = (Cache::Local, Routing::Spread);
const AFFINITY: (Cache, Routing) = (Cache::Local, Routing::Affinity);
const SHARED: (Cache, Routing) = (Cache::Shared, Routing::Spread);
const CACHES: [(Cache, Routing); 4] = [LOCAL, AFFINITY, SHARED, (Cache::AuthorizationKeyed, Routing::Spread)];
