//! Decision about a request, from the parsers of the proxy.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, header};

use super::super::CommandError;
use super::comparison::Comparison;
use super::keys::RunKey;
use super::shorten::shorten;
use crate::auth::{Bypass, ClaimPart, EXP_MARGIN, HashKeys, Identity, TokenContents};
use crate::config::Config;
use crate::http::error::ErrorBody;
use crate::http::rejection::Rejection;
use crate::http::validate::{self, RequestView};
use crate::resource::{InvalidRequest, Resource};
use crate::support::clock::Now;
use crate::support::labels::Label;

/// Decision about a request, with its reasons.
pub(super) struct Explanation {
    pub(super) request: Result<CanonicalRequest, Refusal>,
    pub(super) token: Option<Result<TokenFacts, Refusal>>,
    pub(super) comparison: Option<Result<Comparison, Refusal>>,
    pub(super) limits: Limits,
}

/// Request to Graph that the resource stands for.
pub(super) struct CanonicalRequest {
    pub(super) target: String,
    pub(super) accept: String,
}

/// Refusal of a request, before any call to Graph.
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) status: u16,
    pub(super) message: String,
}

/// Facts about a token.
pub(super) struct TokenFacts {
    contents: Option<TokenContents>,
    /// Claims for the output: name, shortened values, digest.
    pub(super) shown: Vec<(&'static str, String, String)>,
    pub(super) bypass: Option<Bypass>,
    /// Whole minutes until `exp`; negative after it.
    pub(super) exp_in_minutes: Option<i64>,
    /// Time for which the token may still use the cache.
    pub(super) remaining: Duration,
    /// Digests of the keys, if the resource is known.
    pub(super) entry: Option<String>,
    pub(super) proof: Option<String>,
}

/// Limits in force.
pub(super) struct Limits {
    pub(super) ttl: Duration,
    pub(super) proof_ttl: Duration,
    pub(super) exp_margin: Duration,
    /// Time for which a response of now can be used without a further call to Graph.
    pub(super) usable: Option<Duration>,
}

impl Explanation {
    pub(super) fn new(
        config: &Config,
        head: &Parts,
        (token, other): (Option<HeaderValue>, Option<HeaderValue>),
        now: Now,
    ) -> Result<Self, CommandError> {
        let hash_keys = HashKeys::random().map_err(|error| CommandError::Failure(error.to_string()))?;
        let run_key = RunKey::random()?;
        let resource = check(config, head);
        let facts = |token| facts(token, resource.as_ref().ok(), (&hash_keys, &run_key), now);
        let (token, other) = (token.map(facts), other.map(facts));
        let comparison = match (&token, other) {
            (Some(Ok(token)), Some(Ok(other))) => Some(Ok(Comparison::new(token, &other))),
            (_, Some(Err(refusal))) => Some(Err(refusal)),
            _ => None,
        };
        let remaining = match &token {
            Some(Ok(token)) => Some(token.remaining).filter(|_| token.is_cacheable()),
            _ => None,
        };
        let rules = &config.freshness;
        let limits = Limits {
            ttl: rules.ttl,
            proof_ttl: rules.proof_ttl,
            exp_margin: EXP_MARGIN,
            usable: remaining.map(|remaining| remaining.min(rules.ttl).min(rules.proof_ttl)),
        };
        let request = resource.map(|resource| CanonicalRequest {
            target: resource.target(),
            accept: String::from_utf8_lossy(resource.accept().as_bytes()).into_owned(),
        });
        Ok(Self { request, token, comparison, limits })
    }

    /// Returns whether the request is accepted, and its token, if there is one, may use the cache.
    pub(super) fn is_good(&self) -> bool {
        let is_token_good =
            |token: &Result<TokenFacts, _>| token.as_ref().is_ok_and(TokenFacts::is_cacheable);
        self.request.is_ok() && self.token.as_ref().is_none_or(is_token_good)
    }
}

impl TokenFacts {
    pub(super) fn is_cacheable(&self) -> bool {
        self.bypass.is_none()
    }

    /// Returns the digest of the values of a claim, if the token has the claim.
    pub(super) fn digest(&self, name: &str) -> Option<String> {
        let found = self.shown.iter().find(|(known, _, _)| *known == name);
        found.map(|(_, _, digest)| digest.clone())
    }

    pub(super) fn parts(&self) -> &[ClaimPart] {
        self.contents.as_ref().map_or(&[], |contents| &contents.parts)
    }
}

impl Refusal {
    fn new(reason: Rejection, error: &ErrorBody) -> Self {
        let (status, message) = (error.status.as_u16(), error.message.clone().into_owned());
        Self { reason: reason.as_str(), status, message }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection, &rejection.error())
    }
}

impl From<InvalidRequest> for Refusal {
    fn from(invalid: InvalidRequest) -> Self {
        Self::new(invalid.rejection(), &invalid.error())
    }
}

/// Checks the request as the proxy does.
fn check(config: &Config, head: &Parts) -> Result<Resource, Refusal> {
    let limits = config.runtime(config, usize::MAX).message_limits;
    validate::check(&RequestView::new(head), false, &limits)?;
    Ok(Resource::parse(head.uri.path(), head.uri.query(), &head.headers, config.default_version)?)
}

fn facts(
    token: HeaderValue,
    resource: Option<&Resource>,
    (hash_keys, run_key): (&HashKeys, &RunKey),
    now: Now,
) -> Result<TokenFacts, Refusal> {
    let headers = http::HeaderMap::from_iter([(header::AUTHORIZATION, token)]);
    let identity = Identity::from_headers(&headers, hash_keys)?;
    let (contents, claims) = (identity.token.contents(), identity.token.claims(hash_keys, now));
    let shown = contents.iter().flat_map(|contents| &contents.parts).map(|part| {
        let digest = part.values.as_ref().map(|values| run_key.claim(part.name, values));
        (part.name, shorten(part), digest.unwrap_or_default())
    });
    let shown = shown.collect();
    let entry = match (&claims, resource) {
        (Ok(claims), Some(resource)) => Some(run_key.entry(claims.principal, resource)),
        _ => None,
    };
    let proof = resource.filter(|_| claims.is_ok()).map(|resource| run_key.proof(&identity.token, resource));
    let exp = contents.as_ref().and_then(|contents| i64::try_from(contents.exp?).ok());
    let seconds = i64::try_from(now.unix_seconds()).unwrap_or(i64::MAX);
    let remaining = claims.map(|claims| claims.expiry.remaining(now));
    Ok(TokenFacts {
        contents,
        shown,
        bypass: remaining.err(),
        exp_in_minutes: exp.map(|exp| exp.saturating_sub(seconds) / 60),
        remaining: remaining.unwrap_or_default(),
        entry,
        proof,
    })
}
