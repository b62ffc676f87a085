//! Requests and their answers: statuses, forms, headers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ALL, ONE, Ofrep};
use crate::support::{Engine, Reply, Who, on_both_engines};

on_both_engines!(every_request_has_its_answer);

/// What an error must look like. Clients in some languages fail on one that lacks a field, and tell of
/// that instead.
#[track_caller]
fn assert_failure(what: &str, reply: &Reply, (status, code): (u16, &str), flag: Option<&str>) {
    assert_eq!(reply.status, status, "{what}: {}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let failure = reply.json();
    assert_eq!(failure["errorCode"], code, "{what}: {failure}");
    let details = failure["errorDetails"].as_str().unwrap();
    assert!(details.len() > 15, "{what} says too little: {details}");
    assert_eq!(failure["key"].as_str(), flag, "{what}: {failure}");
    let is_unauthenticated = status == 401;
    assert_eq!(
        reply.header("www-authenticate").is_some(),
        is_unauthenticated,
        "{what}"
    );
}

fn every_request_has_its_answer(engine: Engine) {
    let ofrep = Ofrep::start(engine);
    let app = &ofrep.app;
    app.route("count_commits");
    app.route_with("unready", json!({ "preparation": {} }));
    let (bearer, admin) = (
        format!("Bearer {}", ofrep.key),
        format!("Bearer {}", Who::ADMIN.token()),
    );
    let key = ("x-api-key", ofrep.key.as_str());
    let json_type = ("content-type", "application/json");
    let charset = ("content-type", "application/json; charset=utf-8");
    let large = format!(r#"{{"context":{{"x":"{}"}}}}"#, "x".repeat(64 * 1024));
    let deep = format!(
        r#"{{"context":{{"x":{}{}}}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let ok = (200, "");
    let (parse, context) = ((400, "PARSE_ERROR"), (400, "INVALID_CONTEXT"));
    let (unknown, denied) = ((404, "FLAG_NOT_FOUND"), (401, "GENERAL"));
    type Headers<'a> = &'a [(&'a str, &'a str)];
    // What it is about, the flag, headers, the body; the status and its code.
    type Case<'a> = (&'a str, &'a str, Headers<'a>, &'a str, (u16, &'a str));
    let table: &[Case<'_>] = &[
        (
            "bearer",
            "count_commits",
            &[("authorization", &bearer)],
            "",
            ok,
        ),
        (
            "its case",
            "count_commits",
            &[("authorization", &bearer.replace("Bearer", "bEARER"))],
            "",
            ok,
        ),
        ("own header", "count_commits", &[key], "", ok),
        (
            "a proxy's header beside it",
            "count_commits",
            &[key, ("authorization", "Basic Og==")],
            "",
            ok,
        ),
        ("text", "count_commits.path", &[key, json_type], "{}", ok),
        ("charset", "count_commits", &[key, charset], "{}", ok),
        (
            "more than is read",
            "count_commits",
            &[key, json_type],
            r#"{"context":{"targetingKey":"k","a":[1,{"b":null}]},"more":1}"#,
            ok,
        ),
        ("deep", "count_commits", &[key, json_type], &deep, ok),
        (
            "number",
            "count_commits",
            &[key, json_type],
            r#"{"context":{"targetingKey":42}}"#,
            ok,
        ),
        ("no credentials", "count_commits", &[], "", denied),
        (
            "another scheme",
            "count_commits",
            &[("authorization", "Basic Og==")],
            "",
            denied,
        ),
        (
            "a person's token",
            "count_commits",
            &[("authorization", &admin)],
            "",
            denied,
        ),
        (
            "a wrong key",
            "count_commits",
            &[("x-api-key", "swk_wrong")],
            "",
            denied,
        ),
        (
            "a wrong own header",
            "count_commits",
            &[("x-api-key", ""), ("authorization", &bearer)],
            "",
            denied,
        ),
        ("unknown before denied", "nothing", &[], "", denied),
        ("unknown", "nothing", &[key], "", unknown),
        ("unready", "unready", &[key], "", unknown),
        ("no flag", "", &[key], "", unknown),
        ("another form", "count_commits.other", &[key], "", unknown),
        ("a path", "a/b.path", &[key], "", unknown),
        ("upper case", "COUNT_COMMITS", &[key], "", unknown),
        ("not JSON", "count_commits", &[key, json_type], "{", parse),
        ("a list", "count_commits", &[key, json_type], "[{}]", parse),
        (
            "text for a body",
            "count_commits",
            &[key, json_type],
            r#""x""#,
            parse,
        ),
        (
            "a form",
            "count_commits",
            &[key, ("content-type", "application/x-www-form-urlencoded")],
            "{}",
            parse,
        ),
        ("no type", "count_commits", &[key], "{}", parse),
        (
            "a list for a context",
            "count_commits",
            &[key, json_type],
            r#"{"context":[]}"#,
            context,
        ),
        (
            "a list for a key",
            "count_commits",
            &[key, json_type],
            r#"{"context":{"targetingKey":["a"]}}"#,
            context,
        ),
        (
            "a fraction",
            "count_commits",
            &[key, json_type],
            r#"{"context":{"targetingKey":1.5}}"#,
            context,
        ),
        (
            "half a character",
            "count_commits",
            &[key, json_type],
            r#"{"context":{"targetingKey":"\ud800"}}"#,
            context,
        ),
        (
            "too large",
            "count_commits",
            &[key, json_type],
            &large,
            (413, "GENERAL"),
        ),
    ];
    let before = app.database().fingerprint();
    for (what, flag, headers, body, expected) in table {
        let send = |path: &str| {
            let request = app.request("POST", path).header("connection", "close");
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(name, value)
            });
            request.body(*body).send()
        };
        let one = send(&format!("{ONE}{flag}"));
        let all = send(ALL);
        if *expected == ok {
            assert_eq!(one.expect(200).json()["key"], *flag, "{what}");
        } else {
            assert_failure(what, &one, *expected, Some(flag));
        }
        if [200, 404].contains(&expected.0) {
            let all = all.expect(200);
            assert_eq!(all.header("content-type"), Some("application/json"));
            assert!(all.header("etag").is_some_and(|tag| tag.starts_with('"')));
            assert!(all.json()["flags"].is_array(), "{what}");
        } else {
            assert_failure(what, &all, *expected, None);
        }
    }
    assert_eq!(app.database().fingerprint(), before, "nothing has changed");
}

