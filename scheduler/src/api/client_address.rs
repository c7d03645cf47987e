//! The address of the client of a request, for the audit and for limits on what is written there.
//!
//! It is the address of the socket, unless that is a reverse proxy that the operator trusts: then the proxy's header
//! names the client. Other clients could write any address into that header, so it is not read from them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use longshore_telemetry::{ClientConnection, client_network};
use serde::Deserialize;

use super::ApiState;

/// The most entries of the header that are read. A request rarely passes more than three proxies.
const MOST_PROXIES: usize = 32;

/// The bits of an IPv6 address that name the network of one client, as in [`client_network`].
const IPV6_NETWORK_BITS: u8 = 64;

/// The address of a client. `None` only in tests without sockets. An extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl ClientAddress {
    /// The address as text, for the audit.
    pub(crate) fn to_text(self) -> Option<String> {
        self.0.map(|address| address.to_string())
    }

    /// The network that counts as one client as text, for the audit and the log of denials: `192.0.2.1` or `2001:db8::/64`.
    pub(crate) fn to_network_text(self) -> Option<String> {
        self.network().0.map(|network| match network {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(network) => format!("{network}/{IPV6_NETWORK_BITS}"),
        })
    }

    /// The network that counts as one client: an IPv4 address, or 64 bits of an IPv6 address.
    pub(crate) fn network(self) -> Self {
        Self(self.0.map(client_network))
    }
}

/// The texts under which the audit may show a client: its address, or the network that counts as one client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct AuditedAddress(Vec<String>);

impl AuditedAddress {
    pub(super) fn texts(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<String> for AuditedAddress {
    type Error = InvalidAddress;

    /// Reads an address, or a network as the audit shows it.
    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let address = ClientAddress(Some(address.to_canonical()));
            // They are the same for IPv4.
            return Ok(Self([address.to_text(), address.to_network_text()].into_iter().flatten().collect()));
        }
        let network: IpNet = text.parse().map_err(|_| InvalidAddress)?;
        let is_shown = matches!(network, IpNet::V6(_)) && network.prefix_len() == IPV6_NETWORK_BITS;
        let shown = ClientAddress(Some(network.addr())).to_network_text().filter(|_| is_shown);
        Ok(Self(vec![shown.ok_or(InvalidAddress)?]))
    }
}

/// A text that names neither an address nor a network that the audit shows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address such as 192.0.2.1 or 2001:db8::1, or a network such as 2001:db8::/64, is required")]
pub(super) struct InvalidAddress;

/// Attaches the client's address to each request.
pub(super) async fn attach_address(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ClientConnection>().map(ClientConnection::address);
    let client = peer.map(|peer| state.proxies.client(peer, request.headers()));
    request.extensions_mut().insert(ClientAddress(client));
    next.run(request).await
}

/// The reverse proxies that the operator trusts, and the header in which they name their clients.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Networks,
    header: ForwardedHeader,
}

impl TrustedProxies {
    pub fn new(networks: Networks, header: ForwardedHeader) -> Self {
        Self { networks, header }
    }

    /// The client of a request that came from `peer`. Each proxy adds its client at the end, so the last address that
    /// is no trusted proxy is the client.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.networks.contain(client) {
            return client;
        }
        let values = headers.get_all(self.header.name());
        let values: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
        // Split as bytes: in a line that the proxy has lengthened, the client may have written any byte.
        let entries = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        for entry in entries.take(MOST_PROXIES) {
            // A name, an unknown address or another text ends the chain: what stands before it cannot be checked.
            let entry = str::from_utf8(entry).ok().filter(|entry| entry.is_ascii());
            let Some(address) = entry.and_then(|entry| self.header.address(entry)) else { break };
            client = address;
            if !self.networks.contain(client) {
                break;
            }
        }
        client
    }
}

/// Addresses and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = InvalidNetwork;

    /// Parses a list such as `10.0.0.7,fd00::/8`.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let read = |entry: &str| {
            let address = entry.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            address.or_else(|_| entry.parse()).map_err(|_| InvalidNetwork(entry.to_owned()))
        };
        entries.map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// An entry that is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not an address such as 10.0.0.7, nor a network such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

/// The header in which proxies name their clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 192.0.2.1, 10.0.0.7`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"`, as in RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => header::FORWARDED,
        }
    }

    /// The address in one entry of the header.
    fn address(self, entry: &str) -> Option<IpAddr> {
        let node = match self {
            Self::XForwardedFor => entry,
            Self::Forwarded => entry.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then_some(value)
            })?,
        };
        address_of(node.trim().trim_matches('"'))
    }
}

impl FromStr for ForwardedHeader {
    type Err = UnknownHeader;

    fn from_str(text: &str) -> Result<Self, UnknownHeader> {
        let all = [Self::XForwardedFor, Self::Forwarded];
        all.into_iter().find(|header| header.name().as_str().eq_ignore_ascii_case(text.trim())).ok_or(UnknownHeader)
    }
}

/// A header that Longshore does not read.
#[derive(Debug)]
pub struct UnknownHeader;

impl fmt::Display for UnknownHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it must be X-Forwarded-For or Forwarded")
    }
}

/// An address with or without a port, and with or without brackets if it is an IPv6 address.
fn address_of(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let without_port = || text.rsplit_once(':').map_or(text, |(address, _)| address);
    let address = bracketed.unwrap_or(text).parse::<IpAddr>().or_else(|_| without_port().parse());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
