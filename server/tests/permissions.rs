//! Which role may do what, at which stage, where: the table that people rely on.

use serde_json::{Value, json};
use switchover_server::domain::actor::Role;

use crate::support::{App, Engine, Reply, Who, at};

/// Per action and stage, in a hosted environment, in production and on premises: the least role
/// that may. After `!` stands what everybody from that role on is told instead. Whoever is below
/// the role is refused with 403.
const TABLE: &str = "
promote     ready_for_testing  operator                     maintainer                    maintainer
promote     opt_in             operator                     maintainer                    maintainer
promote     opt_out            operator                     maintainer                    maintainer
promote     mandatory          operator!invalid_transition  operator!invalid_transition   operator!invalid_transition
skip        ready_for_testing  operator!invalid_transition  operator!invalid_transition   operator!invalid_transition
skip        opt_in             operator!invalid_transition  operator!invalid_transition   operator!invalid_transition
halted      opt_in             operator!halted              maintainer!halted             maintainer!halted
demote      ready_for_testing  operator!invalid_transition  operator!invalid_transition   operator!invalid_transition
demote      opt_in             operator                     operator                      operator
demote      opt_out            operator                     operator                      operator
demote      mandatory          admin!mandatory              admin!mandatory               admin!mandatory
glass       mandatory          admin                        admin                         admin
halt        ready_for_testing  operator                     operator                      operator
halt        opt_in             operator                     operator                      operator
halt        opt_out            operator                     operator                      operator
halt        mandatory          operator!mandatory           operator!mandatory            operator!mandatory
resume      ready_for_testing  operator                     operator                      operator
resume      opt_in             operator                     operator                      operator
resume      opt_out            operator                     operator                      operator
resume      mandatory          operator!mandatory           operator!mandatory            operator!mandatory
on          ready_for_testing  operator                     operator!window_needed        operator!window_needed
on          opt_in             operator                     operator                      operator
on          opt_out            operator                     operator                      operator
on          mandatory          operator!mandatory           operator!mandatory            operator!mandatory
ramp        ready_for_testing  operator                     operator!window_needed        operator!window_needed
ramp        opt_in             operator                     operator                      operator
off         ready_for_testing  operator                     operator                      operator
off         opt_in             operator                     operator                      operator
off         opt_out            operator                     operator                      operator
off         mandatory          operator!mandatory           operator!mandatory            operator!mandatory
include     ready_for_testing  operator                     operator!window_needed        operator!window_needed
include     opt_in             operator                     operator                      operator
include     mandatory          operator!mandatory           operator!mandatory            operator!mandatory
exclude     ready_for_testing  operator                     operator                      operator
exclude     opt_out            operator                     operator                      operator
window      ready_for_testing  maintainer                   maintainer                    maintainer!invalid_transition
window      opt_in             maintainer!invalid_transition maintainer!invalid_transition maintainer!invalid_transition
window      mandatory          maintainer!invalid_transition maintainer!invalid_transition maintainer!invalid_transition
approve     ready_for_testing  maintainer                   maintainer                    maintainer
approve     opt_out            maintainer                   maintainer                    maintainer
approve     mandatory          maintainer!invalid_transition maintainer!invalid_transition maintainer!invalid_transition
gates       opt_in             viewer                       viewer                        viewer
explain     opt_in             viewer                       viewer                        viewer
";

const ENVIRONMENTS: [&str; 3] = ["staging", "production", "on-prem"];

#[test]
fn roles_actions_stages_and_environments() {
    let app = App::start(Engine::Sqlite);
    app.route("count_commits");
    let mut cases = 0;
    for row in TABLE.lines().filter(|row| !row.is_empty()) {
        let mut columns = row.split_whitespace();
        let (action, stage) = (columns.next().unwrap(), columns.next().unwrap());
        for environment in ENVIRONMENTS {
            let cell = columns.next().unwrap();
            let (least, told) = match cell.split_once('!') {
                Some((role, told)) => (role, Some(told)),
                None => (cell, None),
            };
            let least: Role = least.parse().unwrap();
            for role in Role::ALL {
                stand(&app, environment, stage, action == "halted");
                let reply = act(&app, Who::of(role), action, environment);
                let case = format!("{action} at {stage} in {environment} by {role}");
                match told {
                    _ if role < least => assert_eq!(reply.status, 403, "{case}: {}", reply.body),
                    Some(code) => assert_eq!(reply.json()["code"], code, "{case}: {}", reply.body),
                    None => assert!(reply.status < 300, "{case}: {}", reply.body),
                }
                cases += 1;
            }
        }
    }
    assert!(cases > 400, "{cases}");
}

/// Puts the rollout at a stage, and every environment before it at the last.
fn stand(app: &App, environment: &str, stage: &str, halted: bool) {
    let halt = if halted {
        "'{\"at\":\"2026-01-05T10:00:00Z\",\"by\":\"test\",\"reason\":\"test\"}'"
    } else {
        "NULL"
    };
    app.database().run(&format!(
        "DELETE FROM approvals; \
         UPDATE rollouts SET stage = 'mandatory', setting_mode = 'stage_default', \
         setting_thousandths = NULL, include = '[]', exclude = '[]', halt = NULL, \
         acceptance = NULL, acceptance_until = NULL; \
         UPDATE rollouts SET stage = '{stage}', halt = {halt} WHERE environment = '{environment}'"
    ));
}

fn act(app: &App, who: Who, action: &str, environment: &str) -> Reply {
    let stage = app.rollout("count_commits", environment);
    let next = match &stage["next_stage"] {
        Value::Null => json!("mandatory"),
        next => next.clone(),
    };
    let (method, what, body) = match action {
        "promote" | "halted" => ("POST", "promotions", json!({ "to": next })),
        "skip" => ("POST", "promotions", json!({ "to": "mandatory" })),
        "demote" => ("POST", "demotions", json!({ "to": "ready_for_testing" })),
        "glass" => {
            let body = json!({ "to": "opt_out", "break_glass": true, "halt": true });
            ("POST", "demotions", body)
        }
        "halt" | "resume" => ("POST", action, json!({})),
        "on" | "off" => ("PUT", "setting", json!({ "mode": action })),
        "ramp" => (
            "PUT",
            "setting",
            json!({ "mode": "ramp", "percent": 0.001 }),
        ),
        "include" => ("PUT", "cohorts", json!({ "include": ["k"], "exclude": [] })),
        "exclude" => ("PUT", "cohorts", json!({ "include": [], "exclude": ["k"] })),
        "window" => (
            "POST",
            "acceptance",
            json!({ "until": "2026-01-06T00:00:00Z", "percent": 5 }),
        ),
        "approve" => ("POST", "approvals", json!({ "to": next })),
        "gates" => ("GET", "gates", json!(null)),
        "explain" => ("POST", "explain", json!({ "key": "k" })),
        other => panic!("an action {other}"),
    };
    let request = app
        .request(method, &at("count_commits", environment, what))
        .by(who);
    let mut body = body;
    match (action, body.as_object_mut()) {
        ("explain" | "approve", _) | (_, None) => {}
        (_, Some(fields)) => {
            fields.insert("reason".to_owned(), json!("test"));
        }
    }
    if body.is_null() {
        request.send()
    } else {
        request.json(&body).send()
    }
}
