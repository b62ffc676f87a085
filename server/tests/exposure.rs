//! Exposure has one door. Every operation that changes something is tried where nothing may raise
//! exposure: afterwards no key takes the new path that did not before.

mod harmless;
mod operations;
mod raising;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use switchover::{Overrides, Path, Snapshot, Source, decide};

use crate::openapi::operations;
use crate::support::{App, Engine, Reply, Who, at, on_both_engines};
use operations::{Body, Class, Probe, table};

on_both_engines!(
    nothing_raises_exposure_during_a_freeze,
    nobody_but_a_maintainer_leaves_a_ramp,
    nothing_is_exposed_in_production_without_a_window,
    windows_that_end_during_a_freeze_raise_nothing,
    what_is_said_again_is_not_done_again,
);

const ENVIRONMENTS: [&str; 4] = ["dev", "staging", "production", "on-prem"];

/// Where nothing may raise exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// An open freeze, for everybody.
    Frozen,
    /// A policy with a ramp, for operators.
    Ramp,
    /// Production at ready_for_testing without an acceptance window, for everybody.
    Untested,
}

/// Whatever changes something has to say whether it can raise exposure, and then how it is kept
/// from that.
#[test]
fn every_operation_is_in_one_class() {
    let changing = operations()
        .into_iter()
        // With an SDK's key nothing is decided.
        .filter(|operation| operation.method != "GET" && operation.path.starts_with("/api/"))
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .map(|name| name.replace("/api/v1/", ""));
    let documented: BTreeSet<String> = changing.collect();
    let classified: BTreeSet<String> = table().map(|row| row.operation.to_owned()).collect();
    assert_eq!(classified.len(), table().count(), "one stands twice");
    let missing: Vec<_> = documented.difference(&classified).collect();
    assert!(
        missing.is_empty(),
        "say in which class they are: {missing:?}"
    );
    let gone: Vec<_> = classified.difference(&documented).collect();
    assert!(gone.is_empty(), "{gone:?}");
    for row in table() {
        let (_, template) = row.operation.split_once(' ').unwrap();
        assert!(!row.probes.is_empty(), "{}: never tried", row.operation);
        for probe in row.probes {
            let path = probe.path.split('?').next().unwrap();
            let fits = path.split('/').count() == template.split('/').count()
                && path
                    .split('/')
                    .zip(template.split('/'))
                    .all(|(part, of)| of.starts_with('{') || part == of);
            assert!(fits, "{}: {path}", row.operation);
        }
        let tried = |scene| row.probes.iter().any(|probe| probe.scene == scene);
        if row.class == Class::Raises {
            assert!(tried(Scene::Frozen), "{}: tried in a freeze", row.operation);
        }
    }
}

/// Who takes the new path: route, environment and key, as an SDK decides by what is published.
fn exposed(app: &App) -> BTreeSet<(String, String, String)> {
    let services = app.services();
    services.catch_up().unwrap();
    let routes = app.get("routes?limit=200").expect(200).json();
    let routes: Vec<String> = routes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route["key"].as_str().unwrap().to_owned())
        .collect();
    let mut exposed = BTreeSet::new();
    for (environment, _) in services.environments().unwrap() {
        let published = services.hub().current(&environment.key).unwrap();
        let bytes = published.snapshot();
        let text = std::str::from_utf8(&bytes).unwrap();
        let snapshot = Snapshot::from_json(text, Source::Live).unwrap();
        for route in &routes {
            for key in (0..40).map(|number| format!("k{number}")) {
                let decision = decide(
                    snapshot.table(),
                    route,
                    &Overrides::none(),
                    Some(key.as_str()),
                );
                if decision.path == Path::New {
                    exposed.insert((route.clone(), environment.key.to_string(), key));
                }
            }
        }
    }
    exposed
}

