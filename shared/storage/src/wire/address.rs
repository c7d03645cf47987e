//! Decides which addresses user-given endpoints may reach.
//!
//! The guard checks the address of the connection itself, after resolving, so neither a DNS answer that changes nor an
//! odd spelling of an address (decimal, octal, hexadecimal) bypasses it. The arithmetic of networks is `ipnet`'s; which
//! networks are closed is decided here.

use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::metadata_service::{serves_metadata, serves_only_metadata};
use super::network::{v4, v6};
use crate::names;

/// What the operator opens beyond the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedEndpoints {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// A host, by the name that users write, with any address.
    Host { name: String, port: Option<u16> },
    /// Every address of a network; a single address is a network of one.
    Network { network: IpNet, port: Option<u16> },
}

/// An entry of the allow list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It has none of the supported forms.
    #[error("\"{0}\" is not a host, host:port, address or CIDR")]
    Form(String),
    /// It names only addresses of metadata services.
    #[error("\"{0}\" is the address of a cloud's metadata service, which stays blocked. Remove it")]
    MetadataService(String),
}

impl AllowedEndpoints {
    /// Parses a comma-separated list of `host`, `host:port`, `address`, `address:port`, `[v6]:port` or
    /// `network/bits`. Spaces and empty entries are ignored.
    ///
    /// # Errors
    /// An entry has none of these forms, because a guess could allow too much; or it names a metadata service, which no
    /// entry opens.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let entries = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| match parse_entry(entry) {
                None => Err(InvalidEndpoint::Form(entry.to_owned())),
                Some(Entry::Network { network, .. }) if serves_only_metadata(&network) => {
                    Err(InvalidEndpoint::MetadataService(entry.to_owned()))
                }
                Some(entry) => Ok(entry),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Whether a connection to `address`, one of the addresses of `host`, is allowed. Metadata services never are.
    pub(crate) fn permits(&self, host: &str, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        if serves_metadata(ip) {
            return false;
        }
        is_public(address.ip()) || self.entries.iter().any(|entry| entry.covers(host, ip, address.port()))
    }
}

impl Entry {
    fn covers(&self, host: &str, ip: IpAddr, port: u16) -> bool {
        let (matches, only) = match self {
            Self::Host { name, port } => (without_trailing_dot(host).eq_ignore_ascii_case(name), port),
            Self::Network { network, port } => (network.contains(&ip), port),
        };
        matches && only.is_none_or(|only| only == port)
    }
}

fn parse_entry(entry: &str) -> Option<Entry> {
    if let Some((address, bits)) = entry.split_once('/') {
        let network = IpNet::new(address.parse().ok()?, bits.parse().ok()?).ok()?;
        return Some(Entry::Network { network, port: None });
    }
    let single = |address: IpAddr, port| Entry::Network { network: address.into(), port };
    if let Ok(address) = entry.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some(single(address, None));
    }
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some(single(address.ip(), Some(address.port())));
    }
    let (name, port) = match entry.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    names::is_host(name).then(|| Entry::Host { name: without_trailing_dot(name).to_owned(), port })
}

/// A host name without the trailing dot of a fully qualified name.
fn without_trailing_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// Networks of IPv4 that are not the public internet (IANA's special-purpose registry).
const CLOSED_V4: &[Ipv4Net] = &[
    v4([0, 0, 0, 0], 8),       // this network: Linux connects 0.0.0.0 to itself
    v4([10, 0, 0, 0], 8),      // private
    v4([100, 64, 0, 0], 10),   // carrier-grade NAT, and some clouds' metadata
    v4([127, 0, 0, 0], 8),     // loopback
    v4([169, 254, 0, 0], 16),  // link-local, with the metadata service
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments
    v4([192, 0, 2, 0], 24),    // documentation
    v4([192, 88, 99, 0], 24),  // 6to4 relays
    v4([192, 168, 0, 0], 16),  // private
    v4([198, 18, 0, 0], 15),   // benchmarking
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 4),     // multicast
    v4([240, 0, 0, 0], 4),     // reserved, broadcast
];

