//! The server's certificate, read anew when its files change.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How often it is looked whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked whether to stop.
const STEP: Duration = Duration::from_millis(100);

/// Where a certificate and its key are, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that lead to a root which clients know.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// The certificate that is shown now.
pub struct Certificates {
    files: TlsFiles,
    shown: RwLock<Shown>,
}

struct Shown {
    certified: Arc<CertifiedKey>,
    /// What was in the files.
    read: (Vec<u8>, Vec<u8>),
}

impl Certificates {
    /// The certificate in these files.
    ///
    /// # Errors
    /// When they cannot be read, hold none, or do not belong together.
    pub fn read(files: TlsFiles) -> Result<Arc<Certificates>, TlsError> {
        let read = contents(&files)?;
        let certified = Arc::new(certified(&files, &read)?);
        let shown = RwLock::new(Shown { certified, read });
        Ok(Arc::new(Certificates { files, shown }))
    }

    /// Shows what is in the files now. Says whether that is another than before.
    ///
    /// # Errors
    /// When that cannot be used; the one before is shown on.
    pub fn read_again(&self) -> Result<bool, TlsError> {
        let read = contents(&self.files)?;
        if read
            == self
                .shown
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .read
        {
            return Ok(false);
        }
        let certified = Arc::new(certified(&self.files, &read)?);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Shown { certified, read };
        Ok(true)
    }

    /// Keeps up with the files as long as `running` says so: whoever renews a certificate need not
    /// tell the server.
    pub(crate) fn keep_current(&self, running: &AtomicBool) {
        let (mut looked, mut failing) = (Instant::now(), false);
        while running.load(Ordering::Relaxed) {
            thread::sleep(STEP);
            if looked.elapsed() < LOOK_EVERY {
                continue;
            }
            looked = Instant::now();
            match self.read_again() {
                Ok(true) => tracing::info!("another certificate is shown from now on"),
                Ok(false) => {}
                // Files that are just being written are whole at the next look.
                Err(error) if failing => {
                    tracing::warn!(%error, "the certificate of before is shown on")
                }
                Err(_) => {
                    failing = true;
                    continue;
                }
            }
            failing = false;
        }
    }

    /// How connections are secured: TLS 1.2 and 1.3, and nobody asks for clients' certificates.
    ///
    /// # Errors
    /// When this cannot be had of the cryptography that is part of the program.
    pub(crate) fn config(self: &Arc<Certificates>) -> io::Result<ServerConfig> {
        let shown: Arc<dyn ResolvesServerCert> = Arc::<Certificates>::clone(self);
        Ok(ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(shown))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown.certified))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.files).finish()
    }
}

/// Named, because another crate in the same program may have brought a second one along.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn contents(files: &TlsFiles) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| TlsError(format!("cannot read {}: {error}", path.display())))
    };
    Ok((read(&files.certificate)?, read(&files.key)?))
}

fn certified(
    files: &TlsFiles,
    (chain, key): &(Vec<u8>, Vec<u8>),
) -> Result<CertifiedKey, TlsError> {
    let place = files.certificate.display();
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError(format!("{place} holds no certificate in PEM: {error}")))?;
    if chain.is_empty() {
        return Err(TlsError(format!("{place} holds no certificate in PEM")));
    }
    let place = files.key.display();
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| TlsError(format!("{place} holds no private key in PEM")))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        TlsError(format!(
            "the key in {place} is not that of the certificate in {}: {error}",
            files.certificate.display()
        ))
    })
}
