use chrono::Duration;
use proptest::prelude::*;
use switchover::Stage;

use super::*;
use crate::domain::doubling::Hold;
use crate::domain::lifecycle::Command;
use crate::domain::ramping::tests::world::{OWN, RAMPED, World, ramp, start, steps};

fn effect(world: &World, before: &Rollout, lately: Option<&Lately>) -> Effect {
    let facts = &world.facts;
    let spec = &facts.route.spec;
    let kind = facts.environment.kind;
    Effect::of(
        (before, &world.rollout),
        spec,
        kind,
        (lately, LossRisk::None),
    )
}

fn keys(text: &str) -> Cohort {
    text.split_whitespace().map(Box::from).collect()
}

fn lately(old: u64, new: u64) -> Lately {
    Lately {
        span: Duration::minutes(10),
        old,
        new,
        processes: 3,
    }
}

#[test]
fn a_share_that_rises_moves_that_part_of_what_was_on_the_old_path() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.set(ramp("20"));
    let before = world.rollout.clone();
    world.set(ramp("60"));
    let told = effect(&world, &before, Some(&lately(800, 200)));
    assert_eq!(told.share.before, "20".parse().unwrap());
    assert_eq!(told.share.after, "60".parse().unwrap());
    // Half of 800 calls in ten minutes.
    let moving = told.moving.unwrap();
    assert_eq!((moving.to, moving.per_hour), (Path::New, 2_400));
    assert_eq!(told.processes, Some(3));
    assert!(!told.moves_nobody() && !told.drops_the_setting());

    let back = Effect::of(
        (&world.rollout, &before),
        &world.facts.route.spec,
        EnvironmentKind::Hosted,
        (Some(&lately(400, 600)), LossRisk::None),
    );
    let moving = back.moving.unwrap();
    // Two of three calls of the new path.
    assert_eq!((moving.to, moving.per_hour), (Path::Old, 2_400));
}

#[test]
fn nothing_is_estimated_where_nothing_was_reported() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.set(ramp("0"));
    let before = world.rollout.clone();
    world.set(ramp("100"));
    assert_eq!(effect(&world, &before, None).moving, None);
    assert_eq!(effect(&world, &before, Some(&lately(0, 0))).moving, None);
    let span = Duration::zero();
    let at_once = Lately {
        span,
        ..lately(5, 5)
    };
    assert_eq!(effect(&world, &before, Some(&at_once)).moving, None);
}

#[test]
fn a_promotion_to_opt_in_under_a_ramp_drops_nobody_into_it() {
    let mut world = World::new(RAMPED, Stage::ReadyForTesting);
    world.set(Setting::Off);
    let before = world.rollout.clone();
    world.done(Command::Promote {
        to: Stage::OptIn,
        break_glass: false,
    });
    let told = effect(&world, &before, None);
    assert_eq!(told.share.after, Percent::ZERO);
    let ramp = told.ramp.unwrap();
    assert!(ramp.begins_at_zero, "{ramp:?}");
    assert_eq!(ramp.state.before, None);
    assert_eq!(ramp.state.after, Some("ready"));
}

#[test]
fn a_demotion_to_the_first_stage_drops_what_was_set() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.set(Setting::On);
    let before = world.rollout.clone();
    world.done(Command::Demote {
        to: Stage::ReadyForTesting,
        break_glass: false,
        halt: false,
    });
    let told = effect(&world, &before, None);
    assert!(told.drops_the_setting());
    assert_eq!(told.share.after, Percent::ZERO);
}

#[test]
fn a_halt_treats_nobody_apart_and_beats_every_variable() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.set(ramp("10"));
    world.done(Command::SetCohorts {
        include: keys("a b c d e f g"),
        exclude: keys("z"),
    });
    let before = world.rollout.clone();
    world.done(Command::Halt);
    let told = effect(&world, &before, None);
    assert_eq!(told.included.count.before, 7);
    assert_eq!(told.included.count.after, 0);
    assert_eq!(told.included.leaving.first, ["a", "b", "c", "d", "e"]);
    assert_eq!(told.included.leaving.more(), 2);
    assert_eq!(told.excluded.leaving.count, 1);
    let turn = told.callers[&Caller::FlagOn];
    assert_eq!((turn.before, turn.after), (Path::New, Path::Old));
    assert!(!told.callers[&Caller::FlagOff].is_change());
    assert!(!told.callers.contains_key(&Caller::DefaultOn));
}

