//! `export`, `diff` and `apply`: the program itself against a server over either engine.

mod between;

use serde_json::{Value, json};

use crate::support::{App, Done, Engine, Place, Who, at, on_both_engines};

on_both_engines!(
    a_server_is_built_anew_from_its_export,
    what_is_refused_is_told_and_the_rest_goes_on,
    a_lower_stage_needs_a_word,
    what_a_ramp_or_a_halt_owns_is_left_alone,
    a_role_that_does_not_suffice_is_a_refusal_like_others,
    what_a_section_does_not_name_is_pruned_on_demand,
);

fn admin(app: &App) -> Place {
    Place::with_server_at(app.address(), Who::ADMIN)
}

fn write(place: &Place, text: &str) -> String {
    let file = place.file("declared.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

fn apply(place: &Place, file: &str, more: &[&str]) -> Done {
    place.run(&[&["apply", file, "--yes", "--reason=test"], more].concat())
}

/// How each thing came out, by name.
fn outcomes(done: &Done) -> Vec<String> {
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    let outcomes = answer["outcomes"].as_array().unwrap().iter();
    outcomes
        .map(|came| {
            let (thing, outcome) = (&came["thing"], came["outcome"].as_str().unwrap());
            let name = thing["name"].as_str().unwrap();
            match thing["environment"].as_str() {
                Some(environment) => format!("{name} in {environment}: {outcome}"),
                None => format!("{name}: {outcome}"),
            }
        })
        .collect()
}

/// A server with one of everything.
fn furnish(app: &App) {
    let post = |path: &str, body: Value| app.post(Who::ADMIN, path, &body).expect(201);
    let put = |path: &str, body: Value| app.put(Who::ADMIN, path, &body).expect(200);
    post(
        "environments",
        json!({ "key": "canary", "kind": "hosted", "position": 9, "production": true }),
    );
    let gates = json!({ "opt_out": [{ "gate": "approval", "count": 1 }] });
    let policy = json!({ "name": "reviewed", "description": "two pairs of eyes", "gates": gates });
    post("policies", json!({ "policy": policy, "reason": "r" }));
    post(
        "cohorts",
        json!({ "name": "beta", "keys": ["7", "no"], "description": "off", "reason": "r" }),
    );
    put(
        "ramp-groups/commits",
        json!({ "keys": "project", "reason": "r" }),
    );
    app.route("a");
    app.route_with(
        "b",
        json!({
            "requires": ["a"], "ramp_group": "commits", "labels": { "tier": "1" },
            "contacts": { "on_call": "#gitaly" }, "description": "two\nlines: 'and' more",
            "links": { "runbook": "https://example.com/a" }, "policy": "reviewed",
            "policy_numbers": { "opt_out.approval.count": 2 },
        }),
    );
    app.route_with(
        "c",
        json!({ "operation": "call", "preparation": { "estimate": 5, "priority": 3 } }),
    );
    let schedule =
        json!({ "schedule": { "production": { "opt_in": "2026-12-01" } }, "reason": "r" });
    let patched = app
        .request("PATCH", "routes/b")
        .by(Who::ADMIN)
        .json(&schedule);
    patched.send().expect(200);
    app.bring("a", &["dev", "staging"], "mandatory");
    app.bring("a", &["production"], "opt_out");
    for environment in ["dev", "staging"] {
        app.promote(Who::MAINTAINER, "b", environment, "opt_in")
            .expect(201);
    }
    app.set("b", "dev", json!({ "mode": "ramp", "percent": 12.5 }))
        .expect(200);
    app.set("b", "staging", json!({ "mode": "off" }))
        .expect(200);
    put(
        &at("b", "dev", "cohorts"),
        json!({ "include": ["8"], "exclude": ["9"], "include_cohorts": ["beta"], "reason": "r" }),
    );
    put(
        &at("b", "dev", "mirror"),
        json!({ "read_percent": 1, "write_percent": 0, "reason": "r" }),
    );
    let steps = json!([{ "percent": 20, "hold": "24h" }, { "percent": 100, "hold": "7d" }]);
    put(
        &at("b", "dev", "ramp"),
        json!({ "steps": steps, "reason": "r" }),
    );
}

fn a_server_is_built_anew_from_its_export(engine: Engine) {
    let (from, to) = (App::start(engine), App::start(engine));
    furnish(&from);
    let place = admin(&from);
    for format in ["yaml", "json"] {
        let exported = place.well(&["export", "--format", format]);
        assert_eq!(place.well(&["export", "--format", format]), exported);
        for secret in ["swk_", "Bearer", "revision", "created_at"] {
            assert!(!exported.contains(secret), "{secret}: {exported}");
        }
    }
    let file = place.file("all.yaml");
    place.well(&["export", "--output", &file]);
    let elsewhere = admin(&to);
    let differs = elsewhere.run(&["diff", &file]);
    assert_eq!(differs.status, 1, "{}{}", differs.out, differs.err);
    let done = apply(&elsewhere, &file, &[]);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    let exported = std::fs::read_to_string(&file).unwrap();
    assert_eq!(elsewhere.well(&["export"]), exported);
    let entries = to.audit_count();
    for again in [
        apply(&elsewhere, &file, &[]),
        elsewhere.run(&["diff", &file]),
    ] {
        assert_eq!(again.status, 0, "{}", again.err);
        assert_eq!(again.out, "nothing differs from the file\n");
    }
    assert_eq!(to.audit_count(), entries);
    to.assert_audit_intact();
}

fn what_is_refused_is_told_and_the_rest_goes_on(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    app.route("b");
    let place = admin(&app);
    let file = write(
        &place,
        "version: 1\nroutes:\n  a: {rollouts: {dev: {stage: opt_in}, staging: {stage: opt_in}}}\n  \
         b: {rollouts: {dev: {stage: opt_in}}}\n",
    );
    let done = apply(&place, &file, &["--json"]);
    assert_eq!(done.status, 1, "{}", done.err);
    assert_eq!(
        outcomes(&done),
        [
            "a in dev: refused",
            "a in staging: skipped",
            "b in dev: done"
        ]
    );
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    let problem = &answer["outcomes"][0]["problem"];
    assert_eq!(problem["code"], "gates_not_met");
    let people = apply(&place, &file, &[]);
    assert_eq!(people.status, 1);
    for part in [
        "refused  promote to opt_in: a in dev",
        "to pass: ",
        "skipped  a in staging: it needs a in dev",
    ] {
        assert!(people.out.contains(part), "{part}: {}", people.out);
    }
    // When what held it back is gone, a second time goes on from there.
    let open = json!({ "policy": "open", "reason": "r" });
    app.request("PATCH", "routes/a")
        .by(Who::ADMIN)
        .json(&open)
        .send()
        .expect(200);
    let done = apply(&place, &file, &["--json"]);
    assert_eq!(done.status, 0, "{}", done.out);
    assert_eq!(outcomes(&done), ["a in dev: done", "a in staging: done"]);
}

fn a_lower_stage_needs_a_word(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.bring("a", &["dev"], "opt_out");
    let place = admin(&app);
    let file = write(
        &place,
        "version: 1\nroutes: {a: {rollouts: {dev: {stage: ready_for_testing}}}}\n",
    );
    let held = apply(&place, &file, &[]);
    assert_eq!(held.status, 1);
    assert!(held.out.contains("--allow-demotion"), "{}", held.out);
    assert_eq!(app.rollout("a", "dev")["stage"], "opt_out");
    let done = apply(&place, &file, &["--allow-demotion"]);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    assert_eq!(app.rollout("a", "dev")["stage"], "ready_for_testing");
}

fn what_a_ramp_or_a_halt_owns_is_left_alone(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.bring("a", &["dev", "staging"], "opt_in");
    let steps = json!({ "steps": [{ "percent": 20, "hold": "24h" }], "reason": "r" });
    let reason = json!({ "reason": "r" });
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 1 }))
        .expect(200);
    app.put(Who::OPERATOR, &at("a", "dev", "ramp"), &steps)
        .expect(200);
    app.post(Who::OPERATOR, &at("a", "dev", "ramp/start"), &reason)
        .expect(200);
    app.post(Who::OPERATOR, &at("a", "staging", "halt"), &reason)
        .expect(200);
    let place = admin(&app);
    let exported = place.run(&["export", "--format=json"]);
    assert!(
        exported.err.contains("a in dev: its ramp is running"),
        "{}",
        exported.err
    );
    assert!(
        exported.err.contains("a in staging: it is halted"),
        "{}",
        exported.err
    );
    let declared: Value = serde_json::from_str(&exported.out).unwrap();
    let rollouts = &declared["routes"]["a"]["rollouts"];
    assert!(rollouts["dev"].get("setting").is_none());
    assert!(rollouts["staging"].get("setting").is_some());
    let file = write(
        &place,
        "version: 1\nroutes:\n  a:\n    rollouts:\n      dev: {setting: {mode: on}}\n      staging: \
         {stage: opt_out}\n",
    );
    let done = apply(&place, &file, &["--json"]);
    assert_eq!(outcomes(&done), ["a in staging: refused"]);
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(answer["outcomes"][0]["problem"]["code"], "halted");
    let notes = answer["plan"]["notes"].to_string();
    assert!(
        notes.contains("ramp is running") && notes.contains("is halted"),
        "{notes}"
    );
    assert_eq!(app.rollout("a", "dev")["setting"]["percent"], 20);
    assert_eq!(app.rollout("a", "staging")["halted"], true);
}

