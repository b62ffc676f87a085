//! Ramps by example, and against a model that counts minutes.

mod model;
pub(in crate::domain) mod world;

use chrono::{DateTime, Duration, Utc};
use switchover::{EnvironmentKind, Mirror, Percent, Setting, Stage};

use crate::domain::actor::Role;
use crate::domain::approval::ApprovalDigest;
use crate::domain::guard::GuardState;
use crate::domain::lifecycle::Command;
use crate::domain::ramp::{Ramp, Wait};
use crate::domain::refusal::Refusal;
use crate::domain::route::Operation;

use world::{OWN, RAMPED, World, ramp, start, steps};

fn minutes(count: i64) -> DateTime<Utc> {
    start() + Duration::minutes(count)
}

#[test]
fn a_ramp_goes_step_by_step_and_ends() {
    let mut world = World::ramping("10%:1h 50%:30m 80%:0s");
    assert_eq!(world.rollout.setting, ramp("10"), "the first step at once");
    assert_eq!(world.outlook().due, Some(minutes(60)));
    world.pass(59);
    assert!(!world.advance());
    world.pass(1);
    assert!(world.advance() && !world.advance());
    assert_eq!(world.rollout.setting, ramp("50"));
    // After a long outage it goes one step, and holds that.
    world.pass(10_000);
    assert!(world.advance());
    assert_eq!(
        (world.rollout.setting, world.state()),
        (ramp("80"), "running")
    );
    assert!(world.advance() && !world.advance());
    assert_eq!(
        (world.rollout.setting, world.state()),
        (ramp("80"), "finished")
    );
    assert_eq!(world.outlook().due, None);
    assert!(world.outlook().waits.is_empty());
    world.refused(Command::ResumeRamp);
    world.refused(Command::StartRamp);
}

#[test]
fn the_end_of_a_ramp_begins_no_soak_anew() {
    let mut world = World::ramping("100%:1h");
    let since = world.rollout.changed_at;
    world.pass(60);
    assert!(world.advance());
    assert_eq!(
        (world.state(), world.rollout.changed_at),
        ("finished", since)
    );
}

#[test]
fn only_running_time_counts() {
    let mut world = World::ramping("10%:1h 50%:1h");
    world.pass(10);
    world.done(Command::PauseRamp);
    assert!(!world.run(Command::PauseRamp).unwrap(), "twice is once");
    world.pass(500);
    assert!(!world.advance());
    assert_eq!(world.outlook().held, Some(Duration::minutes(10)));
    world.done(Command::ResumeRamp);
    world.pass(10);
    world.done(Command::Halt);
    world.pass(500);
    assert!(!world.advance());
    assert!(world.outlook().waits.contains(&Wait::Halted));
    world.done(Command::Resume);
    assert_eq!(
        world.state(),
        "running",
        "a person's halt only stops the clock"
    );
    world.pass(10);
    world.freeze();
    world.pass(500);
    assert!(!world.advance());
    assert_eq!(
        world.outlook().due,
        None,
        "nobody knows when the freeze ends"
    );
    // Halted and resumed while the freeze is open: the clock still knows what was frozen.
    world.done(Command::Halt);
    world.thaw();
    world.pass(5);
    world.done(Command::Resume);
    assert_eq!(world.outlook().held, Some(Duration::minutes(30)));
    world.pass(29);
    assert!(!world.advance());
    world.pass(1);
    assert!(world.advance());
}

#[test]
fn every_guard_of_the_policy_has_to_pass() {
    let mut world = World::new(RAMPED, Stage::OptIn);
    world.set(ramp("0"));
    world.rollout.ramp = Ramp::of_policy(&world.facts.policy);
    world.as_role(Role::Operator).done(Command::StartRamp);
    world.pass(60);
    for state in [
        None,
        Some(GuardState::Insufficient),
        Some(GuardState::Breach),
    ] {
        world.guard(state);
        assert!(!world.advance(), "{state:?}");
        let waits = world.outlook().waits;
        assert!(matches!(&waits[..], [Wait::Guard { name, .. }] if name == "errors"));
    }
    // A breach holds back what a person wants to raise, too, but not going on after a look at it.
    let maintainer = Command::Set(ramp("20"));
    let refused = world.as_role(Role::Maintainer).refused(maintainer);
    assert!(matches!(refused, Refusal::GuardBreach(_)), "{refused}");
    world.guard(Some(GuardState::Pass));
    // Guards that cannot be asked are not taken for guards that pass.
    world.facts.guards_unread = true;
    let refused = world.refused(Command::Set(ramp("20")));
    assert!(matches!(refused, Refusal::GuardBreach(_)), "{refused}");
    world.facts.guards_unread = false;
    assert!(world.advance());
    assert_eq!(world.rollout.setting, ramp("100"));
}

