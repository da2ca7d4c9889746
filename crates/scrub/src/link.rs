//! Links to Graph, and context URLs.

use memchr::{memchr, memmem};
use url::Url;

use super::ascii::alphanumeric_and;
use super::values;

/// The servers to which links pass.
#[derive(Clone, Debug)]
pub(super) struct TrustedLinks {
    /// Scheme, host and port.
    origins: Vec<String>,
    flow_set: memmem::Finder<'static>,
}

impl Default for TrustedLinks {
    /// Returns Graph's own hosts in all of its clouds.
    fn default() -> Self {
        Self { origins: GRAPH_ORIGINS.map(str::to_owned).to_vec(), flow_set: memmem::Finder::new(FLOW_SET) }
    }
}

impl TrustedLinks {
    /// Adds one server.
    pub(super) fn trust(&mut self, base_url: &Url) {
        let origin = base_url.as_str().trim_end_matches('/').to_owned();
        if !self.origins.contains(&origin) {
            self.origins.push(origin);
        }
    }

    /// Returns scheme, host and port of each accepted server.
    pub(super) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Returns whether a text is an absolute link to an accepted server, or a link relative to the service root or to
    /// the resource. A link has no user info, no query, no escapes but those of blanks and quotes, no fragment but that
    /// of a context (`$metadata#...`), and no word that looks like a key, except in the id of a user flow.
    pub(super) fn is_link(&self, text: &str) -> bool {
        let rest = self.origins.iter().find_map(|origin| text.strip_prefix(origin.as_str()));
        let rest = match rest {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            None if RELATIVE_PREFIXES.iter().any(|start| text.starts_with(start)) => text,
            _ => return false,
        };
        let (path, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let has_link_bytes = |part: &str| part.bytes().all(|byte| LINK_BYTES[usize::from(byte)]);
        // An escaped blank or quote in the id of a flow cannot hide a credential.
        let is_plain = |part: &str| {
            if memchr(b'%', part.as_bytes()).is_none() {
                return has_link_bytes(part);
            }
            part.split("%20").flat_map(|part| part.split("%27")).all(has_link_bytes)
        };
        text.len() <= MAX_LINK_BYTES
            && is_plain(path)
            && is_plain(fragment)
            && (fragment.is_empty() || path.ends_with("$metadata"))
            && !self.has_random_word_outside_flow_ids(text)
    }

    /// Returns whether a word of a link looks like a key. The id of a user flow is part of the caller's own request.
    fn has_random_word_outside_flow_ids(&self, text: &str) -> bool {
        let is_id = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '_' | '-');
        let (mut start, mut is_after_set) = (0, false);
        let mut ends = self.flow_set.find_iter(text.as_bytes()).chain([text.len()]);
        ends.any(|end| {
            let part = &text[start..end];
            let id = part.strip_prefix("('").or_else(|| part.strip_prefix('/')).filter(|_| is_after_set);
            let id = id.filter(|id| values::FLOW_PREFIXES.iter().any(|prefix| id.starts_with(prefix)));
            (start, is_after_set) = (end + FLOW_SET.len(), true);
            values::has_random_word(id.map_or(part, |id| id.trim_start_matches(is_id)))
        })
    }
}

const GRAPH_ORIGINS: [&str; 7] = [
    "https://canary.graph.microsoft.com",
    "https://graph.microsoft.de",
    "https://graph.microsoft-ppe.com",
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
];
/// Prefixes of the relative links of this resource.
const RELATIVE_PREFIXES: [&str; 9] = [
    "$metadata#",
    "identity/",
    "b2xUserFlows",
    "b2cUserFlows",
    "apiConnectors",
    "apiConnectorConfiguration",
    "postFederationSignup",
    "postAttributeCollection",
    "preTokenIssuance",
];
/// The end of the names of the sets of user flows (`b2xUserFlows`, `b2cUserFlows`).
const FLOW_SET: &str = "UserFlows";
const MAX_LINK_BYTES: usize = 2048;

/// Letters, digits, and the delimiters of a path with OData keys and of a context's list of properties.
const LINK_BYTES: [bool; 256] = alphanumeric_and(b"-._~/$'()*,");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_graph_pass_and_no_others() {
        let mut links = TrustedLinks::default();
        links.trust(&Url::parse("http://127.0.0.1:8099").unwrap());
        let flow = "identity/b2xUserFlows('B2X_1_x')/apiConnectorConfiguration";
        for text in [
            &format!(
                "https://graph.microsoft.com/beta/$metadata#{flow}(postFederationSignup(id,displayName))"
            ),
            &format!("https://graph.microsoft.com/v1.0/$metadata#{flow}/microsoft.graph.x/step/$entity"),
            &format!("https://graph.microsoft.us/v1.0/{flow}/postFederationSignup/$ref"),
            &format!("$metadata#{flow}"),
            "https://canary.graph.microsoft.com/beta/$metadata#identity/b2xUserFlows('B2X_1_a%20%27b')/x",
            "https://graph.microsoft.de/beta/$metadata#x",
            "https://graph.microsoft-ppe.com/beta/$metadata#x",
            flow,
            "https://graph.microsoft.com",
            "http://127.0.0.1:8099/beta/x",
            "postFederationSignup/$ref",
            "apiConnectorConfiguration/preTokenIssuance",
            "https://graph.microsoft.com/beta/identity/b2xUserFlows('B2X_1_SignUp2023V2')/x",
            "https://graph.microsoft.com/beta/identity/b2cUserFlows/B2C_1A_q8wLk2mN7pXv/x",
        ] {
            assert!(links.is_link(text), "{text}");
        }
        let long = format!("https://graph.microsoft.com/{}", "x".repeat(MAX_LINK_BYTES));
        for text in [
            "",
            "hunter2",
            "https://graph.microsoft.com.evil.example/x",
            "https://graph.microsoft.com@evil.example/x",
            "https://graph.microsoft.com:444/x",
            "https://user:pass@graph.microsoft.com/x",
            "http://graph.microsoft.com/x",
            "https://evil.example/beta/$metadata#x",
            "https://graph.microsoft.com/x?code=hunter2",
            "https://graph.microsoft.com/x#hunter2",
            "https://graph.microsoft.com/$metadata#code=hunter2",
            "https://graph.microsoft.com/x%3Fcode%3Dhunter2",
            "https://graph.microsoft.com/q8wLk2mN7pXv",
            "https://graph.microsoft.com/B2X_1_q8wLk2mN7pXv",
            "https://graph.microsoft.com/beta/b2xUserFlows('q8wLk2mN7pXv')",
            "https://graph.microsoft.com/beta/b2xUserFlows('B2X_1_x')/q8wLk2mN7pXv",
            "http://127.0.0.1:80991/x",
            &long,
        ] {
            assert!(!links.is_link(text), "{text}");
        }
    }
}
