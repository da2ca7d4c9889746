//! Stream of requests: Poisson arrivals, callers at random, flows by Zipf's law. The same seed gives the same stream for all
//! caches, and for all numbers of replicas.

use super::{HOURS, Request, Routing, Scenario};

/// Generator of random numbers: `SplitMix64`.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns a number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Mixes the bits of a number.
pub fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns the requests of a scenario.
pub fn requests(scenario: &Scenario, seed: u64) -> impl Iterator<Item = Request> + use<> {
    let Scenario { replicas, callers, addresses, flows, rate, routing, .. } = *scenario;
    let mut random = Random::new(seed);
    let popularity = zipf(flows);
    let mean_ms = 60_000.0 / (rate * callers as f64);
    let mut at_ms = 0.0;
    std::iter::from_fn(move || {
        at_ms += -mean_ms * (1.0 - random.unit()).ln();
        let (caller, rank, address) = (random.below(callers), random.unit(), random.below(addresses));
        let flow = popularity.partition_point(|sum| *sum <= rank).min(flows - 1);
        let spread = random.next();
        let choice = match routing {
            Routing::Spread => spread,
            Routing::Affinity => mix((caller * addresses + address) as u64 + 1),
        };
        let replica = (choice % replicas as u64) as usize;
        let request = Request { at_ms: at_ms as u64, caller, flow, replica };
        (request.at_ms < HOURS as u64 * 3_600_000).then_some(request)
    })
}

/// Returns the sums of the popularity of flows: that of the n-th is proportional to 1/n.
fn zipf(flows: usize) -> Vec<f64> {
    let total: f64 = (1..=flows).map(|rank| 1.0 / rank as f64).sum();
    let sums = (1..=flows).scan(0.0, |sum, rank| {
        *sum += 1.0 / rank as f64 / total;
        Some(*sum)
    });
    sums.collect()
}
