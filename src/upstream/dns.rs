//! Name resolution by the platform's resolver, with the last good address as fallback.
//!
//! A client resolves one name: Graph's, or the proxy's. All connections share one lookup at a time, and at most one a
//! second. If a lookup fails, returns no address, takes too long, or returns only addresses that cannot be reached, the
//! last good address is tried, for [`LAST_GOOD_ADDRESS_TTL`](last_good_address) at most. The fallback extends no trust: the
//! peer must still present a certificate for the name.

mod last_good_address;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tower_service::Service;

pub(super) use self::last_good_address::LastGoodAddress;

/// Resolver of one name. Clones share the lookup and the last good address.
#[derive(Clone, Debug)]
pub(super) struct Resolver<R> {
    system: R,
    lookup: Arc<SharedLookup>,
    last_good_address: Arc<LastGoodAddress>,
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
    /// Creates a resolver without a last good address. Half of `connect_timeout` remains for the connection itself.
    pub(super) fn new(system: R, connect_timeout: Duration) -> Self {
        let (lookup, last_good_address) = Default::default();
        Self { system, lookup, last_good_address, fallback_delay: connect_timeout / 2 }
    }

    /// Returns the address that connections and responses confirm.
    pub(super) fn last_good_address(&self) -> &Arc<LastGoodAddress> {
        &self.last_good_address
    }
}

/// Resolver of the platform.
pub(super) trait SystemResolver:
    Service<Name, Error = io::Error> + Clone + Send + Sync + 'static
{
}

impl<R: Service<Name, Error = io::Error> + Clone + Send + Sync + 'static> SystemResolver for R {}

impl<R> Service<Name> for Resolver<R>
where
    R: SystemResolver<Response: Iterator<Item = SocketAddr>, Future: Send>,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        self.system.poll_ready(cx).map_err(ResolveError::from)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut receiver = self.lookup.join_or_start(|| {
            let lookup = self.system.call(name);
            async move { lookup.await.map(|found| found.map(|address| address.ip()).collect()) }
        });
        let (last_good_address, fallback_delay) = (Arc::clone(&self.last_good_address), self.fallback_delay);
        Box::pin(async move {
            let result = match timeout(fallback_delay, wait_for_result(&mut receiver)).await {
                Ok(result) => result,
                Err(_) if last_good_address.has_fallback() => Ok(Vec::new()),
                Err(_) => wait_for_result(&mut receiver).await,
            };
            let addresses = last_good_address.addresses_to_try(result)?;
            let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(addresses.into_iter())
        })
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
