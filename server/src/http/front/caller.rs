//! Who calls, when a proxy stands between: what it says is believed of the proxies that are trusted,
//! and of nobody else.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderMap};
use ipnet::IpNet;

/// The proxies whose word is taken for who calls.
#[derive(Clone, Default)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Who calls: the nearest address that is no trusted proxy's. Each proxy appends the one that it
    /// was called from, so that all beyond that may be invented.
    #[must_use]
    pub fn caller(&self, peer: IpAddr, forwarded_for: &[&str]) -> IpAddr {
        let mut nearest = peer.to_canonical();
        let hops = forwarded_for.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops {
            if !self.trusts(nearest) {
                break;
            }
            match read_hop(hop) {
                Some(address) => nearest = address,
                None => break,
            }
        }
        nearest
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter()).finish()
    }
}

impl FromStr for Proxies {
    type Err = String;

    /// Addresses and networks, separated by commas: `127.0.0.1, 10.0.0.0/8, ::1`.
    fn from_str(given: &str) -> Result<Proxies, String> {
        let nets = given
            .split(',')
            .map(str::trim)
            .filter(|net| !net.is_empty());
        let read = |net: &str| {
            let alone = net.parse::<IpAddr>().map(IpNet::from);
            alone.or_else(|_| net.parse::<IpNet>()).map_err(|_| {
                format!("`{net}` is neither an address nor a network: write them like 10.0.0.7 or 10.0.0.0/8")
            })
        };
        Ok(Proxies(nets.map(read).collect::<Result<_, _>>()?))
    }
}

/// An address as proxies write it: alone, or with a port.
fn read_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let alone = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|at| at.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    alone
        .or_else(with_port)
        .or_else(bracketed)
        .map(|address: IpAddr| address.to_canonical())
}

/// Who calls. `None` where the connection has no address.
pub(crate) fn address_of(request: &HttpRequest, proxies: &Proxies) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    Some(proxies.caller(peer, &lines(request.headers(), "x-forwarded-for")))
}

/// The host that the caller's browser names, which a trusted proxy passes on when it asks by another.
pub(crate) fn host_of<'a>(request: &'a HttpRequest, proxies: &Proxies) -> Option<&'a str> {
    let headers = request.headers();
    let passed_on = request
        .peer_addr()
        .filter(|peer| proxies.trusts(peer.ip()))
        .and_then(|_| headers.get("x-forwarded-host")?.to_str().ok())
        .map(str::trim)
        .filter(|host| !host.is_empty());
    passed_on.or_else(|| headers.get(HOST)?.to_str().ok())
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .filter_map(|line| line.to_str().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let proxies: Proxies = trusted.parse().unwrap();
        proxies.caller(peer.parse().unwrap(), forwarded).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (trusted, peer, forwarded, expected) in [
            ("", "192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.0/8", "192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.0/8", "10.0.0.7", &["203.0.113.9"], "203.0.113.9"),
            (
                "10.0.0.0/8",
                "::ffff:10.0.0.7",
                &["203.0.113.9"],
                "203.0.113.9",
            ),
            // Two proxies; what stands before the caller's own address is invented.
            (
                "10.0.0.0/8",
                "10.0.0.7",
                &["1.1.1.1, 203.0.113.9, 10.9.9.9"],
                "203.0.113.9",
            ),
            (
                "10.0.0.0/8",
                "10.0.0.7",
                &["1.1.1.1", "203.0.113.9", "10.9.9.9"],
                "203.0.113.9",
            ),
            ("10.0.0.7", "10.0.0.7", &["203.0.113.9:4711"], "203.0.113.9"),
            ("::1", "::1", &["[2001:db8::9]:4711"], "2001:db8::9"),
            ("::1", "::1", &["[2001:db8::9]"], "2001:db8::9"),
            ("10.0.0.7", "10.0.0.7", &["unknown"], "10.0.0.7"),
            ("10.0.0.7", "10.0.0.7", &["203.0.113.9, junk"], "10.0.0.7"),
            ("10.0.0.7", "10.0.0.7", &[], "10.0.0.7"),
            ("10.0.0.0/8", "10.0.0.7", &["10.0.0.8"], "10.0.0.8"),
        ] {
            assert_eq!(
                caller(trusted, peer, forwarded),
                expected,
                "{trusted} {peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["10.0.0.0/33", "proxy.example.com", "10.0.0"] {
            let error = bad.parse::<Proxies>().unwrap_err();
            assert!(error.contains(bad), "{error}");
        }
        assert!("".parse::<Proxies>().unwrap().0.is_empty());
    }
}
