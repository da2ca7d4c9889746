//! Names to addresses, as the system resolves them, with a memory.
//!
//! The way to Graph has one name: Graph's own, or the proxy's. The system is asked for it one question at a time
//! and at most once a second, however many connections are wanted. When it knows no address, or takes too long, or
//! names only some that cannot be reached, the last one that could be is tried, for five minutes at the most.
//! That trusts nobody new: whoever is there must still show a certificate for the name.

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

/// Resolves as `R` does. Clones share a memory.
#[derive(Clone, Debug)]
pub(super) struct Resolver<R> {
    system: R,
    memory: Arc<LastGoodAddress>,
    /// How long an answer is waited for where there is an address to fall back on.
    patience: Duration,
}

/// The name did not resolve.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the name did not resolve")]
pub(super) struct Unresolved(#[source] Arc<io::Error>);

/// What is known of Graph's addresses.
#[derive(Debug, Default)]
pub(super) struct LastGoodAddress {
    asked: Mutex<Option<Asked>>,
    good: Mutex<Option<Good>>,
}

/// The last question to the system.
#[derive(Debug)]
struct Asked {
    at: Instant,
    answer: Hearing,
}

type Answer = Result<Vec<IpAddr>, Unresolved>;
type Hearing = watch::Receiver<Option<Answer>>;

/// The last address that was good for something.
#[derive(Debug)]
struct Good {
    address: IpAddr,
    /// When it last took a connection or brought an answer.
    at: Instant,
    /// Since when the system has not named it.
    unnamed_since: Option<Instant>,
    /// It is tried before what the system names: the last attempt the other way round failed.
    first: bool,
}

impl<R> Resolver<R> {
    /// With nothing in its memory. Half of `deadline` is left for a connection.
    pub(super) fn new(system: R, deadline: Duration) -> Self {
        Self { system, memory: Arc::default(), patience: deadline / 2 }
    }

    pub(super) fn memory(&self) -> &Arc<LastGoodAddress> {
        &self.memory
    }
}

/// What resolves names for the whole system.
pub(super) trait System: Service<Name, Error = io::Error> + Clone + Send + Sync + 'static {}

impl<R: Service<Name, Error = io::Error> + Clone + Send + Sync + 'static> System for R {}

impl<R> Service<Name> for Resolver<R>
where
    R: System<Response: Iterator<Item = SocketAddr>, Future: Send>,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.system.poll_ready(cx).map_err(unresolved)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut answer = self.memory.ask(|| {
            let asking = self.system.call(name);
            async move { asking.await.map(|found| found.map(|address| address.ip()).collect()) }
        });
        let (memory, patience) = (Arc::clone(&self.memory), self.patience);
        Box::pin(async move {
            let named = match timeout(patience, hear(&mut answer)).await {
                Ok(named) => named,
                Err(_) if memory.usable(&[]).is_some() => Ok(Vec::new()),
                Err(_) => hear(&mut answer).await,
            };
            let addresses = memory.in_order(named)?;
            let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}

impl LastGoodAddress {
    /// The system's answer: of the question that is under way, or was asked within the second, or of a new one.
    fn ask<F>(&self, system: impl FnOnce() -> F) -> Hearing
    where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let mut asked = lock(&self.asked);
        if let Some(last) = &*asked {
            // Without a sender and without an answer, whoever asked came to nothing.
            let under_way = last.answer.borrow().is_none() && last.answer.has_changed().is_ok();
            if under_way || last.at.elapsed() < SPACING {
                return last.answer.clone();
            }
        }
        let (tell, answer) = watch::channel(None);
        let asking = system();
        // In a task of its own: who hangs up does not leave a question behind that nobody counts.
        tokio::spawn(async move {
            let named = asking.await.and_then(|named| {
                if named.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(named) }
            });
            tell.send_replace(Some(named.map_err(unresolved)));
        });
        *asked = Some(Asked { at: Instant::now(), answer: answer.clone() });
        answer
    }

    /// A connection was made. From now on this is the address to fall back on.
    pub(super) fn reached(&self, address: IpAddr) {
        if !self.confirm(address) {
            let at = Instant::now();
            *lock(&self.good) = Some(Good { address, at, unnamed_since: None, first: false });
        }
    }

    /// A connection brought an answer. Returns whether its address is the one to fall back on.
    pub(super) fn confirm(&self, address: IpAddr) -> bool {
        let mut good = lock(&self.good);
        let known = good.as_mut().filter(|good| good.address == address);
        known.map(|good| good.at = Instant::now()).is_some()
    }

    /// No connection could be made: the next attempt is the other way round.
    pub(super) fn missed(&self) {
        if let Some(good) = &mut *lock(&self.good) {
            good.first = !good.first;
        }
    }

    /// The address to fall back on, and whether it comes first, where the system names others. To be called with
    /// what it named.
    fn usable(&self, named: &[IpAddr]) -> Option<(IpAddr, bool)> {
        let mut good = lock(&self.good);
        let good = good.as_mut()?;
        if named.contains(&good.address) {
            good.unnamed_since = None;
            return None;
        }
        let unnamed = good.unnamed_since.get_or_insert_with(Instant::now).elapsed();
        (unnamed.max(good.at.elapsed()) <= KEPT).then_some((good.address, good.first))
    }

    /// What is to be tried, in this order.
    fn in_order(&self, named: Answer) -> Answer {
        match (self.usable(named.as_deref().unwrap_or_default()), named) {
            (None, named) => named,
            (Some((good, true)), Ok(named)) => Ok([vec![good], named].concat()),
            (Some((good, false)), Ok(named)) => Ok([named, vec![good]].concat()),
            (Some((good, _)), Err(_)) => Ok(vec![good]),
        }
    }
}

async fn hear(answer: &mut Hearing) -> Answer {
    match answer.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(answer)) => answer.clone(),
        Ok(None) | Err(_) => Err(unresolved(io::Error::other("the question was given up"))),
    }
}

fn unresolved(error: io::Error) -> Unresolved {
    Unresolved(Arc::new(error))
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Between two questions to the system. Graph's names have times to live of a few seconds and more; one of zero
/// means no more than that an answer is not to be kept for long.
const SPACING: Duration = Duration::from_secs(1);
/// After that an address that the system does not name, or that was good for nothing since, is forgotten.
const KEPT: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests;
