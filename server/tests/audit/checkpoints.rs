//! Signed checkpoints: made in time and once, and a tail that was cut off shows by them.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};

use super::{verify, with_entries};
use crate::support::{App, Engine, Place, Who, on_both_engines};

on_both_engines!(
    a_cut_tail_shows_by_what_was_kept_elsewhere,
    a_changed_checkpoint_is_named,
    checkpoints_are_made_in_time_and_once,
);

fn make(app: &App) -> Value {
    let made = app
        .request("POST", "audit/checkpoints")
        .by(Who::OPERATOR)
        .send();
    made.expect(201).json()
}

fn count(app: &App) -> i64 {
    app.database()
        .number("SELECT COUNT(*) FROM audit_checkpoints")
}

fn a_cut_tail_shows_by_what_was_kept_elsewhere(engine: Engine) {
    let app = with_entries(engine);
    let early = make(&app);
    for _ in 0..3 {
        app.sdk_key("dev");
    }
    let kept = make(&app);
    assert_eq!((&early["seq"], &kept["seq"]), (&json!(9), &json!(12)));
    assert_eq!(make(&app), kept, "nothing is new");
    let listed = app.get("audit/checkpoints?limit=1").expect(200).json();
    assert_eq!(listed["items"][0], kept);
    let next = listed["next_cursor"].as_str().unwrap();
    let listed = app
        .get(&format!("audit/checkpoints?cursor={next}"))
        .expect(200)
        .json();
    assert_eq!(
        (&listed["items"][0], &listed["next_cursor"]),
        (&early, &Value::Null)
    );

    let given = json!({ "checkpoints": [kept["signed"], early["signed"]] });
    let found = verify(&app, &given);
    assert_eq!(
        (&found["intact"], &found["checkpoints"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(
        (&found["given"][0]["verdict"], &found["given"][1]["verdict"]),
        (&json!("fits"), &json!("fits"))
    );

    let cut = "DELETE FROM audit WHERE seq > 10; \
               UPDATE audit_head SET seq = 10, hash = (SELECT hash FROM audit WHERE seq = 10)";
    app.database().run(cut);
    let found = verify(&app, &json!({}));
    let told = "the chain ends at 10, but a signed checkpoint says 12";
    assert_eq!(
        (&found["broken_at"], &found["detail"]),
        (&json!(11), &json!(told))
    );
    // Whoever cuts carefully takes the stored checkpoint too, and only one kept elsewhere shows it.
    app.database()
        .run("DELETE FROM audit_checkpoints WHERE seq > 10");
    assert_eq!(verify(&app, &json!({}))["intact"], true);
    let found = verify(&app, &given);
    assert_eq!(
        (&found["intact"], &found["detail"]),
        (&json!(false), &json!(told))
    );
    assert_eq!(found["given"][0]["verdict"], "contradicts");
    assert_eq!(found["given"][1]["verdict"], "fits");

    for wrong in [
        "nonsense",
        &Who::ADMIN.token(),
        &format!("{}x", kept["signed"].as_str().unwrap()),
    ] {
        let refused = app.post(
            Who::VIEWER,
            "audit/verify",
            &json!({ "checkpoints": [wrong] }),
        );
        assert_eq!(refused.status, 422, "{}", refused.body);
    }
    let many = vec![kept["signed"].as_str().unwrap(); 101];
    let refused = app.post(Who::VIEWER, "audit/verify", &json!({ "checkpoints": many }));
    assert_eq!(refused.status, 422, "{}", refused.body);
    let signed = kept["signed"].as_str().unwrap();
    assert_eq!(
        app.request("GET", "routes").bearer(signed).send().status,
        401
    );
}

fn a_changed_checkpoint_is_named(engine: Engine) {
    let app = with_entries(engine);
    let made = make(&app);
    let signed = made["signed"].as_str().unwrap();
    let tampered = signed.replacen("ey", "eY", 1);
    for (column, value) in [
        ("seq", "8".to_owned()),
        ("hash", "'x'".to_owned()),
        ("at", "'2020-01-01 00:00:00'".to_owned()),
        ("signed", format!("'{tampered}'")),
        ("signed", format!("'{}'", &signed[..signed.len() - 3])),
        ("signed", "''".to_owned()),
    ] {
        app.database()
            .run("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM audit_checkpoints");
        app.database()
            .run(&format!("UPDATE audit_checkpoints SET {column} = {value}"));
        let found = verify(&app, &json!({}));
        assert_eq!(found["intact"], false, "{column}: {found}");
        assert_eq!(found["broken_at"], 9, "{column}: {found}");
        app.database()
            .run("DELETE FROM audit_checkpoints; INSERT INTO audit_checkpoints SELECT * FROM kept");
    }
    assert_eq!(verify(&app, &json!({}))["intact"], true);
}

fn checkpoints_are_made_in_time_and_once(engine: Engine) {
    let app = App::start(engine);
    let keys = App::keys();
    let services = Arc::clone(app.services());
    services.checkpoint_when_due(keys).unwrap();
    assert_eq!(count(&app), 0, "nothing is on record");
    let nothing = app
        .request("POST", "audit/checkpoints")
        .by(Who::OPERATOR)
        .send();
    assert_eq!(nothing.code(409), "conflict");
    app.route("count_commits");
    let sign_at_once = || {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| services.checkpoint_when_due(keys).unwrap());
            }
        });
    };
    sign_at_once();
    assert_eq!(
        count(&app),
        1,
        "the first entries are signed at once, and once"
    );
    app.sdk_key("dev");
    sign_at_once();
    assert_eq!(count(&app), 1, "it is not an hour ago");
    app.advance(Duration::minutes(61));
    sign_at_once();
    assert_eq!(count(&app), 2);
    app.advance(Duration::minutes(600));
    sign_at_once();
    assert_eq!(count(&app), 2, "nothing is new");
    let routes: Vec<Value> = (0..1_000)
        .map(|n| json!({ "endpoint": format!("a.B/C{n}"), "key": format!("r{n}"), "operation": "read", "owner": "o" }))
        .collect();
    app.post(Who::OPERATOR, "routes:import", &json!(routes))
        .expect(201);
    sign_at_once();
    assert_eq!(count(&app), 3, "1,000 entries are new");
    app.sdk_key("dev");
    let database = Arc::clone(app.database());
    app.stop();
    assert_eq!(
        database.number("SELECT COUNT(*) FROM audit_checkpoints"),
        4,
        "signed at the stop"
    );
    let again = App::over(database);
    assert_eq!(verify(&again, &json!({}))["checkpoints"], 4);
}

