use chrono::SecondsFormat;
use serde_json::{Value, json};
use switchover::EnvironmentKind;

use super::*;
use crate::domain::actor::{Actor, Role};
use crate::domain::route::{Links, Operation, RawRoute, RouteSpec};
use crate::domain::schedule::Schedule;

fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_607_200, 0).unwrap() + Duration::hours(hours)
}

fn route() -> Route {
    let raw = RawRoute {
        endpoint: "gitaly.CommitService/CountCommits".to_owned(),
        key: None,
        flag: None,
        operation: Operation::Read,
        owner: "gitaly".to_owned(),
        policy: None,
        policy_numbers: BTreeMap::new(),
        requires: Vec::new(),
        ramp_group: None,
        labels: BTreeMap::new(),
        contacts: BTreeMap::from([("on_call".to_owned(), "#gitaly | night".to_owned())]),
        description: "Counts <b>commits</b>\nof a repository".to_owned(),
        links: Links {
            runbook: Some("https://example.com/run|book".to_owned()),
            ..Links::default()
        },
    };
    Route {
        spec: RouteSpec::parse(raw).unwrap(),
        retired_at: None,
        preparation: None,
        schedule: Schedule::default(),
        revision: 1,
        created_at: at(0),
    }
}

fn environments() -> Vec<Environment> {
    [("dev", 1), ("production", 3)]
        .into_iter()
        .map(|(key, position)| Environment {
            key: key.parse().unwrap(),
            kind: EnvironmentKind::Hosted,
            position,
            production: key == "production",
            revision: 1,
            generation: 1,
            created_at: at(-100),
        })
        .collect()
}

fn state(stage: &str, setting: &Value, halt: &Value, acceptance: &Value) -> Value {
    json!({
        "stage": stage, "setting": setting, "halt": halt, "include": [], "exclude": [],
        "acceptance": acceptance, "revision": 1,
    })
}

struct Story(Vec<AuditEntry>);

impl Story {
    fn tell(
        &mut self,
        hours: i64,
        by: &str,
        action: &str,
        environment: &str,
        why: &str,
        what: (Value, Value),
    ) {
        self.0.push(AuditEntry {
            seq: u64::try_from(self.0.len()).unwrap() + 1,
            at: at(hours),
            actor: Actor {
                subject: by.to_owned(),
                role: Role::Maintainer,
            },
            action: action.to_owned(),
            route: Some("count_commits".to_owned()),
            environment: (!environment.is_empty()).then(|| environment.to_owned()),
            reason: why.to_owned(),
            before: what.0,
            after: what.1,
        });
    }
}

fn story() -> Vec<AuditEntry> {
    let (none, default) = (Value::Null, json!({ "mode": "stage_default" }));
    let ramp = json!({ "mode": "ramp", "percent": 5 });
    let window = json!({ "until": "2026-01-07T10:00:00Z", "percent": 5, "cohort": ["a"], "opened_by": "mia" });
    let halt = json!({ "at": "2026-01-06T11:00:00Z", "by": "otto", "reason": "drill" });
    let rest = state("ready_for_testing", &default, &none, &none);
    let open = state("ready_for_testing", &ramp, &none, &window);
    let halted = state("ready_for_testing", &ramp, &halt, &window);
    let opted = state("opt_in", &default, &none, &none);
    let ramped = state("opt_in", &ramp, &none, &none);
    let stopped = state("opt_in", &ramp, &halt, &none);
    let mut glass = state("opt_out", &ramp, &none, &none);
    glass["gates"] = json!([
        { "gate": "order", "state": "pass", "detail": "fine" },
        { "gate": "soak", "state": "fail", "detail": "7 h of 7 d" },
    ]);
    let runbook = |bytes: u64, hours| json!({ "bytes": bytes, "sha256": "x", "put_by": "mia", "put_at": at(hours).to_rfc3339_opts(SecondsFormat::Micros, true) });
    let tick = |done: bool, note: Option<&str>| json!({ "step": "b7ac", "text": "Compare | both", "done": done, "note": note });
    let mut story = Story(Vec::new());
    story.tell(
        0,
        "otto",
        "create",
        "",
        "created",
        (none.clone(), json!({ "owner": "gitaly" })),
    );
    story.tell(
        24,
        "mia",
        "acceptance_open",
        "production",
        "first test",
        (rest.clone(), open.clone()),
    );
    story.tell(
        25,
        "otto",
        "halt",
        "production",
        "drill",
        (open.clone(), halted.clone()),
    );
    story.tell(
        26,
        "otto",
        "resume",
        "production",
        "drill is over",
        (halted, open.clone()),
    );
    story.tell(
        48,
        "switchover",
        "acceptance_close",
        "production",
        "the window has ended",
        (open, rest.clone()),
    );
    story.tell(
        50,
        "otto",
        "evidence",
        "dev",
        "",
        (
            none.clone(),
            json!({ "kind": "performance", "verdict": "pass", "summary": "p99 | 12 ms" }),
        ),
    );
    story.tell(
        51,
        "max",
        "approve",
        "production",
        "looks good",
        (none.clone(), json!({ "to": "opt_in" })),
    );
    story.tell(
        52,
        "otto",
        "promote",
        "dev",
        "next",
        (rest.clone(), opted.clone()),
    );
    story.tell(
        53,
        "mia",
        "promote",
        "production",
        "| x | <script>\n# `hm`",
        (rest.clone(), opted.clone()),
    );
    story.tell(
        54,
        "otto",
        "setting",
        "production",
        "slowly",
        (opted, ramped.clone()),
    );
    story.tell(
        55,
        "guard:errors",
        "halt",
        "production",
        "3 % errors",
        (ramped.clone(), stopped),
    );
    story.tell(
        60,
        "ada",
        "break_glass_promote",
        "production",
        "**now**",
        (ramped, glass),
    );
    story.tell(
        61,
        "ada",
        "plan_step",
        "",
        "done",
        (
            json!({ "done": false }),
            json!({ "done": true, "step": "archive" }),
        ),
    );
    let kept = (runbook(1, 40), runbook(2, 61));
    story.tell(61, "mia", "runbook_put", "", "longer", kept);
    let ticked = (tick(false, None), tick(true, Some("all same")));
    story.tell(61, "mia", "plan_tick", "", "compared", ticked);
    let given = json!({ "to": "opt_out", "digest": "x", "id": "y" });
    story.tell(
        61,
        "max",
        "approval_withdraw",
        "production",
        "wait",
        (given, Value::Null),
    );
    let owner = (json!({ "owner": "gitaly" }), json!({ "owner": "mia" }));
    story.tell(61, "mia", "route_change", "", "mine now", owner);
    story.tell(
        62,
        "ada",
        "something_new",
        "dev",
        "who knows",
        (none, json!({ "x": { "y": 1 } })),
    );
    story.0
}

