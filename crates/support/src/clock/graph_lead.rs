//! Lead of Graph's clock over the clock of this machine, agreed by several responses.
//!
//! Tokens expire by Graph's clock. If this machine's clock is late, a token would be used after its expiry, for at most the
//! time of a proof. The `Date` of one response is weak evidence: Graph has many servers, and a single odd clock must not end
//! the use of all tokens. So a lead counts only if all of the last eight responses but one agree to at least that lead, and
//! a single response can neither raise nor lower it. One connection may lead to one server with an odd clock, which then
//! sends all responses; the lead is therefore limited, too.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Leads of the last responses, milliseconds, and the lead that they agree on.
#[derive(Debug, Default)]
pub(super) struct GraphLead {
    recent_ms: [AtomicU32; RESPONSES],
    next: AtomicUsize,
    agreed_ms: AtomicU32,
}

impl GraphLead {
    /// Records the lead in the `Date` of one response; zero if Graph's clock is behind.
    pub(super) fn record(&self, lead: Duration) {
        let lead = lead.min(MAX_LEAD).as_millis();
        let slot = self.next.fetch_add(1, Relaxed) % RESPONSES;
        if let Some(slot) = self.recent_ms.get(slot) {
            slot.store(u32::try_from(lead).unwrap_or(u32::MAX), Relaxed);
        }
        let mut recent = self.recent_ms.each_ref().map(|lead| lead.load(Relaxed));
        recent.sort_unstable();
        let [_, second, ..] = recent;
        self.agreed_ms.store(second, Relaxed);
    }

    /// Returns the lead that the last responses agree on, milliseconds.
    #[inline]
    pub(super) fn agreed_ms(&self) -> u32 {
        self.agreed_ms.load(Relaxed)
    }
}

/// Responses that are compared. All but one must agree.
const RESPONSES: usize = 8;
/// Limit on the lead. A token of an hour then loses a sixth of its use at most, if every response has an odd `Date`. A machine
/// whose clock is later than this has no valid TLS certificates soon.
const MAX_LEAD: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(leads: impl IntoIterator<Item = u64>) -> u64 {
        let lead = GraphLead::default();
        leads.into_iter().for_each(|seconds| lead.record(Duration::from_secs(seconds)));
        u64::from(lead.agreed_ms()) / 1000
    }

    #[test]
    fn b4_one_response_neither_raises_nor_lowers_the_lead() {
        assert_eq!(agreed([3600]), 0, "the first response");
        assert_eq!(agreed([0, 0, 0, 0, 0, 0, 0, 0, 3600]), 0);
        assert_eq!(agreed([300; 9]), 300);
        assert_eq!(agreed([300, 300, 300, 300, 300, 300, 300, 300, 0]), 300);
        assert_eq!(agreed([300, 300, 300, 300, 300, 300, 300, 300, 3600]), 300);
    }

    #[test]
    fn b4_a_server_with_an_odd_clock_among_others_changes_nothing() {
        assert_eq!(agreed((0..100).map(|number| if number % 3 == 0 { 0 } else { 3600 })), 0);
    }

    #[test]
    fn b4_a_lead_in_all_responses_is_limited() {
        assert_eq!(agreed([3600; 8]), 600);
    }

    #[test]
    fn the_last_responses_count() {
        assert_eq!(agreed([300; 8].into_iter().chain([0; 2])), 0, "this machine's clock was corrected");
        assert_eq!(agreed([0; 8].into_iter().chain([300; 6])), 0);
        assert_eq!(agreed([0; 8].into_iter().chain([300; 7])), 300);
    }
}