fn a_role_that_does_not_suffice_is_a_refusal_like_others(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let place = Place::with_server_at(app.address(), Who::OPERATOR);
    let file = write(
        &place,
        "version: 1\npolicies: {mine: {gates: {}}}\nroutes:\n  a: {owner: me, rollouts: {dev: {stage: \
         opt_in}}}\n  b: {endpoint: x.Y/B, operation: read, owner: o, policy: mine}\n  c: {endpoint: \
         x.Y/C, operation: read, owner: o, policy: open}\n",
    );
    let done = apply(&place, &file, &["--json"]);
    assert_eq!(done.status, 1, "{}", done.err);
    assert_eq!(
        outcomes(&done),
        [
            "mine: refused",
            "a: refused",
            "a in dev: skipped",
            "b: skipped",
            "c: done"
        ]
    );
}

fn what_a_section_does_not_name_is_pruned_on_demand(engine: Engine) {
    let app = App::start(engine);
    furnish(&app);
    let body = json!({ "name": "unused", "keys": [], "description": "", "reason": "r" });
    app.post(Who::ADMIN, "cohorts", &body).expect(201);
    let place = admin(&app);
    let file = write(&place, "version: 1\ncohorts: {}\n");
    let kept = apply(&place, &file, &[]);
    assert_eq!(kept.out, "nothing differs from the file\n");
    let done = apply(&place, &file, &["--prune", "--json"]);
    assert_eq!(done.status, 1, "{}", done.out);
    assert_eq!(outcomes(&done), ["beta: refused", "unused: done"]);
}

