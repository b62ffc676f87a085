use chrono::Duration;
use serde_json::json;
use switchover::{Mirror, Percent};

use super::*;
use crate::domain::lifecycle::plan;
use crate::domain::ramping::tests::world::{OWN, World, ramp, steps};

/// Does something, and gives what the record says of it.
fn recorded(world: &mut World, command: Command) -> AuditEntry {
    let facts = &world.facts;
    let transition = plan(&world.rollout, &command, facts).unwrap().unwrap();
    let (before, after) = transition.record();
    world.rollout = transition.after().clone();
    AuditEntry {
        seq: 1,
        at: facts.now,
        actor: facts.actor.clone(),
        action: transition.action().to_owned(),
        route: Some("find".to_owned()),
        environment: Some("dev".to_owned()),
        reason: "test".to_owned(),
        before,
        after,
    }
}

fn keys(text: &str) -> Cohort {
    text.split_whitespace().map(Box::from).collect()
}

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

/// Does it, undoes it, and expects to be where it began, as far as paths and mirrors go.
#[track_caller]
fn there_and_back(world: &mut World, command: Command) {
    let before = world.rollout.clone();
    let entry = recorded(world, command);
    let undo = undoing(&entry, &world.rollout).unwrap();
    recorded(world, undo);
    assert_eq!(world.rollout.deciding(), before.deciding());
    assert_eq!(world.rollout.mirror.shares, before.mirror.shares);
}

#[test]
fn what_can_be_undone_leads_back() {
    let mut world = World::new(OWN, Stage::OptIn);
    let promote = Command::Promote {
        to: Stage::OptOut,
        break_glass: false,
    };
    there_and_back(&mut world, promote);
    there_and_back(&mut world, Command::Set(ramp("20")));
    there_and_back(&mut world, Command::Halt);
    let cohorts = Command::SetCohorts {
        include: keys("a b"),
        exclude: keys("c"),
    };
    there_and_back(&mut world, cohorts);
    let mirror = Command::SetMirror(Mirror {
        read: percent("5"),
        write: Percent::ZERO,
    });
    there_and_back(&mut world, mirror.clone());
    recorded(&mut world, mirror);
    there_and_back(&mut world, Command::StopMirror);
    recorded(&mut world, Command::Set(ramp("0")));
    recorded(&mut world, Command::PlanRamp(steps("10:1h 100:1h")));
    there_and_back(&mut world, Command::PlanRamp(steps("50:1h")));
    let back = Command::Demote {
        to: Stage::ReadyForTesting,
        break_glass: false,
        halt: false,
    };
    let mut world = World::new(OWN, Stage::OptIn);
    there_and_back(&mut world, back);
    recorded(&mut world, Command::Halt);
    there_and_back(&mut world, Command::Resume);
}

#[test]
fn a_ramp_is_paused_and_resumed_and_its_first_step_taken_back() {
    let mut world = World::new(OWN, Stage::OptIn);
    recorded(&mut world, Command::Set(ramp("0")));
    recorded(&mut world, Command::PlanRamp(steps("10:1h 100:1h")));
    let started = recorded(&mut world, Command::StartRamp);
    assert_eq!(
        undoing(&started, &world.rollout),
        Ok(Command::Set(ramp("0")))
    );
    let paused = recorded(&mut world, Command::PauseRamp);
    assert_eq!(undoing(&paused, &world.rollout), Ok(Command::ResumeRamp));
    let resumed = recorded(&mut world, Command::ResumeRamp);
    assert_eq!(undoing(&resumed, &world.rollout), Ok(Command::PauseRamp));
    assert!(undoing(&paused, &world.rollout).is_err());
}

#[test]
fn what_was_built_upon_is_not_undone() {
    let mut world = World::new(OWN, Stage::OptIn);
    let set = recorded(&mut world, Command::Set(ramp("20")));
    let halted = recorded(&mut world, Command::Halt);
    recorded(&mut world, Command::Resume);
    recorded(&mut world, Command::Set(ramp("30")));
    let why = undoing(&set, &world.rollout).unwrap_err();
    assert_eq!(why, "the setting has changed since");
    let why = undoing(&halted, &world.rollout).unwrap_err();
    assert_eq!(why, "it has been resumed since");
    world.facts.now += Duration::minutes(1);
    recorded(&mut world, Command::Halt);
    let why = undoing(&halted, &world.rollout).unwrap_err();
    assert!(why.starts_with("it was halted anew since"), "{why}");
    recorded(&mut world, Command::Resume);
    let promoted = recorded(
        &mut world,
        Command::Promote {
            to: Stage::OptOut,
            break_glass: false,
        },
    );
    let demoted = recorded(
        &mut world,
        Command::Demote {
            to: Stage::ReadyForTesting,
            break_glass: false,
            halt: false,
        },
    );
    assert!(undoing(&promoted, &world.rollout).is_err());
    let why = undoing(&demoted, &world.rollout).unwrap_err();
    assert!(why.ends_with("as far as opt_out"), "{why}");
}

#[test]
fn what_is_no_change_of_this_rollout_is_not_undone() {
    let mut world = World::new(OWN, Stage::OptIn);
    let entry = recorded(&mut world, Command::Set(ramp("20")));
    let elsewhere = AuditEntry {
        environment: Some("staging".to_owned()),
        ..entry.clone()
    };
    assert!(undoing(&elsewhere, &world.rollout).is_err());
    let other = AuditEntry {
        action: "evidence".to_owned(),
        ..entry.clone()
    };
    assert!(undoing(&other, &world.rollout).is_err());
    let unreadable = AuditEntry {
        before: json!({ "setting": { "mode": "sideways" } }),
        ..entry.clone()
    };
    let why = undoing(&unreadable, &world.rollout).unwrap_err();
    assert!(why.contains("its setting was"), "{why}");
    let by_name = recorded(
        &mut world,
        Command::SetCohorts {
            include: keys("a"),
            exclude: Cohort::new(),
        },
    );
    let mut by_name = by_name;
    by_name.before["include_cohorts"] = json!(["beta"]);
    assert!(undoing(&by_name, &world.rollout).is_err());
}
