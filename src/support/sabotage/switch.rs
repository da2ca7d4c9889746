//! The faults there are, and which one this thread has.

use std::cell::Cell;

use crate::support::labels::labels;

labels! {
    /// A fault. Each breaks a promise of the cache's in one line.
    pub enum Fault {
        /// Principals of two tenants with otherwise equal claims are one.
        PrincipalWithoutTenant = "principal-without-tenant",
        /// An entry is found whatever was expanded.
        EntryWithoutExpand = "entry-without-expand",
        /// Tokens of one principal share a flight.
        FlightOfPrincipal = "flight-of-principal",
        /// A request joins a flight from before a purge or a "no".
        FlightFromBefore = "flight-from-before",
        /// A proof counts for every resource.
        ProofOfAnyResource = "proof-of-any-resource",
        /// A proof counts whatever was expanded.
        ProofWithoutExpand = "proof-without-expand",
        /// A proof counts for all tokens of its principal.
        ProofOfPrincipal = "proof-of-principal",
        /// A proof never ends.
        ProofForever = "proof-forever",
        /// What a token claims is taken for true.
        ClaimsTrusted = "claims-trusted",
        /// A 401 drops the entries of whomever the token claims to be.
        UnprovenEvicts = "unproven-evicts",
        /// A 401 withdraws nothing.
        UnheededUnauthorized = "unheeded-401",
        /// A 403, 404 or 410 withdraws nothing.
        UnheededForbidden = "unheeded-403",
        /// A "no" whose body breaks off is taken for an outage.
        UnheededBroken = "unheeded-broken-no",
        /// A "no" does not count against what the same token has asked already.
        UnheededInFlight = "unheeded-in-flight",
        /// A purge, or a "no", does not keep from the store what is on its way.
        PurgeMissesFlights = "purge-misses-flights",
        /// A purge revokes the leases of tokens that have a proof, and of no others.
        PurgeMissesNewcomers = "purge-misses-newcomers",
        /// A purge revokes all leases, whatever it selects.
        PurgeRevokesAll = "purge-revokes-all",
        /// A purge takes all proofs of each token that has one of those that it selects.
        PurgeTakesTooMuch = "purge-takes-too-much",
        /// The digest of the proof is not compared with that of the entry.
        DigestIgnored = "digest-ignored",
        /// Other bytes for one token do not make the others ask Graph.
        DivergenceUnheeded = "divergence-unheeded",
        /// The end of a token is not looked at again after a wait.
        EndForgotten = "end-forgotten",
        /// A token is used up to its very end.
        EndWithoutMargin = "end-without-margin",
        /// An entry is always fresh.
        EntryForever = "entry-forever",
        /// A stale entry is given however old it is.
        StalePastGrace = "stale-past-grace",
        /// A 403 counts as an outage, which a stale entry bridges.
        StaleAfterForbidden = "stale-after-403",
        /// Graph's "no" is stored as if it were an answer.
        ErrorStored = "error-stored",
        /// `no-store` is not heeded.
        NoStoreStored = "no-store-stored",
        /// An older answer that comes late replaces a newer one.
        OlderReplacesNewer = "older-replaces-newer",
        /// A 304 counts for the stored answer whatever it names.
        AnyNotModified = "any-304",
        /// A token asks Graph about what another of its principal was given.
        ValidatorOfAnother = "validator-of-another",
        /// `no-cache` is not heeded where Graph's word decides.
        NoCacheReused = "no-cache-reused",
        /// A caller's `max-stale` counts for the proof as well.
        MaxStaleWidensProof = "max-stale-widens-proof",
        /// A body is kept and given as it came.
        Unscrubbed = "unscrubbed",
        /// A part of the key is not forwarded.
        SelectNotForwarded = "select-not-forwarded",
        /// A request is known by its token alone.
        SpellingOfTokenAlone = "spelling-of-token-alone",
        /// A thread does not hear of purges and withdrawals.
        FrontMissesWithdrawals = "front-misses-withdrawals",
        /// Nothing is ever given from memory.
        NeverHits = "never-hits",
    }
}

thread_local! {
    static ON: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Switches a fault on for this thread, in place of the one before; `None` for none.
pub fn switch(fault: Option<Fault>) {
    ON.set(fault);
}

/// Whether this thread has this fault.
pub fn is_on(fault: Fault) -> bool {
    ON.get() == Some(fault)
}
