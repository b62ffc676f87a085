//! T32, T36: a database that is slow, or away.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{App, Engine, Event, Who, at, eventually};

#[test]
fn cut_off_from_the_database() {
    let app = App::start(Engine::Postgres);
    app.route("a");
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let key = app.sdk_key("dev");
    let stream = app.stream(&key, None);
    assert_eq!(stream.event(Duration::from_secs(2)).0, "snapshot");
    let before = app.snapshot(&key).expect(200);
    assert_eq!(before.header("switchover-stale"), None);
    let rows = app.database().fingerprint();
    let change = || {
        let body = json!({ "mode": "off", "reason": "test" });
        app.put(Who::OPERATOR, &at("a", "dev", "setting"), &body)
    };
    let ready = || app.request("GET", "/readyz").send();
    ready().expect(200);

    app.database().cut_off();
    let cut = Instant::now();
    std::thread::scope(|scope| {
        // Writes are refused, whatever else is going on.
        let writing = scope.spawn(|| {
            while cut.elapsed() < Duration::from_secs(7) {
                let refused = change();
                assert_eq!(refused.code(503), "unavailable");
                let after: u32 = refused.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=30).contains(&after));
            }
        });
        let away = eventually(
            "it says that it is not ready",
            Duration::from_secs(10),
            || {
                // What is known is served all the time, without waiting for the database.
                let asked = Instant::now();
                let served = app.snapshot(&key).expect(200);
                assert!(asked.elapsed() < Duration::from_millis(500));
                assert_eq!(served.body, before.body);
                let reply = ready();
                (reply.status == 503).then_some(reply)
            },
        );
        let after = cut.elapsed();
        assert!(after > Duration::from_secs(4), "impatient: {after:?}");
        assert!(after < Duration::from_millis(7_000), "too late: {after:?}");
        assert_eq!(away.code(503), "unavailable");
        assert!(away.header("retry-after").is_some());
        let stale = app.snapshot(&key).expect(200);
        assert!(
            stale
                .header("switchover-stale")
                .unwrap()
                .parse::<u32>()
                .unwrap()
                >= 5
        );
        app.request("GET", "/healthz").send().expect(200);
        writing.join().unwrap();
    });
    // Its readers may find a node that is better off.
    stream.end(Duration::from_secs(12));
    let refused = app.request("GET", "/sdk/v1/stream").bearer(&key).send();
    assert_eq!(refused.code(503), "unavailable");
    assert_eq!(app.get("routes").code(503), "unavailable");

    app.database().reconnect();
    eventually("it is ready again", Duration::from_secs(8), || {
        (ready().status == 200).then_some(())
    });
    assert_eq!(app.database().fingerprint(), rows);
    let resumed = app.stream(&key, Some(before.etag().trim_matches('"')));
    assert_eq!(resumed.next(Duration::from_secs(2)), Event::Comment);
    change().expect(200);
    assert_eq!(resumed.event(Duration::from_secs(2)).0, "delta");
    assert_eq!(app.snapshot(&key).header("switchover-stale"), None);
    app.assert_audit_intact();
}

/// Somebody holds a row for longer than a caller should wait.
#[test]
fn a_busy_database_is_a_reason_to_try_again() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, PgConnection};

    let app = App::start(Engine::Postgres);
    app.route("a");
    app.route("b");
    let mut holder = PgConnection::establish(app.database().url()).unwrap();
    holder
        .batch_execute(
            "BEGIN; SELECT 1 FROM rollouts WHERE route = 'a' AND environment = 'dev' FOR UPDATE",
        )
        .unwrap();
    let before = app.database().fingerprint();
    let asked = Instant::now();
    let refused = app.set("a", "dev", json!({ "mode": "on" }));
    assert_eq!(refused.code(503), "unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(asked.elapsed() < Duration::from_secs(4));
    assert_eq!(app.database().fingerprint(), before);
    // Others are not held up, and neither are readers.
    app.set("b", "dev", json!({ "mode": "on" })).expect(200);
    app.get("routes").expect(200);
    holder.batch_execute("COMMIT").unwrap();
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
}

/// The cluster of these tests would rather be fast than safe; a trigger says what holds.
#[test]
fn an_acknowledged_commit_is_on_disk() {
    let app = App::start(Engine::Postgres);
    app.database().run(
        "CREATE TABLE seen (value TEXT NOT NULL); \
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END$$; \
         CREATE TRIGGER see AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION see()",
    );
    app.route("a");
    assert_eq!(app.database().texts("SELECT value FROM seen"), ["on"]);
}

/// A row that says what cannot be is an error with a pointer to the log, and never a default.
#[test]
fn a_corrupt_row_is_not_served() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    app.route("b");
    let key = app.sdk_key("dev");
    let before = app.snapshot(&key).expect(200).body;
    app.database().run(
        "UPDATE rollouts SET include = 'nonsense', published_at = 99 WHERE route = 'a' AND \
         environment = 'dev'; UPDATE environments SET revision = 99 WHERE key = 'dev'",
    );
    let broken = app.get(&at("a", "dev", ""));
    assert_eq!(broken.code(500), "internal");
    assert!(!broken.body.contains("nonsense"), "{}", broken.body);
    assert_eq!(app.set("a", "dev", json!({ "mode": "on" })).status, 500);
    app.services().catch_up().unwrap_err();
    assert_eq!(app.snapshot(&key).expect(200).body, before);
}

/// T35: a copy put back by hand has revisions that were given out before.
#[test]
fn a_database_that_went_back_in_time_is_not_published() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let key = app.sdk_key("dev");
    let before = app.snapshot(&key).expect(200).body;
    app.database().run(
        "UPDATE environments SET revision = 1 WHERE key = 'dev'; UPDATE rollouts SET published_at = 1, \
         setting_mode = 'off' WHERE environment = 'dev'",
    );
    let refused = app.services().catch_up().unwrap_err().to_string();
    assert!(refused.contains("new epoch"), "{refused}");
    assert_eq!(app.snapshot(&key).expect(200).body, before);
    app.database()
        .run("UPDATE meta SET value = 'another' WHERE name = 'epoch'");
    app.services().catch_up().unwrap();
    let after = app.snapshot(&key).expect(200).json();
    assert_eq!(after["version"], "another.1");
    assert_eq!(after["routes"]["a"]["setting"]["mode"], "off");
}

/// Some load balancers ask without wanting to read.
#[test]
fn health_answers_to_head() {
    let app = App::start(Engine::Sqlite);
    for path in ["/healthz", "/readyz"] {
        app.request("HEAD", path).send().expect(200);
    }
}
