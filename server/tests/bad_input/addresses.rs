//! Paths, queries and headers that nobody should send, and what is no HTTP at all.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::Refusals;
use crate::support::{Engine, Who, at, on_both_engines, raw};

on_both_engines!(addresses_and_queries);

fn addresses_and_queries(engine: Engine) {
    let refusals = Refusals::new(engine);
    let app = &refusals.app;
    let ask = |method: &str, path: &str, status: u16| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
            Who::ADMIN.token()
        );
        refusals.see(
            &format!("{method} {path}"),
            &raw(app.address(), request.as_bytes()),
            status,
        )
    };
    for path in [
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/routes",
        "/api/v1/routes/",
        "/api/v1/routes/missing",
        "/api/v1/routes/Count",
        "/api/v1/routes/%00",
        "/api/v1/routes/%ff",
        "/api/v1/routes/%C3%A9",
        "/api/v1/routes/..%2f..%2fetc%2fpasswd",
        "/api/v1/routes/../audit/x",
        "/api/v1/routes/%2e%2e",
        "/api/v1/routes/count_commits/environments/missing",
        "/api/v1/routes/count_commits/environments/%00",
        "/api/v1/routes/count_commits/environments/dev/nothing",
        "/api/v1/routes/missing/environments/dev",
        "/api/v1/routes/missing/history",
        "/api/v1/routes/%0a/history",
        "/api/v1//routes",
        "/sdk/v1/nothing",
        "/sdk/v2/snapshot",
        "/api/v1/routes/count_commits;x=1",
        "/api/v1/routes/%",
        "/api/v1/routes/count_commits%00",
    ] {
        ask("GET", path, 404);
    }
    let long = format!("/api/v1/routes/{}", "a".repeat(5_000));
    ask("GET", &long, 404);
    for id in [
        "%00",
        "missing",
        "%C3%A9",
        "0199c0de-0000-7000-8000-000000000000",
    ] {
        for path in [
            format!("sdk-keys/{id}"),
            format!("freezes/{id}?reason=r"),
            format!("routes/count_commits/environments/dev/approvals/{id}"),
        ] {
            ask("DELETE", &format!("/api/v1/{path}"), 404);
        }
    }
    ask(
        "DELETE",
        "/api/v1/routes/count_commits/externals/%00?reason=r",
        404,
    );
    for path in [
        "/api/v1/routes",
        "/api/v1/audit",
        "/api/v1/routes/count_commits/history",
    ] {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=x",
            "limit=",
            "limit=99999999999999999999999",
            "limit=1.5",
            "cursor=%20",
            "cursor=%C3%A9",
            "cursor=!!",
            "cursor=AA",
            "cursor=____",
            "unknown=1",
            "limit=1&limit=2",
            "cursor=%00",
            "environment=%00",
            "environment=a%0Ab",
            "environment=%7f",
        ] {
            ask("GET", &format!("{path}?{query}"), 400);
        }
    }
    for query in [
        "stage=perpetual",
        "stage=",
        "q=%00",
        "owner=%1b%5B31m",
        "policy=%00",
        "after=a",
    ] {
        ask("GET", &format!("/api/v1/routes?{query}"), 400);
    }
    for query in [
        "by=%00",
        "action=%00",
        "route=%00",
        "cursor=LTE",
        "cursor=MS41",
        "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk",
    ] {
        ask("GET", &format!("/api/v1/audit?{query}"), 400);
    }
    ask(
        "GET",
        "/api/v1/routes/count_commits/environments/dev/gates?to=perpetual",
        400,
    );
    // Odd, and harmless.
    for query in [
        "q=%25",
        "q=_",
        "q=!",
        "q='%20OR%201=1--",
        "q=%C3%A9%F0%9F%98%80",
        "q=%ff%fe",
        "environment=missing",
        "owner=%22",
        "policy=none",
        "cursor=en56",
        "limit=1000",
        "",
    ] {
        let reply = app
            .request("GET", &format!("routes?{query}"))
            .by(Who::VIEWER)
            .send();
        assert_eq!(reply.status, 200, "{query}: {}", reply.body);
    }
    let last = "audit?cursor=MTg0NDY3NDQwNzM3MDk1NTE2MTU";
    assert_eq!(
        app.get(last).expect(200).json()["items"]
            .as_array()
            .unwrap()
            .len() as i64,
        app.audit_count()
    );
    for (header, value, status) in [
        ("if-match", "\"é\"", 400),
        ("idempotency-key", "é", 400),
        ("idempotency-key", "", 400),
    ] {
        let reply = app
            .request("POST", &at("count_commits", "dev", "promotions"))
            .by(Who::ADMIN)
            .header(header, value)
            .json(&json!({ "to": "opt_in", "reason": "r" }))
            .send();
        refusals.see(&format!("{header}: {value}"), &reply, status);
    }
    // What is no HTTP at all may just be hung up on, but is never a failure of the server.
    for nonsense in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /api/v1/routes\0 HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        use std::io::Read as _;
        let mut socket = TcpStream::connect(app.address()).unwrap();
        socket.write_all(nonsense.as_bytes()).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut answer = [0; 64];
        let read = socket.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{nonsense:?}: {answer}"
        );
    }
    // More headers than anybody sends.
    let many: String = (0..97).map(|n| format!("X-{n}: x\r\n")).collect();
    let request = format!("GET /api/v1/routes HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    let reply = raw(app.address(), request.as_bytes());
    assert!((400..500).contains(&reply.status), "{}", reply.status);
    assert_eq!(app.database().fingerprint(), refusals.before);
}
