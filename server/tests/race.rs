//! Many clients that want the same thing at once.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use switchover_server::store::StoreError;

use crate::support::{App, Engine, Reply, Who, at, on_both_engines};

on_both_engines!(
    a_new_environment_is_judged_by_the_positions_of_its_turn,
    positions_that_change_stop_nobody,
    a_chain_that_two_changes_would_make_is_refused,
    a_halt_wins_over_a_promotion,
    one_promotion_of_a_thousand_wins,
    revisions_have_no_gap_and_no_repeat
);

/// T23.
fn one_promotion_of_a_thousand_wins(engine: Engine) {
    const CLIENTS: usize = 32;
    const PROMOTIONS: usize = 1_000;
    let app = App::start(engine);
    app.route("count_commits");
    let path = at("count_commits", "dev", "promotions");
    let seen = app.get(&at("count_commits", "dev", "")).etag();
    let (entries, left) = (app.audit_count(), AtomicUsize::new(PROMOTIONS));
    let start = Barrier::new(CLIENTS);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    let client = |number: usize| {
        let mut statuses = BTreeMap::<u16, usize>::new();
        start.wait();
        while take().is_ok() {
            let request = app.request("POST", &path).by(Who::OPERATOR);
            // Some say which state they have seen, some do not.
            let request = match number % 2 {
                0 => request.header("if-match", &seen),
                _ => request,
            };
            let body = json!({ "to": "opt_in", "reason": format!("client {number}") });
            *statuses
                .entry(request.json(&body).send().status)
                .or_default() += 1;
        }
        statuses
    };
    let mut statuses = BTreeMap::<u16, usize>::new();
    std::thread::scope(|scope| {
        let client = &client;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        for answered in clients {
            for (status, count) in answered.join().unwrap() {
                *statuses.entry(status).or_default() += count;
            }
        }
    });
    let of = |status: u16| statuses.get(&status).copied().unwrap_or(0);
    assert_eq!(of(201), 1, "{statuses:?}");
    assert_eq!(of(409) + of(412), PROMOTIONS - 1, "{statuses:?}");
    assert_eq!(app.audit_count(), entries + 1);
    let rollout = app.rollout("count_commits", "dev");
    assert_eq!(
        (&rollout["stage"], &rollout["revision"]),
        (&json!("opt_in"), &json!(2))
    );
    app.assert_audit_intact();
}

/// Different changes of different routes: each is a revision of its own, and the record's order is
/// the order of commits.
fn revisions_have_no_gap_and_no_repeat(engine: Engine) {
    const CLIENTS: usize = 8;
    const CHANGES: usize = 12;
    let app = App::start(engine);
    for client in 0..CLIENTS {
        app.route(&format!("route_{client}"));
    }
    let key = app.sdk_key("dev");
    let before = app
        .database()
        .number("SELECT revision FROM environments WHERE key = 'dev'");
    let mut versions: Vec<u64> = std::thread::scope(|scope| {
        let app = &app;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let route = format!("route_{client}");
                    let change = |step: usize| {
                        let mode = if step.is_multiple_of(2) { "on" } else { "off" };
                        let set = app.set(&route, "dev", json!({ "mode": mode })).expect(200);
                        let version = set.json()["version"].as_str().unwrap().to_owned();
                        version.split_once('.').unwrap().1.parse::<u64>().unwrap()
                    };
                    (0..CHANGES).map(change).collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    versions.sort_unstable();
    let first = u64::try_from(before).unwrap() + 1;
    let expected: Vec<u64> = (first..).take(CLIENTS * CHANGES).collect();
    assert_eq!(versions, expected);
    let published = app.snapshot(&key).expect(200).json()["version"].clone();
    let last = expected.last().unwrap();
    assert!(
        published.as_str().unwrap().ends_with(&format!(".{last}")),
        "{published}"
    );
    app.assert_audit_intact();
}

/// T30: whichever comes first, everything takes the old path in the end.
fn a_halt_wins_over_a_promotion(engine: Engine) {
    let app = App::start(engine);
    for (round, (from, to)) in [
        ("ready_for_testing", "opt_in"),
        ("opt_in", "opt_out"),
        ("ready_for_testing", "opt_in"),
        ("opt_in", "opt_out"),
        ("ready_for_testing", "opt_in"),
        ("opt_in", "opt_out"),
    ]
    .into_iter()
    .enumerate()
    {
        let route = format!("route_{round}");
        app.route(&route);
        if from == "opt_in" {
            app.bring(&route, &["dev"], "opt_in");
        }
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                let promoted = app.promote(Who::OPERATOR, &route, "dev", to);
                assert!(promoted.status == 201 || promoted.code(409) == "halted");
            });
            start.wait();
            let body = json!({ "reason": "errors" });
            app.post(Who::OPERATOR, &at(&route, "dev", "halt"), &body)
                .expect(200);
        });
        let rollout = app.rollout(&route, "dev");
        assert_eq!(rollout["halted"], true);
        assert_eq!(rollout["exposure_percent"], 0);
        let explained = app.post(
            Who::VIEWER,
            &at(&route, "dev", "explain"),
            &json!({ "key": "k" }),
        );
        assert_eq!(explained.json()["reason"], "halted");
    }
}

