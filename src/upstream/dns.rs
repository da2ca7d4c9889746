//! Name resolution by the platform's resolver, with the last good address as fallback.
//!
//! A client resolves one name: Graph's, or the proxy's. All connections share one lookup at a time, and at most one a
//! second. If a lookup fails, returns no address, takes too long, or returns only addresses that cannot be reached, the
//! last good address is tried, for [`LAST_GOOD_ADDRESS_TTL`](address_history) at most. The fallback extends no trust: the
//! peer must still present a certificate for the name.

mod address_history;

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tower_service::Service;

pub(super) use self::address_history::AddressHistory;

/// Resolver of one name. Clones share the lookup and the history of the addresses.
#[derive(Clone, Debug)]
pub(super) struct Resolver<R> {
    system: R,
    lookup: Arc<SharedLookup>,
    address_history: Arc<AddressHistory>,
    /// Time after which a fallback address is preferred to a lookup that still runs.
    fallback_delay: Duration,
}

/// Error of a lookup.
#[derive(Clone, Debug, thiserror::Error)]
#[error("name resolution failed")]
pub(super) struct ResolveError(#[source] Arc<io::Error>);

impl From<io::Error> for ResolveError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Addresses of a name.
type LookupResult = Result<Vec<IpAddr>, ResolveError>;

impl<R> Resolver<R> {
    /// Creates a resolver without a history. Half of `connect_timeout` remains for the connection itself.
    pub(super) fn new(system: R, connect_timeout: Duration) -> Self {
        let (lookup, address_history) = Default::default();
        Self { system, lookup, address_history, fallback_delay: connect_timeout / 2 }
    }

    /// Returns the history that connections and responses update.
    pub(super) fn address_history(&self) -> &Arc<AddressHistory> {
        &self.address_history
    }
}

/// Resolver of the platform.
pub(super) trait SystemResolver:
    Service<Name, Error = io::Error> + Clone + Send + Sync + 'static
{
}

impl<R: Service<Name, Error = io::Error> + Clone + Send + Sync + 'static> SystemResolver for R {}

impl<R> Resolver<R>
where
    R: SystemResolver<Response: Iterator<Item = SocketAddr>, Future: Send>,
{
    /// Returns the addresses of a name in the order in which they are tried.
    pub(super) async fn resolve(&mut self, name: Name) -> LookupResult {
        poll_fn(|cx| self.system.poll_ready(cx)).await?;
        let mut receiver = self.lookup.join_or_start(|| {
            let lookup = self.system.call(name);
            async move { lookup.await.map(|found| found.map(|address| address.ip()).collect()) }
        });
        let result = match timeout(self.fallback_delay, wait_for_result(&mut receiver)).await {
            Ok(result) => result,
            Err(_) if self.address_history.has_fallback() => Ok(Vec::new()),
            Err(_) => wait_for_result(&mut receiver).await,
        };
        self.address_history.addresses_to_try(result)
    }
}

/// Last lookup, shared by all connections.
#[derive(Debug, Default)]
struct SharedLookup(Mutex<Option<Lookup>>);

#[derive(Debug)]
struct Lookup {
    started: Instant,
    result: LookupReceiver,
}

type LookupReceiver = watch::Receiver<Option<LookupResult>>;

impl SharedLookup {
    /// Returns the lookup that is running or was started less than [`MIN_LOOKUP_INTERVAL`] ago, or starts a new one.
    fn join_or_start<F>(&self, system: impl FnOnce() -> F) -> LookupReceiver
    where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let mut last = lock(&self.0);
        if let Some(last) = &*last {
            // A lookup without sender and without result was cancelled.
            let is_running = last.result.borrow().is_none() && last.result.has_changed().is_ok();
            if is_running || last.started.elapsed() < MIN_LOOKUP_INTERVAL {
                return last.result.clone();
            }
        }
        let (sender, result) = watch::channel(None);
        let lookup = system();
        // A task of its own: a caller that disconnects leaves no lookup behind that does not count as running.
        tokio::spawn(async move {
            let found = lookup.await.and_then(|found| {
                if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
            });
            sender.send_replace(Some(found.map_err(ResolveError::from)));
        });
        *last = Some(Lookup { started: Instant::now(), result: result.clone() });
        result
    }
}

async fn wait_for_result(receiver: &mut LookupReceiver) -> LookupResult {
    match receiver.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(result)) => result.clone(),
        Ok(None) | Err(_) => Err(io::Error::other("the lookup was cancelled").into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time between the starts of two lookups. The records of Graph's names live for some seconds or more; a TTL of zero means
/// only that the result must not be stored for long.
const MIN_LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