/// The one block of IPv6 that is handed out for the public internet; loopback, mapped IPv4, NAT64,
/// unique-local, link-local and multicast all lie outside it.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Networks inside [`GLOBAL_V6`] that are not public all the same.
const CLOSED_V6: &[Ipv6Net] = &[
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),     // protocol assignments, Teredo
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),     // 6to4: carries any IPv4 address inside
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),     // documentation
];

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !CLOSED_V4.iter().any(|network| network.contains(&ip)),
        IpAddr::V6(ip) => GLOBAL_V6.contains(&ip) && !CLOSED_V6.iter().any(|network| network.contains(&ip)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(allowed: &str, host: &str, address: &str) -> bool {
        AllowedEndpoints::parse(allowed).unwrap().permits(host, address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_open_by_default() {
        let closed = "0.0.0.0 10.1.2.3 100.64.0.1 100.127.255.255 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 \
            172.31.255.255 192.0.0.170 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 \
            203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 \
            ::ffff:169.254.169.254 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 fc00::1 \
            fd00:ec2::254 fe80::1 fec0::1 ff02::1 2001::1 2001:db8::1 2002:7f00:1::1 3fff::1 4000::1";
        for ip in closed.split_whitespace() {
            let address = SocketAddr::new(ip.parse().unwrap(), 443);
            assert!(!AllowedEndpoints::default().permits("host", address), "{ip} must be refused");
        }
        let open = "8.8.8.8 52.216.1.1 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 198.17.0.1 198.20.0.1 \
            223.255.255.255 2600:1fa0::1 2a00:1450::1 2606:4700::1 2001:4860::1";
        for ip in open.split_whitespace() {
            let address = SocketAddr::new(ip.parse().unwrap(), 443);
            assert!(AllowedEndpoints::default().permits("host", address), "{ip} must be reachable");
        }
    }

    #[test]
    fn an_entry_allows_only_what_it_names() {
        assert!(permits("127.0.0.1", "x", "127.0.0.1:9000"));
        assert!(!permits("127.0.0.1", "x", "127.0.0.2:9000"));
        assert!(permits("127.0.0.1:9000", "x", "127.0.0.1:9000"));
        assert!(!permits("127.0.0.1:9000", "x", "127.0.0.1:9001"));
        assert!(permits("10.0.0.0/8", "x", "10.255.0.1:80"));
        assert!(permits("10.0.0.0/8", "x", "[::ffff:10.0.0.1]:80"));
        assert!(!permits("10.0.0.0/8", "x", "11.0.0.1:80") || is_public("11.0.0.1".parse().unwrap()));
        assert!(!permits("10.1.0.0/16", "x", "10.2.0.1:80"));
        assert!(permits("fd00::/8, 10.0.0.0/8", "x", "[fd12::1]:80"));
        assert!(permits("[::1]:9000", "x", "[::1]:9000"));
        assert!(permits("minio.lan", "MinIO.lan.", "10.0.0.7:9000"));
        assert!(permits(" , minio.lan:9000 ,", "minio.lan", "10.0.0.7:9000"));
        assert!(!permits("minio.lan:9000", "minio.lan", "10.0.0.7:9001"));
        assert!(!permits("minio.lan", "evil-minio.lan", "10.0.0.7:9000"));
    }

    #[test]
    fn no_entry_opens_a_metadata_service() {
        let all = "0.0.0.0/0, ::/0, metadata.test, 100.64.0.0/10, 168.63.0.0/16, fd00::/8, 169.254.0.0/15";
        for ip in [
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:168.63.129.16",
            "64:ff9b::a9fe:a9fe",
        ] {
            let address = SocketAddr::new(ip.parse().unwrap(), 80);
            for allowed in ["", all] {
                let allowed = AllowedEndpoints::parse(allowed).unwrap();
                assert!(!allowed.permits("metadata.test", address), "{ip}");
            }
        }
        // Their neighbors are open, as the entries say.
        assert!(permits(all, "x", "100.100.100.201:80") && permits(all, "x", "[fd12::1]:80"));
        for entry in ["169.254.169.254", "169.254.169.254:80", "168.63.129.16", "169.254.0.0/16", "[fd00:ec2::254]:80"]
        {
            let error = AllowedEndpoints::parse(&format!("10.0.0.1, {entry}")).unwrap_err();
            assert_eq!(error, InvalidEndpoint::MetadataService(entry.to_owned()));
        }
    }

    #[test]
    fn an_entry_of_an_unknown_form_is_refused() {
        for entry in ["10.0.0.0/33", "10.0.0/8", "http://minio", "minio:port", "a b", "*", "::1/129", ":9000"] {
            assert!(AllowedEndpoints::parse(entry).is_err(), "{entry} must not parse");
        }
    }
}
