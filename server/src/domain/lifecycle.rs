//! What may happen to a rollout. [`plan`] is the only maker of a [`Transition`], and the store
//! writes nothing else.
//!
//! Exposure has one door: whatever raises it, by whichever command, passes `door`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover::{Percent, RouteKey, Setting, Stage};

use crate::domain::actor::{Actor, Role};
use crate::domain::approval::Approval;
use crate::domain::environment::{Environment, EnvironmentKey};
use crate::domain::exposure::Cohort;
use crate::domain::gate::{self, GateFacts, GateReport, GateState};
use crate::domain::refusal::Refusal;
use crate::domain::rollout::{Halt, Rollout};
use crate::domain::route::Route;
use crate::domain::window::{close_window, open_window};

/// What somebody wants to happen to a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One stage forward.
    Promote {
        /// The next stage.
        to: Stage,
    },
    /// Any number of stages back.
    Demote {
        /// An earlier stage.
        to: Stage,
        /// Said on purpose by an admin: also out of mandatory.
        break_glass: bool,
        /// Halted in the same step.
        halt: bool,
    },
    /// Everything takes the old path until resumed.
    Halt,
    /// Undoes a halt.
    Resume,
    /// Sets what is on top of the stage.
    Set(Setting),
    /// Names the keys that are treated apart.
    SetCohorts {
        /// Those that take the new path.
        include: Cohort,
        /// Those that take the old path.
        exclude: Cohort,
    },
    /// Opens an acceptance window.
    OpenWindow {
        /// When it closes by itself.
        until: DateTime<Utc>,
        /// The largest share of the keys.
        percent: Percent,
        /// Keys that take the new path.
        cohort: Cohort,
    },
    /// Closes the acceptance window and takes the setting back.
    CloseWindow,
}

impl Command {
    /// The name of the action, for the record.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Command::Promote { .. } => "promote",
            Command::Demote {
                break_glass: true, ..
            } => "break_glass_demote",
            Command::Demote { .. } => "demote",
            Command::Halt => "halt",
            Command::Resume => "resume",
            Command::Set(_) => "setting",
            Command::SetCohorts { .. } => "cohorts",
            Command::OpenWindow { .. } => "acceptance_open",
            Command::CloseWindow => "acceptance_close",
        }
    }
}

/// What a plan is judged by, all of it read in the transaction that writes.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who wants it.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Now.
    pub now: DateTime<Utc>,
    /// The route.
    pub route: Route,
    /// Where.
    pub environment: Environment,
    /// Every environment with a lower position, and the route's stage there.
    pub earlier: Vec<(EnvironmentKey, Stage)>,
    /// The routes it requires, and their stage here.
    pub required: Vec<(RouteKey, Stage)>,
    /// The routes that require it, and their stage here.
    pub dependents: Vec<(RouteKey, Stage)>,
    /// The approvals on record for the next stage.
    pub approvals: Vec<Approval>,
}

impl Facts {
    /// Every gate of the route's policy for a promotion to `to`.
    #[must_use]
    pub fn gates(&self, rollout: &Rollout, to: Stage) -> Vec<GateReport> {
        let facts = GateFacts {
            spec: &self.route.spec,
            environment: &self.environment,
            rollout,
            earlier: &self.earlier,
            required: &self.required,
            approvals: &self.approvals,
            promoter: &self.actor.subject,
        };
        let gates = self.route.spec.policy.gates(to, &self.environment);
        gate::evaluate(&gates, to, &facts)
    }
}

/// A change of a rollout that the rules allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    before: Rollout,
    after: Rollout,
    action: &'static str,
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

    /// Before and after, for the record.
    #[must_use]
    pub fn record(&self) -> (Value, Value) {
        (state(&self.before), state(&self.after))
    }
}