/// A key of another environment sees what is decided there.
#[test]
fn a_key_reads_its_environment_alone() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    ofrep
        .app
        .set("a", "dev", json!({ "mode": "on" }))
        .expect(200);
    let staging = ofrep.app.sdk_key("staging");
    let of = |key: &str| {
        let request = ofrep.app.request("POST", &format!("{ONE}a"));
        request.bearer(key).send().expect(200).json()
    };
    let (dev, staging) = (of(&ofrep.key), of(&staging));
    assert_eq!(
        (&dev["value"], &staging["value"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(dev["metadata"]["environment"], "dev");
    assert_eq!(staging["metadata"]["environment"], "staging");
}

/// A name in the address is read as it is meant, and shown as it was sent.
#[test]
fn a_flag_may_be_percent_encoded() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a_b");
    assert_eq!(ofrep.one("%61%5Fb%2Epath", None)["key"], "a_b.path");
    let unknown = ofrep.post(&format!("{ONE}%C3%A9%22"), &json!({}));
    assert_failure("encoded", &unknown, (404, "FLAG_NOT_FOUND"), Some("é\""));
}

/// The path that a retired route had is gone for good, and so is the question.
#[test]
fn a_mandatory_and_a_retired_route_are_new_for_everybody() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    let app = &ofrep.app;
    app.route("a");
    app.bring(
        "a",
        &["dev", "staging", "production", "on-prem"],
        "mandatory",
    );
    let assert_new = || {
        let answer = ofrep.one("a", None);
        assert_eq!(
            (&answer["value"], &answer["reason"]),
            (&json!(true), &json!("STATIC"))
        );
        assert_eq!(answer["metadata"]["stage"], "mandatory");
    };
    assert_new();
    app.scanned(&["a"]);
    let body = json!({ "reason": "done" });
    app.post(Who::MAINTAINER, "routes/a/retire", &body)
        .expect(200);
    assert_new();
}

#[test]
fn a_revoked_key_is_refused() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    ofrep.one("a", None);
    let stream = ofrep.stream();
    let keys = ofrep
        .app
        .request("GET", "sdk-keys")
        .by(Who::MAINTAINER)
        .send();
    let id = keys.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let revoke = ofrep.app.request("DELETE", &format!("sdk-keys/{id}"));
    revoke.by(Who::MAINTAINER).send().expect(204);
    let denied = (401, "GENERAL");
    let one = ofrep.post(&format!("{ONE}a"), &json!({}));
    assert_failure("one", &one, denied, Some("a"));
    assert_failure("all", &ofrep.post(ALL, &json!({})), denied, None);
    let stream = ofrep.app.request("GET", &stream).send();
    assert_failure("stream", &stream, denied, None);
}

/// Whatever a body is, the answer is one that clients read, and it is not the server that fails.
#[test]
fn no_body_is_too_odd() {
    let ofrep = Ofrep::start(Engine::Sqlite);
    ofrep.app.route("a");
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"context\"",
        "\"targetingKey\"",
        "null",
        "true",
        "1",
        "-",
        "1e999",
        "\"a\"",
        "\\u0000",
        "\\ud83d",
        " ",
        "\n",
        "\0",
        "é",
        "\u{FEFF}",
    ]);
    let bodies = prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat());
    let framed = bodies
        .clone()
        .prop_map(|body| format!(r#"{{"context":{{"targetingKey":{body}}}}}"#));
    let any = prop_oneof![
        bodies.prop_map(String::into_bytes),
        framed.prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..64),
    ];
    proptest!(ProptestConfig::with_cases(300), |(body in any)| {
        let request = ofrep.app.request("POST", &format!("{ONE}a")).bearer(&ofrep.key);
        let reply = request.header("content-type", "application/json").body(body).send();
        let answer: Value = reply.json();
        match reply.status {
            200 => prop_assert!(answer["value"].is_boolean()),
            400 => prop_assert!(answer["errorCode"].is_string() && answer["errorDetails"].is_string()),
            other => prop_assert!(false, "{other}: {answer}"),
        }
    });
}
