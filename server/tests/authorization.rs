//! Who may do what: every operation refuses whoever lacks its role.

use std::time::Duration;

use serde_json::json;
use switchover_server::domain::actor::Role;

use crate::openapi::operations;
use crate::support::{App, Engine, Event, Who};

/// Operations that take no token. Health is for load balancers, metrics for monitors, the rest is for
/// SDKs and takes their key. This list may only become shorter.
const WITHOUT_TOKEN: [&str; 13] = [
    "GET /healthz",
    "GET /metrics",
    "GET /ofrep/v1/streams",
    "GET /readyz",
    "GET /sdk/v1/snapshot",
    "GET /sdk/v1/stream",
    "POST /ofrep/v1/evaluate/flags",
    "POST /ofrep/v1/evaluate/flags/{key}",
    "POST /sdk/v1/backfills",
    "POST /sdk/v1/backfills/{id}",
    "POST /sdk/v1/consistency",
    "POST /sdk/v1/telemetry",
    "POST /sdk/v1/writers",
];

#[test]
fn every_operation_refuses_who_may_not() {
    let app = App::start(Engine::Sqlite);
    app.route("count_commits");
    let before = app.database().fingerprint();
    let mut without = Vec::new();
    for operation in operations() {
        let name = format!("{} {}", operation.method, operation.path);
        let Some(role) = operation.role() else {
            without.push(name);
            continue;
        };
        let role: Role = role.parse().unwrap();
        let request = || {
            let request = app.request(&operation.method, &operation.address());
            if operation.body["requestBody"].is_object() {
                // A body that no operation takes: whoever is let in is told so.
                request.json(&json!("nonsense"))
            } else {
                request
            }
        };
        let nobody = request().send();
        assert_eq!(nobody.code(401), "unauthenticated", "{name}");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"), "{name}");
        for other in Role::ALL {
            // What an admin may do would be done.
            if other >= role
                && !operation.body["requestBody"].is_object()
                && operation.method != "GET"
            {
                continue;
            }
            // What is streamed does not end.
            if other >= role && operation.is_stream() {
                continue;
            }
            let reply = request().by(Who::of(other)).send();
            if other < role {
                let problem = reply.problem(403);
                assert_eq!(problem["needs"], role.name(), "{name} by {other}");
            } else {
                assert!(
                    ![401, 403].contains(&reply.status),
                    "{name} by {other}: {}",
                    reply.body
                );
            }
        }
    }
    without.sort();
    assert_eq!(without, WITHOUT_TOKEN);
    assert_eq!(app.database().fingerprint(), before);
}

/// The operations without a body, which the walk above does not carry out.
#[test]
fn orders_without_a_body_are_carried_out_for_whoever_may() {
    let app = App::start(Engine::Sqlite);
    app.route("count_commits");
    let delete = |who: Who, path: &str| app.request("DELETE", path).by(who).send();
    delete(
        Who::OPERATOR,
        "routes/count_commits/environments/dev/acceptance",
    )
    .expect(200);
    assert_eq!(
        delete(Who::MAINTAINER, "sdk-keys/none").code(404),
        "not_found"
    );
    let approval = "routes/count_commits/environments/dev/approvals/none";
    assert_eq!(delete(Who::MAINTAINER, approval).code(404), "not_found");
    for (who, path) in [
        (Who::MAINTAINER, "releases/on-prem/none"),
        (Who::OPERATOR, "censuses/on-prem/none"),
    ] {
        assert_eq!(delete(who, path).code(404), "not_found");
    }
    let plan = "routes/count_commits/plan?reason=r";
    assert_eq!(delete(Who::OPERATOR, plan).code(404), "not_found");
    app.request("POST", "audit/verify")
        .by(Who::VIEWER)
        .send()
        .expect(200);
    app.request("POST", "audit/checkpoints")
        .by(Who::OPERATOR)
        .send()
        .expect(201);
}

