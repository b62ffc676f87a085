//! Gates that ask Prometheus: the real one, and whatever else may listen there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchover_server::prometheus::Settings;

use super::monitor::Monitor;
use super::strange::Strange;
use crate::support::{App, Engine, Place, Reply, Who, at, on_both_engines};

on_both_engines!(
    what_prometheus_answers_decides,
    whatever_answers_a_promotion_waits_for_nothing,
);

fn gate(name: &str, query: &str, limit: f64) -> Value {
    json!({ "gate": "prometheus", "name": name, "query": query, "limit": limit })
}

fn write(app: &App, gates: &[Value]) -> Reply {
    let policy = json!({ "name": "asking", "gates": { "opt_in": gates } });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body)
}

/// What the gates that ask answer: their states and details, in the policy's order.
fn answers(app: &App) -> Vec<(String, String)> {
    let gates = app
        .get(&at("a", "dev", "gates?to=opt_in"))
        .expect(200)
        .json();
    let gates = gates["gates"].as_array().unwrap().clone();
    let asking = gates.iter().filter(|gate| gate["gate"] == "prometheus");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    asking
        .map(|gate| (text(&gate["state"]), text(&gate["detail"])))
        .collect()
}

/// A real one that scrapes this very server.
#[test]
fn a_real_prometheus_is_asked() {
    let plain = App::start(Engine::Sqlite);
    let monitor = Monitor::start(plain.address(), None);
    let settings = Settings {
        url: monitor.url(),
        token_file: None,
        every: Duration::ZERO,
    };
    let app = App::asking(Engine::Sqlite, settings);
    let place = r#"{route="{{route}}",environment="{{environment}}"}"#;
    let exposure = |more: &str| format!("max(switchover_rollout_exposure_ratio{place}){more}");
    let mut low = gate("low", &exposure(""), 0.9);
    low["worse"] = json!("below");
    let gates = [
        gate("exposure", &exposure(""), 0.5),
        low,
        gate("none", r#"up{route="{{route}}",flag="{{flag}}"}"#, 1.0),
        gate("nothing_of_nothing", &exposure(" / 0"), 1.0),
        gate("several", "switchover_streams", 1.0),
        gate("scalar", "scalar(count(up))", 1.0),
        gate("range", "up[1m]", 1.0),
        gate("wrong", "sum(", 1.0),
    ];
    write(&app, &gates).expect(201);
    app.route_with("a", json!({ "policy": "asking" }));
    // The other server has such a route too, and that is the one that is scraped.
    plain.route("a");
    monitor.until_known(r#"switchover_rollout_exposure_ratio{route="a",environment="dev"}"#);
    let told = answers(&app);
    let expected = [
        ("pass", "exposure: dev: 0, within the limit 0.5"),
        ("fail", "low: dev: 0, below the limit 0.9"),
        ("insufficient", "none: dev: the query has no result"),
        (
            "insufficient",
            "nothing_of_nothing: dev: the result is not a number",
        ),
        ("insufficient", "several: dev: the query has 2 results"),
        ("pass", "scalar: dev: 1, within the limit 1"),
        ("insufficient", "range: dev: the result is a range"),
        ("insufficient", "wrong: dev: Prometheus answered 400: "),
    ];
    assert_eq!(told.len(), expected.len());
    for ((state, detail), (expected, says)) in told.iter().zip(expected) {
        assert_eq!(state, expected, "{detail}");
        assert!(detail.starts_with(says), "{detail}");
    }
    let refused = app
        .promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .problem(409);
    assert_eq!(refused["code"], "gates_not_met");
    assert_eq!(refused["gates"].as_array().unwrap().len(), 6, "{refused}");
    // It was kept for a moment, and the policy that asks less is judged by its own.
    write(&app, &gates[..1]).expect(201);
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    app.assert_audit_intact();
}

fn what_prometheus_answers_decides(engine: Engine) {
    let strange = Strange::start();
    let app = App::asking(engine, strange.settings());
    write(&app, &[gate("saturation", "0.93", 0.8)]).expect(201);
    app.route_with("a", json!({ "policy": "asking" }));
    let gates = app
        .get(&at("a", "dev", "gates?to=opt_in"))
        .expect(200)
        .json();
    let gates = gates["gates"].as_array().unwrap();
    let asked = gates
        .iter()
        .find(|gate| gate["gate"] == "prometheus")
        .unwrap();
    assert_eq!(asked["state"], "fail");
    assert_eq!(
        asked["numbers"],
        json!({ "limit": 0.8, "dev.saturation": 0.93 })
    );
    assert!(!asked["remedy"].as_str().unwrap().is_empty());
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in").code(409);
    // A route may have a number of its own.
    let numbers =
        json!({ "policy_numbers": { "opt_in.saturation.limit": 0.95 }, "reason": "test" });
    app.request("PATCH", "routes/a")
        .by(Who::ADMIN)
        .json(&numbers)
        .send()
        .expect(200);
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);

    // Installations of others are judged by what hosted environments show.
    let mandatory = json!({ "policy": { "name": "asking", "gates": { "mandatory": [
        gate("asked", "{{environment}}", 0.8) ] } }, "reason": "test" });
    app.post(Who::ADMIN, "policies", &mandatory).expect(201);
    app.get(&at("a", "on-prem", "gates?to=mandatory"))
        .expect(200);
    let asked = strange.asked();
    for environment in ["dev", "staging", "production"] {
        assert!(
            asked.iter().any(|(query, _)| query == environment),
            "{asked:?}"
        );
    }
    assert!(
        !asked.iter().any(|(query, _)| query == "on-prem"),
        "{asked:?}"
    );
}

fn whatever_answers_a_promotion_waits_for_nothing(engine: Engine) {
    let strange = Strange::start();
    let app = App::asking(engine, strange.settings());
    let odd = [
        ("empty", "no result"),
        ("nan", "not a number"),
        ("two", "2 results"),
        ("broken", "answered 500"),
        ("elsewhere", "answered 302"),
        ("large", "more than 1000000 bytes"),
        ("gone", "cannot be reached"),
        ("hang", "did not answer within 3 s"),
        ("drip", "did not answer within 3 s"),
    ];
    let gates = odd.map(|(query, _)| gate(query, query, 1.0));
    write(&app, &gates).expect(201);
    app.route_with("a", json!({ "policy": "asking" }));
    let asked = Instant::now();
    let told = answers(&app);
    assert!(
        asked.elapsed() < Duration::from_secs(9),
        "{:?}",
        asked.elapsed()
    );
    for ((state, detail), (query, says)) in told.iter().zip(odd) {
        assert_eq!(state, "insufficient", "{query}: {detail}");
        assert!(detail.contains(says), "{query}: {detail}");
    }
    // Whoever looks again at once is told what is known.
    let asked = Instant::now();
    assert_eq!(answers(&app), told);
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );

    // Others change the same rollout meanwhile: nothing is locked while Prometheus is waited for.
    write(
        &app,
        &[gate("hang", "hang", 2.0), gate("more", "{{route}}", 1.0)],
    )
    .expect(201);
    std::thread::sleep(Duration::from_secs(5));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| app.promote(Who::MAINTAINER, "a", "dev", "opt_in"));
        let began = Instant::now();
        for percent in [10, 20, 30, 0] {
            let ramp = json!({ "mode": "ramp", "percent": percent });
            app.set("a", "dev", ramp).expect(200);
        }
        let took = began.elapsed();
        assert!(
            !waiting.is_finished() && took < Duration::from_secs(2),
            "{took:?}"
        );
        let refused = waiting.join().unwrap().problem(409);
        assert_eq!(refused["code"], "gates_not_met");
    });
    // What was known when it was asked says nothing of a rollout that nobody asked about.
    assert_eq!(app.rollout("a", "dev")["stage"], "ready_for_testing");
}

