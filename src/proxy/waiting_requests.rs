//! Limits for requests that wait for Graph: in count and bytes, in total, by client subnet and by token.
//!
//! A request that is no hit waits: for a paced turn, a permit, Graph, or another request's fetch. Each
//! waiting request holds its header fields and some state. A subnet, and a token within a subnet, may use at most twice
//! what is free beside it (see [`crate::upstream::fair_queue`]), so one client cannot use up the limits of all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::auth::TokenHash;
use crate::cache::key::KeyHasher;
use crate::support::client_subnet::ClientSubnet;

/// Configuration of the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.waiting_requests`: requests that wait at one time.
    pub requests: usize,
    /// `limits.waiting_bytes`: memory of these requests, bytes.
    pub bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { requests: 8_192, bytes: 64 << 20 }
    }
}

/// Accounts of all waiting requests. Clones share them.
#[derive(Clone, Debug)]
pub struct WaitingRequests(Arc<Mutex<Accounts>>);

#[derive(Debug)]
struct Accounts {
    limit: Usage,
    total: Usage,
    subnets: HashMap<ClientSubnet, Subnet>,
}

#[derive(Debug, Default)]
struct Subnet {
    used: Usage,
    tokens: HashMap<TokenHash, Usage, KeyHasher>,
}

/// Requests and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of requests.
    pub requests: usize,
    /// Bytes of memory.
    pub bytes: usize,
}

/// Right of one request to wait. A drop ends the wait in the accounts.
#[derive(Debug)]
pub struct WaitPermit {
    accounts: WaitingRequests,
    subnet: ClientSubnet,
    token: TokenHash,
    used: Usage,
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyWaiting;

impl WaitingRequests {
    /// Creates empty accounts.
    pub fn new(config: &Config) -> Self {
        let limit = Usage { requests: config.requests, bytes: config.bytes };
        Self(Arc::new(Mutex::new(Accounts { limit, total: Usage::default(), subnets: HashMap::new() })))
    }

    /// Accounts for one request that starts to wait, with the header fields that it keeps.
    ///
    /// # Errors
    /// [`TooManyWaiting`] if the request would exceed a limit of the process, of its subnet, or of its token.
    pub fn acquire(
        &self,
        peer: IpAddr,
        token: TokenHash,
        headers: &HeaderMap,
    ) -> Result<WaitPermit, TooManyWaiting> {
        let used = Usage { requests: 1, bytes: WAITING_REQUEST_BYTES + header_bytes(headers) };
        let subnet = ClientSubnet::of(peer);
        let mut accounts = self.lock();
        let Accounts { limit, total, subnets } = &mut *accounts;
        let free = limit.minus(*total);
        let known = subnets.entry(subnet);
        let (in_subnet, in_token) = match &known {
            Entry::Occupied(known) => (known.get().used, known.get().tokens.get(&token).copied()),
            Entry::Vacant(_) => (Usage::default(), None),
        };
        let in_token = in_token.unwrap_or_default();
        let subnet_free = free.doubled().minus(in_subnet);
        let fits =
            used.fits(free) && used.fits(subnet_free) && used.fits(subnet_free.doubled().minus(in_token));
        if !fits {
            return Err(TooManyWaiting);
        }
        *total = total.plus(used);
        let known = known.or_default();
        known.used = known.used.plus(used);
        let in_token = known.tokens.entry(token).or_default();
        *in_token = in_token.plus(used);
        drop(accounts);
        Ok(WaitPermit { accounts: self.clone(), subnet, token, used })
    }

    /// Returns what all waiting requests use.
    pub fn usage(&self) -> Usage {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitPermit {
    fn drop(&mut self) {
        let mut accounts = self.accounts.lock();
        accounts.total = accounts.total.minus(self.used);
        let Entry::Occupied(mut subnet) = accounts.subnets.entry(self.subnet) else { return };
        let known = subnet.get_mut();
        known.used = known.used.minus(self.used);
        if let Entry::Occupied(mut token) = known.tokens.entry(self.token) {
            let left = token.get().minus(self.used);
            if left.requests == 0 {
                token.remove();
            } else {
                token.insert(left);
            }
        }
        if known.used.requests == 0 {
            subnet.remove();
        }
    }
}

impl Usage {
    fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    fn doubled(self) -> Self {
        Self { requests: self.requests.saturating_mul(2), bytes: self.bytes.saturating_mul(2) }
    }

    fn fits(self, free: Self) -> bool {
        self.requests <= free.requests && self.bytes <= free.bytes
    }
}

/// Returns the memory of header fields in bytes: their text, and one slot of the map for each.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| HEADER_SLOT_BYTES + name.as_str().len() + value.len()).sum()
}

/// Memory of one waiting request beside its header fields, in bytes: futures, timers, and the stream of HTTP/2. Measured
/// with `make flood`.
pub const WAITING_REQUEST_BYTES: usize = 8 << 10;
/// Memory of one slot of a header map, in bytes.
const HEADER_SLOT_BYTES: usize = 104;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::{HeaderValue, header};

    use super::*;
    use crate::auth::{HashKeys, Identity};

    fn ip(host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))
    }

    fn token(number: usize, hash_keys: &HashKeys) -> TokenHash {
        let value = HeaderValue::try_from(format!("Bearer {number}")).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        Identity::from_headers(&headers, hash_keys).unwrap().token_hash
    }

    /// Acquires all permits that one token of one subnet may have.
    fn fill(waiting: &WaitingRequests, peer: IpAddr, token: TokenHash) -> Vec<WaitPermit> {
        std::iter::from_fn(|| waiting.acquire(peer, token, &HeaderMap::new()).ok()).collect()
    }

    #[test]
    fn one_token_and_one_subnet_leave_capacity_for_others() {
        let (waiting, hash_keys) =
            (WaitingRequests::new(&Config { requests: 700, bytes: 1 << 30 }), HashKeys::random().unwrap());
        let flood = fill(&waiting, ip(1), token(0, &hash_keys));
        assert_eq!(flood.len(), 400, "four sevenths");
        assert!(waiting.acquire(ip(1), token(1, &hash_keys), &HeaderMap::new()).is_ok());
        let subnet: Vec<_> =
            (1..1000).flat_map(|number| fill(&waiting, ip(1), token(number, &hash_keys))).collect();
        assert!((460..=467).contains(&(flood.len() + subnet.len())), "two thirds");
        assert!(waiting.acquire(ip(2), token(0, &hash_keys), &HeaderMap::new()).is_ok());
    }

    #[test]
    fn bytes_are_limited_as_well_as_requests() {
        let limit = Config { requests: 1_000_000, bytes: 1 << 20 };
        let (waiting, hash_keys) = (WaitingRequests::new(&limit), HashKeys::random().unwrap());
        let large =
            HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from("x".repeat(30 << 10)).unwrap())]);
        let held: Vec<_> =
            std::iter::from_fn(|| waiting.acquire(ip(1), token(0, &hash_keys), &large).ok()).collect();
        assert!((10..20).contains(&held.len()), "{}", held.len());
        assert!(waiting.usage().bytes <= 1 << 20);
    }

    #[test]
    fn requests_that_ended_leave_no_accounts() {
        let (waiting, hash_keys) = (WaitingRequests::new(&Config::default()), HashKeys::random().unwrap());
        drop(fill(&waiting, ip(1), token(0, &hash_keys)));
        assert_eq!(waiting.usage(), Usage::default());
        assert!(waiting.lock().subnets.is_empty());
    }
}