#[test]
fn an_operator_goes_by_the_steps_of_the_policy() {
    let mut world = World::new(RAMPED, Stage::OptIn);
    world.set(ramp("0"));
    world.as_role(Role::Operator);
    let refused = world.refused(Command::PlanRamp(steps("50%:1h 100%:1h")));
    assert!(matches!(refused, Refusal::Forbidden { .. }), "{refused}");
    world.done(Command::PlanRamp(world.facts.policy.ramp_steps()));
    let refused = world.refused(Command::Set(ramp("10")));
    assert!(matches!(refused, Refusal::Forbidden { .. }), "{refused}");
    world.done(Command::StartRamp);
    world.done(Command::Set(ramp("5")));
    assert_eq!(world.state(), "paused", "who lowers it takes the wheel");
    world.done(Command::ResumeRamp);
    assert_eq!(
        (world.rollout.setting, world.state()),
        (ramp("10"), "running")
    );
    world.done(Command::Halt);
    world.done(Command::Resume);
    world
        .as_role(Role::Maintainer)
        .done(Command::Set(ramp("60")));
    world.as_role(Role::Operator).done(Command::Halt);
    let refused = world.refused(Command::Resume);
    assert!(
        matches!(refused, Refusal::Forbidden { .. }),
        "off the ramp: {refused}"
    );
}

#[test]
fn a_step_that_was_left_by_hand_is_held_anew() {
    let mut world = World::ramping("10%:1h 50%:1h");
    world.pass(50);
    world.done(Command::Set(ramp("5")));
    world.pass(50);
    world.done(Command::ResumeRamp);
    assert_eq!(world.outlook().held, Some(Duration::zero()));
    world.pass(59);
    assert!(!world.advance());
    world.pass(1);
    assert!(world.advance());
}

#[test]
fn a_freeze_holds_start_and_advance() {
    let mut world = World::new(OWN, Stage::OptOut);
    world.set(ramp("0"));
    world.done(Command::PlanRamp(steps("10%:1h 50%:1h")));
    world.freeze();
    let refused = world.refused(Command::StartRamp);
    assert!(matches!(refused, Refusal::Frozen(_)), "{refused}");
    world.thaw();
    world.pass(1);
    world.done(Command::StartRamp);
    world.pass(60);
    world.freeze();
    assert!(!world.advance(), "due, and frozen");
    world.pass(1);
    world.thaw();
    assert!(world.advance());
}

#[test]
fn after_a_guards_halt_it_goes_back_to_what_was_proven() {
    let mut world = World::ramping("10%:1h 50%:1h 100%:1h");
    world.pass(30);
    assert!(world.as_guard(Command::Halt) && !world.as_guard(Command::Halt));
    assert_eq!(world.state(), "paused");
    world.pass(30);
    world.as_role(Role::Operator).done(Command::Resume);
    assert_eq!(
        (world.rollout.setting, world.state()),
        (ramp("0"), "paused"),
        "no step was held"
    );
    world.done(Command::ResumeRamp);
    assert_eq!(world.rollout.setting, ramp("10"));
    world.pass(60);
    assert!(world.advance());
    world.pass(59);
    assert!(world.as_guard(Command::Halt));
    // Twice within a day: somebody else has to look.
    let refused = world.refused(Command::Resume);
    assert!(
        matches!(
            refused,
            Refusal::Forbidden {
                needs: Role::Maintainer,
                ..
            }
        ),
        "{refused}"
    );
    world.as_role(Role::Maintainer).done(Command::Resume);
    assert_eq!(
        (world.rollout.setting, world.state()),
        (ramp("10"), "paused")
    );
    assert!(!world.advance());
    world.done(Command::ResumeRamp);
    assert_eq!(world.outlook().held, Some(Duration::zero()), "held anew");
    // A day and more later one halt is one halt again, and 10 % stays what was proven.
    world.pass(24 * 60 + 1);
    assert!(world.as_guard(Command::Halt));
    world.as_role(Role::Operator).done(Command::Resume);
    assert_eq!(world.rollout.setting, ramp("10"));
}