/// A chain of routes, each with a question of its own: they are waited for together.
#[test]
fn a_cascade_waits_once() {
    let strange = Strange::start();
    let app = App::asking(Engine::Sqlite, strange.settings());
    let routes: Vec<String> = (0..16).map(|number| format!("r{number}")).collect();
    let chain = |query: &str| {
        write(&app, &[gate("asked", query, 0.8)]).expect(201);
        let last = routes.last().unwrap();
        let body = json!({ "to": "opt_in", "cascade": true, "reason": "test" });
        let began = Instant::now();
        let path = at(last, "dev", "promotions");
        let reply = app.post(Who::MAINTAINER, &path, &body);
        (reply, began.elapsed())
    };
    write(&app, &[]).expect(201);
    let mut below = Vec::new();
    for route in &routes {
        app.route_with(route, json!({ "policy": "asking", "requires": below }));
        below = vec![route];
    }
    let (refused, took) = chain("hang {{route}}");
    assert_eq!(refused.problem(409)["code"], "gates_not_met");
    assert!(took < Duration::from_secs(6), "{took:?}");
    // For a moment nobody waits for it again.
    let began = Instant::now();
    let gates = app
        .get(&at("r15", "dev", "gates?to=opt_in"))
        .expect(200)
        .json();
    assert!(gates.to_string().contains("did not answer within 3 s"));
    assert!(began.elapsed() < Duration::from_secs(1));
    std::thread::sleep(Duration::from_secs(5));
    // What is slow is asked as far as there is time for, and told apart.
    let (refused, took) = chain("slow {{route}} {{environment}}");
    let refused = refused.problem(409);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(!refused.to_string().contains("did not answer"), "{refused}");
    // It answers again.
    let (reply, _) = chain("0.5 {{route}}");
    reply.expect(201);
    assert_eq!(app.rollout("r0", "dev")["stage"], "opt_in");
}

