//! What an approval covers: a change of any of it voids the approval, also behind the server's back.

use serde_json::{Value, json};

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    whatever_was_approved_voids_it,
    what_was_not_approved_voids_nothing,
    the_database_keeps_promoters_from_approving,
);

const PLAN: &str = "# Before\n<!-- gate: opt_in -->\n\n- [ ] Look\n- [ ] Do it\n";
const RUNBOOK: &str = "Set GITALY_{FLAG}=0.\n";

/// One route with everything that an approval covers, under a policy of its own.
struct Case<'a> {
    app: &'a App,
    route: String,
}

impl Case<'_> {
    fn prepared(app: &App, number: usize) -> Case<'_> {
        let (route, policy) = (format!("route_{number}"), format!("own_{number}"));
        let case = Case { app, route };
        case.policy(json!({})).expect(201);
        let links = ["runbook", "dashboard", "alert", "issue"].map(|name| {
            (
                name.to_owned(),
                json!(format!("https://example.com/{name}")),
            )
        });
        let links = Value::Object(links.into_iter().collect());
        app.route_with(&case.route, json!({ "policy": policy, "links": links }));
        case.markdown("plan", PLAN).expect(201);
        let runbook = RUNBOOK.replace("{FLAG}", &case.route.to_uppercase());
        case.markdown("runbook", &runbook);
        case.evidence("dev", "performance");
        case
    }

    /// The route's policy, or its next version with more in it.
    fn policy(&self, more: Value) -> Reply {
        let mut policy = json!({
            "name": self.route.replace("route", "own"),
            "gates": { "opt_in": [{ "gate": "approval" }, { "gate": "soak", "days": 0 }] },
        });
        let fields = policy.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let body = json!({ "policy": policy, "reason": "test" });
        self.app.post(Who::ADMIN, "policies", &body)
    }

    fn below(&self, what: &str) -> String {
        format!("routes/{}/{what}", self.route)
    }

    fn markdown(&self, what: &str, text: &str) -> Reply {
        let path = self.below(&format!("{what}?reason=test"));
        let request = self.app.request("PUT", &path).by(Who::OPERATOR);
        let request = request.header("content-type", "text/markdown");
        let reply = request.body(text).send();
        assert!(reply.status < 300, "{}", reply.body);
        reply
    }

    fn delete(&self, what: &str) {
        let path = self.below(&format!("{what}?reason=test"));
        let reply = self.app.request("DELETE", &path).by(Who::OPERATOR).send();
        reply.expect(204);
    }

    fn evidence(&self, environment: &str, kind: &str) {
        let body = json!({ "kind": kind, "verdict": "pass", "summary": "seen" });
        let path = at(&self.route, environment, "evidence");
        self.app.post(Who::OPERATOR, &path, &body).expect(201);
    }

    /// A change of the route or of something below it, by an admin.
    fn change(&self, method: &str, what: &str, mut body: Value) {
        body["reason"] = json!("test");
        let path = match what {
            "" => format!("routes/{}", self.route),
            _ => self.below(what),
        };
        let request = self.app.request(method, &path).by(Who::ADMIN);
        let reply = request.json(&body).send();
        assert!(reply.status < 300, "{method} {path}: {}", reply.body);
    }

    fn here(&self, method: &str, what: &str, body: Value) {
        self.change(method, &format!("environments/dev/{what}"), body);
    }

    fn sql(&self, change: &str) {
        self.app.database().run(&change.replace("$", &self.route));
    }

    /// The identity of the plan's first section, or of its last step.
    fn of_plan(&self, what: &str) -> String {
        let plan = self.app.get(&self.below("plan?format=json")).json();
        let section = &plan["sections"][0];
        let found = match what {
            "section" => section,
            _ => section["steps"].as_array().unwrap().last().unwrap(),
        };
        found["id"].as_str().unwrap().to_owned()
    }

    fn tick(&self, change: Value) {
        let step = self.of_plan("step");
        self.change("PATCH", &format!("plan/steps/{step}"), change);
    }

    fn approve(&self) -> Value {
        let body = json!({ "to": "opt_in", "comment": "good" });
        let path = at(&self.route, "dev", "approvals");
        self.app
            .post(Who::APPROVER, &path, &body)
            .expect(201)
            .json()
    }

    /// What the gate `approval` says of a promotion by somebody else.
    fn gate(&self) -> (String, String) {
        let path = at(&self.route, "dev", "gates?to=opt_in");
        let gates = self.app.request("GET", &path).by(Who::MAINTAINER).send();
        let gates = gates.expect(200).json();
        let mut all = gates["gates"].as_array().unwrap().iter();
        let gate = all.find(|gate| gate["gate"] == "approval");
        // A policy that asks for none has none.
        let Some(gate) = gate else {
            return ("none".to_owned(), String::new());
        };
        let text = |name: &str| gate[name].as_str().unwrap().to_owned();
        (text("state"), text("detail"))
    }
}

