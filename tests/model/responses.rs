//! What Graph may say, and the bytes of it. Every body has a serial, so that whoever gets one shows which.

use super::graph::Reply;
use super::history::Times;

/// An answer's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// 200.
    Ok,
    /// 200 that may not be given again once it is past its time.
    MustRevalidate,
    /// 200 that was 100 s old already.
    Aged,
    /// 200 with `no-store`.
    NoStore,
    /// 200 with `Vary: *`.
    Varies,
    /// 200 whose body breaks off.
    Truncated,
    /// 200 with a page for people.
    Page,
    /// 200 that is not JSON, though it says so.
    BadJson,
    /// A status of 4xx or 5xx.
    No(u16),
    /// The same, and its body breaks off.
    NoBroken(u16),
    /// To another host.
    Redirect,
    /// Nobody asked for one.
    NotModified,
    /// 200 that by Graph's own word lives for so many seconds; zero: `no-cache`. `tag`: it has an entity tag.
    /// `same`: whoever asks about what it was given is told that it still holds.
    Lives { seconds: u16, tag: bool, same: bool },
    /// 200 with a tag, that lives for a minute. Whoever asks about something is told 304 of something else.
    Other304,
}

impl ResponseKind {
    /// A whole 200, or a 304, which proves what the token may see.
    pub fn grants(self) -> bool {
        self.is_plain() || matches!(self, Self::NoStore | Self::Varies | Self::Lives { .. } | Self::Other304)
    }

    fn is_plain(self) -> bool {
        matches!(self, Self::Ok | Self::MustRevalidate | Self::Aged)
    }

    /// How long a whole 200 is fresh, milliseconds from when it was new. `None`: it may not be kept.
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

    /// The age from which on it may not be given while Graph is asked, milliseconds: where Graph decides, its
    /// word allows nothing past its time.
    pub fn grace_ends(self, times: &Times) -> u64 {
        match self {
            Self::Lives { seconds, .. } if times.by_graph => u64::from(seconds) * 1000,
            Self::Other304 if times.by_graph => 60_000,
            _ => u64::MAX,
        }
    }

    /// It may never be given past its time, whatever the caller says and however Graph fares.
    pub fn is_strict(self, times: &Times) -> bool {
        self == Self::MustRevalidate || (times.by_graph && matches!(self, Self::Lives { seconds: 0, .. }))
    }

    /// Graph can be asked whether it still holds.
    pub fn has_tag(self) -> bool {
        matches!(self, Self::Lives { tag: true, .. } | Self::Other304)
    }

    /// Whoever asks about what it was given is told that it still holds.
    pub fn is_same(self) -> bool {
        matches!(self, Self::Lives { same: true, .. })
    }

    /// Seconds that it was old when it came.
    pub fn age(self) -> u64 {
        if self == Self::Aged { 100 } else { 0 }
    }

    /// The status of a "no", whether its body could be read or not.
    pub fn no(self) -> Option<u16> {
        match self {
            Self::No(status) | Self::NoBroken(status) => Some(status),
            _ => None,
        }
    }

    /// Graph could not answer, rather than would not.
    pub fn is_outage(self) -> bool {
        self.no().map_or(!self.grants(), |status| status == 429 || status >= 500)
    }

    /// What the caller must be told.
    pub fn status(self) -> u16 {
        self.no().unwrap_or(if self.grants() { 200 } else { 502 })
    }

    /// What is said of a 200's life, and its tag.
    fn observed(self, serial: usize) -> String {
        let seconds = if let Self::Lives { seconds, .. } = self { seconds } else { 60 };
        let control =
            if seconds == 0 { "no-cache, max-age=600".into() } else { format!("max-age={seconds}") };
        let etag = if self.has_tag() { format!("etag: {}\r\n", tag(serial)) } else { String::new() };
        format!("cache-control: {control}\r\n{etag}")
    }

    /// That the body with this serial still holds; or that another does.
    pub fn unchanged(self, serial: usize) -> Reply {
        let observed = match self {
            Self::Other304 => self.observed(serial + 1_000_000),
            Self::NotModified => format!("etag: {}\r\n", tag(serial + 1_000_000)),
            _ => self.observed(serial),
        };
        Reply { bytes: format!("HTTP/1.1 304 x\r\n{observed}\r\n").into_bytes(), close: false }
    }

    /// The answer with this serial, for this principal and resource; a 200 has the body with a serial of its own.
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

/// A 200's body as Graph sends it, credentials and all.
fn raw(serial: usize, whose: &str) -> String {
    body(serial, whose, &format!("planted-code-{serial}"), &format!("planted-word-{serial}"))
}

/// What a caller may see of it.
pub fn scrubbed(serial: usize, whose: &str) -> String {
    body(serial, whose, MASK, MASK)
}

fn body(serial: usize, whose: &str, code: &str, word: &str) -> String {
    format!(
        r##"{{"id":"W{serial}.","displayName":"{whose}","postFederationSignup":{{"targetUrl":"https://step.example/api?code={code}","authenticationConfiguration":{{"@odata.type":"#microsoft.graph.basicAuthentication","username":"{word}","password":"{word}"}}}},"note":{{"clientSecret":"{word}"}}}}"##
    )
}

/// A "no" as Graph sends it.
fn raw_no(serial: usize) -> String {
    no(serial, &format!("planted-error-{serial}"))
}

/// What a caller may see of it.
pub fn scrubbed_no(serial: usize) -> String {
    no(serial, MASK)
}

fn no(serial: usize, secret: &str) -> String {
    format!(r#"{{"error":{{"code":"No","message":"E{serial}.","innerError":{{"password":"{secret}"}}}}}}"#)
}

/// Graph's own tag of a body.
pub fn tag(serial: usize) -> String {
    format!("\"w{serial}\"")
}

/// The serial in a 200's body.
pub fn serial(body: &str) -> Option<usize> {
    body.split_once(r#""id":"W"#)?.1.split_once('.')?.0.parse().ok()
}

/// The beginning of everything that must never come out.
pub const PLANTED: &str = "planted-";
const MASK: &str = "******";