#[test]
fn without_a_prometheus_the_gate_says_what_to_do() {
    let app = App::start(Engine::Sqlite);
    write(&app, &[gate("saturation", "x", 0.8)]).expect(201);
    app.route_with("a", json!({ "policy": "asking" }));
    let told = answers(&app);
    assert_eq!(told[0].0, "insufficient");
    assert!(told[0].1.contains("--prometheus-url"), "{told:?}");
}

#[test]
fn the_operator_sets_it_up() {
    let strange = Strange::start();
    let mut place = Place::new();
    let token = place.file("token");
    std::fs::write(&token, "secret\n").unwrap();
    let url = format!("{}/", strange.url());
    place.start_with(&["--prometheus-url", &url, "--prometheus-token-file", &token]);
    let policy = json!({ "name": "asking", "gates": { "opt_in": [gate("load", "0.5", 0.8)] } });
    let file = place.file("policy.json");
    std::fs::write(&file, policy.to_string()).unwrap();
    place.well(&["policy", "write", &file, "--reason", "test"]);
    place.well(&[
        "route",
        "add",
        "gitaly.Service/A",
        "--key",
        "a",
        "--operation",
        "read",
        "--owner",
        "gitaly",
        "--policy",
        "asking",
    ]);
    let gates = place.well(&["gates", "a", "dev"]);
    assert!(
        gates.contains("prometheus: pass, load: dev: 0.5, within the limit 0.8"),
        "{gates}"
    );
    assert_eq!(
        strange.asked(),
        [("0.5".to_owned(), "Bearer secret".to_owned())]
    );
    place.well(&["promote", "a", "dev", "--to", "opt_in", "--reason", "test"]);
    let shown = place.well(&["policy", "show", "asking"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let shown = &shown["gates"]["opt_in"][0];
    assert_eq!(
        (&shown["name"], &shown["query"]),
        (&json!("load"), &json!("0.5"))
    );
    assert_eq!(
        (&shown["limit"], &shown["worse"]),
        (&json!(0.8), &json!("above"))
    );

    let refused = Place::new().run(&["serve", "--prometheus-url", "ftp://secret@example.com"]);
    assert_eq!(refused.status, 1);
    assert!(
        !refused.err.contains("secret") && refused.err.contains("http://"),
        "{}",
        refused.err
    );
}

#[test]
fn a_policy_says_what_it_asks() {
    let app = App::start(Engine::Sqlite);
    let without = |field: &str| {
        let mut gate = gate("load", "x", 1.0);
        gate.as_object_mut().unwrap().remove(field);
        gate
    };
    let with = |field: &str, value: Value| {
        let mut gate = gate("load", "x", 1.0);
        gate[field] = value;
        gate
    };
    for (gates, field) in [
        (vec![without("name")], "name"),
        (vec![without("query")], "query"),
        (vec![without("limit")], "limit"),
        (vec![with("name", json!("telemetry"))], "name"),
        (vec![with("query", json!("x{a={{b}}}"))], "query"),
        (vec![with("query", json!(1))], "query"),
        (vec![with("limit", json!("1"))], "limit"),
        (vec![with("worse", json!("beyond"))], "worse"),
        (vec![with("days", json!(1))], "days"),
        (
            vec![gate("load", "x", 1.0), gate("load", "y", 1.0)],
            "stands twice",
        ),
    ] {
        let refused = write(&app, &gates).problem(422);
        let errors = refused["errors"].to_string();
        assert!(errors.contains(field), "{field}: {errors}");
    }
    // Taking it away, and another question in its place, ask for less.
    let actions = |app: &App| {
        let page = app.get("audit?limit=1000").expect(200).json();
        let items = page["items"].as_array().unwrap().clone();
        items[0]["action"].as_str().unwrap().to_owned()
    };
    write(&app, &[gate("load", "x", 1.0)]).expect(201);
    for (gates, relaxes) in [
        (vec![gate("load", "x", 0.5)], false),
        (vec![gate("load", "x", 0.5), gate("more", "y", 0.5)], false),
        (vec![gate("load", "x", 0.6), gate("more", "y", 0.5)], true),
        (vec![gate("load", "x", 0.6)], true),
        (vec![gate("renamed", "x", 0.6)], false),
        (vec![gate("renamed", "z", 0.6)], true),
        (vec![], true),
    ] {
        write(&app, &gates).expect(201);
        let expected = if relaxes {
            "break_glass_policy"
        } else {
            "policy"
        };
        assert_eq!(actions(&app), expected, "{gates:?}");
    }
}