type Change = fn(&Case<'_>);

/// Each voids what was approved.
const VOIDING: &[(&str, Change)] = &[
    ("one byte of evidence", |case| {
        case.sql("UPDATE evidence SET summary = 'sEen' WHERE route = '$'");
    }),
    ("the verdict of evidence", |case| {
        case.sql("UPDATE evidence SET verdict = 'fail' WHERE route = '$'");
    }),
    ("what evidence is about", |case| {
        case.sql("UPDATE evidence SET kind = 'resources' WHERE route = '$'");
    }),
    ("where evidence was taken", |case| {
        case.sql("UPDATE evidence SET environment = 'staging' WHERE route = '$'");
    }),
    ("where evidence can be seen", |case| {
        case.sql("UPDATE evidence SET url = 'https://example.com/' WHERE route = '$'");
    }),
    ("who gave evidence", |case| {
        case.sql("UPDATE evidence SET created_by = 'eve' WHERE route = '$'");
    }),
    ("when evidence was taken", |case| {
        case.sql("UPDATE evidence SET created_at = '2026-01-05 10:00:00.000001' WHERE route = '$'");
    }),
    ("evidence taken away", |case| {
        case.sql("DELETE FROM evidence WHERE route = '$'");
    }),
    ("more evidence", |case| case.evidence("dev", "other")),
    ("more evidence elsewhere", |case| {
        case.evidence("production", "other")
    }),
    ("a setting", |case| {
        case.here(
            "PUT",
            "setting",
            json!({ "mode": "ramp", "percent": 0.001 }),
        );
    }),
    ("one key more", |case| {
        case.here("PUT", "cohorts", json!({ "include": ["k"], "exclude": [] }));
    }),
    ("one key less", |case| {
        case.here("PUT", "cohorts", json!({ "include": [], "exclude": ["k"] }));
    }),
    ("an acceptance window", |case| {
        let until = "2026-01-06T00:00:00Z";
        case.here(
            "POST",
            "acceptance",
            json!({ "until": until, "percent": 5 }),
        );
    }),
    ("a link", |case| {
        let links = json!({ "runbook": "https://example.com/Runbook" });
        case.change("PATCH", "", json!({ "links": links }));
    }),
    ("one byte of a link", |case| {
        case.sql(
            "UPDATE routes SET links = REPLACE(links, 'com/issue', 'org/issue') WHERE key = '$'",
        );
    }),
    ("a ticked step", |case| case.tick(json!({ "done": true }))),
    ("a step that waits", |case| {
        let plan = case.app.get(&case.below("plan?format=json")).json();
        let first = plan["sections"][0]["steps"][0]["id"].clone();
        case.tick(json!({ "after": [first] }));
    }),
    ("the plan's text", |case| {
        case.markdown("plan", &PLAN.replace("Look", "look"));
    }),
    ("one byte of the plan", |case| {
        case.sql("UPDATE plans SET source = REPLACE(source, 'Look', 'Lock') WHERE route = '$'");
    }),
    ("the plan's order", |case| {
        case.change("PATCH", "plan", json!({ "ordered": true }));
    }),
    ("what a section is bound to", |case| {
        let section = case.of_plan("section");
        let what = format!("plan/sections/{section}");
        case.change("PATCH", &what, json!({ "gate": "opt_out" }));
    }),
    ("the plan taken away", |case| case.delete("plan")),
    ("the runbook's text", |case| {
        case.markdown("runbook", "another");
    }),
    ("one byte of the runbook", |case| {
        case.sql("UPDATE runbooks SET text = REPLACE(text, 'Set', 'set') WHERE route = '$'");
    }),
    ("the runbook taken away", |case| case.delete("runbook")),
    ("a gate more", |case| {
        let gates = json!({ "opt_in": [{ "gate": "approval" }, { "gate": "alert" }] });
        case.policy(json!({ "gates": gates })).expect(201);
    }),
    ("a gate's number", |case| {
        let gates = json!({ "opt_in": [{ "gate": "approval" }, { "gate": "soak", "days": 1 }] });
        case.policy(json!({ "gates": gates })).expect(201);
    }),
    ("a guard", |case| {
        let guard = json!({ "name": "e", "measure": "error_rate", "limit": 0.1, "action": "halt" });
        case.policy(json!({ "guards": [guard] })).expect(201);
    }),
    ("the ramp", |case| {
        let ramp = json!([{ "percent": 100, "hold_hours": 1 }]);
        case.policy(json!({ "ramp": ramp })).expect(201);
    }),
    ("the route's own number", |case| {
        case.change(
            "PATCH",
            "",
            json!({ "policy_numbers": { "opt_in.soak.days": 1 } }),
        );
    }),
    ("another policy that says the same", |case| {
        let twin = case.route.replace("route", "twin");
        case.policy(json!({ "name": twin })).expect(201);
        case.change("PATCH", "", json!({ "policy": twin }));
    }),
    ("another ramp group", |case| {
        case.change("PATCH", "", json!({ "ramp_group": "together" }));
    }),
    ("a requirement", |case| {
        case.change("PATCH", "", json!({ "requires": ["base"] }));
    }),
    ("there and back", |case| {
        let to = json!({ "to": "opt_in", "break_glass": true });
        case.here("POST", "promotions", to);
        case.app.advance(chrono::Duration::seconds(1));
        case.here("POST", "demotions", json!({ "to": "ready_for_testing" }));
    }),
    ("one byte of what was approved", |case| {
        case.sql("UPDATE approvals SET digest = 'f' || digest WHERE route = '$'");
    }),
];

fn whatever_was_approved_voids_it(engine: Engine) {
    let app = App::start(engine);
    app.route("base");
    for (number, (what, change)) in VOIDING.iter().enumerate() {
        let case = Case::prepared(&app, number);
        case.approve();
        assert_eq!(case.gate().0, "pass", "{what}");
        app.advance(chrono::Duration::seconds(1));
        change(&case);
        let (state, detail) = case.gate();
        assert_eq!(state, "fail", "{what}: {detail}");
        assert!(
            detail.contains("void because something changed"),
            "{what}: {detail}"
        );
        let refused = app.promote(Who::MAINTAINER, &case.route, "dev", "opt_in");
        let refused = refused.problem(409);
        let mut gates = refused["gates"].as_array().unwrap().iter();
        assert!(
            gates.any(|gate| gate["gate"] == "approval"),
            "{what}: {refused}"
        );
        let listed = app.get(&at(&case.route, "dev", "approvals")).json();
        assert_eq!(listed["items"][0]["valid"], false, "{what}");
    }
}

/// None of these says anything about the promotion that was approved.
const HARMLESS: &[(&str, Change)] = &[
    ("what the approver said", |case| {
        let body = json!({ "to": "opt_in", "comment": "still good" });
        let path = at(&case.route, "dev", "approvals");
        case.app.post(Who::APPROVER, &path, &body).expect(201);
        case.app.post(Who::ADMIN, &path, &body).expect(201);
    }),
    ("labels, words and people", |case| {
        let labels = json!({ "wave": "two" });
        let contacts = json!({ "on_call": "ann" });
        let more =
            json!({ "description": "x", "owner": "git", "labels": labels, "contacts": contacts });
        case.change("PATCH", "", more);
    }),
    ("a planned day", |case| {
        let schedule = json!({ "dev": { "opt_in": "2026-02-01" } });
        case.change("PATCH", "", json!({ "schedule": schedule }));
    }),
    ("a note on a step", |case| {
        case.tick(json!({ "note": "soon" }))
    }),
    ("a halt and a resume", |case| {
        case.here("POST", "halt", json!({}));
        case.here("POST", "resume", json!({}));
    }),
    ("the same again", |case| {
        case.here("PUT", "setting", json!({ "mode": "stage_default" }));
        case.markdown("plan", PLAN);
        case.policy(json!({})).expect(201);
    }),
    ("this route elsewhere", |case| {
        let body = json!({ "mode": "on", "reason": "test" });
        case.app
            .put(Who::OPERATOR, &at(&case.route, "staging", "setting"), &body)
            .expect(200);
    }),
    ("a freeze", |case| {
        let body = json!({ "environments": ["staging"], "reason": "incident" });
        case.app.post(Who::OPERATOR, "freezes", &body).expect(201);
    }),
    ("another route", |case| {
        let other = Case {
            app: case.app,
            route: "route_1000".to_owned(),
        };
        other.here("PUT", "setting", json!({ "mode": "on" }));
        other.evidence("dev", "other");
        other.tick(json!({ "done": true }));
        other.markdown("runbook", "another");
        other
            .policy(json!({ "ramp": [{ "percent": 100, "hold_hours": 1 }] }))
            .expect(201);
        other.approve();
    }),
];

fn what_was_not_approved_voids_nothing(engine: Engine) {
    let app = App::start(engine);
    Case::prepared(&app, 1_000);
    for (number, (what, change)) in HARMLESS.iter().enumerate() {
        let case = Case::prepared(&app, number);
        case.approve();
        app.advance(chrono::Duration::seconds(1));
        change(&case);
        assert_eq!(case.gate().0, "pass", "{what}");
        app.promote(Who::MAINTAINER, &case.route, "dev", "opt_in")
            .expect(201);
    }
}

/// Whatever a server thinks: who promotes is never among who approved.
fn the_database_keeps_promoters_from_approving(engine: Engine) {
    let app = App::start(engine);
    let case = Case::prepared(&app, 0);
    let approval = case.approve()["id"].as_str().unwrap().to_owned();
    let (approver, other) = (Who::APPROVER.1, Who::MAINTAINER.1);
    let promotion = |id: &str, promoter: &str| {
        format!(
            "INSERT INTO promotions (id, route, environment, to_stage, promoter, break_glass, \
             created_at) VALUES ('{id}', 'route_0', 'dev', 'opt_in', '{promoter}', FALSE, \
             CURRENT_TIMESTAMP)"
        )
    };
    let counted = |id: &str, promoter: &str, approver: &str| {
        format!(
            "INSERT INTO promotion_approvals (promotion, promoter, approval, approver) \
             VALUES ('{id}', '{promoter}', '{approval}', '{approver}')"
        )
    };
    let try_run = |sql: &[String]| app.database().try_run(&sql.join("; "));
    for (what, rows) in [
        (
            "by who approved",
            [promotion("1", approver), counted("1", approver, approver)],
        ),
        (
            "under another's name",
            [promotion("1", approver), counted("1", other, approver)],
        ),
        (
            "as another's approval",
            [promotion("1", approver), counted("1", approver, other)],
        ),
        (
            "of no promotion",
            [promotion("1", other), counted("2", other, approver)],
        ),
    ] {
        assert!(try_run(&rows).is_err(), "{what}");
    }
    try_run(&[promotion("1", other), counted("1", other, approver)]).unwrap();
    for change in [
        format!("UPDATE promotions SET promoter = '{approver}'"),
        format!("UPDATE promotion_approvals SET promoter = '{approver}'"),
        format!("UPDATE approvals SET approver = '{other}'"),
        "DELETE FROM approvals".to_owned(),
    ] {
        assert!(try_run(std::slice::from_ref(&change)).is_err(), "{change}");
    }
    // A server's own connections are held to it too.
    app.promote(Who::MAINTAINER, &case.route, "dev", "opt_in")
        .expect(201);
    let rows = app
        .database()
        .number("SELECT COUNT(*) FROM promotion_approvals");
    assert_eq!(rows, 2);
}
