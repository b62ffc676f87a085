//! Bodies that can be read, with values that cannot be.

use serde_json::{Value, json};

use super::Refusals;
use crate::support::{Engine, at, on_both_engines};

on_both_engines!(values_that_cannot_be);

fn values_that_cannot_be(engine: Engine) {
    let refusals = Refusals::new(engine);
    let setting = at("count_commits", "dev", "setting");
    for percent in [
        "-0.001",
        "100.001",
        "1e3",
        "1e308",
        "0.0001",
        "12.34567",
        "\"12\"",
        "true",
        "[]",
        "{}",
        "1e999",
        "-1e-999999999",
        "99999999999999999999999999999999999999999",
    ] {
        let body = format!("{{\"mode\":\"ramp\",\"percent\":{percent},\"reason\":\"r\"}}");
        // A number so small that it is read as zero is zero.
        if percent == "-1e-999999999" {
            continue;
        }
        refusals.body("PUT", &setting, body, 400);
    }
    for body in [
        json!({ "mode": "ramp", "reason": "r" }),
        json!({ "mode": "on", "percent": 5, "reason": "r" }),
    ] {
        assert_eq!(
            refusals.json("PUT", &setting, &body, 422)["errors"][0]["field"],
            "percent"
        );
    }
    let long = "r".repeat(1_001);
    for reason in [
        "",
        "   ",
        "\n\t",
        "a\u{0}b",
        "a\u{1b}[31mb",
        "\u{7f}",
        "\u{85}",
        "a\u{202E}b",
        "a\u{202A}b",
        "a\u{2066}b",
        "a\u{2069}b",
        "a\u{200E}b",
        "a\u{200F}b",
        &long,
    ] {
        let body = json!({ "mode": "on", "reason": reason });
        let problem = refusals.json("PUT", &setting, &body, 422);
        assert_eq!(problem["errors"][0]["field"], "reason", "{reason:?}");
    }
    let cohorts = at("count_commits", "dev", "cohorts");
    let many: Vec<String> = (0..1_001).map(|key| key.to_string()).collect();
    let too_long = "é".repeat(129);
    for (include, exclude) in [
        (json!([""]), json!([])),
        (json!([too_long]), json!([])),
        (json!(many), json!([])),
        (json!([]), json!([""])),
        (json!(["k\u{0}"]), json!([])),
        (json!([]), json!(["\u{1b}[31m"])),
        (json!(["\u{85}"]), json!([])),
    ] {
        let body = json!({ "include": include, "exclude": exclude, "reason": "r" });
        refusals.json("PUT", &cohorts, &body, 422);
    }
    refusals.json(
        "PUT",
        &cohorts,
        &json!({ "include": [1], "exclude": [], "reason": "r" }),
        400,
    );
    refusals.json(
        "PUT",
        &cohorts,
        &json!({ "include": [], "reason": "r" }),
        400,
    );

    let route = |more: Value| {
        let mut body = json!({ "endpoint": "a.B/Cd", "operation": "read", "owner": "o" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let requires: Vec<String> = (0..17).map(|n| format!("r{n}")).collect();
    let labels: serde_json::Map<String, Value> =
        (0..33).map(|n| (format!("l{n}"), json!("x"))).collect();
    for (field, value) in [
        ("endpoint", json!("")),
        ("endpoint", json!("nowhere")),
        ("endpoint", json!("a.B/C\u{0}")),
        ("endpoint", json!("ä.B/C")),
        ("endpoint", json!(format!("a.B/{}", "C".repeat(200)))),
        ("key", json!("")),
        ("key", json!("Count")),
        ("key", json!("../etc/passwd")),
        ("key", json!("é")),
        ("key", json!("k\u{0}")),
        ("key", json!("k".repeat(64))),
        ("flag", json!("lower")),
        ("flag", json!("F".repeat(128))),
        ("flag", json!("A=B")),
        ("flag", json!("GITALY_FEATURE_DEFAULT_ON")),
        ("flag", json!("A_B_FEATURE_DEFAULT_ON")),
        ("owner", json!("")),
        ("owner", json!("o\u{0}")),
        ("owner", json!("o".repeat(101))),
        ("owner", json!("o\u{202E}")),
        ("policy", json!("none")),
        ("policy", json!("OPEN")),
        ("requires", json!(["missing"])),
        ("requires", json!(requires)),
        ("requires", json!(["cd"])),
        ("requires[0]", json!(["no key"])),
        ("ramp_group", json!("No Group")),
        ("labels", json!({ "a b": "x" })),
        ("labels", json!({ "": "x" })),
        ("labels", json!(labels)),
        ("labels.a", json!({ "a": "\u{0}" })),
        ("labels.a", json!({ "a": "x\u{2067}" })),
        ("contacts.a", json!({ "a": "" })),
        ("contacts.a", json!({ "a": "\u{200F}x" })),
        ("description", json!("d\u{202D}")),
        ("description", json!("d".repeat(4_001))),
        ("description", json!("d\u{0}")),
        ("links.runbook", json!({ "runbook": "javascript:alert(1)" })),
        ("links.dashboard", json!({ "dashboard": "https://" })),
        ("links.alert", json!({ "alert": "https://a b" })),
        (
            "links.issue",
            json!({ "issue": format!("https://{}", "a".repeat(2_000)) }),
        ),
    ] {
        let name = field.split(['.', '[']).next().unwrap();
        let problem = refusals.json("POST", "routes", &route(json!({ name: value })), 422);
        let named = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error["field"].as_str().unwrap().starts_with(field));
        assert!(named, "{field}: {problem}");
    }
    refusals.json("POST", "routes", &route(json!({ "requires": ["cd"] })), 422);
    let derived = json!({ "endpoint": "gitaly.Flags/FeatureDefaultOn" });
    let problem = refusals.json("POST", "routes", &route(derived), 422);
    assert_eq!(problem["errors"][0]["field"], "flag");
    refusals.json(
        "PATCH",
        "routes/count_commits",
        &json!({ "requires": ["count_commits"], "reason": "r" }),
        422,
    );
    refusals.json(
        "PATCH",
        "routes/count_commits",
        &json!({ "key": "other", "reason": "r" }),
        400,
    );
    refusals.json(
        "PATCH",
        "routes/count_commits",
        &json!({ "owner": "o\u{0}", "reason": "r" }),
        422,
    );
    refusals.json(
        "PATCH",
        "routes/count_commits",
        &json!({ "owner": "o" }),
        400,
    );

    for (body, status) in [
        (
            json!({ "key": "Env", "kind": "hosted", "position": 9 }),
            422,
        ),
        (
            json!({ "key": "e".repeat(33), "kind": "hosted", "position": 9 }),
            422,
        ),
        (
            json!({ "key": "e\u{0}", "kind": "hosted", "position": 9 }),
            422,
        ),
        (json!({ "key": "e", "kind": "cloud", "position": 9 }), 400),
        (json!({ "key": "e", "kind": "hosted", "position": -1 }), 422),
        (
            json!({ "key": "e", "kind": "hosted", "position": 1_000_001 }),
            422,
        ),
        (
            json!({ "key": "e", "kind": "hosted", "position": 99_999_999_999_u64 }),
            400,
        ),
        (
            json!({ "key": "e", "kind": "hosted", "position": 1.5 }),
            400,
        ),
        (
            json!({ "key": "e", "kind": "on_prem", "position": 9, "production": true }),
            422,
        ),
        (
            json!({ "key": "dev", "kind": "hosted", "position": 9 }),
            409,
        ),
        (json!({ "key": "e", "kind": "hosted", "position": 1 }), 409),
    ] {
        refusals.json("POST", "environments", &body, status);
    }
    refusals.json(
        "PATCH",
        "environments/dev",
        &json!({ "position": 2, "reason": "r" }),
        409,
    );
    refusals.json(
        "PATCH",
        "environments/on-prem",
        &json!({ "production": true, "reason": "r" }),
        422,
    );

    for (field, year) in [
        ("until", "+10000-01-01T00:00:00Z"),
        ("until", "9999-12-31T23:59:59-01:00"),
        ("from", "+262142-12-31T23:59:59Z"),
        ("from", "1969-12-31T23:59:59Z"),
    ] {
        let mut body = json!({ "reason": "r" });
        body[field] = json!(year);
        let refused = refusals.json("POST", "freezes", &body, 422);
        assert_eq!(refused["errors"][0]["field"], field);
    }
    let window = at("count_commits", "dev", "acceptance");
    for (body, status) in [
        (
            json!({ "until": "2026-01-05T09:59:59Z", "percent": 5, "reason": "r" }),
            422,
        ),
        (
            json!({ "until": "2026-03-05T10:00:00Z", "percent": 5, "reason": "r" }),
            422,
        ),
        (
            json!({ "until": "9999-12-31T23:59:59Z", "percent": 5, "reason": "r" }),
            422,
        ),
        (
            json!({ "until": "+262142-12-31T23:59:59Z", "percent": 5, "reason": "r" }),
            422,
        ),
        (
            json!({ "until": "-262143-01-01T00:00:00Z", "percent": 5, "reason": "r" }),
            422,
        ),
        (json!({ "until": "tomorrow", "reason": "r" }), 400),
        (json!({ "until": 1_767_700_000, "reason": "r" }), 400),
        (
            json!({ "until": "2026-01-06T00:00:00", "reason": "r" }),
            400,
        ),
        (
            json!({ "until": "2026-01-06T00:00:00Z", "percent": 101, "reason": "r" }),
            400,
        ),
        (
            json!({ "until": "2026-01-06T00:00:00Z", "cohort": [""], "reason": "r" }),
            422,
        ),
    ] {
        refusals.json("POST", &window, &body, status);
    }
    for nobody in [json!({}), json!({ "percent": 0 }), json!({ "cohort": [] })] {
        let mut body = json!({ "until": "2026-01-06T00:00:00Z", "reason": "r" });
        let fields = body.as_object_mut().unwrap();
        fields.extend(nobody.as_object().unwrap().clone());
        let problem = refusals.json("POST", &window, &body, 422);
        assert_eq!(problem["errors"][0]["field"], "percent", "{nobody}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("share above 0 or a cohort"), "{detail}");
    }
    let promotion = at("count_commits", "dev", "promotions");
    refusals.json(
        "POST",
        &promotion,
        &json!({ "to": "perpetual", "reason": "r" }),
        400,
    );
    refusals.json("POST", &promotion, &json!({ "to": 2, "reason": "r" }), 400);
    refusals.json(
        "POST",
        &promotion,
        &json!({ "to": "opt_in", "reason": " " }),
        422,
    );
    let approval = at("count_commits", "dev", "approvals");
    refusals.json(
        "POST",
        &approval,
        &json!({ "to": "opt_in", "comment": "c".repeat(1_001) }),
        422,
    );
    refusals.json(
        "POST",
        &approval,
        &json!({ "to": "opt_in", "comment": "c\u{0}" }),
        422,
    );

    for (body, status) in [
        (
            json!({ "environment": "dev", "routes": ["No"], "reason": "r" }),
            422,
        ),
        (
            json!({ "environment": "dev", "routes": ["missing"], "reason": "r" }),
            404,
        ),
        (
            json!({ "environment": "dev", "routes": [], "reason": "r" }),
            422,
        ),
        (
            json!({ "environment": "dev", "owner": "gitaly", "routes": [], "reason": "r" }),
            422,
        ),
        (
            json!({ "environment": "dev", "routes": null, "reason": "r" }),
            400,
        ),
        (
            json!({ "environment": "dev", "owner": "gitlay", "reason": "r" }),
            404,
        ),
        (
            json!({ "environment": "dev", "label": "", "reason": "r" }),
            404,
        ),
        (
            json!({ "environment": "dev", "owner": "o", "routes": ["find_commit"], "reason": "r" }),
            404,
        ),
        (json!({ "environment": "missing", "reason": "r" }), 404),
        (json!({ "environment": "\u{0}", "reason": "r" }), 422),
        (json!({ "reason": "r" }), 400),
    ] {
        refusals.json("POST", "halts", &body, status);
    }
    let body =
        json!({ "environment": "dev", "owner": "git\u{1b}lay", "label": "a=b", "reason": "r" });
    let problem = refusals.json("POST", "halts", &body, 404);
    assert_eq!(problem["code"], "not_found");
    assert_eq!(
        problem["detail"],
        "there is no route in the selection `owner git\u{1b}lay, label a=b`"
    );
    for (body, status) in [
        (json!({ "environment": "dev", "name": "" }), 422),
        (json!({ "environment": "dev", "name": "n\u{0}" }), 422),
        (
            json!({ "environment": "dev", "name": "n".repeat(101) }),
            422,
        ),
        (json!({ "environment": "missing", "name": "n" }), 404),
        (json!({ "environment": "../dev", "name": "n" }), 422),
    ] {
        refusals.json("POST", "sdk-keys", &body, status);
    }
    refusals.json(
        "POST",
        "tokens/revocations",
        &json!({ "jti": "", "reason": "r" }),
        422,
    );
    refusals.json(
        "POST",
        "tokens/revocations",
        &json!({ "jti": "j\u{0}", "reason": "r" }),
        422,
    );
    refusals.json(
        "POST",
        "tokens/revocations",
        &json!({ "jti": "j".repeat(101), "reason": "r" }),
        422,
    );
    let explain = at("count_commits", "dev", "explain");
    refusals.json("POST", &explain, &json!({ "key": "k".repeat(4_097) }), 422);
    refusals.json("POST", &explain, &json!({ "key": 42 }), 400);
    refusals.json("POST", &explain, &json!({ "env": { "A": 1 } }), 400);
    let variables: serde_json::Map<String, Value> =
        (0..101).map(|n| (format!("V{n}"), json!("1"))).collect();
    refusals.json("POST", &explain, &json!({ "env": variables }), 422);
}
