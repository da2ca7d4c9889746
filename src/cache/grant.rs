//! What the store knows of a token that Graph has said 200 to.
//!
//! Most tokens ask for a few resources. An application's may ask for a thousand, and each answer adds a proof: so
//! proofs are changed where they lie, looked through without a look at the resources themselves, and weighed as they
//! come and go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::freshness::Proof;
use crate::identity::Claims;
use crate::resource::Resource;
use crate::sabotage::sabotaged;

/// A token's claims, read once, and its proofs.
#[derive(Debug)]
pub struct Grant {
    /// What the token says.
    pub claims: Claims,
    proofs: Mutex<Proofs>,
}

#[derive(Debug, Default)]
struct Proofs {
    /// The newest last.
    list: VecDeque<Item>,
    /// Bytes of all of them.
    weight: usize,
}

#[derive(Debug)]
struct Item {
    resource: Arc<Resource>,
    proof: Proof,
    /// Of the resource. Two that differ may have one.
    digest: u32,
}

impl Grant {
    /// A token that nothing has been granted to yet.
    pub fn new(claims: &Claims) -> Self {
        Self { claims: *claims, proofs: Mutex::default() }
    }

    /// The proof for a resource, live or not.
    pub fn proof(&self, resource: &Resource) -> Option<Proof> {
        sabotaged!(ProofOfAnyResource, return self.proof_where(|_| true));
        sabotaged!(
            ProofWithoutExpand,
            return self.proof_where(|known| known.without_expand() == resource.without_expand())
        );
        let proofs = self.proofs();
        Some(proofs.list.get(proofs.find(resource, digest(resource))?)?.proof)
    }

    #[cfg(feature = "sabotage")]
    fn proof_where(&self, fits: impl Fn(&Resource) -> bool) -> Option<Proof> {
        self.proofs().list.iter().find(|item| fits(&item.resource)).map(|item| item.proof)
    }

    /// Adds a proof; of two for one resource the later stays. Past `most` the oldest goes.
    pub fn add(&self, resource: &Arc<Resource>, proof: Proof, most: usize) {
        let digest = digest(resource);
        let mut proofs = self.proofs();
        let earlier = proofs.find(resource, digest).and_then(|at| proofs.take(at)).map(|item| item.proof);
        while proofs.list.len() >= most.max(1) {
            proofs.take(0);
        }
        let proof = earlier.filter(|earlier| earlier.granted.is_after(proof.granted)).unwrap_or(proof);
        proofs.push(Item { resource: Arc::clone(resource), proof, digest });
    }

    /// Takes the proof for a resource away, if there is one. Returns whether others are left.
    pub fn remove(&self, resource: &Resource) -> bool {
        let mut proofs = self.proofs();
        if let Some(at) = proofs.find(resource, digest(resource)) {
            proofs.take(at);
        }
        !proofs.list.is_empty()
    }

    /// Whether there is a proof for a resource like that.
    pub fn has_any(&self, wanted: impl Fn(&Resource) -> bool) -> bool {
        self.proofs().list.iter().any(|item| wanted(&item.resource))
    }

    /// Bytes that it takes in memory, about. Resources are counted here too: their entry may be gone.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.proofs().weight
    }

    fn proofs(&self) -> MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proofs {
    fn find(&self, resource: &Resource, digest: u32) -> Option<usize> {
        self.list.iter().position(|item| item.digest == digest && *item.resource == *resource)
    }

    fn take(&mut self, at: usize) -> Option<Item> {
        let item = self.list.remove(at)?;
        self.weight -= item.weight();
        Some(item)
    }

    /// There are as many lists as the cache has room for, and most are short: room is made by an eighth at a time.
    fn push(&mut self, item: Item) {
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact((self.list.len() / 8).max(1));
        }
        self.weight += item.weight();
        self.list.push_back(item);
    }
}

impl Item {
    fn weight(&self) -> usize {
        self.resource.weight() + size_of::<Self>()
    }
}

/// Half of it is enough to pass nearly all others by, and keeps an item small.
fn digest(resource: &Resource) -> u32 {
    let [a, b, c, d, ..] = resource.digest().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::clock::{Clock, Now};
    use crate::identity::{Identity, Secrets};
    use crate::resource::ApiVersion;

    fn resource(flow: usize) -> Arc<Resource> {
        let path = format!("/beta/identity/b2xUserFlows/flow{flow}/apiConnectorConfiguration");
        Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
    }

    fn grant() -> (Grant, Now) {
        let (now, secrets) = (Clock::manual(SystemTime::now()).now(), Secrets::random().unwrap());
        let payload = format!(r#"{{"tid":"t","oid":"o","exp":{}}}"#, now.unix_seconds() + 3600);
        let token = format!("Bearer a.{}.c", URL_SAFE_NO_PAD.encode(payload));
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
        let claims = Identity::of(&headers, &secrets).unwrap().token.claims(&secrets, now).unwrap();
        (Grant::new(&claims), now)
    }

    #[test]
    fn of_two_proofs_for_one_resource_the_later_stays_whichever_came_first() {
        let (grant, now) = grant();
        let later = now.plus(Duration::from_secs(9));
        for granted in [now, later, now] {
            grant.add(&resource(1), Proof { granted }, 10);
        }
        assert_eq!(grant.proof(&resource(1)).map(|proof| proof.granted), Some(later));
        assert!(!grant.remove(&resource(1)), "there was one");
    }

    #[test]
    fn past_the_most_the_one_longest_unproven_goes() {
        let (grant, granted) = grant();
        for flow in [0, 1, 2, 0, 3] {
            grant.add(&resource(flow), Proof { granted }, 3);
        }
        let there = (0..4).filter(|flow| grant.proof(&resource(*flow)).is_some());
        assert_eq!(there.collect::<Vec<_>>(), [0, 2, 3]);
        grant.add(&resource(9), Proof { granted }, 0);
        assert!(
            grant.proof(&resource(9)).is_some() && grant.proof(&resource(3)).is_none(),
            "one may always be"
        );
    }

    #[test]
    fn what_it_weighs_is_what_is_there() {
        let (grant, granted) = grant();
        let empty = grant.weight();
        let fill = |flows: std::ops::Range<usize>| {
            flows.for_each(|flow| grant.add(&resource(flow), Proof { granted }, 100));
        };
        fill(0..100);
        let whole = grant.weight();
        assert!(whole >= empty + 100 * (size_of::<Resource>() + size_of::<Item>()), "{whole}");
        fill(0..100);
        assert_eq!(grant.weight(), whole, "the same again");
        (1..100).for_each(|flow| assert!(grant.remove(&resource(flow))));
        assert!(!grant.remove(&resource(0)));
        assert_eq!(grant.weight(), empty);
    }

    #[test]
    fn resources_with_one_digest_are_told_apart() {
        let (grant, granted) = grant();
        grant.add(&resource(1), Proof { granted }, 10);
        grant.proofs().list[0].digest = digest(&resource(2));
        assert!(grant.proof(&resource(2)).is_none());
        assert!(grant.has_any(|it| it.flow() == "flow1") && !grant.has_any(|it| it.flow() == "flow2"));
    }
}
