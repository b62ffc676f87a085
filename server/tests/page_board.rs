//! The board: what it shows of whom, and which filters it takes.

use std::sync::Arc;

use chrono::Duration;
use serde_json::json;
use switchover_server::conductor::Conductor;

use crate::support::{App, Engine, Fleet, Who, at, calls_of, on_both_engines};

on_both_engines!(
    a_board_shows_every_route_in_every_environment,
    calls_and_guards_are_on_the_board,
);

fn a_board_shows_every_route_in_every_environment(engine: Engine) {
    let app = App::start(engine);
    let empty = app.page(Who::OPERATOR, "/").expect(200).body;
    assert!(empty.contains("There are no routes yet"), "{empty}");

    app.route("count_commits");
    app.route_with(
        "find_blob",
        json!({ "owner": "<b>R&D</b>", "description": "מסלול 🚀" }),
    );
    app.bring("count_commits", &["dev", "staging"], "opt_in");
    app.set(
        "count_commits",
        "dev",
        json!({ "mode": "ramp", "percent": 12.5 }),
    )
    .expect(200);
    app.post(
        Who::OPERATOR,
        &at("count_commits", "staging", "halt"),
        &json!({ "reason": "test" }),
    )
    .expect(200);
    let page = app.page(Who::VIEWER, "/").expect(200).body;
    let row = row(&page, "count_commits");
    assert_eq!(row.matches("Opt-in").count(), 2, "{row}");
    assert_eq!(row.matches("Ready for testing").count(), 2, "{row}");
    assert!(row.contains("12.5 %"), "{row}");
    assert_eq!(
        row.matches("halted").count(),
        3,
        "where, and a class and a word: {row}"
    );
    assert!(row.contains("halted in staging"), "{row}");
    assert!(page.contains("1 halted"), "{page}");
    assert!(
        page.contains("&#60;b&#62;R&#38;D&#60;/b&#62;") && !page.contains("<b>R&D"),
        "{page}"
    );
    assert!(!page.contains("Add a route"), "a viewer adds nothing");

    for (query, shown) in [
        ("?q=COUNT", [true, false]),
        ("?q=%F0%9F%9A%80", [false, true]),
        ("?stage=opt_in", [true, false]),
        ("?stage=opt_in&environment=production", [false, false]),
        ("?stage=ready_for_testing&environment=dev", [false, true]),
        ("?owner=%3Cb%3ER%26D%3C%2Fb%3E", [false, true]),
        ("?halted=yes", [true, false]),
        ("?halted=yes&environment=dev", [false, false]),
        ("?policy=data_migration", [false, false]),
        ("?after=count_commits", [false, true]),
        ("?stage=nonsense&q=&owner=", [true, true]),
    ] {
        let page = app.page(Who::VIEWER, &format!("/{query}")).expect(200).body;
        let found = ["count_commits", "find_blob"]
            .map(|key| page.contains(&format!("href=\"/routes/{key}\"")));
        assert_eq!(found, shown, "{query}");
    }
}

