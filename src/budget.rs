//! What requests without a proof may spend.
//!
//! A token that Graph has not said 200 to yet costs a question to Graph, and anybody can make up tokens. A
//! flood of them must spend neither the quota that Graph gives the application they name nor the places of
//! callers that have proofs. So the unproven wait for a place of their own, few at a time, and what counts
//! against an address is only that Graph said 401: an honest caller's first request costs nothing, however
//! many start cold behind one address. Claims play no part; nothing here knows a token.

mod allowance;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use self::allowance::{Allowance, Place, Spent};
use crate::clock::{Clock, Now};
use crate::error::Rejection;
use crate::network::network;
use crate::origin;

/// What the budget needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.unproven_requests`: questions of the unproven under way at one time; more wait.
    pub in_flight: usize,
    /// `limits.unproven_per_address`: of one client address at one time, and never more than it may fail.
    pub in_flight_per_address: usize,
    /// `limits.unproven_failures`: 401s in a minute, of all addresses together.
    pub failures: usize,
    /// `limits.unproven_failures_per_address`: 401s in a minute for one address.
    pub failures_per_address: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { in_flight: 128, in_flight_per_address: 64, failures: 300, failures_per_address: 60 }
    }
}

/// The purse of the unproven.
#[derive(Debug)]
pub struct Budget {
    places: Arc<Semaphore>,
    /// How many there are.
    most: usize,
    /// Of all addresses. Only those that failed lately have to enter it.
    all: Arc<Allowance>,
    addresses: Cache<IpAddr, Arc<Allowance>>,
    config: Config,
    wait: Duration,
    clock: Clock,
}

/// A place to ask from. Dropping it gives the place back.
#[derive(Debug)]
pub struct Pass<'a> {
    budget: &'a Budget,
    address: Arc<Allowance>,
    _places: (Place, Option<Place>, OwnedSemaphorePermit),
}

impl Budget {
    /// A full purse. A request waits for a place as long as it would for Graph, and a quarter of the places at
    /// Graph is always left to those who have proofs.
    pub fn new(config: &Config, origin: &origin::Config, clock: Clock) -> Self {
        let most = config.in_flight.min(origin.in_flight - origin.in_flight / 4);
        Self {
            places: Arc::new(Semaphore::new(most)),
            most,
            all: Arc::new(Allowance::new(most, config.failures)),
            addresses: Cache::builder().max_capacity(ADDRESSES).time_to_idle(FORGOTTEN_AFTER).build(),
            config: config.clone(),
            wait: origin.timeout / 2,
            clock,
        }
    }

    /// Places that are taken, of how many.
    pub fn places(&self) -> (usize, usize) {
        (self.most.saturating_sub(self.places.available_permits()), self.most)
    }

    /// Waits for a place. Refuses an address that has spent what it may: before the wait, in it, and after it, so
    /// that whoever queued while the address was found out does not ask either.
    pub async fn enter(&self, peer: IpAddr) -> Result<Pass<'_>, Rejection> {
        let address = self.addresses.get_with(network(peer), || {
            let config = &self.config;
            Arc::new(Allowance::new(config.in_flight_per_address, config.failures_per_address))
        });
        self.check(&address)?;
        let places = timeout(self.wait, self.seat(&address)).await.map_err(|_| Rejection::Overloaded)??;
        self.check(&address)?;
        Ok(Pass { budget: self, address, _places: places })
    }

    async fn seat(
        &self,
        address: &Arc<Allowance>,
    ) -> Result<(Place, Option<Place>, OwnedSemaphorePermit), Rejection> {
        let spent = |Spent| Rejection::UnprovenBudget;
        let own = address.enter(&self.clock).await.map_err(spent)?;
        let suspect = address.any(self.clock.now());
        let shared = if suspect { Some(self.all.enter(&self.clock).await.map_err(spent)?) } else { None };
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Rejection::Overloaded)?;
        Ok((own, shared, place))
    }

    /// An address may go on while it has something left. When all have spent too much together, those that
    /// did nothing wrong lately may still go on.
    fn check(&self, address: &Allowance) -> Result<(), Rejection> {
        let now = self.clock.now();
        let spent = address.exhausted(now) || (self.all.exhausted(now) && address.any(now));
        if spent { Err(Rejection::UnprovenBudget) } else { Ok(()) }
    }
}

impl Pass<'_> {
    /// Graph said 401.
    pub fn failed(&self, now: Now) {
        self.address.count(now);
        self.budget.all.count(now);
    }
}

/// Addresses that are remembered. Past that the one longest unseen starts anew.
const ADDRESSES: u64 = 100_000;
/// After so long without a request an address has nothing to answer for.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests;