fn report(entries: &[AuditEntry]) -> String {
    let mut shared = Story(Vec::new());
    let release = json!({ "name": "17.6", "build": 2, "digest": "x" });
    shared.tell(
        56,
        "rel",
        "release_publish",
        "production",
        "it is time",
        (Value::Null, release),
    );
    shared.tell(
        57,
        "ada",
        "freeze_open",
        "",
        "holidays",
        (Value::Null, json!({ "until": "soon" })),
    );
    let off = |off: &[&str]| json!({ "site": "web-1", "off": off });
    let (some, others) = (off(&["GITALY_COUNT_COMMITS"]), off(&["GITALY_FIND"]));
    for (hours, before, after) in [(58, Value::Null, some.clone()), (59, some, others)] {
        shared.tell(
            hours,
            "otto",
            "census_import",
            "production",
            "asked",
            (before, after),
        );
    }
    let shared = shared.0;
    let (route, environments) = (route(), environments());
    let rollouts: Vec<Rollout> = environments
        .iter()
        .map(|environment| Rollout::new(route.spec.key.clone(), environment.key.clone(), at(0)))
        .collect();
    render(&Subject {
        route: &route,
        environments: &environments,
        rollouts: &rollouts,
        entries,
        shared: &shared,
        is_cut: false,
        milestones: &milestones(entries.is_empty()),
        now: at(72),
    })
}

/// Reached late, reached early, overdue, still to come, not planned.
fn milestones(none: bool) -> Vec<Milestone> {
    if none {
        return Vec::new();
    }
    let day = |hours: i64| Some(at(hours).date_naive());
    [
        ("dev", Stage::OptIn, day(0), Some(at(52))),
        ("dev", Stage::OptOut, day(24), None),
        ("production", Stage::OptIn, day(96), Some(at(53))),
        ("production", Stage::OptOut, None, Some(at(60))),
        ("production", Stage::Mandatory, day(500), None),
    ]
    .into_iter()
    .map(|(environment, stage, planned, actual)| Milestone {
        environment: environment.parse().unwrap(),
        stage,
        planned,
        actual,
    })
    .collect()
}

#[test]
fn a_whole_migration_is_told() {
    insta::assert_snapshot!(report(&story()));
}

#[test]
fn a_route_to_which_nothing_has_happened_has_a_report() {
    insta::assert_snapshot!(report(&[]));
}

/// Every entry is told somewhere: by its number, or by its moment in the table of what it began or
/// ended.
#[test]
fn nothing_is_left_out_and_every_row_is_a_row() {
    let story = story();
    let report = report(&story);
    for entry in &story {
        let rows = report.lines().filter(|line| line.starts_with('|'));
        let mut told = rows.filter(|line| {
            line.contains(&moment(entry.at)) || line.ends_with(&format!(" {} |", entry.seq))
        });
        assert!(told.next().is_some(), "{entry:?}");
    }
    let mut columns = 0;
    for line in report.lines() {
        if !line.starts_with('|') {
            columns = 0;
            continue;
        }
        let here = line.matches('|').count();
        assert!(columns == 0 || here == columns, "{line}");
        columns = here;
    }
    assert!(!report.contains("<script>"), "{report}");
}
