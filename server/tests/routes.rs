//! Routes: named, imported, found, listed page by page.

use serde_json::{Value, json};

use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(
    names_follow_from_the_endpoint,
    an_import_is_all_or_nothing,
    lists_have_pages,
    routes_are_found,
    a_route_is_retired_for_ever,
    requirements_hold_together,
    many_are_halted_at_once,
);

fn names_follow_from_the_endpoint(engine: Engine) {
    let app = App::start(engine);
    let create = |body: Value| app.post(Who::OPERATOR, "routes", &body);
    let of =
        |endpoint: &str| json!({ "endpoint": endpoint, "operation": "read", "owner": "gitaly" });
    let named = |endpoint: &str, key: &str, flag: &str| {
        let made = create(of(endpoint)).expect(201).json();
        assert_eq!((&made["key"], &made["flag"]), (&json!(key), &json!(flag)));
        assert_eq!(
            (&made["policy"], &made["revision"]),
            (&json!("gitaly"), &json!(1))
        );
        assert_eq!(made["rollouts"].as_array().unwrap().len(), 4);
        assert_eq!(made["rollouts"][2]["stage"], "ready_for_testing");
    };
    named(
        "gitaly.CommitService/CountCommits",
        "count_commits",
        "GITALY_COUNT_COMMITS",
    );
    named(
        "gitaly.BlobService/GetLFSPointers",
        "get_lfs_pointers",
        "GITALY_GET_LFS_POINTERS",
    );
    named(
        "gitaly.SSHService/SSHUploadPack",
        "ssh_upload_pack",
        "GITALY_SSH_UPLOAD_PACK",
    );

    // The same method of another service: the way out is named.
    let taken = create(of("praefect.CommitService/CountCommits"));
    let problem = taken.problem(409);
    assert_eq!(problem["code"], "name_taken");
    assert_eq!(problem["errors"][0]["field"], "key");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("`key`") && detail.contains("gitaly.CommitService/CountCommits"),
        "{detail}"
    );
    let mut other = of("gitaly.OtherService/CountCommits");
    other["key"] = json!("count_other_commits");
    let problem = create(other.clone()).problem(409);
    assert_eq!(problem["errors"][0]["field"], "flag");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("pass another `flag`")
    );
    other["flag"] = json!("GITALY_COUNT_OTHER_COMMITS");
    create(other).expect(201);
}

fn an_import_is_all_or_nothing(engine: Engine) {
    let app = App::start(engine);
    app.route("taken");
    let before = app.database().fingerprint();
    let row = |method: &str, more: Value| {
        let mut row = json!({
            "endpoint": format!("gitaly.Service/{method}"), "operation": "read", "owner": "gitaly",
        });
        row.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        row
    };
    let import = |rows: Value| app.post(Who::OPERATOR, "routes:import", &rows);
    let rows = |problem: &Value| -> Vec<(u64, String)> {
        let rows = problem["rows"].as_array().unwrap().iter();
        let shown = rows.map(|row| {
            let field = row["errors"][0]["field"].as_str().unwrap().to_owned();
            assert!(
                row["errors"][0]["detail"].as_str().unwrap().len() > 10,
                "{row}"
            );
            (row["index"].as_u64().unwrap(), field)
        });
        shown.collect()
    };
    let invalid = import(json!([
        row("First", json!({})),
        row("", json!({})),
        row("Third", json!({ "owner": "" })),
    ]));
    let problem = invalid.problem(422);
    assert_eq!(problem["code"], "import_refused");
    assert_eq!(
        rows(&problem),
        [(1, "endpoint".to_owned()), (2, "owner".to_owned())]
    );
    let refused = import(json!([
        row("First", json!({})),
        row("Taken", json!({})),
        row("First", json!({ "key": "again" })),
        row("Fourth", json!({ "requires": ["nowhere"] })),
        row("Fifth", json!({})),
    ]));
    let expected =
        [(1, "key"), (2, "flag"), (3, "requires")].map(|(row, field)| (row, field.to_owned()));
    assert_eq!(rows(&refused.problem(422)), expected);
    let circle = import(json!([
        row("One", json!({ "requires": ["two"] })),
        row("Two", json!({ "requires": ["one"] })),
    ]));
    circle.problem(422);
    let malformed = import(json!([
        row("One", json!({})),
        row("Two", json!({ "surprise": 1 }))
    ]));
    let problem = malformed.problem(400);
    assert!(
        problem["errors"][0]["field"]
            .as_str()
            .unwrap()
            .starts_with("[1]"),
        "{problem}"
    );
    assert_eq!(app.database().fingerprint(), before);

    // A row may require one that comes after it.
    let done = import(json!([
        row("Third", json!({ "requires": ["first", "second"] })),
        row("Second", json!({ "requires": ["first"] })),
        row("First", json!({})),
    ]));
    let done = done.expect(201).json();
    assert_eq!(done["imported"], 3);
    assert_eq!(
        done["rows"][0],
        json!({ "index": 0, "key": "third", "status": "created" })
    );
    assert_eq!(
        app.get("routes/third").expect(200).json()["requires"],
        json!(["first", "second"])
    );
    let entries = app.get("audit?action=create").json();
    assert_eq!(entries["items"].as_array().unwrap().len(), 4);
    // One commit: one revision of each environment.
    assert_eq!(
        app.database()
            .number("SELECT MAX(revision) FROM environments"),
        2
    );
    assert_eq!(import(json!([])).expect(201).json()["imported"], 0);
}