#[test]
fn a_guards_halt_raises_nothing_when_it_ends() {
    let mut lowered = World::ramping("10%:0s 50%:0s");
    assert!(lowered.advance());
    lowered.done(Command::Set(Setting::Off));
    assert!(lowered.as_guard(Command::Halt));
    lowered.done(Command::Resume);
    assert_eq!(lowered.rollout.setting, Setting::Off);
    let mut without = World::new(OWN, Stage::OptIn);
    without.set(ramp("30"));
    assert!(without.as_guard(Command::Halt));
    without.as_role(Role::Operator).done(Command::Resume);
    assert_eq!(
        without.rollout.setting,
        ramp("30"),
        "without a plan it stays as it was"
    );
    assert!(!without.as_guard(Command::PauseRamp), "nothing to pause");
}

#[test]
fn a_finished_ramp_is_looked_at_again_after_a_guards_halt() {
    let mut world = World::ramping("10%:0s 50%:1h");
    assert!(world.advance());
    world.pass(60);
    assert!(world.advance());
    assert_eq!(world.state(), "finished");
    assert!(world.as_guard(Command::Halt));
    world.done(Command::Resume);
    assert_eq!(
        (world.rollout.setting, world.state()),
        (ramp("50"), "paused")
    );
    world.done(Command::ResumeRamp);
    world.pass(60);
    assert!(world.advance());
    assert_eq!(world.state(), "finished");
}

#[test]
fn ramps_have_their_place() {
    let put = || Command::PlanRamp(steps("10%:1h"));
    let mut testing = World::new(OWN, Stage::ReadyForTesting);
    let refused = testing.refused(put()).to_string();
    assert!(refused.contains("acceptance window"), "{refused}");
    let mut last = World::new(OWN, Stage::Mandatory);
    assert!(matches!(last.refused(put()), Refusal::Mandatory(_)));
    let mut on_prem = World::new(OWN, Stage::OptIn);
    on_prem.facts.environment.kind = EnvironmentKind::OnPrem;
    let refused = on_prem.refused(put()).to_string();
    assert!(refused.contains("release"), "{refused}");
    let mut none = World::new(OWN, Stage::OptIn);
    for command in [Command::StartRamp, Command::PauseRamp, Command::ResumeRamp] {
        let refused = none.refused(command).to_string();
        assert!(refused.contains("ramp set find dev"), "{refused}");
    }
    let mut halted = World::new(OWN, Stage::OptIn);
    halted.done(put());
    halted.done(Command::Halt);
    assert!(matches!(
        halted.refused(Command::StartRamp),
        Refusal::Halted(_)
    ));
    let mut running = World::ramping("10%:1h");
    running.refused(Command::PlanRamp(steps("20%:1h")));
    running.done(Command::PauseRamp);
    running.done(Command::PlanRamp(steps("20%:1h")));
    assert_eq!(running.state(), "ready");
    for wrong in ["10%:1h 10%:1h", "0%:1h", "10%:91d", "20%:1h 10%:1h"] {
        let refused = running.refused(Command::PlanRamp(steps(wrong)));
        assert!(
            matches!(refused, Refusal::Invalid { .. }),
            "{wrong}: {refused}"
        );
    }
    running.refused(Command::PlanRamp(Vec::new()));
}