/// What an identity stands for that is only known when there is something.
fn found(app: &App, path: &str) -> String {
    let first = |list: &str| {
        let list = app
            .request("GET", list)
            .by(Who::ADMIN)
            .send()
            .expect(200)
            .json();
        list["items"][0]["id"].as_str().unwrap_or("none").to_owned()
    };
    let of_plan = |what: &str| {
        let plan = app.get("routes/planned/plan?format=json").json();
        let section = &plan["sections"][0];
        let found = if what == "section" {
            section
        } else {
            &section["steps"][0]
        };
        found["id"].as_str().unwrap_or("none").to_owned()
    };
    let mut path = path.to_owned();
    for (name, find) in [
        ("FREEZE", &(|| first("freezes")) as &dyn Fn() -> String),
        ("APPROVAL", &|| {
            first("routes/offered/environments/dev/approvals")
        }),
        ("KEY", &|| first("sdk-keys")),
        ("WEBHOOK", &|| first("webhooks")),
        ("DELIVERY", &|| {
            let webhook = first("webhooks");
            first(&format!("webhooks/{webhook}/deliveries"))
        }),
        ("SECTION", &|| of_plan("section")),
        ("STEP", &|| of_plan("step")),
        ("BACKFILL", &|| {
            first("routes/saved/environments/dev/backfills")
        }),
    ] {
        if path.contains(name) {
            path = path.replace(name, &find());
        }
    }
    path
}

fn send(app: &App, who: Who, operation: &str, probe: &Probe, key: Option<&str>) -> Reply {
    let (method, _) = operation.split_once(' ').unwrap();
    let path = found(app, probe.path);
    let request = app.request(method, &path).by(who);
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    match probe.body {
        Body::None => request.send(),
        Body::Json(text) => {
            let body: Value = serde_json::from_str(text).unwrap_or_else(|error| {
                panic!("{operation} {error}: {text}");
            });
            request.json(&body).send()
        }
        Body::Markdown(text) => {
            let request = request.header("content-type", "text/markdown");
            request.body(text).send()
        }
    }
}

