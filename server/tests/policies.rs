//! Policies as data: written, versioned, refused by field, deleted; and the numbers that a route
//! sets for itself.

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    a_policy_has_versions,
    what_is_wrong_with_a_policy_is_said_by_field,
    the_built_in_policies_stay_as_they_are,
    a_policy_in_use_is_not_deleted,
    a_new_version_is_in_force_at_once,
    a_route_sets_single_numbers,
    relaxing_a_number_is_for_admins,
    no_way_round_to_a_laxer_policy
);

fn write(app: &App, who: Who, policy: &Value) -> Reply {
    let body = json!({ "policy": policy, "reason": "agreed" });
    app.post(who, "policies", &body)
}

fn delete(app: &App, who: Who, path: &str) -> Reply {
    app.request("DELETE", path).by(who).send()
}

fn patch(app: &App, who: Who, route: &str, more: &Value) -> Reply {
    let mut body = json!({ "reason": "test" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let path = format!("routes/{route}");
    app.request("PATCH", &path).by(who).json(&body).send()
}

fn newest_entry(app: &App) -> Value {
    app.get("audit?limit=1").expect(200).json()["items"][0].clone()
}

/// The gates of a promotion in dev, by name.
fn gate_names(app: &App, route: &str) -> Vec<String> {
    let gates = app.get(&at(route, "dev", "gates")).expect(200).json();
    let gates = gates["gates"].as_array().unwrap();
    let names = gates.iter().map(|gate| gate["gate"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn the_fields(reply: &Reply) -> Vec<String> {
    let problem = reply.problem(422);
    assert_eq!(problem["code"], "invalid");
    let errors = problem["errors"].as_array().unwrap();
    let fields = errors.iter().map(|error| error["field"].as_str().unwrap());
    fields.map(str::to_owned).collect()
}

fn a_policy_has_versions(engine: Engine) {
    let app = App::start(engine);
    for who in [Who::VIEWER, Who::OPERATOR, Who::MAINTAINER] {
        let refused = write(&app, who, &json!({ "name": "reviewed" }));
        assert_eq!(refused.problem(403)["needs"], "admin");
    }
    let first = json!({ "name": "reviewed", "gates": { "opt_in": [{ "gate": "approval" }] } });
    let made = write(&app, Who::ADMIN, &first).expect(201).json();
    assert_eq!(
        (&made["name"], &made["version"]),
        (&json!("reviewed"), &json!(1))
    );
    assert_eq!(made["created_by"], "ada@example.com");
    let entry = newest_entry(&app);
    assert_eq!(
        (&entry["action"], &entry["reason"]),
        (&json!("policy"), &json!("agreed"))
    );
    assert_eq!(entry["after"]["version"], 1);

    // What says the same is no new version, and nothing on record.
    let entries = app.audit_count();
    let same = json!({
        "name": "reviewed", "description": " ", "ramp": [],
        "gates": { "opt_in": [{ "gate": "approval", "only": "all" }] },
    });
    assert_eq!(
        write(&app, Who::ADMIN, &same).expect(201).json()["version"],
        1
    );
    // Nor is what is read and written back.
    let read = app.get("policies/reviewed").expect(200).json()["policy"].clone();
    assert_eq!(
        write(&app, Who::ADMIN, &read).expect(201).json()["version"],
        1
    );
    assert_eq!(app.audit_count(), entries);

    let second =
        json!({ "name": "reviewed", "gates": { "opt_in": [{ "gate": "approval", "count": 2 }] } });
    assert_eq!(
        write(&app, Who::ADMIN, &second).expect(201).json()["version"],
        2
    );
    let count = |path: &str| {
        let found = app.get(path).expect(200).json();
        found["policy"]["gates"]["opt_in"][0]["count"].clone()
    };
    assert_eq!(count("policies/reviewed"), json!(2.0));
    assert_eq!(count("policies/reviewed?version=1"), Value::Null);
    for missing in [
        "policies/reviewed?version=3",
        "policies/other",
        "policies/gitaly?version=1",
    ] {
        assert_eq!(app.get(missing).code(404), "not_found", "{missing}");
    }
    let listed = app.get("policies").expect(200).json();
    let listed: Vec<(&str, u64)> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| {
            (
                each["name"].as_str().unwrap(),
                each["version"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("data_migration", 0),
            ("gitaly", 0),
            ("open", 0),
            ("reviewed", 2)
        ]
    );
    app.assert_audit_intact();
}

fn what_is_wrong_with_a_policy_is_said_by_field(engine: Engine) {
    let app = App::start(engine);
    let before = app.database().fingerprint();
    let wrong = json!({
        "name": "Reviewed",
        "gates": {
            "ready_for_testing": [],
            "opt_in": [
                { "gate": "order" },
                { "gate": "alert" }, { "gate": "alert" },
                { "gate": "soak", "days": 366, "hours": 1 },
                { "gate": "approval", "count": "two" },
                { "gate": "dashboard", "days": 1 },
                { "gate": "telemetry", "window_minutes": 60 },
            ],
        },
        "ramp": [{ "percent": 50, "hold_hours": 1 }, { "percent": 40, "hold_hours": -1 }],
        "guards": [
            { "name": "e", "measure": "error_rate", "limit": 1, "action": "halt" },
            { "name": "e", "measure": "error_rate", "limit": 0, "action": "halt" },
        ],
    });
    // All of it at once.
    let fields = the_fields(&write(&app, Who::ADMIN, &wrong));
    for field in [
        "name",
        "gates.ready_for_testing",
        "gates.opt_in.order",
        "gates.opt_in.alert",
        "gates.opt_in.soak.days",
        "gates.opt_in.soak.hours",
        "gates.opt_in.approval.count",
        "gates.opt_in.dashboard.days",
        "gates.opt_in.telemetry",
        "ramp[1].percent",
        "ramp[1].hold_hours",
        "ramp",
        "guards[1].name",
        "guards[1].limit",
    ] {
        assert!(
            fields.iter().any(|found| found == field),
            "{field}: {fields:?}"
        );
    }
    // What cannot be read at all.
    for unreadable in [
        json!({}),
        json!([]),
        json!(null),
        json!({ "name": "a", "stages": {} }),
        json!({ "name": "a", "gates": { "live": [] } }),
        json!({ "name": "a", "gates": { "opt_in": [{ "gate": "luck" }] } }),
        json!({ "name": "a", "gates": { "opt_in": [{ "gate": "alert", "only": "mars" }] } }),
    ] {
        let fields = the_fields(&write(&app, Who::ADMIN, &unreadable));
        assert_eq!(fields, ["(document)"], "{unreadable}");
    }
    let no_reason = json!({ "policy": { "name": "a" }, "reason": " " });
    assert_eq!(
        the_fields(&app.post(Who::ADMIN, "policies", &no_reason)),
        ["reason"]
    );
    assert_eq!(app.database().fingerprint(), before);
}

fn the_built_in_policies_stay_as_they_are(engine: Engine) {
    let app = App::start(engine);
    for name in ["open", "gitaly", "data_migration"] {
        let path = format!("policies/{name}");
        let own = app.get(&path).expect(200).json();
        assert_eq!(
            (&own["version"], &own["created_by"]),
            (&json!(0), &Value::Null)
        );
        assert_eq!(
            write(&app, Who::ADMIN, &json!({ "name": name })).code(409),
            "conflict"
        );
        assert_eq!(
            delete(&app, Who::ADMIN, &format!("{path}?reason=r")).code(409),
            "conflict"
        );
        // One of them under another name is a start.
        let mut start = own["policy"].clone();
        start["name"] = json!(format!("{name}_of_ours"));
        let made = write(&app, Who::ADMIN, &start).expect(201).json();
        assert_eq!(made["policy"]["gates"], own["policy"]["gates"]);
        assert_eq!(made["policy"]["guards"], own["policy"]["guards"]);
    }
}

fn a_policy_in_use_is_not_deleted(engine: Engine) {
    let app = App::start(engine);
    let unknown = json!({ "endpoint": "s/b", "operation": "read", "owner": "o", "policy": "own" });
    assert_eq!(
        the_fields(&app.post(Who::OPERATOR, "routes", &unknown)),
        ["policy"]
    );
    write(&app, Who::ADMIN, &json!({ "name": "own" })).expect(201);
    app.route_with("a", json!({ "policy": "own" }));
    for who in [Who::OPERATOR, Who::MAINTAINER] {
        assert_eq!(
            delete(&app, who, "policies/own?reason=r").code(403),
            "forbidden"
        );
    }
    let refused = delete(&app, Who::ADMIN, "policies/own?reason=r").problem(409);
    assert!(
        refused["detail"].as_str().unwrap().contains("`a`"),
        "{refused}"
    );
    patch(&app, Who::ADMIN, "a", &json!({ "policy": "open" })).expect(200);
    let no_reason = delete(&app, Who::ADMIN, "policies/own");
    assert_eq!(the_fields(&no_reason), ["reason"]);
    delete(&app, Who::ADMIN, "policies/own?reason=nobody+has+it").expect(204);
    let entry = newest_entry(&app);
    assert_eq!(entry["action"], "policy_delete");
    assert_eq!(entry["reason"], "nobody has it");
    for missing in [
        app.get("policies/own"),
        app.get("policies/own?version=1"),
        delete(&app, Who::ADMIN, "policies/own?reason=r"),
    ] {
        assert_eq!(missing.code(404), "not_found");
    }
    let gone = patch(&app, Who::ADMIN, "a", &json!({ "policy": "own" }));
    assert_eq!(the_fields(&gone), ["policy"]);
    // Written again it goes on counting: version 1 stays what it was on record.
    let again = write(&app, Who::ADMIN, &json!({ "name": "own" })).expect(201);
    assert_eq!(again.json()["version"], 2);
    assert_eq!(app.get("policies/own?version=1").code(404), "not_found");
    app.assert_audit_intact();
}

fn a_new_version_is_in_force_at_once(engine: Engine) {
    let app = App::start(engine);
    write(&app, Who::ADMIN, &json!({ "name": "own" })).expect(201);
    app.route_with("a", json!({ "policy": "own" }));
    assert_eq!(gate_names(&app, "a"), ["order", "requires", "incident"]);
    let stricter = json!({ "name": "own", "gates": { "opt_in": [{ "gate": "alert" }] } });
    write(&app, Who::ADMIN, &stricter).expect(201);
    assert_eq!(
        gate_names(&app, "a"),
        ["order", "requires", "incident", "alert"]
    );
    let refused = app
        .promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .problem(409);
    assert_eq!(refused["gates"].as_array().unwrap().len(), 1);
    assert_eq!(refused["gates"][0]["gate"], "alert");
    write(&app, Who::ADMIN, &json!({ "name": "own" })).expect(201);
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
}

fn a_route_sets_single_numbers(engine: Engine) {
    let app = App::start(engine);
    let policy = json!({ "name": "own", "gates": { "opt_in": [
        { "gate": "soak", "days": 7 }, { "gate": "approval" },
    ]}});
    write(&app, Who::ADMIN, &policy).expect(201);
    let create = |key: &str, numbers: Value| {
        let body = json!({
            "endpoint": format!("s/{key}"), "key": key, "operation": "read", "owner": "o",
            "policy": "own", "policy_numbers": numbers,
        });
        app.post(Who::OPERATOR, "routes", &body)
    };
    for (wrong, field) in [
        (
            json!({ "opt_in.soak.days": 400 }),
            "policy_numbers.opt_in.soak.days",
        ),
        (json!({ "opt_in.soak": 3 }), "policy_numbers.opt_in.soak"),
        (
            json!({ "opt_out.soak.days": 3 }),
            "policy_numbers.opt_out.soak.days",
        ),
        (
            json!({ "opt_in.approval.count": 1.5 }),
            "policy_numbers.opt_in.approval.count",
        ),
        (
            json!({ "guards.errors.limit": 1 }),
            "policy_numbers.guards.errors.limit",
        ),
    ] {
        assert_eq!(the_fields(&create("a", wrong.clone())), [field], "{wrong}");
    }
    assert_eq!(
        create("a", json!({ "opt_in.soak.days": "3" })).code(400),
        "malformed_request"
    );
    let own = json!({ "opt_in.soak.days": 3.0 });
    let made = create("a", own.clone()).expect(201).json();
    assert_eq!(made["policy_numbers"], own);
    let soak = || {
        let gates = app.get(&at("a", "dev", "gates")).expect(200).json();
        let gates = gates["gates"].as_array().unwrap().clone();
        gates
            .into_iter()
            .find(|gate| gate["gate"] == "soak")
            .unwrap()
    };
    assert_eq!(soak()["numbers"]["required_days"], json!(3.0));
    app.advance(chrono::Duration::days(3));
    assert_eq!(soak()["state"], "pass");
    assert_eq!(soak()["numbers"]["elapsed_days"], json!(3.0));

    // A patch takes the whole; what has no number left has the policy's.
    let more = json!({ "policy_numbers": { "opt_in.approval.count": 2 } });
    patch(&app, Who::MAINTAINER, "a", &more).expect(200);
    assert_eq!(soak()["numbers"]["required_days"], json!(7.0));
    // The numbers are checked against the policy that the route would have.
    let other = patch(&app, Who::ADMIN, "a", &json!({ "policy": "open" }));
    assert_eq!(the_fields(&other), ["policy_numbers.opt_in.approval.count"]);
    patch(
        &app,
        Who::ADMIN,
        "a",
        &json!({ "policy": "open", "policy_numbers": {} }),
    )
    .expect(200);

    // Rows of an import have them too.
    let row = |key: &str, days: i64| {
        json!({
            "endpoint": format!("s/{key}"), "key": key, "operation": "read", "owner": "o",
            "policy": "own", "policy_numbers": { "opt_in.soak.days": days },
        })
    };
    let rows = json!([row("b", 1), row("c", -1)]);
    let refused = app.post(Who::OPERATOR, "routes:import", &rows).problem(422);
    assert_eq!(refused["code"], "import_refused", "{refused}");
    assert_eq!(refused["rows"][0]["index"], 1, "{refused}");
}

fn relaxing_a_number_is_for_admins(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    let change =
        |who: Who, numbers: Value| patch(&app, who, "a", &json!({ "policy_numbers": numbers }));
    // More of everything is for maintainers.
    change(
        Who::MAINTAINER,
        json!({ "opt_out.soak.days": 10, "opt_in.telemetry.error_rate": 0.001 }),
    )
    .expect(200);
    assert_eq!(newest_entry(&app)["action"], "route_change");
    let before = app.database().fingerprint();
    for relaxed in [
        json!({}),
        json!({ "opt_out.soak.days": 9, "opt_in.telemetry.error_rate": 0.001 }),
        json!({ "opt_out.soak.days": 10, "opt_in.telemetry.error_rate": 0.002 }),
        json!({ "opt_out.soak.days": 10, "opt_in.telemetry.error_rate": 0.001,
                "opt_out.soak.on_prem_days": 0 }),
        json!({ "opt_out.soak.days": 20, "opt_in.telemetry.error_rate": 0.001,
                "mandatory.soak.on_prem_days": 1 }),
        json!({ "opt_out.soak.days": 10, "opt_in.telemetry.error_rate": 0.001,
                "opt_in.telemetry.window_minutes": 1 }),
        json!({ "opt_out.soak.days": 10, "opt_in.telemetry.error_rate": 0.001,
                "mandatory.census.days": 365 }),
    ] {
        let refused = change(Who::MAINTAINER, relaxed.clone()).problem(403);
        assert_eq!(refused["needs"], "admin", "{relaxed}");
    }
    assert_eq!(app.database().fingerprint(), before);
    change(Who::ADMIN, json!({})).expect(200);
    assert_eq!(newest_entry(&app)["action"], "break_glass_policy");
    app.assert_audit_intact();
}

fn no_way_round_to_a_laxer_policy(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    let strict = json!({ "name": "stricter", "gates": {
        "opt_in": app.get("policies/gitaly").expect(200).json()["policy"]["gates"]["opt_in"],
    }});
    write(&app, Who::ADMIN, &strict).expect(201);
    // Fewer gates further on are fewer gates.
    let move_to = |who: Who, policy: &str| patch(&app, who, "a", &json!({ "policy": policy }));
    for policy in ["stricter", "data_migration", "open"] {
        assert_eq!(
            move_to(Who::MAINTAINER, policy).code(403),
            "forbidden",
            "{policy}"
        );
    }
    move_to(Who::ADMIN, "stricter").expect(200);
    move_to(Who::MAINTAINER, "gitaly").expect(200);
}