#[test]
fn stages_bring_and_end_ramps() {
    let mut world = World::new(RAMPED, Stage::ReadyForTesting);
    let to = |to| Command::Promote {
        to,
        break_glass: false,
    };
    world.done(to(Stage::OptIn));
    assert_eq!((world.rollout.setting, world.state()), (ramp("0"), "ready"));
    assert_eq!(world.ramp().steps, steps("10%:1h 100%:2h"));
    assert!(!world.advance(), "by hand");
    world.guard(Some(GuardState::Pass));
    world.done(Command::StartRamp);
    for passed in [60, 120] {
        world.pass(passed);
        assert!(world.advance());
    }
    assert_eq!(world.state(), "finished");
    world.done(to(Stage::OptOut));
    assert_eq!(
        (world.rollout.setting, &world.rollout.ramp),
        (Setting::StageDefault, &None)
    );
    let mut back = World::ramping("10%:1h");
    back.rollout.stage = Stage::OptOut;
    let demote = |to| Command::Demote {
        to,
        break_glass: false,
        halt: false,
    };
    back.done(demote(Stage::OptIn));
    assert_eq!((back.rollout.setting, back.state()), (ramp("10"), "paused"));
    back.done(demote(Stage::ReadyForTesting));
    assert_eq!(back.rollout.ramp, None);

    let by_itself = RAMPED.replace("\"ramp\"", "\"ramp_start\":\"at_promotion\",\"ramp\"");
    let mut eager = World::new(&by_itself, Stage::ReadyForTesting);
    eager.done(to(Stage::OptIn));
    assert_eq!(
        eager.rollout.setting,
        ramp("0"),
        "in the promotion itself nothing is exposed"
    );
    eager.guard(Some(GuardState::Breach));
    assert!(!eager.advance());
    // At nothing there is nothing to report.
    eager.guard(Some(GuardState::Insufficient));
    assert!(eager.advance());
    assert_eq!(
        (eager.rollout.setting, eager.state()),
        (ramp("10"), "running")
    );
}

#[test]
fn the_steps_of_an_approved_ramp_do_not_void_an_approval() {
    let digest = |world: &World| ApprovalDigest::of(&world.facts, &world.rollout, Stage::OptOut);
    let mut world = World::new(RAMPED, Stage::ReadyForTesting);
    world.done(Command::Promote {
        to: Stage::OptIn,
        break_glass: false,
    });
    let approved = digest(&world);
    world.guard(Some(GuardState::Pass));
    world.done(Command::StartRamp);
    assert_eq!(digest(&world), approved);
    world.done(Command::PauseRamp);
    world.done(Command::ResumeRamp);
    for passed in [60, 120] {
        world.pass(passed);
        assert!(world.advance());
        assert_eq!(digest(&world), approved, "{}", world.state());
    }
    let finished = world.rollout.clone();
    for by_hand in [Setting::On, Setting::StageDefault, ramp("99"), Setting::Off] {
        world.rollout = finished.clone();
        world.done(Command::Set(by_hand));
        assert_ne!(digest(&world), approved, "{by_hand:?}");
    }
    world.rollout = finished;
    world.done(Command::PlanRamp(steps("10%:1h 100%:3h")));
    assert_ne!(digest(&world), approved, "another plan");
}

#[test]
fn mirrors_are_for_what_can_run_twice() {
    let shares = |read, write| Mirror {
        read: Percent::from_thousandths(read).unwrap(),
        write: Percent::from_thousandths(write).unwrap(),
    };
    let mut world = World::new(OWN, Stage::ReadyForTesting);
    world.done(Command::SetMirror(shares(1_000, 100_000)));
    assert!(
        !world
            .run(Command::SetMirror(shares(1_000, 100_000)))
            .unwrap()
    );
    assert!(world.as_guard(Command::StopMirror) && !world.as_guard(Command::StopMirror));
    assert_eq!(world.rollout.mirror.shares, Mirror::default());
    let stopped = world.rollout.mirror.stopped.clone().unwrap();
    assert_eq!(
        (stopped.by.as_str(), stopped.reason.as_str()),
        ("guard:errors", "test")
    );
    world.done(Command::SetMirror(shares(0, 50_000)));
    assert_eq!(world.rollout.mirror.stopped, None);
    world.facts.route.spec.operation = Operation::Call;
    world.refused(Command::SetMirror(shares(1_000, 50_000)));
    world.done(Command::SetMirror(Mirror::default()));
    let mut last = World::new(OWN, Stage::Mandatory);
    assert!(matches!(
        last.refused(Command::SetMirror(shares(1, 0))),
        Refusal::Mandatory(_)
    ));
}