fn lists_have_pages(engine: Engine) {
    let app = App::start(engine);
    let rows: Vec<Value> = (0..120)
        .map(|number| {
            json!({
                "endpoint": format!("gitaly.Service/R{number}"), "key": format!("r{number}"),
                "operation": "read", "owner": if number % 3 == 0 { "three" } else { "gitaly" },
            })
        })
        .collect();
    app.post(Who::OPERATOR, "routes:import", &json!(rows))
        .expect(201);
    let walk = |list: &str, name: &str| -> (Vec<Value>, usize) {
        let (mut all, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = app.get(&format!("{list}{cursor}")).expect(200).json();
            all.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item[name].clone()),
            );
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (all, pages),
            }
        }
    };
    let mut keys: Vec<Value> = (0..120).map(|number| json!(format!("r{number}"))).collect();
    keys.sort_by_key(ToString::to_string);
    for (limit, pages) in [(50, 3), (40, 3), (120, 1), (119, 2), (1_000, 1), (7, 18)] {
        assert_eq!(
            walk(&format!("routes?limit={limit}"), "key"),
            (keys.clone(), pages),
            "{limit}"
        );
    }
    assert_eq!(walk("routes?", "key").1, 3);
    assert_eq!(walk("routes?owner=three&limit=15", "key").0.len(), 40);
    let (places, pages) = walk("audit?limit=50", "seq");
    let newest_first: Vec<Value> = (1..=120).rev().map(|seq| json!(seq)).collect();
    assert_eq!((places, pages), (newest_first, 3));
    // What changes between two pages neither repeats nor hides the rest.
    let first = app.get("routes?limit=60").json();
    app.route("a_new_one");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app.get(&format!("routes?limit=60&cursor={cursor}")).json();
    assert_eq!(second["items"].as_array().unwrap().len(), 60);
    let list = app.get("routes?limit=5").expect(200);
    let same = app
        .request("GET", "routes?limit=5")
        .by(Who::VIEWER)
        .header("if-none-match", &list.etag())
        .send();
    assert_eq!(same.status, 304);
}

