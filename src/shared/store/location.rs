//! Address of a node: fixed, or the master that Sentinels name.

use std::time::Duration;

use redis::{Value, cmd, from_redis_value};

use super::dialer::{Connection, DialError, Dialer};
use super::fault::Fault;
use crate::shared::config::Address;

/// Address of a node, or the way to find it.
#[derive(Debug)]
pub(super) enum Location {
    Fixed(Address),
    Sentinels { addresses: Vec<Address>, master: String, dialer: Dialer },
}

impl Location {
    pub(super) fn fixed(addresses: Vec<Address>) -> Self {
        let nowhere = || Address { host: String::new(), port: 0 };
        Self::Fixed(addresses.into_iter().next().unwrap_or_else(nowhere))
    }

    pub(super) fn sentinels(addresses: Vec<Address>, master: String, dialer: &Dialer) -> Self {
        Self::Sentinels { addresses, master, dialer: dialer.for_sentinels() }
    }

    /// Returns whether the address may change.
    pub(super) fn is_dynamic(&self) -> bool {
        matches!(self, Self::Sentinels { .. })
    }

    /// Returns the address. The first Sentinel that knows the master answers.
    pub(super) async fn resolve(&self) -> Result<Address, DialError> {
        match self {
            Self::Fixed(address) => Ok(address.clone()),
            Self::Sentinels { addresses, master, dialer } => {
                let mut last = None;
                for address in addresses {
                    match query(dialer, address, master).await {
                        Ok(found) => return Ok(found),
                        Err(error) => last = Some(error),
                    }
                }
                let none =
                    || DialError { fault: Fault::Connect, reason: "no Sentinel is configured".to_owned() };
                Err(last.unwrap_or_else(none))
            }
        }
    }

    /// Fails if the server that a Sentinel named is not a master, as during a failover.
    pub(super) async fn verify(&self, connection: &Connection) -> Result<(), DialError> {
        if !self.is_dynamic() {
            return Ok(());
        }
        match connection.send(&cmd("ROLE"), QUERY_TIMEOUT).await {
            Ok(Value::Array(role)) if !matches!(role.first(), Some(Value::BulkString(role)) if role == b"master") => {
                Err(DialError { fault: Fault::ReadOnly, reason: "the server is not a master yet".to_owned() })
            }
            // The user may lack the right; a write to a replica fails with READONLY.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Asks one Sentinel for the address of the master.
async fn query(dialer: &Dialer, sentinel: &Address, master: &str) -> Result<Address, DialError> {
    let connection = match dialer.connect(sentinel).await {
        // Sentinels often have no users.
        Err(error) if error.fault == Fault::Auth => dialer.without_credentials().connect(sentinel).await?,
        connected => connected?,
    };
    let failed =
        |reason: String| DialError { fault: Fault::Connect, reason: format!("{sentinel}: {reason}") };
    let mut command = cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(master);
    let reply = connection.send(&command, QUERY_TIMEOUT).await;
    let reply = reply.map_err(|fault| failed(format!("the Sentinel does not answer: {fault:?}")))?;
    let found = from_redis_value::<Option<(String, u16)>>(reply).ok().flatten();
    let (host, port) = found.ok_or_else(|| failed(format!("the Sentinel knows no master {master}")))?;
    Ok(Address { host, port })
}

const QUERY_TIMEOUT: Duration = Duration::from_secs(1);
