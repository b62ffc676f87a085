//! What may happen to a rollout. [`plan`] is the only maker of a [`Transition`], and the store
//! writes nothing else.
//!
//! Exposure has one door: whatever raises it, by whichever command, passes `door`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use switchover::{Percent, RouteKey, Setting, Stage};

use crate::domain::actor::Role;
use crate::domain::drill::Drill;
use crate::domain::exposure::Cohort;
use crate::domain::facts::Facts;
use crate::domain::gate::{self, GateReport, GateState};
use crate::domain::policy::GateKind;
use crate::domain::promoted::{closed, promoted};
use crate::domain::refusal::Refusal;
use crate::domain::rollout::{Halt, Rollout};
use crate::domain::window::{close_window, open_window};

/// What somebody wants to happen to a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One stage forward.
    Promote {
        /// The next stage.
        to: Stage,
        /// Said on purpose by an admin: gates about quality are passed over.
        break_glass: bool,
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
            Command::Promote {
                break_glass: true, ..
            } => "break_glass_promote",
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
    json!({
        "stage": rollout.stage,
        "setting": rollout.setting,
        "halt": rollout.halt,
        "include": rollout.include,
        "exclude": rollout.exclude,
        "acceptance": rollout.acceptance,
        "drill": rollout.drill,
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
        Command::CloseWindow => close(rollout, &mut after, facts),
    }
    door(rollout, &after, command, facts)?;
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
    after.changed_at = facts.now;
    after.revision += 1;
    Ok(Some(Transition {
        before: rollout.clone(),
        after,
        action: command.action(),
        gates,
    }))
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

/// The one door: whatever raises exposure passes it, whoever asks. Nothing does while a change
/// freeze is open; in front of real users before opt-in only an acceptance window does, up to its
/// share; and where the policy has a ramp, only a maintainer leaves its steps. A promotion has been
/// judged by its gates.
fn door(
    before: &Rollout,
    after: &Rollout,
    command: &Command,
    facts: &Facts,
) -> Result<(), Refusal> {
    let kind = facts.environment.kind;
    let exposure = after.exposure(kind);
    let by_gates = matches!(command, Command::Promote { .. });
    // What closing restores was judged when it was set, and held back by a freeze already.
    let restores = matches!(command, Command::CloseWindow);
    if by_gates || restores || !exposure.raises(&before.exposure(kind)) {
        return Ok(());
    }
    if let Some(freeze) = facts.freezes.first() {
        return Err(Refusal::Frozen(format!(
            "nothing may raise exposure in {}: {}; wait for its end, or have a maintainer close it \
             (switchover freeze close {} --reason …)",
            before.environment,
            freeze.described(),
            freeze.id
        )));
    }
    if after.stage != Stage::ReadyForTesting {
        return ramp_door(before, facts);
    }
    let by_window = matches!(command, Command::OpenWindow { .. });
    if by_window || !facts.environment.is_guarded() {
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

fn ramp_door(before: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    if facts.policy.has_ramp() && facts.actor.role < Role::Maintainer {
        return Err(Refusal::Forbidden {
            needs: Role::Maintainer,
            to_do: format!(
                "raising `{}` otherwise than by the ramp of policy {}",
                before.route, facts.policy.name
            ),
        });
    }
    Ok(())
}

/// Judges an edit of the route itself that lets keys of this rollout take the new path, such as a
/// requirement that is taken away.
///
/// # Errors
/// When nothing may raise exposure here now, or not this person.
pub fn route_door(rollout: &Rollout, facts: &Facts) -> Result<(), Refusal> {
    if !rollout.sight(facts.environment.kind).exposed {
        return Ok(());
    }
    match facts.freezes.first() {
        Some(freeze) => Err(Refusal::Frozen(format!(
            "nothing may raise exposure in {}: {}",
            rollout.environment,
            freeze.described()
        ))),
        None => ramp_door(rollout, facts),
    }
}
