//! Stories: operations in a random order that follows from a seed.

/// An operation. Its details are drawn when it is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A token reads a flow at a replica.
    Read,
    /// Graph changes the content of a flow.
    Change,
    /// An operator purges at a replica.
    Purge,
    /// Graph refuses a proven token once: 401, 403 or 404.
    Refuse,
    /// A caller forces a refresh.
    Refresh,
    /// Entries and proofs expire.
    Advance,
    /// A purge overtakes a fetch that Graph holds.
    OvertakenFetch,
    /// Several callers read while a purge runs.
    RacedReads,
    /// Values from before a purge are written after it.
    LateWrite,
    /// A replica loses its connection to the store for a while.
    Outage(Break, Loss),
    /// The store ends all connections.
    KillConnections,
    /// The store loses all data.
    Flush,
    /// A cold replica joins and another one leaves.
    Replace,
    /// Nothing disturbs the replicas.
    QuietPhase,
}

/// Fault of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Present and new connections are reset.
    Reset,
    /// Connections stay open and carry nothing.
    Stall,
}

/// Fault of the log while a replica cannot read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    None,
    /// All events but the last are dropped.
    Trim,
    /// All data is dropped.
    Flush,
}

/// Operations in a random order. Rare ones occur in each story.
pub fn story(steps: usize, seed: u64) -> Vec<Op> {
    let mut rng = Rng(seed);
    let mut ops: Vec<Op> = RARE.repeat(steps.div_ceil(STEPS_OF_RARE));
    while ops.len() < steps {
        ops.push(FREQUENT[rng.below(FREQUENT.len())]);
    }
    for at in (1..ops.len()).rev() {
        ops.swap(at, rng.below(at + 1));
    }
    ops.push(Op::QuietPhase);
    ops
}

/// Random numbers, by the generator `SplitMix64`.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// One of the elements.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const FREQUENT: [Op; 12] = [
    Op::Read,
    Op::Read,
    Op::Read,
    Op::Read,
    Op::Read,
    Op::Change,
    Op::Change,
    Op::Purge,
    Op::Purge,
    Op::Refuse,
    Op::Refresh,
    Op::RacedReads,
];
/// In each [`STEPS_OF_RARE`] operations.
const RARE: [Op; 18] = [
    Op::Outage(Break::Reset, Loss::None),
    Op::Outage(Break::Stall, Loss::None),
    Op::Outage(Break::Reset, Loss::Trim),
    Op::Outage(Break::Reset, Loss::Flush),
    Op::Advance,
    Op::Advance,
    Op::OvertakenFetch,
    Op::OvertakenFetch,
    Op::OvertakenFetch,
    Op::LateWrite,
    Op::LateWrite,
    Op::LateWrite,
    Op::KillConnections,
    Op::KillConnections,
    Op::Flush,
    Op::Replace,
    Op::Replace,
    Op::QuietPhase,
];
const STEPS_OF_RARE: usize = 150;
