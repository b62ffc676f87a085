//! The decision vectors, answered by the server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use switchover::{EnvironmentKind, Path, Reason, Rollout, RouteKey, Setting};

use crate::support::{App, Engine, Who, at};

#[derive(Deserialize)]
struct Vector {
    name: String,
    environment_kind: EnvironmentKind,
    env: BTreeMap<String, String>,
    key: Option<String>,
    route: String,
    routes: BTreeMap<RouteKey, Rollout>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    path: Path,
    reason: Reason,
}

fn vectors() -> Vec<Vector> {
    let ours = include_str!("../../client-sdk/tests/vectors/decision_vectors.json");
    let mut vectors: Vec<Vector> = serde_json::from_str(ours).unwrap();
    assert!(vectors.len() >= 178, "{} vectors", vectors.len());
    if let Some(path) = std::env::var_os("SWITCHOVER_VECTORS") {
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("SWITCHOVER_VECTORS: {}: {error}", path.display()));
        let more: Vec<Vector> = serde_json::from_str(&text).unwrap();
        assert!(
            !more.is_empty(),
            "SWITCHOVER_VECTORS names a file without vectors"
        );
        vectors.extend(more);
    }
    vectors
}

/// Each vector's rollouts are written into the tables, in an environment of its own: some are
/// states that the API does not allow.
#[test]
fn explain_agrees_with_every_vector() {
    let app = App::start(Engine::Sqlite);
    for (number, vector) in vectors().into_iter().enumerate() {
        let environment = format!("vector-{number}");
        app.database()
            .run(&statements(&vector, &environment, number));
        app.services().catch_up().unwrap();
        let body = json!({ "key": vector.key, "env": vector.env });
        let path = at(&vector.route, &environment, "explain");
        let explained = app.post(Who::VIEWER, &path, &body).expect(200).json();
        assert_eq!(
            explained["path"],
            vector.expect.path.name(),
            "{}",
            vector.name
        );
        assert_eq!(
            explained["reason"],
            vector.expect.reason.name(),
            "{}",
            vector.name
        );
        assert_chain(&explained, &vector.name);
    }
}

/// The first layer that applies is the decision, and it hides those below that apply too.
fn assert_chain(explained: &Value, name: &str) {
    let chain = explained["chain"].as_array().unwrap();
    assert_eq!(chain.len(), 12, "{name}");
    let applying: Vec<&Value> = chain
        .iter()
        .filter(|layer| layer["applies"] == true)
        .collect();
    let first = applying.first().expect("a rule that applies");
    assert_eq!(first["path"], explained["path"], "{name}");
    assert_eq!(first["reason"], explained["reason"], "{name}");
    let lower: Vec<&Value> = applying[1..].iter().map(|layer| &layer["rule"]).collect();
    assert_eq!(
        first["hides"]
            .as_array()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
        lower,
        "{name}"
    );
    for (number, layer) in (1..).zip(chain) {
        assert_eq!(layer["number"], number, "{name}");
        assert!(!layer["says"].as_str().unwrap().is_empty(), "{name}");
    }
}

fn statements(vector: &Vector, environment: &str, number: usize) -> String {
    const NOW: &str = "'2026-01-05 10:00:00'";
    let mut sql = format!(
        "DELETE FROM rollouts; DELETE FROM requirements; DELETE FROM routes; \
         INSERT INTO environments (key, kind, position, production, revision, generation, \
         created_at) VALUES ('{environment}', '{}', {}, false, 1, 1, {NOW});",
        vector.environment_kind,
        100 + number
    );
    for (route, rollout) in &vector.routes {
        let group = match &rollout.ramp_group {
            Some(group) => format!("'{group}'"),
            None => "NULL".to_owned(),
        };
        let (mode, thousandths) = match rollout.setting {
            Setting::StageDefault => ("stage_default", "NULL".to_owned()),
            Setting::Off => ("off", "NULL".to_owned()),
            Setting::On => ("on", "NULL".to_owned()),
            Setting::Ramp { percent } => ("ramp", percent.thousandths().to_string()),
        };
        let halt = if rollout.halted {
            "'{\"at\":\"2026-01-05T10:00:00Z\",\"by\":\"test\",\"reason\":\"test\"}'"
        } else {
            "NULL"
        };
        let cohort = |keys| quoted(&serde_json::to_string(keys).unwrap());
        sql += &format!(
            "INSERT INTO routes (key, flag, endpoint, operation, owner, policy, ramp_group, \
             labels, contacts, description, links, retired_at, revision, created_at) VALUES \
             ('{route}', '{}', 'gitaly.Service/X', 'read', 'test', 'open', {group}, '{{}}', \
             '{{}}', '', '{{}}', NULL, 1, {NOW}); \
             INSERT INTO rollouts (route, environment, stage, stage_since, setting_mode, \
             setting_thousandths, include, exclude, halt, acceptance, acceptance_until, revision, \
             published_at, changed_at) VALUES ('{route}', '{environment}', '{}', {NOW}, '{mode}', \
             {thousandths}, {}, {}, {halt}, NULL, NULL, 1, 1, {NOW});",
            rollout.flag,
            rollout.stage,
            cohort(&rollout.include),
            cohort(&rollout.exclude),
        );
    }
    for (route, rollout) in &vector.routes {
        for required in &rollout.requires {
            sql += &format!("INSERT INTO requirements VALUES ('{route}', '{required}');");
        }
    }
    sql
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
