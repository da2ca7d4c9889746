//! The claims of a token that nobody here can verify.
//!
//! What cannot be read without doubt is not read at all: the token is then forwarded and never cached.
//! The names are those of Entra's access tokens; `exp` and `nbf` are RFC 7519's, `cnf` is RFC 7800's.

use std::borrow::Cow;
use std::time::Duration;

use ring::hmac;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use uuid::Uuid;

use super::{ClaimHash, ClaimKind, Principal, first};
use crate::cache::outcome::Bypass;
use crate::support::clock::Now;

/// What a token says of its bearer, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The group whose entries the token may look at, once it has a proof of its own.
    pub principal: Principal,
    /// For a purge by tenant.
    pub tenant: ClaimHash,
    /// For a purge by subject: `oid` and `sub`; the same twice where the token has one of them.
    pub subjects: [ClaimHash; 2],
    /// What Graph throttles: the application, in its tenant.
    pub application: ClaimHash,
    /// When the token ends.
    pub end: TokenExpiry,
}

/// When a token ends: its `exp`, seconds since the Unix epoch. From the year 2106 on every token has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenExpiry(u32);

impl TokenExpiry {
    /// The token's own `exp`, seconds since the Unix epoch.
    pub fn unix_seconds(self) -> u64 {
        self.0.into()
    }

    fn of(exp: u64) -> Self {
        Self(u32::try_from(exp).unwrap_or(u32::MAX))
    }

    /// An hour after `now`.
    #[cfg(test)]
    pub fn after(now: Now) -> Self {
        Self::of(now.unix_seconds() + 3600)
    }

    /// What is left of the token's usable life: it ends 30 seconds before `exp`.
    pub fn left(self, now: Now) -> Duration {
        let end = self.unix_seconds().saturating_sub(EXP_MARGIN.as_secs()).saturating_mul(1000);
        Duration::from_millis(end.saturating_sub(now.token_millis()))
    }
}

/// A claim that is there twice makes the whole set unreadable: readers differ on which one counts.
#[derive(Deserialize)]
struct Raw<'a> {
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
    #[serde(default, deserialize_with = "plain_number")]
    exp: Instant,
    #[serde(default, deserialize_with = "plain_number")]
    nbf: Instant,
    #[serde(default, deserialize_with = "present")]
    cnf: bool,
}

/// A `NumericDate`, of which only whole seconds are taken.
#[derive(Default, Clone, Copy)]
enum Instant {
    #[default]
    Absent,
    Odd,
    Seconds(u64),
}

/// Reads a token's payload.
pub(super) fn read(json: &[u8], key: &hmac::Key, now: Now) -> Result<Claims, Bypass> {
    // To serde a list of the fields' values would be as good as their object; to RFC 7519, section 4, it is not.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Bypass::Unreadable);
    }
    let raw: Raw<'_> = serde_json::from_slice(json).map_err(|_| Bypass::Unreadable)?;
    if raw.cnf {
        return Err(Bypass::Bound);
    }
    let Instant::Seconds(exp) = raw.exp else { return Err(Bypass::ExpUnusable) };
    let seconds = now.token_millis() / 1000;
    if exp > seconds.saturating_add(EXP_HORIZON.as_secs()) {
        return Err(Bypass::ExpUnusable);
    }
    match raw.nbf {
        Instant::Absent => {}
        Instant::Seconds(nbf) if nbf <= seconds => {}
        Instant::Seconds(_) | Instant::Odd => return Err(Bypass::NotYetValid),
    }
    // An empty claim is no name: all who lack one would share it.
    let named =
        |claim: &Option<Cow<'_, str>>| claim.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let tenant = named(&raw.tid).ok_or(Bypass::Incomplete)?;
    let (oid, sub) = (named(&raw.oid), named(&raw.sub));
    let subject = oid.as_ref().or(sub.as_ref()).ok_or(Bypass::Incomplete)?;
    let subjects = [subject, sub.as_ref().unwrap_or(subject)];
    let claims = Claims {
        principal: principal(&raw, key),
        tenant: label(key, ClaimKind::Tenant, &tenant),
        subjects: subjects.map(|subject| label(key, ClaimKind::Subject, subject)),
        application: label(key, ClaimKind::Application, &application(&tenant, &raw)),
        end: TokenExpiry::of(exp),
    };
    if claims.end.left(now).is_zero() { Err(Bypass::Expiring) } else { Ok(claims) }
}

/// Every part is tagged, counted and measured, so that no two sets of claims spell the same bytes.
fn principal(raw: &Raw<'_>, key: &hmac::Key) -> Principal {
    let (subject_kind, subject) = match raw.oid.as_deref().filter(|oid| !oid.is_empty()) {
        Some(oid) => ("oid", Some(oid)),
        None => ("sub", raw.sub.as_deref()),
    };
    let scopes = raw.scp.as_deref().map(|scp| scp.split_ascii_whitespace().collect());
    let list = |claim: &'_ Option<Vec<Cow<'_, str>>>| -> Option<Vec<String>> {
        claim.as_ref().map(|items| items.iter().map(|item| item.clone().into_owned()).collect())
    };
    let (roles, wids) = (list(&raw.roles), list(&raw.wids));
    let mut context = hmac::Context::with_key(key);
    let tenant = raw.tid.as_deref().map(|text| vec![text]);
    absorb(&mut context, "tid", tenant);
    absorb(&mut context, subject_kind, subject.map(|text| vec![text]));
    absorb(&mut context, "app", app(raw).map(|text| vec![text]));
    absorb(&mut context, "idtyp", raw.idtyp.as_deref().map(|text| vec![text]));
    absorb(&mut context, "scp", scopes);
    absorb(&mut context, "roles", roles.as_ref().map(|items| items.iter().map(String::as_str).collect()));
    absorb(&mut context, "wids", wids.as_ref().map(|items| items.iter().map(String::as_str).collect()));
    Principal(first(context.sign().as_ref()))
}

fn absorb(context: &mut hmac::Context, name: &str, items: Option<Vec<&str>>) {
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

/// Measured, so that no two pairs spell the same text.
fn application(tenant: &str, raw: &Raw<'_>) -> String {
    format!("{}:{tenant}{}", tenant.len(), app(raw).unwrap_or_default())
}

/// `appid` of version 1 tokens, which Graph's are, or `azp` of version 2.
fn app<'a>(raw: &'a Raw<'_>) -> Option<&'a str> {
    raw.appid.as_deref().filter(|app| !app.is_empty()).or(raw.azp.as_deref())
}

/// GUIDs, and tenants, are compared without regard to case, as people type them. A `sub` that is no GUID is base64url.
pub(super) fn label(key: &hmac::Key, kind: ClaimKind, name: &str) -> ClaimHash {
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
    ClaimHash(first(context.sign().as_ref()))
}

fn plain_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    let value = serde_json::Value::deserialize(deserializer).map_err(de::Error::custom)?;
    Ok(value.as_u64().map_or(Instant::Odd, Instant::Seconds))
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Clocks differ, and an answer takes time on its way.
const EXP_MARGIN: Duration = Duration::from_secs(30);
/// The longest life that Entra gives an access token is 28 hours (continuous access evaluation).
const EXP_HORIZON: Duration = Duration::from_hours(29);
