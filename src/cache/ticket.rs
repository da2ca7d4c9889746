//! Which questions under way may still be answered into the cache.
//!
//! A question takes a ticket before it leaves. Whatever makes its answer worthless while it is away voids the
//! ticket: a purge, or a "no" of Graph's to the same token. Who asks after that gets a new ticket, and so does
//! not wait for the old question either. Tickets are a token's own: no other token can void them (promise 3).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::identity::Fingerprint;
use crate::resource::Resource;

/// The tickets of all questions under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    issued: u64,
    marks: HashMap<Fingerprint, Vec<Arc<Mark>>>,
}

/// What all tickets share that one token holds for one resource at one time.
#[derive(Debug)]
struct Mark {
    number: u64,
    resource: Arc<Resource>,
    void: AtomicBool,
}

/// A question's right to have its answer kept. It ends when it is dropped.
#[derive(Debug)]
pub struct Ticket {
    tickets: Tickets,
    fingerprint: Fingerprint,
    mark: Arc<Mark>,
}

impl Tickets {
    /// A ticket for a question that is about to leave.
    pub fn take(&self, fingerprint: Fingerprint, resource: &Arc<Resource>) -> Ticket {
        let mut table = self.table();
        table.issued += 1;
        let number = table.issued;
        let own = table.marks.entry(fingerprint).or_default();
        let known = own.iter().find(|mark| mark.resource == *resource).cloned();
        let mark = known.unwrap_or_else(|| {
            let mark = Mark { number, resource: Arc::clone(resource), void: AtomicBool::new(false) };
            let mark = Arc::new(mark);
            own.push(Arc::clone(&mark));
            mark
        });
        drop(table);
        Ticket { tickets: self.clone(), fingerprint, mark }
    }

    /// Voids what a token holds: for one resource, or for all.
    pub fn void(&self, fingerprint: &Fingerprint, resource: Option<&Resource>) {
        let mut table = self.table();
        let Some(own) = table.marks.get_mut(fingerprint) else { return };
        own.retain(|mark| {
            let hit = resource.is_none_or(|resource| *mark.resource == *resource);
            mark.void.fetch_or(hit, SeqCst);
            !hit
        });
        if own.is_empty() {
            table.marks.remove(fingerprint);
        }
    }

    /// Voids everything.
    pub fn void_all(&self) {
        for mark in self.table().marks.drain().flat_map(|(_, own)| own) {
            mark.void.store(true, SeqCst);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Whether the answer may be kept.
    pub fn is_good(&self) -> bool {
        !self.mark.void.load(SeqCst)
    }

    /// Equal for the tickets that one token holds for one resource, until they are voided or all dropped.
    pub fn number(&self) -> u64 {
        self.mark.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.tickets.table();
        // The table's own and this one: nobody else holds it, and nobody can take it meanwhile.
        if Arc::strong_count(&self.mark) > 2 {
            return;
        }
        let Some(own) = table.marks.get_mut(&self.fingerprint) else { return };
        own.retain(|mark| !Arc::ptr_eq(mark, &self.mark));
        if own.is_empty() {
            table.marks.remove(&self.fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::identity::{Identity, Secrets};
    use crate::resource::ApiVersion;

    fn token(name: &str, secrets: &Secrets) -> Fingerprint {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {name}")).unwrap());
        Identity::of(&headers, secrets).unwrap().fingerprint
    }

    fn resource(flow: &str) -> Arc<Resource> {
        let path = format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration");
        Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
    }

    #[test]
    fn a_no_to_a_token_voids_its_own_tickets_alone() {
        let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
        let (a, b) = (token("a", &secrets), token("b", &secrets));
        let (own, other) = (tickets.take(a, &resource("x")), tickets.take(b, &resource("x")));
        tickets.void(&a, None);
        assert!(!own.is_good());
        assert!(other.is_good());
    }

    #[test]
    fn a_no_for_a_resource_leaves_the_tokens_other_tickets() {
        let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
        let a = token("a", &secrets);
        let (x, y) = (tickets.take(a, &resource("x")), tickets.take(a, &resource("y")));
        tickets.void(&a, Some(&resource("x")));
        assert!(!x.is_good());
        assert!(y.is_good());
    }

    #[test]
    fn who_asks_after_a_purge_has_another_number() {
        let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
        let a = token("a", &secrets);
        let (first, second) = (tickets.take(a, &resource("x")), tickets.take(a, &resource("x")));
        assert_eq!(first.number(), second.number());
        tickets.void_all();
        let third = tickets.take(a, &resource("x"));
        assert!(!first.is_good() && !second.is_good() && third.is_good());
        assert_ne!(first.number(), third.number());
    }

    #[test]
    fn a_ticket_that_ends_takes_no_other_out_of_reach_of_a_no() {
        let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
        let a = token("a", &secrets);
        let (first, twin) = (tickets.take(a, &resource("x")), tickets.take(a, &resource("x")));
        let (ended, other) = (tickets.take(a, &resource("y")), tickets.take(a, &resource("z")));
        drop((first, ended));
        tickets.void(&a, None);
        assert!(!twin.is_good() && !other.is_good());
    }

    #[test]
    fn a_no_reaches_a_ticket_though_another_resource_was_refused_before() {
        let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
        let a = token("a", &secrets);
        let (_x, y) = (tickets.take(a, &resource("x")), tickets.take(a, &resource("y")));
        tickets.void(&a, Some(&resource("x")));
        tickets.void(&a, None);
        assert!(!y.is_good());
    }

    #[test]
    fn nothing_is_left_of_tickets_that_were_dropped() {
        let (tickets, secrets) = (Tickets::default(), Secrets::random().unwrap());
        let a = token("a", &secrets);
        let (first, second) = (tickets.take(a, &resource("x")), tickets.take(a, &resource("y")));
        drop(first);
        assert_eq!(tickets.table().marks.len(), 1);
        drop(second);
        assert!(tickets.table().marks.is_empty());
    }
}