/// T39: an SDK's key reads one environment, and nothing of people's interface.
#[test]
fn an_sdk_key_reads_its_environment_alone() {
    let app = App::start(Engine::Sqlite);
    app.route("count_commits");
    app.set("count_commits", "dev", json!({ "mode": "on" }))
        .expect(200);
    let (dev, staging) = (app.sdk_key("dev"), app.sdk_key("staging"));
    let of = |key: &str| app.snapshot(key).expect(200).json();
    assert_eq!(of(&dev)["environment"], "dev");
    assert_eq!(of(&staging)["environment"], "staging");
    assert_eq!(of(&dev)["routes"]["count_commits"]["setting"]["mode"], "on");
    assert_ne!(
        of(&staging)["routes"]["count_commits"]["setting"]["mode"],
        "on"
    );
    for path in [
        "/sdk/v1/snapshot?environment=staging",
        "/sdk/v1/snapshot?env=staging",
    ] {
        let reply = app.request("GET", path).bearer(&dev).send();
        assert!(
            reply.status >= 400 || reply.json()["environment"] == "dev",
            "{}",
            reply.body
        );
    }
    for path in [
        "routes",
        "routes/count_commits",
        "audit",
        "sdk-keys",
        "environments",
    ] {
        assert_eq!(
            app.request("GET", path).bearer(&dev).send().code(401),
            "unauthenticated"
        );
    }
    for (path, credentials) in [
        ("/sdk/v1/snapshot", Who::ADMIN.token()),
        ("/sdk/v1/stream", Who::ADMIN.token()),
        ("/sdk/v1/snapshot", dev.to_uppercase()),
        ("/sdk/v1/snapshot", format!("{dev}x")),
        ("/sdk/v1/stream", String::new()),
    ] {
        let reply = app.request("GET", path).bearer(&credentials).send();
        assert_eq!(reply.code(401), "unauthenticated");
    }
    assert_eq!(
        app.request("GET", "/sdk/v1/snapshot").send().code(401),
        "unauthenticated"
    );
}

#[test]
fn a_revoked_sdk_key_reads_nothing_and_its_stream_ends() {
    let app = App::start(Engine::Sqlite);
    app.route("count_commits");
    let (revoked, kept) = (app.sdk_key("dev"), app.sdk_key("dev"));
    let (ending, staying) = (app.stream(&revoked, None), app.stream(&kept, None));
    let listed = app
        .request("GET", "sdk-keys")
        .by(Who::MAINTAINER)
        .send()
        .expect(200)
        .json();
    let id = listed["items"][0]["id"].as_str().unwrap();
    let delete = || {
        app.request("DELETE", &format!("sdk-keys/{id}"))
            .by(Who::MAINTAINER)
            .send()
    };
    delete().expect(204);
    let entries = app.audit_count();
    delete().expect(204);
    assert_eq!(app.audit_count(), entries, "revoked once");
    assert_eq!(app.snapshot(&revoked).code(401), "unauthenticated");
    let again = app.request("GET", "/sdk/v1/stream").bearer(&revoked).send();
    assert_eq!(again.code(401), "unauthenticated");
    ending.end(Duration::from_secs(12));
    // The other reader hears on, and beats meanwhile.
    assert_eq!(staying.event(Duration::from_secs(1)).0, "snapshot");
    assert_eq!(staying.next(Duration::from_secs(12)), Event::Comment);
    app.set("count_commits", "dev", json!({ "mode": "on" }))
        .expect(200);
    assert_eq!(staying.event(Duration::from_secs(2)).0, "delta");
}

/// A revocation holds on the node that hears of it at once, and on the others within seconds.
#[test]
fn a_revoked_token_is_void_on_every_node() {
    let app = App::start(Engine::Postgres);
    let other = App::over(app.database().clone());
    let leaver = Who(Role::Operator, "leaver@example.com").token();
    let ask = |app: &App| app.request("GET", "routes").bearer(&leaver).send().status;
    assert_eq!((ask(&app), ask(&other)), (200, 200));
    let payload = leaver.split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
    let claims: serde_json::Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    let revocation = json!({ "jti": claims["jti"], "reason": "left" });
    app.post(Who::ADMIN, "tokens/revocations", &revocation)
        .expect(201);
    assert_eq!(ask(&app), 401);
    crate::support::eventually("void elsewhere", Duration::from_secs(2), || {
        (ask(&other) == 401).then_some(())
    });
    assert_eq!(app.get("routes").status, 200);
}