#[test]
fn what_cannot_be_read_is_trouble_and_says_where() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let place = admin(&app);
    for (text, says) in [
        (
            "version: 1\nroutes:\n  a:\n    stage: opt_in\n",
            "line 4, column 5",
        ),
        ("version: 9\n", "version"),
        ("version: 1\nroutes: {b: {owner: x}}\n", "`endpoint`"),
        ("version: 1\nroutes: {a: {flag: OTHER}}\n", "never changes"),
        (
            "version: 1\nroutes: {a: {rollouts: {nowhere: {}}}}\n",
            "there are: dev",
        ),
        (
            "version: 1\nroutes: {a: {policy: nope}}\n",
            "there is no policy `nope`; there are: ",
        ),
        (
            "version: 1\nroutes: {a: {requires: [nope]}}\n",
            "there is no route `nope`",
        ),
        (
            "version: 1\nroutes: {a: {rollouts: {dev: {exclude_cohorts: [nope]}}}}\n",
            "there is no cohort `nope`",
        ),
    ] {
        let file = write(&place, text);
        for command in ["diff", "apply"] {
            let refused = place.run(&[command, &file]);
            assert_eq!(refused.status, 2, "{text}");
            assert!(refused.err.contains(says), "{text}: {}", refused.err);
        }
    }
    let file = write(&place, "version: 1\n");
    assert_eq!(place.run(&["diff", &file]).status, 0);
    assert_eq!(place.run(&["diff", &place.file("none")]).status, 2);
    assert_eq!(Place::new().run(&["diff", &file, "--token=x"]).status, 2);
    assert_eq!(place.run(&["export", "--route=nope"]).status, 1);
}

