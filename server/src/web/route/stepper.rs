//! The lifecycle as steps: what is behind a route, where it is, and what is ahead.

use chrono::{DateTime, Utc};
use switchover::Stage;

use crate::domain::environment::EnvironmentKey;
use crate::domain::preparation::{Phase, Preparation};
use crate::domain::rollout::Rollout;
use crate::domain::route::Route;
use crate::domain::schedule::Milestone;
use crate::web::words::{StageMark, When, stage_name};

/// One step.
pub(super) struct Step {
    /// Its name, where it is no stage.
    pub(super) name: &'static str,
    /// The stage that it is.
    pub(super) stage: Option<StageMark>,
    /// Where it lies.
    pub(super) lies: Lies,
    /// Since when it has been reached.
    pub(super) since: Option<When>,
    /// The day for which it is planned.
    pub(super) planned: Option<String>,
}

/// Where a step lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    Behind,
    Here,
    Ahead,
}

impl Lies {
    /// The name of its class.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Lies::Behind => "is-done",
            Lies::Here => "is-here",
            Lies::Ahead => "is-ahead",
        }
    }

    /// In words, for whoever does not see it.
    pub(super) const fn told(self) -> &'static str {
        match self {
            Lies::Behind => "done",
            Lies::Here => "current",
            Lies::Ahead => "to come",
        }
    }

    pub(super) fn is_here(self) -> bool {
        self == Lies::Here
    }
}

/// The steps of a route in one environment; before it is ready there, in none.
pub(super) fn steps(
    route: &Route,
    place: Option<(&Rollout, &EnvironmentKey)>,
    milestones: &[Milestone],
    now: DateTime<Utc>,
) -> Vec<Step> {
    let mut steps = match &route.preparation {
        Some(preparation) if place.is_none() => prepared(preparation, now),
        Some(_) => vec![Step {
            name: "Prepared",
            stage: None,
            lies: Lies::Behind,
            since: None,
            planned: None,
        }],
        None => Vec::new(),
    };
    let at = place.map(|(rollout, _)| rollout);
    steps.extend(Stage::ALL.into_iter().map(|stage| {
        let of_it = |milestone: &&Milestone| {
            let here = place.is_some_and(|(_, environment)| *environment == milestone.environment);
            here && milestone.stage == stage
        };
        let milestone = milestones.iter().find(of_it);
        let lies = match at.map(|rollout| stage.cmp(&rollout.stage)) {
            Some(std::cmp::Ordering::Less) => Lies::Behind,
            Some(std::cmp::Ordering::Equal) => Lies::Here,
            Some(std::cmp::Ordering::Greater) | None => Lies::Ahead,
        };
        let since = match (lies, at) {
            (Lies::Here, Some(rollout)) => Some(rollout.stage_since),
            (Lies::Behind, _) => milestone.and_then(|milestone| milestone.actual),
            _ => None,
        };
        let planned = milestone.and_then(|milestone| milestone.planned);
        Step {
            name: stage_name(stage),
            stage: Some(StageMark::of(stage)),
            lies,
            since: since.map(|since| When::of(since, now)),
            planned: planned
                .filter(|_| lies == Lies::Ahead)
                .map(|day| day.format("%Y-%m-%d").to_string()),
        }
    }));
    steps
}

fn prepared(preparation: &Preparation, now: DateTime<Utc>) -> Vec<Step> {
    let open = preparation.open();
    let has = |phase: &Phase| {
        // Where an endpoint exists, only the client is left to do.
        let is_of_new = matches!(phase, Phase::RpcDesign | Phase::ServerImplementation);
        !(preparation.existing_endpoint && is_of_new)
    };
    let phases = Phase::ALL.into_iter().filter(has);
    phases
        .map(|phase| {
            let done = preparation.completed.get(&phase);
            let is_decided = phase == Phase::Analysis && preparation.decision.is_some();
            let lies = if open.contains(&phase) {
                Lies::Here
            } else if done.is_some() || is_decided {
                Lies::Behind
            } else {
                Lies::Ahead
            };
            Step {
                name: phase_name(phase),
                stage: None,
                lies,
                since: done.map(|mark| When::of(mark.at, now)),
                planned: None,
            }
        })
        .collect()
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Analysis => "Analysis",
        Phase::RpcDesign => "RPC design",
        Phase::ServerImplementation => "Server",
        Phase::ClientImplementation => "Client",
    }
}
