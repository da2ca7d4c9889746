//! Forward proxy of the environment: `HTTPS_PROXY` or `ALL_PROXY`, unless `NO_PROXY` exempts Graph.
//!
//! The names in lower case apply as well. The first variable with a value wins; an empty value counts as unset, as in curl
//! and Go. A value that cannot be read is an error of the start. Ignoring the value would send the traffic past a proxy that
//! the operator requires.

mod address;
mod no_proxy;
pub(super) mod tunnel;

use http::HeaderValue;
use url::{Host, Url};

use self::address::{ProxyAddress, parse};
use self::no_proxy::is_exempt;

/// Forward proxy for connections to Graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardProxy {
    /// Name of the environment variable.
    pub(super) variable: &'static str,
    /// Host of the proxy.
    pub(super) host: Host<String>,
    /// Port of the proxy.
    pub(super) port: u16,
    /// Value of `Proxy-Authorization`, marked as sensitive.
    pub(super) authorization: Option<HeaderValue>,
}

/// A proxy variable with a value that cannot be used. The message contains no part of the value but a known scheme, since
/// any other part may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{variable}: found {found}: expected a proxy of the form http://host:port or http://user:password@host:port, with \
     reserved characters of user and password percent-encoded"
)]
pub struct ProxyVariableError {
    variable: &'static str,
    found: String,
}

impl ForwardProxy {
    /// Selects the proxy for `base_url` from environment variables. Returns `None` if no variable is set, if `NO_PROXY`
    /// exempts the host, or if the URL is plain `http`: this leads only to a loopback address, which a proxy cannot reach.
    ///
    /// # Errors
    /// [`ProxyVariableError`] if the value cannot be read, whatever `base_url` is, or if its scheme is not supported and the
    /// proxy would be used.
    pub fn from_variables(
        variables: &[(String, String)],
        base_url: &Url,
    ) -> Result<Option<Self>, ProxyVariableError> {
        let value = |name: &str| {
            let mut named =
                variables.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
            named.find(|value| !value.is_empty())
        };
        let Some((variable, proxy)) = PROXY_NAMES.iter().find_map(|name| Some((*name, value(name)?))) else {
            return Ok(None);
        };
        let address = parse(proxy).map_err(|found| ProxyVariableError { variable, found })?;
        let no_proxy = NO_PROXY_NAMES.iter().find_map(|name| value(name)).unwrap_or_default();
        if is_exempt(no_proxy, base_url) {
            return Ok(None);
        }
        match address {
            ProxyAddress::Unsupported(scheme) => {
                let found = format!("a proxy with the scheme {scheme:?}, which is not supported");
                Err(ProxyVariableError { variable, found })
            }
            ProxyAddress::Http { .. } if base_url.scheme() != "https" => Ok(None),
            ProxyAddress::Http { host, port, authorization } => {
                Ok(Some(Self { variable, host, port, authorization }))
            }
        }
    }

    /// Returns whether an environment variable of this name has an effect here.
    pub fn is_variable(name: &str) -> bool {
        PROXY_NAMES.contains(&name) || NO_PROXY_NAMES.contains(&name)
    }
}

/// Names of the variables of a proxy; the first with a value wins.
const PROXY_NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Names of the variables of exemptions.
const NO_PROXY_NAMES: [&str; 2] = ["NO_PROXY", "no_proxy"];

#[cfg(test)]
mod tests;
