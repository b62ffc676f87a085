//! Cohorts with a name, and what the keys of ramp groups are.

use serde_json::{Value, json};

use crate::support::{App, Engine, Place, Reply, Who, at, on_both_engines};

on_both_engines!(
    an_edit_changes_whatever_uses_it,
    an_edit_is_judged_like_any_raise,
    a_halt_hides_no_raise,
    what_is_used_is_not_deleted,
    what_nobody_may_have_meant_is_said,
    keys_that_are_changed_otherwise_are_no_cohorts,
    a_ramp_group_states_its_keys,
    what_cannot_be_is_refused,
);

fn create(app: &App, name: &str, keys: Value) -> Reply {
    let body = json!({ "name": name, "keys": keys, "reason": "test" });
    app.post(Who::OPERATOR, "cohorts", &body)
}

fn edit(app: &App, who: Who, name: &str, keys: Value) -> Reply {
    let body = json!({ "keys": keys, "reason": "test" });
    app.put(who, &format!("cohorts/{name}"), &body)
}

fn use_them(app: &App, environment: &str, more: Value) -> Reply {
    let mut body = json!({ "include": [], "exclude": [], "reason": "test" });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    app.put(Who::OPERATOR, &at("a", environment, "cohorts"), &body)
}

fn published(app: &App, environment: &str) -> Value {
    let services = app.services();
    services.catch_up().unwrap();
    let published = services.hub().current(&environment.parse().unwrap());
    let snapshot: Value = serde_json::from_slice(&published.unwrap().snapshot()).unwrap();
    snapshot["routes"]["a"].clone()
}

fn explain(app: &App, body: &Value) -> Vec<String> {
    let explained = app.post(Who::VIEWER, &at("a", "dev", "explain"), body);
    let warnings = explained.expect(200).json()["warnings"].clone();
    serde_json::from_value(warnings).unwrap()
}

fn an_edit_changes_whatever_uses_it(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let made = create(&app, "beta", json!(["1", "2"])).expect(201);
    assert_eq!(made.json()["revision"], 1);
    create(&app, "vip", json!(["9"])).expect(201);
    for environment in ["dev", "staging"] {
        let more =
            json!({ "include": ["7"], "include_cohorts": ["beta"], "exclude_cohorts": ["vip"] });
        let used = use_them(&app, environment, more).expect(200).json();
        assert_eq!(used["rollout"]["include"], json!(["1", "2", "7"]));
        assert_eq!(used["rollout"]["include_cohorts"], json!(["beta"]));
        assert_eq!(used["rollout"]["exclude"], json!(["9"]));
    }
    assert_eq!(published(&app, "dev")["include"], json!(["1", "2", "7"]));
    let revisions = |app: &App| {
        ["dev", "staging", "production"].map(|place| app.rollout("a", place)["revision"].as_u64())
    };
    let (before, entries) = (revisions(&app), app.audit_count());
    let tag = app.get("cohorts/beta").expect(200).etag();
    let edited = edit(&app, Who::OPERATOR, "beta", json!(["2", "3"]))
        .expect(200)
        .json();
    assert_eq!(
        edited["used_by"][1],
        json!({ "route": "a", "environment": "staging" })
    );
    for environment in ["dev", "staging"] {
        assert_eq!(
            published(&app, environment)["include"],
            json!(["2", "3", "7"])
        );
    }
    let after = revisions(&app);
    let risen = |place: usize| after[place].unwrap() - before[place].unwrap();
    assert_eq!([risen(0), risen(1), risen(2)], [1, 1, 0]);
    // One for the cohort, and one for each that uses it.
    assert_eq!(app.audit_count(), entries + 3);
    assert_eq!(
        edit(&app, Who::OPERATOR, "beta", json!(["3", "2"]))
            .expect(200)
            .json()["revision"],
        2
    );
    assert_eq!(
        app.audit_count(),
        entries + 3,
        "the same keys change nothing"
    );
    let stale = app
        .request("PUT", "cohorts/beta")
        .by(Who::OPERATOR)
        .header("if-match", &tag);
    stale
        .json(&json!({ "keys": [], "reason": "x" }))
        .send()
        .problem(412);
    app.assert_audit_intact();
}

