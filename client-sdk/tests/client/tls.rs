//! Servers behind TLS, with certificates made for the occasion.

use std::io::{Read, Write, copy};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use switchover::Path;
use tracing::Level;

use crate::server::{Server, eventually, pace};
use crate::{ON, PATIENCE, logs};

/// Puts TLS before a server, for one request a connection. Gives its URL and its certificate.
fn with_tls(server: &Server) -> (String, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let plain = server.address().to_owned();
    thread::spawn(move || {
        for outside in listener.incoming().flatten() {
            let inside = TcpStream::connect(&plain);
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            thread::spawn(move || {
                let (Ok(mut inside), mut outside) = (inside, StreamOwned::new(connection, outside))
                else {
                    return;
                };
                let mut request = [0; 4_096];
                if let Ok(length @ 1..) = outside.read(&mut request) {
                    let _ = inside.write_all(request.split_at(length).0);
                    let _ = copy(&mut inside, &mut outside);
                }
            });
        }
    });
    (url, made.cert.pem())
}

#[test]
fn a_private_authority_is_trusted_where_it_is_given() {
    let server = Server::start();
    server.set("blame", ON);
    let (url, pem) = with_tls(&server);
    let builder = server.builder().server(url, "sdk-key").polling_only();
    let client = builder.ca_pem(pem).start().unwrap();
    assert!(client.wait_ready(PATIENCE));
    assert_eq!(client.route("blame").path("a"), Path::New);
}

#[test]
fn a_certificate_that_is_not_trusted_slows_down_with_one_line() {
    logs::listen();
    let server = Server::start();
    let (url, _) = with_tls(&server);
    let (_, other_pem) = with_tls(&server);
    for pem in [None, Some(other_pem)] {
        // The thread that reports says so of itself, at a time of its own.
        let told = || {
            let lines = logs::with(Level::WARN, &url);
            let of_sync = |line: &&String| line.contains("refuses this client");
            lines.iter().filter(of_sync).count()
        };
        let before = told();
        let mut builder = server
            .builder()
            .server(&url, "sdk-key")
            .pace(switchover::Pace {
                slow_retry: Duration::from_secs(3_600),
                ..pace()
            });
        if let Some(pem) = pem {
            builder = builder.ca_pem(pem);
        }
        let client = builder.start().unwrap();
        eventually("it slows down", || told() == before + 1);
        assert!(client.status().last_error.is_some());
        assert!(server.requests().is_empty());
    }
}
