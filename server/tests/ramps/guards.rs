//! What guards do, and what it takes to go on afterwards.

use std::sync::atomic::{AtomicU64, Ordering};

use switchover_server::domain::guard::Due;
use switchover_server::domain::policy::{Guard, Measure};

use super::*;

on_both_engines!(
    a_guards_halt_takes_the_ramp_back,
    what_a_guard_does_is_on_record
);

/// Acts as the guard `errors`; the newest action on record.
pub(super) fn act(app: &App, action: GuardAction) -> String {
    let services = app.services();
    let known = services.guarded(&[target()].into()).unwrap();
    let due = due(action, known[&target()].published);
    assert!(services.carry_out(&target(), &due).unwrap());
    newest(app)["action"].as_str().unwrap().to_owned()
}

/// That the guard `errors` was passed, in an epoch of its own.
fn due(action: GuardAction, published: u64) -> Due {
    static EPOCH: AtomicU64 = AtomicU64::new(1);
    let numbers = json!({ "trials": 100, "violations": 9 });
    Due {
        guard: Guard {
            query: None,
            name: "errors".to_owned(),
            measure: Measure::ErrorRate,
            limit: 0.01,
            action,
            min_calls: None,
        },
        epoch: EPOCH.fetch_add(1, Ordering::Relaxed),
        published,
        instance: None,
        detail: "9 of 100 calls failed (9 %), limit 1 %".to_owned(),
        numbers: numbers.as_object().unwrap().clone(),
    }
}

fn a_guards_halt_takes_the_ramp_back(engine: Engine) {
    let app = App::start(engine);
    offered(&app);
    let steps = json!([
        { "percent": 10, "hold": "1h" }, { "percent": 30, "hold": "1h" }, { "percent": 100, "hold": "1h" },
    ]);
    put(&app, Who::OPERATOR, "dev", steps).expect(200);
    order(&app, Who::OPERATOR, "dev", "ramp/start").expect(200);
    app.advance(Duration::hours(1));
    assert_eq!(look(&app, &[]), 1);
    app.advance(Duration::minutes(10));
    assert_eq!(act(&app, GuardAction::Halt), "halt");
    let halted = app.rollout("a", "dev");
    assert_eq!(
        (&halted["halt"]["by"], &halted["ramp"]["state"]),
        (&json!("guard:errors"), &json!("paused"))
    );
    assert_eq!(newest(&app)["after"]["guard"]["violations"], 9);
    let entries = app.audit_count();
    act(&app, GuardAction::Halt);
    assert_eq!(app.audit_count(), entries, "halted once");
    let resumed = order(&app, Who::OPERATOR, "dev", "resume")
        .expect(200)
        .json();
    assert_eq!(
        resumed["rollout"]["exposure_percent"], 10,
        "10 % was held to its end"
    );
    assert_eq!(resumed["rollout"]["ramp"]["state"], "paused");
    app.advance(Duration::hours(9));
    assert_eq!(look(&app, &[]), 0);
    order(&app, Who::OPERATOR, "dev", "ramp/resume").expect(200);
    app.advance(Duration::hours(1));
    assert_eq!(look(&app, &[]), 1);

    // A second one within 24 hours, also when many are resumed at once.
    act(&app, GuardAction::Halt);
    let refused = order(&app, Who::OPERATOR, "dev", "resume").problem(403);
    assert_eq!(refused["needs"], "maintainer");
    let many = json!({ "environment": "dev", "reason": "test" });
    let many = app.post(Who::OPERATOR, "resumes", &many).expect(200).json();
    assert_eq!(many["still_halted"][0]["route"], "a", "{many}");
    order(&app, Who::MAINTAINER, "dev", "resume").expect(200);
    app.advance(Duration::hours(25));
    act(&app, GuardAction::Halt);
    order(&app, Who::OPERATOR, "dev", "resume").expect(200);
    app.assert_audit_intact();
}

fn what_a_guard_does_is_on_record(engine: Engine) {
    let app = App::start(engine);
    offered(&app);
    let steps = json!([{ "percent": 10, "hold": "1h" }, { "percent": 100, "hold": "1h" }]);
    put(&app, Who::OPERATOR, "dev", steps).expect(200);
    let told = act(&app, GuardAction::Pause);
    assert_eq!(told, "guard_notify", "nothing runs that could be paused");
    order(&app, Who::OPERATOR, "dev", "ramp/start").expect(200);
    assert_eq!(act(&app, GuardAction::Pause), "ramp_pause");
    let entry = newest(&app);
    assert_eq!(
        (&entry["by"], &entry["after"]["guard"]["trials"]),
        (&json!("guard:errors"), &json!(100))
    );
    let paused = ramp(&app)["paused"].clone();
    assert_eq!(paused["by"], "guard:errors");
    app.advance(Duration::hours(9));
    assert_eq!(look(&app, &[]), 0);
    assert_eq!(act(&app, GuardAction::Notify), "guard_notify");
    order(&app, Who::OPERATOR, "dev", "ramp/resume").expect(200);
    app.advance(Duration::hours(1));
    assert_eq!(look(&app, &[]), 1);
    // What was passed by another form of the rollout is nothing to act on any more.
    let entries = app.audit_count();
    let late = due(GuardAction::Halt, 1);
    assert!(!app.services().carry_out(&target(), &late).unwrap());
    assert_eq!(app.audit_count(), entries);
    assert_eq!(app.rollout("a", "dev")["halted"], false);
    let target = Target {
        route: "nobody".parse().unwrap(),
        ..target()
    };
    assert!(app.services().carry_out(&target, &late).is_err());
    app.assert_audit_intact();
}