fn an_edit_is_judged_like_any_raise(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    create(&app, "beta", json!(["1"])).expect(201);
    use_them(&app, "dev", json!({ "include_cohorts": ["beta"] })).expect(200);
    // In production nothing is exposed without a window, whichever way.
    assert_eq!(
        use_them(&app, "production", json!({ "include_cohorts": ["beta"] })).code(409),
        "window_needed"
    );
    use_them(&app, "production", json!({ "exclude_cohorts": ["beta"] })).expect(200);
    app.post(Who::OPERATOR, "freezes", &json!({ "reason": "incident" }))
        .expect(201);
    let before = app.database().fingerprint();
    for who in [Who::OPERATOR, Who::ADMIN] {
        assert_eq!(
            edit(&app, who, "beta", json!(["1", "2"])).code(409),
            "frozen"
        );
    }
    assert_eq!(app.database().fingerprint(), before, "all or nothing");
    // Fewer are safer in dev; in production none of them would take the new path anyway.
    edit(&app, Who::OPERATOR, "beta", json!([])).expect(200);
    assert_eq!(app.rollout("a", "dev")["include"], json!([]));
}

fn a_halt_hides_no_raise(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.bring("a", &["dev"], "opt_in");
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
    let body = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "halt"), &body)
        .expect(200);
    app.post(Who::OPERATOR, "freezes", &json!({ "reason": "incident" }))
        .expect(201);
    // A resume would bring these keys with it.
    assert_eq!(
        use_them(&app, "dev", json!({ "include": ["7"] })).code(409),
        "frozen"
    );
    use_them(&app, "dev", json!({ "exclude": ["7"] })).expect(200);
}

fn what_is_used_is_not_deleted(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    create(&app, "beta", json!(["1"])).expect(201);
    assert_eq!(create(&app, "beta", json!([])).code(409), "name_taken");
    use_them(&app, "dev", json!({ "include_cohorts": ["beta"] })).expect(200);
    let delete = || {
        app.request("DELETE", "cohorts/beta?reason=over")
            .by(Who::OPERATOR)
            .send()
    };
    let refused = delete().problem(409);
    assert!(
        refused["detail"].as_str().unwrap().contains("a in dev"),
        "{refused}"
    );
    let listed = app.get("cohorts").expect(200).json();
    assert_eq!(listed["items"][0]["used_by"][0]["route"], "a");
    use_them(&app, "dev", json!({})).expect(200);
    delete().expect(204);
    delete().problem(404);
    assert_eq!(app.get("cohorts").expect(200).json()["items"], json!([]));
}

fn what_nobody_may_have_meant_is_said(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let empty = create(&app, "nobody", json!([])).expect(201).json();
    assert!(
        empty["warnings"][0].as_str().unwrap().contains("no keys"),
        "{empty}"
    );
    let more = json!({ "include": ["1", "2"], "exclude": ["2"], "include_cohorts": ["nobody"] });
    let said = use_them(&app, "dev", more).expect(200).json();
    let warnings = said["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{said}");
    assert_eq!(
        said["rollout"]["include"],
        json!(["1", "2"]),
        "and done all the same"
    );
    let explained = explain(&app, &json!({ "key": "2" }));
    assert!(
        explained
            .iter()
            .any(|told| told.contains("both included and excluded"))
    );
    assert!(
        explained
            .iter()
            .any(|told| told.contains("`nobody` has no keys"))
    );
    let edited = edit(&app, Who::OPERATOR, "nobody", json!(["2"]))
        .expect(200)
        .json();
    assert!(
        edited["warnings"][0]
            .as_str()
            .unwrap()
            .starts_with("a in dev: both"),
        "{edited}"
    );
    assert_eq!(
        use_them(&app, "dev", json!({})).expect(200).json()["warnings"],
        json!([])
    );
}

