use chrono::Duration;
use switchover::{EnvironmentKind, Percent, Setting, Stage};

use super::*;
use crate::domain::command::Command;
use crate::domain::doubling::Hold;
use crate::domain::gate::answer::{GateReport, GateState};
use crate::domain::guard::GuardState;
use crate::domain::preparation::{Decision, Mark, Preparation};
use crate::domain::ramping::tests::world::{OWN, RAMPED, World, ramp, start};
use crate::domain::rollout::Halt;

fn gate(name: &'static str, state: GateState) -> GateReport {
    GateReport {
        gate: name,
        state,
        detail: String::new(),
        numbers: Default::default(),
        remedy: String::new(),
    }
}

/// What comes next, and for whom, where these gates answer.
fn with(world: &mut World, gates: &[GateReport]) -> (String, String) {
    let outlook = world.rollout.ramp.is_some().then(|| world.outlook());
    let next = NextAction::of(&world.rollout, &world.facts, gates, outlook.as_ref());
    (next.what.told(), next.by.told())
}

fn next(world: &mut World) -> (String, String) {
    let passing = [gate("order", GateState::Pass)];
    with(world, &passing)
}

#[track_caller]
fn says(world: &mut World, what: &str, by: &str) {
    assert_eq!(next(world), (what.to_owned(), by.to_owned()));
}

fn soaking(stage: Stage) -> World {
    let policy = r#"{"name":"own","gates":{
        "opt_out":[{"gate":"soak","days":2}],
        "mandatory":[{"gate":"soak","full_exposure_days":3}]}}"#;
    World::new(policy, stage)
}

#[test]
fn a_promotion_waits_for_its_gates_and_says_how_many() {
    let mut world = World::new(OWN, Stage::ReadyForTesting);
    says(&mut world, "promote to opt_in", "an operator");
    let lacking = [
        gate("order", GateState::Pass),
        gate("runbook", GateState::Fail),
        gate("approval", GateState::Insufficient),
    ];
    assert_eq!(
        with(&mut world, &lacking).0,
        "satisfy 2 gates for opt_in: runbook, approval"
    );
    assert_eq!(
        with(&mut world, &lacking[1..2]).0,
        "satisfy 1 gate for opt_in: runbook"
    );
    world.facts.environment.production = true;
    says(&mut world, "promote to opt_in", "a maintainer");
}

#[test]
fn time_is_waited_for_when_nothing_else_is_lacking() {
    let mut world = soaking(Stage::OptIn);
    let soak = gate("soak", GateState::Fail);
    assert_eq!(
        with(&mut world, std::slice::from_ref(&soak)),
        (
            "wait: soak ends 2026-03-03 10:00 UTC, then promote to opt_out".to_owned(),
            "by itself".to_owned()
        )
    );
    let both = [soak.clone(), gate("runbook", GateState::Fail)];
    assert_eq!(
        with(&mut world, &both).0,
        "satisfy 2 gates for opt_out: runbook, soak"
    );
    // Time alone does not help while not every key is exposed.
    let mut world = soaking(Stage::OptOut);
    world.set(ramp("50"));
    assert_eq!(
        with(&mut world, &[soak]).0,
        "satisfy 1 gate for mandatory: soak"
    );
}

#[test]
fn the_last_stage_asks_for_every_key() {
    let mut world = World::new(OWN, Stage::OptOut);
    says(&mut world, "promote to mandatory", "an operator");
    world.set(ramp("50"));
    says(
        &mut world,
        "let every key take the new path: mandatory asks for that",
        "an operator",
    );
    world.rollout.stage = Stage::Mandatory;
    says(
        &mut world,
        "nothing: mandatory since 2026-03-01 10:00 UTC",
        "nobody",
    );
    world.facts.route.retired_at = Some(start());
    says(
        &mut world,
        "nothing: retired since 2026-03-01 10:00 UTC",
        "nobody",
    );
}

#[test]
fn data_leaves_its_old_store_before_the_last_stage() {
    let mut world = World::new(OWN, Stage::OptOut);
    world.facts.route.spec.operation = crate::domain::route::Operation::Write;
    world.rollout.mirror.shares.write = Percent::HUNDRED;
    says(
        &mut world,
        "take the old store out of use, after a backup: mandatory asks for that",
        "an operator",
    );
}

#[test]
fn a_ramp_comes_before_the_next_stage() {
    let mut world = World::new(RAMPED, Stage::OptIn);
    world.set(ramp("0"));
    world.done(Command::PlanRamp(world.facts.policy.ramp_steps()));
    says(&mut world, "start the ramp, at 10 %", "an operator");
    world.done(Command::StartRamp);
    world.guard(Some(GuardState::Pass));
    says(
        &mut world,
        "wait: ramp goes to 100 % at 2026-03-01 11:00 UTC",
        "by itself",
    );
    world.guard(Some(GuardState::Insufficient));
    says(
        &mut world,
        "wait: ramp goes to 100 % once nothing holds it back any more",
        "by itself",
    );
    world.guard(Some(GuardState::Pass));
    world.done(Command::PauseRamp);
    says(
        &mut world,
        "resume the ramp, which mia paused",
        "an operator",
    );
    world.done(Command::ResumeRamp);
    world.pass(60);
    assert!(world.advance());
    says(
        &mut world,
        "wait: ramp ends at 2026-03-01 13:00 UTC",
        "by itself",
    );
    world.pass(120);
    assert!(world.advance());
    says(&mut world, "promote to opt_out", "an operator");
}

