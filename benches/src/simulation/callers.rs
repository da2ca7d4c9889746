//! Callers and their tokens.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::auth::{Claims, HashKeys, Identity};
use connector_cache::support::clock::Now;
use http::{HeaderMap, HeaderValue, header};

use super::stream::mix;
use super::{Scenario, millis};

/// A token, parsed once.
#[derive(Debug)]
pub struct CallerToken {
    /// Token and token hash.
    pub identity: Identity,
    /// Claims.
    pub claims: Claims,
    /// Header fields of each request.
    pub headers: HeaderMap,
}

/// All callers.
#[derive(Debug)]
pub struct Callers {
    current: Vec<Option<(u64, Arc<CallerToken>)>>,
    principals: usize,
    renewal_ms: u64,
    renewals_are_spread: bool,
}

impl Callers {
    /// Creates callers without tokens.
    pub fn new(scenario: &Scenario) -> Self {
        let Scenario { callers, principals, renewals_are_spread, .. } = *scenario;
        let renewal_ms = millis(scenario.token_renewal);
        Self { current: vec![None; callers], principals, renewal_ms, renewals_are_spread }
    }

    /// Returns how many tokens a caller has had at a time, and for how long it has the present one, milliseconds.
    pub fn generation(&self, caller: usize, at_ms: u64) -> (u64, u64) {
        let offset = if self.renewals_are_spread { mix(caller as u64) % self.renewal_ms } else { 0 };
        ((at_ms + offset) / self.renewal_ms, (at_ms + offset) % self.renewal_ms)
    }

    /// Returns the token of a caller.
    pub fn token(&mut self, caller: usize, at_ms: u64, keys: &HashKeys, now: Now) -> Arc<CallerToken> {
        let (generation, age_ms) = self.generation(caller, at_ms);
        if let Some((known, token)) = &self.current[caller]
            && *known == generation
        {
            return Arc::clone(token);
        }
        let exp = (now.unix_millis() - age_ms + self.renewal_ms) / 1000 + MARGIN_SECONDS;
        let principal = caller % self.principals;
        let token = Arc::new(parse(&mint((caller, generation), principal, exp), keys, now));
        self.current[caller] = Some((generation, Arc::clone(&token)));
        token
    }
}

fn mint((caller, generation): (usize, u64), principal: usize, exp: u64) -> String {
    let claims = format!(
        r#"{{"tid":"contoso","oid":"{principal}","appid":"portal","scp":"a b","exp":{exp},"uti":"{caller}-{generation}"}}"#
    );
    format!("Bearer e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
}

fn parse(authorization: &str, keys: &HashKeys, now: Now) -> CallerToken {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let Ok(value) = HeaderValue::from_str(authorization) else { unreachable!("base64 is a field value") };
    headers.insert(header::AUTHORIZATION, value);
    let Ok(identity) = Identity::from_headers(&headers, keys) else { unreachable!("the token has its form") };
    let Ok(claims) = identity.token.claims(keys, now) else { unreachable!("the claims can be read") };
    headers.remove(header::AUTHORIZATION);
    CallerToken { identity, claims, headers }
}

/// A caller takes a new token five minutes before the end of the old one, as MSAL does.
const MARGIN_SECONDS: u64 = 300;
