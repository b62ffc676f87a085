//! Runbooks kept here, and what promotions wait for outside.

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, on_both_engines};

on_both_engines!(
    a_runbook_is_kept_as_it_was_sent,
    a_runbook_is_bounded,
    only_its_owner_confirms_it,
    what_is_waited_for_is_bounded,
);

const GOOD: &str = "# GITALY_A\n\n`switchover halt a production --reason …`\n";

fn put(app: &App, who: Who, query: &str, text: impl Into<Vec<u8>>) -> Reply {
    let request = app
        .request("PUT", &format!("routes/a/runbook{query}"))
        .by(who);
    let request = request.header("content-type", "text/markdown; charset=utf-8");
    request.body(text).send()
}

fn delete(app: &App, who: Who, path: &str) -> Reply {
    app.request("DELETE", path).by(who).send()
}

fn a_runbook_is_kept_as_it_was_sent(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "flag": "GITALY_A" }));
    assert_eq!(app.get("routes/a/runbook").code(404), "not_found");
    let refused = put(&app, Who::OPERATOR, "", GOOD).problem(422);
    assert_eq!(refused["errors"][0]["field"], "reason");
    let kept = put(&app, Who::OPERATOR, "?reason=first", "see GITALY_AB").expect(200);
    assert_eq!(kept.json()["lacks"].as_array().unwrap().len(), 2);
    app.advance(chrono::Duration::minutes(1));
    let kept = put(&app, Who::OPERATOR, "?reason=better", GOOD).expect(200);
    assert_eq!(kept.json()["lacks"], json!([]));
    assert_eq!(kept.json()["put_by"], Who::OPERATOR.1);
    let shown = app.get("routes/a/runbook").expect(200);
    assert_eq!(shown.body, GOOD);
    assert_eq!(
        shown.header("content-type"),
        Some("text/markdown; charset=utf-8")
    );
    assert_eq!(shown.etag(), kept.etag());
    let ask = |name: &str, value: &str| {
        let request = app.request("GET", "routes/a/runbook").by(Who::VIEWER);
        request.header(name, value).send()
    };
    assert_eq!(ask("accept", "application/json").json(), kept.json());
    assert_eq!(ask("if-none-match", &kept.etag()).status, 304);

    // The same again is no change; another must know what it replaces, if it says what it saw.
    let entries = app.audit_count();
    put(&app, Who::OPERATOR, "?reason=again", GOOD).expect(200);
    assert_eq!(app.audit_count(), entries);
    let stale = app
        .request("PUT", "routes/a/runbook?reason=r")
        .by(Who::OPERATOR)
        .header("content-type", "text/markdown")
        .header("if-match", "\"other\"")
        .body("x")
        .send();
    assert_eq!(stale.problem(412)["etag"], kept.etag());
    assert_eq!(
        put(&app, Who::VIEWER, "?reason=r", GOOD).code(403),
        "forbidden"
    );
    assert_eq!(
        delete(&app, Who::OPERATOR, "routes/a/runbook").code(422),
        "invalid"
    );
    delete(&app, Who::OPERATOR, "routes/a/runbook?reason=moved").expect(204);
    let again = delete(&app, Who::OPERATOR, "routes/a/runbook?reason=moved");
    assert_eq!(again.code(404), "not_found");
    let history = app.get("routes/a/history").json().to_string();
    for said in ["runbook_put", "runbook_remove", "first", "moved", "sha256"] {
        assert!(history.contains(said), "{said}");
    }
    app.assert_audit_intact();
}

fn a_runbook_is_bounded(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let largest = "ä".repeat(128 * 1024);
    put(&app, Who::OPERATOR, "?reason=r", largest.clone()).expect(200);
    assert_eq!(app.get("routes/a/runbook").body, largest);
    for (text, status) in [
        (format!("{largest}a").into_bytes(), 413),
        (b"\xff\xfe".to_vec(), 400),
        (b"a\x1b[2J".to_vec(), 422),
        (b"a\0b".to_vec(), 422),
        (b" \n".to_vec(), 422),
        (Vec::new(), 422),
    ] {
        put(&app, Who::OPERATOR, "?reason=r", text).problem(status);
    }
    let as_json = app.put(Who::OPERATOR, "routes/a/runbook?reason=r", &json!("x"));
    assert_eq!(as_json.code(415), "unsupported_media_type");
    assert!(as_json.body.contains("text/markdown"), "{}", as_json.body);
    for path in ["routes/none/runbook", "routes/A%00/runbook"] {
        assert_eq!(app.get(path).code(404), "not_found");
    }
    let unknown = put(&app, Who::OPERATOR, "?reason=r&why=x", GOOD);
    assert_eq!(unknown.code(400), "malformed_request");
}

const DBA: Who = Who(
    switchover_server::domain::actor::Role::Viewer,
    "dba@example.com",
);

