//! Approvals, changes of what was approved, and promotions, all at once.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use switchover_server::domain::actor::Role;
use switchover_server::domain::audit::AuditEntry;
use switchover_server::store::AuditFilter;

use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(nothing_is_promoted_but_what_was_approved);

/// Two people, who approve each other's promotions and try their own, one with two tokens.
const MIA: Who = Who::MAINTAINER;
const MIA_AS_ADMIN: Who = Who(Role::Admin, Who::MAINTAINER.1);
const MAX: Who = Who::APPROVER;

const ROUNDS: usize = 24;
const STEPS: usize = 12;

fn nothing_is_promoted_but_what_was_approved(engine: Engine) {
    let app = App::start(engine);
    let gates = json!({ "opt_in": [{ "gate": "approval" }] });
    let policy = json!({ "name": "own", "gates": gates });
    let body = json!({ "policy": policy, "reason": "test" });
    app.post(Who::ADMIN, "policies", &body).expect(201);
    let mut refused = 0;
    for round in 0..ROUNDS {
        refused += race(&app, &format!("route_{round}"));
    }
    let promotions = app.database().number("SELECT COUNT(*) FROM promotions");
    // Otherwise nothing was raced for.
    assert!(promotions > 0 && refused > 0, "{promotions}, {refused}");
    let own = "SELECT COUNT(*) FROM promotion_approvals p JOIN approvals a ON a.id = p.approval \
               JOIN promotions q ON q.id = p.promotion WHERE a.approver = q.promoter";
    assert_eq!(app.database().number(own), 0);
    judge(&app);
    app.assert_audit_intact();
}

/// One route for which everybody wants something; gives how many promotions were refused.
fn race(app: &App, route: &str) -> usize {
    app.route_with(route, json!({ "policy": "own" }));
    let steps: String = (0..STEPS)
        .map(|step| format!("- [ ] Step {step}\n"))
        .collect();
    let plan = app.request("PUT", &format!("routes/{route}/plan?reason=test"));
    let plan = plan
        .by(Who::OPERATOR)
        .header("content-type", "text/markdown");
    plan.body(format!("# All\n\n{steps}")).send().expect(201);
    let plan = app.get(&format!("routes/{route}/plan?format=json")).json();
    let steps: Vec<String> = plan["sections"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["id"].as_str().unwrap().to_owned())
        .collect();
    let (start, promoted) = (Barrier::new(7), AtomicBool::new(false));
    let refused = AtomicUsize::new(0);
    let going = || !promoted.load(Ordering::SeqCst);
    let approve = |who: Who| {
        start.wait();
        for turn in 0..STEPS {
            let body = json!({ "to": "opt_in", "comment": format!("turn {turn}") });
            let made = app.post(who, &at(route, "dev", "approvals"), &body);
            if made.status == 409 {
                assert_eq!(made.code(409), "invalid_transition");
                break;
            }
            let id = made.expect(201).json()["id"].as_str().unwrap().to_owned();
            if turn % 3 == 2 {
                let path = at(route, "dev", &format!("approvals/{id}"));
                app.request("DELETE", &path).by(who).send().expect(204);
            }
        }
    };
    let promote = |who: Who| {
        start.wait();
        for _ in 0..2 * STEPS {
            let reply = app.promote(who, route, "dev", "opt_in");
            if reply.status == 201 {
                assert!(!promoted.swap(true, Ordering::SeqCst), "promoted twice");
            } else {
                refused.fetch_add(1, Ordering::SeqCst);
                let code = reply.code(409);
                let known = ["gates_not_met", "invalid_transition"].contains(&code.as_str());
                assert!(known, "{code}");
            }
            if !going() {
                break;
            }
        }
    };
    let change = |method: &str, path: &str, mut body: Value| {
        if method != "POST" {
            body["reason"] = json!("test");
        }
        let reply = app
            .request(method, path)
            .by(Who::OPERATOR)
            .json(&body)
            .send();
        assert!(reply.status < 300, "{path}: {}", reply.body);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| approve(MAX));
        scope.spawn(|| approve(MIA));
        scope.spawn(|| promote(MIA));
        scope.spawn(|| promote(MIA_AS_ADMIN));
        scope.spawn(|| promote(MAX));
        scope.spawn(|| {
            start.wait();
            // Each setting is another one, so that none undoes an earlier.
            for percent in (1..=STEPS).take_while(|_| going()) {
                let body = json!({ "mode": "ramp", "percent": percent });
                change("PUT", &at(route, "dev", "setting"), body);
                let seen = json!({ "kind": "other", "verdict": "pass", "summary": "seen" });
                change("POST", &at(route, "dev", "evidence"), seen);
            }
        });
        scope.spawn(|| {
            start.wait();
            for step in steps.iter().take_while(|_| going()) {
                let path = format!("routes/{route}/plan/steps/{step}");
                change("PATCH", &path, json!({ "done": true }));
            }
        });
    });
    refused.into_inner()
}

/// The record is in the order of commits: between a counted approval and its promotion nothing that
/// was approved has changed, and nobody has taken the approval back.
fn judge(app: &App) {
    let filter = AuditFilter::default();
    let found = app.services().audit(&filter, 100_000).unwrap();
    let mut entries: Vec<AuditEntry> = found.into_iter().map(|stored| stored.entry).collect();
    entries.reverse();
    // By route: approvals by their identity, and the last change of what they cover.
    let mut approved: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut changed: BTreeMap<String, usize> = BTreeMap::new();
    let mut promotions = 0;
    for (place, entry) in entries.iter().enumerate() {
        let Some(route) = entry.route.clone() else {
            continue;
        };
        let id = |state: &Value| state["id"].as_str().unwrap().to_owned();
        match entry.action.as_str() {
            "approve" => {
                let by = entry.actor.subject.clone();
                approved.insert(id(&entry.after), (by, place));
            }
            "approval_withdraw" => {
                approved.remove(&id(&entry.before));
            }
            "promote" => {
                promotions += 1;
                let counted = app.database().texts(&format!(
                    "SELECT p.approval AS value FROM promotion_approvals p \
                     JOIN promotions q ON q.id = p.promotion WHERE q.route = '{route}'"
                ));
                assert!(!counted.is_empty(), "{route}: promoted without approval");
                for approval in counted {
                    let (by, since) = &approved[&approval];
                    assert_ne!(
                        *by, entry.actor.subject,
                        "{route}: an approval of their own"
                    );
                    let last = changed.get(&route).copied().unwrap_or_default();
                    assert!(*since > last, "{route}: void when it was promoted");
                }
            }
            "create" => {}
            // Settings, evidence, the plan.
            _ => {
                changed.insert(route, place);
            }
        }
    }
    let recorded = app.database().number("SELECT COUNT(*) FROM promotions");
    assert_eq!(recorded, promotions);
}
