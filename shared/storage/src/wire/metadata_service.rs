//! The addresses of the clouds' metadata services. No entry of the allow list opens them.
//!
//! These services give credentials and settings of the machine to every process on it, so no user-given endpoint may
//! lead there. An operator who allows a whole network, or a host name whose addresses others control, does not mean
//! them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::network::{v4, v6};

/// Addresses of IPv4. Some are public as far as their network goes.
const DENIED_V4: &[Ipv4Net] = &[
    // Link-local, where nearly all clouds have it: 169.254.169.254 (AWS, Azure, Google, Oracle, OpenStack and others),
    // 169.254.170.2 and .23 (containers of AWS), 169.254.169.252 (GKE), 169.254.42.42 (Scaleway), 169.254.0.23
    // (Tencent). No object storage is there.
    v4([169, 254, 0, 0], 16),
    // Azure's WireServer, a public address: learn.microsoft.com, "What is IP address 168.63.129.16?".
    v4([168, 63, 129, 16], 32),
    // Alibaba Cloud, within carrier-grade NAT: alibabacloud.com, "Access instance metadata".
    v4([100, 100, 100, 200], 32),
    // Oracle Cloud at Customer and Classic: docs.oracle.com, "Retrieve Predefined Instance Metadata".
    v4([192, 0, 0, 192], 32),
];

/// Addresses of IPv6. All but the first are unique local addresses, as private networks have them.
const DENIED_V6: &[Ipv6Net] = &[
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), // link-local: fe80::a9fe:a9fe (OpenStack, Akamai)
    // AWS's own services: fd00:ec2::254 (metadata), fd00:ec2::23 (EKS): docs.aws.amazon.com, "Access instance metadata".
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
    // Google Cloud: cloud.google.com, "About VM metadata".
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
    // Oracle Cloud: docs.oracle.com, "Getting Instance Metadata".
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
    // Scaleway and Akamai: cloudinit.readthedocs.io, the data sources of these names.
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128),
    // Alibaba Cloud: alibabacloud.com, "Access instance metadata".
    v6([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200], 128),
];

/// NAT64 with the well-known prefix (RFC 6052), and the networks for local use (RFC 8215), whose prefix may have any
/// of the standard's lengths.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const LOCAL_NAT64: Ipv6Net = v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48);

const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);

/// Where the bytes of an IPv4 address are in one of IPv6.
type Places = [usize; 4];

const LAST: Places = [12, 13, 14, 15];

/// Whether a metadata service has this address, or the IPv4 address inside it.
pub(super) fn serves_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => serves_metadata_v4(ip),
        IpAddr::V6(ip) => {
            DENIED_V6.iter().any(|network| network.contains(&ip)) || embedded_v4(ip).any(serves_metadata_v4)
        }
    }
}

/// Whether metadata services alone have addresses of this network.
pub(super) fn serves_only_metadata(network: &ipnet::IpNet) -> bool {
    match network {
        ipnet::IpNet::V4(network) => DENIED_V4.iter().any(|denied| denied.contains(network)),
        ipnet::IpNet::V6(network) if network.prefix_len() == 128 => serves_metadata(network.addr().into()),
        ipnet::IpNet::V6(network) => DENIED_V6.iter().any(|denied| denied.contains(network)),
    }
}

fn serves_metadata_v4(ip: Ipv4Addr) -> bool {
    DENIED_V4.iter().any(|network| network.contains(&ip))
}

/// The IPv4 addresses that an address of IPv6 may stand for: routers and operating systems translate these forms.
fn embedded_v4(ip: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let bytes = ip.octets();
    let mut places: Vec<Places> = Vec::new();
    // Compatible (`::1.2.3.4`), mapped (`::ffff:1.2.3.4`) and translated (`::ffff:0:1.2.3.4`).
    if bytes[..8] == [0; 8] || NAT64.contains(&ip) {
        places.push(LAST);
    }
    if LOCAL_NAT64.contains(&ip) {
        // Byte 8 is always zero.
        places.extend([[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], LAST]);
    }
    if SIX_TO_FOUR.contains(&ip) {
        places.push([2, 3, 4, 5]);
    }
    if TEREDO.contains(&ip) {
        places.push([4, 5, 6, 7]);
    }
    // ISATAP: `5efe` before the address, in any network.
    if matches!(bytes[8..12], [0 | 2, 0, 0x5e, 0xfe]) {
        places.push(LAST);
    }
    // Teredo inverts the bits of the client.
    let client = TEREDO.contains(&ip).then(|| Ipv4Addr::from(LAST.map(|place| !bytes[place])));
    places.into_iter().map(move |places| Ipv4Addr::from(places.map(|place| bytes[place]))).chain(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_found_in_every_form_and_their_neighbors_are_not() {
        let metadata = "169.254.169.254 169.254.170.2 169.254.0.23 168.63.129.16 100.100.100.200 192.0.0.192 \
            fe80::a9fe:a9fe fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42 fd00:a9fe:a9fe::1 \
            fd00:100::100:200 ::ffff:168.63.129.16 ::168.63.129.16 ::ffff:0:168.63.129.16 64:ff9b::a83f:8110 \
            64:ff9b:1:a83f:81:1000:: 64:ff9b:1:a8:3f:8110:: 64:ff9b:1:0:a8:3f81:1000:0 64:ff9b:1::a83f:8110 \
            2002:a83f:8110::1 2001:0:a83f:8110::1 2001::57c0:7eef fd12::5efe:168.63.129.16 2600::200:5efe:a9fe:a9fe";
        for ip in metadata.split_whitespace() {
            assert!(serves_metadata(ip.parse().unwrap()), "{ip}");
        }
        let others = "168.63.129.15 168.63.129.17 100.100.100.201 192.0.0.193 169.253.255.255 10.0.0.1 127.0.0.1 8.8.8.8 \
            ::1 fd00:ec1::254 fd20:ce::255 fd00:42::43 fd12::1 2002:7f00:1::1 64:ff9b::7f00:1 2600:1fa0::1 \
            2600::a83f:8110";
        for ip in others.split_whitespace() {
            assert!(!serves_metadata(ip.parse().unwrap()), "{ip}");
        }
    }
}
