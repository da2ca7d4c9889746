//! Asks several servers by turns for what none of them has, and says how long the answers took.
//!
//!     misses TOKENS PREFIX COUNT RATE NAME=ADDRESS...
//!
//! `TOKENS` is a file with a token a line, used one after another. Each request names a flow of its own, which begins
//! with `PREFIX`; each server is asked `COUNT` times, in turns of 100. One thread and blocking sockets: no timer and no
//! scheduler of a runtime is measured. At `RATE` 0 a server is asked over one connection, again as soon as its answer
//! is there. Otherwise so often a second, over 16 connections by turns, and the time of an answer counts from the
//! moment at which the thread woke, or at which the request was due where an answer was waited for until then.
//!
//! Prints a line of JSON for each server: the wrong answers, and percentiles in microseconds.

use std::error::Error;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use connector_cache_benches::talk::PlainTalk;
use connector_cache_benches::{request, whose_own};

/// What is asked of every server.
struct Plan {
    tokens: Vec<String>,
    prefix: String,
    rate: f64,
}

/// A server and what came of asking it.
struct Server {
    name: String,
    host: String,
    talks: Vec<PlainTalk>,
    times: Vec<Duration>,
    wrong: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tokens, prefix, count, rate, servers @ ..] = &arguments[..] else {
        return Err("usage: misses TOKENS PREFIX COUNT RATE NAME=ADDRESS...".into());
    };
    // The kernel may wake a sleeper 50 us late unless it is told not to.
    std::fs::write("/proc/self/timerslack_ns", "1")?;
    let plan = Plan {
        tokens: std::fs::read_to_string(tokens)?.lines().map(str::to_owned).collect(),
        prefix: prefix.clone(),
        rate: rate.parse()?,
    };
    let talks = if plan.rate > 0.0 { CONNECTIONS } else { 1 };
    let mut servers =
        servers.iter().map(|server| Server::at(server, talks)).collect::<Result<Vec<_>, _>>()?;
    let count: usize = count.parse()?;
    for turn in 0..count.div_ceil(TURN) {
        // In another order each turn: a server that always follows the same one finds the caches of the processor as that one
        // leaves them. The order is the same in each run.
        servers.sort_by_cached_key(|server| {
            BuildHasherDefault::<DefaultHasher>::new().hash_one((turn, &server.name))
        });
        for server in &mut servers {
            server.turn(&plan, turn * TURN..count.min((turn + 1) * TURN))?;
        }
    }
    for server in &mut servers {
        println!("{}", server.summary());
    }
    Ok(())
}

impl Server {
    fn at(server: &str, talks: usize) -> Result<Self, Box<dyn Error>> {
        let (name, address) = server.split_once('=').ok_or("a server is NAME=ADDRESS")?;
        let to: SocketAddr = address.parse()?;
        let talks = (0..talks).map(|_| PlainTalk::with(to)).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), host: address.to_owned(), talks, times: Vec::new(), wrong: 0 })
    }

    fn turn(&mut self, plan: &Plan, numbers: std::ops::Range<usize>) -> std::io::Result<()> {
        let begin = Instant::now();
        for (past, number) in numbers.enumerate() {
            let token = &plan.tokens[number % plan.tokens.len()];
            let flow = format!("{}{number}", plan.prefix);
            let request = request(&self.host, &flow, token);
            let since = if plan.rate > 0.0 { due(begin, past, plan.rate) } else { Instant::now() };
            let talk = number % self.talks.len();
            let answer = self.talks[talk].ask(&request)?;
            self.times.push(since.elapsed());
            let own = whose_own(token, &flow);
            self.wrong += usize::from(!answer.windows(own.len()).any(|part| part == own.as_bytes()));
        }
        Ok(())
    }

    fn summary(&mut self) -> String {
        self.times.sort_unstable();
        let at = |share: f64| {
            let time = self.times.get((self.times.len() as f64 * share) as usize);
            time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        format!(
            r#"{{"name":"{}","answers":{},"wrong":{},"p50":{:.1},"p95":{:.1},"p99":{:.1}}}"#,
            self.name,
            self.times.len(),
            self.wrong,
            at(0.5),
            at(0.95),
            at(0.99)
        )
    }
}

/// Sleeps until a request is due. From when its time counts: a sleeper's lateness is no server's.
fn due(begin: Instant, past: usize, rate: f64) -> Instant {
    let due = begin + Duration::from_secs_f64(past as f64 / rate);
    let now = Instant::now();
    if now >= due {
        return due;
    }
    std::thread::sleep(due - now);
    Instant::now()
}

const CONNECTIONS: usize = 16;
const TURN: usize = 100;
