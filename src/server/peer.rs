//! Peer of a connection: its address, and its certificate if the handshake verified one.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Peer of a connection. All requests of a connection share the certificate.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    certificate: Option<Arc<ClientCertificate>>,
}

/// Certificate of a caller, which the handshake has verified. Its name is read when a log line needs it.
struct ClientCertificate {
    der: CertificateDer<'static>,
    name: OnceLock<Option<Box<str>>>,
}

impl Peer {
    /// Creates the peer of a connection, with its certificate if `listen.tls.client_ca` requires one.
    pub(super) fn new(address: SocketAddr, certificate: Option<CertificateDer<'static>>) -> Self {
        let certificate = certificate.map(|der| Arc::new(ClientCertificate { der, name: OnceLock::new() }));
        Self { address, certificate }
    }

    /// Returns address and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Returns the name in the certificate: the first URI of its subject alternative names, else the first DNS name.
    pub fn certificate_name(&self) -> Option<&str> {
        let certificate = self.certificate.as_ref()?;
        certificate.name.get_or_init(|| read_name(&certificate.der)).as_deref()
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, certificate: None }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(..)")
    }
}

fn read_name(der: &CertificateDer<'_>) -> Option<Box<str>> {
    let certificate = EndEntityCert::try_from(der).ok()?;
    let name = certificate.valid_uri_names().chain(certificate.valid_dns_names()).next();
    name.map(Into::into)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn name(uris: &[&str], names: &[&str]) -> Option<String> {
        let mut params = CertificateParams::default();
        let dns = names.iter().map(|name| SanType::DnsName(Ia5String::try_from(*name).unwrap()));
        let uris = uris.iter().map(|uri| SanType::URI(Ia5String::try_from(*uri).unwrap()));
        params.subject_alt_names = dns.chain(uris).collect();
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        let peer = Peer::new((Ipv4Addr::LOCALHOST, 1).into(), Some(der));
        assert_eq!(peer.certificate_name(), peer.certificate_name());
        peer.certificate_name().map(ToOwned::to_owned)
    }

    #[test]
    fn the_first_uri_is_the_name_else_the_first_dns_name() {
        let uri = "spiffe://cluster.example/ns/shop/sa/checkout";
        assert_eq!(name(&[uri, "spiffe://other"], &["a.example"]).as_deref(), Some(uri));
        assert_eq!(name(&[], &["a.example", "b.example"]).as_deref(), Some("a.example"));
        assert_eq!(name(&[], &[]), None);
        assert_eq!(Peer::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))).certificate_name(), None);
    }
}
