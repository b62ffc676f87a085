//! The one next thing to do with a rollout, and who does it.

mod told;

use chrono::{DateTime, Utc};
use switchover::{Percent, RouteKey, Setting, Stage};

use crate::domain::actor::{Actor, Role};
use crate::domain::facts::Facts;
use crate::domain::gate::{self, GateReport, GateState};
use crate::domain::guard::GuardState;
use crate::domain::old_store;
use crate::domain::preparation::Phase;
use crate::domain::ramp::{Move, Outlook, RampState, Wait};
use crate::domain::ramping;
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;

pub use told::wait;

/// What comes next, and who does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextAction {
    /// What.
    pub what: Next,
    /// Who does it.
    pub by: By,
}

/// Who does what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Somebody with at least this role.
    Person(Role),
    /// The server, without anybody.
    Itself,
    /// Nobody: there is nothing to do.
    Nobody,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The route is retired.
    Retired {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// Its preparation was shelved.
    TakeUp,
    /// It is not ready: these phases are open.
    Prepare {
        /// The open phases.
        phases: Vec<Phase>,
    },
    /// It is mandatory everywhere: once no code asks for it, it can be retired.
    Retire,
    /// It is at the last stage here.
    Mandatory {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// Keys are about to move between two stores.
    Flip {
        /// What was ordered, as the record names it.
        action: String,
        /// Who ordered it.
        by: String,
        /// When it is given up at the latest.
        until: DateTime<Utc>,
    },
    /// It is halted.
    Resume {
        /// The guard that halted it; `None` where a person did.
        guard: Option<String>,
        /// Who halted it.
        by: String,
        /// Why.
        reason: String,
        /// Since when.
        since: DateTime<Utc>,
        /// The change freeze that a resume has to wait for.
        frozen: Option<String>,
    },
    /// A guard is in breach.
    Mend {
        /// Which.
        guard: String,
        /// What it has seen.
        detail: String,
    },
    /// Its ramp waits to be started.
    StartRamp {
        /// The share of its first step.
        first: Option<Percent>,
        /// The change freeze that it has to wait for.
        frozen: Option<String>,
    },
    /// Its ramp is paused.
    ResumeRamp {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// Its ramp goes on by itself.
    Ramp {
        /// The share that it goes to; `None` where its last step is held.
        to: Option<Percent>,
        /// When, if nothing holds it back then.
        at: Option<DateTime<Utc>>,
        /// What holds it back now.
        held_back: Vec<String>,
    },
    /// Everything takes the old path, though the stage is beyond tests.
    SwitchOn {
        /// Since when it has been as it is.
        since: DateTime<Utc>,
    },
    /// Gates of the next promotion do not pass.
    Gates {
        /// To which stage.
        to: Stage,
        /// Those that do not pass.
        open: Vec<GateReport>,
    },
    /// Only time is lacking.
    Soak {
        /// For the promotion to which stage.
        to: Stage,
        /// When it has passed.
        until: DateTime<Utc>,
    },
    /// Not every key takes the new path, as the last stage asks for.
    ExposeAll,
    /// The old store has to go out of use before the last stage.
    LeaveOldStore,
    /// Nothing is in the way of the next stage.
    Promote {
        /// The next stage.
        to: Stage,
    },
}

impl NextAction {
    /// What comes next for a route as a whole; `None` where its rollouts say it.
    #[must_use]
    pub fn of_route(route: &Route, rollouts: &[&Rollout]) -> Option<NextAction> {
        if let Some(since) = route.retired_at {
            return Some(NextAction::new(Next::Retired { since }, By::Nobody));
        }
        if let Some(preparation) = route.preparation.as_ref().filter(|it| !it.is_ready()) {
            let what = if preparation.is_shelved() {
                Next::TakeUp
            } else {
                Next::Prepare {
                    phases: preparation.open(),
                }
            };
            return Some(NextAction::new(what, By::Person(Role::Operator)));
        }
        let last = |rollout: &&Rollout| rollout.stage == Stage::Mandatory;
        let is_over = !rollouts.is_empty() && rollouts.iter().all(last);
        is_over.then(|| NextAction::new(Next::Retire, By::Person(Role::Maintainer)))
    }

    /// What comes next for a rollout, by what its gates answer for the next stage, and what its ramp
    /// does next.
    #[must_use]
    pub fn of(
        rollout: &Rollout,
        facts: &Facts,
        gates: &[GateReport],
        outlook: Option<&Outlook>,
    ) -> NextAction {
        if let Some(since) = facts.route.retired_at {
            return NextAction::new(Next::Retired { since }, By::Nobody);
        }
        let Some(to) = rollout.stage.next() else {
            let since = rollout.stage_since;
            return NextAction::new(Next::Mandatory { since }, By::Nobody);
        };
        if let Some(hold) = &rollout.data.hold {
            let what = Next::Flip {
                action: hold.command.action().to_owned(),
                by: hold.actor.subject.clone(),
                until: hold.until,
            };
            return NextAction::new(what, By::Itself);
        }
        halted(rollout, facts)
            .or_else(|| breached(rollout, facts))
            .or_else(|| ramping(rollout, facts, outlook))
            .or_else(|| switched_off(rollout))
            .unwrap_or_else(|| promotion(rollout, facts, gates, to))
    }

    fn new(what: Next, by: By) -> NextAction {
        NextAction { what, by }
    }
}

/// The command line that does what a preparation waits for; empty where nothing does.
#[must_use]
pub fn preparing(route: &Route) -> String {
    let key: &RouteKey = &route.spec.key;
    let preparation = route.preparation.as_ref();
    preparation.map_or_else(String::new, |it| it.next_step(key))
}

fn halted(rollout: &Rollout, facts: &Facts) -> Option<NextAction> {
    let halt = rollout.halt.as_ref()?;
    let guard = halt.by.strip_prefix("guard:").map(str::to_owned);
    let needs = if Actor::is_guard(&halt.by) && ramping::is_second_guard_halt(rollout) {
        Role::Maintainer
    } else {
        Role::Operator
    };
    let what = Next::Resume {
        guard,
        by: halt.by.clone(),
        reason: halt.reason.clone(),
        since: halt.at,
        frozen: facts.freezes.first().map(|freeze| freeze.described()),
    };
    Some(NextAction::new(what, By::Person(needs)))
}

/// Before opt-in a breach is what tests are for; gates say what it means.
fn breached(rollout: &Rollout, facts: &Facts) -> Option<NextAction> {
    let mut reports = facts.guards.iter();
    let report = reports.find(|report| report.state == GuardState::Breach)?;
    let matters = rollout.stage != Stage::ReadyForTesting;
    let what = Next::Mend {
        guard: report.guard.name.clone(),
        detail: report.detail.clone(),
    };
    matters.then(|| NextAction::new(what, By::Person(Role::Operator)))
}

/// A ramp that is not at its end comes before the next stage, as long as it has something to expose.
fn ramping(rollout: &Rollout, facts: &Facts, outlook: Option<&Outlook>) -> Option<NextAction> {
    let (ramp, outlook) = (rollout.ramp.as_ref()?, outlook?);
    let is_over = matches!(ramp.state, RampState::Finished { .. });
    let stands = !ramp.is_running();
    let is_total = rollout.exposure(facts.environment.kind).is_total();
    if is_over || stands && is_total {
        return None;
    }
    let operator = By::Person(Role::Operator);
    if let RampState::Ready { by_itself: false } = ramp.state {
        let first = ramp.steps.first().map(|step| step.percent);
        let frozen = facts.freezes.first().map(|freeze| freeze.described());
        return Some(NextAction::new(Next::StartRamp { first, frozen }, operator));
    }
    if let RampState::Paused { by, reason, .. } = &ramp.state {
        let what = Next::ResumeRamp {
            by: by.clone(),
            reason: reason.clone(),
        };
        return Some(NextAction::new(what, operator));
    }
    let to = match outlook.next? {
        Move::Enter(step) => ramp.steps.get(step).map(|step| step.percent),
        Move::Finish => None,
    };
    // Only a person puts the setting back where the ramp has it.
    let by = if outlook.waits.contains(&Wait::SetOtherwise) {
        operator
    } else {
        By::Itself
    };
    let what = Next::Ramp {
        to,
        at: outlook.due,
        held_back: outlook.waits.iter().map(wait).collect(),
    };
    Some(NextAction::new(what, by))
}

fn switched_off(rollout: &Rollout) -> Option<NextAction> {
    let is_off = rollout.setting == Setting::Off && rollout.stage != Stage::ReadyForTesting;
    let since = rollout.changed_at;
    is_off.then(|| NextAction::new(Next::SwitchOn { since }, By::Person(Role::Operator)))
}

fn promotion(rollout: &Rollout, facts: &Facts, gates: &[GateReport], to: Stage) -> NextAction {
    let needed = if facts.environment.is_guarded() {
        Role::Maintainer
    } else {
        Role::Operator
    };
    let mut open = gate::missing(gates.to_vec());
    // What waits is nothing that somebody does: it is said when nothing else is left.
    let soak = gate::soak_ends(to, rollout, facts);
    let waits = |report: &GateReport| {
        report.gate == "soak" && report.state == GateState::Fail && soak.is_some()
    };
    if let (true, Some(until)) = (!open.is_empty() && open.iter().all(waits), soak) {
        return NextAction::new(Next::Soak { to, until }, By::Itself);
    }
    open.sort_by_key(waits);
    if !open.is_empty() {
        return NextAction::new(Next::Gates { to, open }, By::Person(Role::Operator));
    }
    let what = if to != Stage::Mandatory {
        Next::Promote { to }
    } else if !rollout.exposure(facts.environment.kind).is_total() {
        Next::ExposeAll
    } else if old_store::is_out_of_use(rollout, facts).is_err() {
        Next::LeaveOldStore
    } else {
        Next::Promote { to }
    };
    NextAction::new(what, By::Person(needed))
}

#[cfg(test)]
mod tests;
