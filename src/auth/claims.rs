//! Claims of a token, unverified.
//!
//! Claims that cannot be read without doubt are not read at all: the token is then forwarded and never cached. The names
//! are those of Entra's access tokens; `exp` and `nbf` are defined by RFC 7519, `cnf` by RFC 7800.

mod contents;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use uuid::Uuid;

use super::hash::prefix;
use super::{ClaimHash, ClaimKind, Principal, TokenExpiry};
use crate::auth::Bypass;
use crate::support::clock::Now;

pub use self::contents::{ClaimPart, TokenContents};

/// Hashed claims of a token. Clones share the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The group whose entries the token may use once it has a proof of its own.
    pub principal: Principal,
    /// Tenant and subjects. The token's entries share them.
    pub names: Arc<CallerNames>,
    /// Hash of the application in its tenant: the scope in which Graph throttles.
    pub application: ClaimHash,
    /// Expiry of the token.
    pub expiry: TokenExpiry,
}

/// Names by which a purge selects entries and tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerNames {
    /// Hash of the tenant.
    pub tenant: ClaimHash,
    /// Hashes of `oid` and `sub`. Both are equal if the token has only one of the two.
    pub subjects: [ClaimHash; 2],
}

/// Claims as the token carries them. A duplicate claim makes the whole set unreadable, because parsers differ on which of
/// the two they use.
#[derive(Deserialize)]
struct RawClaims<'a> {
    #[serde(borrow)]
    tid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    oid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sub: Option<Cow<'a, str>>,
    #[serde(borrow)]
    appid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    azp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    idtyp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    roles: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    wids: Option<Vec<Cow<'a, str>>>,
    #[serde(default, deserialize_with = "numeric_date")]
    exp: NumericDate,
    #[serde(default, deserialize_with = "numeric_date")]
    nbf: NumericDate,
    #[serde(default, deserialize_with = "is_present")]
    cnf: bool,
}

/// A `NumericDate` (RFC 7519, section 2). Only whole seconds are accepted.
#[derive(Default, Clone, Copy)]
enum NumericDate {
    #[default]
    Absent,
    Invalid,
    Seconds(u64),
}

/// Parses the payload of a token. Fails with the reason why the token may not use the cache.
pub(super) fn parse(json: &[u8], key: &hmac::Key, now: Now) -> Result<Claims, Bypass> {
    // Serde also accepts an array of the fields' values; RFC 7519, section 4 requires an object.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Bypass::Unreadable);
    }
    let raw: RawClaims<'_> = serde_json::from_slice(json).map_err(|_| Bypass::Unreadable)?;
    if raw.cnf {
        return Err(Bypass::Bound);
    }
    let NumericDate::Seconds(exp) = raw.exp else { return Err(Bypass::ExpUnusable) };
    let seconds = now.token_millis() / 1000;
    if exp > seconds.saturating_add(MAX_TOKEN_LIFETIME.as_secs()) {
        return Err(Bypass::ExpUnusable);
    }
    match raw.nbf {
        NumericDate::Absent => {}
        NumericDate::Seconds(nbf) if nbf <= seconds => {}
        NumericDate::Seconds(_) | NumericDate::Invalid => return Err(Bypass::NotYetValid),
    }
    // An empty claim is not a name: all tokens without one would share it.
    let non_empty =
        |claim: &Option<Cow<'_, str>>| claim.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let tenant = non_empty(&raw.tid).ok_or(Bypass::Incomplete)?;
    let (oid, sub) = (non_empty(&raw.oid), non_empty(&raw.sub));
    let subject = oid.as_ref().or(sub.as_ref()).ok_or(Bypass::Incomplete)?;
    let subjects = [subject, sub.as_ref().unwrap_or(subject)];
    let claims = Claims {
        principal: principal(&raw, key),
        names: Arc::new(CallerNames {
            tenant: hash_claim(key, ClaimKind::Tenant, &tenant),
            subjects: subjects.map(|subject| hash_claim(key, ClaimKind::Subject, subject)),
        }),
        application: hash_claim(key, ClaimKind::Application, &application(&tenant, &raw)),
        expiry: TokenExpiry::from_exp(exp),
    };
    if claims.expiry.remaining(now).is_zero() { Err(Bypass::Expiring) } else { Ok(claims) }
}

