//! Files of the page, embedded in the binary. Each is compressed once, at its first use.

use std::io::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, request::Parts};
use http_body_util::Full;
use ring::digest;

use crate::http::error::Response;

/// Runbook of the project. The page shows its sections.
pub(super) const RUNBOOK: &str = include_str!("../../../docs/runbook.md");

struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
    /// Gzip of the content, and its entity tag.
    packed: LazyLock<Packed, Pack>,
}

type Packed = (Bytes, HeaderValue);
type Pack = Box<dyn Fn() -> Packed + Send + Sync>;

impl Asset {
    fn new(path: &'static str, media_type: &'static str, content: &'static str) -> Self {
        let pack: Pack = Box::new(move || pack(content));
        Self { path, media_type, content, packed: LazyLock::new(pack) }
    }
}

static ASSETS: LazyLock<[Asset; 6]> = LazyLock::new(|| {
    [
        Asset::new("/", "text/html; charset=utf-8", include_str!("page/index.html")),
        Asset::new("/console/console.css", "text/css; charset=utf-8", include_str!("page/console.css")),
        Asset::new("/console/console.js", "text/javascript; charset=utf-8", include_str!("page/console.js")),
        Asset::new("/console/charts.js", "text/javascript; charset=utf-8", include_str!("page/charts.js")),
        Asset::new("/console/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
        Asset::new("/console/runbook.md", "text/plain; charset=utf-8", RUNBOOK),
    ]
});

/// Returns whether the page consists of this path, too.
pub(super) fn is_asset(path: &str) -> bool {
    ASSETS.iter().any(|asset| asset.path == path)
}

/// Returns the response with a file of the page. It has no data of the process, so it needs no authorization.
pub(super) fn respond(request: &Parts) -> Option<Response> {
    let asset = ASSETS.iter().find(|asset| asset.path == request.uri.path())?;
    let (gzip, tag) = &*asset.packed;
    let known = request.headers.get_all(header::IF_NONE_MATCH).iter().any(|line| line == tag);
    let accepts_gzip = accepts_gzip(&request.headers);
    let body = match (known, accepts_gzip) {
        (true, _) => Bytes::new(),
        (false, true) => gzip.clone(),
        (false, false) => Bytes::from_static(asset.content.as_bytes()),
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(header::ETAG, tag.clone());
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    for (name, value) in SECURITY_FIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if accepts_gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut codings = lines.flat_map(|line| line.split(','));
    codings.any(|coding| {
        let coding = coding.trim().to_ascii_lowercase();
        coding == "gzip" || coding.strip_prefix("gzip;").is_some_and(|weight| weight.trim() != "q=0")
    })
}

fn pack(content: &str) -> Packed {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(content.as_bytes());
    let gzip = Bytes::from(encoder.finish().unwrap_or_default());
    let digest = digest::digest(&digest::SHA256, content.as_bytes());
    let tag = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default());
    let tag = HeaderValue::try_from(format!("W/\"{tag}\""));
    (gzip, tag.unwrap_or(HeaderValue::from_static("W/\"0\"")))
}

/// The page loads nothing from elsewhere, has no inline script or style, and may not be framed.
const SECURITY_FIELDS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_at_most_60_kb() {
        let page = ASSETS.iter().filter(|asset| asset.content != RUNBOOK);
        let bytes: usize = page.map(|asset| asset.packed.0.len()).sum();
        assert!(bytes > 1_000 && bytes <= 60_000, "{bytes}");
    }
}