/// What takes the included keys away, or others in their place, ends the use of cohorts there.
fn keys_that_are_changed_otherwise_are_no_cohorts(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    create(&app, "beta", json!(["1"])).expect(201);
    create(&app, "vip", json!(["9"])).expect(201);
    let both = json!({ "include_cohorts": ["beta"], "exclude_cohorts": ["vip"] });
    use_them(&app, "dev", both).expect(200);
    let window = json!({ "until": "2026-01-05T11:00:00Z", "cohort": ["5"], "reason": "test" });
    app.post(Who::MAINTAINER, &at("a", "dev", "acceptance"), &window)
        .expect(201);
    let rollout = app.rollout("a", "dev");
    assert_eq!(
        (&rollout["include"], &rollout["include_cohorts"]),
        (&json!(["5"]), &json!([]))
    );
    assert_eq!(rollout["exclude_cohorts"], json!(["vip"]));
    edit(&app, Who::OPERATOR, "beta", json!(["1", "2"])).expect(200);
    edit(&app, Who::OPERATOR, "vip", json!(["8"])).expect(200);
    let rollout = app.rollout("a", "dev");
    assert_eq!(
        (&rollout["include"], &rollout["exclude"]),
        (&json!(["5"]), &json!(["8"]))
    );
}

fn a_ramp_group_states_its_keys(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "ramp_group": "commits" }));
    let silent = explain(&app, &json!({}));
    assert!(
        silent.iter().any(|told| told.contains("does not state")),
        "{silent:?}"
    );
    let state = |keys: &str| {
        let body = json!({ "keys": keys, "reason": "test" });
        app.put(Who::OPERATOR, "ramp-groups/commits", &body)
    };
    assert_eq!(state("project").expect(200).json()["keys"], "project");
    let entries = app.audit_count();
    state("project").expect(200);
    assert_eq!(app.audit_count(), entries);
    let without = explain(&app, &json!({}));
    assert!(
        without
            .iter()
            .any(|told| told.contains("keys that are a project")),
        "{without:?}"
    );
    assert_eq!(explain(&app, &json!({ "key": "42" })), Vec::<String>::new());
    let listed = app.get("ramp-groups").expect(200).json();
    assert_eq!(
        listed["items"][0],
        json!({
            "name": "commits", "keys": "project", "description": "", "routes": ["a"],
        })
    );
    let delete = |group: &str| {
        let path = format!("ramp-groups/{group}?reason=over");
        app.request("DELETE", &path).by(Who::OPERATOR).send()
    };
    assert!(
        delete("commits").problem(409)["detail"]
            .as_str()
            .unwrap()
            .contains("routes: a")
    );
    app.put(
        Who::OPERATOR,
        "ramp-groups/alone",
        &json!({ "keys": "zone", "reason": "x" }),
    )
    .expect(200);
    delete("alone").expect(204);
    delete("alone").problem(404);
}

fn what_cannot_be_is_refused(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    for (name, keys) in [
        ("Beta", json!(["1"])),
        ("", json!(["1"])),
        ("beta", json!([""])),
        ("beta", json!([&"x".repeat(257)])),
        (
            "beta",
            json!((0..1_001).map(|n| n.to_string()).collect::<Vec<_>>()),
        ),
    ] {
        create(&app, name, keys).expect(422);
    }
    let unknown = use_them(&app, "dev", json!({ "include_cohorts": ["beta"] })).problem(422);
    assert_eq!(unknown["errors"][0]["field"], "include_cohorts");
    // Together they are bounded like those that are named one by one.
    let many = |from: usize| {
        json!(
            (from..from + 600)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
        )
    };
    create(&app, "one", many(0)).expect(201);
    create(&app, "two", many(1_000)).expect(201);
    use_them(&app, "dev", json!({ "include_cohorts": ["one", "two"] })).expect(422);
    create(&app, "three", json!(["a"])).expect(201);
    use_them(&app, "dev", json!({ "include_cohorts": ["one", "three"] })).expect(200);
    let more = edit(&app, Who::OPERATOR, "three", many(2_000)).problem(409);
    assert!(
        more["detail"].as_str().unwrap().contains("1000 keys"),
        "{more}"
    );
    for body in [
        json!({ "keys": "", "reason": "x" }),
        json!({ "keys": "x".repeat(101), "reason": "x" }),
    ] {
        app.put(Who::OPERATOR, "ramp-groups/g", &body).expect(422);
    }
    app.put(
        Who::OPERATOR,
        "ramp-groups/G",
        &json!({ "keys": "k", "reason": "x" }),
    )
    .expect(422);
}