#[test]
fn on_premises_opt_out_turns_installations_without_a_variable() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.facts.environment.kind = EnvironmentKind::OnPrem;
    let before = world.rollout.clone();
    world.rollout.stage = Stage::OptOut;
    let told = effect(&world, &before, None);
    let path = |caller: Caller| {
        let turn = told.callers[&caller];
        (turn.before, turn.after)
    };
    assert_eq!(path(Caller::WithoutKey), (Path::Old, Path::New));
    assert_eq!(path(Caller::FlagOn), (Path::New, Path::New));
    assert_eq!(path(Caller::FlagOff), (Path::Old, Path::Old));
    assert_eq!(path(Caller::DefaultOn), (Path::New, Path::New));
    assert_eq!(told.share.before, Percent::ZERO);
    assert_eq!(told.share.after, Percent::HUNDRED);
}

#[test]
fn writes_ask_no_variable() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.facts.route.spec.operation = Operation::Write;
    let told = effect(&world, &world.rollout, None);
    assert_eq!(told.callers.keys().count(), 1);
    assert!(told.moves_nobody());
}

#[test]
fn what_is_announced_is_told_as_it_will_be_made() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.set(ramp("10"));
    let before = world.rollout.clone();
    let mut next = before.clone();
    next.setting = ramp("50");
    world.rollout.data.hold = Some(Box::new(Hold {
        command: Command::Set(ramp("50")),
        actor: world.facts.actor.clone(),
        reason: "test".to_owned(),
        since: start(),
        until: start() + Duration::seconds(2),
        next: next.deciding(),
    }));
    let told = effect(&world, &before, None);
    assert_eq!(told.share.after, "50".parse().unwrap());
    assert_eq!(told.announced_until, Some(start() + Duration::seconds(2)));
    assert_eq!(told.setting.after, ramp("50"));
}

#[test]
fn steps_that_are_only_written_move_nobody() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.set(ramp("5"));
    let before = world.rollout.clone();
    world.done(Command::PlanRamp(steps("10:1h 100:1h")));
    let told = effect(&world, &before, None);
    assert!(told.moves_nobody());
    assert!(!told.ramp.unwrap().begins_at_zero);
}

fn stage() -> impl Strategy<Value = Stage> {
    prop::sample::select(vec![
        Stage::ReadyForTesting,
        Stage::OptIn,
        Stage::OptOut,
        Stage::Mandatory,
    ])
}

fn setting() -> impl Strategy<Value = Setting> {
    prop_oneof![
        Just(Setting::StageDefault),
        Just(Setting::Off),
        Just(Setting::On),
        (0u32..=100).prop_map(|percent| ramp(&percent.to_string())),
    ]
}

proptest! {
    /// What is said of shares and of named keys is what the SDK decides.
    #[test]
    fn shares_and_names_are_what_the_sdk_decides(
        stages in (stage(), stage()),
        settings in (setting(), setting()),
        halted in (any::<bool>(), any::<bool>()),
        named in prop::collection::vec(0usize..6, 0..4),
        on_prem in any::<bool>(),
    ) {
        let kind = if on_prem { EnvironmentKind::OnPrem } else { EnvironmentKind::Hosted };
        let mut world = World::new(OWN, stages.0);
        world.facts.environment.kind = kind;
        let set = |rollout: &mut Rollout, stage, setting, halted: bool, from: usize| {
            rollout.stage = stage;
            rollout.setting = setting;
            rollout.halt = halted.then(|| crate::domain::rollout::Halt {
                at: start(),
                by: "mia".to_owned(),
                reason: "test".to_owned(),
            });
            rollout.include = named.iter().map(|key| Box::from(format!("k{}", key + from))).collect();
            rollout.exclude = named.iter().map(|key| Box::from(format!("x{}", key * from))).collect();
        };
        set(&mut world.rollout, stages.0, settings.0, halted.0, 0);
        let before = world.rollout.clone();
        set(&mut world.rollout, stages.1, settings.1, halted.1, 1);
        let told = effect(&world, &before, None);
        let spec = &world.facts.route.spec;
        let sides = [(&before, told.share.before), (&world.rollout, told.share.after)];
        for (rollout, share) in sides {
            let table = rollout.table(spec, kind).unwrap();
            let path = |key: &str| decide(&table, spec.key.as_str(), &Overrides::none(), Some(key)).path;
            let new = (0..2_000).filter(|key| path(&format!("nobody-{key}")) == Path::New).count();
            let new = f64::from(u32::try_from(new).unwrap());
            let expected = f64::from(share.thousandths()) / 50.0;
            // Five standard deviations of 2,000 draws at the most.
            prop_assert!((new - expected).abs() <= 112.0, "{new} of 2000 at {share}");
            if share == Percent::ZERO || share == Percent::HUNDRED {
                prop_assert_eq!(new, expected);
            }
        }
        let after = world.rollout.table(spec, kind).unwrap();
        let path = |key: &str| decide(&after, spec.key.as_str(), &Overrides::none(), Some(key)).path;
        for key in &told.included.joining.first {
            prop_assert_eq!(path(key), Path::New);
        }
        for key in &told.excluded.joining.first {
            prop_assert_eq!(path(key), Path::Old);
        }
    }
}