/// Tries everything there, by whoever the scene is about and by all who may.
fn try_all(app: &App, scene: Scene) {
    let mut tried = 0;
    for row in table() {
        for probe in row.probes.iter().filter(|probe| probe.scene == scene) {
            for who in probe.by {
                let case = format!(
                    "{} {} {} by {}",
                    row.operation,
                    probe.path,
                    probe.text(),
                    who.1
                );
                let before = exposed(app);
                let reply = send(app, *who, row.operation, probe, None);
                assert!(reply.status < 500, "{case}: {}", reply.body);
                match row.class {
                    Class::Raises => refused(&reply, &case),
                    Class::Never => assert!(reply.status < 300, "{case}: {}", reply.body),
                }
                let after = exposed(app);
                let more: Vec<_> = after
                    .difference(&before)
                    .filter(|(route, environment, _)| !is_over(route, environment))
                    .take(3)
                    .collect();
                assert!(more.is_empty(), "{case}: {more:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 8, "{scene:?}: {tried}");
    app.assert_audit_intact();
}

/// A route that is mandatory everywhere is so in a new environment too.
fn is_over(route: &str, environment: &str) -> bool {
    route == "over" && !ENVIRONMENTS.contains(&environment)
}

/// Not done: refused as a whole, or each of many by name.
fn refused(reply: &Reply, case: &str) {
    if reply.status == 200 {
        let body = reply.json();
        let none = body["resumed"].as_array().is_some_and(Vec::is_empty);
        let named = body["still_halted"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        assert!(none && named, "{case}: {body}");
        return;
    }
    let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
    let known = [
        "frozen",
        "gates_not_met",
        "forbidden",
        "window_needed",
        "halted",
    ];
    assert!(known.contains(&code.as_str()), "{case}: {}", reply.body);
}

fn promote(app: &App, route: &str, environments: &[&str], to: &str) {
    for environment in environments {
        let body = json!({ "to": to, "break_glass": true, "reason": "test" });
        app.post(Who::ADMIN, &at(route, environment, "promotions"), &body)
            .expect(201);
    }
}

fn halt(app: &App, route: &str, environment: &str) {
    let body = json!({ "reason": "errors" });
    app.post(Who::OPERATOR, &at(route, environment, "halt"), &body)
        .expect(200);
}

fn window(app: &App, route: &str, environment: &str, until: &str) {
    let body = json!({ "until": until, "percent": 50, "cohort": ["k1"], "reason": "test" });
    app.post(
        Who::MAINTAINER,
        &at(route, environment, "acceptance"),
        &body,
    )
    .expect(201);
}

fn freeze(app: &App) {
    app.post(
        Who::OPERATOR,
        "freezes",
        &json!({ "reason": "incident 2718" }),
    )
    .expect(201);
}

/// Routes that could be exposed more in every way that there is.
fn routes(app: &App, policy: &str) {
    let everywhere = ENVIRONMENTS;
    for route in [
        "tested", "offered", "halted", "base", "planned", "windowed", "last",
    ] {
        app.route_with(
            route,
            json!({ "policy": policy, "labels": { "wave": "one" } }),
        );
    }
    app.route_with("child", json!({ "policy": policy, "requires": ["tested"] }));
    app.route_with(
        "dependent",
        json!({ "policy": policy, "requires": ["base"] }),
    );
    app.route_with(
        "idea",
        json!({ "policy": policy, "preparation": { "existing_endpoint": true } }),
    );
    app.route_with("over", json!({ "policy": policy }));
    for stage in ["opt_in", "opt_out"] {
        promote(app, "over", &everywhere, stage);
    }
    promote(app, "offered", &everywhere, "opt_in");
    promote(app, "last", &everywhere, "opt_in");
    promote(app, "last", &everywhere, "opt_out");
    for route in ["halted", "base", "dependent", "planned"] {
        promote(app, route, &["dev"], "opt_in");
    }
    let set = |route: &str, environment: &str, mode: Value| {
        let mut body = json!({ "reason": "test" });
        body.as_object_mut()
            .unwrap()
            .extend(mode.as_object().unwrap().clone());
        let path = at(route, environment, "setting");
        app.put(Who::MAINTAINER, &path, &body).expect(200);
    };
    for environment in everywhere {
        set("over", environment, json!({ "mode": "on" }));
        set(
            "offered",
            environment,
            json!({ "mode": "ramp", "percent": 10 }),
        );
        set("last", environment, json!({ "mode": "off" }));
    }
    promote(app, "over", &everywhere, "mandatory");
    let writer = json!({ "instance": "a", "name": "web", "routes": [{ "route": "offered" }] });
    app.request("POST", "/sdk/v1/writers")
        .bearer(&app.sdk_key("dev"))
        .json(&writer)
        .send()
        .expect(200);
    // Only who has been silent for a while can be declared gone.
    app.advance(chrono::Duration::seconds(16));
    let cohorts = json!({ "include": [], "exclude": ["k0"], "reason": "test" });
    app.put(Who::MAINTAINER, &at("offered", "dev", "cohorts"), &cohorts)
        .expect(200);
    // A cohort that lets keys take the new path in the ramp, and one that keeps them from it.
    for (name, keys) in [
        ("few", json!(["k1"])),
        ("kept", json!(["k0"])),
        ("unused", json!([])),
    ] {
        let body = json!({ "name": name, "keys": keys, "reason": "test" });
        app.post(Who::MAINTAINER, "cohorts", &body).expect(201);
    }
    let cohorts = json!({ "include": [], "exclude": [], "include_cohorts": ["few"],
                          "exclude_cohorts": ["kept"], "reason": "test" });
    app.put(
        Who::MAINTAINER,
        &at("offered", "production", "cohorts"),
        &cohorts,
    )
    .expect(200);
    set("halted", "dev", json!({ "mode": "on" }));
    halt(app, "halted", "dev");
    set("base", "dev", json!({ "mode": "off" }));
    set("dependent", "dev", json!({ "mode": "on" }));
    // While it is halted nobody minds; to resume it would expose everybody.
    halt(app, "tested", "production");
    set("tested", "production", json!({ "mode": "on" }));
    // A ramp that nobody has started, and one that somebody has left.
    let steps = json!({ "steps": [{ "percent": 20, "hold": "1h" }], "reason": "test" });
    for (route, environment) in [("offered", "staging"), ("last", "dev")] {
        app.put(Who::MAINTAINER, &at(route, environment, "ramp"), &steps)
            .expect(200);
    }
    let begin = at("last", "dev", "ramp/start");
    app.post(Who::MAINTAINER, &begin, &json!({ "reason": "test" }))
        .expect(200);
    set("last", "dev", json!({ "mode": "off" }));
    // Its rows are in two stores.
    app.route_with("saved", json!({ "policy": policy, "operation": "write" }));
    app.begin_backfill("saved", "dev");
    set("windowed", "dev", json!({ "mode": "on" }));
    window(app, "windowed", "dev", "2026-01-05T11:00:00Z");
}

fn nothing_raises_exposure_during_a_freeze(engine: Engine) {
    let app = App::start(engine);
    routes(&app, "open");
    freeze(&app);
    try_all(&app, Scene::Frozen);
}

fn nobody_but_a_maintainer_leaves_a_ramp(engine: Engine) {
    let app = App::start(engine);
    routes(&app, "data_migration");
    let offered = app.rollout("planned", "dev");
    assert_eq!(offered["exposure_percent"], 0, "never from none to all");
    try_all(&app, Scene::Ramp);
}

fn nothing_is_exposed_in_production_without_a_window(engine: Engine) {
    let app = App::start(engine);
    routes(&app, "open");
    // A window that is over is none.
    window(&app, "planned", "production", "2026-01-05T10:30:00Z");
    let half = json!({ "mode": "ramp", "percent": 50, "reason": "test" });
    let path = at("planned", "production", "setting");
    app.put(Who::OPERATOR, &path, &half).expect(200);
    let off = json!({ "mode": "off", "reason": "test" });
    app.put(Who::OPERATOR, &path, &off).expect(200);
    app.advance(chrono::Duration::hours(1));
    assert_eq!(app.put(Who::ADMIN, &path, &half).code(409), "window_needed");
    // Those that are due would otherwise close in between, and take back what was set before them.
    app.services().close_windows_due().unwrap();
    try_all(&app, Scene::Untested);
}

/// The server closes windows by itself, and takes back what was set before: more, perhaps.
fn windows_that_end_during_a_freeze_raise_nothing(engine: Engine) {
    let app = App::start(engine);
    routes(&app, "open");
    window(&app, "base", "production", "2026-01-05T11:00:00Z");
    freeze(&app);
    let before = exposed(&app);
    app.advance(chrono::Duration::hours(2));
    app.services().close_windows_due().unwrap();
    for (route, environment) in [("windowed", "dev"), ("base", "production")] {
        assert!(app.rollout(route, environment)["acceptance"].is_null());
    }
    let after = exposed(&app);
    let more: Vec<_> = after.difference(&before).collect();
    assert!(more.is_empty(), "{more:?}");
    let gone = |route: &str| {
        !after
            .iter()
            .any(|(found, place, _)| found == route && place == "production")
    };
    assert!(gone("base"));
}

/// A request that was carried out before the freeze is answered again, and not carried out again.
fn what_is_said_again_is_not_done_again(engine: Engine) {
    let app = App::start(engine);
    routes(&app, "open");
    let path = at("offered", "staging", "resume");
    let body = json!({ "reason": "mended" });
    let ask = || {
        let request = app.request("POST", &path).by(Who::OPERATOR);
        let request = request.header("idempotency-key", "once");
        request.json(&body).send()
    };
    halt(&app, "offered", "staging");
    let first = ask().expect(200);
    halt(&app, "offered", "staging");
    freeze(&app);
    let before = exposed(&app);
    assert_eq!(ask().expect(200).body, first.body);
    assert_eq!(exposed(&app), before);
    assert_eq!(app.rollout("offered", "staging")["halted"], true);
    // And one that was refused is not kept as done.
    for row in table().filter(|row| row.class == Class::Raises) {
        let tried = row
            .probes
            .iter()
            .filter(|probe| probe.scene == Scene::Frozen);
        for (number, probe) in tried.enumerate() {
            let key = format!("{}-{number}", row.operation.len());
            for _ in 0..2 {
                let reply = send(&app, probe.by[0], row.operation, probe, Some(&key));
                refused(&reply, row.operation);
            }
        }
    }
    assert_eq!(exposed(&app), before);
}
