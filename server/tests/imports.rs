//! `import`: the program itself with exports in the forms that other systems document.

use serde_json::Value;

use crate::support::{App, Engine, Place, Who, on_both_engines};

on_both_engines!(
    flags_of_launchdarkly_become_routes,
    flags_of_unleash_become_routes,
    flags_of_gitlab_become_routes,
);

fn fixture(name: &str) -> String {
    format!("{}/tests/imports/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Imports with these arguments: first without a change, then for good, then again.
fn import(app: &App, arguments: &[&str]) -> (Value, Place) {
    let place = Place::with_server_at(app.address(), Who::ADMIN);
    let arguments = [
        &["import", "--endpoint-prefix=gitaly.CommitService"],
        arguments,
    ]
    .concat();
    let entries = app.audit_count();
    let told = place.well(&arguments);
    assert!(told.contains("nothing was changed"), "{told}");
    let told: Value =
        serde_json::from_str(&place.well(&[&arguments[..], &["--json"]].concat())).unwrap();
    assert_eq!(app.audit_count(), entries);

    let file = place.file("routes.yaml");
    let written = place.well(&[&arguments[..], &["--output", &file]].concat());
    let next = format!("written to {file}; next: switchover apply {file}\n");
    assert!(written.ends_with(&next), "{written}");
    assert!(!written.contains("pass --apply"), "{written}");
    let apply = ["--apply", "--yes", "--reason=we move in"];
    let done = place.run(&[&arguments[..], &apply].concat());
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    let entries = app.audit_count();
    let again = place.run(&[&arguments[..], &apply].concat());
    assert!(again.out.contains("nothing differs"), "{}", again.out);
    // What was written says the same as what was done.
    assert_eq!(
        place.run(&["diff", &file]).out,
        "nothing differs from the file\n"
    );
    assert_eq!(app.audit_count(), entries);
    (told, place)
}

#[track_caller]
fn loses(told: &Value, flag: &str, field: &str) {
    let lost = told["lost"].as_array().unwrap();
    let found = lost
        .iter()
        .any(|lost| lost["flag"] == flag && lost["field"] == field);
    assert!(found, "{flag} {field}: {lost:#?}");
}

fn dev(app: &App, route: &str) -> (Value, Value) {
    let rollout = app.rollout(route, "dev");
    assert_eq!(rollout["stage"], "ready_for_testing");
    (rollout["setting"].clone(), rollout["include"].clone())
}

fn flags_of_launchdarkly_become_routes(engine: Engine) {
    let app = App::start(engine);
    let file = fixture("launchdarkly.json");
    let (told, _) = import(
        &app,
        &["--from=launchdarkly", "--owner=git", "--policy=open", &file],
    );
    assert_eq!(told["flags"], 3);
    for (flag, field) in [
        ("count-commits", "key"),
        ("count-commits", "bucketing"),
        ("count-commits", "exposure"),
        ("count-commits", "environment"),
        ("find.all.tags", "rules"),
        ("button-colour", "(all of it)"),
    ] {
        loses(&told, flag, field);
    }
    let (setting, include) = dev(&app, "count_commits");
    assert_eq!(setting["percent"], 25);
    assert_eq!(include, serde_json::json!(["7", "8"]));
    let route = app.get("routes/find_all_tags").expect(200).json();
    assert_eq!(route["endpoint"], "gitaly.CommitService/FindAllTags");
    assert_eq!(route["requires"], serde_json::json!(["count_commits"]));
    // Nobody in production notices: there, a flag that is on is a promotion that is still to come.
    let production = app.rollout("count_commits", "production");
    assert_eq!(production["exposure_percent"], 0);
}

fn flags_of_unleash_become_routes(engine: Engine) {
    let app = App::start(engine);
    let (file, environment) = (fixture("unleash.json"), "--environment=development=dev");
    let (told, _) = import(&app, &["--from=unleash", "--owner=git", environment, &file]);
    loses(&told, "count-commits", "bucketing");
    loses(&told, "find-tags", "strategy flexibleRollout");
    assert_eq!(dev(&app, "count_commits").0["percent"], 25);
    assert_eq!(dev(&app, "find_tags").0["mode"], "stage_default");
}

fn flags_of_gitlab_become_routes(engine: Engine) {
    let app = App::start(engine);
    let directory = fixture("gitlab");
    let arguments = [
        "--from=gitlab",
        "--owner=git",
        "--environment=dev",
        &directory,
    ];
    let (told, _) = import(&app, &arguments);
    assert_eq!(told["flags"], 3);
    loses(&told, "count_commits", "actors");
    loses(&told, "list_refs", "percentage_of_time");
    let (setting, include) = dev(&app, "count_commits");
    assert_eq!(setting["percent"], 25);
    assert_eq!(include, serde_json::json!(["Project:7"]));
    assert_eq!(dev(&app, "find_tags").0["mode"], "on");
    let route = app.get("routes/count_commits").expect(200).json();
    assert_eq!(route["owner"], "gitaly");
    assert_eq!(
        route["links"]["issue"],
        "https://gitlab.example.com/issues/3"
    );
}

#[test]
fn options_that_are_missing_are_named_once() {
    let app = App::start(Engine::Sqlite);
    let place = Place::with_server_at(app.address(), Who::ADMIN);
    let (flags, file) = (fixture("unleash.json"), place.file("routes.yaml"));
    let import = ["import", "--from=unleash", &flags];
    let both = "  2 routes without `endpoint`: pass --endpoint-prefix PACKAGE.SERVICE, such as \
                gitaly.CommitService\n  2 routes without `owner`: pass --owner OWNER\n";
    for more in [&[][..], &["--apply", "--yes", "--reason=we move in"]] {
        let refused = place.run(&[&import[..], more].concat());
        assert_eq!(refused.status, 2);
        assert!(refused.err.contains(both), "{}", refused.err);
        assert!(!refused.err.contains("`operation`"), "{}", refused.err);
    }
    let one = place.run(&[&import[..], &["--owner=git"]].concat());
    assert_eq!(one.status, 2);
    assert!(!one.err.contains("--owner"), "{}", one.err);
    // A file can be mended by hand.
    let written = place.well(&[&import[..], &["--output", &file]].concat());
    assert!(written.contains(both), "{written}");
    let next = format!("written to {file}; next: mend that in it, then switchover apply {file}\n");
    assert!(written.ends_with(&next), "{written}");
    let routes = app.get("routes").expect(200).json();
    assert_eq!(routes["items"], serde_json::json!([]));
}

#[test]
fn an_import_of_no_flag_or_of_a_part_is_refused() {
    let app = App::start(Engine::Sqlite);
    let place = Place::with_server_at(app.address(), Who::ADMIN);
    let (file, out) = (place.file("flags.json"), place.file("routes.yaml"));
    let part = r#"{"items": [{"key": "a", "variations": [{"value": true}, {"value": false}]}],
        "totalCount": 50, "_links": {"next": {"href": "/api/v2/flags/p?limit=1&offset=1"}}}"#;
    let summary = r#"{"items": [{"key": "a", "variations": [{"value": true}, {"value": false}],
        "environments": {"dev": {"on": true, "_summary": {"prerequisites": 0}}}}], "totalCount": 1}"#;
    for (from, text, says) in [
        ("gitlab", "[]", "there is no flag in"),
        (
            "launchdarkly",
            r#"{"items": [], "totalCount": 0}"#,
            "there is no flag in",
        ),
        ("launchdarkly", part, "1 of 50 flags are here"),
        ("launchdarkly", summary, "fetched without summary=0"),
    ] {
        std::fs::write(&file, text).unwrap();
        let prefix = "--endpoint-prefix=x.Y";
        let refused = place.run(&["import", "--from", from, prefix, &file, "--output", &out]);
        assert_eq!(refused.status, 2, "{from} {text}");
        assert!(refused.err.contains(says), "{}", refused.err);
        assert!(!std::path::Path::new(&out).exists(), "{text}");
    }
}

