//! What Graph may say, and the bytes of it. Every body has a serial, so that whoever gets one shows which.

use super::graph::Reply;

/// An answer's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
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
}

impl Verdict {
    /// A whole 200, which proves what the token may see.
    pub fn grants(self) -> bool {
        matches!(self, Self::Ok | Self::MustRevalidate | Self::Aged | Self::NoStore | Self::Varies)
    }

    /// A whole 200 that may be kept.
    pub fn may_be_kept(self) -> bool {
        matches!(self, Self::Ok | Self::MustRevalidate | Self::Aged)
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

    /// The answer with this serial, for this principal and resource.
    pub fn reply(self, serial: usize, whose: &str) -> Reply {
        let extra = match self {
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
            Self::BadJson => raw(serial, whose).replacen("\",\"", "\" \"", 1),
            _ if status == 200 => raw(serial, whose),
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
        r##"{{"serial":"W{serial}.","whose":"{whose}","postFederationSignup":{{"targetUrl":"https://step.example/api?code={code}","authenticationConfiguration":{{"@odata.type":"#microsoft.graph.basicAuthentication","username":"{word}","password":"{word}"}}}},"note":{{"clientSecret":"{word}"}}}}"##
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

/// The serial in a 200's body.
pub fn serial(body: &str) -> Option<usize> {
    body.split_once(r#""serial":"W"#)?.1.split_once('.')?.0.parse().ok()
}

/// The beginning of everything that must never come out.
pub const PLANTED: &str = "planted-";
const MASK: &str = "******";
