//! Plans over REST: given, ticked, bound, edited, taken away.

mod commands;
mod refusals;

use serde_json::{Value, json};
use switchover::{RouteKey, Stage};

use crate::support::{App, Engine, Reply, Who, on_both_engines};

on_both_engines!(
    a_plan_is_given_and_shown,
    steps_are_ticked_with_who_and_when,
    steps_wait_for_those_before_them,
    an_edited_plan_keeps_its_ticks,
    a_section_is_bound_and_freed,
    only_what_was_seen_is_changed,
    ticks_at_once_are_all_kept,
);

const PLAN: &str = "# Counting\n\n## Before opt-in\n<!-- gate: opt_in -->\n\n- [ ] [DevOps] Back up\n  - Look at it\n- ~~Tell them~~\n\n```sh\nls\n```\n\n## After\n\n1. Clean up <!-- id: clean -->\n";

fn started(engine: Engine) -> App {
    let app = App::start(engine);
    app.route("count_commits");
    app
}

fn with_plan(engine: Engine, source: &str) -> App {
    let app = started(engine);
    put(&app, source).expect(201);
    app
}

fn put(app: &App, source: &str) -> Reply {
    let request = app.request("PUT", "routes/count_commits/plan?reason=test");
    let request = request
        .by(Who::OPERATOR)
        .header("content-type", "text/markdown");
    request.body(source).send()
}

fn patch(app: &App, who: Who, what: &str, mut body: Value) -> Reply {
    body["reason"] = json!("test");
    let path = format!("routes/count_commits/plan{what}");
    app.request("PATCH", &path).by(who).json(&body).send()
}

fn tick(app: &App, step: &str, done: bool) -> Reply {
    patch(
        app,
        Who::OPERATOR,
        &format!("/steps/{step}"),
        json!({ "done": done }),
    )
}

fn shown(app: &App) -> Value {
    app.get("routes/count_commits/plan?format=json")
        .expect(200)
        .json()
}

fn markdown(app: &App) -> String {
    app.get("routes/count_commits/plan").expect(200).body
}

/// The step with this text.
fn found(plan: &Value, text: &str) -> Value {
    let mut open: Vec<&Value> = Vec::new();
    for section in plan["sections"].as_array().unwrap() {
        open.extend(section["steps"].as_array().unwrap());
    }
    while let Some(step) = open.pop() {
        if step["text"].as_str().unwrap().starts_with(text) {
            return step.clone();
        }
        open.extend(step["steps"].as_array().unwrap());
    }
    panic!("no step {text}: {plan}");
}

fn id(plan: &Value, text: &str) -> String {
    found(plan, text)["id"].as_str().unwrap().to_owned()
}

