//! Handles: the same answers as the decision itself, by way of the word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use switchover::testing::{self, TestClient};
use switchover::{
    Client, EnvironmentKind, Overrides, Path, Percent, Reason, Rollout, RouteSpec, Setting, Source,
    Stage,
};
use tracing::Level;

use crate::{logs, vectors};

#[test]
fn vectors_pass_through_the_handle() {
    for vector in vectors::all() {
        let client = TestClient::new(
            vector.environment_kind,
            Overrides::from_iter(vector.env.clone()),
        );
        // Resolved before and after the snapshot: both kinds of handle must agree.
        let before = client.route(&vector.route);
        client.set_rollouts(vector.routes.clone());
        let after = client.route(&vector.route);
        for route in [before, after] {
            let key = vector.key.as_deref();
            assert_eq!(route.path(key), vector.expect.path, "{}", vector.name);
            let decision = route.decide(key);
            assert_eq!(decision.path, vector.expect.path, "{}", vector.name);
            assert_eq!(decision.reason, vector.expect.reason, "{}", vector.name);
            assert_eq!(route.explain(key).decision, decision, "{}", vector.name);
        }
    }
}

fn ramp(thousandths: u32) -> Setting {
    Setting::Ramp {
        percent: Percent::from_thousandths(thousandths).unwrap(),
    }
}

#[test]
fn without_a_key_only_a_full_ramp_is_new() {
    let client = testing::client();
    let route = client.route("blame");
    client.set_setting("blame", ramp(99_999));
    assert_eq!(route.path(()), Path::Old);
    assert_eq!(route.path(None::<u64>), Path::Old);
    client.set_setting("blame", ramp(100_000));
    assert_eq!(route.path(()), Path::New);
    client.set_setting("blame", ramp(0));
    assert_eq!(route.path(7), Path::Old);
}

#[test]
fn an_integer_is_its_decimal_text() {
    let client = testing::client();
    let route = client.route("blame");
    client.set_setting("blame", ramp(30_000));
    let mut new = 0;
    for n in -500..500_i64 {
        assert_eq!(route.path(n), route.path(n.to_string()));
        new += i32::from(route.path(n) == Path::New);
    }
    assert!((230..370).contains(&new), "{new}");
}

#[test]
fn one_key_has_one_slot() {
    let client = testing::client();
    let (first, second) = (client.route("blame"), client.route(String::from("blame")));
    assert_eq!(
        first.call(1).old(|| Ok::<_, ()>(1)).new(|| Ok(2)).run(),
        Ok(1)
    );
    assert_eq!(second.stats().old.calls, 1);
}

#[test]
fn the_codes_stage_is_decided_as_on_premises() {
    let start = |variables: &[(&str, &str)]| {
        let overrides = Overrides::from_iter(variables.iter().copied());
        Client::builder().overrides(overrides).start().unwrap()
    };
    let spec = || {
        RouteSpec::new("count_commits")
            .flag("GITALY_COUNT_COMMITS")
            .stage(Stage::OptIn)
    };
    let decide = |variables: &[(&str, &str)]| start(variables).route(spec()).decide(1);
    let decision = decide(&[]);
    assert_eq!(decision.reason, Reason::DefaultOff);
    assert_eq!(decision.source, Some(Source::Compiled));
    assert_eq!(
        decide(&[("GITALY_COUNT_COMMITS", "1")]).reason,
        Reason::EnvOn
    );
    assert_eq!(
        decide(&[("GITALY_FEATURE_DEFAULT_ON", "1")]).reason,
        Reason::EnvDefaultOn
    );
    // Without a flag of its own the variable is the key's.
    let client = start(&[("BLAME", "0")]);
    let route = client.route(RouteSpec::new("blame").stage(Stage::OptOut));
    assert_eq!(route.path(1), Path::Old);
}

