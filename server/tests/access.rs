//! Keys and tokens that many people make and revoke at once: every node learns of each.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, eventually, on_both_engines};

/// How soon every node knows.
const SOON: Duration = Duration::from_secs(2);
const MANY: usize = 30;

on_both_engines!(
    a_database_that_does_not_count_yet_begins_to,
    a_key_is_of_a_kind,
    a_token_that_many_revoke_is_revoked_once
);

/// Does something many times, all at once.
fn all_at_once<T: Send>(number: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let working: Vec<_> = (0..number)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        working
            .into_iter()
            .map(|working| working.join().unwrap())
            .collect()
    })
}

fn create(app: &App, number: usize) -> (String, String) {
    let body = json!({ "environment": "dev", "name": format!("key {number}") });
    let made = app
        .post(Who::MAINTAINER, "sdk-keys", &body)
        .expect(201)
        .json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

#[test]
fn every_node_learns_of_every_key_and_every_revocation() {
    let app = App::start(Engine::Postgres);
    let other = App::over(app.database().clone());
    let nodes = [&app, &other];
    let answers = |key: &str, status: u16| {
        for node in nodes {
            eventually("both nodes know", SOON, || {
                (node.snapshot(key).status == status).then_some(())
            });
        }
    };
    let keys = all_at_once(MANY, |number| create(nodes[number % 2], number));
    for (_, key) in &keys {
        answers(key, 200);
    }
    let revoke = |number: usize| {
        let path = format!("sdk-keys/{}", keys[number].0);
        let body = json!({ "reason": "leaked" });
        let request = nodes[number % 2].request("DELETE", &path);
        let revoked = request.by(Who::MAINTAINER).json(&body).send();
        assert!(revoked.status < 300, "{}", revoked.body);
    };
    all_at_once(MANY, revoke);
    for (_, key) in &keys {
        answers(key, 401);
    }
    let count = "SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'access_revision'";
    assert_eq!(
        app.database().number(count),
        2 * i64::try_from(MANY).unwrap()
    );
    app.assert_audit_intact();
}

/// A key for SDKs, unless somebody says that it is for pages.
fn a_key_is_of_a_kind(engine: Engine) {
    let app = App::start(engine);
    let ask = |kind: Option<Value>| {
        let mut body = json!({ "environment": "dev", "name": "web" });
        if let Some(kind) = kind {
            body["kind"] = kind;
        }
        app.post(Who::MAINTAINER, "sdk-keys", &body)
    };
    let kinds = [
        None,
        Some(Value::Null),
        Some("server".into()),
        Some("page".into()),
    ];
    let made: Vec<Value> = kinds
        .into_iter()
        .map(|kind| ask(kind).expect(201).json())
        .collect();
    for wrong in ["", "Page", "pages", "admin"] {
        let refused = ask(Some(wrong.into()));
        assert_eq!(refused.code(422), "invalid", "{wrong}");
        assert_eq!(refused.json()["errors"][0]["field"], "kind");
    }
    let listed = app.request("GET", "sdk-keys").by(Who::MAINTAINER);
    let listed = listed.send().expect(200).json();
    for (number, kind) in ["server", "server", "server", "page"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(made[number]["kind"], kind);
        assert_eq!(listed["items"][number]["kind"], kind);
        let key = made[number]["key"].as_str().unwrap();
        let status = if kind == "page" { 403 } else { 200 };
        app.snapshot(key).expect(status);
    }
    let entries = app
        .get("audit?action=sdk_key_create")
        .expect(200)
        .json()
        .to_string();
    assert!(entries.contains("\"kind\":\"page\""), "{entries}");
}

/// As earlier versions left it.
fn a_database_that_does_not_count_yet_begins_to(engine: Engine) {
    let app = App::start(engine);
    let (_, key) = create(&app, 0);
    let database = app.database().clone();
    app.stop();
    database.run("DELETE FROM meta WHERE name = 'access_revision'");
    let app = App::over(database);
    app.snapshot(&key).expect(200);
    let (_, second) = create(&app, 1);
    app.snapshot(&second).expect(200);
}

/// An epoch begins when a copy was put back: there may be fewer changes than were seen before.
#[test]
fn a_new_epoch_counts_anew() {
    let app = App::start(Engine::Sqlite);
    let keys: Vec<_> = (0..3).map(|number| create(&app, number)).collect();
    app.database().run(&format!(
        "DELETE FROM sdk_keys WHERE id <> '{}'; \
         UPDATE meta SET value = '1' WHERE name = 'access_revision'",
        keys[0].0
    ));
    let statuses = || [0, 1, 2].map(|number: usize| app.snapshot(&keys[number].1).status);
    // Within an epoch nothing is taken back.
    app.services().catch_up().unwrap();
    assert_eq!(statuses(), [200, 200, 200]);
    app.database()
        .run("UPDATE meta SET value = 'another' WHERE name = 'epoch'");
    app.services().catch_up().unwrap();
    assert_eq!(statuses(), [200, 401, 401]);
}

fn a_token_that_many_revoke_is_revoked_once(engine: Engine) {
    let app = App::start(engine);
    let entries = app.audit_count();
    let body = json!({ "jti": "a-token", "reason": "lost" });
    let replies: Vec<Reply> =
        all_at_once(50, |_| app.post(Who::ADMIN, "tokens/revocations", &body));
    for reply in replies {
        assert!(reply.status < 300, "{} {}", reply.status, reply.body);
    }
    assert_eq!(app.audit_count(), entries + 1);
    let rows = "SELECT COUNT(*) FROM revoked_tokens";
    assert_eq!(app.database().number(rows), 1);
    app.assert_audit_intact();
}
