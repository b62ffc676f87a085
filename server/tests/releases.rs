//! Releases: drafts, their order, patches, publishing, the manifest and its keys.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};
use switchover::{
    Client, Manifest, ManifestError, ManifestKey, ManifestStatus, Overrides, Path, Reason, Source,
    Stage,
};
use switchover_server::domain::environment::EnvironmentKey;
use switchover_server::store::StoreError;

use crate::support::{App, Engine, Reply, Who, on_both_engines};

on_both_engines!(
    a_build_number_stands_for_one_content,
    a_draft_is_frozen_again_until_it_is_published,
    the_order_is_stated_and_goes_in_no_circle,
    a_patch_keeps_the_stages_of_its_parent,
    what_is_published_is_on_record_per_route,
    who_may_and_what_may_not_be,
    lists_page_through_environments,
    promotions_and_freezes_take_turns,
);

const ROUTE: &str = "count_commits";

fn freeze(app: &App, name: &str, more: Value) -> Reply {
    let mut body = json!({ "environment": "on-prem", "name": name, "reason": "test" });
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    app.post(Who::MAINTAINER, "releases", &body)
}

fn publish(app: &App, name: &str) -> Reply {
    let path = format!("releases/on-prem/{name}/publish");
    app.post(Who::MAINTAINER, &path, &json!({ "reason": "out" }))
}

fn delete(app: &App, name: &str) -> Reply {
    let path = format!("releases/on-prem/{name}");
    app.request("DELETE", &path).by(Who::MAINTAINER).send()
}

fn manifest_text(app: &App, name: &str) -> String {
    let path = format!("releases/on-prem/{name}/manifest");
    app.get(&path).expect(200).body
}

fn manifest(app: &App, name: &str) -> Manifest {
    let keys = app.manifest_keys().public();
    Manifest::verify(&manifest_text(app, name), &keys).unwrap()
}

fn stage(app: &App, name: &str) -> Option<Stage> {
    let table = Arc::clone(manifest(app, name).table());
    table.rollout(ROUTE).map(|found| found.stage)
}

/// One stage further everywhere.
fn advance(app: &App, to: &str) {
    for environment in ["dev", "staging", "production", "on-prem"] {
        app.promote(Who::MAINTAINER, ROUTE, environment, to)
            .expect(201);
    }
}

/// A process of a build with this manifest and these variables, and nothing else.
fn build(manifest: &str, keys: &[ManifestKey], variables: &[(&str, &str)]) -> Client {
    let overrides: Overrides = variables.iter().copied().collect();
    let mut builder = Client::builder().manifest(manifest).overrides(overrides);
    for key in keys {
        builder = builder.manifest_key(key.to_string());
    }
    builder.start().unwrap()
}

fn decides(client: &Client) -> (Path, Reason, Option<Source>) {
    let decision = client.route(ROUTE).decide("key");
    (decision.path, decision.reason, decision.source)
}

/// Also when the draft was deleted: somebody may have its manifest.
fn a_build_number_stands_for_one_content(engine: Engine) {
    let app = App::start(engine);
    app.route(ROUTE);
    for (name, build) in [("12.0", 1), ("12.0", 2), ("12.1", 1)] {
        let made = freeze(&app, name, json!({})).expect(201).json();
        assert_eq!(made["build"], build);
    }
    delete(&app, "12.0").expect(204);
    advance(&app, "opt_in");
    assert_eq!(
        freeze(&app, "12.0", json!({})).expect(201).json()["build"],
        3
    );
    delete(&app, "12.0").expect(204);
    assert_eq!(
        freeze(&app, "12.0", json!({})).expect(201).json()["build"],
        4
    );
    assert_eq!(manifest(&app, "12.0").head().build, 4);
    publish(&app, "12.0").expect(200);
    assert_eq!(
        freeze(&app, "12.1", json!({})).expect(201).json()["build"],
        2
    );
}

