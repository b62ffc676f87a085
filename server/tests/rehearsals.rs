//! A change that is tried out changes nothing, and is refused as it would be.

use serde_json::json;
use switchover::{Percent, Setting, Stage};
use switchover_server::domain::actor::Role;
use switchover_server::domain::cohort::{Side, Uses};
use switchover_server::domain::lifecycle::Command;
use switchover_server::domain::text::Reason;
use switchover_server::service::{Change, Ctx, Failure, Target};
use switchover_server::store::{IdempotencyKey, Receipt};

use crate::support::{App, Engine, Who, at, on_both_engines};

on_both_engines!(
    nothing_changes,
    what_would_happen_is_what_happens,
    it_is_refused_as_the_change_would_be,
    cohorts_are_tried_out_too,
);

fn target(environment: &str) -> Target {
    Target {
        route: "a".parse().unwrap(),
        environment: environment.parse().unwrap(),
    }
}

fn change(environment: &str, command: Command) -> Change {
    Change {
        target: target(environment),
        command,
        reason: Reason::new("test").unwrap(),
        cascade: false,
    }
}

fn ctx(role: Role) -> Ctx {
    Ctx::of(Who::of(role).actor())
}

fn ramp(percent: &str) -> Command {
    Command::Set(Setting::Ramp {
        percent: percent.parse().unwrap(),
    })
}

/// Everything that somebody could see of a change.
fn seen(app: &App) -> (String, String, i64, i64, i64) {
    let count = |table: &str| {
        app.database()
            .number(&format!("SELECT COUNT(*) FROM {table}"))
    };
    (
        app.get("routes/a").expect(200).body,
        app.get("environments").expect(200).body,
        app.audit_count(),
        count("idempotency"),
        count("promotions"),
    )
}

fn nothing_changes(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let key = app.sdk_key("dev");
    let before = (seen(&app), app.snapshot(&key).expect(200).body);
    let promote = Command::Promote {
        to: Stage::OptIn,
        break_glass: false,
    };
    for command in [ramp("50"), Command::Halt, promote, ramp("0")] {
        let named = Ctx {
            idempotency: Some(IdempotencyKey {
                subject: "otto@example.com".to_owned(),
                method: "POST".to_owned(),
                path: "/".to_owned(),
                key: "1".to_owned(),
                body_hash: "x".to_owned(),
            }),
            ..ctx(Role::Operator)
        };
        let told = app
            .services()
            .rehearse(&named, &change("dev", command))
            .unwrap();
        assert!(told.after.revision > told.before.revision);
        app.services().catch_up().unwrap();
        assert_eq!(before, (seen(&app), app.snapshot(&key).expect(200).body));
    }
    app.assert_audit_intact();
}

fn what_would_happen_is_what_happens(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let (ctx, change) = (ctx(Role::Operator), change("dev", ramp("12.5")));
    let told = app.services().rehearse(&ctx, &change).unwrap();
    assert_eq!(told.action, "setting");
    let nothing = |_: &_| Receipt {
        status: 200,
        etag: None,
        body: String::new(),
    };
    let done = std::sync::Mutex::new(None);
    app.services()
        .change_rollout(&ctx, &change, &|changed| {
            *done.lock().unwrap() = Some(changed.clone());
            nothing(changed)
        })
        .unwrap();
    let done = done.into_inner().unwrap().unwrap();
    assert_eq!(
        (told.before, told.after, told.version, told.warnings),
        (done.before, done.after, done.version, done.warnings)
    );
}

fn it_is_refused_as_the_change_would_be(engine: Engine) {
    let app = App::start(engine);
    app.route_with("a", json!({ "policy": "gitaly" }));
    let services = app.services();
    let promote = Command::Promote {
        to: Stage::OptIn,
        break_glass: false,
    };
    let cases = [
        (Role::Operator, "dev", promote.clone()),
        (Role::Operator, "production", promote.clone()),
        (Role::Operator, "production", ramp("10")),
        (
            Role::Operator,
            "dev",
            Command::Demote {
                to: Stage::Mandatory,
                break_glass: false,
                halt: false,
            },
        ),
        (Role::Operator, "on-prem", Command::StartRamp),
        (Role::Operator, "nowhere", Command::Halt),
    ];
    for (role, environment, command) in cases {
        let (ctx, change) = (ctx(role), change(environment, command));
        let told = services.rehearse(&ctx, &change).unwrap_err();
        let done = services
            .change_rollout(&ctx, &change, &|_| unreachable!("it is refused"))
            .unwrap_err();
        assert_eq!(format!("{told:?}"), format!("{done:?}"));
    }
    let stale = Ctx {
        if_match: Some(vec!["\"another.1\"".to_owned()]),
        ..ctx(Role::Operator)
    };
    let told = services
        .rehearse(&stale, &change("dev", ramp("1")))
        .unwrap_err();
    assert!(matches!(told, Failure::Precondition { .. }), "{told}");
}

fn cohorts_are_tried_out_too(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    let before = seen(&app);
    let uses = Uses {
        include: Side {
            keys: ["7".into(), "8".into()].into(),
            cohorts: Default::default(),
        },
        exclude: Side::default(),
    };
    let reason = Reason::new("test").unwrap();
    let told = app
        .services()
        .rehearse_cohorts(&ctx(Role::Operator), &target("dev"), &uses, &reason)
        .unwrap();
    assert_eq!(told.after.include.len(), 2);
    assert_eq!(
        told.after
            .exposure(switchover::EnvironmentKind::Hosted)
            .share,
        Percent::ZERO
    );
    let unknown = Uses {
        include: Side {
            cohorts: ["nobody".parse().unwrap()].into(),
            ..Side::default()
        },
        ..Uses::default()
    };
    let told =
        app.services()
            .rehearse_cohorts(&ctx(Role::Operator), &target("dev"), &unknown, &reason);
    assert!(matches!(told, Err(Failure::Invalid(_))));
    assert_eq!(before, seen(&app));
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let path = at("a", "dev", "halt");
    app.post(Who::OPERATOR, &path, &json!({ "reason": "test" }))
        .expect(200);
}
