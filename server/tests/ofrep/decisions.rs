//! What is answered is what the SDK decides, for every flag and every key.

use serde_json::{Value, json};

use super::{Ofrep, assert_is, decision};
use crate::support::{Engine, Who, at, on_both_engines};

on_both_engines!(every_answer_is_the_sdks_decision);

/// Routes in every state that a rollout may have.
fn routes(ofrep: &Ofrep) -> Vec<&'static str> {
    let app = &ofrep.app;
    let names = [
        "stage",
        "opt_in",
        "opt_out",
        "mandatory",
        "off",
        "on",
        "halted",
        "ramp",
        "grouped",
        "full",
        "cohorts",
        "ramp_cohorts",
        "needs_on",
        "needs_off",
        "needs_ramp",
    ];
    for name in names {
        app.route(name);
    }
    for stage in ["opt_in", "opt_out", "mandatory"] {
        app.bring(stage, &["dev"], stage);
    }
    let patch = |route: &str, mut body: Value| {
        body["reason"] = json!("test");
        let request = app.request("PATCH", &format!("routes/{route}"));
        request.by(Who::MAINTAINER).json(&body).send().expect(200);
    };
    patch("grouped", json!({ "ramp_group": "ramp" }));
    let set = |route: &str, setting: Value| {
        app.set(route, "dev", setting).expect(200);
    };
    set("off", json!({ "mode": "off" }));
    set("on", json!({ "mode": "on" }));
    set("halted", json!({ "mode": "on" }));
    let halt = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at("halted", "dev", "halt"), &halt)
        .expect(200);
    for (route, percent) in [
        ("ramp", 30.0),
        ("grouped", 60.0),
        ("full", 100.0),
        ("ramp_cohorts", 50.0),
    ] {
        set(route, json!({ "mode": "ramp", "percent": percent }));
    }
    for route in ["cohorts", "ramp_cohorts"] {
        let body = json!({ "include": ["user-1", "7"], "exclude": ["user-2"], "reason": "test" });
        app.put(Who::OPERATOR, &at(route, "dev", "cohorts"), &body)
            .expect(200);
    }
    for (route, needed) in [
        ("needs_on", "on"),
        ("needs_off", "off"),
        ("needs_ramp", "ramp"),
    ] {
        patch(route, json!({ "requires": [needed] }));
        set(route, json!({ "mode": "on" }));
    }
    names.to_vec()
}

fn every_answer_is_the_sdks_decision(engine: Engine) {
    let ofrep = Ofrep::start(engine);
    let names = routes(&ofrep);
    let snapshot = ofrep.snapshot();
    let keys = (0..60).map(|number| Some(format!("user-{number}")));
    let odd = [Some("7"), Some("é\u{1F600}"), Some(" "), None].map(|key| key.map(str::to_owned));
    let mut answers = Vec::new();
    for key in keys.chain(odd) {
        let key = key.as_deref();
        let all = ofrep.all(key).json();
        let flags = all["flags"].as_array().unwrap();
        assert_eq!(flags.len(), 2 * names.len(), "each route is two flags");
        for flag in flags {
            let name = flag["key"].as_str().unwrap();
            let route = name.split('.').next().unwrap();
            let decided = decision(&snapshot, route, key);
            assert_is(flag, route, &decided);
            answers.push((name.to_owned(), flag.clone()));
        }
        if key.is_none_or(|key| key.ends_with('7')) {
            for flag in flags {
                assert_eq!(ofrep.one(flag["key"].as_str().unwrap(), key), *flag);
            }
        }
    }
    // Who reads STATIC may keep the answer whatever key comes next.
    for route in &names {
        let of_route: Vec<&Value> = answers
            .iter()
            .filter(|(name, _)| name == route)
            .map(|(_, answer)| answer)
            .collect();
        let is_static = of_route[0]["reason"] == "STATIC";
        let differs = of_route
            .iter()
            .any(|answer| answer["value"] != of_route[0]["value"]);
        assert!(!(is_static && differs), "{route}");
        assert!(
            of_route
                .iter()
                .all(|answer| (answer["reason"] == "STATIC") == is_static)
        );
    }
    let of = |flag: &str, key| {
        let answer = ofrep.one(flag, key);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&answer["reason"]), text(&answer["metadata"]["reason"]))
    };
    let expected = [
        ("stage", None, "STATIC", "default_off"),
        ("opt_out", None, "STATIC", "default_on"),
        ("mandatory", None, "STATIC", "mandatory"),
        ("halted", None, "STATIC", "halted"),
        ("ramp", None, "DEFAULT", "no_key"),
        ("full", None, "STATIC", "ramp_in"),
        (
            "cohorts",
            Some("user-1"),
            "TARGETING_MATCH",
            "cohort_include",
        ),
        (
            "cohorts",
            Some("user-2"),
            "TARGETING_MATCH",
            "cohort_exclude",
        ),
        ("cohorts", Some("user-3"), "DEFAULT", "default_off"),
        ("needs_on", None, "STATIC", "on"),
        ("needs_off", None, "STATIC", "prerequisite"),
    ];
    for (flag, key, reason, ours) in expected {
        assert_eq!(
            of(flag, key),
            (reason.to_owned(), ours.to_owned()),
            "{flag} {key:?}"
        );
    }
    for key in ["user-1", "user-9"] {
        assert_eq!(of("ramp", Some(key)).0, "SPLIT");
    }
    // A number is its decimal text, as it is for the SDK.
    let number = json!({ "context": { "targetingKey": 7 } });
    let answer = ofrep.post("/ofrep/v1/evaluate/flags/cohorts", &number);
    assert_eq!(
        answer.expect(200).json()["metadata"]["reason"],
        "cohort_include"
    );
}

/// What an answer says of a route is that route's alone: a change elsewhere changes nothing of it.
#[test]
fn the_version_of_an_answer_is_that_of_its_route() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    ofrep.app.route("b");
    let before = (ofrep.one("a", None), ofrep.one("b", None));
    ofrep
        .app
        .set("b", "dev", json!({ "mode": "on" }))
        .expect(200);
    assert_eq!(ofrep.one("a", None), before.0);
    let version = |answer: &Value| answer["metadata"]["version"].clone();
    assert_ne!(version(&ofrep.one("b", None)), version(&before.1));
    let published = ofrep.snapshot().version().to_string();
    assert_eq!(version(&ofrep.one("b", None)), published);
}

/// On-prem installations read no server, but whoever runs one beside it may.
#[test]
fn an_on_prem_environment_has_its_own_defaults() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    ofrep
        .app
        .bring("a", &["dev", "staging", "production", "on-prem"], "opt_in");
    let key = ofrep.app.sdk_key("on-prem");
    let request = ofrep.app.request("POST", "/ofrep/v1/evaluate/flags/a");
    let there = request.bearer(&key).send().expect(200).json();
    assert_eq!(
        (&there["value"], &ofrep.one("a", None)["value"]),
        (&json!(false), &json!(true))
    );
}
