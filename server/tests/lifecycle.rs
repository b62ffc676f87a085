//! What holds after every step of every history, and that both engines tell the same one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Duration};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use switchover::{Overrides, Path, Percent, Setting, Snapshot, Source, Stage, decide};
use switchover_server::domain::exposure::Cohort;
use switchover_server::domain::lifecycle::Command;
use switchover_server::service::Services;
use switchover_server::store::AuditFilter;

use crate::support::{
    App,
    history::{self, ENVIRONMENTS, KEYS, Step, View},
};
use crate::support::{Engine, TestDatabase, Who};

/// Services over a new database, and a way to let time pass.
fn world(engine: Engine) -> (TestDatabase, Services, impl Fn(Duration)) {
    let database = TestDatabase::new(engine);
    let clock = Arc::new(AtomicI64::new(1_767_607_200_000_000));
    let read = Arc::clone(&clock);
    let now = move || DateTime::from_timestamp_micros(read.load(Ordering::SeqCst)).unwrap();
    let services = Services::start(database.open(), Arc::new(now)).unwrap();
    history::prepare(&services);
    let advance = move |by: Duration| {
        clock.fetch_add(by.num_microseconds().unwrap(), Ordering::SeqCst);
    };
    (database, services, advance)
}

fn run(cases: u32, test: impl Fn(Vec<Step>) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&history::history(), test)
        .unwrap();
}

#[test]
fn every_history_keeps_the_rules() {
    run(64, |steps| {
        let (_database, services, advance) = world(Engine::Sqlite);
        let mut before = View::of(&services);
        for step in &steps {
            let said = history::carry_out(&services, step, &advance);
            let after = View::of(&services);
            let told = format!("{step:?}: {said}");
            if said.starts_with("refused")
                && !matches!(
                    step,
                    Step::Advance(..) | Step::AdvanceAll(..) | Step::TryWindow(..)
                )
            {
                prop_assert_eq!(&before, &after, "{}", told);
            }
            moved_by_the_rules(&before, &after, step, &told)?;
            stands_by_the_rules(&after, &told)?;
            published_by_the_rules(&services, &after, &told)?;
            before = after;
        }
        Ok(())
    });
}

/// Each promotion is one stage, with every earlier environment there; nothing leaves mandatory but
/// by break-glass.
fn moved_by_the_rules(
    before: &View,
    after: &View,
    step: &Step,
    told: &str,
) -> Result<(), TestCaseError> {
    // Promotes several stages, each in a step of its own.
    let in_steps = matches!(step, Step::AdvanceAll(..));
    for ((route, environment), (now, place)) in &after.rollouts {
        let was = &before.rollouts[&(route.clone(), environment.clone())].0;
        if now.stage > was.stage {
            prop_assert!(
                in_steps || was.stage.next() == Some(now.stage),
                "{route} {environment}: {told}"
            );
            for earlier in ENVIRONMENTS
                .iter()
                .take_while(|earlier| **earlier != environment.as_str())
            {
                prop_assert!(
                    after.stage(route, earlier) >= now.stage,
                    "{route} {environment}: {told}"
                );
            }
        }
        if now.stage > was.stage {
            prop_assert!(
                was.halt.is_none(),
                "{route} {environment} was halted: {told}"
            );
            let exposed = in_steps || was.exposure(place.kind).is_total();
            prop_assert!(
                now.stage < Stage::Mandatory || exposed,
                "{route} {environment} not every key took the new path: {told}"
            );
        }
        if was.stage == Stage::Mandatory && now.stage < Stage::Mandatory {
            let on_purpose = matches!(
                step,
                Step::Command(who, _, _, Command::Demote { break_glass: true, .. }, _)
                    if who.0 == switchover_server::domain::actor::Role::Admin
            );
            prop_assert!(on_purpose, "{route} {environment}: {told}");
        }
        prop_assert!(now.revision >= was.revision);
        prop_assert_eq!(
            now.revision == was.revision,
            now == was,
            "{} {}: {}",
            route,
            environment,
            told
        );
    }
    Ok(())
}

