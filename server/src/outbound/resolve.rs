//! From a name to the addresses that may be connected to.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::outbound::net::Rules;
use crate::outbound::target::literal;

/// The most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 8;
/// The most names that are being looked up: the system's resolver cannot be told to stop.
const MOST_LOOKUPS: usize = 64;
/// How long a name is looked up where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(3);

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// Finds the addresses of a name.
pub type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// As the system does it.
#[must_use]
pub fn system_lookup() -> Lookup {
    Arc::new(|host| {
        let found = (host, 0).to_socket_addrs()?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

/// Why an address is not connected to.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "refused: its name leads to a machine or network that is not public, or that is not \
             allowed without TLS (--webhook-allow)",
        )
    }
}

impl std::error::Error for Refused {}

/// Gives the addresses of a name that the rules permit.
pub(super) struct Checked {
    rules: Arc<Rules>,
    lookup: Lookup,
}

impl Checked {
    pub(super) fn new(rules: Arc<Rules>, lookup: Lookup) -> Checked {
        Checked { rules, lookup }
    }

    fn addresses(&self, host: &str, patience: Duration) -> Result<Vec<IpAddr>, Error> {
        if let Ok(Some(address)) = literal(host) {
            return Ok(vec![address]);
        }
        if LOOKUPS.load(Ordering::Relaxed) >= MOST_LOOKUPS {
            return Err(Error::Timeout(ureq::Timeout::Resolve));
        }
        let (found, answer) = mpsc::sync_channel(1);
        let (lookup, host) = (Arc::clone(&self.lookup), host.to_owned());
        LOOKUPS.fetch_add(1, Ordering::Relaxed);
        let started = thread::Builder::new()
            .name("switchover-names".to_owned())
            .spawn(move || {
                // Nobody waits any more when it took too long.
                let _ = found.send(lookup(&host));
                LOOKUPS.fetch_sub(1, Ordering::Relaxed);
            });
        if let Err(error) = started {
            LOOKUPS.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Io(error));
        }
        match answer.recv_timeout(patience) {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(_)) => Err(Error::HostNotFound),
            Err(_) => Err(Error::Timeout(ureq::Timeout::Resolve)),
        }
    }
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let is_plain = uri.scheme_str() != Some("https");
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let patience = PATIENCE.min(*timeout.after);
        let addresses = self.addresses(host, patience)?;
        if addresses.is_empty() {
            return Err(Error::HostNotFound);
        }
        let mut permitted = self.empty();
        let passing = addresses
            .into_iter()
            .filter(|address| self.rules.permit(*address, is_plain));
        for address in passing.take(MOST_ADDRESSES) {
            permitted.push(SocketAddr::new(address, port));
        }
        if permitted.is_empty() {
            return Err(Error::Other(Box::new(Refused)));
        }
        Ok(permitted)
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
