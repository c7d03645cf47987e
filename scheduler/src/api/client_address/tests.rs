use super::*;

fn client(header: ForwardedHeader, trusted: &str, peer: &str, values: &[impl AsRef<[u8]>]) -> String {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header.name(), HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    let proxies = TrustedProxies::new(trusted.parse().unwrap(), header);
    proxies.client(peer.parse().unwrap(), &headers).to_string()
}

#[test]
fn the_header_counts_only_if_it_comes_from_a_trusted_proxy() {
    let of = |trusted: &str, peer: &str, values: &[&str]| client(ForwardedHeader::XForwardedFor, trusted, peer, values);
    assert_eq!(of("", "203.0.113.9", &["192.0.2.1"]), "203.0.113.9");
    assert_eq!(of("10.0.0.0/8", "203.0.113.9", &["192.0.2.1"]), "203.0.113.9");
    assert_eq!(of("10.0.0.0/8", "10.0.0.7", &["192.0.2.1"]), "192.0.2.1");
    assert_eq!(of("10.0.0.7", "10.0.0.7", &[]), "10.0.0.7", "a request of the proxy itself");
    assert_eq!(of("10.0.0.0/8", "::ffff:10.0.0.7", &["192.0.2.1"]), "192.0.2.1");
}

#[test]
fn what_the_client_itself_wrote_into_the_header_does_not_count() {
    let of = |values: &[&str]| client(ForwardedHeader::XForwardedFor, "10.0.0.0/8", "10.0.0.7", values);
    assert_eq!(of(&["198.51.100.5, 192.0.2.1"]), "192.0.2.1");
    assert_eq!(of(&["198.51.100.5", "192.0.2.1, 10.0.0.8"]), "192.0.2.1", "behind two proxies");
    assert_eq!(of(&["198.51.100.5, unknown, 10.0.0.8"]), "10.0.0.8");
    assert_eq!(of(&["\"198.51.100.5, 192.0.2.1"]), "192.0.2.1");
    assert_eq!(of(&[&["10.0.0.8"; 99].join(",")]), "10.0.0.8");
}

/// Goal: a byte that is not ASCII neither hides the client nor lets it choose an address. Method: such bytes in the line
/// that the proxy lengthens, in a separate line, and in the proxy's entry.
#[test]
fn a_byte_that_is_not_ascii_hides_no_entry_behind_it_and_ends_the_chain() {
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        let start = if header == ForwardedHeader::Forwarded { "for=" } else { "" };
        let of = |values: &[Vec<u8>]| client(header, "10.0.0.0/8", "10.0.0.7", values);
        let entry = |address: &str| format!("{start}{address}").into_bytes();
        for odd in [&b"\xff"[..], "\u{e9}".as_bytes(), b"\xff\t\""] {
            let lengthened = [odd, b", ", entry("203.0.113.9").as_slice()].concat();
            assert_eq!(of(&[lengthened]), "203.0.113.9", "{header:?} {odd:?}");
            assert_eq!(of(&[odd.to_vec(), entry("203.0.113.9")]), "203.0.113.9", "{header:?} {odd:?}");
            assert_eq!(of(&[entry("6.6.6.6"), odd.to_vec()]), "10.0.0.7", "{header:?} {odd:?}");
            let altered = [entry("6.6.6.6").as_slice(), odd].concat();
            assert_eq!(of(&[entry("6.6.6.6"), altered]), "10.0.0.7", "{header:?} {odd:?}");
        }
    }
}

#[test]
fn ports_brackets_and_the_standard_header_are_read() {
    let of = |value: &str| client(ForwardedHeader::XForwardedFor, "10.0.0.7", "10.0.0.7", &[value]);
    for (value, address) in [
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:", "192.0.2.1"),
        ("", "10.0.0.7"),
        ("[", "10.0.0.7"),
    ] {
        assert_eq!(of(value), address, "{value}");
    }
    let of = |value: &str| client(ForwardedHeader::Forwarded, "10.0.0.7", "10.0.0.7", &[value]);
    assert_eq!(of("for=198.51.100.5, proto=https;For=\"[2001:db8::1]:4711\";by=10.0.0.7"), "2001:db8::1");
    assert_eq!(of("for=192.0.2.1, proto=https"), "10.0.0.7");
    assert_eq!(of("for=_hidden"), "10.0.0.7");
}

#[test]
fn an_address_finds_its_denials_under_the_network_that_the_audit_shows() {
    let texts = |text: &str| AuditedAddress::try_from(text.to_owned()).map(|address| address.0);
    let denied = |text: &str| ClientAddress(Some(text.parse().unwrap())).network().to_network_text().unwrap();
    for address in ["192.0.2.1", "2001:db8::7", "2001:DB8:0::7", "::ffff:192.0.2.1", "fe80::1"] {
        assert!(texts(address).unwrap().contains(&denied(address)), "{address}");
    }
    assert_eq!(texts("2001:db8::7").unwrap(), ["2001:db8::7", "2001:db8::/64"]);
    for network in ["2001:db8::/64", "2001:db8::7/64"] {
        assert_eq!(texts(network).unwrap(), ["2001:db8::/64"]);
    }
    for wrong in ["", "here", "2001:db8::/48", "10.0.0.0/8", "192.0.2.1/32", "192.0.2.1/64", "2001:db8::/129"] {
        assert_eq!(texts(wrong), Err(InvalidAddress), "{wrong}");
    }
}

#[test]
fn wrong_settings_are_refused() {
    for wrong in ["10.0.0.0/33", "proxy.lan", "10.0.0.7:80", "*"] {
        assert!(wrong.parse::<Networks>().is_err(), "{wrong}");
    }
    assert_eq!("FORWARDED".parse::<ForwardedHeader>().unwrap(), ForwardedHeader::Forwarded);
    assert!("X-Real-IP".parse::<ForwardedHeader>().is_err());
}