fn stands_by_the_rules(view: &View, told: &str) -> Result<(), TestCaseError> {
    for route in &view.routes {
        for environment in ENVIRONMENTS {
            let stage = view.stage(route.spec.key.as_str(), environment);
            for required in &route.spec.requires {
                let other = view.stage(required.as_str(), environment);
                prop_assert!(
                    stage <= other,
                    "{} past {required} in {environment}: {told}",
                    route.spec.key
                );
            }
            let final_ = route.retired_at.is_none() || stage == Stage::Mandatory;
            prop_assert!(final_, "{} is retired: {told}", route.spec.key);
        }
    }
    for (place, (rollout, environment)) in &view.rollouts {
        let exposure = rollout.exposure(environment.kind);
        prop_assert!(
            rollout.halt.is_none()
                || rollout.stage == Stage::Mandatory
                || exposure.share == Percent::ZERO
        );
        if rollout.acceptance.is_some() {
            prop_assert_eq!(
                rollout.stage,
                Stage::ReadyForTesting,
                "{:?}: {}",
                place,
                told
            );
        }
        if rollout.stage == Stage::Mandatory {
            prop_assert!(
                exposure.is_total() && rollout.halt.is_none(),
                "{place:?}: {told}"
            );
        }
        if !View::is_guarded(environment) || rollout.stage != Stage::ReadyForTesting {
            continue;
        }
        match &rollout.acceptance {
            None => {
                let none = exposure.share == Percent::ZERO && exposure.include.is_empty();
                prop_assert!(none, "{place:?} exposed without a window: {told}");
            }
            Some(window) => {
                prop_assert!(
                    exposure.share <= window.percent,
                    "{place:?} past its window: {told}"
                );
                let open = window.until > view.now;
                prop_assert!(open, "{place:?}: a window past its end: {told}");
            }
        }
    }
    Ok(())
}

/// What an SDK decides from the published bytes follows from what is on record.
fn published_by_the_rules(
    services: &Services,
    view: &View,
    told: &str,
) -> Result<(), TestCaseError> {
    for environment in ENVIRONMENTS {
        let published = services
            .hub()
            .current(&environment.parse().unwrap())
            .unwrap();
        let bytes = published.snapshot();
        let text = std::str::from_utf8(&bytes).unwrap();
        let snapshot = Snapshot::from_json(text, Source::Live).unwrap();
        for route in &view.routes {
            let key = route.spec.key.as_str();
            let (rollout, place) = &view.rollouts[&(key.to_owned(), environment.to_owned())];
            let exposure = rollout.exposure(place.kind);
            for sample in KEYS {
                let decision = decide(snapshot.table(), key, &Overrides::none(), Some(sample));
                let new = decision.path == Path::New;
                let what = format!("{key} {environment} {sample} {decision:?}: {told}");
                if rollout.stage == Stage::Mandatory {
                    prop_assert!(new, "{}", what);
                    continue;
                }
                prop_assert!(!new || rollout.halt.is_none(), "{}", what);
                let included = exposure.include.contains(sample);
                prop_assert!(
                    !new || included || exposure.share > Percent::ZERO,
                    "{}",
                    what
                );
                prop_assert!(!new || !exposure.exclude.contains(sample), "{}", what);
                let guarded = View::is_guarded(place) && rollout.stage == Stage::ReadyForTesting;
                if new && guarded {
                    let open = rollout
                        .acceptance
                        .as_ref()
                        .is_some_and(|window| window.until > view.now);
                    prop_assert!(open, "exposed before opt-in: {}", what);
                }
                if exposure.share == Percent::HUNDRED && route.spec.requires.is_empty() {
                    prop_assert!(new || exposure.exclude.contains(sample), "{}", what);
                }
            }
        }
    }
    Ok(())
}

