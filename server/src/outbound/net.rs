//! Which addresses may be reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Networks of version 4 that are not of the public internet.
const REFUSED_V4: [(Ipv4Addr, u8); 15] = [
    // This network, and this host.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Between a provider and its customers.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Of the link: clouds hand out credentials here.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocols' own, and the old relays of 6to4.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast; reserved, and broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The public internet of version 6.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What of that is not.
const REFUSED_V6: [(Ipv6Addr, u8); 4] = [
    // Protocols' own: Teredo, benchmarks, identifiers that are no addresses.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4: an address of version 4 in disguise.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];
/// An address of version 4 behind a translator (NAT64).
const TRANSLATED: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    bits: u8,
}

impl Net {
    /// Whether an address is in it. One of version 4 in the clothes of version 6 is what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(address)) => in_v4(address, (net, self.bits)),
            (IpAddr::V6(net), IpAddr::V6(address)) => in_v6(address, (net, self.bits)),
            _ => false,
        }
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Net, String> {
        let wrong = || {
            format!("`{text}` is no network: write an address, or one with a length: 10.20.0.0/16")
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.trim().parse().map_err(|_| wrong())?,
        };
        if bits > most {
            return Err(wrong());
        }
        Ok(Net { address, bits })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// What may be reached besides the public internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    allowed: Vec<Net>,
}

impl Rules {
    /// The public internet, and these networks, also without TLS.
    #[must_use]
    pub fn allowing(allowed: Vec<Net>) -> Rules {
        Rules { allowed }
    }

    /// Whether an address may be connected to, with TLS or without.
    #[must_use]
    pub fn permit(&self, address: IpAddr, is_plain: bool) -> bool {
        let allowed = self.allowed.iter().any(|net| net.contains(address));
        allowed || (!is_plain && is_public(address))
    }

    /// Whether any address may be connected to without TLS.
    #[must_use]
    pub fn permit_plain(&self) -> bool {
        !self.allowed.is_empty()
    }
}

/// Whether an address is one of the public internet.
#[must_use]
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if in_v6(address, TRANSLATED) => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => {
            in_v6(address, GLOBAL_V6) && !REFUSED_V6.iter().any(|net| in_v6(address, *net))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !REFUSED_V4.iter().any(|net| in_v4(address, *net))
}

fn in_v4(address: Ipv4Addr, (net, bits): (Ipv4Addr, u8)) -> bool {
    let differing = address.to_bits() ^ net.to_bits();
    differing.leading_zeros() >= u32::from(bits)
}

fn in_v6(address: Ipv6Addr, (net, bits): (Ipv6Addr, u8)) -> bool {
    let differing = address.to_bits() ^ net.to_bits();
    differing.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests;