#[test]
fn a_restore_is_not_called_tampering() {
    let mut place = Place::serving();
    let key = ["sdk-key", "create", "--environment=dev", "--name=web"];
    place.well(&key);
    let backup = place.file("backup.db");
    place.well(&["backup", &backup]);
    place.well(&key);
    place.well(&key);
    let signed = place.well(&["audit", "checkpoint"]);
    place.well(&["audit", "verify", "--checkpoint", signed.trim()]);
    let listed = place.well(&["audit", "checkpoints"]);
    assert!(listed.contains("| 3 "), "{listed}");
    place.stop();
    place.well(&["restore", &backup, "--reason=the disk broke"]);
    place.start();
    assert!(
        place
            .well(&["audit", "verify"])
            .starts_with("intact: all 2 entries fit")
    );
    let file = place.file("kept");
    std::fs::write(
        &file,
        format!("INFO the record is signed checkpoint={signed}"),
    )
    .unwrap();
    let found = place.run(&["audit", "verify", "--checkpoint", &file]);
    assert_eq!(found.status, 1, "{}", found.out);
    for part in [
        "the checkpoint of entry 3 is not in this record, and a restore says why",
        "the disk broke",
        "entries 2 to 3",
    ] {
        assert!(found.out.contains(part), "{part}: {}", found.out);
    }
    assert!(!found.out.contains("BROKEN"), "{}", found.out);
}
