use std::sync::Mutex;
use std::time::SystemTime;

use super::*;
use crate::fake_graph::clock::NowFn;
use crate::fake_graph::forgery;
use crate::fake_graph::issuer::InvalidToken;

/// An issuer whose time is stepped by hand.
struct Entra {
    issuer: Arc<Issuer>,
    time: Arc<Mutex<SystemTime>>,
}

impl Entra {
    fn new() -> Self {
        let time = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)));
        let shown = Arc::clone(&time);
        let now: NowFn = Arc::new(move || *shown.lock().unwrap());
        Self { issuer: Arc::new(Issuer::new(now).unwrap()), time }
    }

    fn token(&self) -> TokenBuilder {
        TokenBuilder::new(Arc::clone(&self.issuer), "tenant")
    }

    fn step(&self, by: Duration) {
        *self.time.lock().unwrap() += by;
    }

    fn rejection(&self, token: &str) -> Option<InvalidToken> {
        self.issuer.verify(token).err()
    }
}

#[test]
fn a_minted_token_is_accepted() {
    let entra = Entra::new();
    assert_eq!(entra.rejection(&entra.token().mint()), None);
}

#[test]
fn a_token_is_as_long_as_real_ones() {
    let entra = Entra::new();
    let tenant = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
    for token in [entra.token().tenant(tenant).mint(), entra.token().tenant(tenant).app("daemon").mint()] {
        assert!((1500..=2048).contains(&token.len()), "{}", token.len());
    }
}

#[test]
fn a_token_expires_at_its_exp() {
    let entra = Entra::new();
    let token = entra.token().expires_in(Duration::from_mins(1)).mint();
    entra.step(Duration::from_secs(59));
    assert_eq!(entra.rejection(&token), None);
    entra.step(Duration::from_secs(1));
    assert_eq!(entra.rejection(&token), Some(InvalidToken::Expired));
}

#[test]
fn a_token_for_another_audience_is_refused() {
    let entra = Entra::new();
    let token = entra.token().claim("aud", "https://vault.azure.net").mint();
    assert_eq!(entra.rejection(&token), Some(InvalidToken::Audience));
}

#[test]
fn a_token_from_the_future_is_refused() {
    let entra = Entra::new();
    let token = entra.token().claim("nbf", 1_900_000_000).mint();
    assert_eq!(entra.rejection(&token), Some(InvalidToken::NotYetValid));
}

#[test]
fn no_invalid_token_is_accepted() {
    let entra = Entra::new();
    let token = entra.token().mint();
    let altered = forgery::altered(&token, "oid", "somebody-else");
    for bad in [forgery::forged(&token), forgery::stripped(&token), forgery::alg_none(&token), altered] {
        assert_eq!(entra.rejection(&bad), Some(InvalidToken::Signature), "{bad}");
    }
}

#[test]
fn only_a_minted_opaque_token_is_accepted() {
    let entra = Entra::new();
    assert_eq!(entra.rejection(&entra.token().mint_opaque()), None);
    assert_eq!(entra.rejection(&forgery::opaque()), Some(InvalidToken::Malformed));
}

#[test]
fn a_revoked_token_is_refused_and_another_token_of_the_user_is_not() {
    let entra = Entra::new();
    let (one, other) = (entra.token().mint(), entra.token().mint());
    entra.issuer.revoke(&one);
    assert!(matches!(entra.rejection(&one), Some(InvalidToken::Revoked(_))));
    assert_eq!(entra.rejection(&other), None);
}

#[test]
fn a_revoked_user_loses_every_token_and_may_sign_in_again_at_once() {
    let entra = Entra::new();
    let before = entra.token().mint();
    entra.issuer.revoke_object(&user_id("tenant", "ada"));
    assert_eq!(entra.rejection(&before), Some(InvalidToken::Revoked(1_800_000_000)));
    assert_eq!(entra.rejection(&entra.token().mint()), None);
}

#[test]
fn one_user_has_one_sub_through_every_app() {
    let entra = Entra::new();
    let sub = |token: TokenBuilder| token.without("oid").mint();
    let object = |token: &str| entra.issuer.verify(token).unwrap().object;
    assert_eq!(object(&sub(entra.token().via("portal"))), object(&sub(entra.token().via("mail"))));
}
