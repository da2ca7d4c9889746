//! Redaction: parts of values that messages may show.

/// Returns whether a text looks like key material or a token, written where the path of its file is expected.
pub(super) fn is_secret(text: &str) -> bool {
    text.contains("-----BEGIN") || text.starts_with("eyJ")
}

/// Returns the text that replaces a value in a message if the value may hold a secret.
pub(super) fn redacted(text: &str) -> Option<&'static str> {
    // An at sign may end the user info of a URL, even of a malformed one.
    (is_secret(text) || text.contains('@')).then_some("(hidden: it may hold a secret)")
}

/// Returns scheme, host and port of a URL, if they are well formed.
pub(super) fn base_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_scheme =
        (1..=MAX_SCHEME_CHARS).contains(&scheme.len()) && scheme.bytes().all(|b| b.is_ascii_lowercase());
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-[]:".contains(&b));
    let is_port = port.len() <= MAX_PORT_DIGITS && port.bytes().all(|b| b.is_ascii_digit());
    (is_scheme && is_host && is_port).then(|| &url[..scheme.len() + "://".len() + authority.len()])
}

/// Renders a text for a message: on one line, quoted and shortened, or redacted.
pub(super) fn echo_text(text: &str) -> String {
    if let Some(replacement) = redacted(text) {
        return replacement.to_owned();
    }
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Letters of a scheme that a message shows; a longer word may be a secret.
const MAX_SCHEME_CHARS: usize = 8;
const MAX_PORT_DIGITS: usize = 5;
/// Characters of a text that a message shows.
const SHOWN_CHARS: usize = 80;
