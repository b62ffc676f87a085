//! Censuses: the latest of each site counts.

use chrono::Duration;
use serde_json::{Value, json};
use switchover_server::domain::census::MOST_OVERRIDES;
use switchover_server::domain::environment::EnvironmentKey;
use switchover_server::store::StoreError;

use crate::support::{App, Engine, Reply, Who, on_both_engines};

on_both_engines!(
    the_latest_census_of_a_site_counts,
    what_is_no_census_is_refused
);

fn census(site: &str, taken_at: &str, overrides: Value) -> Value {
    json!({
        "environment": "on-prem",
        "site": site,
        "release": "17.5.0",
        "taken_at": taken_at,
        "overrides": overrides,
        "reason": "quarterly round",
    })
}

fn import(app: &App, census: &Value) -> Reply {
    app.post(Who::OPERATOR, "censuses", census)
}

fn the_latest_census_of_a_site_counts(engine: Engine) {
    let app = App::start(engine);
    let on = json!({ "GITALY_BLAME": true, "GITALY_FEATURE_DEFAULT_ON": true });
    let off = json!({ "GITALY_BLAME": false });
    let first = census("acme", "2026-01-01T00:00:00.1234567Z", on.clone());
    import(&app, &first).expect(201);
    let entries = app.audit_count();
    let again = import(&app, &first).expect(201).json();
    assert_eq!(again["taken_at"], "2026-01-01T00:00:00.123456Z");
    assert_eq!(app.audit_count(), entries, "imported once");
    import(&app, &census("acme", "2026-01-02T00:00:00Z", off.clone())).expect(201);
    for late in ["2026-01-01T12:00:00Z", "2026-01-02T00:00:00Z"] {
        let refused = import(&app, &census("acme", late, on.clone()));
        assert_eq!(refused.code(409), "conflict", "{late}");
    }
    import(&app, &census("bold", "2025-12-01T00:00:00Z", on.clone())).expect(201);
    let mut hosted = census("web-1", "2026-01-02T00:00:00Z", json!({}));
    hosted["environment"] = json!("production");
    hosted["ignored"] = json!(["GITALY_BLAME"]);
    import(&app, &hosted).expect(201);

    let facts = |environment: &str| {
        let environment: EnvironmentKey = environment.parse().unwrap();
        let store = app.services().store();
        let found = store.read::<_, StoreError>(|tx| tx.censuses(&environment));
        let found = found.unwrap().into_iter();
        let told = found.map(|census| {
            let overrides = serde_json::to_value(&census.overrides).unwrap();
            (census.site.to_string(), overrides)
        });
        told.collect::<Vec<_>>()
    };
    let expected = [("acme".to_owned(), off), ("bold".to_owned(), on)];
    assert_eq!(facts("on-prem"), expected);
    assert_eq!(facts("production"), [("web-1".to_owned(), json!({}))]);
    assert_eq!(facts("dev"), []);

    let page = app
        .get("censuses?environment=on-prem&limit=1")
        .expect(200)
        .json();
    assert_eq!(page["items"][0]["site"], "acme");
    let next = page["next_cursor"].as_str().unwrap();
    let page = app
        .get(&format!("censuses?cursor={next}"))
        .expect(200)
        .json();
    let sites: Vec<&Value> = page["items"].as_array().unwrap().iter().collect();
    assert_eq!(sites.len(), 2);
    assert_eq!(
        (&sites[0]["site"], &sites[1]["ignored"][0]),
        (&json!("bold"), &json!("GITALY_BLAME"))
    );

    let delete = || {
        let request = app.request("DELETE", "censuses/on-prem/acme");
        request.by(Who::OPERATOR).send()
    };
    delete().expect(204);
    assert_eq!(delete().code(404), "not_found");
    import(&app, &first).expect(201);
    app.assert_audit_intact();
}

fn what_is_no_census_is_refused(engine: Engine) {
    let app = App::start(engine);
    let good = census("acme", "2026-01-01T00:00:00Z", json!({}));
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        import(&app, &body)
    };
    let future = (app.services().now() + Duration::hours(25)).to_rfc3339();
    for (field, value) in [
        ("site", json!("a/b")),
        ("site", json!("")),
        ("environment", json!("On")),
        ("release", json!("1 2")),
        ("taken_at", json!(future)),
        ("taken_at", json!("-9999-01-01T00:00:00Z")),
        ("reason", json!("")),
    ] {
        let reply = with(field, value.clone());
        if reply.status == 400 && field == "taken_at" {
            continue;
        }
        let problem = reply.problem(422);
        assert_eq!(problem["errors"][0]["field"], field, "{value}");
    }
    for (field, value) in [
        ("overrides", json!({ "gitaly": true })),
        ("overrides", json!({ "GITALY_BLAME": "secret" })),
        ("overrides", json!(["GITALY_BLAME"])),
        ("ignored", json!(["a b"])),
        ("taken_at", json!("yesterday")),
        ("more", json!(1)),
    ] {
        assert_eq!(with(field, value.clone()).status, 400, "{field} {value}");
    }
    assert_eq!(with("environment", json!("moon")).code(404), "not_found");
    let mut both = good.clone();
    both["overrides"] = json!({ "GITALY_BLAME": true });
    both["ignored"] = json!(["GITALY_BLAME"]);
    assert_eq!(import(&app, &both).code(422), "invalid");
    let many: serde_json::Map<String, Value> = (0..=MOST_OVERRIDES)
        .map(|n| (format!("GITALY_{n}"), json!(true)))
        .collect();
    assert_eq!(with("overrides", Value::Object(many)).code(422), "invalid");
    assert_eq!(app.get("censuses").json()["items"], json!([]));
    for site in 0..101 {
        let one = census(&format!("site-{site}"), "2026-01-01T00:00:00Z", json!({}));
        import(&app, &one).expect(201);
    }
    let page = app.get("censuses?limit=1000").expect(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 100);
    assert!(
        page["next_cursor"].is_string(),
        "a page is bounded, a list is not"
    );
    assert_eq!(app.post(Who::VIEWER, "censuses", &good).status, 403);
}