#[test]
fn whoever_set_everything_by_hand_goes_on_to_the_next_stage() {
    let mut world = World::ramping("10:1h 100:1h");
    world.done(Command::Set(Setting::On));
    says(&mut world, "promote to opt_out", "an operator");
    world.done(Command::Set(Setting::Off));
    says(
        &mut world,
        "resume the ramp, which mia paused",
        "an operator",
    );
    world.rollout.ramp = None;
    says(
        &mut world,
        "set it to its stage's default or to a ramp: it has been off since 2026-03-01 10:00 UTC",
        "an operator",
    );
}

#[test]
fn a_halt_is_looked_at_first() {
    let mut world = World::ramping("10:1h 100:1h");
    world.done(Command::Halt);
    says(
        &mut world,
        "resume, when what mia halted it for is mended",
        "an operator",
    );
    world.freeze();
    let frozen = next(&mut world).0;
    assert!(
        frozen.contains("once this is over: change freeze f"),
        "{frozen}"
    );
}

#[test]
fn after_the_second_halt_by_guards_a_maintainer_resumes() {
    let mut world = World::ramping("10:1h 100:1h");
    assert!(world.as_guard(Command::Halt));
    let looked = "resume, after you have looked at why guard errors halted it";
    says(&mut world, looked, "an operator");
    world.pass(10);
    world.done(Command::Resume);
    assert!(world.as_guard(Command::Halt));
    says(&mut world, looked, "a maintainer");
}

#[test]
fn a_breach_matters_from_opt_in_on() {
    for (stage, told) in [
        (Stage::ReadyForTesting, "promote to opt_in"),
        (
            Stage::OptIn,
            "look at guard errors, which is in breach: nothing is exposed further",
        ),
    ] {
        let mut world = World::new(OWN, stage);
        world.guard(Some(GuardState::Breach));
        says(&mut world, told, "an operator");
    }
}

#[test]
fn an_announced_flip_is_waited_for() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.rollout.halt = Some(Halt {
        at: start(),
        by: "mia".to_owned(),
        reason: "errors".to_owned(),
    });
    world.rollout.data.hold = Some(Box::new(Hold {
        command: Command::Resume,
        actor: world.facts.actor.clone(),
        reason: "mended".to_owned(),
        since: start(),
        until: start() + Duration::milliseconds(1_500),
        next: world.rollout.deciding(),
    }));
    says(
        &mut world,
        "wait: keys are about to move (resume by mia), until 2026-03-01 10:00:01 UTC at the latest",
        "by itself",
    );
}

#[test]
fn installations_are_promoted_by_a_maintainer() {
    let mut world = World::new(OWN, Stage::OptIn);
    world.facts.environment.kind = EnvironmentKind::OnPrem;
    says(&mut world, "promote to opt_out", "a maintainer");
}

#[test]
fn a_route_that_is_not_ready_is_prepared_first() {
    let world = World::new(OWN, Stage::Mandatory);
    let mut route = world.facts.route.clone();
    let mark = Mark {
        by: "mia".to_owned(),
        at: start(),
        reason: "worth it".to_owned(),
    };
    let told = |route: &Route, rollouts: &[&Rollout]| {
        NextAction::of_route(route, rollouts).map(|next| next.what.told())
    };
    assert_eq!(told(&route, &[]), None);
    let mut preparation = Preparation::default();
    for (decision, says) in [
        (None, "prepare: analysis"),
        (Some(Decision::Ahead(mark.clone())), "prepare: rpc_design"),
        (
            Some(Decision::Shelved(mark.clone())),
            "take it up again, or leave it: it is shelved",
        ),
    ] {
        preparation.decision = decision;
        route.preparation = Some(preparation.clone());
        assert_eq!(told(&route, &[]).as_deref(), Some(says));
    }
    preparation.decision = Some(Decision::Ahead(mark.clone()));
    preparation.completed.insert(Phase::RpcDesign, mark);
    route.preparation = Some(preparation);
    assert_eq!(
        told(&route, &[]).as_deref(),
        Some("prepare: server_implementation and client_implementation")
    );
    assert!(preparing(&route).contains("switchover prepare find complete"));
    route.preparation = None;
    assert_eq!(
        told(&route, &[&world.rollout]).as_deref(),
        Some("take the flag out of the code, then retire it: it is mandatory everywhere")
    );
    route.retired_at = Some(start());
    assert_eq!(
        told(&route, &[]).as_deref(),
        Some("nothing: retired since 2026-03-01 10:00 UTC")
    );
}
