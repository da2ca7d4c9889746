//! Asks as fast as it gets answers, and checks that each body is its own caller's.
//!
//!     load ADDRESS TOKENS FLOWS COUNT CONNECTIONS [PREFIX]
//!
//! `TOKENS` is a file with a token a line; each is used for `FLOWS` flows, `PREFIX0`, `PREFIX1` and so on, one after
//! another, until `COUNT` requests are answered. Prints one line of JSON: the answers, and the wrong ones. What it
//! measures is whether, not how fast: see `misses`.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use connector_cache_benches::talk::Talk;
use connector_cache_benches::{request, whose_own};

struct Plan {
    address: SocketAddr,
    tokens: Vec<String>,
    flows: usize,
    count: usize,
    prefix: String,
    next: AtomicUsize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, tokens, flows, count, connections, rest @ ..] = &arguments[..] else {
        return Err("usage: load ADDRESS TOKENS FLOWS COUNT CONNECTIONS [PREFIX]".into());
    };
    let plan = Arc::new(Plan {
        address: address.parse()?,
        tokens: std::fs::read_to_string(tokens)?.lines().map(str::to_owned).collect(),
        flows: flows.parse()?,
        count: count.parse()?,
        prefix: rest.first().cloned().unwrap_or_else(|| "flow".to_owned()),
        next: AtomicUsize::new(0),
    });
    let askers: Vec<_> = (0..connections.parse()?).map(|_| tokio::spawn(ask(Arc::clone(&plan)))).collect();
    let mut wrong = 0;
    for asker in askers {
        wrong += asker.await?.map_err(|error| error.to_string())?;
    }
    println!(r#"{{"answers":{},"wrong":{wrong}}}"#, plan.count);
    Ok(())
}

/// How many answers of those that it got were wrong.
async fn ask(plan: Arc<Plan>) -> std::io::Result<usize> {
    let mut talk = Talk::with(plan.address).await?;
    let mut wrong = 0;
    let host = plan.address.to_string();
    loop {
        let number = plan.next.fetch_add(1, Relaxed);
        if number >= plan.count {
            return Ok(wrong);
        }
        let flow = format!("{}{}", plan.prefix, number % plan.flows);
        let token = &plan.tokens[number / plan.flows % plan.tokens.len()];
        let answer = talk.ask(&request(&host, &flow, token)).await?;
        let own = whose_own(token, &flow);
        wrong += usize::from(!answer.contains(&own));
    }
}