/// Computes the principal. Name, count and length precede every part, so that no two sets of claims give the same bytes.
fn principal(raw: &RawClaims<'_>, key: &hmac::Key) -> Principal {
    let mut context = hmac::Context::with_key(key);
    for (name, values) in principal_parts(raw) {
        update_with_set(&mut context, name, values);
    }
    Principal(prefix(context.sign().as_ref()))
}

/// A part of a principal: its name, and its values if the token has the claim.
type PrincipalPart<'a> = (&'static str, Option<Vec<&'a str>>);

/// Returns the parts of the principal in the order in which they are hashed.
fn principal_parts<'a>(raw: &'a RawClaims<'_>) -> [PrincipalPart<'a>; 7] {
    let subject = match raw.oid.as_deref().filter(|oid| !oid.is_empty()) {
        Some(oid) => ("oid", Some(vec![oid])),
        None => ("sub", raw.sub.as_deref().map(|sub| vec![sub])),
    };
    let list = |claim: &'a Option<Vec<Cow<'_, str>>>| {
        claim.as_ref().map(|items| items.iter().map(|item| &**item).collect())
    };
    [
        ("tid", raw.tid.as_deref().map(|text| vec![text])),
        subject,
        ("app", app_id(raw).map(|text| vec![text])),
        ("idtyp", raw.idtyp.as_deref().map(|text| vec![text])),
        ("scp", raw.scp.as_deref().map(|scp| scp.split_ascii_whitespace().collect())),
        ("roles", list(&raw.roles)),
        ("wids", list(&raw.wids)),
    ]
}

/// Adds a set of values to the MAC; order and duplicates make no difference.
fn update_with_set(context: &mut hmac::Context, name: &str, items: Option<Vec<&str>>) {
    context.update(name.as_bytes());
    let Some(mut items) = items else { return context.update(&[0]) };
    items.sort_unstable();
    items.dedup();
    context.update(&[1]);
    context.update(&items.len().to_be_bytes());
    for item in items {
        context.update(&item.len().to_be_bytes());
        context.update(item.as_bytes());
    }
}

/// Returns the text that is hashed for an application in a tenant. The length of the tenant precedes it, so that no two
/// pairs give the same text.
fn application(tenant: &str, raw: &RawClaims<'_>) -> String {
    format!("{}:{tenant}{}", tenant.len(), app_id(raw).unwrap_or_default())
}

/// Returns `appid` of a version 1 token, which Graph's tokens are, or `azp` of a version 2 token.
fn app_id<'a>(raw: &'a RawClaims<'_>) -> Option<&'a str> {
    raw.appid.as_deref().filter(|app| !app.is_empty()).or(raw.azp.as_deref())
}

/// Hashes a name. GUIDs and tenants are compared without regard to case, because operators type them in either case. A
/// `sub` that is not a GUID is base64url, and its case matters.
pub(super) fn hash_claim(key: &hmac::Key, kind: ClaimKind, name: &str) -> ClaimHash {
    let mut context = hmac::Context::with_key(key);
    context.update(match kind {
        ClaimKind::Tenant => b"label tenant\0",
        ClaimKind::Subject => b"label subject",
        ClaimKind::Application => b"label appl.\0\0",
    });
    if kind == ClaimKind::Subject && Uuid::try_parse(name).is_err() {
        context.update(name.as_bytes());
    } else {
        context.update(name.to_ascii_lowercase().as_bytes());
    }
    ClaimHash(prefix(context.sign().as_ref()))
}

fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NumericDate, D::Error> {
    let value = serde_json::Value::deserialize(deserializer).map_err(de::Error::custom)?;
    Ok(value.as_u64().map_or(NumericDate::Invalid, NumericDate::Seconds))
}

fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Largest accepted lifetime. Entra issues access tokens for at most 28 hours (continuous access evaluation).
const MAX_TOKEN_LIFETIME: Duration = Duration::from_hours(29);

#[cfg(test)]
mod tests;