/// What the record keeps of a rollout.
#[must_use]
pub fn state(rollout: &Rollout) -> Value {
    json!({
        "stage": rollout.stage,
        "setting": rollout.setting,
        "halt": rollout.halt,
        "include": rollout.include,
        "exclude": rollout.exclude,
        "acceptance": rollout.acceptance,
        "revision": rollout.revision,
    })
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
    let mut after = rollout.clone();
    match command {
        Command::Promote { to } => promote(rollout, &mut after, *to, facts)?,
        Command::Demote {
            to,
            break_glass,
            halt,
        } => demote(rollout, &mut after, *to, *break_glass, *halt, facts)?,
        Command::Halt => halt_at_once(rollout, &mut after, facts)?,
        Command::Resume => {
            not_mandatory(rollout, "a resume")?;
            after.halt = None;
        }
        Command::Set(setting) => {
            not_mandatory(rollout, "a setting")?;
            after.setting = *setting;
        }
        Command::SetCohorts { include, exclude } => {
            not_mandatory(rollout, "a cohort")?;
            after.include = include.clone();
            after.exclude = exclude.clone();
        }
        Command::OpenWindow {
            until,
            percent,
            cohort,
        } => open_window(rollout, &mut after, (*until, *percent, cohort), facts)?,
        Command::CloseWindow => close_window(&mut after, &facts.environment),
    }
    door(rollout, &after, command, facts)?;
    if after == *rollout {
        return Ok(None);
    }
    if after.stage != rollout.stage {
        after.stage_since = facts.now;
    }
    after.changed_at = facts.now;
    after.revision += 1;
    Ok(Some(Transition {
        before: rollout.clone(),
        after,
        action: command.action(),
    }))
}

fn promote(
    rollout: &Rollout,
    after: &mut Rollout,
    to: Stage,
    facts: &Facts,
) -> Result<(), Refusal> {
    let (route, environment) = (&rollout.route, &facts.environment);
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
    let gates: Vec<GateReport> = facts
        .gates(rollout, to)
        .into_iter()
        .filter(|report| report.state != GateState::Pass)
        .collect();
    if !gates.is_empty() {
        return Err(Refusal::GatesNotMet { to, gates });
    }
    close_window(after, environment);
    if to == Stage::Mandatory {
        if !after.exposure(environment.kind).is_total() {
            return Err(Refusal::InvalidTransition(format!(
                "not every key of `{route}` takes the new path in {0} yet: set it to \
                 stage_default, on or a ramp of 100 % and empty its excluded cohort first \
                 (switchover setting {route} {0} stage_default --reason …)",
                environment.key
            )));
        }
        after.setting = Setting::StageDefault;
        after.include = Cohort::new();
        after.exclude = Cohort::new();
    }
    after.stage = to;
    Ok(())
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
    if to == Stage::ReadyForTesting {
        close_window(after, &facts.environment);
        after.include = Cohort::new();
        if after.setting != Setting::Off {
            after.setting = Setting::StageDefault;
        }
    }
    if halt && after.halt.is_none() {
        after.halt = Some(halted(facts));
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
    if after.halt.is_none() {
        after.halt = Some(halted(facts));
    }
    Ok(())
}

fn halted(facts: &Facts) -> Halt {
    Halt {
        at: facts.now,
        by: facts.actor.subject.clone(),
        reason: facts.reason.clone(),
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

/// The one door: nothing raises exposure in front of real users before opt-in, except within an
/// acceptance window and up to its share. A promotion has been judged by its gates.
fn door(
    before: &Rollout,
    after: &Rollout,
    command: &Command,
    facts: &Facts,
) -> Result<(), Refusal> {
    let kind = facts.environment.kind;
    let exposure = after.exposure(kind);
    let raises = exposure.raises(&before.exposure(kind));
    let by_stage = after.stage != Stage::ReadyForTesting;
    let by_window = matches!(command, Command::OpenWindow { .. } | Command::CloseWindow);
    if !raises || by_stage || by_window || !facts.environment.is_guarded() {
        return Ok(());
    }
    let within = after.acceptance.as_ref().is_some_and(|window| {
        window.until > facts.now
            && exposure.share <= window.percent
            && exposure
                .include
                .iter()
                .all(|key| window.cohort.contains(key))
    });
    if within {
        return Ok(());
    }
    Err(Refusal::WindowNeeded(format!(
        "`{0}` is ready_for_testing in {1}: before opt_in more traffic may take the new path only \
         within an acceptance window, which a maintainer opens (switchover acceptance {0} {1} \
         --until … --percent … --reason …)",
        before.route, before.environment
    )))
}
