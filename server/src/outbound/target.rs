//! An address as somebody gives it: read, and refused at once where it can only be wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::http::Uri;

use crate::outbound::net::Rules;

/// The longest address, in bytes.
const LONGEST: usize = 2_000;

/// An address that may be tried. Where its name leads is judged when it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none, or one that is never reached; the text says what would be right, and repeats
    /// nothing of it.
    pub fn read(text: &str, rules: &Rules) -> Result<Target, String> {
        if text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "is an address of at most {LONGEST} printable ASCII characters, without blanks"
            ));
        }
        if text.contains('#') {
            return Err("has a fragment, which is never sent: leave it out".to_owned());
        }
        let uri: Uri = text
            .parse()
            .map_err(|_| "is an address such as https://example.com/hook".to_owned())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("is an address such as https://example.com/hook".to_owned());
        };
        if authority.as_str().contains('@') {
            return Err(
                "holds a name or password before the host: put what the receiver needs into its path"
                    .to_owned(),
            );
        }
        let is_plain = match scheme {
            "https" => false,
            "http" if rules.permit_plain() => true,
            _ => {
                return Err(
                    "begins with https://; http:// is for networks that the server's operator \
                     allows (--webhook-allow)"
                        .to_owned(),
                );
            }
        };
        let behind_host = authority.as_str().get(authority.host().len()..);
        let names_port = behind_host.is_some_and(|rest| !rest.is_empty());
        // `+443` is read as a number, and is none in an address.
        let port = behind_host.unwrap_or_default().trim_start_matches(':');
        let is_number = port.bytes().all(|b| b.is_ascii_digit());
        if names_port && (!is_number || authority.port_u16().is_none_or(|port| port == 0)) {
            return Err("names no port that can be reached".to_owned());
        }
        match literal(authority.host())? {
            Some(address) if !rules.permit(address, is_plain) => Err(
                "is the address of a machine or network that is not public: the server's operator \
                 can allow it (--webhook-allow)"
                    .to_owned(),
            ),
            _ => Ok(Target(text.to_owned())),
        }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(…)")
    }
}

/// The address that a host is, when it is one and no name. Resolvers take `127.1`, `0x7f000001` and
/// `2130706433` for addresses too: nobody writes them who means well.
pub(super) fn literal(host: &str) -> Result<Option<IpAddr>, String> {
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        let address = inner.parse::<Ipv6Addr>();
        return address
            .map(|address| Some(IpAddr::V6(address)))
            .map_err(|_| "has no address between its brackets".to_owned());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Some(IpAddr::V4(address)));
    }
    let last = host.trim_end_matches('.').rsplit('.').next();
    let last = last.unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let is_hex = last
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    if is_number || is_hex {
        return Err("has a host that ends in a number: write an address as four numbers from 0 to 255, with dots between them".to_owned());
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if last.is_empty() || host.len() > 253 || !host.bytes().all(legal) {
        return Err("has a host that is no name".to_owned());
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
