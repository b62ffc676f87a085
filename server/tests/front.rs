//! How clients reach the server: below a path, through proxies, by TLS.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchover_server::http::{Front, PathPrefix};
use tempfile::TempDir;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::support::{App, Place, Who, hidden, program};

const PATIENCE: Duration = Duration::from_secs(20);

fn below(prefix: &str) -> App {
    App::behind(Front {
        prefix: prefix.parse::<PathPrefix>().unwrap(),
        ..Front::default()
    })
}

/// Where a page leads to, of all that it names in these attributes.
fn addresses(html: &str, attributes: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for attribute in attributes {
        for part in html.split(&format!(" {attribute}=\"")).skip(1) {
            let address = part.split('"').next().unwrap();
            found.insert(address.replace("&amp;", "&").replace("&#38;", "&"));
        }
    }
    found
}

#[test]
fn every_page_below_a_path_leads_to_places_below_it() {
    let app = below("/tools/switchover");
    app.route_with(
        "count_commits",
        json!({ "description": "<a href=\"/elsewhere\">" }),
    );
    let mut open = vec!["/tools/switchover/".to_owned()];
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(page) = open.pop() {
        let reply = app.page(Who::ADMIN, &page);
        assert!(reply.status < 400, "{page}: {}", reply.status);
        if !reply
            .header("content-type")
            .unwrap_or("")
            .starts_with("text/html")
        {
            continue;
        }
        if page.starts_with("/tools/switchover/api/") {
            // Not a page of ours; its own addresses are relative.
            continue;
        }
        let is_here = |address: &String| {
            !address.is_empty() && !address.starts_with(['#', '?']) && !address.contains("://")
        };
        let all = addresses(&reply.body, &["href", "src", "action", "formaction"]);
        for address in all.iter().filter(|address| is_here(address)) {
            assert!(
                address.starts_with("/tools/switchover/"),
                "{page} leads to {address}"
            );
        }
        for address in addresses(&reply.body, &["href", "src"]) {
            let plain = address.split(['#', '?']).next().unwrap().to_owned();
            if is_here(&address) && seen.insert(plain) {
                open.push(address);
            }
        }
    }
    assert!(seen.len() > 40, "only {seen:?}");
}

#[test]
fn a_path_is_passed_on_or_taken_off() {
    let app = below("/so");
    app.route("a");
    for path in ["/so/api/v1/routes/a", "/api/v1/routes/a"] {
        app.request("GET", path)
            .bearer(&Who::VIEWER.token())
            .send()
            .expect(200);
    }
    app.request("GET", "/so/healthz").send().expect(200);
    app.request("GET", "/sound").bearer("x").send().expect(404);
    let first = app
        .request("GET", "/so")
        .header("accept", "text/html")
        .send()
        .expect(303);
    assert_eq!(first.header("location"), Some("/so/sign-in?next=%2F"));
    let docs = app.request("GET", "/so/api/docs").send().expect(307);
    assert_eq!(docs.header("location"), Some("/so/api/docs/"));
    let described = app
        .request("GET", "/so/api/openapi.json")
        .send()
        .expect(200);
    assert_eq!(described.json()["servers"][0]["url"], "/so");
}

#[test]
fn forms_below_a_path_stay_below_it() {
    let app = below("/so");
    let token = Who::MAINTAINER.token();
    let signed = app.send_form(None, "/so/sign-in", &[("token", &token), ("next", "/keys")]);
    let signed = signed.expect(303);
    assert_eq!(signed.header("location"), Some("/so/keys"));
    let cookie = signed.header("set-cookie").unwrap();
    assert!(
        cookie.contains("; Path=/so/;") || cookie.ends_with("; Path=/so/"),
        "{cookie}"
    );

    let csrf = hidden(&app.page(Who::MAINTAINER, "/so/keys").body, "csrf");
    let fields = [
        ("csrf", csrf.as_str()),
        ("environment", "dev"),
        ("name", "test"),
    ];
    let made = app
        .send_form(Some(Who::MAINTAINER), "/so/new/key", &fields)
        .expect(200);
    let server = format!("http://{}/so", app.address());
    assert!(made.body.contains(&server), "{}", made.body);

    // Who is no more signed in comes back to where the form stood.
    let expired = app
        .request("POST", "/so/routes/a/environments/dev/halt")
        .header(
            "referer",
            &format!("http://{}/so/routes/a?x=1", app.address()),
        )
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .send()
        .expect(303);
    assert_eq!(
        expired.header("location"),
        Some("/so/sign-in?next=%2Froutes%2Fa%3Fx%3D1")
    );
}

#[test]
fn commands_and_applications_reach_a_server_below_a_path() {
    let app = below("/so");
    app.route("a");
    app.set("a", "dev", json!({ "mode": "on" }));
    let url = format!("http://{}/so", app.address());
    let shown = program(TempDir::new().unwrap().path())
        .args(["route", "list", "--json"])
        .env("SWITCHOVER_URL", &url)
        .env("SWITCHOVER_TOKEN", Who::VIEWER.token())
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["items"][0]["key"], "a");
    let client = switchover::Client::builder()
        .server(&url, app.sdk_key("dev"))
        .start()
        .unwrap();
    assert!(client.wait_ready(PATIENCE));
}