fn a_plan_is_given_and_shown(engine: Engine) {
    let app = started(engine);
    let none = app.get("routes/count_commits/plan").problem(404);
    assert_eq!(none["detail"], "there is no plan `count_commits`");
    app.get("routes/nope/plan").problem(404);
    let made = put(&app, PLAN).expect(201);
    let plan = made.json();
    assert_eq!((&plan["total"], &plan["done"]), (&json!(4), &json!(1)));
    assert_eq!(plan["put_by"], Who::OPERATOR.1);
    let sections = plan["sections"].as_array().unwrap();
    let titles: Vec<&str> = sections
        .iter()
        .map(|found| found["title"].as_str().unwrap())
        .collect();
    assert_eq!(titles, ["Counting", "Before opt-in", "After"]);
    assert_eq!(
        (&sections[1]["level"], &sections[1]["gate"]),
        (&json!(2), &json!("opt_in"))
    );
    assert_eq!(
        (&sections[1]["total"], &sections[1]["done"]),
        (&json!(3), &json!(1))
    );
    let backup = found(&plan, "Back up");
    assert_eq!(backup["owner"], "DevOps");
    assert_eq!(backup["steps"][0]["text"], "Look at it");
    let told = found(&plan, "Tell them");
    assert_eq!(
        (&told["done"], &told["done_by"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(told["code"], json!([{ "language": "sh", "text": "ls\n" }]));
    assert_eq!(id(&plan, "Clean up"), "clean");

    let text = app.get("routes/count_commits/plan").expect(200);
    assert_eq!(text.body, PLAN);
    assert_eq!(
        text.header("content-type"),
        Some("text/markdown; charset=utf-8")
    );
    assert_eq!(text.etag(), made.etag());
    let accepting = |accept: &str| {
        let request = app
            .request("GET", "routes/count_commits/plan")
            .by(Who::VIEWER);
        request.header("accept", accept).send().expect(200)
    };
    assert_eq!(accepting("application/json").json(), plan);
    assert_eq!(accepting("text/markdown").body, PLAN);
    assert_eq!(
        accepting("*/*")
            .header("vary")
            .map(|vary| vary.contains("Accept")),
        Some(true)
    );
    let unchanged = app
        .request("GET", "routes/count_commits/plan")
        .by(Who::VIEWER);
    assert_eq!(
        unchanged
            .header("if-none-match", &made.etag())
            .send()
            .status,
        304
    );
    // The same once more is no change.
    let entries = app.audit_count();
    assert_eq!(put(&app, PLAN).expect(200).etag(), made.etag());
    assert_eq!(app.audit_count(), entries);

    let delete = || {
        let request = app.request("DELETE", "routes/count_commits/plan?reason=over");
        request.by(Who::OPERATOR).send()
    };
    delete().expect(204);
    delete().problem(404);
    app.get("routes/count_commits/plan").problem(404);
    let again = put(&app, PLAN).expect(201);
    assert_ne!(again.etag(), made.etag(), "a tag names one state for ever");
    let history = app.get("routes/count_commits/history").expect(200).json();
    let actions: Vec<&str> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["plan_put", "plan_delete", "plan_put", "create"]);
    app.assert_audit_intact();
}

fn steps_are_ticked_with_who_and_when(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let backup = id(&shown(&app), "Back up");
    app.advance(chrono::Duration::minutes(5));
    let path = format!("/steps/{backup}");
    let body = json!({ "done": true, "note": " took \"40\" minutes 🕐 " });
    let plan = patch(&app, Who::OPERATOR, &path, body).expect(200).json();
    let step = found(&plan, "Back up");
    assert_eq!(step["done_by"], Who::OPERATOR.1);
    assert_eq!(step["done_at"], "2026-01-05T10:05:00Z");
    assert_eq!(step["note"], "took \"40\" minutes 🕐");
    assert_eq!(plan["done"], 2);
    assert_eq!(
        markdown(&app),
        PLAN.replace("- [ ] [DevOps]", "- [x] [DevOps]")
    );
    // Ticked is ticked: who was first stays.
    let entries = app.audit_count();
    let again = patch(&app, Who::MAINTAINER, &path, json!({ "done": true }))
        .expect(200)
        .json();
    assert_eq!(again, plan);
    assert_eq!(app.audit_count(), entries);
    tick(&app, "clean", true).expect(200);
    let told = id(&plan, "Tell them");
    tick(&app, &told, false).expect(200);
    let expected = PLAN
        .replace("- [ ] [DevOps]", "- [x] [DevOps]")
        .replace("~~Tell them~~", "Tell them")
        .replace("1. Clean up", "1. [x] Clean up");
    assert_eq!(markdown(&app), expected);
    let plan = tick(&app, &backup, false).expect(200).json();
    let step = found(&plan, "Back up");
    assert_eq!(
        (&step["done_by"], &step["done_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(step["note"], "took \"40\" minutes 🕐");
    let plan = patch(&app, Who::OPERATOR, &path, json!({ "note": "" }))
        .expect(200)
        .json();
    assert_eq!(found(&plan, "Back up")["note"], Value::Null);
    let history = app.get("routes/count_commits/history").expect(200).json();
    let entries: Vec<(&str, &str)> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["action"].as_str().unwrap(),
                entry["by"].as_str().unwrap(),
            )
        })
        .collect();
    let by = Who::OPERATOR.1;
    let expected = [
        "plan_step",
        "plan_untick",
        "plan_untick",
        "plan_tick",
        "plan_tick",
    ];
    assert_eq!(entries[..5], expected.map(|action| (action, by)));
    assert_eq!(history["items"][4]["before"]["done"], false);
    assert_eq!(history["items"][4]["after"]["text"], "Back up");
}

fn steps_wait_for_those_before_them(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let plan = shown(&app);
    let (backup, look) = (id(&plan, "Back up"), id(&plan, "Look"));
    patch(&app, Who::OPERATOR, "", json!({ "ordered": true })).expect(200);
    let before = app.database().fingerprint();
    let refused = tick(&app, "clean", true).problem(409);
    assert_eq!(refused["code"], "out_of_order");
    let missing = refused["missing"].as_array().unwrap();
    assert_eq!(
        (&missing[0]["id"], &missing[1]["id"]),
        (&json!(backup), &json!(look))
    );
    assert_eq!((missing.len(), &missing[0]["owner"]), (2, &json!("DevOps")));
    assert!(
        refused["detail"].as_str().unwrap().contains("Back up"),
        "{refused}"
    );
    assert_eq!(
        tick(&app, &backup, true).code(409),
        "out_of_order",
        "its part first"
    );
    assert_eq!(app.database().fingerprint(), before);
    for step in [look.as_str(), &backup, "clean"] {
        tick(&app, step, true).expect(200);
    }
    // What is later is done, and what is earlier may be found not to be.
    tick(&app, &look, false).expect(200);

    patch(&app, Who::OPERATOR, "", json!({ "ordered": false })).expect(200);
    tick(&app, "clean", false).expect(200);
    let wait = |step: &str, after: Value| {
        patch(
            &app,
            Who::OPERATOR,
            &format!("/steps/{step}"),
            json!({ "after": after }),
        )
    };
    let plan = wait("clean", json!([look])).expect(200).json();
    assert_eq!(found(&plan, "Clean up")["after"], json!([look]));
    assert_eq!(tick(&app, "clean", true).code(409), "out_of_order");
    for after in [json!(["clean"]), json!(["nope"]), json!(vec!["clean"; 17])] {
        let refused = wait(&look, after).problem(422);
        assert_eq!(refused["errors"][0]["field"], "after");
    }
    wait(&backup, json!(["clean"])).expect(200);
    let refused = patch(&app, Who::OPERATOR, "", json!({ "ordered": true })).problem(422);
    assert_eq!(
        refused["errors"][0]["field"], "ordered",
        "it waits for a later one"
    );
    wait("clean", json!([])).expect(200);
    tick(&app, "clean", true).expect(200);
}

fn an_edited_plan_keeps_its_ticks(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let plan = shown(&app);
    let (backup, look) = (id(&plan, "Back up"), id(&plan, "Look"));
    tick(&app, &backup, true).expect(200);
    tick(&app, "clean", true).expect(200);
    let note = json!({ "note": "a note" });
    patch(&app, Who::OPERATOR, &format!("/steps/{look}"), note).expect(200);
    // From the repository, where nobody ticked anything, with a step more and one less.
    let edited = PLAN
        .replace("- [ ] [DevOps] Back up\n", "- Ask\n- [QA] Back up\n")
        .replace(
            "Clean up <!-- id: clean -->",
            "Clean all of it up <!-- id: clean -->",
        )
        .replace("- ~~Tell them~~\n", "");
    let plan = put(&app, &edited).expect(200).json();
    let kept = found(&plan, "Back up");
    assert_eq!(
        (&kept["id"], &kept["done_by"]),
        (&json!(backup), &json!(Who::OPERATOR.1))
    );
    assert_eq!(kept["owner"], "QA");
    assert_eq!(found(&plan, "Look")["note"], "a note");
    assert_eq!(found(&plan, "Clean all")["done"], true);
    assert_eq!(plan["total"], 4);
    assert_eq!(app.database().number("SELECT COUNT(*) FROM plan_steps"), 3);
    // Given out and given back.
    let ticked = markdown(&app);
    assert!(
        ticked.contains("- [x] [QA] Back up") && ticked.contains("1. [x] Clean all"),
        "{ticked}"
    );
    let plan = put(&app, &ticked).expect(200).json();
    assert_eq!(found(&plan, "Back up")["done_by"], Who::OPERATOR.1);
    // Struck from the text, and back: nothing is known any more.
    put(&app, "nothing").expect(200);
    assert_eq!(app.database().number("SELECT COUNT(*) FROM plan_steps"), 0);
    let plan = put(&app, PLAN).expect(200).json();
    assert_eq!(found(&plan, "Back up")["done"], false);
}

fn a_section_is_bound_and_freed(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let plan = shown(&app);
    let section = |number: usize| plan["sections"][number]["id"].as_str().unwrap().to_owned();
    let bind = |section: &str, gate: Value| {
        patch(
            &app,
            Who::OPERATOR,
            &format!("/sections/{section}"),
            json!({ "gate": gate }),
        )
    };
    let gates = |reply: Reply| -> Vec<Value> {
        let plan = reply.expect(200).json();
        let sections = plan["sections"].as_array().unwrap().iter();
        sections.map(|section| section["gate"].clone()).collect()
    };
    let key: RouteKey = "count_commits".parse().unwrap();
    let standing = |stage: Stage| {
        let plan = app.services().plan(&key).unwrap().plan;
        let standing = plan.standing(stage);
        (standing.bound, standing.total, standing.open.len())
    };
    assert_eq!(standing(Stage::OptIn), (true, 3, 2));
    assert_eq!(standing(Stage::Mandatory), (false, 0, 0));
    let bound = gates(bind(&section(0), json!("mandatory")));
    assert_eq!(
        bound,
        [json!("mandatory"), json!("opt_in"), json!("mandatory")]
    );
    assert_eq!(standing(Stage::Mandatory), (true, 1, 1));
    let freed = gates(bind(&section(1), Value::Null));
    assert_eq!(freed, [json!("mandatory"), Value::Null, json!("mandatory")]);
    // An edit elsewhere leaves both alone.
    let kept = gates(put(&app, &format!("Hello.\n\n{PLAN}")));
    assert_eq!(kept, freed);
    assert_eq!(bind("nope", json!("opt_in")).code(404), "not_found");
    assert_eq!(
        bind(&section(1), json!("ready_for_testing")).code(422),
        "invalid"
    );
    assert_eq!(
        bind(&section(1), json!("soon")).code(400),
        "malformed_request"
    );
    let left_out = patch(
        &app,
        Who::OPERATOR,
        &format!("/sections/{}", section(1)),
        json!({}),
    );
    assert_eq!(left_out.code(400), "malformed_request");
}

fn only_what_was_seen_is_changed(engine: Engine) {
    let app = with_plan(engine, PLAN);
    let first = app.get("routes/count_commits/plan").etag();
    let second = tick(&app, "clean", true).expect(200).etag();
    assert_ne!(first, second);
    assert_eq!(app.get("routes/count_commits/plan").etag(), second);
    let before = app.database().fingerprint();
    let send = |method: &str, what: &str, tag: &str, body: Option<Value>| {
        let path = format!("routes/count_commits/plan{what}");
        let request = app
            .request(method, &path)
            .by(Who::OPERATOR)
            .header("if-match", tag);
        match body {
            Some(body) => request.json(&body).send(),
            None if method == "PUT" => {
                let request = request.header("content-type", "text/markdown");
                request.body("- another").send()
            }
            None => request.send(),
        }
    };
    let step = || Some(json!({ "done": false, "reason": "r" }));
    let order = || Some(json!({ "ordered": true, "reason": "r" }));
    for (method, what, body) in [
        ("PUT", "?reason=r", None),
        ("DELETE", "?reason=r", None),
        ("PATCH", "", order()),
        ("PATCH", "/steps/clean", step()),
    ] {
        let problem = send(method, what, &first, body).problem(412);
        assert_eq!(problem["etag"], second, "{method} {what}");
    }
    assert_eq!(app.database().fingerprint(), before);
    let third = send("PATCH", "/steps/clean", &second, step())
        .expect(200)
        .etag();
    let fourth = send("PUT", "?reason=r", &third, None).expect(200).etag();
    send("DELETE", "?reason=r", &fourth, None).expect(204);
    send("PUT", "?reason=r", &fourth, None).problem(412);
    send("PUT", "?reason=r", "*", None).expect(201);
}

fn ticks_at_once_are_all_kept(engine: Engine) {
    let source: String = (0..8)
        .map(|number| format!("- step {number} <!-- id: s{number} -->\n"))
        .collect();
    let app = with_plan(engine, &source);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let app = &app;
            scope.spawn(move || tick(app, &format!("s{number}"), true).expect(200));
        }
    });
    let plan = shown(&app);
    assert_eq!((&plan["done"], &plan["revision"]), (&json!(8), &json!(9)));
    app.assert_audit_intact();
}

#[test]
fn real_plans_come_back_as_they_were() {
    let app = started(Engine::Sqlite);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/plans");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let status = put(&app, &source).status;
        assert!([200, 201].contains(&status), "{status}");
        assert_eq!(markdown(&app), source);
        seen += 1;
    }
    assert_eq!(seen, 5);
}
