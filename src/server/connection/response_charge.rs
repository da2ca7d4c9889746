//! Charge of one connection's unfinished responses to the byte budget of its peer's address.
//!
//! An HTTP/2 peer that opens streams and takes no response occupies the head, the stream and the task of each, a hundred
//! on each connection. A connection whose responses are written at once is never charged: a few responses may be
//! unfinished after each poll, because their streams run in tasks of their own, and these few are part of the cost of a
//! connection.

use std::net::IpAddr;

use crate::support::byte_budget::{BudgetExhausted, ByteBudget, BytePermit, RESPONSE_BYTES};

/// The charge of one connection.
pub(in crate::server) struct ResponseCharge {
    budget: ByteBudget,
    owner: IpAddr,
    permit: Option<BytePermit>,
}

impl ResponseCharge {
    pub(in crate::server) fn new(budget: ByteBudget, owner: IpAddr) -> Self {
        Self { budget, owner, permit: None }
    }

    /// Charges `unfinished` responses in place of those of the last call.
    pub(in crate::server) fn update(&mut self, unfinished: usize) -> Result<(), BudgetExhausted> {
        if unfinished > FREE_RESPONSES || self.permit.is_some() { self.resize(unfinished) } else { Ok(()) }
    }

    fn resize(&mut self, unfinished: usize) -> Result<(), BudgetExhausted> {
        let Some(charged) = unfinished.checked_sub(FREE_RESPONSES).filter(|charged| *charged > 0) else {
            self.permit = None;
            return Ok(());
        };
        let bytes = charged.saturating_mul(RESPONSE_BYTES);
        match &mut self.permit {
            Some(permit) => permit.resize(bytes),
            None => self.budget.acquire(self.owner, bytes).map(|permit| self.permit = Some(permit)),
        }
    }
}

/// Unfinished responses of a connection that are not charged.
pub(in crate::server) const FREE_RESPONSES: usize = 4;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn responses_beyond_the_free_ones_are_charged_until_they_are_written() {
        let budget = ByteBudget::new(RESPONSE_BYTES * 20);
        let mut charge = ResponseCharge::new(budget.clone(), Ipv4Addr::LOCALHOST.into());
        let mut used = |unfinished: usize| {
            let result = charge.update(FREE_RESPONSES + unfinished);
            (result, budget.used() / RESPONSE_BYTES)
        };
        assert_eq!(used(0), (Ok(()), 0));
        assert_eq!(used(7), (Ok(()), 7));
        assert_eq!(used(11), (Err(BudgetExhausted), 7));
        assert_eq!(used(2), (Ok(()), 2));
        assert_eq!(used(0), (Ok(()), 0));
    }
}
