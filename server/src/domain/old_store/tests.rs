use chrono::{DateTime, Utc};
use switchover::{Mirror, Setting, Stage};

use super::*;
use crate::domain::actor::Role;
use crate::domain::command::Command;
use crate::domain::evidence::Evidence;
use crate::domain::facts::Stores;
use crate::domain::loss::tests::doubled;
use crate::domain::ramping::tests::world::{World, ramp};

fn backup(world: &World, at: DateTime<Utc>) -> Evidence {
    Evidence {
        id: "e".to_owned(),
        route: world.rollout.route.clone(),
        environment: world.rollout.environment.clone(),
        kind: EvidenceKind::Backup,
        verdict: Verdict::Pass,
        url: Some("s3://backups/old".to_owned()),
        summary: "restored into a scratch database".to_owned(),
        by: "ann".to_owned(),
        at,
    }
}

type Change = fn(&mut World);

/// All that it takes to switch the mirror to the old store off.
fn ready() -> World {
    let mut world = doubled(Setting::On);
    let here = world.rollout.environment.clone();
    let stores = Stores {
        mirrored: true,
        backfill_complete: true,
        consistent: true,
        ..Stores::default()
    };
    world.facts.proof.stores.insert(here, stores);
    let backup = backup(&world, world.facts.now);
    world.facts.proof.evidence.push(backup);
    world
}

fn off() -> Command {
    Command::SetMirror(Mirror::default())
}

#[test]
fn the_point_of_no_return_is_a_step_of_its_own() {
    let mut world = ready();
    world.done(off());
    assert_eq!(world.rollout.data.no_return_since, Some(world.facts.now));
    // Back: what was written since is in the new store alone.
    world.pass(5);
    let since = world.rollout.data.no_return_since;
    world.done(Command::SetMirror(Mirror {
        write: Percent::HUNDRED,
        ..Mirror::default()
    }));
    assert_eq!(world.rollout.data.no_return_since, None);
    assert_eq!(world.rollout.data.diverged_since, since);
}

#[test]
fn everything_that_is_lacking_is_named() {
    let changes: [(&str, Change); 6] = [
        ("not every key", |world| world.set(ramp("80"))),
        ("no backup", |world| world.facts.proof.evidence.clear()),
        ("no backup", |world| {
            world.facts.proof.evidence[0].at -= Duration::days(8);
        }),
        ("no backup", |world| {
            world.facts.proof.evidence[0].verdict = Verdict::Fail;
        }),
        ("backfill", |world| {
            for stores in world.facts.proof.stores.values_mut() {
                stores.backfill_complete = false;
            }
        }),
        ("vanished", |world| world.facts.writing.vanished = 1),
    ];
    for (what, change) in changes {
        let mut world = ready();
        change(&mut world);
        let Refusal::OldStoreNeeded { lacking, .. } = world.refused(off()) else {
            panic!("{what}");
        };
        assert!(
            lacking.len() == 1 && lacking[0].contains(what),
            "{lacking:?}"
        );
    }
    let mut operator = ready();
    operator.facts.environment.production = true;
    operator.as_role(Role::Operator);
    assert!(matches!(operator.refused(off()), Refusal::Forbidden { .. }));
}

#[test]
fn before_keys_move_the_mirror_goes_off_freely() {
    let mut world = doubled(ramp("0"));
    world.done(off());
    assert_eq!(world.rollout.data.no_return_since, None);
    assert_eq!(world.rollout.data.diverged_since, None);
    let mut halted = doubled(ramp("50"));
    halted.done(Command::Halt);
    halted.done(off());
    assert_eq!(halted.rollout.data.no_return_since, None);
    // A resume would take keys to a store that lacks what was written since.
    assert_eq!(halted.rollout.data.diverged_since, Some(halted.facts.now));
    let refusal = halted.refused(Command::Resume);
    assert!(
        matches!(refusal, Refusal::StoresDiffer { .. }),
        "{refusal:?}"
    );
}

#[test]
fn mandatory_needs_the_old_store_out_of_use() {
    let promote = Command::Promote {
        to: Stage::Mandatory,
        break_glass: false,
    };
    let mut world = ready();
    world.rollout.stage = Stage::OptOut;
    let refusal = world.refused(promote.clone());
    assert!(
        matches!(refusal, Refusal::OldStoreNeeded { .. }),
        "{refusal:?}"
    );
    world.done(off());
    world.done(promote);
}
