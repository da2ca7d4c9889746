//! Coverage of a run: a story without hits, races and lost connections proves nothing.

/// Counts over a story.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coverage {
    pub reads: u64,
    pub hits: u64,
    /// Hits that were found in the store.
    pub shared_hits: u64,
    pub changes: u64,
    pub purges: u64,
    pub purges_with_selector: u64,
    pub confirmed_by_all: u64,
    pub unconfirmed: u64,
    pub purges_at_cut_replica: u64,
    pub refusals: u64,
    pub refreshes: u64,
    pub resets: u64,
    pub stalls: u64,
    pub trims: u64,
    pub flushes: u64,
    pub killed_connections: u64,
    pub joins: u64,
    pub cold_hits: u64,
    pub leaves: u64,
    pub advances: u64,
    /// Fetches that began before a purge and ended after it.
    pub overtaken_fetches: u64,
    /// Reads that began before the confirmation of a purge and ended after its begin.
    pub raced_reads: u64,
    /// Values that were written after a purge, from before it.
    pub late_writes: u64,
    /// Reads of the store that found a value and refused it because of an event.
    pub superseded: u64,
    pub quiet_phases: u64,
}

impl Coverage {
    /// Names of the situations that did not occur.
    pub fn missing(&self) -> Vec<&'static str> {
        let counts = [
            ("hits", self.hits),
            ("shared hits", self.shared_hits),
            ("changes", self.changes),
            ("purges", self.purges),
            ("purges with a selector", self.purges_with_selector),
            ("purges confirmed by all", self.confirmed_by_all),
            ("unconfirmed purges", self.unconfirmed),
            ("purges at a replica without connection", self.purges_at_cut_replica),
            ("refusals", self.refusals),
            ("refreshes", self.refreshes),
            ("reset connections", self.resets),
            ("stalled connections", self.stalls),
            ("shortened logs", self.trims),
            ("flushed stores", self.flushes),
            ("connections ended by the store", self.killed_connections),
            ("cold replicas", self.joins),
            ("hits of cold replicas", self.cold_hits),
            ("replicas that left", self.leaves),
            ("expired entries", self.advances),
            ("fetches overtaken by a purge", self.overtaken_fetches),
            ("reads raced with a purge", self.raced_reads),
            ("late writes", self.late_writes),
            ("superseded values", self.superseded),
            ("quiet phases", self.quiet_phases),
        ];
        counts.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}
