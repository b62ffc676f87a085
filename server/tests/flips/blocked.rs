//! Who has vanished keeps keys from moving, until they are back or somebody vouches for it.

use super::*;

on_both_engines!(
    who_has_vanished_blocks_until_declared_gone,
    who_joins_during_a_hold_is_waited_for,
    while_it_is_under_way_nothing_else_changes,
    requirements_move_no_keys_unannounced,
    a_key_with_a_repair_does_not_move,
);

fn who_has_vanished_blocks_until_declared_gone(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    joins(&app, &key, "a");
    joins(&app, &key, "b");
    app.advance(Duration::seconds(14));
    joins(&app, &key, "b");
    app.advance(Duration::seconds(1));
    let refused = ramp(&app, 30);
    assert_eq!(refused.code(409), "flip_blocked");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    for said in [
        "web-a (instance a)",
        "switchover writers gone save dev a",
        "halt",
    ] {
        assert!(detail.contains(said), "{detail}");
    }
    assert!(!detail.contains("web-b"), "{detail}");
    assert_eq!(rollout(&app)["generation"], 0);
    // A halt needs nobody.
    order(&app, Who::OPERATOR, "halt").expect(200);
    order(&app, Who::OPERATOR, "resume").expect(200);

    let list = || app.get(&at("save", "dev", "writers")).expect(200).json()["items"].clone();
    assert_eq!(list()[0]["state"], "vanished");
    assert_eq!(list()[1]["state"], "known");
    order(&app, Who::OPERATOR, "writers/a/gone").expect(403);
    let gone = order(&app, Who::MAINTAINER, "writers/a/gone")
        .expect(200)
        .json();
    assert_eq!(gone["state"], "gone");
    assert_eq!(gone["gone"]["by"], Who::MAINTAINER.1);
    assert_eq!(
        order(&app, Who::MAINTAINER, "writers/x/gone").code(404),
        "not_found"
    );
    let entry = app.get("audit?limit=1").expect(200).json()["items"][0].clone();
    assert_eq!(entry["action"], "writer_gone");
    let entries = app.audit_count();
    order(&app, Who::ADMIN, "writers/a/gone").expect(200);
    assert_eq!(app.audit_count(), entries, "said once");
    ramp(&app, 30).expect(202);
    lets_go(&app, &key, "b", 2);
    assert_eq!(ended(&app)["exposure_percent"], 30);

    // Who is back is told, more than once, and is waited for again.
    for _ in 0..2 {
        let back = report(&app, &key, "a", json!({})).expect(200).json();
        assert_eq!(back["was_gone"], true);
    }
    app.advance(Duration::seconds(5));
    joins(&app, &key, "a");
    app.advance(Duration::seconds(11));
    let back = report(&app, &key, "a", json!({})).expect(200).json();
    assert_eq!(back["was_gone"], Value::Null);
    joins(&app, &key, "b");
    ramp(&app, 50).expect(202);
    lets_go(&app, &key, "b", 3);
    assert!(!rollout(&app)["hold"].is_null());
    lets_go(&app, &key, "a", 3);
    assert_eq!(ended(&app)["exposure_percent"], 50);
}

fn who_joins_during_a_hold_is_waited_for(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    joins(&app, &key, "a");
    ramp(&app, 30).expect(202);
    let revision = |reply: Reply| reply.expect(200).json()["revision"].as_u64().unwrap();
    let held_at = revision(report(&app, &key, "b", json!({})));
    lets_go(&app, &key, "a", 1);
    std::thread::sleep(Wait::from_millis(60));
    assert!(!rollout(&app)["hold"].is_null());
    lets_go(&app, &key, "b", 1);
    assert_eq!(ended(&app)["exposure_percent"], 30);
    assert!(revision(report(&app, &key, "c", json!({}))) > held_at);
    // What is no route of the server's is left out; another environment's key reaches nothing here.
    let unknown = json!({ "instance": "a", "name": "web", "routes": [{ "route": "nothing" }] });
    let post = |key: &str, body: &Value| {
        app.request("POST", "/sdk/v1/writers")
            .bearer(key)
            .json(body)
            .send()
    };
    post(&key, &unknown).expect(200);
    assert_eq!(post("sdk_wrong", &unknown).status, 401);
    joins(&app, &app.sdk_key("staging"), "d");
    let listed = app.get(&at("save", "dev", "writers")).expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    let large = json!({ "instance": "a", "name": "x".repeat(300_000), "routes": [] });
    assert_eq!(post(&key, &large).status, 413);
}

