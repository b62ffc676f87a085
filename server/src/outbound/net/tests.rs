use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_is_not_of_the_public_internet_is_refused() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::1",
        "2001:2::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "3fff:fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(ip(address)), "{address}");
        assert!(!Rules::default().permit(ip(address), false), "{address}");
    }
}

#[test]
fn the_public_internet_is_reached_with_tls_alone() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2001:200::1",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
    ] {
        let rules = Rules::default();
        assert!(rules.permit(ip(address), false), "{address}");
        assert!(!rules.permit(ip(address), true), "{address}");
    }
}

#[test]
fn what_is_allowed_is_reached_also_without_tls_and_nothing_beside_it() {
    let nets = ["10.20.0.0/16", "127.0.0.1", "fd00:1::/32"];
    let rules = Rules::allowing(nets.iter().map(|net| net.parse().unwrap()).collect());
    for (address, expected) in [
        ("10.20.0.1", true),
        ("10.20.255.255", true),
        ("::ffff:10.20.0.1", true),
        ("10.21.0.0", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("fd00:1::7", true),
        ("fd00:2::7", false),
        ("::1", false),
        // Public, but not without TLS.
        ("8.8.8.8", false),
    ] {
        assert_eq!(rules.permit(ip(address), true), expected, "{address}");
    }
    assert!(rules.permit(ip("8.8.8.8"), false));
}

#[test]
fn networks_are_read_or_refused() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        (" 127.0.0.1 ", "127.0.0.1/32"),
        ("::/0", "::/0"),
        ("fd00::/8", "fd00::/8"),
    ] {
        assert_eq!(text.parse::<Net>().unwrap().to_string(), shown);
    }
    for text in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "example.com",
        "10.0.0.0/",
        "1/-1",
    ] {
        assert!(text.parse::<Net>().is_err(), "{text}");
    }
}

proptest! {
    /// What holds of an address of version 4 holds of it in each of its disguises, or the disguise is
    /// refused.
    #[test]
    fn no_disguise_helps(bits: u32) {
        let plain = Ipv4Addr::from_bits(bits);
        let is = is_public(IpAddr::V4(plain));
        prop_assert_eq!(is_public(IpAddr::V6(plain.to_ipv6_mapped())), is);
        let [a, b, c, d] = plain.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let translated = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
        prop_assert_eq!(is_public(IpAddr::V6(translated)), is);
        for disguised in [
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
        ] {
            prop_assert!(!is_public(IpAddr::V6(disguised)), "{}", disguised);
        }
    }

    /// Held against what the standard library knows by itself.
    #[test]
    fn nothing_that_the_library_calls_local_is_public(bits: u32, wide: u128) {
        let four = Ipv4Addr::from_bits(bits);
        if four.is_private() || four.is_loopback() || four.is_link_local() || four.is_multicast()
            || four.is_broadcast() || four.is_documentation() || four.is_unspecified()
        {
            prop_assert!(!is_public(IpAddr::V4(four)));
        }
        let six = Ipv6Addr::from_bits(wide);
        if six.is_loopback() || six.is_multicast() || six.is_unspecified()
            || six.is_unique_local() || six.is_unicast_link_local()
        {
            prop_assert!(!is_public(IpAddr::V6(six)));
        }
    }

    /// A network has exactly the addresses that share its first bits.
    #[test]
    fn a_network_is_its_first_bits(net: u32, address: u32, bits in 0_u8..=32) {
        let text = format!("{}/{bits}", Ipv4Addr::from_bits(net));
        let read: Net = text.parse().unwrap();
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let expected = net & mask == address & mask;
        prop_assert_eq!(read.contains(IpAddr::V4(Ipv4Addr::from_bits(address))), expected);
    }
}
