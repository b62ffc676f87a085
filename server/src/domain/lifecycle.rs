//! What may happen to a rollout. [`plan`] is the only maker of a [`Transition`], with [`finish`] and
//! [`abandon`] for what it has announced, and the store writes nothing else.
//!
//! Exposure has one door: whatever raises it, by whichever command, passes `door`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover::{RouteKey, Setting, Stage};

use crate::domain::actor::{Actor, Role};
use crate::domain::door::door;
use crate::domain::doubling::Outcome;
use crate::domain::drill::Drill;
use crate::domain::exposure::Cohort;
use crate::domain::facts::Facts;
use crate::domain::flipping;
use crate::domain::gate::{self, GateReport, GateState};
use crate::domain::loss;
use crate::domain::mirroring;
use crate::domain::old_store;
use crate::domain::policy::GateKind;
use crate::domain::promoted::{closed, promoted};
use crate::domain::ramping;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::{Halt, Rollout};
use crate::domain::window::{close_window, open_window};

pub use crate::domain::command::Command;
pub use crate::domain::door::route_door;

/// A flip is announced.
const HELD: &str = "flip_hold";
/// A flip is given up.
const ABANDONED: &str = "flip_abandoned";

/// A change of a rollout that the rules allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    before: Rollout,
    after: Rollout,
    action: &'static str,
    gates: Vec<GateReport>,
}

impl Transition {
    /// The rollout as it was when the change was planned.
    #[must_use]
    pub fn before(&self) -> &Rollout {
        &self.before
    }

    /// The rollout as it will be.
    #[must_use]
    pub fn after(&self) -> &Rollout {
        &self.after
    }

    /// What happens, for the record.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// Whether it moves no key yet, or any more: a flip is announced, or given up. Guards count on.
    #[must_use]
    pub fn is_about_a_hold(&self) -> bool {
        [HELD, ABANDONED].contains(&self.action)
    }

    /// What the gates of a promotion answered; none for other changes.
    #[must_use]
    pub fn gates(&self) -> &[GateReport] {
        &self.gates
    }

    /// Before and after, for the record.
    #[must_use]
    pub fn record(&self) -> (Value, Value) {
        let mut after = state(&self.after);
        if let (Value::Object(fields), false) = (&mut after, self.gates.is_empty()) {
            fields.insert("gates".to_owned(), json!(self.gates));
        }
        (state(&self.before), after)
    }
}

/// What the record keeps of a rollout.
#[must_use]
pub fn state(rollout: &Rollout) -> Value {
    let mut state = json!({
        "stage": rollout.stage,
        "setting": rollout.setting,
        "halt": rollout.halt,
        "include": rollout.include,
        "exclude": rollout.exclude,
        "include_cohorts": rollout.uses.include.cohorts,
        "exclude_cohorts": rollout.uses.exclude.cohorts,
        "acceptance": rollout.acceptance,
        "drill": rollout.drill,
        "ramp": rollout.ramp,
        "mirror": rollout.mirror,
        "revision": rollout.revision,
    });
    if let (Value::Object(fields), Some(data)) = (&mut state, rollout.data.told()) {
        fields.insert("data".to_owned(), json!(data));
    }
    state
}

