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
