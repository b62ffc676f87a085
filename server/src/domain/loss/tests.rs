use switchover::{Mirror, Percent, Setting, Stage};

use super::*;
use crate::domain::command::Command;
use crate::domain::ramping::tests::world::{OWN, World, ramp, start};

const COPIES: Mirror = Mirror {
    read: Percent::ZERO,
    write: Percent::HUNDRED,
};

/// Keys of a data route on the new store, everything copied back.
pub(in crate::domain) fn doubled(setting: Setting) -> World {
    let mut world = World::new(OWN, Stage::OptIn);
    world.facts.route.spec.operation = Operation::Write;
    world.rollout.mirror.shares = COPIES;
    world.rollout.data.mirrored_since = Some(start());
    world.set(setting);
    world
}

fn risk(world: &World) -> LossRisk {
    let kind = world.facts.environment.kind;
    LossRisk::of(&world.rollout, &world.facts.route, kind, &world.facts.gap)
}

#[test]
fn going_back_costs_nothing_while_everything_is_copied_back() {
    let mut world = doubled(ramp("50"));
    assert_eq!(risk(&world), LossRisk::None);
    world.done(Command::Halt);
    assert_eq!(world.rollout.mirror.shares, COPIES);
    assert_eq!(world.rollout.data.diverged_since, None);
}

#[test]
fn each_gap_has_its_price() {
    let told = |setting: Setting, change: fn(&mut World)| {
        let mut world = doubled(setting);
        change(&mut world);
        risk(&world)
    };
    let half = ramp("50");
    let at_risk = |writes| LossRisk::AtRisk { writes };
    assert_eq!(
        told(half, |world| world.facts.gap.repairs = 3),
        at_risk(Some(3))
    );
    assert_eq!(
        told(half, |world| world.facts.gap.unverified = true),
        at_risk(None)
    );
    assert_eq!(
        told(half, |world| {
            world.facts.gap.diverged_since = Some(start());
            world.facts.gap.writes_since = Some(812);
        }),
        at_risk(Some(812))
    );
    let gone = |world: &mut World| world.rollout.data.no_return_since = Some(start());
    let needs_restore = LossRisk::NeedsRestore { since: start() };
    assert_eq!(told(Setting::On, gone), needs_restore);
    // The old store is the authority of every key.
    assert_eq!(
        told(ramp("0"), |world| world.facts.gap.repairs = 3),
        LossRisk::None
    );
    assert_eq!(
        told(half, |world| {
            world.facts.gap.repairs = 3;
            world.facts.route.spec.operation = Operation::Read;
        }),
        LossRisk::None
    );
}

#[test]
fn what_goes_back_at_a_price_needs_a_word() {
    let lower = [
        Command::Halt,
        Command::HaltWithoutMirror,
        Command::Set(Setting::Off),
        Command::Set(ramp("10")),
        Command::Demote {
            to: Stage::ReadyForTesting,
            break_glass: false,
            halt: false,
        },
    ];
    for command in lower {
        let mut world = doubled(ramp("50"));
        world.facts.gap.repairs = 2;
        let refusal = world.refused(command.clone());
        let Refusal::LossRisk { risk, detail } = refusal else {
            panic!("{command:?}: {refusal:?}");
        };
        assert_eq!(risk, LossRisk::AtRisk { writes: Some(2) });
        assert!(detail.contains("2 writes are at risk"), "{detail}");
        world.facts.accepts_loss = true;
        world.done(command);
    }
    // More keys go to the new store, or none move: nobody is asked.
    let mut world = doubled(ramp("50"));
    world.facts.gap.repairs = 2;
    world.done(Command::Set(ramp("60")));
    world.done(Command::StopMirror);
}

#[test]
fn a_mirror_that_stops_while_keys_are_on_the_new_store_leaves_a_gap() {
    for command in [Command::StopMirror, Command::HaltWithoutMirror] {
        let mut world = doubled(ramp("50"));
        world.pass(5);
        world.done(command);
        assert_eq!(world.rollout.data.diverged_since, Some(world.facts.now));
        assert_eq!(world.rollout.data.mirrored_since, None);
        assert_eq!(world.rollout.mirror.shares, Mirror::default());
    }
    let mut nothing_moved = doubled(ramp("0"));
    nothing_moved.done(Command::StopMirror);
    assert_eq!(nothing_moved.rollout.data.diverged_since, None);
}