/// The last step is for routes that every key takes already.
#[test]
fn nothing_becomes_mandatory_that_not_every_key_takes() {
    let (_database, services, advance) = world(Engine::Sqlite);
    let carry_out = |step| history::carry_out(&services, &step, &advance);
    let keys = |keys: &[&str]| keys.iter().map(|key| Box::from(*key)).collect::<Cohort>();
    let command = |command| Step::Command(Who::MAINTAINER, 0, 0, command, false);
    let cohorts = |include, exclude| command(Command::SetCohorts { include, exclude });
    let almost = Percent::from_thousandths(99_999).unwrap();
    carry_out(Step::AdvanceAll(0, Stage::OptOut));
    for (exposing_less, way_out) in [
        (
            command(Command::Set(Setting::Off)),
            command(Command::Set(Setting::On)),
        ),
        (
            command(Command::Set(Setting::Ramp { percent: almost })),
            command(Command::Set(Setting::Ramp {
                percent: Percent::HUNDRED,
            })),
        ),
        (
            cohorts(keys(&[]), keys(&["k0"])),
            cohorts(keys(&["k1"]), keys(&[])),
        ),
        (command(Command::Halt), command(Command::Resume)),
    ] {
        assert_eq!(carry_out(exposing_less), "done");
        let refused = carry_out(Step::Advance(0, 0, false));
        assert!(
            refused.contains("not every key") || refused.contains("halted"),
            "{refused}"
        );
        assert_eq!(carry_out(way_out), "done");
    }
    assert_eq!(carry_out(Step::Advance(0, 0, false)), "done");
    let rollout = &View::of(&services).rollouts[&("a".to_owned(), "dev".to_owned())].0;
    let left = (rollout.setting, &rollout.include, &rollout.exclude);
    assert_eq!(left, (Setting::StageDefault, &keys(&[]), &keys(&[])));
}

/// The server closes windows when it next looks. Meanwhile a window that has ended lets nothing in.
#[test]
fn a_window_that_has_ended_lets_nothing_in() {
    let (_database, services, advance) = world(Engine::Sqlite);
    let percent = |percent: f64| Percent::try_from(percent).unwrap();
    let command = |command| Step::Command(Who::MAINTAINER, 0, 2, command, false);
    let ramp = |share| {
        command(Command::Set(Setting::Ramp {
            percent: percent(share),
        }))
    };
    let window = Step::OpenWindow(Who::MAINTAINER, 0, 2, 1, percent(50.0), Cohort::new());
    let carry_out = |step| history::carry_out(&services, &step, &advance);
    assert_eq!(carry_out(window), "done");
    assert_eq!(carry_out(ramp(10.0)), "done");
    assert_eq!(carry_out(ramp(50.0)), "done");
    assert!(carry_out(ramp(50.001)).contains("acceptance window"));
    assert_eq!(carry_out(ramp(10.0)), "done");
    advance(Duration::hours(1));
    assert!(carry_out(ramp(50.0)).contains("acceptance window"));
    services.close_windows_due().unwrap();
    let rollout = &View::of(&services).rollouts[&("a".to_owned(), "production".to_owned())].0;
    assert_eq!(
        (rollout.setting, &rollout.acceptance),
        (Setting::StageDefault, &None)
    );
    let newest = &services.audit(&AuditFilter::default(), 1).unwrap()[0].entry;
    assert_eq!(
        (newest.action.as_str(), newest.actor.subject.as_str()),
        ("acceptance_close", "system")
    );
}

#[test]
fn both_engines_tell_the_same_history() {
    run(12, |steps| {
        let (_sqlite, one, advance_one) = world(Engine::Sqlite);
        let (_postgres, two, advance_two) = world(Engine::Postgres);
        for step in &steps {
            let said = history::carry_out(&one, step, &advance_one);
            prop_assert_eq!(
                &said,
                &history::carry_out(&two, step, &advance_two),
                "{:?}",
                step
            );
        }
        prop_assert_eq!(View::of(&one), View::of(&two));
        prop_assert_eq!(record(&one), record(&two));
        for environment in ENVIRONMENTS {
            prop_assert_eq!(published(&one, environment), published(&two, environment));
        }
        for services in [&one, &two] {
            let verified = services.verify_audit(App::keys(), &[]).unwrap();
            prop_assert_eq!(verified.broken, None);
        }
        Ok(())
    });
}

/// The record without what is random.
fn record(services: &Services) -> Vec<String> {
    let entries = services.audit(&AuditFilter::default(), 100_000).unwrap();
    let entries = entries.into_iter().map(|stored| {
        let mut entry = stored.entry;
        for state in [&mut entry.before, &mut entry.after] {
            if let Some(fields) = state.as_object_mut() {
                fields.remove("id");
            }
        }
        serde_json::to_string(&entry).unwrap()
    });
    entries.collect()
}

fn published(services: &Services, environment: &str) -> String {
    let state = services
        .hub()
        .current(&environment.parse().unwrap())
        .unwrap();
    let epoch = services.epoch().unwrap();
    String::from_utf8(state.snapshot().to_vec())
        .unwrap()
        .replace(&epoch, "EPOCH")
}