/// Two changes that both wait for an environment, and get it one after the other.
fn in_turn(
    app: &App,
    first: impl FnOnce() -> Reply + Send,
    second: impl FnOnce() -> Reply + Send,
) -> (Reply, Reply) {
    const UNTIL_IT_WAITS: Duration = Duration::from_millis(300);
    let held = Barrier::new(2);
    std::thread::scope(|scope| {
        let (held, store) = (&held, app.services().store());
        scope.spawn(move || {
            store.write::<_, StoreError>(|tx| {
                tx.lock_environment(&"dev".parse().unwrap())?;
                held.wait();
                held.wait();
                Ok(())
            })
        });
        held.wait();
        let first = scope.spawn(first);
        std::thread::sleep(UNTIL_IT_WAITS);
        let second = scope.spawn(second);
        std::thread::sleep(UNTIL_IT_WAITS);
        held.wait();
        (first.join().unwrap(), second.join().unwrap())
    })
}

/// Each is fine by itself; together no SDK would take what they publish.
fn a_chain_that_two_changes_would_make_is_refused(engine: Engine) {
    for preparation in [json!(null), json!({})] {
        let app = App::start(engine);
        for (chain, length) in [("low", 8), ("high", 9)] {
            for place in 0..length {
                let below = (place > 0).then(|| format!("{chain}_{}", place - 1));
                let requires: Vec<String> = below.into_iter().collect();
                app.route_with(&format!("{chain}_{place}"), json!({ "requires": requires }));
            }
        }
        let join = json!({ "requires": ["low_7"], "reason": "r" });
        let mut top = json!({
            "endpoint": "gitaly.Service/top",
            "key": "top",
            "operation": "read",
            "owner": "gitaly",
            "policy": "open",
            "requires": ["high_8"],
        });
        if !preparation.is_null() {
            top["preparation"] = preparation;
        }
        let (joined, created) = in_turn(
            &app,
            || {
                let patch = app.request("PATCH", "routes/high_0").by(Who::MAINTAINER);
                patch.json(&join).send()
            },
            || app.post(Who::OPERATOR, "routes", &top),
        );
        let mut statuses = [joined.status, created.status];
        statuses.sort_unstable();
        assert!(
            statuses == [200, 422] || statuses == [201, 422],
            "{} {}",
            joined.body,
            created.body
        );
        let key = app.sdk_key("dev");
        app.snapshot(&key).expect(200);
        app.assert_audit_intact();
    }
}

/// What comes later than a new environment is read when nobody can move it any more.
fn a_new_environment_is_judged_by_the_positions_of_its_turn(engine: Engine) {
    let app = App::start(engine);
    let move_to = |key: &str, position: i32| {
        let request = app.request("PATCH", &format!("environments/{key}"));
        let body = json!({ "position": position, "reason": "r" });
        request.by(Who::ADMIN).json(&body).send()
    };
    move_to("on-prem", 40).expect(200);
    move_to("production", 30).expect(200);
    app.route("a");
    app.bring("a", &["dev", "staging"], "opt_in");
    let canary = json!({ "key": "canary", "kind": "hosted", "position": 20 });
    let (moved, created) = in_turn(
        &app,
        || move_to("staging", 25),
        || app.post(Who::ADMIN, "environments", &canary),
    );
    created.expect(201);
    let stage = app.rollout("a", "canary")["stage"].clone();
    // Whoever was first: nobody is ahead of an earlier environment.
    let expected = match moved.status {
        200 => "opt_in",
        _ => "ready_for_testing",
    };
    assert_eq!(stage, expected, "{}", moved.body);
}

/// Whoever locks environments does so in an order that a change of their positions leaves alone.
fn positions_that_change_stop_nobody(engine: Engine) {
    let app = App::start(engine);
    let send = |request: (&str, String), body: &serde_json::Value| {
        let (method, path) = request;
        let reply = app.request(method, &path).by(Who::ADMIN).json(body).send();
        assert!(reply.status < 500, "{}", reply.body);
    };
    let mover = |key: &str, positions: [i32; 2]| {
        for round in 0..30 {
            let body = json!({ "position": positions[round % 2], "reason": "r" });
            send(("PATCH", format!("environments/{key}")), &body);
        }
    };
    std::thread::scope(|scope| {
        let (send, mover) = (&send, &mover);
        scope.spawn(move || mover("dev", [50, 1]));
        scope.spawn(move || mover("staging", [60, 2]));
        scope.spawn(move || {
            for round in 0..30 {
                let until = "2026-01-06T00:00:00Z";
                let body = json!({ "until": until, "reason": format!("round {round}") });
                send(("POST", "freezes".to_owned()), &body);
            }
        });
        scope.spawn(move || {
            for round in 0..30 {
                let body = json!({
                    "endpoint": format!("gitaly.Service/r{round}"),
                    "key": format!("r{round}"),
                    "operation": "read",
                    "owner": "gitaly",
                    "policy": "open",
                });
                send(("POST", "routes".to_owned()), &body);
            }
        });
    });
    app.assert_audit_intact();
}
