//! The record: filters, pages, what differs, whether it is whole; and what pages listen to.

use std::time::Duration;

use serde_json::json;

use crate::support::{App, Engine, Remote, Who, at, on_both_engines, session};

on_both_engines!(the_record_is_filtered_by_its_address);

fn shown(page: &str) -> usize {
    page.matches("<li class=\"card entry\"").count()
}

fn the_record_is_filtered_by_its_address(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.route("b");
    app.advance(chrono::Duration::hours(1));
    for _ in 0..30 {
        for mode in ["on", "off"] {
            app.set("a", "dev", json!({ "mode": mode })).expect(200);
        }
    }
    app.advance(chrono::Duration::hours(1));
    let halt = json!({ "reason": "too many errors" });
    app.post(Who::MAINTAINER, &at("b", "production", "halt"), &halt)
        .expect(200);
    for (query, count) in [
        ("", 50),
        ("?route=b", 2),
        ("?environment=production", 1),
        ("?by=mia@example.com", 1),
        ("?action=halt&route=&environment=", 1),
        ("?from=2026-01-05T11:30", 1),
        ("?until=2026-01-05T10:30", 2),
        ("?from=2026-01-05T10:30&until=2026-01-05T11:30&route=a", 50),
        ("?by=nobody", 0),
        ("?before=3", 2),
    ] {
        let page = app
            .page(Who::VIEWER, &format!("/audit{query}"))
            .expect(200)
            .body;
        assert_eq!(shown(&page), count, "{query}");
    }
    let first = app.page(Who::VIEWER, "/audit?route=a").expect(200).body;
    let (_, rest) = first
        .split_once("href=\"/audit?route=a&#38;before=")
        .unwrap();
    let before = rest.split_once('"').unwrap().0;
    let path = format!("/audit?route=a&before={before}");
    let second = app.page(Who::VIEWER, &path).expect(200).body;
    assert_eq!(shown(&second), 11);
    assert!(
        second.contains("href=\"/audit?route=a\">Newest"),
        "{second}"
    );
    assert!(!second.contains(">Older<"));

    let page = app.page(Who::VIEWER, "/audit?action=halt").expect(200).body;
    for told in ["too many errors", "mia@example.com", "halt.reason", "<ins>"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let wrong = app
        .page(Who::VIEWER, "/audit?from=yesterday&route=b")
        .expect(422)
        .body;
    assert!(wrong.contains("is a moment in UTC") && wrong.contains("value=\"yesterday\""));
}

#[test]
fn the_record_is_verified_signed_and_handed_out() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let page = app
        .submit(Who::VIEWER, "/audit/verify", &[])
        .expect(200)
        .body;
    assert!(page.contains("The record is whole."), "{page}");
    app.submit(Who::VIEWER, "/audit/checkpoints", &[])
        .expect(403);
    let signed = app
        .submit(Who::OPERATOR, "/audit/checkpoints", &[])
        .expect(303);
    assert_eq!(signed.header("location"), Some("/audit/checkpoints"));
    let listed = app.get("audit/checkpoints").json();
    let hash = listed["items"][0]["hash"].as_str().unwrap();
    let page = app.page(Who::VIEWER, "/audit/checkpoints").expect(200).body;
    assert!(page.contains(hash), "{page}");

    let file = app.page(Who::VIEWER, "/audit/export?route=a").expect(200);
    let by_api = app
        .request("GET", "audit/export?route=a")
        .by(Who::VIEWER)
        .send();
    assert_eq!(file.body, by_api.expect(200).body);
    assert!(
        file.header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );

    app.database()
        .run("UPDATE audit SET entry = '{}' WHERE seq = 1");
    let page = app
        .submit(Who::VIEWER, "/audit/verify", &[])
        .expect(200)
        .body;
    assert!(
        page.contains("The record is not whole.") && page.contains("entry 1"),
        "{page}"
    );
}

/// A page hears by its session what the API hears by its token.
#[test]
fn a_page_listens_by_its_session() {
    use std::io::{Read as _, Write as _};
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let nobody = app.request("GET", "/events").send();
    assert_eq!(nobody.status, 303);
    let remote = Remote::at(app.address());
    let mut socket = std::net::TcpStream::connect(remote.address()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let cookie = session(Who::VIEWER);
    let request = format!(
        "GET /events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nAccept-Encoding: gzip\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut seen = String::new();
    let mut read_to = |wanted: &str| {
        let mut chunk = [0; 4_096];
        while !seen.contains(wanted) {
            let count = socket.read(&mut chunk).expect(wanted);
            seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        seen.clone()
    };
    let head = read_to("id: ");
    assert!(
        head.contains("200 OK") && head.contains("text/event-stream"),
        "{head}"
    );
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let heard = read_to("event: change");
    assert!(heard.contains("event: change\nid: "), "{heard}");
}