/// Plans a command against a rollout: the transition, or `None` when nothing would change.
///
/// # Errors
/// When the rules do not allow it; a refused promotion names every gate that does not pass.
pub fn plan(
    rollout: &Rollout,
    command: &Command,
    facts: &Facts,
) -> Result<Option<Transition>, Refusal> {
    if facts.route.retired_at.is_some() {
        return Err(Refusal::Retired(facts.route.spec.key.clone()));
    }
    flipping::not_under_way(rollout, command)?;
    let mut after = rollout.clone();
    let mut gates = Vec::new();
    match command {
        Command::Promote { to, break_glass } => {
            gates = promote(rollout, &mut after, *to, *break_glass, facts)?;
        }
        Command::Demote {
            to,
            break_glass,
            halt,
        } => demote(rollout, &mut after, *to, *break_glass, *halt, facts)?,
        Command::Halt => halt_at_once(rollout, &mut after, facts)?,
        Command::HaltWithoutMirror => {
            halt_at_once(rollout, &mut after, facts)?;
            mirroring::stop(rollout, &mut after, facts);
        }
        Command::Resume => {
            not_mandatory(rollout, "a resume")?;
            ramping::resume(rollout, &mut after, facts)?;
        }
        Command::Set(setting) => {
            not_mandatory(rollout, "a setting")?;
            after.setting = *setting;
            ramping::set_by_hand(rollout, &mut after, facts);
        }
        Command::SetCohorts { include, exclude } => {
            not_mandatory(rollout, "a cohort")?;
            after.include = include.clone();
            after.exclude = exclude.clone();
        }
        Command::UseCohorts {
            include, exclude, ..
        } => {
            not_mandatory(rollout, "a cohort")?;
            after.include = include.clone();
            after.exclude = exclude.clone();
        }
        Command::OpenWindow {
            until,
            percent,
            cohort,
        } => open_window(rollout, &mut after, (*until, *percent, cohort), facts)?,
        Command::CloseWindow => close(rollout, &mut after, facts),
        Command::PlanRamp(steps) => ramping::put(rollout, &mut after, steps, facts)?,
        Command::StartRamp => ramping::start(rollout, &mut after, facts)?,
        Command::PauseRamp => ramping::pause(rollout, &mut after, facts)?,
        Command::ResumeRamp => ramping::go_on(rollout, &mut after, facts)?,
        Command::AdvanceRamp => ramping::advance(rollout, &mut after, facts),
        Command::RaiseGeneration => after.data.generation += 1,
        Command::SetMirror(mirror) => {
            flipping::may_double(rollout, *mirror, facts)?;
            mirroring::set(rollout, &mut after, *mirror, facts)?;
        }
        Command::StopMirror => mirroring::stop(rollout, &mut after, facts),
    }
    if let Command::UseCohorts { uses, .. } = command {
        after.uses = uses.clone().kept();
    } else {
        after.uses.follow(rollout, &after.include, &after.exclude);
    }
    if let Some(ramp) = &mut after.ramp {
        ramp.keep_time(after.halt.is_some(), facts.now, &facts.frozen);
    }
    door(rollout, &after, command, facts)?;
    loss::accepted(rollout, &after, facts)?;
    if let Some(held) = flipping::judge(rollout, &mut after, command, facts)? {
        return Ok(Some(Transition {
            action: HELD,
            before: rollout.clone(),
            after: held,
            gates,
        }));
    }
    if after == *rollout {
        return Ok(None);
    }
    if after.stage != rollout.stage {
        after.stage_since = facts.now;
    }
    let kind = facts.environment.kind;
    if after.stage < rollout.stage {
        after.demoted_at = Some(facts.now);
        after.drill = Drill::default();
    } else {
        let (was, is) = (rollout.sight(kind), after.sight(kind));
        after.drill = rollout.drill.after(was, is, facts.now);
    }
    if after.is_more_than_ramp_of(rollout) {
        after.changed_at = facts.now;
    }
    after.revision += 1;
    Ok(Some(Transition {
        action: ramping::action(command, &after),
        before: rollout.clone(),
        after,
        gates,
    }))
}

/// Makes the change that is announced, now that nobody writes the keys that it moves.
///
/// # Errors
/// When nothing is announced, the rules do not allow it any more, or it would not be what was
/// announced.
pub fn finish(rollout: &Rollout, facts: &Facts) -> Result<Transition, Refusal> {
    let Some(hold) = rollout.data.hold.clone() else {
        return Err(Refusal::InvalidTransition(
            "no flip is under way".to_owned(),
        ));
    };
    let mut lifted = rollout.clone();
    lifted.data.end_hold(Outcome::Made, "", facts.now);
    let facts = Facts {
        writing: facts.writing.all_let_go(),
        // That was asked when it was announced.
        accepts_loss: true,
        ..facts.clone()
    };
    match plan(&lifted, &hold.command, &facts)? {
        Some(made) if made.after.deciding() == hold.next => Ok(Transition {
            before: rollout.clone(),
            ..made
        }),
        _ => Err(Refusal::InvalidTransition(
            "it would not be what was announced any more".to_owned(),
        )),
    }
}

/// Gives up what is announced: nothing else changes. `None` where nothing is.
#[must_use]
pub fn abandon(rollout: &Rollout, why: &str, now: DateTime<Utc>) -> Option<Transition> {
    rollout.data.hold.as_ref()?;
    let mut after = rollout.clone();
    after.data.end_hold(Outcome::Abandoned, why, now);
    after.revision += 1;
    Some(Transition {
        action: ABANDONED,
        before: rollout.clone(),
        after,
        gates: Vec::new(),
    })
}

/// Closing is never refused; while a freeze is open it takes back only what lowers exposure.
fn close(rollout: &Rollout, after: &mut Rollout, facts: &Facts) {
    let kind = facts.environment.kind;
    close_window(after, &facts.environment);
    if !facts.freezes.is_empty() && after.exposure(kind).raises(&rollout.exposure(kind)) {
        after.setting = rollout.setting;
        after.include = rollout.include.clone();
    }
}