#[test]
fn nothing_is_changed_that_nobody_agreed_to() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let place = admin(&app);
    let file = write(
        &place,
        "version: 1\nroutes:\n  a: {rollouts: {dev: {stage: opt_in}}}\n  b: {endpoint: x.Y/B, operation: \
         read, owner: o, policy: open}\n",
    );
    let entries = app.audit_count();
    for (arguments, status, says) in [
        (&["diff"][..], 1, "by: promote to opt_in"),
        (&["apply", "--dry-run"], 0, "1 to add, 1 to change"),
        (&["apply", "--reason=x"], 2, "pass --yes"),
        (&["apply", "--yes"], 2, "--reason"),
    ] {
        let done = place.run(&[arguments, &[&file]].concat());
        assert_eq!(done.status, status, "{arguments:?}: {}", done.err);
        assert!((done.out + &done.err).contains(says), "{arguments:?}");
    }
    assert_eq!(app.audit_count(), entries);
    assert_eq!(apply(&place, &file, &[]).status, 0);
    assert!(app.audit_count() > entries);
    // What a promotion lacks is said before anybody tries it.
    let route =
        "version: 1\nroutes: {c: {endpoint: x.Y/C, operation: read, owner: o, policy: gitaly}}\n";
    assert_eq!(apply(&place, &write(&place, route), &[]).status, 0);
    let promoted = "version: 1\nroutes: {c: {rollouts: {production: {stage: opt_in}}}}\n";
    let file = write(&place, promoted);
    let shown = place.run(&["diff", &file]).out;
    assert!(
        shown.contains("opt_in lacks now: ") && shown.contains("acceptance ("),
        "{shown}"
    );
    let shown: Value = serde_json::from_str(&place.run(&["diff", &file, "--json"]).out).unwrap();
    assert_eq!(shown["lacking"][0]["to"], "opt_in", "{shown}");
    assert!(
        shown["lacking"][0]["missing"]["acceptance"].is_string(),
        "{shown}"
    );
}

#[test]
fn a_part_of_a_server_is_exported_with_what_it_uses() {
    let app = App::start(Engine::Sqlite);
    furnish(&app);
    let place = admin(&app);
    let part = place.well(&["export", "--route=b", "--environment=dev", "--json"]);
    let part: Value = serde_json::from_str(&part).unwrap();
    let keys = |section: &Value| {
        section
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&part["routes"]), ["b"]);
    assert_eq!(keys(&part["routes"]["b"]["rollouts"]), ["dev"]);
    assert_eq!(keys(&part["environments"]), ["dev"]);
    assert_eq!(keys(&part["cohorts"]), ["beta"]);
    assert_eq!(keys(&part["policies"]), ["reviewed"]);
}
