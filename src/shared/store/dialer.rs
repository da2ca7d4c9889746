//! New connections: name resolution, TCP, TLS, greeting with user and password.
//!
//! The library's own connector leaves TCP at its defaults and reads the root certificates at each connection. Connections are
//! made by tasks of the tier, never by a thread that serves a request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, Value, cmd};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::bounded_stream::BoundedStream;
use super::fault::Fault;
use super::frames::FrameLimits;
use super::tls::{TlsError, client_config};
use crate::shared::config::{Address, Config, Topology};

/// Makes connections with the settings of `shared.*`.
#[derive(Clone)]
pub(in crate::shared) struct Dialer {
    tls: Option<TlsConnector>,
    username: Option<String>,
    password_file: Option<PathBuf>,
    database: u8,
    limits: FrameLimits,
    /// `shared.timeout`: a probe that takes longer keeps the circuit breaker open.
    pub(super) probe_timeout: Duration,
}

/// An open connection. Clones share it. The last clone closes it.
#[derive(Clone)]
pub(in crate::shared) struct Connection {
    commands: MultiplexedConnection,
    _driver: Arc<AbortOnDropHandle<()>>,
}

/// Why a connection failed, for the state and for the log.
#[derive(Debug)]
pub(in crate::shared) struct DialError {
    pub(in crate::shared) fault: Fault,
    pub(in crate::shared) reason: String,
}

impl Dialer {
    /// Reads the certificates.
    pub(in crate::shared) fn new(config: &Config) -> Result<Self, TlsError> {
        let endpoint = config.endpoint.as_ref();
        let tls = match endpoint {
            Some(endpoint) if endpoint.tls => Some(TlsConnector::from(Arc::new(client_config(config)?))),
            _ => None,
        };
        let database = match endpoint.map(|endpoint| &endpoint.topology) {
            Some(Topology::Single(database)) => *database,
            _ => 0,
        };
        let (username, password_file) = (config.username.clone(), config.password_file.clone());
        // A read asks for three values.
        let bytes = MAX_REPLY_BYTES.saturating_add(config.max_value.saturating_mul(3));
        let limits = FrameLimits { bytes, elements: MAX_REPLY_ELEMENTS };
        Ok(Self { tls, username, password_file, database, limits, probe_timeout: config.timeout })
    }

    /// Returns a dialer for Sentinels, which have no databases.
    pub(super) fn for_sentinels(&self) -> Self {
        Self { database: 0, ..self.clone() }
    }

    /// Returns a dialer that sends neither user nor password.
    pub(super) fn without_credentials(&self) -> Self {
        Self { username: None, password_file: None, ..self.clone() }
    }

    /// Connects within [`CONNECT_TIMEOUT`].
    pub(in crate::shared) async fn connect(&self, address: &Address) -> Result<Connection, DialError> {
        let late = DialError { fault: Fault::Connect, reason: format!("{address}: no connection in time") };
        timeout(CONNECT_TIMEOUT, self.try_connect(address)).await.unwrap_or(Err(late))
    }

    async fn try_connect(&self, address: &Address) -> Result<Connection, DialError> {
        let error = |fault, reason: &dyn std::fmt::Display| DialError {
            fault,
            reason: format!("{address}: {reason}"),
        };
        let tcp = TcpStream::connect((&*address.host, address.port)).await;
        let tcp = tcp.map_err(|reason| error(Fault::Connect, &reason))?;
        set_options(&tcp).map_err(|reason| error(Fault::Connect, &reason))?;
        let settings = self.settings().map_err(|reason| error(Fault::Auth, &reason))?;
        let greeted = |reason: redis::RedisError| {
            // Before the first reply, a server that expects TLS just closes.
            let fault = match Fault::from_error(&reason) {
                Fault::Connection if self.tls.is_some() => Fault::Tls,
                Fault::Connection => Fault::Connect,
                fault => fault,
            };
            error(fault, &reason)
        };
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let (commands, driver) = match &self.tls {
            None => {
                let stream = BoundedStream::new(tcp, self.limits);
                let (commands, driver) = MultiplexedConnection::new_with_config(&settings, stream, config)
                    .await
                    .map_err(greeted)?;
                (commands, tokio::spawn(driver))
            }
            Some(tls) => {
                let name = ServerName::try_from(address.host.clone());
                let name = name.map_err(|reason| error(Fault::Tls, &reason))?;
                let stream = tls.connect(name, tcp).await.map_err(|reason| error(Fault::Tls, &reason))?;
                let stream = BoundedStream::new(stream, self.limits);
                let (commands, driver) = MultiplexedConnection::new_with_config(&settings, stream, config)
                    .await
                    .map_err(greeted)?;
                (commands, tokio::spawn(driver))
            }
        };
        let connection = Connection { commands, _driver: Arc::new(AbortOnDropHandle::new(driver)) };
        // Without a password and a database nothing was sent so far. A server with TLS refuses a client certificate now.
        match connection.send(&cmd("PING"), CONNECT_TIMEOUT).await {
            // A server that loads its data responds, and serves later.
            Ok(_) | Err(Fault::Busy | Fault::Refused | Fault::ReadOnly) => Ok(connection),
            Err(Fault::Connection) if self.tls.is_some() => {
                Err(error(Fault::Tls, &"the server closed the connection"))
            }
            Err(Fault::Auth) => {
                Err(error(Fault::Auth, &"the store requires a user or a password, or PING is not allowed"))
            }
            Err(_) => Err(error(
                Fault::Connect,
                &"the server closed the connection: it may expect TLS, or refuse other machines without a password",
            )),
        }
    }

    /// Reads the password, which may have changed since the last connection.
    fn settings(&self) -> std::io::Result<RedisConnectionInfo> {
        let mut settings =
            RedisConnectionInfo::default().set_skip_set_lib_name().set_db(i64::from(self.database));
        if let Some(path) = &self.password_file {
            let password = Zeroizing::new(std::fs::read_to_string(path)?);
            settings = settings.set_password(password.trim_end_matches(['\r', '\n']));
        }
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        Ok(settings)
    }
}

impl Connection {
    /// Sends a command and waits for its reply.
    pub(in crate::shared) async fn send(&self, command: &Cmd, within: Duration) -> Result<Value, Fault> {
        let mut commands = self.commands.clone();
        let reply =
            timeout(within, commands.req_packed_command(command)).await.map_err(|_| Fault::Timeout)?;
        let reply = reply.and_then(Value::extract_error);
        reply.map_err(|error| Fault::from_error(&error))
    }

    /// Sends commands in one write, and returns the replies. An error reply is one of the values.
    pub(in crate::shared) async fn send_all(
        &self,
        commands: &Pipeline,
        within: Duration,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let mut connection = self.commands.clone();
        let count = commands.len();
        let replies = timeout(within, connection.req_packed_commands(commands, 0, count)).await;
        let replies = replies.map_err(|_| Fault::Timeout)?.map_err(|error| Fault::from_error(&error))?;
        let classify = |value: Value| value.extract_error().map_err(|error| Fault::from_error(&error));
        Ok(replies.into_iter().map(classify).collect())
    }
}

/// Sets the options that the library leaves at their defaults. A peer that vanished is noticed after some seconds.
fn set_options(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// Time for name resolution, TCP, TLS and greeting together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(5);
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a reply beside the values of a read: 500 events, or the acknowledgements of all replicas.
const MAX_REPLY_BYTES: usize = 16 << 20;
/// Elements of a reply: 500 events have 2,500, and a cluster of 1,000 nodes some 10,000.
const MAX_REPLY_ELEMENTS: usize = 1 << 16;
