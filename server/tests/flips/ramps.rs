//! Ramps that go up through announcements.

use super::*;

on_both_engines!(
    a_ramp_goes_up_through_holds,
    a_ramp_waits_for_who_has_vanished
);

fn look(app: &App) -> usize {
    app.services().advance_ramps(&|_| Vec::new()).unwrap().len()
}

fn started(app: &App) -> String {
    let key = doubled(app);
    let steps = json!([{ "percent": 10, "hold": "1h" }, { "percent": 50, "hold": "1h" }]);
    let body = json!({ "steps": steps, "reason": "test" });
    app.put(Who::OPERATOR, &at("save", "dev", "ramp"), &body)
        .expect(200);
    joins(app, &key, "a");
    order(app, Who::OPERATOR, "ramp/start").expect(202);
    lets_go(app, &key, "a", 1);
    assert_eq!(ended(app)["ramp"]["step"], 1);
    key
}

fn a_ramp_goes_up_through_holds(engine: Engine) {
    let app = App::start(engine);
    let key = started(&app);
    app.advance(Duration::hours(1));
    joins(&app, &key, "a");
    assert_eq!((look(&app), look(&app)), (1, 0));
    let held = rollout(&app);
    assert_eq!(held["hold"]["action"], "ramp_advance");
    assert_eq!(held["hold"]["by"], "system");
    assert_eq!(held["ramp"]["waits_for"][0]["what"], "flip");
    assert_eq!(held["ramp"]["step"], 1);
    // Given up: it is tried again, but not at once.
    app.advance(Duration::seconds(2));
    assert_eq!(ended(&app)["last_flip"]["outcome"], "abandoned");
    joins(&app, &key, "a");
    assert_eq!(look(&app), 0);
    let waits = rollout(&app)["ramp"]["waits_for"].clone();
    assert_eq!(waits[0]["what"], "flip");
    let detail = waits[0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("web-a"), "{detail}");
    app.advance(Duration::seconds(9));
    assert_eq!(look(&app), 0);
    app.advance(Duration::seconds(1));
    joins(&app, &key, "a");
    assert_eq!(look(&app), 1);
    lets_go(&app, &key, "a", 3);
    let after = ended(&app);
    assert_eq!(
        (&after["ramp"]["step"], &after["exposure_percent"]),
        (&json!(2), &json!(50))
    );
    let entry = app.get("audit?limit=1").expect(200).json()["items"][0].clone();
    assert_eq!(
        (&entry["action"], &entry["by"]),
        (&json!("ramp_advance"), &json!("system"))
    );
    assert_eq!(entry["after"]["guards"], json!([]));
    app.assert_audit_intact();
    // The end of a ramp moves no key.
    app.advance(Duration::hours(1));
    assert_eq!(look(&app), 1);
    assert_eq!(rollout(&app)["ramp"]["state"], "finished");
}

fn a_ramp_waits_for_who_has_vanished(engine: Engine) {
    let app = App::start(engine);
    let key = started(&app);
    app.advance(Duration::hours(1));
    assert_eq!(look(&app), 0);
    let waits = rollout(&app)["ramp"]["waits_for"].clone();
    assert!(
        waits[0]["detail"]
            .as_str()
            .unwrap()
            .contains("writers gone"),
        "{waits}"
    );
    joins(&app, &key, "a");
    assert_eq!(look(&app), 1);
    lets_go(&app, &key, "a", 2);
    assert_eq!(ended(&app)["exposure_percent"], 50);
}