fn a_draft_is_frozen_again_until_it_is_published(engine: Engine) {
    let app = App::start(engine);
    app.route(ROUTE);
    let first = freeze(&app, "12.0", json!({})).expect(201);
    let made = first.json();
    assert_eq!(
        (&made["build"], &made["state"]),
        (&json!(1), &json!("draft"))
    );
    assert_eq!((&made["routes"], &made["after"]), (&json!(1), &Value::Null));
    assert_eq!(stage(&app, "12.0"), Some(Stage::ReadyForTesting));
    let before = manifest_text(&app, "12.0");

    advance(&app, "opt_in");
    assert_eq!(manifest_text(&app, "12.0"), before, "frozen");
    app.advance(Duration::hours(1));
    let again = freeze(&app, "12.0", json!({})).expect(201);
    assert_eq!(again.json()["build"], 2);
    assert_ne!(again.etag(), first.etag());
    assert_ne!(again.json()["digest"], made["digest"]);
    assert_eq!(stage(&app, "12.0"), Some(Stage::OptIn));
    assert_eq!(manifest(&app, "12.0").head().build, 2);

    let path = "releases/on-prem/12.0";
    assert_eq!(app.get(path).expect(200).etag(), again.etag());
    let publish_as_seen = |etag: &str| {
        let request = app.request("POST", &format!("{path}/publish"));
        let request = request.by(Who::MAINTAINER).header("if-match", etag);
        request.json(&json!({ "reason": "out" })).send()
    };
    assert_eq!(
        publish_as_seen(&first.etag()).code(412),
        "precondition_failed"
    );
    let published = publish_as_seen(&again.etag()).expect(200);
    assert_eq!(published.json()["state"], "published");
    assert_eq!(published.json()["published_by"], Who::MAINTAINER.1);
    let entries = app.audit_count();
    publish(&app, "12.0").expect(200);
    assert_eq!(app.audit_count(), entries, "published once");
    assert_eq!(freeze(&app, "12.0", json!({})).code(409), "conflict");
    assert_eq!(delete(&app, "12.0").code(409), "conflict");

    // The same file for every reader, for ever.
    let served = app.get(&format!("{path}/manifest")).expect(200);
    let seen = app.request("GET", &format!("{path}/manifest"));
    let seen = seen.by(Who::VIEWER).header("if-none-match", &served.etag());
    assert_eq!(seen.send().status, 304);
    freeze(&app, "13.0", json!({})).expect(201);
    delete(&app, "13.0").expect(204);
    assert_eq!(delete(&app, "13.0").code(404), "not_found");
    let actions = app.get("audit?environment=on-prem").json();
    let actions: Vec<&str> = actions["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .filter(|action| action.starts_with("release_"))
        .collect();
    let told = ["delete", "freeze", "publish", "freeze", "freeze"];
    assert_eq!(actions, told.map(|what| format!("release_{what}")));
    app.assert_audit_intact();
}

fn the_order_is_stated_and_goes_in_no_circle(engine: Engine) {
    let app = App::start(engine);
    app.route(ROUTE);
    let field = |reply: Reply| {
        let problem = reply.problem(422);
        problem["errors"][0]["field"].as_str().unwrap().to_owned()
    };
    assert_eq!(field(freeze(&app, "13", json!({ "after": "12" }))), "after");
    // Made in another order than they come in: no clock says which is first.
    freeze(&app, "13", json!({})).expect(201);
    app.advance(-Duration::days(1));
    freeze(&app, "12", json!({})).expect(201);
    freeze(&app, "13", json!({ "after": "12" })).expect(201);
    freeze(&app, "14", json!({ "after": "13" })).expect(201);
    assert_eq!(field(freeze(&app, "12", json!({ "after": "14" }))), "after");
    assert_eq!(field(freeze(&app, "12", json!({ "after": "12" }))), "after");
    // Frozen again, it keeps its place.
    let again = freeze(&app, "13", json!({})).expect(201).json();
    assert_eq!(
        (&again["after"], &again["build"]),
        (&json!("12"), &json!(3))
    );

    assert_eq!(publish(&app, "13").code(409), "conflict", "12 comes first");
    assert_eq!(
        delete(&app, "12").code(409),
        "conflict",
        "13 comes after it"
    );
    publish(&app, "12").expect(200);
    publish(&app, "13").expect(200);
    assert_eq!(publish(&app, "15").code(404), "not_found");
    let other = json!({ "name": "other", "kind": "on_prem", "position": 9 });
    let mut other = other.as_object().unwrap().clone();
    other.remove("name");
    other.insert("key".to_owned(), json!("edge"));
    app.post(Who::ADMIN, "environments", &Value::Object(other))
        .expect(201);
    let body = json!({ "environment": "edge", "name": "1", "after": "12", "reason": "r" });
    assert_eq!(field(app.post(Who::MAINTAINER, "releases", &body)), "after");
}

fn a_patch_keeps_the_stages_of_its_parent(engine: Engine) {
    let app = App::start(engine);
    app.route(ROUTE);
    advance(&app, "opt_in");
    let parent = freeze(&app, "12.0", json!({})).expect(201).json();
    let patch = json!({ "based_on": "12.0" });
    let problem = freeze(&app, "12.1", patch.clone()).problem(422);
    assert_eq!(problem["errors"][0]["field"], "based_on", "a draft");
    publish(&app, "12.0").expect(200);
    advance(&app, "opt_out");
    app.route("later");
    app.advance(Duration::days(7));
    let made = freeze(&app, "12.1", patch).expect(201).json();
    assert_eq!(
        (&made["based_on"], &made["after"]),
        (&json!("12.0"), &json!("12.0"))
    );
    assert_eq!(made["frozen_at"], parent["frozen_at"]);
    assert_ne!(made["built_at"], parent["built_at"]);
    assert_eq!(
        (stage(&app, "12.1"), &made["routes"]),
        (Some(Stage::OptIn), &json!(1))
    );
    let (parent, patch) = (manifest(&app, "12.0"), manifest(&app, "12.1"));
    assert!(parent.entries().eq(patch.entries()));
    assert_eq!(parent.head().frozen_at, patch.head().frozen_at);
    freeze(&app, "13.0", json!({ "after": "12.0" })).expect(201);
    assert_eq!(stage(&app, "13.0"), Some(Stage::OptOut));
    // Frozen again, a patch stays a patch.
    freeze(&app, "12.1", json!({})).expect(201);
    assert_eq!(stage(&app, "12.1"), Some(Stage::OptIn));
}

fn what_is_published_is_on_record_per_route(engine: Engine) {
    let app = App::start(engine);
    app.route(ROUTE);
    let on_prem: EnvironmentKey = "on-prem".parse().unwrap();
    let stages = || {
        let route = ROUTE.parse().unwrap();
        let read =
            |tx: &mut switchover_server::store::Tx<'_>| tx.published_stages(&route, &on_prem);
        app.services().store().read::<_, StoreError>(read).unwrap()
    };
    advance(&app, "opt_in");
    freeze(&app, "12", json!({})).expect(201);
    assert_eq!(stages(), [], "a draft has frozen nothing for good");
    app.advance(Duration::hours(1));
    publish(&app, "12").expect(200);
    advance(&app, "opt_out");
    app.advance(Duration::hours(1));
    freeze(&app, "13", json!({ "after": "12" })).expect(201);
    publish(&app, "13").expect(200);
    app.advance(Duration::hours(1));
    freeze(&app, "12.1", json!({ "based_on": "12" })).expect(201);
    publish(&app, "12.1").expect(200);
    let found = stages();
    let told: Vec<(&str, Stage)> = found
        .iter()
        .map(|frozen| (frozen.release.as_str(), frozen.stage))
        .collect();
    let expected = [
        ("12", Stage::OptIn),
        ("13", Stage::OptOut),
        ("12.1", Stage::OptIn),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        found[0].published_at - found[0].frozen_at,
        Duration::hours(1)
    );
    assert_eq!(found[2].frozen_at, found[0].frozen_at);
}

fn who_may_and_what_may_not_be(engine: Engine) {
    let app = App::start(engine);
    app.route(ROUTE);
    let before = app.database().fingerprint();
    let post = |body: &Value| app.post(Who::MAINTAINER, "releases", body);
    for (field, body) in [
        (
            "environment",
            json!({ "environment": "dev", "name": "1", "reason": "r" }),
        ),
        (
            "environment",
            json!({ "environment": "ON", "name": "1", "reason": "r" }),
        ),
        (
            "name",
            json!({ "environment": "on-prem", "name": "1/2", "reason": "r" }),
        ),
        (
            "name",
            json!({ "environment": "on-prem", "name": "", "reason": "r" }),
        ),
        (
            "after",
            json!({ "environment": "on-prem", "name": "1", "after": "-", "reason": "r" }),
        ),
        (
            "reason",
            json!({ "environment": "on-prem", "name": "1", "reason": " " }),
        ),
    ] {
        let problem = post(&body).problem(422);
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    let nowhere = json!({ "environment": "moon", "name": "1", "reason": "r" });
    assert_eq!(post(&nowhere).code(404), "not_found");
    let unsigned = json!({ "environment": "on-prem", "name": "1", "reason": "r" });
    app.sign_manifests_with(None);
    let problem = post(&unsigned).problem(409);
    assert_eq!(problem["code"], "no_manifest_key");
    assert!(problem["detail"].as_str().unwrap().contains("set one up"));
    assert_eq!(app.database().fingerprint(), before);
    let by = |who: Who| app.post(who, "releases", &unsigned).status;
    assert_eq!((by(Who::VIEWER), by(Who::OPERATOR)), (403, 403));
}

fn lists_page_through_environments(engine: Engine) {
    let app = App::start(engine);
    app.route(ROUTE);
    let edge = json!({ "key": "edge", "kind": "on_prem", "position": 9 });
    app.post(Who::ADMIN, "environments", &edge).expect(201);
    for environment in ["on-prem", "edge"] {
        for name in ["2", "10", "1"] {
            let body = json!({ "environment": environment, "name": name, "reason": "r" });
            app.post(Who::MAINTAINER, "releases", &body).expect(201);
        }
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app
            .get(&format!("releases?limit=2{cursor}"))
            .expect(200)
            .json();
        for item in page["items"].as_array().unwrap() {
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            seen.push(format!("{} {}", text("environment"), text("name")));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let all = [
        "edge 1",
        "edge 10",
        "edge 2",
        "on-prem 1",
        "on-prem 10",
        "on-prem 2",
    ];
    assert_eq!(seen, all);
    let edge = app.get("releases?environment=edge").expect(200).json();
    assert_eq!(edge["items"].as_array().unwrap().len(), 3);
    for wrong in ["releases?cursor=eA", "releases?limit=0", "releases?x=1"] {
        assert_eq!(app.get(wrong).status, 400, "{wrong}");
    }
}

/// Whatever comes first, a manifest shows a state that the environment was in.
fn promotions_and_freezes_take_turns(engine: Engine) {
    let app = App::start(engine);
    let routes: Vec<String> = (0..8).map(|n| format!("route_{n}")).collect();
    for route in &routes {
        app.route_with(route, json!({}));
        app.bring(route, &["dev", "staging", "production"], "opt_in");
    }
    std::thread::scope(|scope| {
        let (app, routes) = (&app, &routes);
        scope.spawn(move || {
            for route in routes {
                app.promote(Who::MAINTAINER, route, "on-prem", "opt_in")
                    .expect(201);
            }
        });
        for _ in 0..10 {
            freeze(app, "12", json!({})).expect(201);
            let manifest = manifest(app, "12");
            let stage = |route: &String| manifest.table().rollout(route).unwrap().stage;
            let promoted = routes
                .iter()
                .take_while(|route| stage(route) == Stage::OptIn);
            let promoted = promoted.count();
            let rest = routes.iter().skip(promoted);
            assert!(rest.map(stage).all(|stage| stage == Stage::ReadyForTesting));
        }
    });
}

/// The whole way: the server signs, a build embeds, an installation without a network decides.
#[test]
fn a_build_decides_by_its_manifest_and_its_variables_alone() {
    let app = App::start(Engine::Sqlite);
    app.route_with(ROUTE, json!({ "flag": "GITALY_COUNT_COMMITS" }));
    let keys = app.manifest_keys().public();
    let texts: Vec<String> = ["opt_in", "opt_out", "mandatory"]
        .into_iter()
        .map(|to| {
            advance(&app, to);
            freeze(&app, to, json!({})).expect(201);
            manifest_text(&app, to)
        })
        .collect();
    app.stop();
    let (on, off) = (("GITALY_COUNT_COMMITS", "1"), ("GITALY_COUNT_COMMITS", "0"));
    let all = ("GITALY_FEATURE_DEFAULT_ON", "1");
    let cases = [
        (0, vec![], Path::Old, Reason::DefaultOff),
        (0, vec![all], Path::New, Reason::EnvDefaultOn),
        (0, vec![on], Path::New, Reason::EnvOn),
        (0, vec![all, off], Path::Old, Reason::EnvOff),
        (1, vec![], Path::New, Reason::DefaultOn),
        (1, vec![off], Path::Old, Reason::EnvOff),
        (2, vec![], Path::New, Reason::Mandatory),
        (2, vec![off], Path::New, Reason::Mandatory),
    ];
    for (release, variables, path, reason) in cases {
        let client = build(&texts[release], &keys, &variables);
        let expected = (path, reason, Some(Source::Bundled));
        assert_eq!(decides(&client), expected, "{release} {variables:?}");
        assert_eq!(client.status().environment.as_deref(), Some("on-prem"));
    }
}

/// A new key signs beside the old one until all builds pin it, and then the old one is retired.
#[test]
fn keys_rotate_with_an_overlap() {
    let app = App::start(Engine::Sqlite);
    app.route(ROUTE);
    advance(&app, "opt_in");
    let old = app.manifest_keys();
    freeze(&app, "12", json!({})).expect(201);
    let both = old.with_new().unwrap();
    app.sign_manifests_with(Some(&both.to_pem()));
    freeze(&app, "13", json!({})).expect(201);
    let new = both.without(&old.public()[0].id()).unwrap();
    app.sign_manifests_with(Some(&new.to_pem()));
    freeze(&app, "14", json!({})).expect(201);

    let accepts = |release: &str, pinned: &[ManifestKey]| {
        let client = build(&manifest_text(&app, release), pinned, &[]);
        match client.status().manifest {
            ManifestStatus::Accepted { release: name, .. } => {
                assert_eq!(name.as_str(), release);
                assert_eq!(decides(&client).2, Some(Source::Bundled));
                true
            }
            ManifestStatus::Refused(ManifestError::NotSigned { .. }) => {
                // What the code says is left, and here it says nothing.
                assert_eq!(decides(&client), (Path::Old, Reason::UnknownRoute, None));
                false
            }
            other => panic!("{other:?}"),
        }
    };
    let (old, new, both) = (old.public(), new.public(), both.public());
    let table = [("12", true, false), ("13", true, true), ("14", false, true)];
    for (release, by_old, by_new) in table {
        assert_eq!(accepts(release, &old), by_old, "{release}");
        assert_eq!(accepts(release, &new), by_new, "{release}");
        assert!(accepts(release, &both), "{release}");
    }
}
