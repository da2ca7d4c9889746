//! Rule for the base URL of Graph. It is strict because the tokens of the callers are sent there.

use url::{Host, Url};

use crate::config::reference::ValueForm;
use crate::config::value::{RawValue, Rule, echo_url};

use super::bare_url;

/// Scheme, host and port of Graph.
pub(in crate::config) struct BaseUrl;

impl Rule for BaseUrl {
    type Value = Url;

    fn parse(&self, raw: &RawValue) -> Option<Url> {
        let url = bare_url::parse(raw)?;
        let has_path = url.path() != "/";
        let safe = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url.host()?),
            _ => false,
        };
        (safe && !has_path).then_some(url)
    }

    fn write(&self, value: &Url) -> String {
        bare_url::write(value)
    }

    fn echo(&self, raw: &RawValue) -> String {
        echo_url(raw)
    }

    fn form(&self) -> ValueForm {
        ValueForm::BaseUrl
    }

    fn accepted(&self) -> String {
        "https://HOST or https://HOST:PORT, without user info, path, query or fragment \
         (http only for localhost, 127.0.0.0/8 and [::1])"
            .to_owned()
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