fn routes_are_found(engine: Engine) {
    let app = App::start(engine);
    let text = json!({ "description": "Counts 100% of Commits_now!", "owner": "Git Team" });
    app.route_with("count_commits", text);
    app.route("find_commit");
    app.route("find_all_tags");
    app.promote(Who::OPERATOR, "find_commit", "dev", "opt_in")
        .expect(201);
    let found = |query: &str| -> Vec<String> {
        let page = app.get(&format!("routes?{query}")).expect(200).json();
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|route| route["key"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = ["count_commits", "find_all_tags", "find_commit"];
    assert_eq!(found(""), all);
    assert_eq!(found("q=find"), all[1..]);
    assert_eq!(found("q=FIND_"), all[1..]);
    assert_eq!(found("q=GITALY_COUNT"), all[..1]);
    // Whatever its case, on both engines.
    for query in [
        "commits_now",
        "COMMITS_NOW",
        "Commits_Now",
        "counts",
        "CoUnTs",
        "100%25",
    ] {
        assert_eq!(found(&format!("q={query}")), all[..1], "{query}");
    }
    for query in ["gitaly.service", "GITALY.SERVICE", "gitaly.Service"] {
        assert_eq!(found(&format!("q={query}")), all, "{query}");
    }
    assert_eq!(found("q=commits%25now"), [] as [&str; 0]);
    assert_eq!(found("q=!"), all[..1]);
    assert_eq!(found("owner=Git%20Team"), all[..1]);
    assert_eq!(found("owner=git%20team"), [] as [&str; 0]);
    assert_eq!(found("stage=opt_in"), all[2..]);
    assert_eq!(found("stage=opt_in&environment=staging"), [] as [&str; 0]);
    assert_eq!(found("stage=ready_for_testing&environment=dev"), all[..2]);
    // In several environments at a stage, and still one route; and together with other filters.
    assert_eq!(found("stage=ready_for_testing"), all);
    assert_eq!(found("stage=ready_for_testing&q=find"), all[1..]);
    assert_eq!(found("stage=opt_in&q=tags"), [] as [&str; 0]);
    assert_eq!(found("policy=open&q=tags"), all[1..2]);
    assert_eq!(found("policy=gitaly"), [] as [&str; 0]);
}

fn a_route_is_retired_for_ever(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let retire = || {
        app.post(
            Who::MAINTAINER,
            "routes/a/retire",
            &json!({ "reason": "gone" }),
        )
    };
    app.bring("a", &["dev", "staging", "production"], "mandatory");
    let early = retire();
    assert_eq!(early.code(409), "invalid_transition");
    assert!(early.body.contains("on-prem"), "{}", early.body);
    app.bring("a", &["on-prem"], "mandatory");
    app.scanned(&["a"]);
    assert_ne!(retire().expect(200).json()["retired_at"], Value::Null);
    let entries = app.audit_count();
    retire().expect(200);
    assert_eq!(app.audit_count(), entries, "retired once");
    let glass = json!({ "to": "opt_out", "break_glass": true, "reason": "r" });
    for (method, path, body) in [
        ("POST", at("a", "production", "demotions"), glass),
        (
            "POST",
            at("a", "production", "halt"),
            json!({ "reason": "r" }),
        ),
        (
            "PUT",
            at("a", "production", "setting"),
            json!({ "mode": "off", "reason": "r" }),
        ),
        (
            "PATCH",
            "routes/a".to_owned(),
            json!({ "owner": "other", "reason": "r" }),
        ),
    ] {
        let reply = app.request(method, &path).by(Who::ADMIN).json(&body).send();
        assert_eq!(reply.code(409), "retired", "{path}");
    }
    // Its names stay taken, it stays published, and new environments have it too.
    let again = json!({ "endpoint": "gitaly.Service/a", "operation": "read", "owner": "o" });
    assert_eq!(
        app.post(Who::OPERATOR, "routes", &again).code(409),
        "name_taken"
    );
    let canary = json!({ "key": "canary", "kind": "hosted", "position": 9 });
    app.post(Who::ADMIN, "environments", &canary).expect(201);
    for environment in ["production", "on-prem", "canary"] {
        let key = app.sdk_key(environment);
        let published = app.snapshot(&key).expect(200).json();
        assert_eq!(
            published["routes"]["a"]["stage"], "mandatory",
            "{environment}"
        );
    }
}

fn requirements_hold_together(engine: Engine) {
    let app = App::start(engine);
    app.route("base");
    app.route_with("upper", json!({ "requires": ["base"] }));
    let promote = |route: &str, cascade: bool| {
        let body = json!({ "to": "opt_in", "reason": "r", "cascade": cascade });
        app.post(Who::OPERATOR, &at(route, "dev", "promotions"), &body)
    };
    let refused = promote("upper", false).problem(409);
    assert_eq!(refused["code"], "gates_not_met");
    assert_eq!(refused["gates"].as_array().unwrap().len(), 1, "{refused}");
    assert_eq!(refused["gates"][0]["gate"], "requires");
    assert!(
        refused["gates"][0]["remedy"]
            .as_str()
            .unwrap()
            .contains("cascade")
    );
    let done = promote("upper", true).expect(201).json();
    assert_eq!(
        done["cascaded"],
        json!([{ "route": "base", "from": "ready_for_testing", "to": "opt_in" }])
    );
    assert_eq!(app.rollout("base", "dev")["stage"], "opt_in");

    let demote = |cascade: bool| {
        let body = json!({ "to": "ready_for_testing", "reason": "r", "cascade": cascade });
        app.post(Who::OPERATOR, &at("base", "dev", "demotions"), &body)
    };
    let refused = demote(false).problem(409);
    assert_eq!(refused["code"], "dependents_ahead");
    assert_eq!(
        refused["ahead"],
        json!([{ "route": "upper", "stage": "opt_in" }])
    );
    let before = app.database().fingerprint();
    let patch = |route: &str, requires: Value, cascade: bool| {
        let body = json!({ "requires": requires, "cascade": cascade, "reason": "r" });
        app.request("PATCH", &format!("routes/{route}"))
            .by(Who::MAINTAINER)
            .json(&body)
            .send()
    };
    // A circle, and a chain of seventeen.
    let circle = patch("base", json!(["upper"]), false).problem(422);
    assert!(
        circle["detail"]
            .as_str()
            .unwrap()
            .contains("requires itself"),
        "{circle}"
    );
    assert_eq!(app.database().fingerprint(), before);
    demote(true).expect(201);
    assert_eq!(app.rollout("upper", "dev")["stage"], "ready_for_testing");

    app.route("late");
    app.promote(Who::OPERATOR, "late", "dev", "opt_in")
        .expect(201);
    assert_eq!(patch("late", json!(["base"]), false).code(409), "conflict");
    app.route_with("later", json!({ "requires": ["late"] }));
    app.promote(Who::OPERATOR, "later", "dev", "opt_in")
        .expect(201);
    let refused = patch("late", json!(["base"]), true).problem(409);
    assert_eq!(refused["code"], "dependents_ahead");
    assert_eq!(
        refused["detail"],
        "later (opt_in) would be ahead of `late`, which they require: demote them first"
    );
    let body = json!({ "to": "ready_for_testing", "reason": "r" });
    app.post(Who::OPERATOR, &at("later", "dev", "demotions"), &body)
        .expect(201);
    patch("late", json!(["base"]), true).expect(200);
    assert_eq!(app.rollout("late", "dev")["stage"], "ready_for_testing");

    for number in 0..17 {
        let requires = match number {
            0 => json!([]),
            other => json!([format!("chain_{}", other - 1)]),
        };
        app.route_with(&format!("chain_{number}"), json!({ "requires": requires }));
    }
    let body = json!({
        "endpoint": "gitaly.Service/TooLong", "operation": "read", "owner": "o", "requires": ["chain_16"],
    });
    let refused = app.post(Who::OPERATOR, "routes", &body).problem(422);
    assert!(
        refused["detail"].as_str().unwrap().contains("16"),
        "{refused}"
    );
}

fn many_are_halted_at_once(engine: Engine) {
    let app = App::start(engine);
    for (route, owner) in [("a", "git"), ("b", "git"), ("c", "web"), ("d", "web")] {
        app.route_with(
            route,
            json!({ "owner": owner, "labels": { "tier": owner } }),
        );
    }
    app.bring("d", &["dev"], "mandatory");
    let before = app
        .database()
        .number("SELECT revision FROM environments WHERE key = 'dev'");
    let halt = |more: Value| {
        let mut body = json!({ "environment": "dev", "reason": "down" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        app.post(Who::OPERATOR, "halts", &body).expect(200).json()
    };
    assert_eq!(
        halt(json!({ "owner": "git", "routes": ["a", "c"] }))["halted"],
        json!(["a"])
    );
    assert_eq!(
        halt(json!({ "label": "tier=web" }))["mandatory"],
        json!(["d"])
    );
    let all = halt(json!({}));
    assert_eq!(all["halted"], json!(["b"]));
    assert_eq!(all["already_halted"], json!(["a", "c"]));
    assert_eq!(all["mandatory"], json!(["d"]));
    assert_eq!(
        app.database()
            .number("SELECT revision FROM environments WHERE key = 'dev'"),
        before + 3
    );
    let gates = || app.get(&at("a", "dev", "gates")).expect(200).json();
    assert_eq!(
        (&gates()["met"], &gates()["halted"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        app.promote(Who::OPERATOR, "a", "dev", "opt_in").code(409),
        "halted"
    );
    let again = app.post(
        Who::OPERATOR,
        &at("a", "dev", "halt"),
        &json!({ "reason": "again" }),
    );
    let again = again.expect(200).json();
    assert_eq!(again["changed"], false);
    assert_eq!(again["rollout"]["halt"]["reason"], "down");
    let resume = json!({ "reason": "r" });
    app.post(Who::OPERATOR, &at("a", "dev", "resume"), &resume)
        .expect(200);
    assert_eq!(
        (&gates()["met"], &gates()["halted"]),
        (&json!(true), &json!(false))
    );
}
