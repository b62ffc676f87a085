//! What pages hear of changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover::Version;
use switchover_server::domain::actor::Role;

use crate::support::{
    App, Engine, Event, Events, Fleet, TestDatabase, Who, at, calls_of, eventually, on_both_engines,
};

const SOON: Duration = Duration::from_secs(5);

on_both_engines!(
    a_page_hears_every_change_once,
    nobody_listens_and_nothing_is_read
);

fn listen(app: &App, last_event_id: Option<&str>) -> Events {
    let token = Who::VIEWER.token();
    Events::open_at(app.address(), "/api/v1/events", &token, last_event_id)
}

/// A page that has just come, and where it would resume.
fn fresh(app: &App) -> (Events, u64) {
    let events = listen(app, None);
    let (name, id, data) = events.event(SOON);
    assert_eq!((name.as_str(), data.as_str()), ("", ""));
    let id: Version = id.parse().unwrap();
    (events, id.revision)
}

/// The id of the event about this place of the record.
fn id(app: &App, place: u64) -> String {
    format!("{}.{place}", app.services().epoch().unwrap())
}

#[track_caller]
fn heard(events: &Events) -> (String, Value) {
    let (name, id, data) = events.event(SOON);
    let data: Value = serde_json::from_str(&data).unwrap();
    if name != "telemetry" {
        let id: Version = id.parse().unwrap();
        assert_eq!(data["seq"], id.revision);
    }
    (name, data)
}

fn set(app: &App, mode: &str) {
    app.set("a", "dev", json!({ "mode": mode })).expect(200);
}

fn a_page_hears_every_change_once(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let (page, place) = fresh(&app);
    assert_eq!(i64::try_from(place).unwrap(), app.audit_count());
    let reason = "why\n\nevent: forged <b>\u{1F600}</b>";
    let body = json!({ "mode": "on", "reason": reason });
    app.put(Who::OPERATOR, &at("a", "dev", "setting"), &body)
        .expect(200);
    set(&app, "off");
    let (name, told) = heard(&page);
    assert_eq!(name, "change");
    let entry = app.get("audit?limit=2").expect(200).json()["items"][1].clone();
    for field in [
        "seq",
        "at",
        "action",
        "route",
        "environment",
        "by",
        "reason",
    ] {
        assert_eq!(told[field], entry[field], "{field}");
    }
    assert_eq!(told["reason"], reason);
    assert_eq!(told.as_object().unwrap().len(), 7);
    assert_eq!(heard(&page).1["seq"], place + 2);
    // Whoever comes back, by header or by address, gets what they missed, and then what follows.
    let token = Who::VIEWER.token();
    let resumed = listen(&app, Some(&id(&app, place)));
    let path = format!("/api/v1/events?after={}", place + 1);
    let addressed = Events::open_at(app.address(), &path, &token, None);
    assert_eq!(heard(&resumed).1["seq"], place + 1);
    for page in [&resumed, &addressed] {
        assert_eq!(heard(page).1["seq"], place + 2);
    }
    set(&app, "on");
    for page in [&page, &resumed, &addressed] {
        assert_eq!(heard(page), ("change".to_owned(), heard_by(&app)));
    }
}

/// The newest entry as a page is told it.
fn heard_by(app: &App) -> Value {
    let mut entry = app.get("audit?limit=1").expect(200).json()["items"][0].clone();
    let fields = entry.as_object_mut().unwrap();
    fields.retain(|name, _| !["role", "before", "after", "hash"].contains(&name.as_str()));
    entry
}

fn nobody_listens_and_nothing_is_read(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    set(&app, "on");
    let feed = app.services().feed();
    assert_eq!((feed.listeners(), feed.kept()), (0, 0));
    let (page, place) = fresh(&app);
    assert_eq!(feed.kept(), usize::try_from(place).unwrap());
    drop(page);
    // The connection of a reader that has gone is found out by the next thing said.
    eventually("it is forgotten", Duration::from_secs(25), || {
        set(&app, "off");
        set(&app, "on");
        (feed.listeners() == 0).then_some(())
    });
    let kept = feed.kept();
    set(&app, "off");
    assert_eq!(feed.kept(), kept);
}

#[test]
fn what_is_no_longer_kept_is_read_again() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let (page, place) = fresh(&app);
    for mode in ["on", "off"].iter().cycle().take(300) {
        set(&app, mode);
    }
    // Whoever listened has heard it all.
    for number in 1..=300 {
        assert_eq!(heard(&page).1["seq"], place + number);
    }
    let never = id(&app, place + 301);
    for odd in [id(&app, place), never, place.to_string(), "x".to_owned()] {
        let (name, told) = heard(&listen(&app, Some(&odd)));
        assert_eq!(
            (name.as_str(), &told),
            ("reset", &json!({ "seq": place + 300 }))
        );
    }
    let kept = listen(&app, Some(&id(&app, place + 44)));
    assert_eq!(heard(&kept).1["seq"], place + 45);
}