#[test]
fn cohorts_and_groups_on_the_command_line() {
    const REASON: &str = "--reason=x";
    let place = Place::serving();
    let endpoint = "gitaly.CommitService/CountCommits";
    place.well(&[
        "route",
        "add",
        endpoint,
        "--operation=read",
        "--owner=gitaly",
        "--policy=open",
    ]);
    let said = place.well(&[
        "cohort",
        "create",
        "beta",
        "--key",
        "7",
        "42",
        "--description=asked for it",
        REASON,
    ]);
    assert!(said.contains("beta: 2 keys (asked for it)"), "{said}");
    let said = place.well(&[
        "cohorts",
        "count_commits",
        "dev",
        "--include-cohort=beta",
        "--exclude=42",
        REASON,
    ]);
    assert!(
        said.contains("including beta") && said.contains("warning: both included and excluded"),
        "{said}"
    );
    let said = place.well(&["cohort", "set", "beta", "--key=7", REASON]);
    assert!(said.contains("used by count_commits in dev"), "{said}");
    assert!(
        place
            .well(&["cohort", "list"])
            .contains("| beta   | 1    | 1"),
        "a row"
    );
    let used = place.run(&["cohort", "delete", "beta", REASON]);
    assert!(
        used.status == 1 && used.err.contains("count_commits in dev"),
        "{}",
        used.err
    );
    place.well(&["cohorts", "count_commits", "dev", REASON]);
    place.well(&["cohort", "delete", "beta", REASON]);
    let missing = place.run(&["cohort", "show", "beta"]);
    assert!(
        missing.err.contains("switchover cohort list"),
        "{}",
        missing.err
    );
    let said = place.well(&["ramp-group", "set", "commits", "--keys=project", REASON]);
    assert!(
        said.contains("the keys of ramp group commits are: project"),
        "{said}"
    );
    assert!(
        place
            .well(&["ramp-group", "list"])
            .contains("| commits | project |"),
        "a row"
    );
    place.well(&["ramp-group", "delete", "commits", REASON]);
}

/// A cohort is edited while rollouts begin to use it: afterwards every one has its present keys.
#[test]
fn who_begins_to_use_a_cohort_misses_no_edit() {
    const ROUNDS: usize = 12;
    let app = App::start(Engine::Postgres);
    create(&app, "beta", json!(["0"])).expect(201);
    for round in 0..ROUNDS {
        app.route(&format!("a{round}"));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                edit(&app, Who::OPERATOR, "beta", json!([round.to_string()])).expect(200);
            }
        });
        for half in 0..2 {
            let app = &app;
            scope.spawn(move || {
                for round in (half..ROUNDS).step_by(2) {
                    let body = json!({ "include": [], "exclude": [], "include_cohorts": ["beta"],
                                       "reason": "test" });
                    let path = at(&format!("a{round}"), "dev", "cohorts");
                    app.put(Who::OPERATOR, &path, &body).expect(200);
                }
            });
        }
    });
    let keys = app.get("cohorts/beta").expect(200).json()["keys"].clone();
    for round in 0..ROUNDS {
        let rollout = app.rollout(&format!("a{round}"), "dev");
        assert_eq!(rollout["include"], keys, "a{round}");
    }
    app.assert_audit_intact();
}