fn calls_and_guards_are_on_the_board(engine: Engine) {
    let app = App::start(engine);
    let guards =
        json!([{ "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "notify" }]);
    let policy = json!({ "name": "watched", "description": "", "guards": guards });
    app.post(
        Who::ADMIN,
        "policies",
        &json!({ "policy": policy, "reason": "test" }),
    )
    .expect(201);
    app.route_with("a", json!({ "policy": "watched" }));
    app.route("b");
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let mut conductor = Conductor::new(Arc::clone(app.services()));
    conductor.tick();
    let seen = || row(&app.page(Who::VIEWER, "/").expect(200).body, "a").to_owned();
    assert!(!seen().contains("guard"), "{}", seen());
    assert!(!seen().contains("class=\"bar\""), "{}", seen());

    app.advance(Duration::seconds(5));
    fleet.report(&app, |_| {
        let mut old = calls_of("a", 300, 0);
        old["path"] = "old".into();
        vec![calls_of("a", 100, 0), old]
    });
    fleet.calls(&app, "a", 400, 0);
    conductor.tick();
    assert!(seen().contains("guards pass"), "{}", seen());
    let told = "62.5 % of 3,200 calls took the new path";
    assert!(seen().contains(told), "{}", seen());
    assert!(seen().contains("width=\"62.5%\""), "{}", seen());

    fleet.calls(&app, "a", 100, 60);
    conductor.tick();
    assert!(seen().contains("guard in breach"), "{}", seen());
    // What was long ago is not what goes on.
    app.advance(Duration::minutes(30));
    assert!(!seen().contains("class=\"bar\""), "{}", seen());
}

/// The row of a route.
fn row<'a>(page: &'a str, route: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("<a href=\"/routes/{route}\">"))
        .unwrap();
    rest.split_once("</tr>").unwrap().0
}

#[test]
fn a_route_is_added_by_a_form() {
    let app = App::start(Engine::Sqlite);
    app.page(Who::VIEWER, "/new/route").expect(403);
    let form = app.page(Who::OPERATOR, "/new/route").expect(200).body;
    for name in [
        "endpoint",
        "operation",
        "owner",
        "policy",
        "start",
        "requires",
    ] {
        assert!(form.contains(&format!("name=\"{name}\"")), "{name}: {form}");
    }
    let filled = [
        ("endpoint", "shop.Cart/Put"),
        ("operation", "write"),
        ("owner", "shop & sons"),
        ("policy", "data_migration"),
        ("start", "ready"),
        ("links.runbook", "not an address"),
    ];
    let refused = app
        .submit(Who::OPERATOR, "/new/route", &filled)
        .expect(422)
        .body;
    assert!(refused.contains("value=\"shop &#38; sons\""), "{refused}");
    assert!(refused.contains("not an address"), "{refused}");
    let filled = &filled[..5];
    let made = app.submit(Who::OPERATOR, "/new/route", filled).expect(303);
    assert_eq!(made.header("location"), Some("/routes/put"));
    let route = app.get("routes/put").expect(200).json();
    assert_eq!(route["operation"], "write");
    assert_eq!(route["owner"], "shop & sons");
    assert_eq!(route["rollouts"].as_array().unwrap().len(), 4);
    // The key is taken now; what was typed is still there.
    let again = app
        .submit(Who::OPERATOR, "/new/route", filled)
        .expect(409)
        .body;
    assert!(again.contains("shop.Cart/Put"), "{again}");
    let later = [
        ("endpoint", "shop.Cart/Get"),
        ("operation", "read"),
        ("owner", "shop"),
        ("start", "analysis"),
    ];
    app.submit(Who::OPERATOR, "/new/route", &later).expect(303);
    assert_eq!(app.get("routes/get").expect(200).json()["ready"], false);
}

#[test]
fn many_are_halted_in_one_step() {
    let app = App::start(Engine::Sqlite);
    for key in ["a", "b", "c"] {
        let owner = if key == "c" { "others" } else { "gitaly" };
        app.route_with(key, json!({ "owner": owner }));
        app.bring(key, &["dev"], "opt_in");
    }
    app.page(Who::VIEWER, "/new/halts").expect(403);
    let form = app.page(Who::OPERATOR, "/new/halts").expect(200).body;
    let first = form.split_once("<option").unwrap().1;
    assert!(first.starts_with(" value=\"production\""), "{first}");
    let fields = [
        ("environment", "dev"),
        ("owner", "gitaly"),
        ("reason", "it is down"),
    ];
    let halted = app.submit(Who::OPERATOR, "/new/halts", &fields).expect(303);
    assert_eq!(halted.header("location"), Some("/?halted=yes"));
    for (key, is_halted) in [("a", true), ("b", true), ("c", false)] {
        assert_eq!(app.rollout(key, "dev")["halted"], is_halted, "{key}");
    }
    let none = [("environment", "dev"), ("owner", "nobody"), ("reason", "x")];
    let refused = app.submit(Who::OPERATOR, "/new/halts", &none);
    assert!(
        refused.status >= 400 && refused.body.contains("value=\"nobody\""),
        "{}",
        refused.body
    );
}
