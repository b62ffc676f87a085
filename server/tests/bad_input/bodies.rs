//! Bodies that cannot be read, or take too long.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Refusals;
use crate::support::{App, Engine, Who, at, on_both_engines, raw, read_raw};

on_both_engines!(bodies_that_cannot_be_read);

fn bodies_that_cannot_be_read(engine: Engine) {
    let refusals = Refusals::new(engine);
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5_000), close.repeat(5_000));
    let setting = at("count_commits", "dev", "setting");
    for (method, path) in [
        ("POST", "routes".to_owned()),
        ("POST", "routes:import".to_owned()),
        ("PATCH", "routes/count_commits".to_owned()),
        ("POST", "environments".to_owned()),
        ("PUT", setting.clone()),
        ("PUT", at("count_commits", "dev", "cohorts")),
        ("POST", at("count_commits", "dev", "promotions")),
        ("POST", at("count_commits", "dev", "halt")),
        ("POST", at("count_commits", "dev", "acceptance")),
        ("POST", at("count_commits", "dev", "approvals")),
        ("POST", at("count_commits", "dev", "explain")),
        ("POST", "halts".to_owned()),
        ("POST", "sdk-keys".to_owned()),
        ("POST", "tokens/revocations".to_owned()),
    ] {
        for body in [
            "",
            "{",
            "}",
            "nul",
            "{\"reason\":",
            "{\"reason\": \"r\"",
            "{'reason': 'r'}",
            "\u{FEFF}{}",
            "42",
            "\"text\"",
            "[[]]",
            "{\"reason\":\"r\",}",
            "{\"unknown\":1}",
            "{\"__proto__\":{}}",
            "{\"reason\":\"\\ud800\"}",
            "{\"reason\": \"a\nb\"}",
            "\0",
        ] {
            refusals.body(method, &path, body, 400);
        }
        refusals.body(method, &path, vec![0xff, 0xfe, b'{', b'}'], 400);
        refusals.body(method, &path, b"{\"reason\":\"\xff\"}".to_vec(), 400);
        refusals.body(method, &path, deep("[", "]"), 400);
        refusals.body(method, &path, deep("{\"a\":", "}"), 400);
    }
    for body in [
        json!({ "mode": "on", "reason": "r", "more": 1 }),
        json!({ "mode": "on", "reason": 7 }),
        json!({ "mode": "on", "reason": null }),
        json!({ "mode": "on", "reason": ["r"] }),
        json!({ "mode": "ON", "reason": "r" }),
        json!({ "mode": null, "reason": "r" }),
        json!({ "mode": "on" }),
        json!({ "reason": "r" }),
        json!([{ "mode": "on", "reason": "r" }]),
    ] {
        let problem = refusals.json("PUT", &setting, &body, 400);
        assert_eq!(problem["code"], "malformed_request");
    }
    for trailing in ["{}", "x", ",", "\0", "]", "{\"mode\":\"off\"}"] {
        refusals.body(
            "PUT",
            &setting,
            format!("{{\"mode\":\"on\",\"reason\":\"r\"}}{trailing}"),
            400,
        );
    }
    refusals.body(
        "PUT",
        &setting,
        "{\"mode\":\"on\",\"mode\":\"off\",\"reason\":\"r\"}",
        400,
    );
    for media_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonp"),
        Some("multipart/form-data"),
    ] {
        let request = refusals.app.request("PUT", &setting).by(Who::ADMIN);
        let request = match media_type {
            Some(media_type) => request.header("content-type", media_type),
            None => request,
        };
        let reply = request.body("{\"mode\":\"on\",\"reason\":\"r\"}").send();
        refusals.see(&format!("{media_type:?}"), &reply, 415);
    }
    let large = json!({ "mode": "on", "reason": "r".repeat(1 << 20) });
    for path in ["routes", &setting, &at("count_commits", "dev", "explain")] {
        let method = if path == setting { "PUT" } else { "POST" };
        let text = large.to_string();
        let request = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            Who::ADMIN.token(),
            text.len()
        );
        let reply = raw(refusals.app.address(), request.as_bytes());
        assert_eq!(
            refusals.see("1 MiB", &reply, 413)["code"],
            "payload_too_large"
        );
    }
    // An import may be larger.
    let rows = json!([{ "reason": "r".repeat(1 << 20) }]);
    refusals.json("POST", "routes:import", &rows, 400);
}

/// A body that trickles in is cut off, and meanwhile others are served.
#[test]
fn a_slow_body_is_not_waited_for() {
    let app = App::start(Engine::Sqlite);
    app.route("count_commits");
    let before = app.database().fingerprint();
    let started = Instant::now();
    let sockets: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut socket = TcpStream::connect(app.address()).unwrap();
            write!(
                socket,
                "PUT /api/v1/routes/count_commits/environments/dev/setting HTTP/1.1\r\nHost: x\r\n\
                 Authorization: Bearer {}\r\nContent-Type: application/json\r\n\
                 Content-Length: 34\r\n\r\n{{\"mode\":",
                Who::OPERATOR.token()
            )
            .unwrap();
            socket
        })
        .collect();
    app.set("count_commits", "staging", json!({ "mode": "on" }))
        .expect(200);
    assert!(started.elapsed() < Duration::from_secs(3));
    for mut socket in sockets {
        let reply = read_raw(&mut socket);
        assert_eq!(reply.code(408), "body_timeout");
    }
    let waited = started.elapsed();
    assert!(
        waited > Duration::from_secs(4) && waited < Duration::from_secs(8),
        "{waited:?}"
    );
    assert_eq!(app.rollout("count_commits", "dev")["revision"], 1);
    assert_ne!(app.database().fingerprint(), before);
}
