//! What `/metrics` tells: of this node, of rollouts, with labels that nobody can multiply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use switchover_server::conductor::Conductor;

use crate::support::{
    App, Engine, Fleet, Remote, Reply, Who, at, calls_of, eventually, on_both_engines,
};

on_both_engines!(
    rollouts_are_told,
    counters_go_on_on_every_node,
    a_halt_by_a_guard_is_told,
);

/// The text of a scrape.
pub(crate) struct Scrape(String);

impl Scrape {
    pub(crate) fn of(remote: &Remote) -> Scrape {
        let reply: Reply = remote.request("GET", "/metrics").send().expect(200);
        let kind = reply.header("content-type").unwrap();
        assert!(
            kind.starts_with("application/openmetrics-text; version=1.0.0"),
            "{kind}"
        );
        assert!(reply.body.ends_with("# EOF\n"));
        Scrape(reply.body)
    }

    /// The one series with this name and these labels, among others.
    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("{name} {labels:?} is not in\n{}", self.0))
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels
                    .iter()
                    .all(|(name, value)| line.contains(&format!("{name}=\"{value}\"")))
        };
        let line = self.0.lines().find(has)?;
        line.rsplit(' ').next().unwrap().parse().ok()
    }

    fn series(&self, name: &str) -> usize {
        self.0.lines().filter(|line| line.starts_with(name)).count()
    }
}

const PLACE: [(&str, &str); 2] = [("route", "a"), ("environment", "dev")];

fn placed<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    PLACE.into_iter().chain(more.iter().copied()).collect()
}

/// What was read is kept for a moment: the next scrape but one tells for certain.
fn soon<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    eventually(what, Duration::from_secs(10), look)
}

fn rollouts_are_told(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    app.set("a", "dev", json!({ "mode": "ramp", "percent": 12.5 }))
        .expect(200);
    let scrape = Scrape::of(&app);
    let stage = placed(&[("stage", "opt_in")]);
    assert_eq!(scrape.value("switchover_rollout_stage", &stage), 1.0);
    assert_eq!(
        scrape.value("switchover_rollout_exposure_ratio", &PLACE),
        0.125
    );
    assert_eq!(scrape.value("switchover_rollout_halted", &PLACE), 0.0);
    assert_eq!(scrape.value("switchover_build_info", &[]), 1.0);
    assert_eq!(scrape.value("switchover_database_up", &[]), 1.0);
    assert_eq!(scrape.value("switchover_rollouts_left_out", &[]), 0.0);
    assert!(scrape.value("switchover_snapshot_age_seconds", &[]) < 30.0);
    assert!(scrape.value("switchover_revision", &[("environment", "dev")]) > 0.0);
    let promoted = [("action", "promote"), ("by", "person")];
    assert_eq!(scrape.value("switchover_changes_total", &promoted), 1.0);
    let writes = [("database", "record"), ("kind", "write")];
    assert!(scrape.value("switchover_transaction_duration_seconds_count", &writes) > 1.0);
    // The first calls show as an increase, because there was a nothing before.
    let new = placed(&[("path", "new"), ("role", "authoritative")]);
    assert_eq!(scrape.value("switchover_route_calls_total", &new), 0.0);

    let body = json!({ "reason": "test" });
    app.post(Who::OPERATOR, &at("a", "dev", "halt"), &body)
        .expect(200);
    let scrape = Scrape::of(&app);
    assert_eq!(scrape.value("switchover_rollout_halted", &PLACE), 1.0);
    assert_eq!(
        scrape.value("switchover_rollout_halted_by_guard", &PLACE),
        0.0
    );
    assert_eq!(
        scrape.value("switchover_rollout_exposure_ratio", &PLACE),
        0.0
    );

    // A stream of an SDK, which has its own.
    let stream = app.stream(&app.sdk_key("dev"), None);
    assert_eq!(stream.event(Duration::from_secs(5)).0, "snapshot");
    let sdk = [("reader", "sdk")];
    assert_eq!(Scrape::of(&app).value("switchover_streams", &sdk), 1.0);
}

fn counters_go_on_on_every_node(engine: Engine) {
    let app = App::start(engine);
    app.route("a");
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    let fleet = Fleet::new(app.sdk_key("dev"), 2);
    let new = placed(&[("path", "new"), ("role", "authoritative")]);
    let calls = |app: &App| Scrape::of(app).value("switchover_route_calls_total", &new);
    fleet.calls(&app, "a", 100, 3);
    soon("the calls of two instances", || {
        (calls(&app) == 200.0).then_some(())
    });
    let scrape = Scrape::of(&app);
    assert_eq!(scrape.value("switchover_route_errors_total", &new), 6.0);
    let count = placed(&[("path", "new")]);
    let name = "switchover_route_call_duration_seconds";
    assert_eq!(scrape.value(&format!("{name}_count"), &count), 200.0);
    let within = placed(&[("path", "new"), ("le", "+Inf")]);
    assert_eq!(scrape.value(&format!("{name}_bucket"), &within), 200.0);
    assert!(scrape.value(&format!("{name}_sum"), &count) > 0.0);
    let dev = [("environment", "dev")];
    assert_eq!(scrape.value("switchover_instances", &dev), 2.0);
    assert_eq!(scrape.value("switchover_instances_behind", &dev), 0.0);

    // Another node, or this one after a restart, tells the same: nothing is counted anew, or twice.
    let other = App::over(Arc::clone(app.database()));
    assert_eq!(calls(&other), 200.0);
    // Whatever windows are forgotten.
    app.advance(chrono::Duration::days(31));
    fleet.calls(&app, "a", 50, 0);
    soon("the calls go on", || (calls(&app) == 300.0).then_some(()));
    soon("on every node", || (calls(&other) == 300.0).then_some(()));
}

