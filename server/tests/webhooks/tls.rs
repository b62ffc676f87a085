//! Receivers by https: believed for who vouches for them, and under their own name alone.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use switchover_server::outbound::{Outbound, Rules};

/// A receiver with a certificate for this name that nobody but itself vouches for: its port, and the
/// certificate in PEM.
fn receiver(name: &str) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
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
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            let (mut seen, mut chunk) = (Vec::new(), [0; 1024]);
            while !seen.ends_with(b"\r\n\r\n{}") {
                match stream.read(&mut chunk) {
                    Ok(read) if read > 0 => seen.extend_from_slice(&chunk[..read]),
                    _ => break,
                }
            }
            // Whoever does not believe it has hung up.
            let _ = stream.write_all(b"HTTP/1.1 200 Fine\r\ncontent-length: 5\r\n\r\ntaken");
        }
    });
    (port, made.cert.pem())
}

#[test]
fn a_receiver_is_believed_for_who_vouches_for_it() {
    let (port, certificate) = receiver("receiver.example");
    let (_, foreign) = receiver("receiver.example");
    let rules = Rules::allowing(vec!["127.0.0.1".parse().unwrap()]);
    let public = Outbound::new(Arc::new(rules))
        .looking_up(Arc::new(|_| Ok(vec!["127.0.0.1".parse().unwrap()])));
    let trusting = public.clone().trusting(&certificate).unwrap();
    let post = |outbound: &Outbound, name: &str| {
        outbound.post(&format!("https://{name}:{port}/hook"), &[], "{}")
    };
    let answered = post(&trusting, "receiver.example").unwrap();
    assert_eq!((answered.status, &answered.body[..]), (200, &b"taken"[..]));
    let other = public.clone().trusting(&foreign).unwrap();
    for (outbound, name) in [
        (&public, "receiver.example"),
        (&other, "receiver.example"),
        (&trusting, "other.example"),
    ] {
        let why = post(outbound, name).unwrap_err().to_string();
        assert!(
            why.starts_with("TLS failed") || why.contains("connection failed"),
            "{why}"
        );
    }
    assert!(public.trusting("nonsense").is_err());
}