#[test]
fn what_is_no_key_or_flag_is_told_once_and_takes_the_old_path() {
    logs::listen();
    let client = Client::builder()
        .overrides(Overrides::none())
        .start()
        .unwrap();
    for _ in 0..3 {
        let route = client.route(RouteSpec::new("No Key").stage(Stage::Mandatory));
        assert_eq!(route.path("a"), Path::Old);
        assert_eq!(route.decide("a").reason, Reason::UnknownRoute);
    }
    assert_eq!(logs::with(Level::WARN, "a route key is").len(), 1);
    let route = client.route(
        RouteSpec::new("wrong_flag")
            .flag("no flag")
            .stage(Stage::Mandatory),
    );
    assert_eq!(route.path("a"), Path::Old);
    assert_eq!(logs::with(Level::WARN, "wrong_flag").len(), 1);
}

#[test]
fn a_second_stage_in_the_code_does_not_count() {
    logs::listen();
    let client = Client::builder()
        .overrides(Overrides::none())
        .start()
        .unwrap();
    let spec = |stage| RouteSpec::new("two_stages").stage(stage);
    let first = client.route(spec(Stage::OptOut));
    let second = client.route(spec(Stage::ReadyForTesting));
    let plain = client.route("two_stages");
    for route in [first, second, plain] {
        assert_eq!(route.path("a"), Path::New);
    }
    assert_eq!(logs::with(Level::WARN, "two_stages").len(), 1);
}

#[test]
fn a_wrong_variable_is_told_once_per_process() {
    logs::listen();
    for _ in 0..2 {
        let overrides = Overrides::from_iter([("TOLD_ONCE", "true")]);
        let client = TestClient::new(EnvironmentKind::Hosted, overrides);
        client.set("told_once", Path::New);
        client.set("told_once", Path::Old);
        assert_eq!(client.route("told_once").path(()), Path::Old);
    }
    let lines = logs::with(Level::WARN, "TOLD_ONCE is ignored");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

/// Under a writer that moves a group of routes between two ramps, two groups and cohorts, a reader
/// only ever sees answers that one of these states gives.
#[test]
fn readers_never_see_a_torn_ramp() {
    let client = Arc::new(testing::client());
    let state = |group: &str, share: u32, cohort: bool| {
        let mut rollout = Rollout::at("BLAME".parse().unwrap(), Stage::OptIn);
        rollout.setting = ramp(share);
        rollout.ramp_group = Some(group.into());
        if cohort {
            rollout.include.insert("nobody".into());
        }
        rollout
    };
    let states = [
        state("one", 20_000, false),
        state("two", 80_000, false),
        state("one", 20_000, true),
    ];
    let route = client.route("blame");
    // The keys that are new in every state; with share and seed mixed up, some would not be.
    let mut keys: Vec<String> = (0..2_000).map(|n: u32| n.to_string()).collect();
    for state in &states {
        client.set_rollout("blame", state.clone());
        keys.retain(|key| route.path(key) == Path::New);
    }
    assert!(keys.len() > 100, "{}", keys.len());
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (route, keys, done) = (route.clone(), keys.clone(), Arc::clone(&done));
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    for key in &keys {
                        assert_eq!(route.path(key), Path::New);
                    }
                }
            })
        })
        .collect();
    let end = std::time::Instant::now() + Duration::from_millis(200);
    for state in states.iter().cycle() {
        client.set_rollout("blame", state.clone());
        if std::time::Instant::now() > end {
            break;
        }
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn cohorts_and_requirements_ask_the_snapshot() {
    let client = testing::client();
    let (route, base) = (client.route("blame"), client.route("base"));
    let mut rollout = Rollout::at("BLAME".parse().unwrap(), Stage::OptOut);
    rollout.requires.insert("base".parse().unwrap());
    rollout.exclude.insert("never".into());
    client.set_rollout("blame", rollout);
    assert_eq!(route.decide("a").reason, Reason::Prerequisite);
    client.set_setting("base", ramp(50_000));
    for n in 0..200 {
        assert_eq!(route.path(n), base.path(n));
    }
    client.set("base", Path::New);
    assert_eq!(route.path("a"), Path::New);
    assert_eq!(route.path("never"), Path::Old);
}
