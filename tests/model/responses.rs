//! Responses of Graph and their bytes. Each body has a serial, so that a misdirected body is recognised.

use super::graph::Reply;
use super::history::Times;

/// Kind of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// 200.
    Ok,
    /// 200 with `must-revalidate`: not served when stale.
    MustRevalidate,
    /// 200 with an age of 100 s.
    Aged,
    /// 200 with `no-store`.
    NoStore,
    /// 200 with `Vary: *`.
    Varies,
    /// 200 whose body is truncated.
    Truncated,
    /// 200 with an HTML page.
    Page,
    /// 200 with the media type of JSON whose body is not JSON.
    BadJson,
    /// A status of 4xx or 5xx.
    No(u16),
    /// The same with a truncated body.
    NoBroken(u16),
    /// Redirect to another host.
    Redirect,
    /// 304 to a request without a validator.
    NotModified,
    /// 200 with `max-age` of so many seconds; zero: `no-cache`. `tag`: it has an entity tag. `same`: a request with that tag
    /// gets a 304.
    Lives { seconds: u16, tag: bool, same: bool },
    /// 200 with a tag and a lifetime of a minute. A request with a validator gets a 304 with another tag.
    Other304,
}

impl ResponseKind {
    /// Whether it is a complete 200 or a 304, which are proofs.
    pub fn grants(self) -> bool {
        self.is_plain() || matches!(self, Self::NoStore | Self::Varies | Self::Lives { .. } | Self::Other304)
    }

    fn is_plain(self) -> bool {
        matches!(self, Self::Ok | Self::MustRevalidate | Self::Aged)
    }

    /// Freshness lifetime of a complete 200 in milliseconds. `None`: it may not be stored.
    pub fn lives(self, times: &Times) -> Option<u64> {
        let observed = match self {
            Self::Lives { seconds, .. } => u64::from(seconds) * 1000,
            Self::Other304 => 60_000,
            _ if self.is_plain() && !times.by_graph => return Some(times.ttl),
            _ => return None,
        };
        let life = if times.by_graph { observed.min(times.ttl) } else { times.ttl };
        (life > 0 || self.has_tag()).then_some(life)
    }

    /// Age in milliseconds from which it may not be served during revalidation. Where `cache.freshness` is "origin", the
    /// responses here allow no stale serving.
    pub fn grace_ends(self, times: &Times) -> u64 {
        match self {
            Self::Lives { seconds, .. } if times.by_graph => u64::from(seconds) * 1000,
            Self::Other304 if times.by_graph => 60_000,
            _ => u64::MAX,
        }
    }

    /// Whether it may never be served stale, not even to a caller with `max-stale` or in an outage.
    pub fn is_strict(self, times: &Times) -> bool {
        self == Self::MustRevalidate || (times.by_graph && matches!(self, Self::Lives { seconds: 0, .. }))
    }

    /// Whether it has a validator.
    pub fn has_tag(self) -> bool {
        matches!(self, Self::Lives { tag: true, .. } | Self::Other304)
    }

    /// Whether a request with its validator gets a 304.
    pub fn is_same(self) -> bool {
        matches!(self, Self::Lives { same: true, .. })
    }

    /// Age on arrival in seconds.
    pub fn age(self) -> u64 {
        if self == Self::Aged { 100 } else { 0 }
    }

    /// Status of an error response, complete or truncated.
    pub fn no(self) -> Option<u16> {
        match self {
            Self::No(status) | Self::NoBroken(status) => Some(status),
            _ => None,
        }
    }

    /// Whether it is a failure of Graph, not a decision about the token.
    pub fn is_outage(self) -> bool {
        self.no().map_or(!self.grants(), |status| status == 429 || status >= 500)
    }

    /// Status that the caller must get.
    pub fn status(self) -> u16 {
        self.no().unwrap_or(if self.grants() { 200 } else { 502 })
    }

    /// `Cache-Control` and `ETag` of a 200.
    fn observed(self, serial: usize) -> String {
        let seconds = if let Self::Lives { seconds, .. } = self { seconds } else { 60 };
        let control =
            if seconds == 0 { "no-cache, max-age=600".into() } else { format!("max-age={seconds}") };
        let etag = if self.has_tag() { format!("etag: {}\r\n", tag(serial)) } else { String::new() };
        format!("cache-control: {control}\r\n{etag}")
    }

