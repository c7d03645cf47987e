//! Which addresses user-given endpoints may reach.
//!
//! The guard judges the address a connection is really made to, after resolving, so neither a DNS
//! answer that changes nor an odd spelling of an address (decimal, octal, hexadecimal) slips past.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the operator opens beyond the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedEndpoints {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// A host by the name users write, whatever it resolves to.
    Host { name: String, port: Option<u16> },
    /// Every address of a network; a single address is a network of one.
    Network { address: IpAddr, bits: u8, port: Option<u16> },
}

/// An entry of the allow-list that is none of its four forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a host, host:port, address or CIDR")]
pub struct InvalidEndpoint(String);

impl AllowedEndpoints {
    /// Reads a comma-separated list of `host`, `host:port`, `address`, `address:port`,
    /// `[v6]:port` or `network/bits`. Spaces and empty entries do not matter.
    ///
    /// # Errors
    /// An entry is none of these; nothing is guessed, since a wrong guess would open a door.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let entries = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| parse_entry(entry).ok_or_else(|| InvalidEndpoint(entry.to_owned())))
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Whether a connection to `address`, which `host` resolved to, may be made.
    pub(crate) fn permits(&self, host: &str, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        is_public(address.ip()) || self.entries.iter().any(|entry| entry.covers(host, ip, address.port()))
    }
}

impl Entry {
    fn covers(&self, host: &str, ip: IpAddr, port: u16) -> bool {
        let (matches, only) = match self {
            Self::Host { name, port } => (plain_host(host).eq_ignore_ascii_case(name), port),
            Self::Network { address, bits, port } => (same_network(*address, ip, *bits), port),
        };
        matches && only.is_none_or(|only| only == port)
    }
}

fn parse_entry(entry: &str) -> Option<Entry> {
    if let Some((address, bits)) = entry.split_once('/') {
        let address: IpAddr = address.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
        return Some(Entry::Network { address, bits, port: None });
    }
    let single = |address: IpAddr, port| Entry::Network { address, bits: width(address), port };
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
    let is_host = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    is_host.then(|| Entry::Host { name: plain_host(name).to_owned(), port })
}

/// A host name without the dot that marks it as complete.
fn plain_host(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn same_network(network: IpAddr, ip: IpAddr, bits: u8) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            let differing = u32::from(network) ^ u32::from(ip);
            differing.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            let differing = u128::from(network) ^ u128::from(ip);
            differing.leading_zeros() >= u32::from(bits)
        }
        _ => false,
    }
}

/// Networks of IPv4 that are not the public internet (IANA's special-purpose registry).
const CLOSED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network: Linux connects 0.0.0.0 to itself
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT, and some clouds' metadata
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, with the metadata service
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// The one block of IPv6 that is handed out for the public internet; loopback, mapped IPv4, NAT64,
/// unique-local, link-local and multicast all lie outside it.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks inside [`GLOBAL_V6`] that are not public all the same.
const CLOSED_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: carries any IPv4 address inside
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

fn is_public(ip: IpAddr) -> bool {
    let within = |(network, bits): (IpAddr, u8)| same_network(network, ip, bits);
    match ip {
        IpAddr::V4(_) => !CLOSED_V4.iter().any(|(network, bits)| within(((*network).into(), *bits))),
        IpAddr::V6(_) => {
            within((GLOBAL_V6.0.into(), GLOBAL_V6.1))
                && !CLOSED_V6.iter().any(|(network, bits)| within(((*network).into(), *bits)))
        }
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
    fn an_entry_opens_what_it_names_and_nothing_else() {
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
        assert!(permits("0.0.0.0/0", "x", "169.254.169.254:80"));
        assert!(permits("minio.lan", "MinIO.lan.", "10.0.0.7:9000"));
        assert!(permits(" , minio.lan:9000 ,", "minio.lan", "10.0.0.7:9000"));
        assert!(!permits("minio.lan:9000", "minio.lan", "10.0.0.7:9001"));
        assert!(!permits("minio.lan", "evil-minio.lan", "10.0.0.7:9000"));
    }

    #[test]
    fn an_entry_of_no_known_form_is_refused() {
        for entry in ["10.0.0.0/33", "10.0.0/8", "http://minio", "minio:port", "a b", "*", "::1/129", ":9000"] {
            assert!(AllowedEndpoints::parse(entry).is_err(), "{entry} must not parse");
        }
    }
}