fn promote(
    rollout: &Rollout,
    after: &mut Rollout,
    to: Stage,
    break_glass: bool,
    facts: &Facts,
) -> Result<Vec<GateReport>, Refusal> {
    let (route, environment) = (&rollout.route, &facts.environment);
    if break_glass && facts.actor.role < Role::Admin {
        return Err(Refusal::Forbidden {
            needs: Role::Admin,
            to_do: "promoting with `break_glass`".to_owned(),
        });
    }
    if rollout.stage.next() != Some(to) {
        return Err(Refusal::InvalidTransition(match rollout.stage.next() {
            _ if to <= rollout.stage => format!(
                "`{route}` is at {} in {} already; to go back, demote it",
                rollout.stage, environment.key
            ),
            Some(next) => format!(
                "`{route}` is at {} in {}: the next stage is {next}, and none is skipped",
                rollout.stage, environment.key
            ),
            None => format!(
                "`{route}` is mandatory in {}, the last stage",
                environment.key
            ),
        }));
    }
    if environment.is_guarded() && facts.actor.role < Role::Maintainer {
        return Err(Refusal::Forbidden {
            needs: Role::Maintainer,
            to_do: format!("promoting in {}", environment.key),
        });
    }
    if rollout.halt.is_some() {
        return Err(Refusal::Halted(format!(
            "`{route}` is halted in {0}: resume it first (switchover resume {route} {0} --reason …)",
            environment.key
        )));
    }
    let gates = facts.gates(rollout, to);
    let holds = |report: &GateReport| {
        report.state != GateState::Pass && !(break_glass && may_be_passed_over(report))
    };
    if gates.iter().any(holds) {
        return Err(Refusal::GatesNotMet {
            to,
            gates: gate::missing(gates),
        });
    }
    let is_total = closed(rollout, facts).exposure(environment.kind).is_total();
    if to == Stage::Mandatory && !is_total {
        return Err(Refusal::InvalidTransition(format!(
            "not every key of `{route}` takes the new path in {0} yet: set it to stage_default, on \
             or a ramp of 100 % and empty its excluded cohort first (switchover setting {route} {0} \
             stage_default --reason …)",
            environment.key
        )));
    }
    if to == Stage::Mandatory {
        old_store::is_out_of_use(rollout, facts)?;
    }
    *after = promoted(rollout, to, facts);
    Ok(gates)
}

/// Break-glass is for proof that is lacking; the order of stages is what the SDKs rely on.
fn may_be_passed_over(report: &GateReport) -> bool {
    !GateKind::ALL
        .iter()
        .any(|kind| kind.is_lifecycle() && kind.name() == report.gate)
}

fn demote(
    rollout: &Rollout,
    after: &mut Rollout,
    to: Stage,
    break_glass: bool,
    halt: bool,
    facts: &Facts,
) -> Result<(), Refusal> {
    let (route, environment) = (&rollout.route, &facts.environment.key);
    if to >= rollout.stage {
        return Err(Refusal::InvalidTransition(format!(
            "`{route}` is at {} in {environment}: a demotion leads to an earlier stage than that",
            rollout.stage
        )));
    }
    if rollout.stage == Stage::Mandatory {
        if facts.actor.role < Role::Admin {
            return Err(Refusal::Forbidden {
                needs: Role::Admin,
                to_do: "demoting out of mandatory".to_owned(),
            });
        }
        if !break_glass {
            return Err(Refusal::Mandatory(format!(
                "`{route}` is mandatory in {environment}: installations may have lost the old \
                 path; if you are sure, pass `break_glass: true`"
            )));
        }
    }
    let ahead: Vec<(RouteKey, Stage)> = facts
        .proof
        .dependents
        .iter()
        .filter(|(_, stage)| *stage > to)
        .cloned()
        .collect();
    if !ahead.is_empty() {
        let names: Vec<String> = ahead
            .iter()
            .map(|(key, stage)| format!("{key} ({stage})"))
            .collect();
        return Err(Refusal::Dependents {
            detail: format!(
                "{} would be ahead of `{route}`, which they require: demote them first, or pass \
                 `cascade: true`",
                names.join(", ")
            ),
            ahead,
        });
    }
    after.stage = to;
    ramping::demote(after, facts);
    if to == Stage::ReadyForTesting {
        close_window(after, &facts.environment);
        after.include = Cohort::new();
        if after.setting != Setting::Off {
            after.setting = Setting::StageDefault;
        }
    }
    if halt {
        set_halt(after, facts);
    }
    Ok(())
}

fn halt_at_once(rollout: &Rollout, after: &mut Rollout, facts: &Facts) -> Result<(), Refusal> {
    if rollout.stage == Stage::Mandatory {
        let (route, environment) = (&rollout.route, &facts.environment.key);
        return Err(Refusal::Mandatory(format!(
            "`{route}` is mandatory in {environment}, where a halt has no effect; an admin can \
             demote and halt it in one step: switchover demote {route} {environment} --to opt_out \
             --halt --break-glass --reason …"
        )));
    }
    set_halt(after, facts);
    Ok(())
}

/// A halt stops a ramp's clock; one by a guard pauses the ramp as well, and is remembered.
fn set_halt(after: &mut Rollout, facts: &Facts) {
    if after.halt.is_some() {
        return;
    }
    after.halt = Some(Halt {
        at: facts.now,
        by: facts.actor.subject.clone(),
        reason: facts.reason.clone(),
    });
    if Actor::is_guard(&facts.actor.subject) {
        ramping::halted_by_guard(after, facts);
    }
}

fn not_mandatory(rollout: &Rollout, what: &str) -> Result<(), Refusal> {
    if rollout.stage == Stage::Mandatory {
        return Err(Refusal::Mandatory(format!(
            "`{}` is mandatory in {}, where {what} has no effect",
            rollout.route, rollout.environment
        )));
    }
    Ok(())
}
