//! What a promotion needs, asked in every way that there is: all say the same, and refuse the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{App, Engine, Place, Who, at, on_both_engines};

on_both_engines!(
    every_way_refuses_and_allows_alike,
    break_glass_is_for_admins_and_on_record,
    break_glass_leaves_the_order_of_things_alone,
);

/// What somebody is told of a promotion: by gate, its answer, its grounds and what would satisfy it.
type Told = BTreeMap<String, Value>;

/// The command line of somebody, against this server.
struct Cli<'a> {
    place: Place,
    app: &'a App,
}

impl<'a> Cli<'a> {
    fn of(app: &'a App) -> Cli<'a> {
        Cli {
            place: Place::new(),
            app,
        }
    }

    /// The exit status, and what a program reads.
    fn run(&self, who: Who, arguments: &[&str]) -> (i32, Value) {
        let url = format!("--url=http://{}", self.app.address());
        let token = format!("--token={}", who.token());
        let all = [arguments, &["--json", &url, &token]].concat();
        let done = self.place.run(&all);
        let read = serde_json::from_str(&done.out);
        let read = read.unwrap_or_else(|error| panic!("{arguments:?} {error}: {}", done.err));
        (done.status, read)
    }
}

fn told(gates: &Value) -> Told {
    let gates = gates.as_array().unwrap().iter();
    gates
        .filter(|gate| gate["state"] != "pass")
        .map(|gate| (gate["gate"].as_str().unwrap().to_owned(), gate.clone()))
        .collect()
}

/// Asks in every way; all must be told the same, and nothing may have happened.
fn refused(app: &App, cli: &Cli<'_>, who: Who, place: (&str, &str), to: &str) -> Told {
    let (route, environment) = place;
    let case = format!("{route} in {environment} to {to}");
    let before = app.rollout(route, environment);
    let problem = app.promote(who, route, environment, to).problem(409);
    assert_eq!(problem["code"], "gates_not_met", "{case}: {problem}");
    let all = told(&problem["gates"]);
    let named = problem["gates"].as_array().unwrap().len();
    assert!(
        named == all.len() && named > 0,
        "only what is missing: {problem}"
    );
    for gate in all.values() {
        for field in ["detail", "remedy"] {
            assert!(!gate[field].as_str().unwrap().is_empty(), "{case}: {gate}");
        }
    }

    let path = at(route, environment, &format!("gates?to={to}"));
    let asked = app.request("GET", &path).by(who).send().expect(200).json();
    assert_eq!(asked["met"], false, "{case}");
    assert_eq!(told(&asked["gates"]), all, "{case}");

    let to_stage = format!("--to={to}");
    let (status, asked) = cli.run(who, &["gates", route, environment, &to_stage]);
    assert_eq!(status, 0, "{case}");
    assert_eq!(told(&asked["gates"]), all, "{case}");
    let promote = ["promote", route, environment, &to_stage, "--reason=test"];
    let (status, refused) = cli.run(who, &promote);
    assert_eq!((status, &refused["code"]), (1, &problem["code"]), "{case}");
    assert_eq!(told(&refused["gates"]), all, "{case}");
    let after = app.rollout(route, environment);
    assert_eq!(before, after, "{case}");
    all
}

/// As an admin says it in an emergency, by either way.
fn glass(app: &App, cli: &Cli<'_>, who: Who, place: (&str, &str), to: &str) -> [(u16, Value); 2] {
    let (route, environment) = place;
    let to_stage = format!("--to={to}");
    let promote = ["promote", route, environment, &to_stage, "--break-glass"];
    let (_, typed) = cli.run(who, &[&promote[..], &["--reason=the pager"]].concat());
    let body = json!({ "to": to, "break_glass": true, "reason": "the pager" });
    let reply = app.post(who, &at(route, environment, "promotions"), &body);
    let status = typed["status"].as_u64().unwrap_or(201);
    let typed = (u16::try_from(status).unwrap(), typed);
    [typed, (reply.status, reply.json())]
}

fn names(told: &Told) -> Vec<&str> {
    told.keys().map(String::as_str).collect()
}

fn drill(app: &App, route: &str, environment: &str) {
    let test = json!({ "reason": "test" });
    if environment == "production" {
        let window = json!({ "until": "2026-01-06T00:00:00Z", "percent": 5, "reason": "test" });
        app.post(
            Who::MAINTAINER,
            &at(route, environment, "acceptance"),
            &window,
        )
        .expect(201);
    } else {
        app.set(route, environment, json!({ "mode": "on" }))
            .expect(200);
    }
    for what in ["halt", "resume"] {
        app.post(Who::OPERATOR, &at(route, environment, what), &test)
            .expect(200);
    }
}

fn evidence(app: &App, route: &str, environment: &str) {
    for kind in ["performance", "resources", "error_rate"] {
        let body = json!({ "kind": kind, "verdict": "pass", "summary": "seen" });
        app.post(Who::OPERATOR, &at(route, environment, "evidence"), &body)
            .expect(201);
    }
}

fn every_way_refuses_and_allows_alike(engine: Engine) {
    let app = App::start(engine);
    let cli = Cli::of(&app);
    // The policy `gitaly` without what no SDK reports yet.
    let opt_in = json!([
        { "gate": "acceptance" },
        { "gate": "rollback_drill" },
        { "gate": "runbook", "only": "guarded" },
        { "gate": "dashboard", "only": "guarded" },
        { "gate": "alert", "only": "guarded" },
        { "gate": "approval", "only": "guarded" },
        { "gate": "external" },
    ]);
    let opt_out = json!([{ "gate": "soak", "days": 7 }, { "gate": "plan" }, { "gate": "release" }]);
    let policy = json!({ "name": "own", "gates": { "opt_in": opt_in, "opt_out": opt_out } });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
    app.route_with("find", json!({ "policy": "own" }));
    app.route_with("strict", json!({ "policy": "gitaly" }));
    app.route_with("data", json!({ "policy": "data_migration" }));
    let external = json!({ "owner": Who::VIEWER.1, "description": "dns", "reason": "test" });
    app.put(Who::OPERATOR, "routes/find/externals/dns", &external)
        .expect(200);
    let (dev, production) = (("find", "dev"), ("find", "production"));
    let ask = |place, to| refused(&app, &cli, Who::MAINTAINER, place, to);

    // In the beginning everything is missing, for every policy and everywhere.
    let all = [
        "acceptance",
        "alert",
        "approval",
        "dashboard",
        "external",
        "order",
        "rollback_drill",
        "runbook",
    ];
    assert_eq!(names(&ask(production, "opt_in")), all);
    assert_eq!(names(&ask(("find", "on-prem"), "opt_in")), all);
    let proof = ["acceptance", "external", "rollback_drill"];
    assert_eq!(names(&ask(dev, "opt_in")), proof);
    let reported = ["acceptance", "code_deployed", "rollback_drill", "telemetry"];
    assert_eq!(names(&ask(("strict", "dev"), "opt_in")), reported);
    let stores = ["order", "repairs", "telemetry"];
    assert_eq!(names(&ask(("data", "staging"), "opt_in")), stores);
    let freeze = json!({ "environments": ["dev"], "reason": "incident" });
    let freeze = app
        .post(Who::OPERATOR, "freezes", &freeze)
        .expect(201)
        .json();
    assert_eq!(
        names(&ask(dev, "opt_in")),
        ["acceptance", "external", "incident", "rollback_drill"]
    );
    let close = format!("freezes/{}?reason=over", freeze["id"].as_str().unwrap());
    app.request("DELETE", &close)
        .by(Who::MAINTAINER)
        .send()
        .expect(200);

    // One after the other is satisfied, and all ways know.
    app.post(
        Who::VIEWER,
        "routes/find/externals/dns/confirmation",
        &json!({}),
    )
    .expect(200);
    assert_eq!(names(&ask(dev, "opt_in")), ["acceptance", "rollback_drill"]);
    for environment in ["dev", "staging", "production"] {
        evidence(&app, "find", environment);
        drill(&app, "find", environment);
    }
    let links = json!({ "dashboard": "https://example.com/d", "alert": "https://example.com/a" });
    let links = json!({ "links": links, "reason": "test" });
    let patch = app.request("PATCH", "routes/find").by(Who::MAINTAINER);
    patch.json(&links).send().expect(200);
    let put = |text: &str| {
        let put = app
            .request("PUT", "routes/find/runbook?reason=test")
            .by(Who::OPERATOR);
        let reply = put
            .header("content-type", "text/markdown")
            .body(text)
            .send();
        assert!(reply.status < 300, "{}", reply.body);
    };
    put("Look at the dashboard.");
    assert_eq!(
        names(&ask(production, "opt_in")),
        ["approval", "order", "runbook"]
    );
    put("Look at the dashboard, then switchover halt find production. The flag is GITALY_FIND.");
    assert_eq!(names(&ask(production, "opt_in")), ["approval", "order"]);

    // By either way, what is allowed in one is allowed in the other.
    let (status, typed) = cli.run(Who::OPERATOR, &["promote", "find", "dev", "--reason=test"]);
    assert_eq!(
        (status, &typed["rollout"]["stage"]),
        (0, &json!("opt_in")),
        "{typed}"
    );
    app.promote(Who::OPERATOR, "find", "staging", "opt_in")
        .expect(201);
    assert_eq!(names(&ask(production, "opt_in")), ["approval"]);
    let (status, _) = cli.run(Who::APPROVER, &["approve", "find", "production"]);
    assert_eq!(status, 0);
    refused(&app, &cli, Who::APPROVER, production, "opt_in");
    let (status, _) = cli.run(
        Who::MAINTAINER,
        &["promote", "find", "production", "--reason=test"],
    );
    assert_eq!(status, 0);
    assert_eq!(names(&ask(dev, "opt_out")), ["plan", "soak"]);
    let to = json!({ "to": "opt_in", "break_glass": true, "reason": "test" });
    app.post(Who::ADMIN, &at("find", "on-prem", "promotions"), &to)
        .expect(201);
    assert_eq!(
        names(&ask(("find", "on-prem"), "opt_out")),
        ["order", "plan", "release", "soak"]
    );
    app.assert_audit_intact();
}

fn break_glass_is_for_admins_and_on_record(engine: Engine) {
    let app = App::start(engine);
    let cli = Cli::of(&app);
    app.route_with("find", json!({ "policy": "gitaly" }));
    let dev = ("find", "dev");
    let missing = refused(&app, &cli, Who::ADMIN, dev, "opt_in");
    let before = app.audit_count();
    for who in [Who::OPERATOR, Who::MAINTAINER] {
        for (status, problem) in glass(&app, &cli, who, dev, "opt_in") {
            assert_eq!(
                (status, &problem["needs"]),
                (403, &json!("admin")),
                "{problem}"
            );
        }
    }
    for (status, problem) in glass(&app, &cli, Who::VIEWER, dev, "opt_in") {
        assert_eq!(status, 403, "{problem}");
    }
    let body = json!({ "to": "opt_in", "break_glass": true });
    let silent = app.post(Who::ADMIN, &at("find", "dev", "promotions"), &body);
    assert!(
        [400, 422].contains(&silent.status),
        "a reason is needed: {}",
        silent.body
    );
    assert_eq!(
        (app.audit_count(), &app.rollout("find", "dev")["stage"]),
        (before, &json!("ready_for_testing"))
    );

    // The first of the two does it, the second finds it done.
    let [(status, done), (again, _)] = glass(&app, &cli, Who::ADMIN, dev, "opt_in");
    assert_eq!((status, again), (201, 409), "{done}");
    assert_eq!(done["rollout"]["stage"], "opt_in");
    let newest = app.get("audit?limit=1").expect(200).json()["items"][0].clone();
    assert_eq!(newest["action"], "break_glass_promote");
    assert_eq!(newest["reason"], "the pager");
    assert_eq!(newest["by"], Who::ADMIN.1);
    assert_eq!(
        told(&newest["after"]["gates"]),
        missing,
        "what was passed over"
    );
    let glass = "SELECT COUNT(*) FROM promotions WHERE break_glass";
    assert_eq!(app.database().number(glass), 1);
    let report = app.get("routes/find/report").expect(200).body;
    assert!(report.contains("rollback_drill"), "{report}");
    app.assert_audit_intact();
}

fn break_glass_leaves_the_order_of_things_alone(engine: Engine) {
    let app = App::start(engine);
    let cli = Cli::of(&app);
    app.route_with("base", json!({ "policy": "gitaly" }));
    app.route_with("find", json!({ "policy": "gitaly", "requires": ["base"] }));
    let told_by = |place, to| {
        let before = app.rollout("find", "dev");
        let answers = glass(&app, &cli, Who::ADMIN, place, to);
        assert_eq!(before, app.rollout("find", "dev"));
        let [(_, typed), (status, problem)] = answers;
        assert_eq!(status, 409, "{problem}");
        assert_eq!(typed["code"], problem["code"]);
        problem
    };
    // No stage without the earlier environments, and without what it requires.
    let problem = told_by(("base", "staging"), "opt_in");
    assert_eq!(problem["code"], "gates_not_met");
    assert!(told(&problem["gates"]).contains_key("order"), "{problem}");
    let problem = told_by(("find", "dev"), "opt_in");
    assert!(
        told(&problem["gates"]).contains_key("requires"),
        "{problem}"
    );
    // No stage skipped.
    assert_eq!(
        told_by(("base", "dev"), "opt_out")["code"],
        "invalid_transition"
    );
    let done = glass(&app, &cli, Who::ADMIN, ("base", "dev"), "opt_in");
    assert_eq!(done[0].0, 201, "{}", done[0].1);
    assert_eq!(
        told_by(("base", "dev"), "mandatory")["code"],
        "invalid_transition"
    );
    // Not past a halt.
    let test = json!({ "reason": "errors" });
    app.post(Who::OPERATOR, &at("base", "dev", "halt"), &test)
        .expect(200);
    assert_eq!(told_by(("base", "dev"), "opt_out")["code"], "halted");
    app.post(Who::OPERATOR, &at("base", "dev", "resume"), &test)
        .expect(200);
    let done = glass(&app, &cli, Who::ADMIN, ("base", "dev"), "opt_out");
    assert_eq!(done[0].0, 201, "{}", done[0].1);
    // Not to mandatory while some key takes the old path.
    app.set("base", "dev", json!({ "mode": "ramp", "percent": 99.999 }))
        .expect(200);
    assert_eq!(
        told_by(("base", "dev"), "mandatory")["code"],
        "invalid_transition"
    );
    app.set("base", "dev", json!({ "mode": "on" })).expect(200);
    let one = json!({ "include": [], "exclude": ["k"], "reason": "test" });
    app.put(Who::OPERATOR, &at("base", "dev", "cohorts"), &one)
        .expect(200);
    assert_eq!(
        told_by(("base", "dev"), "mandatory")["code"],
        "invalid_transition"
    );
    let none = json!({ "include": [], "exclude": [], "reason": "test" });
    app.put(Who::OPERATOR, &at("base", "dev", "cohorts"), &none)
        .expect(200);
    let done = glass(&app, &cli, Who::ADMIN, ("base", "dev"), "mandatory");
    assert_eq!(done[0].0, 201, "{}", done[0].1);
    // With `cascade` it is as it is for each alone.
    let body = json!({ "to": "opt_in", "break_glass": true, "cascade": true, "reason": "test" });
    let both = app.post(Who::ADMIN, &at("find", "staging", "promotions"), &body);
    assert_eq!(both.code(409), "gates_not_met");
    assert_eq!(app.rollout("base", "staging")["stage"], "ready_for_testing");
}