fn while_it_is_under_way_nothing_else_changes(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    joins(&app, &key, "a");
    ramp(&app, 30).expect(202);
    let refused = ramp(&app, 40);
    assert_eq!(refused.code(409), "flip_under_way");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("2026-01-05T10:00:01.500Z"), "{detail}");
    assert!(detail.contains("switchover halt save dev"), "{detail}");
    assert_eq!(mirror(&app, 0).code(409), "flip_under_way");
    let promotion = app.promote(Who::MAINTAINER, "save", "dev", "opt_out");
    assert_eq!(promotion.code(409), "flip_under_way");
    let grouped = json!({ "ramp_group": "gear", "reason": "test" });
    patch(&app, "save", &grouped).expect(409);
    lets_go(&app, &key, "a", 1);
    ended(&app);
}

fn requirements_move_no_keys_unannounced(engine: Engine) {
    let app = App::start(engine);
    app.route("base");
    app.route("other");
    doubled(&app);
    for change in [
        json!({ "ramp_group": "gear", "reason": "test" }),
        json!({ "requires": ["base"], "cascade": true, "reason": "test" }),
        json!({ "operation": "read", "reason": "test" }),
    ] {
        let refused = patch(&app, "save", &change);
        assert_eq!(refused.code(409), "conflict");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("two stores in dev"), "{detail}");
    }
    mirror(&app, 0).expect(200);
    let body = json!({ "requires": ["base"], "cascade": true, "reason": "test" });
    patch(&app, "save", &body).expect(200);
    let refused = mirror(&app, 100);
    assert_eq!(refused.code(409), "invalid_transition");
    app.bring("base", &["dev"], "mandatory");
    mirror(&app, 100).expect(200);
}

/// Which keys move is decided as the SDK decides; the others may have repairs.
fn a_key_with_a_repair_does_not_move(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    let seed = switchover::Seed::of("save");
    let bucket = |key: &str| switchover::bucket(seed, key.as_bytes());
    let mut names = (0..1_000).map(|number| format!("k{number}"));
    let low = names.find(|name| bucket(name) < 20_000).unwrap();
    let high = names.find(|name| bucket(name) > 50_000).unwrap();
    let tell = |key_told: &str, state: &str| {
        let repair = json!({
            "key": key_told, "written": "old", "cause": "failed", "state": state, "attempts": 1,
        });
        report(&app, &key, "a", json!({ "repairs": [repair] })).expect(200);
    };
    tell(&high, "open");
    ramp(&app, 30).expect(202);
    lets_go(&app, &key, "a", 1);
    assert_eq!(ended(&app)["exposure_percent"], 30);
    let refused = ramp(&app, 100);
    assert_eq!(refused.code(409), "flip_blocked");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("(1)") && detail.contains("switchover repairs"),
        "{detail}"
    );
    // One that is told of while the flip is announced keeps it from being made.
    ramp(&app, 0).expect(202);
    tell(&low, "open");
    lets_go(&app, &key, "a", 2);
    let after = ended(&app);
    assert_eq!(
        (&after["exposure_percent"], &after["last_flip"]["outcome"]),
        (&json!(30), &json!("abandoned"))
    );
    // A halt waits for no repair.
    order(&app, Who::OPERATOR, "halt").expect(200);
    order(&app, Who::OPERATOR, "resume").expect(409);
    tell(&low, "resolved");
    tell(&high, "resolved");
    order(&app, Who::OPERATOR, "resume").expect(202);
    lets_go(&app, &key, "a", 4);
    assert_eq!(ended(&app)["halted"], false);
}