fn state(app: &App, who: Who, owner: &str, stage: Value, description: &str) -> Reply {
    let body = json!({ "owner": owner, "description": description, "stage": stage, "reason": "r" });
    app.put(who, "routes/a/externals/replica", &body)
}

fn only_its_owner_confirms_it(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let room = "the replica has room";
    let stated = state(&app, Who::OPERATOR, DBA.1, json!("opt_in"), room).expect(200);
    assert_eq!(stated.json()["confirmed"], Value::Null);
    assert_eq!(stated.etag(), app.get("routes/a/externals/replica").etag());
    let path = "routes/a/externals/replica/confirmation";
    let confirm = |who: Who| app.post(who, path, &json!({ "comment": "200 GB" }));
    for other in [Who::VIEWER, Who::OPERATOR, Who::MAINTAINER] {
        assert_eq!(confirm(other).code(403), "forbidden");
        let withdrawn = delete(&app, other, &format!("{path}?reason=r"));
        assert_eq!(withdrawn.code(403), "forbidden");
    }
    let confirmed = confirm(DBA).expect(200).json()["confirmed"].clone();
    assert_eq!(confirmed["by"], DBA.1);
    assert_eq!(confirmed["for_owner"], false);
    assert_eq!(confirmed["comment"], "200 GB");
    let now = || app.get("routes/a/externals").json()["items"][0]["confirmed"].clone();
    assert_eq!(now(), confirmed);

    // More may wait for it; for less, or for another's word, it takes a maintainer.
    state(&app, Who::OPERATOR, DBA.1, Value::Null, room).expect(200);
    assert_eq!(now(), confirmed);
    let fewer = state(&app, Who::OPERATOR, DBA.1, json!("mandatory"), room);
    assert_eq!(fewer.code(403), "forbidden");
    let own = state(&app, Who::OPERATOR, Who::OPERATOR.1, Value::Null, room);
    assert_eq!(own.problem(403)["needs"], "maintainer");
    assert_eq!(now(), confirmed);
    state(&app, Who::OPERATOR, DBA.1, Value::Null, "another").expect(200);
    assert_eq!(now(), Value::Null, "another text is confirmed anew");

    assert_eq!(
        confirm(Who::ADMIN).expect(200).json()["confirmed"]["for_owner"],
        true
    );
    delete(&app, DBA, &format!("{path}?reason=full")).expect(200);
    assert_eq!(now(), Value::Null);
    confirm(DBA).expect(200);
    let changed = state(
        &app,
        Who::MAINTAINER,
        "other@example.com",
        Value::Null,
        "another",
    );
    assert_eq!(changed.expect(200).json()["confirmed"], Value::Null);

    let seen = app
        .request("PUT", "routes/a/externals/replica")
        .by(Who::MAINTAINER)
        .header("if-match", &stated.etag())
        .json(&json!({ "owner": "o", "description": "d", "reason": "r" }))
        .send();
    assert_eq!(seen.code(412), "precondition_failed");
    let remove = "routes/a/externals/replica?reason=gone";
    assert_eq!(delete(&app, Who::OPERATOR, remove).code(403), "forbidden");
    delete(&app, Who::MAINTAINER, remove).expect(204);
    assert_eq!(delete(&app, Who::MAINTAINER, remove).code(404), "not_found");
    assert_eq!(app.get("routes/a/externals").json()["items"], json!([]));
    let history = app.get("routes/a/history?limit=100").json().to_string();
    for action in [
        "external_put",
        "external_confirm",
        "external_confirm_for_owner",
        "external_withdraw",
        "external_remove",
    ] {
        assert!(history.contains(&format!("\"{action}\"")), "{action}");
    }
    app.assert_audit_intact();
}

fn what_is_waited_for_is_bounded(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let body = |owner: &str, stage: &str| json!({ "owner": owner, "description": "d", "stage": stage, "reason": "r" });
    let put = |name: &str, body: &Value| {
        app.put(Who::OPERATOR, &format!("routes/a/externals/{name}"), body)
    };
    for (name, body, field) in [
        ("A", body("o", "opt_in"), "name"),
        ("%20", body("o", "opt_in"), "name"),
        ("x", body("", "opt_in"), "owner"),
        ("x", body(&"o".repeat(201), "opt_in"), "owner"),
        ("x", body("o", "ready_for_testing"), "stage"),
    ] {
        assert_eq!(put(name, &body).problem(422)["errors"][0]["field"], field);
    }
    for number in 0..32 {
        put(&format!("x{number}"), &body("o", "opt_in")).expect(200);
    }
    assert_eq!(put("more", &body("o", "opt_in")).code(409), "conflict");
    put("x1", &body("o", "opt_in")).expect(200);
    let missing = app.post(DBA, "routes/a/externals/none/confirmation", &json!({}));
    assert_eq!(missing.code(404), "not_found");
    let elsewhere = app.put(
        Who::OPERATOR,
        "routes/none/externals/x",
        &body("o", "opt_in"),
    );
    assert_eq!(elsewhere.code(404), "not_found");
}
