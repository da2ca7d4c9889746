//! Client of the admin port of a running proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::{CommandError, token_file_error};
use crate::config::Config;

/// Arguments that name the admin port.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AdminArgs {
    /// Base URL of the admin port, `http://HOST:PORT`. Without it: admin.address of the configuration, on this machine.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// File with the token of the admin port. Without it and without --admin: `admin.token_file` of the configuration.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// TOML file of the proxy. Without it, the configuration consists of built-in defaults and the environment.
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    pub config: Option<PathBuf>,
}

/// Admin port of a running proxy.
#[derive(Debug)]
pub(super) struct AdminPort {
    base: Url,
    token_file: Option<PathBuf>,
    timeout: Duration,
}

/// Response of the admin port.
#[derive(Debug)]
pub(super) struct AdminResponse {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl AdminPort {
    /// Finds the admin port by the arguments, or by the configuration as `serve` reads it.
    pub(super) fn new(
        args: &AdminArgs,
        env: impl Iterator<Item = (String, String)>,
        timeout: Duration,
    ) -> Result<Self, CommandError> {
        let given = args.token_file.clone();
        if let Some(text) = &args.admin {
            return Ok(Self { base: parse_base(text)?, token_file: given, timeout });
        }
        let config = Config::load(args.config.as_deref(), env)
            .map_err(|error| CommandError::Usage(format!("the configuration is refused:\n{error}")))?;
        let base = parse_base(&format!("http://{}", reachable(config.admin.address)))?;
        Ok(Self { base, token_file: given.or(config.admin.token_file), timeout })
    }

    /// Returns the base URL without a slash at the end.
    pub(super) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a request without the token.
    pub(super) async fn get_public(&self, path: &str) -> Result<AdminResponse, CommandError> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a request with the token of the file, if there is one. Returns the JSON of a 200.
    pub(super) async fn json(&self, method: Method, path: &str) -> Result<Value, CommandError> {
        let authorization = self.token_file.as_deref().map(read_token).transpose()?;
        let response = self.send(method, path, authorization).await?;
        let message = response.error_message();
        match response.status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST => {
                return Err(CommandError::Usage(message.unwrap_or_else(|| "the query is refused".into())));
            }
            StatusCode::UNAUTHORIZED => return Err(self.denied()),
            StatusCode::FORBIDDEN => {
                let reason = message.unwrap_or_else(|| "the request is refused".to_owned());
                return Err(self.failure(&reason));
            }
            _ => return Err(self.unexpected(&response)),
        }
        serde_json::from_slice(&response.body).map_err(|_| self.unexpected(&response))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<AdminResponse, CommandError> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        let target = format!("{}{path}", self.url());
        *request.uri_mut() = target.parse().map_err(|_| self.failure("the address is no URL"))?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let exchange = async {
            let response = client.request(request).await.map_err(|error| self.unreachable(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
            let body = body.map_err(|error| self.failure(&format!("the response is cut off: {error}")))?;
            Ok(AdminResponse { status, body: body.to_bytes() })
        };
        let late = |_| self.failure(&format!("no response within {} s", self.timeout.as_secs()));
        timeout(self.timeout, exchange).await.map_err(late)?
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> CommandError {
        let cause = std::iter::successors(Some(error), |error| error.source()).last();
        let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
        self.failure(&format!(
            "the admin port cannot be reached: {cause}. Check that the proxy runs, and that the address is its admin.address"
        ))
    }

    fn denied(&self) -> CommandError {
        self.failure(match &self.token_file {
            None => "the admin port requires a token: name the file of admin.token_file with --token-file",
            Some(_) => "the admin port refuses the token: expected the content of its admin.token_file",
        })
    }

    fn unexpected(&self, response: &AdminResponse) -> CommandError {
        self.failure(&format!(
            "unexpected response with status {}: expected the admin port of connector-cache {}",
            response.status.as_u16(),
            env!("CARGO_PKG_VERSION")
        ))
    }

    fn failure(&self, reason: &str) -> CommandError {
        CommandError::Failure(format!("{}: {reason}", self.url()))
    }
}

impl AdminResponse {
    /// Returns the body as one line.
    pub(super) fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.chars().filter(|char| !char.is_control()).take(MAX_LINE_CHARS).collect()
    }

    /// Returns the message of an error of the admin port.
    fn error_message(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["error"].as_str()?.to_owned())
    }
}

/// Parses the base URL. The message does not show the value, which may contain a password.
fn parse_base(text: &str) -> Result<Url, CommandError> {
    let is_bare = |url: &Url| {
        let has_user = !url.username().is_empty() || url.password().is_some();
        let has_more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        url.scheme() == "http" && url.has_host() && !has_user && !has_more
    };
    Url::parse(text).ok().filter(is_bare).ok_or_else(|| {
        CommandError::Usage(
            "--admin is refused: expected http://HOST:PORT, without user info, path and query (the admin port has no TLS)"
                .to_owned(),
        )
    })
}

/// Returns the address on which this machine reaches a listener of all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn read_token(path: &Path) -> Result<HeaderValue, CommandError> {
    let refuse = |reason: &str| token_file_error("--token-file", path, reason);
    let text = std::fs::read_to_string(path)
        .map_err(|error| refuse(&format!("the file cannot be read: {error}")))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", text.trim()))
        .map_err(|_| refuse("expected a token in one line"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// History and settings of the console take less than 256 KiB.
const MAX_BODY_BYTES: usize = 4 << 20;
const MAX_LINE_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_http_url_is_an_admin_port() {
        for text in ["http://127.0.0.1:9090", "http://localhost:9090/", "http://[::1]:1"] {
            assert!(parse_base(text).is_ok(), "{text}");
        }
        for text in
            ["https://a:1", "127.0.0.1:9090", "http://a/cache", "http://u:hunter2@a", "http://a?b", ""]
        {
            let error = parse_base(text).unwrap_err();
            assert!(matches!(&error, CommandError::Usage(_)), "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_listener_of_all_addresses_is_reached_over_loopback() {
        for (address, expected) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), expected);
        }
    }
}
