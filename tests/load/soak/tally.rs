//! What was answered, how late, and what should not have been.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use crate::common::client::Response;

/// Everybody writes into it.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    requests: u64,
    lost: u64,
    refused: u64,
    /// By what the response says of itself: how many, and the slowest.
    outcomes: BTreeMap<String, (u64, Duration)>,
    weather: BTreeMap<&'static str, u64>,
    wrong: Vec<String>,
}

impl Tally {
    /// Counts a response to one of the callers.
    pub(super) fn answered(&self, response: &Response, took: Duration, verdict: Result<(), String>) {
        let mut counts = self.0.lock().unwrap();
        counts.requests += 1;
        let (count, slowest) = counts.outcomes.entry(outcome(response)).or_default();
        *count += 1;
        *slowest = took.max(*slowest);
        counts.note(verdict);
    }

    /// A connection that ended before a response.
    pub(super) fn lost(&self) {
        self.0.lock().unwrap().lost += 1;
    }

    /// A request that is none of ours, or an operator's.
    pub(super) fn refused(&self, verdict: Result<(), String>) {
        let mut counts = self.0.lock().unwrap();
        counts.refused += 1;
        counts.note(verdict);
    }

    /// What goes wrong from here on.
    pub(super) fn weather(&self, name: &'static str) {
        *self.0.lock().unwrap().weather.entry(name).or_default() += 1;
    }

    /// For a person.
    pub(super) fn report(&self, took: Duration, calls: u64) -> String {
        let counts = self.0.lock().unwrap();
        let rate = counts.requests as f64 / took.as_secs_f64();
        let good: u64 =
            counts.outcomes.iter().filter(|(name, _)| name.starts_with("200")).map(|(_, (n, _))| n).sum();
        let mut text = format!(
            "soak: {} requests in {:.0} s ({rate:.0} a second), {} odd ones, {} connections lost\n",
            counts.requests,
            took.as_secs_f64(),
            counts.refused,
            counts.lost,
        );
        let _ = writeln!(text, "{:>10}  {:>9}  outcome", "answers", "slowest");
        for (name, (count, slowest)) in &counts.outcomes {
            let _ = writeln!(text, "{count:>10}  {:>6} ms  {name}", slowest.as_millis());
        }
        let weather: Vec<_> = counts.weather.iter().map(|(name, times)| format!("{name} {times}")).collect();
        let _ = writeln!(text, "weather: {}", weather.join(", "));
        let _ =
            write!(text, "Graph was asked {calls} times; {} calls were spared", good.saturating_sub(calls));
        text
    }

    /// Fails where a response should not have been, or where nothing happened.
    pub(super) fn verdict(&self) {
        let counts = self.0.lock().unwrap();
        assert!(
            counts.wrong.is_empty(),
            "{} wrong answers, the first: {}",
            counts.wrong.len(),
            counts.wrong[0]
        );
        let hits = counts.outcomes.iter().filter(|(name, _)| name.starts_with("200 hit"));
        assert!(hits.map(|(_, (count, _))| count).sum::<u64>() > 20, "hardly a hit: {:?}", counts.outcomes);
        assert!(counts.lost * 50 < counts.requests, "{} of {} lost", counts.lost, counts.requests);
    }
}

impl Counts {
    fn note(&mut self, verdict: Result<(), String>) {
        if let Err(why) = verdict {
            self.wrong.push(why);
        }
    }
}

/// Status and `Cache-Status`, less its numbers.
fn outcome(response: &Response) -> String {
    let said = response.header("cache-status").unwrap_or("no cache-status");
    let parts = said.split("; ").skip(1).filter(|part| !part.starts_with("fwd-status="));
    let parts: Vec<_> = parts
        .map(|part| match part.strip_prefix("ttl=") {
            Some(ttl) if ttl.starts_with('-') => "past its time",
            Some(_) => "fresh",
            None => part,
        })
        .collect();
    format!("{} {}", response.status, parts.join(" "))
}
