//! Configuration of the shared tier.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::generated_secret::GeneratedSecret;

/// Configuration of the shared tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `shared.url`; `None` turns the tier off.
    pub endpoint: Option<Endpoint>,
    /// `shared.username`
    pub username: Option<String>,
    /// `shared.password_file`: read at each connection.
    pub password_file: Option<PathBuf>,
    /// `shared.ca_file`: PEM root certificates in addition to the platform's.
    pub ca_file: Option<PathBuf>,
    /// `shared.certificate`: PEM certificates of this client.
    pub certificate: Option<PathBuf>,
    /// `shared.key`: PEM key of this client.
    pub key: Option<PathBuf>,
    /// `shared.secret_file`
    pub secret_file: Option<PathBuf>,
    /// Secret of replicas in one process, used in place of `secret_file`. No key sets it.
    pub generated_secret: Option<GeneratedSecret>,
    /// `shared.timeout`: for one operation during a request.
    pub timeout: Duration,
    /// `shared.max_value`: size of a value, bytes.
    pub max_value: usize,
    /// `shared.prefix`: of all keys.
    pub prefix: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            username: None,
            password_file: None,
            ca_file: None,
            certificate: None,
            key: None,
            secret_file: None,
            generated_secret: None,
            timeout: Duration::from_millis(50),
            max_value: 256 << 10,
            prefix: "cc".to_owned(),
        }
    }
}

/// Servers of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Kind of installation.
    pub topology: Topology,
    /// At least one address.
    pub addresses: Vec<Address>,
    /// Connections use TLS.
    pub tls: bool,
}

/// Kind of installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server, with the number of its database.
    Single(u8),
    /// A cluster. The addresses are those of some of its nodes.
    Cluster,
    /// The addresses are those of Sentinels, which know the master of this name.
    Sentinel(String),
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// Returns the word for the kind of installation.
    pub fn mode(&self) -> &'static str {
        match self.topology {
            Topology::Single(_) => "single",
            Topology::Cluster => "cluster",
            Topology::Sentinel(_) => "sentinel",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Writes the URL, which has no credentials.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.topology {
            Topology::Single(_) => "",
            Topology::Cluster => "+cluster",
            Topology::Sentinel(_) => "+sentinel",
        };
        write!(f, "redis{}{kind}://", if self.tls { "s" } else { "" })?;
        for (at, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if at == 0 { "" } else { "," })?;
        }
        match &self.topology {
            Topology::Single(0) | Topology::Cluster => Ok(()),
            Topology::Single(database) => write!(f, "/{database}"),
            Topology::Sentinel(master) => write!(f, "/{master}"),
        }
    }
}

impl std::str::FromStr for Endpoint {
    type Err = ();

    /// Parses one URL, or several with commas between them. Several `redis://` URLs are nodes of a cluster.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (scheme, rest) = text.split_once("://").ok_or(())?;
        let (secure, kind) = match scheme.split_once('+') {
            Some((secure, kind)) => (secure, Some(kind)),
            None => (scheme, None),
        };
        let tls = match secure {
            "redis" => false,
            "rediss" => true,
            _ => return Err(()),
        };
        let (authorities, path) = match rest.rsplit_once('/') {
            Some((authorities, path)) if !authorities.ends_with(['/', ':']) => (authorities, path),
            _ => (rest, ""),
        };
        let mut addresses = Vec::new();
        let default_port = if kind == Some("sentinel") { 26379 } else { 6379 };
        for part in authorities.split(',').map(str::trim) {
            // Each further part may repeat the scheme.
            let part = match part.split_once("://") {
                Some((again, part)) if again == scheme => part.trim_end_matches('/'),
                Some(_) => return Err(()),
                None => part.trim_end_matches('/'),
            };
            addresses.push(parse_address(part, default_port).ok_or(())?);
        }
        if addresses.len() > MAX_ADDRESSES {
            return Err(());
        }
        let topology = match (kind, addresses.len()) {
            (None, 1) => {
                Topology::Single(if path.is_empty() { Ok(0) } else { path.parse() }.map_err(|_| ())?)
            }
            (None | Some("cluster"), _) if path.is_empty() => Topology::Cluster,
            (Some("sentinel"), _) if is_master_name(path) => Topology::Sentinel(path.to_owned()),
            _ => return Err(()),
        };
        Ok(Self { topology, addresses, tls })
    }
}

fn parse_address(text: &str, default_port: u16) -> Option<Address> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None if port.is_empty() => default_port,
        None => return None,
    };
    let is_ipv6 = text.starts_with('[');
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(valid);
    (is_ipv6 || is_name).then(|| Address { host: host.to_owned(), port })
}

fn is_master_name(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.len() <= 128 && name.bytes().all(valid)
}

/// Addresses of an endpoint.
const MAX_ADDRESSES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        text.parse::<Endpoint>().ok().map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn every_kind_of_installation_is_parsed_and_written_in_one_form() {
        for (text, form) in [
            ("redis://a", "redis://a:6379"),
            ("redis://a:6380/", "redis://a:6380"),
            ("rediss://valkey.example:6379/3", "rediss://valkey.example:6379/3"),
            ("redis://[::1]:7000", "redis://[::1]:7000"),
            ("redis+cluster://a:1,b:2", "redis+cluster://a:1,b:2"),
            ("redis+cluster://a:1", "redis+cluster://a:1"),
            ("rediss+cluster://a", "rediss+cluster://a:6379"),
            ("redis://a:1,redis://b:2", "redis+cluster://a:1,b:2"),
            ("redis://a:1/, redis://b:2/", "redis+cluster://a:1,b:2"),
            ("redis+sentinel://a,b:2/my-master", "redis+sentinel://a:26379,b:2/my-master"),
            ("rediss+sentinel://10.0.0.1:1/m", "rediss+sentinel://10.0.0.1:1/m"),
        ] {
            assert_eq!(written(text).as_deref(), Some(form), "{text}");
            assert_eq!(written(form).as_deref(), Some(form), "{form}");
        }
    }

    #[test]
    fn a_malformed_url_or_one_with_credentials_is_refused() {
        for bad in [
            "",
            "a:6379",
            "http://a",
            "redis:a",
            "redis://",
            "redis://:6379",
            "redis://a:0",
            "redis://a:x",
            "redis://a:65536",
            "redis://user:word@a",
            "redis://:word@a:1",
            "redis://a?x=1",
            "redis://a#x",
            "redis://a b",
            "redis://a:1/x",
            "redis://a:1/256",
            "redis+cluster://a/1",
            "redis://a,rediss://b",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+sentinel://a/m/n",
            "redis+other://a",
            "redis://[::1",
            "redis://[a]:1",
            "redis://a,",
            "unix:///tmp/x",
        ] {
            assert_eq!(written(bad), None, "{bad}");
        }
    }
}
