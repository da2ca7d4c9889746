//! Asks at a fixed rate, or as fast as it gets answers, and checks that each body is its own caller's.
//!
//!     load ADDRESS TOKENS FLOWS COUNT RATE CONNECTIONS [PREFIX]
//!
//! `TOKENS` is a file with a token a line; each is used for `FLOWS` flows, `PREFIX0`, `PREFIX1` and so on, one after
//! another, until `COUNT` requests are answered. `RATE` is in requests a second, 0 for no limit. Prints one line of
//! JSON: the answers, the wrong ones, and the 50th and 99th percentile in microseconds, from the moment at which a
//! request was due, so that a server that stalls is not spared the requests it kept waiting.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use connector_cache_benches::talk::Talk;
use connector_cache_benches::{path, request, whose};
use tokio::time::{Instant, sleep_until};

struct Plan {
    address: SocketAddr,
    tokens: Vec<String>,
    flows: usize,
    count: usize,
    rate: f64,
    prefix: String,
    next: AtomicUsize,
    start: Instant,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, tokens, flows, count, rate, connections, rest @ ..] = &arguments[..] else {
        return Err("usage: load ADDRESS TOKENS FLOWS COUNT RATE CONNECTIONS [PREFIX]".into());
    };
    let plan = Arc::new(Plan {
        address: address.parse()?,
        tokens: std::fs::read_to_string(tokens)?.lines().map(str::to_owned).collect(),
        flows: flows.parse()?,
        count: count.parse()?,
        rate: rate.parse()?,
        prefix: rest.first().cloned().unwrap_or_else(|| "flow".to_owned()),
        next: AtomicUsize::new(0),
        start: Instant::now(),
    });
    let askers: Vec<_> = (0..connections.parse()?).map(|_| tokio::spawn(ask(Arc::clone(&plan)))).collect();
    let (mut times, mut wrong) = (Vec::new(), 0);
    for asker in askers {
        let (more, bad) = asker.await?.map_err(|error| error.to_string())?;
        times.extend(more);
        wrong += bad;
    }
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0, Duration::as_micros);
    let seconds = plan.start.elapsed().as_secs_f64();
    println!(
        r#"{{"answers":{},"wrong":{wrong},"p50":{},"p99":{},"seconds":{seconds:.3}}}"#,
        times.len(),
        at(0.5),
        at(0.99)
    );
    Ok(())
}

async fn ask(plan: Arc<Plan>) -> std::io::Result<(Vec<Duration>, usize)> {
    let mut talk = Talk::with(plan.address).await?;
    let (mut times, mut wrong) = (Vec::new(), 0);
    let host = plan.address.to_string();
    loop {
        let number = plan.next.fetch_add(1, Relaxed);
        if number >= plan.count {
            return Ok((times, wrong));
        }
        let flow = format!("{}{}", plan.prefix, number % plan.flows);
        let token = &plan.tokens[number / plan.flows % plan.tokens.len()];
        let due = if plan.rate > 0.0 {
            let due = plan.start + Duration::from_secs_f64(number as f64 / plan.rate);
            sleep_until(due).await;
            due
        } else {
            Instant::now()
        };
        let answer = talk.ask(&request(&host, &flow, token)).await?;
        times.push(due.elapsed());
        let target = path(&flow);
        let own = whose(format!("Bearer {token}").as_bytes(), target.split('?').next().unwrap_or_default());
        wrong += usize::from(!answer.contains(&own));
    }
}
