//! The two stores of a data route: repairs, backfills, comparisons, writers.

use chrono::Duration;
use serde_json::json;

use crate::page_route::{part, says, shown};
use crate::support::{App, Engine, on_both_engines};

on_both_engines!(
    a_data_route_says_what_comes_first,
    repairs_and_a_running_backfill,
    an_announced_move_of_keys,
);

const ADDRESS: &str = "/routes/save/environments/dev";

fn a_data_route_says_what_comes_first(engine: Engine) {
    let app = App::start(engine);
    app.route_with("save", json!({ "operation": "write" }));
    let html = shown(&app, ADDRESS);
    let data = part(&html, "data");
    says(data, "going back loses nothing");
    says(data, "No backfill has run.");
    says(data, "were never compared.");
    says(data, "No process writes the route here");
    says(data, "no repair is open");
    says(
        &shown(&app, "/routes/save"),
        ".stores(old_store, new_store)?",
    );
}

fn repairs_and_a_running_backfill(engine: Engine) {
    let app = App::start(engine);
    app.data_route("save", "dev");
    let key = app.sdk_key("dev");
    let body = json!({ "instance": "a", "route": "save", "batch": 1000, "total": 4000 });
    let begun = app.sdk_post(&key, "backfills", &body).expect(200).json();
    let id = begun["id"].as_str().unwrap().to_owned();
    app.advance(Duration::seconds(10));
    let body = json!({ "instance": "a", "cursor": "m", "keys": 1000, "copied": 990 });
    app.sdk_post(&key, &format!("backfills/{id}"), &body)
        .expect(200);
    let repair = |key: &str, cause: &str, state: &str| {
        json!({ "key": key, "written": "new", "generation": 1, "cause": cause, "state": state,
                "attempts": 3, "age_ms": 2000 })
    };
    let repairs = [
        repair("<b>1</b>", "failed", "open"),
        repair("2", "failed", "open"),
        repair("3", "at_risk", "conflict"),
    ];
    let body = json!({ "instance": "a", "name": "web-a",
                       "routes": [{ "route": "save", "repairs": repairs }] });
    app.sdk_post(&key, "writers", &body).expect(200);
    let html = shown(&app, ADDRESS);
    let data = part(&html, "data");
    says(data, "running 1,000 of about 4,000 keys, 25 %");
    says(data, "about 30 s left");
    assert!(data.contains("width=\"25.0%\""));
    says(data, "3 unresolved, by what happened");
    says(data, "the copy failed tried again new store 2");
    says(
        data,
        "at risk: keys moved without a hold a person decides new store 1",
    );
    assert!(!html.contains("<b>1</b>"));
    says(data, "web-a");
    app.advance(Duration::seconds(60));
    says(
        part(&shown(&app, ADDRESS), "data"),
        "vanished: blocks moves of keys",
    );
}

fn an_announced_move_of_keys(engine: Engine) {
    let app = App::start(engine);
    app.route_with("save", json!({ "operation": "write" }));
    app.set("save", "dev", json!({ "mode": "ramp", "percent": 0 }))
        .expect(200);
    app.bring("save", &["dev"], "opt_in");
    app.equal_stores("save", "dev");
    let key = app.sdk_key("dev");
    let body = json!({ "instance": "b", "name": "web-b",
                       "routes": [{ "route": "save", "generation": 0 }] });
    app.sdk_post(&key, "writers", &body).expect(200);
    app.set("save", "dev", json!({ "mode": "ramp", "percent": 50 }))
        .expect(202);
    let html = shown(&app, ADDRESS);
    says(
        part(&html, "now"),
        "Wait: keys are about to move (setting by otto@example.com)",
    );
}