#[test]
fn an_import_takes_nothing_away() {
    let app = App::start(Engine::Sqlite);
    let place = Place::with_server_at(app.address(), Who::ADMIN);
    let file = fixture("unleash.json");
    let help = place.well(&["import", "--help"]);
    for option in ["--prune", "--allow-demotion"] {
        assert!(!help.contains(option), "{help}");
        let refused = place.run(&["import", "--from=unleash", &file, option]);
        assert_eq!(refused.status, 2);
        assert!(refused.err.contains("switchover apply"), "{}", refused.err);
    }
    assert!(help.contains("--endpoint-prefix"), "{help}");
    assert!(place.well(&["apply", "--help"]).contains("--prune"));
}

#[test]
fn what_is_missing_or_no_export_is_said() {
    let app = App::start(Engine::Sqlite);
    let place = Place::with_server_at(app.address(), Who::ADMIN);
    let file = fixture("unleash.json");
    let bare = place.run(&["import", "--from=unleash", &file]);
    assert_eq!(bare.status, 2);
    for part in [
        "--endpoint-prefix",
        "--owner",
        "--environment development=ENV",
        "`endpoint`",
    ] {
        assert!(
            (bare.out.clone() + &bare.err).contains(part),
            "{part}: {}{}",
            bare.out,
            bare.err
        );
    }
    for arguments in [
        &["--from=launchdarkly", &file][..],
        &["--from=gitlab", &file],
        &["--from=unleash", "nowhere.json"],
        &["--from=unleash", "--environment=x=nowhere", &file],
        &["--from=unleash", "--stage=mandatory", &file],
        &["--from=other", &file],
        &["--from=unleash"],
    ] {
        let refused = place.run(&[&["import"], arguments].concat());
        assert_eq!(refused.status, 2, "{arguments:?}: {}", refused.err);
    }
    assert_eq!(
        app.get("routes").expect(200).json()["items"],
        serde_json::json!([])
    );
}