    /// The 304 for the body with this serial, or for another body.
    pub fn unchanged(self, serial: usize) -> Reply {
        let observed = match self {
            Self::Other304 => self.observed(serial + 1_000_000),
            Self::NotModified => format!("etag: {}\r\n", tag(serial + 1_000_000)),
            _ => self.observed(serial),
        };
        Reply { bytes: format!("HTTP/1.1 304 x\r\n{observed}\r\n").into_bytes(), close: false }
    }

    /// The response with this serial for this principal and resource. The body of a 200 has its own serial.
    pub fn reply(self, (serial, given): (usize, usize), whose: &str) -> Reply {
        let observed = self.observed(given);
        let extra = match self {
            Self::Lives { .. } | Self::Other304 => observed.as_str(),
            Self::MustRevalidate => "cache-control: must-revalidate\r\n",
            Self::Aged => "age: 100\r\n",
            Self::NoStore => "cache-control: private, no-store\r\n",
            Self::Varies => "vary: accept-encoding, *\r\n",
            Self::Redirect => "location: http://127.0.0.2:1/\r\n",
            Self::No(401) => "www-authenticate: Bearer realm=\"\"\r\n",
            _ => "cache-control: no-cache\r\nset-cookie: planted-cookie=1\r\n",
        };
        let status = match self {
            Self::Redirect => 302,
            Self::NotModified => 304,
            other => other.no().unwrap_or(200),
        };
        let media = if self == Self::Page { "text/html" } else { "application/json" };
        let body = match self {
            Self::NotModified => String::new(),
            Self::BadJson => raw(given, whose).replacen("\",\"", "\" \"", 1),
            _ if status == 200 => raw(given, whose),
            _ => raw_no(serial),
        };
        let broken = matches!(self, Self::Truncated | Self::NoBroken(_));
        let length = body.len() + if broken { 10 } else { 0 };
        let length = if status == 304 { String::new() } else { format!("content-length: {length}\r\n") };
        let head = format!("HTTP/1.1 {status} x\r\ncontent-type: {media}\r\n{length}{extra}\r\n");
        Reply { bytes: (head + &body).into_bytes(), close: broken }
    }
}

/// Body of a 200 as Graph sends it, with credentials.
fn raw(serial: usize, whose: &str) -> String {
    body(serial, whose, &format!("planted-code-{serial}"), &format!("planted-word-{serial}"))
}

/// The same after scrubbing.
pub fn scrubbed(serial: usize, whose: &str) -> String {
    body(serial, whose, MASK, MASK)
}

fn body(serial: usize, whose: &str, code: &str, word: &str) -> String {
    format!(
        r##"{{"id":"W{serial}.","displayName":"{whose}","postFederationSignup":{{"targetUrl":"https://step.example/api?code={code}","authenticationConfiguration":{{"@odata.type":"#microsoft.graph.basicAuthentication","username":"{word}","password":"{word}"}}}},"note":{{"clientSecret":"{word}"}}}}"##
    )
}

/// Body of an error response as Graph sends it.
fn raw_no(serial: usize) -> String {
    no(serial, &format!("planted-error-{serial}"))
}

/// The same after scrubbing.
pub fn scrubbed_no(serial: usize) -> String {
    no(serial, MASK)
}

fn no(serial: usize, secret: &str) -> String {
    format!(r#"{{"error":{{"code":"No","message":"E{serial}.","innerError":{{"password":"{secret}"}}}}}}"#)
}

/// Entity tag of a body.
pub fn tag(serial: usize) -> String {
    format!("\"w{serial}\"")
}

/// Serial in the body of a 200.
pub fn serial(body: &str) -> Option<usize> {
    body.split_once(r#""id":"W"#)?.1.split_once('.')?.0.parse().ok()
}

/// Prefix of all planted credentials, which no response may contain.
pub const PLANTED: &str = "planted-";
const MASK: &str = "******";
