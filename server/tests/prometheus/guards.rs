//! Guards that ask Prometheus: what speaks against the new path acts, and nothing else does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchover_server::conductor::Conductor;
use switchover_server::prometheus::Settings;

use super::monitor::Monitor;
use super::strange::Strange;
use crate::support::{App, Engine, Fleet, Who, at, on_both_engines};

on_both_engines!(what_is_beyond_the_limit_halts, what_is_no_answer_holds);

const PATIENCE: Duration = Duration::from_secs(20);

fn guard(query: &str) -> Value {
    json!({
        "name": "saturation", "source": "prometheus", "query": query, "limit": 0.8, "action": "halt",
    })
}

fn watched(app: &App, policy: Value) {
    let mut document = json!({ "name": "asking" });
    let fields = document.as_object_mut().unwrap();
    fields.extend(policy.as_object().unwrap().clone());
    let body = json!({ "policy": document, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
    app.route_with("a", json!({ "policy": "asking" }));
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
}

fn answer(app: &App, name: &str) -> Value {
    let guards = app.get(&at("a", "dev", "guards")).expect(200).json();
    let guards = guards["guards"].as_array().unwrap();
    guards
        .iter()
        .find(|guard| guard["name"] == name)
        .unwrap()
        .clone()
}

fn halted(app: &App) -> bool {
    app.rollout("a", "dev")["halted"] == true
}

/// Looks until there is something; no look takes long, whatever Prometheus does.
#[track_caller]
fn look_until(conductor: &mut Conductor, what: &str, seen: impl Fn() -> bool) {
    let began = Instant::now();
    while !seen() {
        assert!(
            began.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        let looked = Instant::now();
        assert!(conductor.tick());
        assert!(
            looked.elapsed() < Duration::from_secs(2),
            "{:?}",
            looked.elapsed()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn conductor(app: &App) -> Conductor {
    Conductor::new(Arc::clone(app.services()))
}

fn what_is_beyond_the_limit_halts(engine: Engine) {
    let strange = Strange::start();
    strange.tell("0.5");
    let app = App::asking(engine, strange.settings());
    watched(&app, json!({ "guards": [guard("told")] }));
    let before = answer(&app, "saturation");
    assert_eq!(before["state"], "insufficient");
    assert!(before["detail"].as_str().unwrap().contains("was not asked"));
    let mut conductor = conductor(&app);
    look_until(&mut conductor, "an answer", || {
        answer(&app, "saturation")["state"] == "pass"
    });
    let told = answer(&app, "saturation");
    assert_eq!(told["detail"], "Prometheus answers 0.5, limit 0.8");
    assert_eq!(
        (&told["measure"], &told["numbers"]["value"]),
        (&json!("prometheus"), &json!(0.5))
    );

    strange.tell("0.93");
    look_until(&mut conductor, "a halt", || halted(&app));
    let rollout = app.rollout("a", "dev");
    assert_eq!(rollout["halt"]["by"], "guard:saturation");
    assert!(
        rollout["halt"]["reason"]
            .as_str()
            .unwrap()
            .contains("answers 0.93, limit 0.8")
    );
    let page = app.get("audit?limit=1").expect(200).json();
    let entry = &page["items"][0];
    assert_eq!(
        (&entry["action"], &entry["after"]["guard"]["value"]),
        (&json!("halt"), &json!(0.93))
    );
    app.assert_audit_intact();

    // Once: a halted rollout is not asked about, and after a resume everything begins anew.
    strange.tell("0.5");
    let body = json!({ "reason": "mended" });
    app.post(Who::OPERATOR, &at("a", "dev", "resume"), &body)
        .expect(200);
    assert_eq!(answer(&app, "saturation")["state"], "insufficient");
    look_until(&mut conductor, "an answer", || {
        answer(&app, "saturation")["state"] == "pass"
    });
    assert!(!halted(&app));
    // What was answered long ago says nothing of now.
    app.advance(chrono::Duration::seconds(51));
    let old = answer(&app, "saturation");
    assert_eq!(old["state"], "insufficient");
    assert!(
        old["detail"]
            .as_str()
            .unwrap()
            .contains("nothing was answered for 50 s"),
        "{old}"
    );
    // Another node knows what this one knows.
    strange.tell("0.25");
    look_until(&mut conductor, "an answer", || {
        answer(&app, "saturation")["numbers"]["value"] == 0.25
    });
}

fn what_is_no_answer_holds(engine: Engine) {
    let strange = Strange::start();
    let app = App::asking(engine, strange.settings());
    let ramp = json!([{ "percent": 10, "hold_hours": 1 }, { "percent": 100, "hold_hours": 1 }]);
    watched(
        &app,
        json!({ "guards": [guard("told")], "ramp": ramp, "ramp_start": "at_promotion" }),
    );
    let mut conductor = conductor(&app);
    for (what, says) in [
        ("empty", "no result"),
        ("nan", "not a number"),
        ("two", "2 results"),
        ("broken", "answered 500"),
        ("large", "more than 1000000 bytes"),
        ("gone", "cannot be reached"),
    ] {
        strange.tell(what);
        app.advance(chrono::Duration::hours(2));
        look_until(&mut conductor, what, || {
            let told = answer(&app, "saturation");
            let detail = told["detail"].as_str().unwrap();
            detail.contains(says) && told["state"] == "insufficient"
        });
        assert!(!halted(&app), "{what}");
        assert_ne!(app.rollout("a", "dev")["exposure_percent"], 100.0, "{what}");
    }
    // An answer lets it go on.
    strange.tell("0.5");
    look_until(&mut conductor, "the next step", || {
        app.advance(chrono::Duration::minutes(1));
        app.rollout("a", "dev")["exposure_percent"] == 100.0
    });
}

/// While it hangs, a guard on what callers report acts as fast as ever.
#[test]
fn a_prometheus_that_hangs_delays_no_other_guard() {
    let strange = Strange::start();
    strange.tell("hang");
    let app = App::asking(Engine::Sqlite, strange.settings());
    let errors =
        json!({ "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt" });
    watched(&app, json!({ "guards": [guard("told"), errors] }));
    let mut conductor = conductor(&app);
    conductor.tick();
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let began = Instant::now();
    for _ in 0..4 {
        fleet.calls(&app, "a", 100, 30);
        conductor.tick();
    }
    assert!(halted(&app));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(app.rollout("a", "dev")["halt"]["by"], "guard:errors");
}

/// A route whose guard asks this, in opt-in in dev.
fn watched_by(app: &App, route: &str, query: &str) {
    let policy = json!({ "name": route, "guards": [guard(query)] });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
    app.route_with(route, json!({ "policy": route }));
    app.promote(Who::MAINTAINER, route, "dev", "opt_in")
        .expect(201);
}

/// How often it was asked this.
fn asked(strange: &Strange, question: &str) -> usize {
    let asked = strange.asked();
    asked.iter().filter(|(query, _)| query == question).count()
}

/// Two dozen queries that take two seconds each: all of them together take several times as long as
/// guards wait between two questions.
#[test]
fn slow_queries_delay_no_quick_one() {
    let strange = Strange::start();
    strange.tell("0.5");
    let settings = Settings {
        every: Duration::from_millis(500),
        ..strange.settings()
    };
    let app = App::asking(Engine::Sqlite, settings);
    for number in 0..24 {
        let route = format!("slow{number}");
        watched_by(&app, &route, "slow {{route}}");
    }
    watched_by(&app, "a", "told");
    let mut conductor = conductor(&app);
    look_until(&mut conductor, "an answer to each", || {
        (0..24).all(|number| asked(&strange, &format!("slow slow{number}")) >= 2)
    });
    // The others are waited for meanwhile.
    let before = asked(&strange, "told");
    let began = Instant::now();
    look_until(&mut conductor, "further questions", || {
        asked(&strange, "told") >= before + 3
    });
    strange.tell("0.93");
    look_until(&mut conductor, "a halt", || halted(&app));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn who_asks_the_same_is_told_together() {
    let strange = Strange::start();
    strange.tell("0.93");
    let settings = Settings {
        every: Duration::from_secs(60),
        ..strange.settings()
    };
    let app = App::asking(Engine::Sqlite, settings);
    for route in ["a", "b", "c"] {
        watched_by(&app, route, "told");
    }
    let mut conductor = conductor(&app);
    look_until(&mut conductor, "halts", || {
        ["a", "b", "c"]
            .iter()
            .all(|route| app.rollout(route, "dev")["halted"] == true)
    });
    assert_eq!(asked(&strange, "told"), 1);
}

/// The real one, about what this server tells of itself.
#[test]
fn a_real_prometheus_halts() {
    let told = App::start(Engine::Sqlite);
    let monitor = Monitor::start(told.address(), None);
    let settings = Settings {
        url: monitor.url(),
        token_file: None,
        every: Duration::from_millis(200),
    };
    let app = App::asking(Engine::Sqlite, settings);
    let query = r#"max(switchover_rollout_exposure_ratio{route="{{route}}",environment="{{environment}}"})"#;
    watched(&app, json!({ "guards": [guard(query)] }));
    told.route("a");
    told.set("a", "dev", json!({ "mode": "ramp", "percent": 50 }))
        .expect(200);
    let mut conductor = conductor(&app);
    look_until(&mut conductor, "an answer", || {
        answer(&app, "saturation")["state"] == "pass"
    });
    assert!(!halted(&app));
    told.set("a", "dev", json!({ "mode": "on" })).expect(200);
    look_until(&mut conductor, "a halt", || halted(&app));
}

#[test]
fn a_policy_says_what_its_guards_ask() {
    let app = App::start(Engine::Sqlite);
    let write = |guard: Value| {
        let policy = json!({ "name": "asking", "guards": [guard] });
        app.post(
            Who::ADMIN,
            "policies",
            &json!({ "policy": policy, "reason": "test" }),
        )
    };
    let with = |field: &str, value: Value| {
        let mut guard = guard("x");
        guard[field] = value;
        guard
    };
    for (guard, field) in [
        (with("measure", json!("error_rate")), "guards[0].measure"),
        (with("min_calls", json!(5)), "guards[0].min_calls"),
        (with("query", json!("")), "guards[0].query"),
        (with("query", json!("{{which}}")), "guards[0].query"),
        (with("limit", json!(1e300)), "guards[0].limit"),
        (with("source", json!("callers")), "guards[0].query"),
        (
            json!({ "name": "x", "limit": 1, "action": "halt" }),
            "guards[0].measure",
        ),
        (
            json!({ "name": "x", "measure": "prometheus", "limit": 1, "action": "halt" }),
            "guards[0].measure",
        ),
    ] {
        let refused = write(guard).problem(422);
        let errors = refused["errors"].to_string();
        assert!(errors.contains(field), "{field}: {errors}");
    }
    let made = write(with("worse", json!("below"))).expect(201).json();
    let kept = &made["policy"]["guards"][0];
    let expected = json!({
        "name": "saturation", "source": "prometheus", "query": "x", "worse": "below",
        "limit": 0.8, "action": "halt",
    });
    assert_eq!(*kept, expected);
    // What is read back is what can be written.
    write(kept.clone()).expect(201);
    let newest = || app.get("audit?limit=1").expect(200).json()["items"][0]["action"].clone();
    let mut stricter = kept.clone();
    stricter["limit"] = json!(0.9);
    write(stricter).expect(201);
    assert_eq!(
        newest(),
        "policy",
        "less is worse, so a higher limit is the stricter"
    );
    write(kept.clone()).expect(201);
    assert_eq!(newest(), "break_glass_policy");
}