fn a_halt_by_a_guard_is_told(engine: Engine) {
    let app = App::start(engine);
    let guard =
        json!({ "name": "errors", "measure": "error_rate", "limit": 0.01, "action": "halt" });
    let policy = json!({ "policy": { "name": "watched", "guards": [guard] }, "reason": "test" });
    app.post(Who::ADMIN, "policies", &policy).expect(201);
    app.route_with("a", json!({ "policy": "watched" }));
    app.promote(Who::MAINTAINER, "a", "dev", "opt_in")
        .expect(201);
    let state = |state: &str| {
        let labels = placed(&[("guard", "errors"), ("action", "halt"), ("state", state)]);
        Scrape::of(&app).value("switchover_guard_state", &labels)
    };
    assert_eq!((state("insufficient"), state("breach")), (1.0, 0.0));
    let fleet = Fleet::new(app.sdk_key("dev"), 4);
    let mut conductor = Conductor::new(Arc::clone(app.services()));
    for _ in 0..4 {
        fleet.calls(&app, "a", 100, 30);
        conductor.tick();
    }
    soon("the halt is told", || {
        let scrape = Scrape::of(&app);
        let by_guard = scrape.value("switchover_rollout_halted_by_guard", &PLACE);
        (by_guard == 1.0).then_some(())
    });
    let scrape = Scrape::of(&app);
    let halts = [("action", "halt"), ("by", "guard")];
    assert_eq!(scrape.value("switchover_changes_total", &halts), 1.0);
    assert_eq!(scrape.value("switchover_leader", &[]), 1.0);
}

#[test]
fn nobody_multiplies_labels() {
    let app = App::start(Engine::Sqlite);
    app.route("a");
    let count = || Scrape::of(&app).series("switchover_http_request_duration_seconds_count");
    app.get("routes/none").code(404);
    app.request("GET", "/nowhere/0").send();
    app.request("BREW", "/nowhere/0").send();
    app.request("GET", "/healthz").send().expect(200);
    Scrape::of(&app);
    let before = count();
    for number in 0..50 {
        app.get(&format!("routes/none_{number}")).code(404);
        app.request("GET", &format!("/nowhere/{number}")).send();
        app.request(&format!("BREW{number}"), "/nowhere/0").send();
        app.request("GET", &format!("/nowhere/{number}/x?y={number}"))
            .send();
    }
    assert_eq!(count(), before);
    let scrape = Scrape::of(&app);
    let labels = [
        ("method", "GET"),
        ("endpoint", "/api/v1/routes/{route}"),
        ("status", "4xx"),
    ];
    let name = "switchover_http_request_duration_seconds_count";
    assert_eq!(scrape.value(name, &labels), 51.0);
    let labels = [("endpoint", "/healthz"), ("status", "2xx")];
    assert_eq!(scrape.value(name, &labels), 1.0);
}

#[test]
fn without_its_database_a_node_tells_what_it_knows() {
    let app = App::start(Engine::Postgres);
    app.route("a");
    app.set("a", "dev", json!({ "mode": "on" })).expect(200);
    Fleet::new(app.sdk_key("dev"), 1).report(&app, |_| vec![calls_of("a", 10, 0)]);
    let new = placed(&[("path", "new"), ("role", "authoritative")]);
    soon("the calls", || {
        let calls = Scrape::of(&app).value("switchover_route_calls_total", &new);
        (calls == 10.0).then_some(())
    });
    app.database().cut_off();
    soon("the database is away", || {
        let asked = Instant::now();
        let scrape = Scrape::of(&app);
        // Prometheus waits for ten seconds.
        assert!(
            asked.elapsed() < Duration::from_secs(9),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(scrape.value("switchover_route_calls_total", &new), 10.0);
        assert_eq!(
            scrape.value("switchover_rollout_exposure_ratio", &PLACE),
            1.0
        );
        (scrape.value("switchover_database_up", &[]) == 0.0).then_some(())
    });
    let asked = Instant::now();
    let scrape = Scrape::of(&app);
    assert!(
        asked.elapsed() < Duration::from_millis(500),
        "{:?}",
        asked.elapsed()
    );
    assert!(scrape.value("switchover_snapshot_age_seconds", &[]) >= 5.0);
    app.database().reconnect();
    soon("the database is back", || {
        let up = Scrape::of(&app).value("switchover_database_up", &[]);
        (up == 1.0).then_some(())
    });
}