#[test]
fn a_change_on_one_node_is_heard_on_another() {
    let app = App::start(Engine::Postgres);
    let other = App::over(app.database().clone());
    app.route("a");
    let (page, _) = fresh(&other);
    let mut took: Vec<Duration> = Vec::new();
    for mode in ["on", "off", "on", "off", "on"] {
        let started = Instant::now();
        set(&app, mode);
        assert_eq!(heard(&page).0, "change");
        took.push(started.elapsed());
    }
    took.sort();
    assert!(took[2] < Duration::from_millis(300), "{took:?}");
}

#[test]
fn a_page_is_told_that_callers_report() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let fleet = Fleet::new(app.sdk_key("dev"), 2);
    let (page, _) = fresh(&app);
    let started = Instant::now();
    let mut told = Vec::new();
    while told.len() < 2 {
        fleet.report(&app, |_| vec![calls_of("a", 10, 0)]);
        std::thread::sleep(Duration::from_millis(200));
        if started.elapsed() > Duration::from_secs(16) {
            panic!("told {told:?}");
        }
        while let Some(event) = page.try_next() {
            match event {
                Event::Named { name, id, data } if name == "telemetry" => {
                    assert_eq!(id, "");
                    let data: Value = serde_json::from_str(&data).unwrap();
                    let at: DateTime<Utc> = data["at"].as_str().unwrap().parse().unwrap();
                    assert_eq!(at, app.services().now());
                    told.push(Instant::now());
                }
                other => assert_eq!(other, Event::Comment),
            }
        }
    }
    assert!(told[1] - told[0] > Duration::from_secs(4), "{told:?}");
    // Who says nothing new is not passed on.
    std::thread::sleep(Duration::from_secs(6));
    while page.try_next().is_some() {}
    std::thread::sleep(Duration::from_secs(6));
    while let Some(event) = page.try_next() {
        assert_eq!(event, Event::Comment);
    }
}

#[test]
fn a_stream_ends_with_its_token() {
    let app = App::start(Engine::Postgres);
    let other = App::over(app.database().clone());
    let leaver = Who(Role::Viewer, "leaver@example.com").token();
    let open = |app: &App, token: &str| {
        let events = Events::open_at(app.address(), "/api/v1/events", token, None);
        assert_eq!(events.event(SOON).0, "");
        events
    };
    let (here, there) = (open(&app, &leaver), open(&other, &leaver));
    let (staying, _) = fresh(&app);
    let payload = leaver.split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
    let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    let revocation = json!({ "jti": claims["jti"], "reason": "left" });
    app.post(Who::ADMIN, "tokens/revocations", &revocation)
        .expect(201);
    here.end(Duration::from_secs(2));
    there.end(Duration::from_secs(12));
    let again = app.request("GET", "events").bearer(&leaver).send();
    assert_eq!(again.code(401), "unauthenticated");
    assert_eq!(heard(&staying).1["action"], "token_revoke");

    let actor = Who::VIEWER.actor();
    let ttl = chrono::Duration::seconds(2);
    let short = App::keys().sign(&actor, Utc::now(), ttl).unwrap();
    let started = Instant::now();
    open(&app, &short).end(SOON);
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_stopping_server_ends_its_pages_too() {
    let app = App::start(Engine::Sqlite);
    let pages: Vec<Events> = (0..5).map(|_| fresh(&app).0).collect();
    let started = Instant::now();
    app.stop();
    for page in &pages {
        page.end(Duration::from_secs(1));
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_page_of_a_node_that_is_cut_off_goes_elsewhere() {
    let app = App::start(Engine::Postgres);
    app.route("a");
    let (page, place) = fresh(&app);
    app.database().cut_off();
    page.end(Duration::from_secs(20));
    let refused = app.request("GET", "events").by(Who::VIEWER).send();
    assert_eq!(refused.code(503), "unavailable");
    app.database().reconnect();
    eventually("it is ready again", Duration::from_secs(8), || {
        let ready = app.request("GET", "/readyz").send();
        (ready.status == 200).then_some(())
    });
    set(&app, "on");
    let resumed = listen(&app, Some(&id(&app, place)));
    assert_eq!(heard(&resumed).1["seq"], place + 1);
}

#[test]
fn a_node_takes_so_many_pages_and_no_more() {
    const MOST: usize = 1_000;
    let app = App::over(Arc::new(TestDatabase::new(Engine::Sqlite)));
    let token = Who::VIEWER.token();
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let pages: Vec<_> = (0..MOST)
        .map(|_| {
            use std::io::Write as _;
            let mut socket = std::net::TcpStream::connect(app.address()).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            socket
        })
        .collect();
    eventually("all are let in", Duration::from_secs(20), || {
        let health = app.request("GET", "/healthz").send().json();
        (health["streams"] == MOST).then_some(())
    });
    let refused = app.request("GET", "events").by(Who::VIEWER).send();
    assert_eq!(refused.code(503), "unavailable");
    assert!(refused.header("retry-after").is_some());
    drop(pages);
}
