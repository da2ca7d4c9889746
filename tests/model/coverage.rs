//! Coverage of a run: a model without hits or races proves nothing.

use std::ops::AddAssign;

use connector_cache::cache::outcome::Outcome;

/// Counts over all stories.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coverage {
    pub stories: u64,
    pub requests: u64,
    /// Requests to Graph.
    pub graph_requests: u64,
    pub hits: u64,
    pub stale: u64,
    /// Stale responses in outages.
    pub bridged: u64,
    pub misses: u64,
    pub collapsed: u64,
    pub bypassed: u64,
    pub failed: u64,
    pub unmodified: u64,
    pub hang_ups: u64,
    /// Repeated 401s.
    pub replayed: u64,
    pub revalidated: u64,
}

impl Coverage {
    /// Whether there were enough conditional requests to Graph, and still enough hits.
    pub fn is_revalidated(&self) -> bool {
        self.revalidated * 100 >= self.requests && self.hits * 20 >= self.requests
    }

    /// Whether each outcome occurred, and hits often enough.
    pub fn is_varied(&self) -> bool {
        let each = [self.stale, self.bridged, self.misses, self.collapsed, self.bypassed, self.failed];
        let rest = [self.unmodified, self.hang_ups, self.replayed];
        each.iter().chain(&rest).all(|count| count * 1000 >= self.requests) && self.hits * 8 >= self.requests
    }

    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Miss => self.misses += 1,
            Outcome::Collapsed => self.collapsed += 1,
            Outcome::Revalidated => self.revalidated += 1,
            Outcome::Bypass => self.bypassed += 1,
            _ => self.failed += 1,
        }
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.stories += other.stories;
        self.requests += other.requests;
        self.graph_requests += other.graph_requests;
        self.hits += other.hits;
        self.replayed += other.replayed;
        self.stale += other.stale;
        self.bridged += other.bridged;
        self.misses += other.misses;
        self.collapsed += other.collapsed;
        self.bypassed += other.bypassed;
        self.failed += other.failed;
        self.unmodified += other.unmodified;
        self.hang_ups += other.hang_ups;
        self.revalidated += other.revalidated;
    }
}
