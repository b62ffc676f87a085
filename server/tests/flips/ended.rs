//! What makes things safer waits for nobody, and ends what is announced.

use super::*;

on_both_engines!(
    a_halt_ends_a_hold,
    a_resume_is_announced_and_halted_again,
    a_mirror_that_is_stopped_ends_a_hold,
    guards_count_on_through_a_hold,
);

fn a_halt_ends_a_hold(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    ramp(&app, 20).expect(200);
    joins(&app, &key, "a");
    ramp(&app, 30).expect(202);
    assert_eq!(published(&app, &key)["generation"], 2);
    let halted = order(&app, Who::OPERATOR, "halt").expect(200).json();
    assert_eq!(halted["rollout"]["hold"], Value::Null);
    assert_eq!(halted["rollout"]["last_flip"]["outcome"], "abandoned");
    let told = published(&app, &key);
    // Keys went back unannounced.
    assert_eq!(
        (&told["generation"], &told["halted"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(told["hold"], Value::Null);
    lets_go(&app, &key, "a", 2);
    assert_eq!(rollout(&app)["setting"]["percent"], 20);
    // Where nothing was new, a halt moves nothing.
    let body = json!({ "environment": "dev", "reason": "test" });
    app.post(Who::OPERATOR, "halts", &body).expect(200);
    assert_eq!(rollout(&app)["generation"], 3);
    // Out of the way at once, with a halt in the same step.
    order(&app, Who::OPERATOR, "resume").expect(202);
    lets_go(&app, &key, "a", 4);
    ended(&app);
    let body = json!({ "to": "ready_for_testing", "halt": true, "reason": "test" });
    app.post(Who::OPERATOR, &at("save", "dev", "demotions"), &body)
        .expect(201);
    let rollout = rollout(&app);
    assert_eq!(
        (&rollout["stage"], &rollout["generation"]),
        (&json!("ready_for_testing"), &json!(5))
    );
}

fn a_resume_is_announced_and_halted_again(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    ramp(&app, 20).expect(200);
    joins(&app, &key, "a");
    order(&app, Who::OPERATOR, "halt").expect(200);
    let held = order(&app, Who::OPERATOR, "resume").expect(202).json();
    assert_eq!(held["rollout"]["halted"], true);
    assert_eq!(published(&app, &key)["hold"]["setting"]["percent"], 20);
    // It is halted already, and stays so: the resume is given up.
    order(&app, Who::OPERATOR, "halt").expect(200);
    lets_go(&app, &key, "a", 3);
    let after = ended(&app);
    assert_eq!(
        (&after["halted"], &after["generation"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(after["last_flip"]["outcome"], "abandoned");
    order(&app, Who::OPERATOR, "resume").expect(202);
    lets_go(&app, &key, "a", 4);
    let after = ended(&app);
    assert_eq!(
        (&after["halted"], &after["exposure_percent"]),
        (&json!(false), &json!(20))
    );
}

fn a_mirror_that_is_stopped_ends_a_hold(engine: Engine) {
    let app = App::start(engine);
    let key = doubled(&app);
    joins(&app, &key, "a");
    ramp(&app, 20).expect(202);
    let target = switchover_server::service::Target {
        route: "save".parse().unwrap(),
        environment: "dev".parse().unwrap(),
    };
    let ctx = switchover_server::service::Ctx::of(Who::OPERATOR.actor());
    let change = switchover_server::service::Change {
        target,
        command: switchover_server::domain::lifecycle::Command::StopMirror,
        reason: switchover_server::domain::text::Reason::new("test").unwrap(),
        cascade: false,
    };
    let receipt = |_: &switchover_server::service::Changed| switchover_server::store::Receipt {
        status: 200,
        etag: None,
        body: String::new(),
    };
    app.services()
        .change_rollout(&ctx, &change, &receipt)
        .unwrap();
    let after = ended(&app);
    assert_eq!(
        (&after["generation"], &after["exposure_percent"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(after["mirror"]["write_percent"], 0);
    let told = published(&app, &key);
    assert_eq!(
        (&told["generation"], &told["hold"]),
        (&json!(1), &Value::Null)
    );
}

/// What is announced moves nothing yet: the guards' epoch is the one before.
fn guards_count_on_through_a_hold(engine: Engine) {
    let app = App::start(engine);
    let policy = json!({
        "name": "watched",
        "guards": [{ "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt" }],
    });
    app.post(
        Who::ADMIN,
        "policies",
        &json!({ "policy": policy, "reason": "test" }),
    )
    .expect(201);
    let key = doubled(&app);
    let change = json!({ "policy": "watched", "reason": "test" });
    patch(&app, "save", &change).expect(200);
    joins(&app, &key, "a");
    let since = || published(&app, &key)["watch"]["since"].as_u64().unwrap();
    let before = since();
    ramp(&app, 20).expect(202);
    assert_eq!(since(), before);
    app.advance(Duration::seconds(2));
    ended(&app);
    released(&app, &key);
    assert_eq!(since(), before, "given up");
    ramp(&app, 20).expect(202);
    assert_eq!(since(), before, "and again");
    lets_go(&app, &key, "a", 2);
    ended(&app);
    released(&app, &key);
    assert!(since() > before, "keys have moved");
}