/// The program with its log.
fn logging(place: &Place, more: &[&str]) -> (Child, String) {
    let mut child = program(place.data())
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(more)
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(page) = line.strip_prefix("page ") {
            let (_, at) = page.trim().split_once("://").unwrap();
            address = at.trim_end_matches('/').to_owned();
        }
        if line == "ready" {
            break;
        }
    }
    (child, address)
}

#[test]
fn the_log_names_who_calls_as_trusted_proxies_say() {
    for (trusted, expected) in [("127.0.0.0/8", "203.0.113.9"), ("10.0.0.0/8", "127.0.0.1")] {
        let place = Place::new();
        let (mut child, address) = logging(&place, &["--trusted-proxies", trusted]);
        let mut connection = TcpStream::connect(address).unwrap();
        let request = "GET /api/v1/routes HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.1.1.1, 203.0.113.9\r\nconnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).unwrap();
        connection.read_to_end(&mut Vec::new()).unwrap();
        child.kill().unwrap();
        let mut log = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        child.wait().unwrap();
        let lines = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_request = lines.filter(|line| line["span"]["path"] == "/api/v1/routes");
        let clients: Vec<Value> = of_request
            .map(|line| line["span"]["client"].clone())
            .collect();
        assert_eq!(clients, [json!(expected)], "{log}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_at_the_start() {
    let place = Place::new();
    let directory = place.data().display().to_string();
    let nothing = format!("{directory}/nothing.pem");
    for (more, why) in [
        (
            vec!["--path-prefix", "switchover"],
            "is no path to serve below",
        ),
        (
            vec!["--trusted-proxies", "proxy"],
            "neither an address nor a network",
        ),
        (vec!["--tls-cert", &nothing], "--tls-cert and --tls-key"),
        (
            vec!["--tls-cert", &nothing, "--tls-key", &nothing],
            "cannot read",
        ),
    ] {
        let output = program(place.data())
            .arg("serve")
            .args(&more)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains(why),
            "{more:?}: {said}"
        );
    }
}

/// A certificate in files, as those who renew one write it.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> (Files, Vec<u8>) {
        let files = Files {
            directory: TempDir::new().unwrap(),
        };
        let certificate = files.renew();
        (files, certificate)
    }

    /// Writes another certificate; gives it, DER.
    fn renew(&self) -> Vec<u8> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(self.certificate(), made.cert.pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn certificate(&self) -> String {
        self.directory.path().join("cert.pem").display().to_string()
    }

    fn key(&self) -> String {
        self.directory.path().join("key.pem").display().to_string()
    }
}

/// Whether a server is reached by who believes in this certificate alone.
fn is_reached(url: &str, certificate: &[u8]) -> bool {
    let roots = RootCerts::new_with_certs(&[Certificate::from_der(certificate).to_owned()]);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build()
        .into();
    agent.get(format!("{url}/healthz")).call().is_ok()
}

#[test]
fn by_tls_commands_applications_and_a_renewed_certificate() {
    let (files, first) = Files::new();
    let mut place = Place::new();
    place.start_with(&[
        "--tls-cert",
        &files.certificate(),
        "--tls-key",
        &files.key(),
    ]);
    let url = format!("https://{}", place.address());
    assert!(is_reached(&url, &first));

    // Nobody is believed without reason.
    let refused = place.run(&["status"]);
    assert_ne!(refused.status, 0);
    assert!(refused.err.contains("--ca-file"), "{}", refused.err);
    let ca = files.certificate();
    place.well(&["environment", "list", "--ca-file", &ca]);
    let key = place.well(&[
        "sdk-key",
        "create",
        "--environment",
        "dev",
        "--name",
        "t",
        "--ca-file",
        &ca,
    ]);
    let pem = std::fs::read(&ca).unwrap();
    let client = switchover::Client::builder()
        .server(&url, key.trim())
        .ca_pem(pem)
        .start()
        .unwrap();
    assert!(client.wait_ready(PATIENCE));

    // A file that is half written changes nothing.
    std::fs::write(files.certificate(), "-----BEGIN CERT").unwrap();
    thread::sleep(Duration::from_millis(2_500));
    assert!(is_reached(&url, &first));
    let second = files.renew();
    let began = Instant::now();
    while !is_reached(&url, &second) {
        assert!(
            began.elapsed() < PATIENCE,
            "the new certificate is not shown"
        );
        thread::sleep(Duration::from_millis(100));
    }
    assert!(!is_reached(&url, &first));
}

#[test]
fn who_speaks_no_tls_or_nothing_at_all_harms_nobody() {
    let (files, certificate) = Files::new();
    let tls = switchover_server::http::Certificates::read(switchover_server::http::TlsFiles {
        certificate: files.certificate().into(),
        key: files.key().into(),
    });
    let app = App::behind(Front {
        tls: Some(tls.unwrap()),
        ..Front::default()
    });
    let silent: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(app.address()).unwrap())
        .collect();
    for rubbish in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff",
        b"\0\0\0\0",
    ] {
        let mut connection = TcpStream::connect(app.address()).unwrap();
        connection.write_all(rubbish).unwrap();
    }
    let url = format!("https://{}", app.address());
    assert!(is_reached(&url, &certificate));
    drop(silent);
}
